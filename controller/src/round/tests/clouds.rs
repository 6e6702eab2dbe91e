//! Clouds that are away, that lie, and that do not let go.

use std::collections::BTreeSet;

use super::*;

#[tokio::test]
async fn a_cloud_that_is_away_is_asked_ever_more_rarely_and_gives_one_machine_when_it_is_back() {
    let mut farm = Farm::start(&pool("x86", "max: 12, idle: 1", "a")).await;
    farm.cloud.set_away(Some(unreachable()));
    farm.settle().await;
    farm.pass(300).await;
    assert_eq!(farm.launches, []);
    assert_eq!(
        farm.states().await,
        [],
        "nothing is planned that nobody can launch"
    );
    let calls = farm.cloud.calls();
    assert!((10..60).contains(&calls), "one question now and then: {calls}");
    let since = NOW.to_the_second();
    assert_eq!(
        farm.troubles().await,
        [format!(
            "cloud fake gives no machines since {since}: the cloud cannot be reached: connection refused"
        )]
    );
    farm.cloud.set_away(None);
    farm.until_ready(1).await;
    assert_eq!(farm.cloud.instances().len(), 1);
    assert_eq!(farm.troubles().await, [""; 0]);
}

#[tokio::test]
async fn a_launch_that_could_not_be_asked_is_asked_again_and_is_no_failure_of_the_pool() {
    let mut farm = Farm::start(&pool("x86", "max: 12, idle: 3", "a")).await;
    for _ in 0..3 {
        farm.cloud.fail_next_launch(LaunchFailure::Before(unreachable()));
    }
    farm.until_ready(3).await;
    assert_eq!(farm.cloud.instances().len(), 3);
    assert_eq!(farm.launches.len(), 6);
    assert_eq!(farm.troubles().await, [""; 0]);
}

#[tokio::test]
async fn a_cloud_that_refuses_to_say_what_runs_there_is_asked_for_nothing_more() {
    let mut farm = Farm::start(&pool("x86", "max: 12, idle: 1", "a")).await;
    farm.until_ready(1).await;
    farm.cloud.set_away(Some(refused("AuthFailure")));
    farm.pass(60).await;
    assert_eq!(farm.states().await, [BuilderState::Ready], "what is there stays");
    let told = farm.troubles().await;
    assert_eq!(told.len(), 1);
    assert!(
        told[0].ends_with("the cloud refuses: AuthFailure: sorry"),
        "{told:?}"
    );
}

#[tokio::test]
async fn a_list_that_leaves_a_machine_out_ends_nothing() {
    let mut farm = Farm::start(&pool("x86", "max: 2, idle: 1", "a")).await;
    farm.until_ready(1).await;
    let id = farm.cloud.instances()[0].id.clone();
    farm.cloud.leave_out(&id);
    farm.pass(300).await;
    assert_eq!(farm.states().await, [BuilderState::Ready]);
    assert_eq!(farm.cloud.terminated(), [""; 0]);
}

#[tokio::test]
async fn absences_that_were_seen_before_the_lease_was_lost_prove_nothing() {
    let mut farm = Farm::start(&pool("x86", "max: 4, idle: 2", "a")).await;
    farm.until_ready(2).await;
    let builders = farm.builders().await;
    let ready = builders[0].id;
    let id = builders[0].instance_id.clone().unwrap();
    let is_there = async |farm: &Farm| {
        let builders = farm.builders().await;
        builders
            .iter()
            .any(|it| it.id == ready && it.state == BuilderState::Ready)
    };
    farm.cloud.hide(&id, true);
    // Two or three looks, thirty seconds apart.
    farm.pass(59).await;
    farm.controller.forget_everything().await;
    farm.pass(31).await;
    assert!(
        is_there(&farm).await,
        "one or two looks of a new leader are no proof"
    );
    farm.pass(90).await;
    assert!(!is_there(&farm).await, "three looks in more than a minute are");
}

#[tokio::test]
async fn a_cloud_that_shows_none_of_its_machines_gets_no_others_until_it_does_or_is_believed() {
    let mut farm = Farm::start(&pool("x86", "max: 6, idle: 2", "a")).await;
    farm.until_ready(2).await;
    let hide = |farm: &Farm, is_hidden| {
        for instance in farm.cloud.instances() {
            farm.cloud.hide(&instance.id, is_hidden);
        }
    };
    hide(&farm, true);
    farm.pass(250).await;
    assert_eq!(farm.states().await, [BuilderState::Ready; 2]);
    let told = farm.troubles().await;
    assert!(
        told.len() == 1 && told[0].ends_with(": it shows 0 of the 2 machines that it should have"),
        "{told:?}"
    );
    hide(&farm, false);
    farm.pass(60).await;
    assert_eq!(farm.troubles().await, [""; 0]);
    assert_eq!((farm.launches.len(), farm.cloud.terminated().len()), (2, 0));

    // What stays away is gone.
    hide(&farm, true);
    let began = farm.seconds();
    farm.until("two others are launched", |_, cloud| cloud.instances().len() == 4)
        .await;
    assert!(farm.seconds() - began >= 300, "{} s", farm.seconds() - began);
    farm.until_ready(2).await;
    assert_eq!(farm.troubles().await, [""; 0]);
}

