//! Launches that are refused, put off, lost, or lead to nothing.

use std::collections::BTreeSet;

use cloud::Dialect;
use model::{BuilderId, LaunchId, fleet::CloudProfile};
use store::{Change, NewBuilder, NewLaunch};
use uuid::Uuid;

use super::*;

/// The first machine of a farm.
const FIRST: &str = "i-00000000000000001";

#[tokio::test]
async fn any_refusal_leads_to_the_next_offering() {
    for code in [
        "InsufficientInstanceCapacity",
        "InsufficientFreeAddressesInSubnet",
        "VcpuLimitExceeded",
        "AWordOfAnotherCloud",
    ] {
        let mut farm = Farm::start(&pool("x86", "max: 2, idle: 1", "c7i.xlarge, t3.micro")).await;
        farm.cloud.fail_next_launch(LaunchFailure::Before(refused(code)));
        farm.until_ready(1).await;
        let types: Vec<_> = farm.launches.iter().map(|(_, of)| of.as_str()).collect();
        assert_eq!(types, ["c7i.xlarge", "t3.micro"], "{code}");
        assert_eq!(farm.troubles().await, [""; 0]);
    }
}

#[tokio::test]
async fn what_a_cloud_has_no_more_of_is_left_for_a_while_by_all_builders_and_then_tried_again() {
    let mut farm = Farm::start(&pool("x86", "max: 9, idle: 1", "a, b")).await;
    let no_room = refused("InsufficientInstanceCapacity");
    farm.cloud.fail_next_launch(LaunchFailure::Before(no_room));
    farm.until_ready(1).await;
    let want = |farm: &mut Farm, idle: u32| {
        let mut context = Context::clone(&farm.controller.context);
        let size = format!("max: 9, idle: {idle}");
        context.fleet = Arc::new(fleet(&pool("x86", &size, "a, b")));
        farm.controller.context = Arc::new(context);
    };
    want(&mut farm, 3);
    farm.until_ready(3).await;
    let types = |farm: &Farm| -> String { farm.launches.iter().map(|(_, of)| of.as_str()).collect() };
    assert_eq!(
        types(&farm),
        "abbb",
        "nobody else finds out what one has found out"
    );
    farm.pass(180).await;
    want(&mut farm, 4);
    farm.until_ready(4).await;
    assert_eq!(types(&farm), "abbba", "back to the one that is preferred");
}

#[tokio::test]
async fn a_cloud_that_asks_for_fewer_calls_is_asked_for_the_same_later() {
    let mut farm = Farm::start(&pool("x86", "max: 2, idle: 1", "a, b")).await;
    for _ in 0..4 {
        let code = "EC2ThrottledException".to_owned();
        let throttled = cloud::Error::Throttled { code };
        farm.cloud.fail_next_launch(LaunchFailure::Before(throttled));
    }
    farm.until_ready(1).await;
    assert!(
        farm.launches.iter().all(|(_, of)| of == "a"),
        "no try of another offering"
    );
    let moments: Vec<u64> = farm.launches.iter().map(|(second, _)| *second).collect();
    let pauses: Vec<u64> = moments.windows(2).map(|two| two[1] - two[0]).collect();
    assert_eq!(pauses.len(), 4, "{moments:?}");
    for (pause, shortest) in pauses.iter().zip([3, 6, 12, 24]) {
        // Up to half longer, and a look each second.
        assert!(
            (shortest..=shortest * 3 / 2 + 1).contains(pause),
            "longer pauses: {moments:?}"
        );
    }
    assert_eq!(farm.troubles().await, [""; 0]);
}

#[tokio::test]
async fn a_pool_whose_offerings_are_all_refused_is_held_back_and_names_the_refusal() {
    let mut farm = Farm::start(&pool("x86", "max: 5, idle: 1", "a, b, c, d")).await;
    for _ in 0..100 {
        let refusal = refused("VcpuLimitExceeded");
        farm.cloud.fail_next_launch(LaunchFailure::Before(refusal));
    }
    farm.settle().await;
    // Every offering once for each of three builders, though only three tries are asked for.
    let types: Vec<_> = farm.launches.iter().map(|(_, of)| of.as_str()).collect();
    assert_eq!(types, ["a", "b", "c", "d"].repeat(3));
    let told = farm.troubles().await;
    assert!(
        told[0].contains("its last 3 builders never got ready")
            && told[0].ends_with("the last one: d: the cloud refuses: VcpuLimitExceeded: sorry"),
        "{told:?}"
    );
}

