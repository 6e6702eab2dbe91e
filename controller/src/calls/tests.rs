//! Calls on a clock that the test moves, to a cloud that counts them by itself.

use std::sync::atomic::{AtomicU32, Ordering};

use cloud::{Cloud, End, Error, FakeCloud, LaunchRequest};
use model::{BuilderId, FleetId, LaunchId, fleet::CloudSpec};
use runtime::clock::ManualClock;
use store::DatabaseSettings;
use uuid::Uuid;

use super::*;
use crate::testing::NOW;

mod strict;

use strict::Strict;

fn fleet() -> FleetId {
    FleetId(Uuid::from_u128(7))
}

/// One of Amazon's, of whose documented calls the fleet makes this part.
fn amazon(share: &str) -> CloudSpec {
    let share: f64 = share.parse().unwrap();
    serde_json::from_value(serde_json::json!({
        "kind": "ec2", "region": "r", "credentials": {"source": "environment"}, "api_share": share,
    }))
    .unwrap()
}

/// A database that several processes may connect to.
struct Place {
    url: String,
    _directory: tempfile::TempDir,
}

impl Place {
    fn sqlite() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self {
            url: format!("sqlite://{}/farm.db", directory.path().display()),
            _directory: directory,
        }
    }

    async fn connect(&self) -> Store {
        let settings = DatabaseSettings {
            url: self.url.clone(),
            max_connections: 2,
        };
        let store = Store::connect(&settings).await.unwrap();
        store.migrate().await.unwrap();
        store
    }
}

/// One process that calls the cloud.
struct Process {
    cloud: Arc<dyn Cloud>,
    spender: Spender,
    spec: CloudSpec,
}

impl Process {
    async fn start(place: &Place, clock: &ManualClock, share: &str, strict: &Arc<Strict>) -> Self {
        let spender = Spender {
            store: place.connect().await,
            clock: Clock::Manual(clock.clone()),
            calls: Calls::default(),
        };
        let spec = amazon(share);
        let cloud = Arc::clone(strict) as Arc<dyn Cloud>;
        Self {
            cloud: rationed(cloud, (fleet(), "aws", &spec), &spender),
            spender,
            spec,
        }
    }

    fn taking(&self, class: CallClass) -> Taking<'_> {
        Taking {
            calls: &self.spender.calls,
            store: &self.spender.store,
            clock: &self.spender.clock,
            budget: CallBudget {
                fleet: fleet(),
                cloud: "aws",
                class,
                bucket: self.spec.buckets()[&class],
            },
        }
    }

    /// One launch, when it is let in; else how long to wait.
    async fn launch(&self) -> Result<Result<(), Error>, Duration> {
        self.taking(CallClass::Launch).admit().await?;
        Ok(self.cloud.launch(&request()).await.map(|_| ()))
    }

    /// One look at the cloud, if there is a call for it at this moment.
    async fn read(&self, strict: &Strict) {
        if self.taking(CallClass::Read).take(1, Duration::ZERO).await.is_ok() {
            strict.images(fleet()).await.unwrap();
        }
    }

    async fn counts(&self) -> Vec<(String, u64, u64)> {
        let condition = self
            .spender
            .store
            .fleet_condition(Some(fleet()), NOW)
            .await
            .unwrap();
        let counts = condition.calls.iter();
        counts
            .map(|it| (it.class.to_string(), it.taken, it.throttled))
            .collect()
    }
}

fn request() -> LaunchRequest {
    static COUNT: AtomicU32 = AtomicU32::new(1);
    let number = u128::from(COUNT.fetch_add(1, Ordering::Relaxed));
    LaunchRequest {
        launch: LaunchId(Uuid::from_u128(number)),
        builder: BuilderId(Uuid::from_u128(number)),
        fleet: fleet(),
        pool: "x86".parse().unwrap(),
        image: "ami-1".to_owned(),
        offering: "a".parse().unwrap(),
        volumes: Vec::new(),
        security_groups: Vec::new(),
        user_data: String::new(),
        metadata_options: true,
        limit: Duration::from_secs(60),
    }
}