pub(super) fn orphan(farm: &Farm) -> Instance {
    let fleet = farm.lease.fleet.to_string();
    Instance {
        id: "i-orphan".to_owned(),
        state: InstanceState::Running,
        address: None,
        state_reason: None,
        offering: None,
        tags: [(FLEET_TAG.to_owned(), fleet)].into(),
    }
}

#[tokio::test]
async fn an_orphan_is_ended_after_its_grace_and_those_of_others_are_left_alone() {
    let mut farm = Farm::start(&pool("x86", "max: 2", "a")).await;
    let mut foreign = orphan(&farm);
    foreign.id = "i-foreign".to_owned();
    foreign.tags = [(FLEET_TAG.to_owned(), "flt_another".to_owned())].into();
    farm.cloud.add(foreign);
    farm.cloud.add(orphan(&farm));
    farm.pass(110).await;
    assert_eq!(farm.cloud.terminated(), [""; 0]);
    farm.pass(100).await;
    assert_eq!(farm.cloud.terminated(), ["i-orphan"]);
}

#[tokio::test]
async fn a_database_that_knows_none_of_the_machines_has_no_more_than_twenty_ended_in_an_hour() {
    let mut farm = Farm::start(&pool("x86", "max: 2", "a")).await;
    for number in 0..25 {
        let id = format!("i-{number:02}");
        farm.cloud.add(Instance { id, ..orphan(&farm) });
    }
    // One that the cloud refuses to end takes no other's place for long.
    farm.cloud.protect("i-00", Some(refused("OperationNotPermitted")));
    farm.pass(600).await;
    let ended = |farm: &Farm| {
        let told: BTreeSet<String> = farm.cloud.terminated().into_iter().collect();
        told.len()
    };
    assert_eq!(ended(&farm), 21, "twenty, and the one that is refused");
    let troubles = farm.troubles().await;
    assert!(
        troubles[0]
            .starts_with("4 machines have the fleet's tag and no builder, and are not ended: more than "),
        "{troubles:?}"
    );
    farm.pass(3600).await;
    assert_eq!(ended(&farm), 25);
}

#[tokio::test]
async fn an_orphan_that_cannot_be_ended_is_shown_and_asked_for_now_and_then() {
    let mut farm = Farm::start(&pool("x86", "max: 2", "a")).await;
    farm.cloud.add(orphan(&farm));
    let protected = refused("OperationNotPermitted");
    farm.cloud.protect("i-orphan", Some(protected));
    farm.pass(900).await;
    let asked = farm.cloud.terminated().len();
    assert!((2..40).contains(&asked), "{asked}");
    assert_eq!(
        farm.troubles().await,
        [
            "1 machine without a builder goes on costing, since a cloud refuses to end what it was told to: \
          i-orphan: the cloud refuses: OperationNotPermitted: sorry"
        ]
    );
    farm.cloud.protect("i-orphan", None);
    farm.pass(200).await;
    assert_eq!(farm.troubles().await, [""; 0]);
}

#[tokio::test]
async fn a_builder_whose_machine_cannot_be_ended_says_so() {
    let mut farm = Farm::start(&pool("x86", "max: 2, idle: 1", "a")).await;
    farm.machines_answer(Answers::Badly);
    let protected = refused("UnauthorizedOperation");
    farm.cloud.protect(FIRST, Some(protected));
    farm.settle().await;
    farm.run_instances();
    farm.pass(60).await;
    assert_eq!(
        farm.why_it_does_not_end().await,
        "builder.yml: task 1 failed; but i-00000000000000001 is not ended: the cloud refuses: \
         UnauthorizedOperation: sorry"
    );
    assert_eq!(farm.cloud.unprotected(), [""; 0], "nobody protected it");
}

/// The first machine of a farm.
const FIRST: &str = "i-00000000000000001";

impl Farm {
    /// The reason of the builder whose machine does not end.
    async fn why_it_does_not_end(&self) -> String {
        let builders = self.builders().await;
        let kept = builders.iter().find(|it| it.state == BuilderState::Terminating);
        kept.unwrap().reason.clone().unwrap()
    }
}

