//! Builders that wait for work, and are asked whether they are still what they were.

use std::collections::BTreeSet;

use super::{
    reuse::{Packager, good, run, until_assigned},
    *,
};

/// How long the longest pause between two questions is, in seconds.
const LONGEST: u64 = 72;

impl Farm {
    async fn reasons(&self) -> Vec<String> {
        let all = self.controller.context.store.builders(Some(NOW)).await.unwrap();
        let events = self.controller.context.store.events(
            store::EventFilter {
                builder: all.first().map(|it| it.id),
                ..store::EventFilter::default()
            },
            u64::MAX,
        );
        events.await.unwrap().into_iter().map(|it| it.reason).collect()
    }
}

#[tokio::test]
async fn a_ready_builder_that_fails_three_looks_in_a_row_is_drained_with_the_reason_and_replaced() {
    for (answers, why) in [
        (Answers::Never, "nobody is there"),
        (Answers::WithAnotherKey, "shows the host key"),
        (Answers::Badly, "the disk is full"),
    ] {
        let mut farm = Farm::start(&pool("x86", "max: 2, idle: 1", "a")).await;
        farm.until_ready(1).await;
        let first = farm.builders().await[0].id;
        farm.machines_answer(answers);
        farm.pass(LONGEST + 1).await;
        farm.machines_answer(Answers::Well);
        farm.pass(LONGEST + 1).await;
        assert_eq!(farm.states().await, [BuilderState::Ready], "one failure is none");
        farm.machines_answer(answers);
        // Two looks fail, and the third is not long enough ago.
        farm.pass(90).await;
        assert_eq!(farm.states().await, [BuilderState::Ready], "{answers:?}");
        farm.pass(3 * LONGEST - 90).await;
        let ended: BTreeSet<String> = farm.cloud.terminated().into_iter().collect();
        assert_eq!(ended.len(), 1, "{answers:?}: {ended:?}");
        let reasons = farm.reasons().await;
        let told = |it: &String| {
            it.starts_with("it failed 3 looks in a row while it was ready: ") && it.contains(why)
        };
        assert!(reasons.iter().any(told), "{answers:?}: {reasons:#?}");
        farm.machines_answer(Answers::Well);
        farm.until_ready(1).await;
        assert_ne!(farm.builders().await[0].id, first);
    }
}

#[tokio::test]
async fn machines_that_all_fail_to_answer_for_some_minutes_are_kept_and_not_for_ever() {
    let mut farm = Farm::start(&pool("x86", "max: 3, idle: 3", "a")).await;
    farm.until_ready(3).await;
    farm.machines_answer(Answers::Never);
    farm.pass(5 * LONGEST).await;
    assert_eq!(farm.states().await, [BuilderState::Ready; 3]);
    assert!(farm.cloud.terminated().is_empty());
    farm.pass(7 * LONGEST).await;
    assert!(!farm.cloud.terminated().is_empty(), "they may be dead");
}

#[tokio::test]
async fn a_builder_that_is_to_be_used_again_goes_as_soon_as_it_was_started_again() {
    let pool = |more: &str| format!("{}{more}", pool("x86", "max: 2, idle: 1", "a"));
    for (pools, goes) in [(pool("    reuse: {scope: sandbox}\n"), true), (pool(""), false)] {
        let mut farm = Farm::start(&pools).await;
        farm.until_ready(1).await;
        let first = farm.builders().await[0].id;
        farm.machines_answer(Answers::Restarted);
        farm.pass(LONGEST + 1).await;
        let reasons = farm.reasons().await;
        let is_told = reasons
            .iter()
            .any(|it| it == "it was started again since it got ready");
        assert_eq!(is_told, goes, "{reasons:#?}");
        farm.machines_answer(Answers::Well);
        farm.until_ready(1).await;
        assert_eq!(farm.builders().await[0].id != first, goes);
    }
}

#[tokio::test]
async fn a_builder_of_any_pool_goes_as_soon_as_nothing_hides_the_metadata_service_on_it() {
    for more in ["", "    reuse: {scope: sandbox}\n"] {
        let mut farm = Farm::start(&format!("{}{more}", pool("x86", "max: 2, idle: 1", "a"))).await;
        farm.until_ready(1).await;
        let first = farm.builders().await[0].id;
        farm.machines_answer(Answers::Exposed);
        farm.pass(LONGEST + 1).await;
        let reasons = farm.reasons().await;
        let told =
            "nothing hides the metadata service on it any more: it was started again since it got ready";
        assert!(reasons.iter().any(|it| it == told), "{more}: {reasons:#?}");
        farm.machines_answer(Answers::Well);
        farm.until_ready(1).await;
        assert_ne!(farm.builders().await[0].id, first);
    }
}

#[tokio::test]
async fn a_builder_that_is_given_away_meanwhile_is_not_drained_for_what_was_seen_before() {
    let mut farm = Farm::start(&pool("x86", "max: 1, idle: 1", "a")).await;
    let alice = Packager::new(&farm.controller.context.store.clone(), "alice").await;
    farm.until_ready(1).await;
    farm.machines_answer(Answers::Never);
    farm.pass(90).await;
    let build = alice.submit(&farm).await;
    until_assigned(&mut farm, build).await;
    // The worker does not come in time, and it is as ready as it was: the count begins anew.
    farm.pass(61).await;
    let again = farm.builders().await;
    assert!(
        matches!(again[0].state, BuilderState::Ready | BuilderState::Reserved),
        "{again:?}"
    );
    run(&mut farm, build, &good()).await;
    farm.settle().await;
    let reasons = farm.reasons().await;
    assert!(
        !reasons.iter().any(|it| it.contains("looks in a row")),
        "{reasons:#?}"
    );
}

#[tokio::test]
async fn machines_are_asked_over_time_and_only_so_many_at_once() {
    let mut farm = Farm::start(&pool("x86", "max: 100, min: 100", "a")).await;
    farm.until_ready(100).await;
    let mut most = 0;
    for _ in 0..=LONGEST {
        farm.clock.advance(Duration::from_secs(1));
        farm.controller.round(&farm.lease).await.unwrap();
        most = most.max(farm.controller.lives.under_way());
        farm.wait_for_tasks().await;
    }
    assert!((1..=50).contains(&most), "{most} at once");
    // Late for all of them: no more than there are places.
    farm.clock.advance(Duration::from_secs(1000));
    farm.controller.round(&farm.lease).await.unwrap();
    assert_eq!(farm.controller.lives.under_way(), 64);
    farm.wait_for_tasks().await;
    farm.controller.round(&farm.lease).await.unwrap();
    assert_eq!(farm.controller.lives.under_way(), 36);
    farm.wait_for_tasks().await;
}