#[tokio::test]
async fn a_refusal_is_said_at_once_until_there_is_a_machine() {
    let mut farm = Farm::start(&pool("x86", "max: 5, idle: 1", "a")).await;
    for _ in 0..4 {
        let refusal = refused("VcpuLimitExceeded");
        farm.cloud.fail_next_launch(LaunchFailure::Before(refusal));
    }
    let mut told = Vec::new();
    for _ in 0..12 {
        farm.settle().await;
        told.push(farm.troubles().await);
        farm.clock.advance(Duration::from_secs(1));
    }
    // Three refusals end the first builder; of the second one the same is said.
    for lines in &told[..told.len() - 1] {
        assert_eq!(lines.len(), 1, "{told:?}");
        assert!(
            lines[0].ends_with("a: the cloud refuses: VcpuLimitExceeded: sorry"),
            "{told:?}"
        );
    }
    assert!(
        told[0][0].starts_with("the cloud gave pool x86 no machine for a builder so far"),
        "{told:?}"
    );
    farm.until_ready(1).await;
    assert_eq!(farm.troubles().await, [""; 0]);
}

#[tokio::test]
async fn each_probe_of_a_pool_that_is_held_back_costs_one_machine_and_they_come_ever_more_rarely() {
    let mut farm = Farm::start(&pool("x86", "max: 5, idle: 1", "a")).await;
    farm.machines_answer(Answers::Never);
    for _ in 0..700 {
        farm.run_instances();
        farm.pass(1).await;
    }
    let moments: Vec<u64> = farm.launches.iter().map(|(second, _)| *second).collect();
    let pauses: Vec<u64> = moments.windows(2).map(|two| two[1] - two[0]).collect();
    // A machine has 20 s, of which the last is for saying why; one or two pass until it is seen to run.
    let near = |pause: u64, expected: u64| (expected..=expected + 5).contains(&pause);
    let expected = [19, 19, 49, 79, 139, 259];
    assert_eq!(pauses.len(), expected.len(), "{moments:?}");
    for (pause, expected) in pauses.into_iter().zip(expected) {
        assert!(
            near(pause, expected),
            "{pause} s instead of {expected}: {moments:?}"
        );
    }
    let told = farm.troubles().await;
    assert!(
        told[0].contains("SSH did not answer within 19 s of booting"),
        "{told:?}"
    );
}

#[tokio::test]
async fn many_that_fail_together_are_one_reason_to_pause() {
    let mut farm = Farm::start(&pool("x86", "max: 20, idle: 5", "a")).await;
    farm.machines_answer(Answers::Never);
    farm.settle().await;
    assert_eq!(farm.launches.len(), 5);
    farm.run_instances();
    // So few that the database takes them all down before one of them has waited for it too long, however busy the machine is.
    farm.until("all five are given up", |states, cloud| {
        let ended: BTreeSet<String> = cloud.terminated().into_iter().collect();
        ended.len() == 5 && !states.iter().any(|state| BuilderState::STARTING.contains(state))
    })
    .await;
    farm.machines_answer(Answers::Well);
    farm.pass(25).await;
    assert_eq!(farm.launches.len(), 5);
    farm.pass(10).await;
    assert_eq!(farm.launches.len(), 6, "one probe after half a minute");
    farm.until_ready(5).await;
}

#[tokio::test]
async fn a_launch_whose_answer_is_lost_costs_one_machine() {
    let mut farm = Farm::start(&pool("x86", "max: 12, idle: 1", "a")).await;
    farm.cloud.fail_next_launch(LaunchFailure::After(unclear()));
    farm.until_ready(1).await;
    assert_eq!(farm.cloud.instances().len(), 1);
}

#[tokio::test]
async fn where_a_token_is_weak_lists_are_asked_before_a_lost_launch_is_asked_for_again() {
    let eucalyptus = CloudProfile::Eucalyptus;
    let lost = || LaunchFailure::Before(unclear());
    // What becomes of the questions, and how many there were after 100 s and then after so many seconds more.
    for (failures, asked) in [
        // The cloud has launched it: a list shows that, and nothing more is asked for.
        (vec![LaunchFailure::After(unclear())], vec![(40, 1)]),
        // It has not: after two minutes and a list without it, it is asked for again, and as long after that.
        (vec![lost()], vec![(80, 2)]),
        (vec![lost(), lost()], vec![(60, 2), (60, 2), (100, 3)]),
    ] {
        let text = pool("x86", "max: 12, idle: 1", "a");
        let mut farm = Farm::start(&text).await;
        let mut context = Context::clone(&farm.controller.context);
        let mut fleet = FleetSpec::clone(&context.fleet);
        fleet.clouds.get_mut("fake").unwrap().profile = eucalyptus;
        context.fleet = Arc::new(fleet);
        farm.controller = Controller::new(context);
        farm.cloud
            .show_dialect(Dialect::shown_by(Some(eucalyptus), Some(eucalyptus)));
        for failure in failures {
            farm.cloud.fail_next_launch(failure);
        }
        farm.pass(100).await;
        assert_eq!(farm.cloud.asked().len(), 1);
        for (after, count) in asked {
            farm.pass(after).await;
            assert_eq!(farm.cloud.asked().len(), count);
        }
        farm.until_ready(1).await;
        assert_eq!(farm.cloud.instances().len(), 1);
    }
}