/// Everything that many processes launch in an hour, each as fast as it is let in.
async fn an_hour_of_demand(place: &Place, share: &str, processes: usize) -> (u32, u32) {
    let clock = ManualClock::new(NOW);
    let strict = Arc::new(Strict::new(&clock));
    let mut all = Vec::new();
    for _ in 0..processes {
        all.push(Process::start(place, &clock, share, &strict).await);
    }
    let elapsed = || Clock::Manual(clock.clone()).elapsed();
    while elapsed() < Duration::from_secs(3600) {
        let mut shortest: Option<Duration> = None;
        for process in &all {
            if let Err(wait) = process.launch().await {
                shortest = Some(shortest.map_or(wait, |other| other.min(wait)));
            } else {
                shortest = Some(Duration::ZERO);
            }
        }
        clock.advance(shortest.unwrap_or_default());
    }
    (
        strict.granted(CallClass::Launch),
        strict.refused(CallClass::Launch),
    )
}

/// Story 32: 0.6 launches a second where 2 were allowed.
#[tokio::test]
async fn story_32_an_hour_of_demand_uses_the_launches_that_there_are_and_is_hardly_refused() {
    for (share, all) in [("1", 7205), ("0.7", 5043)] {
        let (granted, refused) = an_hour_of_demand(&Place::sqlite(), share, 1).await;
        assert!(granted * 100 >= all * 95, "{granted} launches of {all}");
        assert!(granted <= all + 1, "{granted} launches of {all}");
        assert!(refused * 100 < granted, "{refused} of {granted} refused");
    }
}

#[tokio::test]
async fn two_processes_together_make_as_many_calls_as_one_may() {
    let place = Place::sqlite();
    let clock = ManualClock::new(NOW);
    let strict = Arc::new(Strict::new(&clock));
    let one = Process::start(&place, &clock, "1", &strict).await;
    let other = Process::start(&place, &clock, "1", &strict).await;
    // Ten minutes; both try at the same time, again and again, and read as well, which is where some is kept.
    for _ in 0..600 {
        let both = tokio::join!(one.launch(), other.launch());
        let again = tokio::join!(one.launch(), other.launch());
        for launch in [both.0, both.1, again.0, again.1].into_iter().flatten() {
            launch.unwrap();
        }
        for _ in 0..15 {
            tokio::join!(one.read(&strict), other.read(&strict));
        }
        clock.advance(Duration::from_secs(1));
    }
    assert_eq!(
        (strict.refused(CallClass::Launch), strict.refused(CallClass::Read)),
        (0, 0)
    );
    let launches = strict.granted(CallClass::Launch);
    assert!((1150..=1205).contains(&launches), "{launches}");
    assert!(strict.granted(CallClass::Read) > 10_000);
    let counted = one.counts().await;
    assert!(
        counted.contains(&("launch".to_owned(), u64::from(launches), 0)),
        "{counted:?}"
    );
}

#[tokio::test]
async fn a_process_that_is_killed_between_taking_and_calling_loses_what_it_had_taken_and_no_more() {
    let (place, clock) = (Place::sqlite(), ManualClock::new(NOW));
    let strict = Arc::new(Strict::new(&clock));
    let killed = Process::start(&place, &clock, "1", &strict).await;
    killed.taking(CallClass::Launch).admit().await.unwrap();
    killed.cloud.images(fleet()).await.unwrap();
    drop(killed);
    let next = Process::start(&place, &clock, "1", &strict).await;
    let mut launched = 0;
    while next.launch().await.is_ok() {
        launched += 1;
    }
    assert_eq!(launched, 4, "of five one is lost");
    let mut read = 0;
    let patience = Duration::ZERO;
    while next.taking(CallClass::Read).take(1, patience).await.is_ok() {
        read += 1;
    }
    assert_eq!(
        read,
        80 - 11,
        "of what is for those who keep some: the call, and ten that were kept"
    );
    clock.advance(Duration::from_secs(5));
    assert!(next.launch().await.is_ok(), "and it comes back");
}

