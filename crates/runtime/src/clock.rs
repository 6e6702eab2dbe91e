//! The one place where the farm's processes ask for the time.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    task::{Poll, Waker},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use model::Timestamp;

use reckoning::Reckoning;
pub use reckoning::{Moved, Reading};

mod reckoning;

/// By what this process goes, once it has read another clock than its machine's.
static RECKONED: Mutex<Option<Reckoning>> = Mutex::new(None);

/// The present moment: by the clock that this process goes by ([`go_by`]), else by its machine's.
#[must_use]
pub fn now() -> Timestamp {
    let reckoned = *RECKONED.lock().unwrap_or_else(PoisonError::into_inner);
    reckoned.map_or_else(of_the_machine, |reckoned| reckoned.moment(elapsed()))
}

/// Has this process go by another clock from now on, of which this is the latest reading, and no longer by its machine's: all
/// processes that read one clock have the same time, however their machines' clocks are set. It is to be read again now and then.
pub fn go_by(reading: &Reading) -> Moved {
    let mut reckoned = RECKONED.lock().unwrap_or_else(PoisonError::into_inner);
    let before = reckoned.unwrap_or_else(|| Reckoning::of(of_the_machine(), elapsed()));
    let (after, moved) = before.moved_by(reading);
    *reckoned = Some(after);
    moved
}

/// By the machine's clock. One that is set before 1970 reads as 1970.
fn of_the_machine() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
}

fn elapsed() -> Duration {
    static FIRST: OnceLock<Instant> = OnceLock::new();
    FIRST.get_or_init(Instant::now).elapsed()
}

/// A clock that a task is given, so that its tests need not wait. Cheap to clone; clones show the same time.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The clock that this process goes by: see [`now`].
    #[default]
    System,
    /// A clock that a test moves by hand.
    Manual(ManualClock),
}

impl Clock {
    /// The present moment.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => now(),
            Self::Manual(clock) => clock.shown(),
        }
    }

    /// The time since some moment in the past, the same for every clone. Nobody can set it: pauses are measured by it.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        match self {
            Self::System => elapsed(),
            Self::Manual(clock) => clock.elapsed(),
        }
    }

    /// Waits for this long.
    pub async fn sleep(&self, duration: Duration) {
        match self {
            Self::System => tokio::time::sleep(duration).await,
            Self::Manual(clock) => clock.sleep(duration).await,
        }
    }

    /// Waits for some work, but no longer than this; `None` when it was not done by then.
    pub async fn within<T>(&self, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            done = work => Some(done),
            () = self.sleep(limit) => None,
        }
    }
}

/// A clock that stands still until it is moved. Cheap to clone; clones show the same time.
#[derive(Clone, Debug)]
pub struct ManualClock {
    beginning: Timestamp,
    sleepers: Arc<Mutex<Sleepers>>,
}

/// How late it is, and who sleeps, by number.
#[derive(Debug, Default)]
struct Sleepers {
    elapsed: Duration,
    /// By how much it was set since the beginning, in microseconds.
    set_by: i64,
    until: BTreeMap<u64, (Duration, Waker)>,
    count: u64,
}

impl ManualClock {
    /// A clock that shows this moment.
    #[must_use]
    pub fn new(beginning: Timestamp) -> Self {
        Self {
            beginning,
            sleepers: Arc::default(),
        }
    }

    /// Moves the clock on. Whose time has come by that is woken in the order in which it has.
    pub fn advance(&self, duration: Duration) {
        let mut due: Vec<_> = self.with(|sleepers| {
            sleepers.elapsed = sleepers.elapsed.saturating_add(duration);
            let is_due = |(_, (until, _)): &(&u64, &(Duration, Waker))| *until <= sleepers.elapsed;
            let due = sleepers.until.iter().filter(is_due);
            due.map(|(number, (until, waker))| (*until, *number, waker.clone()))
                .collect()
        });
        due.sort_unstable_by_key(|(until, number, _)| (*until, *number));
        for (_, _, waker) in due {
            waker.wake();
        }
    }

