//! Reading consoles: how often each cloud is asked for one, however many machines boot, or end, at once.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use cloud::{Cloud, Error};
use runtime::clock::Clock;

/// How often a cloud is asked at most. Amazon fills a bucket of such calls with 20 a second, of which others need some.
const EVERY: Duration = Duration::from_millis(200);
/// How long a cloud is left alone that asks for fewer calls.
const AFTER_THROTTLING: Duration = Duration::from_secs(5);

/// When each cloud may be asked for the next console, by its name and the clock's elapsed time.
#[derive(Debug)]
pub(crate) struct Consoles {
    clock: Clock,
    next: Mutex<BTreeMap<String, Duration>>,
}

impl Consoles {
    /// Nobody was asked yet.
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            clock,
            next: Mutex::default(),
        }
    }

    /// What an instance wrote on its console, as its cloud tells it within `limit`. `None`: there is no turn for it in that time.
    pub(crate) async fn read(
        &self,
        (name, cloud): (&str, &dyn Cloud),
        instance_id: &str,
        limit: Duration,
    ) -> Option<Result<String, Error>> {
        let pause = self.turn(name, limit)?;
        let asking = async {
            if !pause.is_zero() {
                self.clock.sleep(pause).await;
            }
            cloud.console_output(instance_id).await
        };
        let silence = || Error::Unclear {
            what: "it did not answer in time".to_owned(),
        };
        let answer = self.clock.within(limit, asking).await;
        let answer = answer.unwrap_or_else(|| Err(silence()));
        if matches!(answer, Err(Error::Throttled { .. })) {
            self.leave_alone(name);
        }
        Some(answer)
    }

    /// Takes the next turn at a cloud; how long it is until then. Nobody takes one that comes later than `limit`.
    fn turn(&self, name: &str, limit: Duration) -> Option<Duration> {
        let now = self.clock.elapsed();
        let mut all = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let next = all.entry(name.to_owned()).or_default();
        let at = now.max(*next);
        let pause = at.saturating_sub(now);
        if pause > limit {
            return None;
        }
        *next = at.saturating_add(EVERY);
        Some(pause)
    }

    fn leave_alone(&self, name: &str) {
        let until = self.clock.elapsed().saturating_add(AFTER_THROTTLING);
        let mut all = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let next = all.entry(name.to_owned()).or_default();
        *next = until.max(*next);
    }
}

#[cfg(test)]
mod tests {
    use cloud::FakeCloud;
    use runtime::clock::ManualClock;

    use super::*;
    use crate::testing::NOW;

    const SECOND: Duration = Duration::from_secs(1);

    fn consoles() -> (Consoles, ManualClock) {
        let clock = ManualClock::new(NOW);
        (Consoles::new(Clock::Manual(clock.clone())), clock)
    }

    #[test]
    fn each_cloud_is_asked_five_times_a_second_and_nobody_queues_for_longer_than_it_may() {
        let (consoles, clock) = consoles();
        let pauses: Vec<_> = (0..7).map(|_| consoles.turn("aws", SECOND)).collect();
        let of = |tenths: u64| Some(Duration::from_millis(tenths * 100));
        assert_eq!(pauses, [of(0), of(2), of(4), of(6), of(8), of(10), None]);
        assert_eq!(consoles.turn("lab", SECOND), of(0), "another cloud");
        clock.advance(Duration::from_millis(300));
        assert_eq!(
            consoles.turn("aws", SECOND),
            of(9),
            "the one that went took no turn"
        );
        clock.advance(SECOND * 10);
        assert_eq!(
            consoles.turn("aws", SECOND),
            of(0),
            "what nobody used is not saved up"
        );
    }

    #[tokio::test]
    async fn a_cloud_that_asks_for_fewer_calls_is_left_alone_for_a_while() {
        let (consoles, clock) = consoles();
        let cloud = FakeCloud::default();
        let read = async || consoles.read(("aws", &cloud), "i-1", SECOND).await;
        let throttled = Error::Throttled {
            code: "RequestLimitExceeded".to_owned(),
        };
        cloud.show_console("i-1", Err(throttled.clone()));
        assert_eq!(read().await, Some(Err(throttled)));
        cloud.show_console("i-1", Ok("login:".to_owned()));
        clock.advance(SECOND * 3);
        assert_eq!(read().await, None);
        clock.advance(SECOND * 2);
        assert_eq!(read().await, Some(Ok("login:".to_owned())));
        assert_eq!(cloud.read_consoles(), ["i-1", "i-1"]);
    }

    #[tokio::test]
    async fn a_cloud_that_says_nothing_is_not_waited_for_any_longer() {
        let (consoles, clock) = consoles();
        let cloud = FakeCloud::default();
        cloud.silence_console("i-1");
        let reading = consoles.read(("aws", &cloud), "i-1", SECOND);
        let time = async {
            while clock.sleepers() == 0 {
                tokio::task::yield_now().await;
            }
            clock.advance(SECOND);
        };
        let (answer, ()) = tokio::join!(reading, time);
        let words = answer.unwrap().unwrap_err().to_string();
        assert_eq!(words, "no clear answer from the cloud: it did not answer in time");
    }
}
