use std::time::Duration;

use cloud::{FLEET_TAG, FakeCloud};
use model::BuilderState as B;
use uuid::Uuid;

use super::*;
use crate::testing::{NOW, builder};

const FLEET: FleetId = FleetId(Uuid::from_u128(3));

fn instance(id: &str, state: InstanceState) -> Instance {
    Instance {
        id: id.to_owned(),
        state,
        address: Some("10.0.0.7".to_owned()),
        state_reason: None,
        offering: None,
        tags: BTreeMap::from([(FLEET_TAG.to_owned(), FLEET.to_string())]),
    }
}

#[test]
fn an_absence_is_believed_after_some_looks_and_some_time_and_anew_after_each_sight() {
    let mut absences = Absences::default();
    let mut note = |id, seconds| absences.note(id, false, NOW.plus(Duration::from_secs(seconds)));
    for seconds in [0, 1, 2, 59] {
        assert!(!note("i-1", seconds), "{seconds}");
    }
    assert!(!note("i-2", 60), "another one's looks do not count");
    assert!(note("i-1", 60));
    absences.seen("i-1");
    let mut note = |seconds| absences.note("i-1", false, NOW.plus(Duration::from_secs(seconds)));
    // Time alone is not enough, and begins anew.
    assert!(!note(120));
    assert!(!note(240));
    assert!(note(240));
}

#[test]
fn a_cloud_that_does_not_show_most_of_what_it_showed_before_is_doubted() {
    // The states of the builders `i-0`, `i-1` and so on; which of them are missing; how many are shown of how many.
    for (states, missing, expected) in [
        (&[][..], &[][..], None),
        (&[B::Ready], &[], None),
        (&[B::Ready], &[0], Some((0, 1))),
        (&[B::Ready, B::Busy], &[0], None),
        (&[B::Ready, B::Busy], &[0, 1], Some((0, 2))),
        (&[B::Booting, B::Checking, B::Held], &[0, 2], Some((1, 3))),
        // Of what was never shown, or is to end, nothing is expected.
        (&[B::Pending, B::Terminating, B::Terminated], &[0, 1, 2], None),
        (&[B::Pending, B::Ready, B::Pending], &[0, 2], None),
        (&[B::Pending, B::Ready, B::Ready], &[1, 2], Some((0, 2))),
    ] {
        let id = |number: usize| format!("i-{number}");
        let known: Vec<Builder> = (0..)
            .zip(states)
            .map(|(number, state)| Builder {
                instance_id: Some(id(number)),
                ..builder(*state)
            })
            .collect();
        let there = (0..states.len()).filter(|number| !missing.contains(number));
        let seen = Seen {
            cloud: "aws".to_owned(),
            is_certain: false,
            ends: Vec::new(),
            others: None,
            dialect: None,
            found: Vec::new(),
            tagged: Vec::new(),
            instances: there
                .map(|number| (id(number), instance(&id(number), InstanceState::Running)))
                .collect(),
            asked: missing.iter().map(|number| id(*number)).collect(),
        };
        let expected = expected
            .map(|(shown, all)| format!("it shows {shown} of the {all} machines that it should have"));
        assert_eq!(seen.doubt(&known), expected, "{states:?} without {missing:?}");
        let unasked = Seen {
            asked: BTreeSet::new(),
            instances: BTreeMap::new(),
            ..seen
        };
        assert_eq!(
            unasked.doubt(&known),
            None,
            "what was not asked for is not missing"
        );
    }
}

fn look_at(cloud: &Arc<FakeCloud>, known: &[&str], orphans: Vec<Orphan>) -> Look {
    Look {
        name: "aws".to_owned(),
        cloud: Arc::clone(cloud) as Arc<dyn Cloud>,
        fleet: FLEET,
        is_certain: false,
        known: known.iter().map(ToString::to_string).collect(),
        orphans,
        count: None,
        asks_dialect: false,
        wanted: Vec::new(),
        owners: BTreeMap::new(),
    }
}

#[tokio::test]
async fn what_a_list_lacks_is_asked_for_by_its_id_before_it_counts_as_absent() {
    let cloud = Arc::new(FakeCloud::default());
    for id in ["i-listed", "i-unlisted", "i-hidden"] {
        cloud.add(instance(id, InstanceState::Running));
    }
    cloud.add(Instance {
        tags: BTreeMap::new(),
        ..instance("i-anothers", InstanceState::Running)
    });
    cloud.leave_out("i-unlisted");
    cloud.hide("i-hidden", true);
    let seen = look(look_at(
        &cloud,
        &["i-listed", "i-unlisted", "i-hidden"],
        Vec::new(),
    ));
    let seen = seen.await.unwrap();
    let found: Vec<&str> = seen.instances.keys().map(String::as_str).collect();
    assert_eq!(found, ["i-listed", "i-unlisted"]);
    let asked: Vec<&str> = seen.asked.iter().map(String::as_str).collect();
    assert_eq!(asked, ["i-hidden", "i-unlisted"]);
    cloud.set_away(Some(cloud::Error::Throttled {
        code: "SlowDown".to_owned(),
    }));
    let failed = look(look_at(&cloud, &["i-listed"], Vec::new())).await;
    assert!(matches!(failed, Err(Error::Cloud { cloud, .. }) if cloud == "aws"));
}

#[tokio::test]
async fn every_orphan_is_told_to_end_though_another_one_is_refused() {
    let cloud = Arc::new(FakeCloud::default());
    let orphans = ["i-1", "i-2", "i-3"].map(|id| {
        cloud.add(instance(id, InstanceState::Running));
        Orphan {
            cloud: "aws".to_owned(),
            instance_id: id.to_owned(),
            state: "running".to_owned(),
            first_at: NOW,
            last_at: NOW,
            times_seen: 2,
            refusal: None,
            pool: None,
            is_ending: true,
            ignored: None,
        }
    });
    let refusal = cloud::Error::Refused {
        code: "OperationNotPermitted".to_owned(),
        message: String::new(),
    };
    cloud.protect("i-2", Some(refusal));
    let seen = look(look_at(&cloud, &[], orphans.to_vec())).await.unwrap();
    let refused = Some("the cloud refuses: OperationNotPermitted".to_owned());
    let expected = [("i-1", None), ("i-2", refused), ("i-3", None)];
    assert_eq!(seen.ends, expected.map(|(id, refusal)| (id.to_owned(), refusal)));
    assert_eq!(cloud.terminated(), ["i-1", "i-2", "i-3"]);
}