#[tokio::test]
async fn launches_that_are_never_answered_are_no_more_than_the_wanted_builders() {
    let mut farm = Farm::start(&pool("x86", "max: 12, idle: 4", "a")).await;
    for _ in 0..1000 {
        farm.cloud.fail_next_launch(LaunchFailure::After(unclear()));
    }
    // The machines themselves are not to be seen either.
    for number in 1..20 {
        farm.cloud.hide(&format!("i-{number:017x}"), true);
    }
    farm.pass(300).await;
    assert_eq!(farm.states().await, [BuilderState::Resolving; 4]);
    assert_eq!(farm.cloud.instances().len(), 4);
}

#[tokio::test]
async fn a_controller_that_starts_anew_goes_on_with_a_launch_that_another_began() {
    let mut farm = Farm::start(&pool("x86", "max: 12, idle: 1", "a")).await;
    // The first answer, and that to the same question asked again.
    for _ in 0..2 {
        farm.cloud.fail_next_launch(LaunchFailure::After(unclear()));
    }
    farm.cloud.hide("i-00000000000000001", true);
    farm.settle().await;
    assert_eq!(farm.states().await, [BuilderState::Resolving]);
    farm.cloud.hide("i-00000000000000001", false);
    farm.controller.forget_everything().await;
    farm.until_ready(1).await;
    assert_eq!(farm.cloud.instances().len(), 1);
}

/// A builder that has an instance of this id already.
pub(super) async fn with_instance(farm: &Farm, id: &str) -> Builder {
    let (store, lease) = (&farm.controller.context.store, &farm.lease);
    let new = NewBuilder {
        id: BuilderId(Uuid::now_v7()),
        pool: "x86".parse().unwrap(),
        cloud: "fake".to_owned(),
        image: "ami-1".to_owned(),
        spec_hash: String::new(),
        port: 22,
        host: None,
        reason: "a test".to_owned(),
        deadline: NOW.plus(Duration::from_secs(600)),
    };
    store.plan_builder(lease, &new, NOW).await.unwrap();
    let planned = store.builder(new.id).await.unwrap().unwrap();
    let launch = NewLaunch {
        id: LaunchId(Uuid::now_v7()),
        offering: "a".parse().unwrap(),
        params_hash: String::new(),
        host_key_public: Some(SHOWN.to_owned()),
        host_key_secret: None,
    };
    let launching = store.begin_launch(lease, &planned, &launch, new.deadline, NOW);
    let launching = launching.await.unwrap();
    let change = Change {
        instance_id: Some(id.to_owned()),
        deadline: Some(new.deadline),
        ..Change::default()
    };
    let moved = store.transition(lease, &launching, BuilderState::Pending, &change, NOW);
    moved.await.unwrap()
}

#[tokio::test]
async fn a_machine_that_another_builder_has_is_told_in_the_reason_of_whoever_was_given_it() {
    let mut farm = Farm::start(&pool("x86", "max: 2, idle: 2", "a")).await;
    // What the cloud calls its first one.
    let id = format!("i-{:017x}", 1);
    let first = with_instance(&farm, &id).await;
    farm.settle().await;
    let rows = farm.builders().await;
    let second = rows.iter().find(|it| it.id != first.id).unwrap();
    assert_eq!((rows.len(), &second.instance_id), (2, &None));
    let why = second.reason.as_deref().unwrap();
    assert!(
        why.ends_with(&format!("instance {id} is another builder's")),
        "{:?}: {why}",
        second.state
    );
    let asked = farm.cloud.asked().len();
    farm.pass(5).await;
    let more = farm.cloud.asked().len() - asked;
    assert!(
        (1..5).contains(&more),
        "asked again, and not in each round: {more}"
    );
}

#[tokio::test]
async fn a_list_that_lacks_a_machine_now_and_then_is_no_proof_that_there_is_none() {
    for comes_back in [true, false] {
        let mut farm = Farm::start(&pool("x86", "max: 1, idle: 1", "a")).await;
        farm.cloud.fail_next_launch(LaunchFailure::After(unclear()));
        for _ in 0..1000 {
            let none_is_left = refused("InsufficientInstanceCapacity");
            farm.cloud.fail_next_launch(LaunchFailure::Before(none_is_left));
        }
        farm.cloud.hide(FIRST, true);
        // Two lists without it, after ten minutes.
        farm.pass(690).await;
        assert_eq!(farm.states().await, [BuilderState::Resolving]);
        farm.cloud.hide(FIRST, !comes_back);
        if comes_back {
            farm.until_ready(1).await;
            assert_eq!(farm.cloud.instances().len(), 1);
        } else {
            farm.pass(120).await;
            let all = farm.controller.context.store.builders(Some(NOW)).await.unwrap();
            let states: Vec<_> = all.iter().map(|builder| builder.state).collect();
            assert!(states.contains(&BuilderState::Abandoned), "{states:?}");
        }
    }
}
