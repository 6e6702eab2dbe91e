//! A machine on which an attempt runs is not provisioned, whoever thinks that it has to be.

use tokio::sync::Semaphore;

use super::{
    reuse::{Packager, until_assigned},
    *,
};
use crate::{
    consoles::Consoles,
    image::Images,
    step::{Turn, next, prepare::place, step},
};

impl Farm {
    /// The playbooks that were played so far.
    pub(super) fn played(&self) -> Vec<String> {
        let played = self.machines.1.lock().unwrap_or_else(PoisonError::into_inner);
        played.clone()
    }

    /// What a step is given, with so many places for those that are worked on.
    pub(super) fn turn(&self, places: usize) -> Turn {
        let clock = Clock::Manual(self.clock.clone());
        Turn {
            is_first: true,
            cloud_answers: true,
            playing: Arc::new(Semaphore::new(places)),
            images: Arc::new(Images::new(clock.clone())),
            doubts: Arc::default(),
            consoles: Arc::new(Consoles::new(clock)),
        }
    }

    /// A step of a controller that looked at this row, under this lease.
    pub(super) async fn step_of(&self, lease: &Lease, row: Builder) -> Result<Duration, Error> {
        let (context, turn) = (&self.controller.context, self.turn(1));
        let next = next(context, &row, &BTreeMap::new(), &[]);
        step(context, lease, (row, next), &turn).await
    }

    /// How many builders of the pool were given up in a row.
    pub(super) async fn failures(&self) -> u32 {
        let context = &self.controller.context;
        let now = Clock::Manual(self.clock.clone()).now();
        let view = context
            .store
            .fleet_snapshot(context.fleet.fleet, now)
            .await
            .unwrap();
        let history = view.histories.get(&"x86".parse().unwrap());
        history.map_or(0, |history| history.failures)
    }
}

#[tokio::test]
async fn a_builder_is_provisioned_before_it_is_checked_and_again_where_it_was_left_in_between() {
    let mut farm = Farm::start(&pool("x86", "max: 1, idle: 1", "a")).await;
    farm.until_ready(1).await;
    assert_eq!(farm.played(), ["builder.yml", "check.yml"]);
    let row = farm.builders().await.remove(0);
    let left = Builder {
        state: BuilderState::Checking,
        ..row
    };
    // Its row has moved on: what is played brings nothing about.
    let stopped = farm.step_of(&farm.lease, left).await;
    assert!(
        matches!(stopped, Err(Error::Store(store::Error::Conflict { .. }))),
        "{stopped:?}"
    );
    assert_eq!(
        farm.played(),
        ["builder.yml", "check.yml", "builder.yml", "check.yml"]
    );
}

#[tokio::test]
async fn a_controller_that_was_paused_plays_nothing_on_a_machine_that_another_has_handed_out_since() {
    let mut farm = Farm::start(&pool("x86", "max: 2", "a")).await;
    let store = farm.controller.context.store.clone();
    let build = Packager::new(&store, "alice").await.submit(&farm).await;
    until_assigned(&mut farm, build).await;
    let now = Clock::Manual(farm.clock.clone()).now();
    let attempt = store.attempts_of(build).await.unwrap().remove(0);
    let until = now.plus(Duration::from_secs(90));
    let taken = store.accept_allocation(attempt.epoch.unwrap(), "worker", until, now);
    taken.await.unwrap();
    let busy = farm.builders().await.remove(0);
    assert_eq!(busy.state, BuilderState::Busy);
    farm.machines_answer(Answers::Busily);
    let played = farm.played();
    // It goes on from the row that it looked at before its pause: while it still has the lease, and when it has lost it.
    let lost = farm.lease;
    for is_lost in [false, true] {
        if is_lost {
            let later = now.plus(Duration::from_secs(2_000_000));
            let other = store.acquire_lease(lost.fleet, "other", Duration::from_secs(60), later);
            other.await.unwrap().expect("the first one is over");
        }
        for (state, before) in [(BuilderState::Provisioning, 4), (BuilderState::Checking, 3)] {
            let seen = Builder {
                state,
                version: busy.version - before,
                ..busy.clone()
            };
            let stopped = farm.step_of(&lost, seen).await;
            let is_refused = match &stopped {
                Err(Error::Store(store::Error::LeaseLost { .. })) => is_lost,
                Err(Error::Store(store::Error::Conflict { .. })) => !is_lost,
                _ => false,
            };
            assert!(is_refused, "{state}: {stopped:?}");
        }
    }
    assert_eq!(farm.played(), played, "nothing of the machine is changed");
    assert_eq!(farm.builders().await, [busy]);
}