    /// Sets what it shows by so many microseconds, back where they are negative, as clocks of hosts are set. How long anything takes is
    /// not measured by that: nobody wakes, and the time that has elapsed is the same.
    pub fn set_by(&self, micros: i64) {
        self.with(|sleepers| sleepers.set_by = sleepers.set_by.saturating_add(micros));
    }

    /// The moment that it shows.
    fn shown(&self) -> Timestamp {
        let (elapsed, set_by) = self.with(|sleepers| (sleepers.elapsed, sleepers.set_by));
        let micros = self.beginning.plus(elapsed).as_micros();
        Timestamp::from_micros(micros.saturating_add(set_by))
    }

    /// How many tasks wait for it to move. Those whose time has come are none of them, even before they run again.
    #[must_use]
    pub fn sleepers(&self) -> usize {
        self.with(|sleepers| sleepers.asleep().count())
    }

    /// How far it is to be moved until the next task wakes; `None` when none sleeps.
    #[must_use]
    pub fn next_wake(&self) -> Option<Duration> {
        self.with(|sleepers| {
            let until = sleepers.asleep().min()?;
            Some(until.saturating_sub(sleepers.elapsed))
        })
    }

    fn elapsed(&self) -> Duration {
        self.with(|sleepers| sleepers.elapsed)
    }

    fn with<T>(&self, work: impl FnOnce(&mut Sleepers) -> T) -> T {
        work(&mut self.sleepers.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn sleep(&self, duration: Duration) {
        let until = self.elapsed().saturating_add(duration);
        let mut asleep = Asleep {
            clock: self,
            number: None,
        };
        std::future::poll_fn(|context| asleep.poll(until, context.waker())).await;
    }
}

impl Sleepers {
    /// Until when those sleep whose time has not come.
    fn asleep(&self) -> impl Iterator<Item = Duration> {
        let all = self.until.values().map(|(until, _)| *until);
        all.filter(|until| *until > self.elapsed)
    }
}

/// Asleep for as long as this lives, which ends also when the task is aborted.
struct Asleep<'a> {
    clock: &'a ManualClock,
    number: Option<u64>,
}

impl Asleep<'_> {
    fn poll(&mut self, until: Duration, waker: &Waker) -> Poll<()> {
        self.clock.with(|sleepers| {
            if sleepers.elapsed >= until {
                return Poll::Ready(());
            }
            let number = *self.number.get_or_insert_with(|| {
                sleepers.count = sleepers.count.wrapping_add(1);
                sleepers.count
            });
            sleepers.until.insert(number, (until, waker.clone()));
            Poll::Pending
        })
    }
}

