//! A controller that dies at one await after the other: counted, not timed, so that each is met on any machine.

use std::{pin::pin, task::Poll};

use super::*;
use crate::step::{next, step};

/// What it answers; `None` where it was dropped before, when that which it waits for at this await had come: a program that is killed after
/// the database or the cloud did what it was asked for, and before it knows.
pub(super) async fn killed_at<T>(await_point: usize, work: impl Future<Output = T>) -> Option<T> {
    let (mut work, mut polls) = (pin!(work), 0);
    std::future::poll_fn(|context| {
        if polls == await_point {
            return Poll::Ready(None);
        }
        polls += 1;
        work.as_mut().poll(context).map(Some)
    })
    .await
}

/// Plans what is due, by a program that is killed at an await of writing it down.
async fn plan_until(farm: &mut Farm, await_point: usize) {
    let context = Arc::clone(&farm.controller.context);
    let view = farm.controller.view().await.unwrap();
    farm.controller.record_pools(&farm.lease, &view).await.unwrap();
    let plan = model::plan(&crate::snapshot(&context, &view));
    let commit = farm.controller.commit(&farm.lease, &view, &plan);
    if let Some(done) = killed_at(await_point, commit).await {
        done.unwrap();
    }
}

/// Takes the next step of each of these builders: the program of the first dies at the first await, that of the second at the second,
/// and so on. How many died, and how many lived through all of it: how often a step is polled differs a little from one to the next, as
/// the database is busy.
async fn step_and_die(farm: &Farm, builders: Vec<Builder>) -> (usize, usize) {
    let context = &farm.controller.context;
    let turn = farm.turn(1);
    let (mut deaths, mut lives) = (0, 0);
    for (index, builder) in builders.into_iter().enumerate() {
        let next = next(context, &builder, &BTreeMap::new(), &[]);
        match killed_at(index + 1, step(context, &farm.lease, (builder, next), &turn)).await {
            Some(done) => {
                done.unwrap();
                lives += 1;
            }
            None => deaths += 1,
        }
    }
    (deaths, lives)
}

/// The builders for which a cloud is to be asked.
async fn to_be_asked_for(farm: &Farm) -> Vec<Builder> {
    let asks = |it: &Builder| model::step::work(it.state) == Some(model::step::Work::Call);
    farm.builders().await.into_iter().filter(asks).collect()
}

/// One in ten machines of a large launch was nobody's: they were made, and not written down.
#[tokio::test]
async fn story_1_each_machine_of_a_large_launch_has_a_builder_at_whichever_await_the_controller_dies() {
    const MANY: usize = 50;
    let mut farm = Farm::start(&pool("x86", &format!("max: {MANY}, idle: {MANY}"), "a")).await;
    for await_point in 1..=20 {
        plan_until(&mut farm, await_point).await;
    }
    plan_until(&mut farm, usize::MAX).await;
    assert_eq!(farm.states().await, [BuilderState::Planned; MANY]);
    // Half of the launches are answered; of the other half the answers are lost besides.
    let mut answered = to_be_asked_for(&farm).await;
    let unanswered = answered.split_off(MANY / 2);
    let (early, whole) = step_and_die(&farm, answered).await;
    for _ in 0..MANY / 2 {
        farm.cloud.fail_next_launch(LaunchFailure::After(unclear()));
    }
    let (late, also_whole) = step_and_die(&farm, unanswered).await;
    assert!(
        early >= 5 && late >= 5,
        "{early} and {late}: a step has more awaits than that"
    );
    assert!(
        whole > 3 && also_whole > 3,
        "{early} and {late} died: some came to the end"
    );
    let (made, known) = (farm.running().len(), farm.had().await.len());
    assert!(
        made >= known + MANY / 4,
        "{made} were made, {known} are written down"
    );
    // The next programs die at each await of their questions.
    for _ in 0..3 {
        farm.start_anew().await;
        farm.clock.advance(Duration::from_secs(1));
        let asked = to_be_asked_for(&farm).await;
        step_and_die(&farm, asked).await;
    }
    farm.start_anew().await;
    farm.until_ready(MANY).await;
    assert_eq!(farm.running(), farm.had().await);
    assert_eq!(farm.running().len(), MANY);
    assert_eq!(farm.cloud.instances().len(), MANY, "and none was made in vain");
}