#[tokio::test]
async fn a_machine_that_somebody_protected_is_ended_once_its_protection_is_lifted() {
    let mut farm = Farm::start(&pool("x86", "max: 2, idle: 1", "a")).await;
    farm.machines_answer(Answers::Badly);
    farm.cloud.protect(FIRST, Some(refused("OperationNotPermitted")));
    farm.settle().await;
    farm.run_instances();
    farm.pass(60).await;
    assert_eq!(farm.cloud.unprotected(), [FIRST]);
    let ended = farm.cloud.instances().remove(0);
    assert_eq!(
        (ended.id.as_str(), ended.state),
        (FIRST, InstanceState::Terminated)
    );
    let all = farm.controller.context.store.builders(Some(NOW)).await.unwrap();
    let builder = all
        .iter()
        .find(|it| it.instance_id.as_deref() == Some(FIRST))
        .unwrap();
    assert_eq!(builder.state, BuilderState::Terminated);
}

#[tokio::test]
async fn protection_that_cannot_be_lifted_is_told_of_and_left_to_people() {
    let mut farm = Farm::start(&pool("x86", "max: 2, idle: 1", "a")).await;
    farm.machines_answer(Answers::Badly);
    farm.cloud.protect(FIRST, Some(refused("OperationNotPermitted")));
    farm.cloud.keep_protection(Some(refused("UnauthorizedOperation")));
    farm.settle().await;
    farm.run_instances();
    farm.pass(60).await;
    assert_eq!(
        farm.why_it_does_not_end().await,
        "builder.yml: task 1 failed; but i-00000000000000001 is not ended, though its protection from being ended was \
         to be lifted: the cloud refuses: OperationNotPermitted: sorry"
    );
    farm.pass(900).await;
    assert_eq!(farm.cloud.unprotected(), [FIRST], "once");
    assert!(
        farm.cloud.terminated().len() > 3,
        "its end is asked for all the same"
    );
}

#[tokio::test]
async fn protection_is_lifted_neither_of_machines_of_others_nor_where_clouds_know_none() {
    for is_others in [true, false] {
        let mut farm = Farm::start(&pool("x86", "max: 2, idle: 1", "a")).await;
        farm.machines_answer(Answers::Badly);
        farm.cloud.protect(FIRST, Some(refused("OperationNotPermitted")));
        farm.settle().await;
        farm.run_instances();
        if is_others {
            let mut taken = farm.cloud.instances().remove(0);
            let other = "flt_00000000000000000000000000000004".to_owned();
            taken.tags.insert(FLEET_TAG.to_owned(), other);
            farm.cloud.add(taken);
        } else {
            let mut context = Context::clone(&farm.controller.context);
            let mut fleet = FleetSpec::clone(&context.fleet);
            fleet.clouds.get_mut("fake").unwrap().profile = model::fleet::CloudProfile::Eucalyptus;
            context.fleet = Arc::new(fleet);
            farm.controller = Controller::new(context);
        }
        farm.pass(60).await;
        assert_eq!(farm.cloud.unprotected(), [""; 0], "{is_others}");
        assert!(
            farm.why_it_does_not_end()
                .await
                .contains("is not ended: the cloud refuses")
        );
    }
}

/// As in a farm that was restored from a backup: its cloud has books of its own, and they were not in it.
#[tokio::test]
async fn machines_that_the_cloud_in_this_process_does_not_have_are_replaced_at_once() {
    let mut farm = Farm::start(&pool("x86", "max: 2, idle: 2", "a")).await;
    farm.until_ready(2).await;
    let mut context = Context::clone(&farm.controller.context);
    let mut fleet = FleetSpec::clone(&context.fleet);
    let cloud = fleet.clouds.get_mut("fake").unwrap();
    cloud.credentials.source = model::fleet::CredentialsSource::Embedded;
    context.fleet = Arc::new(fleet);
    farm.controller = Controller::new(context);
    let before: Vec<_> = farm.cloud.instances().iter().map(|it| it.id.clone()).collect();
    for id in &before {
        farm.cloud.hide(id, true);
    }
    let seconds = farm.seconds();
    farm.until_ready(2).await;
    assert!(farm.seconds() - seconds < 60, "{} s", farm.seconds() - seconds);
    let there = farm.builders().await;
    assert!(
        there
            .iter()
            .all(|it| !before.contains(it.instance_id.as_ref().unwrap())),
        "{there:?}"
    );
    assert_eq!(farm.troubles().await, [""; 0]);
}