#[tokio::test]
async fn an_end_never_waits_for_reads_and_a_read_waits_no_longer_than_it_may() {
    let (place, clock) = (Place::sqlite(), ManualClock::new(NOW));
    let strict = Arc::new(Strict::new(&clock));
    let process = Process::start(&place, &clock, "1", &strict).await;
    while process
        .taking(CallClass::Read)
        .take(1, Duration::ZERO)
        .await
        .is_ok()
    {}
    assert!(matches!(process.cloud.terminate("i-1").await, Ok(End::Asked)));
    // Fifteen seconds' worth, and a caller has ten.
    process.taking(CallClass::Read).charge(300).await;
    let error = process.cloud.images(fleet()).await.unwrap_err();
    let wait = Duration::from_millis(15_050);
    let class = CallClass::Read;
    assert_eq!(error, Error::Rationed { class, wait });
    let error = process.cloud.images_named("self", "*").await.unwrap_err();
    assert_eq!(error, Error::Rationed { class, wait });
    clock.advance(Duration::from_secs(15));
    // One waits for its turn, and gets it.
    let asked = tokio::spawn({
        let cloud = Arc::clone(&process.cloud);
        async move { cloud.images(fleet()).await }
    });
    while clock.sleepers() == 0 {
        tokio::task::yield_now().await;
    }
    clock.advance(Duration::from_millis(60));
    assert!(asked.await.unwrap().is_ok());
}

/// Story 17: one refusal failed 500 calls, which all came back together.
#[tokio::test]
async fn story_17_one_refusal_fails_one_call_and_those_behind_it_come_one_by_one() {
    let (place, clock) = (Place::sqlite(), ManualClock::new(NOW));
    let strict = Arc::new(Strict::new(&clock));
    let process = Process::start(&place, &clock, "0.7", &strict).await;
    // Another tenant uses the account up.
    strict.refuse_next(CallClass::Launch);
    let mut outcomes = Vec::new();
    let mut moments = Vec::new();
    while outcomes.len() < 50 {
        match process.launch().await {
            Ok(outcome) => {
                outcomes.push(outcome.is_ok());
                moments.push(Clock::Manual(clock.clone()).elapsed());
            }
            Err(wait) => clock.advance(wait),
        }
    }
    assert_eq!(
        outcomes.iter().filter(|is_done| !**is_done).count(),
        1,
        "one refusal fails one"
    );
    assert!(!outcomes[0], "the first");
    for two in moments[1..].windows(2) {
        let pause = two[1].saturating_sub(two[0]);
        assert!(pause >= Duration::from_millis(700), "no two at once: {moments:?}");
    }
    // Half of 1.4 a second at first.
    assert!(moments[1] >= Duration::from_millis(1400), "{moments:?}");
    assert_eq!(strict.refused(CallClass::Launch), 1);
    // Other classes are as they were.
    assert!(
        process
            .spender
            .calls
            .wait("aws", CallClass::Terminate, Duration::ZERO)
            .is_zero()
    );
    let counted = process.counts().await;
    assert!(counted.contains(&("launch".to_owned(), 50, 1)), "{counted:?}");
}

#[tokio::test]
async fn a_cloud_without_limits_is_called_as_it_is_and_nothing_is_written() {
    let (place, clock) = (Place::sqlite(), ManualClock::new(NOW));
    let mut spec = amazon("1");
    (spec.api_share, spec.endpoint) = (None, Some("http://127.0.0.1:9/".to_owned()));
    let spender = Spender {
        store: place.connect().await,
        clock: Clock::Manual(clock.clone()),
        calls: Calls::default(),
    };
    let plain = Arc::new(FakeCloud::default());
    let cloud = rationed(
        Arc::clone(&plain) as Arc<dyn Cloud>,
        (fleet(), "dev", &spec),
        &spender,
    );
    for _ in 0..60 {
        cloud.launch(&request()).await.unwrap();
    }
    assert_eq!(plain.instances().len(), 60);
    let condition = spender.store.fleet_condition(Some(fleet()), NOW).await.unwrap();
    assert_eq!(condition.calls, []);
}

/// A pool's turn among its launches, whose cloud had no call left for it.
#[tokio::test]
async fn what_was_taken_and_not_used_is_there_for_the_next() {
    let (place, clock) = (Place::sqlite(), ManualClock::new(NOW));
    let process = Process::start(&place, &clock, "0.7", &Arc::new(Strict::new(&clock))).await;
    let taking = process.taking(CallClass::Launch);
    assert!(!taking.take_kept());
    taking.keep();
    assert!(taking.take_kept());
    assert!(!taking.take_kept(), "once");
    taking.keep();
    process.spender.calls.forget();
    assert!(!taking.take_kept(), "who does not lead any more has none");
}
