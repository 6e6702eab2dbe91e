//! Controllers that lead in turn.

use store::Lease;
use tokio::task::JoinHandle;

use super::*;

/// A controller that runs, beside what the test does to its world.
struct Running {
    store: Store,
    fleet: model::FleetId,
    cloud: Arc<FakeCloud>,
    clock: ManualClock,
    stop: runtime::CancellationToken,
    task: JoinHandle<Result<(), Error>>,
    _directory: tempfile::TempDir,
}

const TTL: Duration = Duration::from_secs(60);

impl Running {
    /// One that wants one idle builder, and begins while another controller leads or not.
    async fn start(is_led: bool) -> (Self, Option<Lease>) {
        let farm = Farm::start(&pool("x86", "max: 3, idle: 1", "a")).await;
        let mut context = Context::clone(&farm.controller.context);
        let mut fleet = FleetSpec::clone(&context.fleet);
        let text = "tick: {min: 10ms, max: 20ms}\nlease: {ttl: 60s, renew: 20ms}\n";
        fleet.controller = runtime::yaml::parse(text, "controller").unwrap();
        context.fleet = Arc::new(fleet);
        let (store, fleet) = (context.store.clone(), context.fleet.fleet);
        store.release_lease(&farm.lease, NOW).await.unwrap();
        let lease = if is_led {
            store.acquire_lease(fleet, "other", TTL, NOW).await.unwrap()
        } else {
            None
        };
        let stop = runtime::CancellationToken::new();
        let task = tokio::spawn(Controller::new(context).run(stop.clone()));
        let running = Self {
            store,
            fleet,
            cloud: farm.cloud,
            clock: farm.clock,
            stop,
            task,
            _directory: farm._directory,
        };
        (running, lease)
    }

    fn now(&self) -> Timestamp {
        Clock::Manual(self.clock.clone()).now()
    }

    /// Until the cloud was asked so often; then it is asked again and again.
    async fn until_calls(&self, least: u64) {
        let work = async {
            while self.cloud.calls() < least {
                // A controller that leads looks at its clouds now and then, by this clock.
                self.clock.advance(Duration::from_secs(1));
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), work).await.unwrap();
    }

    /// Takes the lease from one who lets it go when `TTL` is over.
    async fn take_over(&self) -> Lease {
        self.clock.advance(TTL * 2);
        let taken = self
            .store
            .acquire_lease(self.fleet, "other", TTL, self.now())
            .await;
        taken.unwrap().expect("the lease is over")
    }

    /// How often the cloud is asked while some time passes by both clocks, after the last look has ended.
    async fn calls_in_a_while(&self) -> u64 {
        let mut before = self.cloud.calls();
        loop {
            tokio::time::sleep(Duration::from_millis(400)).await;
            let now = self.cloud.calls();
            if now == before {
                break;
            }
            before = now;
        }
        for _ in 0..20 {
            self.clock.advance(Duration::from_secs(1));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.cloud.calls() - before
    }

    async fn end(self) {
        self.stop.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(60), self.task).await;
        ended.unwrap().unwrap().unwrap();
        let now = Clock::Manual(self.clock.clone()).now();
        let next = self
            .store
            .acquire_lease(self.fleet, "next", TTL, now)
            .await
            .unwrap();
        assert!(next.is_some(), "who ends lets the next one lead at once");
    }
}

#[tokio::test]
async fn a_controller_asks_no_cloud_while_another_leads_and_leads_when_that_is_gone() {
    let (running, lease) = Running::start(true).await;
    assert_eq!(running.calls_in_a_while().await, 0);
    assert_eq!(running.cloud.instances(), []);
    running
        .store
        .release_lease(&lease.unwrap(), running.now())
        .await
        .unwrap();
    running.until_calls(5).await;
    assert_eq!(running.cloud.instances().len(), 1);
    running.end().await;
}

#[tokio::test]
async fn a_lease_that_is_lost_in_the_middle_ends_all_that_its_controller_does_until_it_leads_again() {
    let (running, _) = Running::start(false).await;
    running.until_calls(5).await;
    let lease = running.take_over().await;
    assert_eq!(running.calls_in_a_while().await, 0, "it acts no more");
    running.store.release_lease(&lease, running.now()).await.unwrap();
    running.until_calls(running.cloud.calls() + 5).await;
    let live = running.store.builders(None).await.unwrap();
    assert!(live.len() <= 1, "it goes on where it was: {live:?}");
    running.end().await;
}
