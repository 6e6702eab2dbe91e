use async_trait::async_trait;
use model::{AttemptId, AttemptState, BuildId};

use super::*;
use crate::{
    fake::{FakeBuilder, verdict},
    session::{BuilderSession, Sessions, VerdictWord},
    testing::Farm,
};

fn failing() -> FakeBuilder {
    FakeBuilder::new().with(|script| {
        script.verdict = verdict(VerdictWord::Failed, Some("package"), "no");
    })
}

async fn wait_for(farm: &Farm, build: BuildId, state: AttemptState) {
    let reached = async {
        while farm.store().attempts_of(build).await.unwrap()[0].state != state {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), reached)
        .await
        .expect("the state is reached");
}

#[tokio::test]
async fn a_worker_takes_up_offers_and_after_a_restart_what_it_drove_before() {
    let builder = failing().with(|script| script.over = false);
    let mut farm = Farm::start().await;
    farm.context.sessions = Arc::new(builder.clone());
    let build = farm.submit(farm.store_source()).await;
    farm.offer(build).await;
    let run = |context: Context| {
        let stop = CancellationToken::new();
        (tokio::spawn(Worker::new(context).run(stop.clone())), stop)
    };
    let (first, stop) = run(farm.context.clone());
    builder.called("follow 0").await;
    stop.cancel();
    first.await.unwrap().unwrap();
    let epoch = farm.store().attempts_of(build).await.unwrap()[0].epoch;
    assert_eq!(
        farm.store().attempts_of(build).await.unwrap()[0].state,
        AttemptState::Running
    );

    let (second, stop) = run(farm.context.clone());
    while farm.store().attempts_of(build).await.unwrap()[0].epoch == epoch {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    builder.script().over = true;
    wait_for(&farm, build, AttemptState::Failed).await;
    stop.cancel();
    second.await.unwrap().unwrap();
    let calls = builder.calls();
    assert_eq!(
        calls.iter().filter(|call| *call == "start").count(),
        1,
        "{calls:?}"
    );
}

/// A worker whose builds wait for ever, and that was not started: the test has it look.
async fn looking(parallel: usize) -> (Farm, Worker) {
    let mut farm = Farm::start().await;
    let builder = FakeBuilder::new().with_endless_uploads();
    farm.context.sessions = Arc::new(builder);
    farm.context.parallel = parallel;
    let worker = Worker::new(farm.context.clone());
    (farm, worker)
}

/// An attempt that a worker took up, and gave its last sign of life for so many seconds ago.
async fn taken_up(farm: &Farm, worker: &str, ago: u64) -> Allocation {
    let build = farm.submit(farm.store_source()).await;
    let allocation = farm.offer(build).await;
    let now = clock::now();
    let then = now.minus(Duration::from_secs(ago));
    let accepted = farm
        .store()
        .accept_allocation(allocation.epoch, worker, now, then);
    accepted.await.unwrap();
    allocation
}

async fn look(worker: &mut Worker) -> usize {
    worker.look(&CancellationToken::new()).await.unwrap();
    worker.driven.len()
}

#[tokio::test]
async fn no_more_is_taken_up_than_there_are_places_for() {
    let (farm, mut worker) = looking(2).await;
    let mut offers = Vec::new();
    for _ in 0..3 {
        let build = farm.submit(farm.store_source()).await;
        offers.push(farm.offer(build).await);
    }
    assert_eq!(look(&mut worker).await, 2);
    assert_eq!(look(&mut worker).await, 2);
    let left = farm.store().offered_allocations(10).await.unwrap();
    assert_eq!(left.len(), 1);
    let ended = *worker.driven.first().unwrap();
    worker.ended(Ok((ended, true)));
    assert_eq!(look(&mut worker).await, 2);
    assert!(worker.driven.contains(&left[0].epoch) && !worker.driven.contains(&ended));
    assert!(farm.store().offered_allocations(10).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_a_silent_worker_drove_is_taken_over_and_what_another_goes_on_with_is_not() {
    for (ago, is_taken) in [(0, false), (25, false), (31, true), (3600, true)] {
        let (farm, mut worker) = looking(4).await;
        let allocation = taken_up(&farm, "worker-2", ago).await;
        assert_eq!(look(&mut worker).await, usize::from(is_taken), "{ago} s");
        let found = farm.store().accepted_allocations(None).await.unwrap();
        let holder = found[0].worker.as_deref();
        assert_eq!(
            holder,
            Some(if is_taken { "worker-1" } else { "worker-2" }),
            "{ago} s"
        );
        // Whoever acts under the old number is refused from then on.
        assert_eq!(found[0].epoch > allocation.epoch, is_taken, "{ago} s");
        assert_eq!(
            look(&mut worker).await,
            usize::from(is_taken),
            "it is not taken from itself"
        );
    }
}

#[tokio::test]
async fn a_worker_that_starts_anew_goes_on_with_its_own_at_once_and_looks_for_them_once() {
    let (farm, mut worker) = looking(4).await;
    let before = taken_up(&farm, "worker-1", 0).await;
    assert_eq!(look(&mut worker).await, 1);
    let epoch = *worker.driven.first().unwrap();
    assert!(epoch > before.epoch);
    // One of its name that is accepted later is driven by somebody else of that name, until that one is silent.
    taken_up(&farm, "worker-1", 0).await;
    assert_eq!(look(&mut worker).await, 1);
}

#[tokio::test]
async fn an_attempt_whose_end_could_not_be_written_down_is_left_to_the_controller() {
    let (farm, mut worker) = looking(4).await;
    let allocation = taken_up(&farm, "worker-2", 3600).await;
    worker.ended(Ok((allocation.epoch, false)));
    assert_eq!(look(&mut worker).await, 0);
    // Many of them are no reason to remember without an end.
    for number in 0..=MOST_ABANDONED {
        let epoch = Epoch(i64::try_from(number).unwrap() + 1_000_000);
        worker.ended(Ok((epoch, false)));
    }
    assert!(worker.abandoned.len() <= MOST_ABANDONED);
    assert_eq!(look(&mut worker).await, 1, "it is tried once more then");
}

/// Sessions that meet a fault of this program.
struct Panics;

#[async_trait]
impl Sessions for Panics {
    async fn open(&self, _: &store::Builder, _: AttemptId) -> Result<Box<dyn BuilderSession>, Error> {
        panic!("the test wants this panic");
    }
}

#[tokio::test]
async fn a_fault_of_this_program_costs_one_attempt_and_not_the_worker() {
    let mut farm = Farm::start().await;
    farm.context.sessions = Arc::new(Panics);
    let mut worker = Worker::new(farm.context.clone());
    let build = farm.submit(farm.store_source()).await;
    let epoch = farm.offer(build).await.epoch;
    assert_eq!(look(&mut worker).await, 1);
    let ended = worker.attempts.join_next().await.unwrap();
    assert_eq!(ended.as_ref().unwrap(), &(epoch, false));
    worker.ended(ended);
    assert!(worker.driven.is_empty() && worker.abandoned.contains(&epoch));
    assert!(worker.leases.is_empty(), "nobody gives signs of life for it");
    let other = farm.submit(farm.store_source()).await;
    farm.offer(other).await;
    assert_eq!(look(&mut worker).await, 1);
}

#[tokio::test]
async fn a_database_that_is_away_is_an_error_of_one_look() {
    let (farm, mut worker) = looking(4).await;
    farm.store().close().await.unwrap();
    assert!(worker.look(&CancellationToken::new()).await.is_err());
    assert!(
        !worker.has_resumed,
        "its own are looked for as soon as it is back"
    );
}
