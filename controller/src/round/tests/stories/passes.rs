//! Whole passes of commands that lead because no controller does: cron alone drives a farm by them.

use model::intent::{IntentState, Request};

use super::*;
use crate::round::tests::{clouds::orphan, unreachable};

impl Farm {
    /// A command begins to lead, which knows nothing of what was before.
    async fn begin_pass(&mut self) {
        self.start_anew().await;
        self.controller.only_for = Some("k".to_owned());
        let (context, now) = (&self.controller.context, Clock::Manual(self.clock.clone()).now());
        let asked = (&Request::Reconcile, "k", "cron");
        let added = context.store.add_intent(context.fleet.fleet, asked, now);
        assert!(added.await.unwrap().1);
        self.settle().await;
    }

    async fn pass_says(&self) -> (IntentState, String) {
        let context = &self.controller.context;
        let found = context.store.intent(context.fleet.fleet, "k").await;
        let intent = found.unwrap().unwrap();
        (intent.state, intent.words)
    }

    async fn pass_is(&self) -> IntentState {
        self.pass_says().await.0
    }
}

#[tokio::test]
async fn a_pass_that_reaches_no_cloud_is_refused_with_what_is_wrong() {
    let mut farm = Farm::start(&pool("x86", "max: 1, idle: 1", "a")).await;
    farm.cloud.set_away(Some(unreachable()));
    farm.begin_pass().await;
    farm.pass(1).await;
    let (state, words) = farm.pass_says().await;
    assert_eq!(state, IntentState::Refused, "{words}");
    assert!(
        words.starts_with("cloud fake gives no machines since "),
        "{words}"
    );
    farm.cloud.set_away(None);
    farm.clock.advance(Duration::from_secs(1));
    let asked = farm.ask(&Request::Reconcile).await;
    let over = farm.until_over(&asked.key).await;
    assert_eq!(over.state, IntentState::Done, "{}", over.words);
}

#[tokio::test]
async fn what_a_pass_did_in_a_cloud_is_something_that_was_due() {
    let mut farm = Farm::start(&pool("x86", "max: 1", "a")).await;
    farm.cloud.add(orphan(&farm));
    farm.pass(110).await;
    farm.clock.advance(Duration::from_secs(20));
    assert_eq!(farm.cloud.terminated(), [""; 0]);
    farm.begin_pass().await;
    farm.pass(2).await;
    assert_eq!(farm.cloud.terminated(), ["i-orphan"]);
    assert_eq!(farm.pass_is().await, IntentState::Done, "a stray was ended");
    farm.controller.only_for = None;
    let quiet = farm.ask(&Request::Reconcile).await;
    assert_eq!(quiet.state, IntentState::Nothing, "{}", quiet.words);

    let mut farm = Farm::start(&pool("x86", "max: 1, idle: 1", "a")).await;
    farm.settle().await;
    farm.run_instances();
    farm.clock.advance(Duration::from_secs(1));
    let asked = farm.ask(&Request::Reconcile).await;
    assert_eq!(asked.state, IntentState::Done, "a machine was found to run");
}

#[tokio::test]
async fn a_pass_goes_on_while_a_machine_boots_and_while_one_ends() {
    let mut farm = Farm::start(&pool("x86", "max: 1, idle: 1", "a")).await;
    farm.settle().await;
    assert_eq!(farm.states().await, [BuilderState::Pending]);
    farm.begin_pass().await;
    farm.pass(20).await;
    assert_eq!(farm.pass_is().await, IntentState::Running, "it boots");
    farm.until_ready(1).await;
    farm.pass(2).await;
    assert_eq!(farm.pass_is().await, IntentState::Done);

    let mut farm = Farm::start(&pool("x86", "max: 1, idle: 1", "a")).await;
    farm.until_ready(1).await;
    let first = farm.cloud.instances()[0].id.clone();
    farm.cloud.protect(&first, Some(refused("UnauthorizedOperation")));
    farm.cloud.set_state(&first, InstanceState::Stopped);
    farm.pass(40).await;
    assert!(farm.states().await.contains(&BuilderState::Terminating));
    farm.begin_pass().await;
    farm.pass(20).await;
    assert_eq!(farm.pass_is().await, IntentState::Running, "it does not end");
    farm.cloud.protect(&first, None);
    farm.pass(60).await;
    farm.until_ready(1).await;
    farm.pass(2).await;
    assert_eq!(farm.pass_is().await, IntentState::Done);
}

#[tokio::test]
async fn a_pass_after_an_outage_ends_no_build_before_its_worker_could_tell_that_it_lives() {
    for lives in [true, false] {
        let mut farm = Farm::start(&pool("x86", "max: 1", "a")).await;
        let build = alice(&farm).await.submit(&farm).await;
        until_assigned(&mut farm, build).await;
        farm.take_up(build, Duration::from_secs(60)).await;
        farm.settle().await;
        // Nobody led, and the database was away for the workers as well.
        farm.clock.advance(Duration::from_secs(300));
        farm.begin_pass().await;
        farm.pass(25).await;
        assert_eq!(farm.states().await, [BuilderState::Busy]);
        assert_eq!(
            farm.pass_is().await,
            IntentState::Running,
            "the worker has its time"
        );
        if lives {
            farm.heartbeat(&[build]).await;
            farm.pass(10).await;
            assert_eq!(farm.states().await, [BuilderState::Busy]);
            assert_eq!(farm.pass_is().await, IntentState::Nothing);
        } else {
            farm.pass(90).await;
            assert_ne!(farm.state_of(build).await, AttemptState::Running);
            farm.run_instances();
            farm.pass(90).await;
            assert!(farm.pass_is().await.is_final(), "{:?}", farm.pass_is().await);
        }
    }
}
