//! Machines that boot badly, die, or keep others waiting.

use super::*;

#[tokio::test]
async fn a_machine_that_is_launched_is_made_a_builder() {
    let mut farm = Farm::start(&pool("x86", "max: 3, idle: 2", "a")).await;
    farm.until_ready(2).await;
    assert_eq!(farm.cloud.instances().len(), 2);
    for builder in farm.builders().await {
        let seconds = builder.entered_at.since(builder.created_at).as_secs();
        let expected =
            format!("made by builder.yml and checked by check.yml, {seconds} s after it was planned");
        assert_eq!(
            builder.reason,
            Some(expected),
            "what it is, not what its playbook counted"
        );
    }
    farm.pass(300).await;
    assert_eq!(
        farm.states().await,
        [BuilderState::Ready; 2],
        "nothing changes when nothing has to"
    );
    assert_eq!(farm.launches.len(), 2);
}

#[tokio::test]
async fn a_machine_with_another_host_key_is_ended_at_once() {
    let mut farm = Farm::start(&pool("x86", "max: 3, idle: 1", "a")).await;
    farm.machines_answer(Answers::WithAnotherKey);
    farm.settle().await;
    farm.run_instances();
    farm.until("it is ended", |_, cloud| !cloud.terminated().is_empty())
        .await;
    assert!(farm.seconds() < 10, "it is not waited for: {} s", farm.seconds());
    farm.machines_answer(Answers::Well);
    farm.until_ready(1).await;
}

#[tokio::test]
async fn a_machine_that_ends_by_itself_is_replaced() {
    for state in [InstanceState::Terminated, InstanceState::Stopped] {
        let mut farm = Farm::start(&pool("x86", "max: 3, idle: 1", "a")).await;
        farm.until_ready(1).await;
        let first = farm.cloud.instances()[0].id.clone();
        farm.cloud.set_state(&first, state);
        farm.until("another is launched", |_, cloud| cloud.instances().len() == 2)
            .await;
        farm.until_ready(1).await;
        let builders = farm.builders().await;
        assert_ne!(builders[0].instance_id.as_deref(), Some(first.as_str()));
    }
}

#[tokio::test]
async fn machines_that_do_not_answer_keep_no_other_from_being_launched_or_ended() {
    let many = pool("many", "max: 90, idle: 80", "a");
    let mut farm = Farm::start(&many).await;
    farm.machines_answer(Answers::Never);
    farm.settle().await;
    farm.run_instances();
    farm.clock.advance(Duration::from_secs(1));
    farm.settle().await;
    assert_eq!(farm.states().await, [BuilderState::Booting; 80]);
    // All 80 are waited for when another pool comes and wants a machine, and one of them dies.
    let mut context = Context::clone(&farm.controller.context);
    context.fleet = Arc::new(fleet(&format!("{many}{}", pool("other", "max: 3, idle: 1", "b"))));
    farm.controller.context = Arc::new(context);
    let dying = farm.cloud.instances()[0].id.clone();
    farm.cloud.set_state(&dying, InstanceState::Stopped);
    farm.clock.advance(Duration::from_secs(1));
    farm.settle().await;
    assert!(
        farm.launches.iter().any(|(_, of)| of == "b"),
        "{:?}",
        farm.launches
    );
    assert_eq!(farm.cloud.terminated(), [dying]);
    let booting = farm.states().await;
    assert!(booting.contains(&BuilderState::Booting), "{booting:?}");
}

#[tokio::test]
async fn nothing_new_is_begun_by_a_farm_that_is_to_stop() {
    let mut farm = Farm::start(&pool("x86", "max: 3, idle: 1", "a")).await;
    farm.until_ready(1).await;
    farm.controller.context.quiesce.cancel();
    let first = farm.cloud.instances()[0].id.clone();
    farm.cloud.set_state(&first, InstanceState::Stopped);
    farm.until("what died is cleared away", |states, _| states.is_empty())
        .await;
    farm.pass(30).await;
    assert_eq!(farm.launches.len(), 1, "and is not replaced");
}

#[tokio::test]
async fn a_fault_of_this_program_at_one_machine_keeps_no_other_from_its_work() {
    let mut farm = Farm::start(&pool("x86", "max: 3, idle: 1", "a")).await;
    farm.machines_answer(Answers::WithAPanic);
    farm.settle().await;
    farm.run_instances();
    farm.clock.advance(Duration::from_secs(1));
    farm.settle().await;
    assert_eq!(
        farm.states().await,
        [BuilderState::Booting],
        "it is tried again until its time is over"
    );
    farm.machines_answer(Answers::Well);
    farm.until_ready(1).await;
    assert_eq!(farm.cloud.instances().len(), 1);
}

#[tokio::test]
async fn a_machine_that_does_not_end_is_asked_ever_more_rarely_and_told_of_after_a_quarter_of_an_hour() {
    let mut farm = Farm::start(&pool("x86", "max: 3, idle: 1", "a")).await;
    farm.until_ready(1).await;
    let id = farm.cloud.instances()[0].id.clone();
    // Nobody wants it any more, and its cloud only says that it will end it.
    let mut context = Context::clone(&farm.controller.context);
    context.fleet = Arc::new(fleet(&pool("another", "max: 3", "a")));
    farm.controller.context = Arc::new(context);
    let mut reasons = Vec::new();
    for _ in 0..40 {
        farm.settle().await;
        farm.cloud.set_state(&id, InstanceState::ShuttingDown);
        reasons.push(farm.builders().await[0].reason.clone().unwrap_or_default());
        farm.clock.advance(Duration::from_secs(30));
    }
    let alarm = format!("the cloud has not ended {id} since it was told to");
    let quiet = reasons
        .iter()
        .take_while(|reason| !reason.contains(&alarm))
        .count();
    assert!((30..=40).contains(&quiet), "{quiet}: {reasons:?}");
    assert!(reasons.last().unwrap().contains(&alarm), "{reasons:?}");
    let asked = farm.cloud.terminated().len();
    assert!((6..=20).contains(&asked), "{asked}");
    farm.cloud.set_state(&id, InstanceState::Terminated);
    farm.until("it is over", |states, _| states.is_empty()).await;
}