impl Drop for Asleep<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.clock.with(|sleepers| sleepers.until.remove(&number));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_clock_that_is_moved_by_hand_wakes_those_whose_time_has_come() {
        let manual = ManualClock::new(Timestamp::from_micros(0));
        let clock = Clock::Manual(manual.clone());
        let asleep = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep(Duration::from_secs(60)).await }
        });
        while manual.sleepers() == 0 {
            tokio::task::yield_now().await;
        }
        manual.advance(Duration::from_secs(59));
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert!(!asleep.is_finished());
        assert_eq!(manual.sleepers(), 1);
        manual.advance(Duration::from_secs(1));
        assert_eq!(
            manual.sleepers(),
            0,
            "its time has come, though it has not run yet"
        );
        asleep.await.unwrap();
        assert_eq!(clock.now(), Timestamp::from_micros(60_000_000));
        assert_eq!(manual.sleepers(), 0);
    }

    #[tokio::test]
    async fn clones_show_one_time_and_who_sleeps_for_nothing_is_not_asleep() {
        let manual = ManualClock::new(Timestamp::from_micros(5));
        let (one, other) = (Clock::Manual(manual.clone()), Clock::Manual(manual.clone()));
        assert_eq!(
            (one.now(), one.elapsed()),
            (Timestamp::from_micros(5), Duration::ZERO)
        );
        one.sleep(Duration::ZERO).await;
        manual.advance(Duration::from_micros(7));
        assert_eq!(other.now(), Timestamp::from_micros(12));
        assert_eq!(one.elapsed(), other.elapsed());
        manual.advance(Duration::MAX);
        assert_eq!(one.elapsed(), Duration::MAX, "it stops at the end of time");
    }

    #[tokio::test]
    async fn a_clock_that_is_set_shows_another_time_and_wakes_nobody() {
        let manual = ManualClock::new(Timestamp::from_micros(100));
        let clock = Clock::Manual(manual.clone());
        let asleep = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep(Duration::from_micros(50)).await }
        });
        while manual.sleepers() == 0 {
            tokio::task::yield_now().await;
        }
        for (by, expected) in [(60, 160), (-70, 90), (-1000, -910)] {
            manual.set_by(by);
            assert_eq!(clock.now(), Timestamp::from_micros(expected));
        }
        assert_eq!((clock.elapsed(), manual.sleepers()), (Duration::ZERO, 1));
        assert_eq!(manual.next_wake(), Some(Duration::from_micros(50)));
        manual.advance(Duration::from_micros(50));
        asleep.await.unwrap();
        assert_eq!(clock.now(), Timestamp::from_micros(-860));
    }

    #[tokio::test]
    async fn a_sleeper_that_is_aborted_is_counted_no_more() {
        let manual = ManualClock::new(Timestamp::from_micros(0));
        let clock = Clock::Manual(manual.clone());
        let asleep = tokio::spawn(async move { clock.sleep(Duration::from_secs(60)).await });
        while manual.sleepers() == 0 {
            tokio::task::yield_now().await;
        }
        asleep.abort();
        assert!(asleep.await.unwrap_err().is_cancelled());
        assert_eq!(manual.sleepers(), 0);
    }

    #[tokio::test]
    async fn the_next_wake_is_that_of_whoever_sleeps_least() {
        let manual = ManualClock::new(Timestamp::from_micros(0));
        let clock = Clock::Manual(manual.clone());
        assert_eq!(manual.next_wake(), None);
        let second = Duration::from_secs(1);
        for seconds in [5, 2, 9] {
            let clock = clock.clone();
            tokio::spawn(async move { clock.sleep(second * seconds).await });
        }
        while manual.sleepers() < 3 {
            tokio::task::yield_now().await;
        }
        assert_eq!(manual.next_wake(), Some(second * 2));
        manual.advance(second);
        assert_eq!(manual.next_wake(), Some(second));
        manual.advance(second);
        assert_eq!((manual.next_wake(), manual.sleepers()), (Some(second * 3), 2));
        manual.advance(second * 7);
        assert_eq!(manual.next_wake(), None);
    }

    #[tokio::test]
    async fn work_that_is_done_in_its_time_is_had_and_other_work_is_given_up() {
        let manual = ManualClock::new(Timestamp::from_micros(0));
        let clock = Clock::Manual(manual.clone());
        assert_eq!(
            clock.within(Duration::ZERO, async { 7 }).await,
            Some(7),
            "it takes no time"
        );
        let waiting = clock.within(Duration::from_secs(3), std::future::pending::<()>());
        let time_passes = async {
            for _ in 0..3 {
                assert_eq!(manual.sleepers(), 1);
                manual.advance(Duration::from_secs(1));
                tokio::task::yield_now().await;
            }
        };
        assert_eq!(tokio::join!(waiting, time_passes), (None, ()));
    }

    #[tokio::test]
    async fn the_machines_clock_goes_on_by_itself_and_is_in_this_century() {
        let clock = Clock::default();
        let (then, since) = (clock.now(), clock.elapsed());
        clock.sleep(Duration::from_millis(5)).await;
        assert!(clock.elapsed() >= since + Duration::from_millis(5));
        assert!(clock.now() >= then, "{then}");
        // 2020-01-01 and 2100-01-01: microseconds, not seconds or nanoseconds.
        assert!(
            (1_577_836_800_000_000..4_102_444_800_000_000).contains(&then.as_micros()),
            "{then}"
        );
    }
}