#[tokio::test]
async fn a_machine_on_which_something_runs_that_nobody_knows_goes_and_is_no_failure_of_its_pool() {
    let mut farm = Farm::start(&pool("x86", "max: 1, idle: 1", "a")).await;
    farm.machines_answer(Answers::Busily);
    farm.until("it goes", |_, cloud| {
        for instance in cloud.instances() {
            if instance.state == InstanceState::Pending {
                cloud.set_state(&instance.id, InstanceState::Running);
            }
        }
        !cloud.terminated().is_empty()
    })
    .await;
    assert_eq!(farm.played(), [""; 0]);
    let words = "it is not provisioned while a build runs there: attempt 7 is running on this builder";
    let reasons = farm.all_reasons().await;
    assert!(reasons.iter().any(|it| it == words), "{reasons:?}");
    assert_eq!(farm.failures().await, 0);
    // One that fails by itself counts.
    farm.machines_answer(Answers::Badly);
    for _ in 0..60 {
        farm.run_instances();
        farm.pass(1).await;
        if farm.failures().await > 0 {
            return;
        }
    }
    panic!("no failure in a minute: {:?}", farm.builders().await);
}

#[tokio::test]
async fn a_machine_that_waits_for_its_turn_is_not_ended_for_that() {
    let mut farm = Farm::start(&pool("x86", "max: 1, idle: 1", "a")).await;
    farm.until_ready(1).await;
    let ready = farm.builders().await.remove(0);
    let now = Clock::Manual(farm.clock.clone()).now();
    let turn = farm.turn(0);
    // Its row says when its time is over; an hour later it waits still, and nobody has ended it.
    let left = Duration::from_secs(100);
    let row = Builder {
        deadline: Some(now.plus(left)),
        ..ready.clone()
    };
    let (context, lease) = (Arc::clone(&farm.controller.context), farm.lease);
    let playing = Arc::clone(&turn.playing);
    let waiting = tokio::spawn(async move { place(&context, &lease, row, &turn).await });
    // It has looked at the clock before that moves on.
    tokio::task::yield_now().await;
    for _ in 0..360 {
        farm.clock.advance(Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    let now = Clock::Manual(farm.clock.clone()).now();
    let end = farm.builders().await.remove(0).deadline.unwrap();
    assert!(end > now, "{end:?}");
    playing.add_permits(1);
    let (builder, _place) = waiting.await.unwrap().unwrap();
    assert_eq!(builder.deadline, Some(now.plus(left)), "all that it had is left");
    assert_eq!(builder, farm.builders().await.remove(0));
    assert!(builder.version > ready.version);
}

#[tokio::test]
async fn a_build_is_not_lost_because_nobody_led_while_its_worker_could_not_tell_that_it_lives() {
    let mut farm = Farm::start(&pool("x86", "max: 2", "a")).await;
    let store = farm.controller.context.store.clone();
    let build = Packager::new(&store, "alice").await.submit(&farm).await;
    until_assigned(&mut farm, build).await;
    let now = Clock::Manual(farm.clock.clone()).now();
    let attempt = store.attempts_of(build).await.unwrap().remove(0);
    let until = now.plus(Duration::from_secs(90));
    let taken = store.accept_allocation(attempt.epoch.unwrap(), "worker", until, now);
    taken.await.unwrap();
    // The database is away for ten minutes, and with it the lease and the worker's signs of life.
    farm.clock.advance(Duration::from_secs(600));
    farm.controller.forget_everything().await;
    farm.pass(25).await;
    assert_eq!(farm.states().await, [BuilderState::Busy]);
    // The worker does not tell that it lives: it is lost after all.
    farm.pass(10).await;
    assert!(!farm.states().await.contains(&BuilderState::Busy));
}
