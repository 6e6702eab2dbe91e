//! Machines of the spot market, whose clouds say that they take them back.

use model::{AttemptState, Blame, mark::MarkKind};
use store::Outcome;

use super::{
    reuse::{Packager, good, until_assigned},
    *,
};

/// A pool of the spot market.
fn spot(size: &str) -> String {
    pool("x86", size, "a").replace("types: [a]", "types: [a], market: spot")
}

impl Farm {
    fn clouds_tell(&self, what: Option<&str>) {
        let mut told = self.machines.2.lock().unwrap_or_else(PoisonError::into_inner);
        *told = Some(what.map(str::to_owned));
    }

    /// Lets clouds tell a new machine nothing until they are asked to.
    fn clouds_are_quiet(&self) {
        *self.machines.2.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Lets rounds come and go until something is so, without time that passes.
    async fn soon(&mut self, what: &str, is_so: impl AsyncFn(&Farm) -> bool) {
        for _ in 0..1000 {
            self.settle().await;
            if is_so(self).await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("it never came: {what}: {:?}", self.builders().await);
    }

    async fn is_taken_back(&self) -> bool {
        let builders = self.builders().await;
        let mark = builders.last().and_then(|it| it.mark.as_ref());
        mark.is_some_and(|mark| mark.kind == MarkKind::TakenBack)
    }
}

#[tokio::test]
async fn an_idle_builder_that_is_taken_back_is_drained_at_once_and_replaced() {
    let mut farm = Farm::start(&spot("max: 3, idle: 1")).await;
    farm.until_ready(1).await;
    farm.soon("its machine is waited for", async |farm| {
        farm.controller.notices.under_way() == 1
    })
    .await;
    farm.clouds_tell(Some("its notice names terminate at noon"));
    let first = farm.builders().await[0].id;
    let before = farm.seconds();
    farm.soon("it is on its way out", async |farm| {
        !farm.cloud.terminated().is_empty()
    })
    .await;
    farm.clouds_are_quiet();
    assert_eq!(farm.seconds(), before, "at once");
    farm.until_ready(1).await;
    assert_ne!(farm.builders().await[0].id, first);
    let gone = farm
        .controller
        .context
        .store
        .builder(first)
        .await
        .unwrap()
        .unwrap();
    let why = gone.reason.unwrap_or_default();
    assert!(why.contains("terminated"), "{why}");
    let mark = gone.mark.unwrap();
    assert_eq!(
        mark.in_words(),
        "taken back by cloud fake: its notice names terminate at noon"
    );
    assert_eq!(farm.troubles().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_build_goes_on_until_its_machine_goes_and_loses_no_try() {
    let mut farm = Farm::start(&spot("max: 3")).await;
    let store = farm.controller.context.store.clone();
    let alice = Packager::new(&store, "alice").await;
    let build = alice.submit(&farm).await;
    for round in 0..4 {
        farm.clouds_are_quiet();
        until_assigned(&mut farm, build).await;
        let attempts = store.attempts_of(build).await.unwrap();
        let attempt = attempts.last().unwrap().clone();
        let now = Clock::Manual(farm.clock.clone()).now();
        let until = now.plus(Duration::from_secs(1000));
        let epoch = attempt.epoch.unwrap();
        store
            .accept_allocation(epoch, "worker", until, now)
            .await
            .unwrap();
        farm.clouds_tell(Some("its notice names terminate at noon"));
        farm.soon("it is known", async |farm| farm.is_taken_back().await)
            .await;
        farm.pass(30).await;
        let builder = store.builder(attempt.builder.unwrap()).await.unwrap().unwrap();
        assert_eq!(builder.state, BuilderState::Busy, "{round}");

        let lost = Outcome::Failed {
            blame: Blame::Infrastructure,
            reason: "the connection to the builder".to_owned(),
            evidence: None,
            is_suspect: false,
            result_directory: None,
        };
        store.finish_attempt(epoch, "worker", &lost, now).await.unwrap();
        let ended = store.attempt(attempt.id).await.unwrap().unwrap();
        assert_eq!((ended.state, ended.blame), (AttemptState::Lost, None), "{round}");
        let why = ended.reason.unwrap_or_default();
        assert!(why.contains("taken back by cloud fake"), "{why}");
    }
    farm.clouds_are_quiet();
    until_assigned(&mut farm, build).await;
    reuse::run(&mut farm, build, &good()).await;
    assert_eq!(
        farm.troubles().await,
        Vec::<String>::new(),
        "none of the pool's failures"
    );
}

#[tokio::test]
async fn machines_that_are_told_nothing_are_asked_once_and_those_of_the_usual_market_never() {
    for (pools, watched) in [
        (spot("max: 2, idle: 1"), 1),
        (pool("x86", "max: 2, idle: 1", "a"), 0),
    ] {
        let mut farm = Farm::start(&pools).await;
        farm.until_ready(1).await;
        farm.soon("whoever is waited for", async |farm| {
            farm.controller.notices.under_way() == watched
        })
        .await;
        farm.clouds_tell(None);
        farm.soon("nobody is waited for", async |farm| {
            farm.controller.notices.under_way() == 0
        })
        .await;
        farm.clouds_tell(Some("too late"));
        farm.pass(5).await;
        assert_eq!(farm.controller.notices.under_way(), 0);
        assert!(!farm.is_taken_back().await);
    }
}

#[tokio::test]
async fn whoever_leads_next_waits_for_notices_again() {
    let mut farm = Farm::start(&spot("max: 2, idle: 1")).await;
    farm.until_ready(1).await;
    farm.clouds_tell(None);
    farm.soon("nobody is waited for", async |farm| {
        farm.controller.notices.under_way() == 0
    })
    .await;
    farm.clouds_are_quiet();
    farm.controller.forget_everything().await;
    farm.soon("its machine is waited for", async |farm| {
        farm.controller.notices.under_way() == 1
    })
    .await;
    farm.clouds_tell(Some("its notice names stop"));
    farm.soon("it is known", async |farm| !farm.cloud.terminated().is_empty())
        .await;
}
