//! How many calls this process may make to clouds: what it takes from the budget in the database, which all processes of the farm
//! share, and who waits for it. `model::calls` counts; here it is asked, and waited.
//!
//! Waiting never holds up what decides: a launch that would have to wait is not begun, and neither is an end; the next round
//! looks again when there is a call. What waits inside of a call waits a bounded time, one behind the other.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use model::{
    Timestamp,
    calls::{CallClass, KEPT_FOR},
};
use runtime::{clock::Clock, supervisor::error_chain};
use store::{CallBudget, CallNews, Store, TakenCalls};
use tracing::{debug, warn};

pub use rationed::{Spender, rationed};

mod rationed;

/// How long to wait before the database is asked anew: the fleet file may allow more by then.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// How long a launch waits whose call cannot be made because the database does not count it.
const PAUSE_WITHOUT_DATABASE: Duration = Duration::from_secs(1);

/// By cloud and class.
type Purses = BTreeMap<(String, CallClass), Arc<Purse>>;

/// What this process knows of the calls that it may make. Cheap to clone; clones know the same.
#[derive(Clone, Default)]
pub struct Calls(Arc<Mutex<Purses>>);

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Calls").field(&lock(&self.0).len()).finish()
    }
}

/// The calls of one class to one cloud.
#[derive(Debug, Default)]
struct Purse {
    /// Who asks the database, or waits for a call: one after the other.
    turn: tokio::sync::Mutex<()>,
    held: Mutex<Held>,
}

/// What a process has of the calls of one class.
#[derive(Debug, Default)]
struct Held {
    /// Calls that were taken and not made yet, until they are too old, by the clock's elapsed time.
    kept: u32,
    kept_until: Duration,
    /// Launches that were let in and have not been asked for yet.
    admitted: u32,
    /// When there may be a call again, by the clock's elapsed time, as far as that is known.
    next: Duration,
    /// When the cloud asked for fewer calls, for the last time that this process has heard of.
    slowed_at: Option<Timestamp>,
    /// What happened and is not on record yet.
    news: CallNews,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Calls {
    fn purse(&self, cloud: &str, class: CallClass) -> Arc<Purse> {
        let mut all = lock(&self.0);
        Arc::clone(all.entry((cloud.to_owned(), class)).or_default())
    }

    /// Gives up what was taken and has not been used: nobody is left who would.
    pub(crate) fn forget(&self) {
        for purse in lock(&self.0).values() {
            let mut held = lock(&purse.held);
            (held.kept, held.admitted, held.next) = (0, 0, Duration::ZERO);
        }
    }

    /// How long until a call may be made, as far as that is known here; nothing where one may be, or where nobody knows.
    pub(crate) fn wait(&self, cloud: &str, class: CallClass, elapsed: Duration) -> Duration {
        let purse = lock(&self.0).get(&(cloud.to_owned(), class)).map(Arc::clone);
        purse.map_or(Duration::ZERO, |purse| {
            lock(&purse.held).next.saturating_sub(elapsed)
        })
    }

    /// How long until the next of those waits is over on which steps wait; `None` where none of them does.
    pub(crate) fn next(&self, elapsed: Duration) -> Option<Duration> {
        let all = lock(&self.0);
        let waits = all
            .iter()
            .filter(|((_, class), _)| matches!(class, CallClass::Launch | CallClass::Terminate));
        let waits = waits.map(|(_, purse)| lock(&purse.held).next.saturating_sub(elapsed));
        waits.filter(|wait| !wait.is_zero()).min()
    }
}

/// How calls of one class are taken: from what this process holds, or from the database.
pub(crate) struct Taking<'a> {
    pub(crate) calls: &'a Calls,
    pub(crate) store: &'a Store,
    pub(crate) clock: &'a Clock,
    pub(crate) budget: CallBudget<'a>,
}

impl Taking<'_> {
    fn purse(&self) -> Arc<Purse> {
        self.calls.purse(self.budget.cloud, self.budget.class)
    }

    /// Lets a launch in that is about to be asked for: a call is taken for it. As an error: how long until there is one.
    pub(crate) async fn admit(&self) -> Result<(), Duration> {
        self.once().await?;
        let purse = self.purse();
        let mut held = lock(&purse.held);
        held.admitted = held.admitted.saturating_add(1);
        Ok(())
    }

    /// Takes one without waiting for it. As an error: how long until there is one.
    pub(crate) async fn once(&self) -> Result<(), Duration> {
        let purse = self.purse();
        let wait = self
            .calls
            .wait(self.budget.cloud, self.budget.class, self.clock.elapsed());
        if !wait.is_zero() {
            return Err(wait);
        }
        let _turn = purse.turn.lock().await;
        let wait = lock(&purse.held).next.saturating_sub(self.clock.elapsed());
        if !wait.is_zero() {
            return Err(wait);
        }
        self.take_once(&purse, 1).await
    }

    /// Takes one that was kept; whether there was one.
    pub(crate) fn take_kept(&self) -> bool {
        self.take_held(&self.purse(), 1)
    }

    /// Keeps one that was taken and could not be used, for the next who takes one.
    pub(crate) fn keep(&self) {
        let purse = self.purse();
        let mut held = lock(&purse.held);
        held.admitted = held.admitted.saturating_add(1);
    }

    /// Takes so many calls, and waits for them, but not longer than `patience`. As an error: how long until they are there.
    pub(crate) async fn take(&self, cost: u32, patience: Duration) -> Result<(), Duration> {
        let purse = self.purse();
        if self.take_held(&purse, cost) {
            return Ok(());
        }
        let end = self.clock.elapsed().saturating_add(patience);
        let Some(_turn) = self.clock.within(patience, purse.turn.lock()).await else {
            let wait = lock(&purse.held).next.saturating_sub(self.clock.elapsed());
            return Err(wait.max(PAUSE_WITHOUT_DATABASE));
        };
        loop {
            if self.take_held(&purse, cost) {
                return Ok(());
            }
            let Err(wait) = self.take_once(&purse, cost).await else {
                return Ok(());
            };
            if self.clock.elapsed().saturating_add(wait) > end {
                return Err(wait);
            }
            self.clock.sleep(wait).await;
        }
    }

    /// Whether this process holds them already.
    fn take_held(&self, purse: &Purse, cost: u32) -> bool {
        let mut held = lock(&purse.held);
        if cost == 1 && held.admitted > 0 {
            held.admitted -= 1;
            return true;
        }
        if held.kept_until <= self.clock.elapsed() {
            held.kept = 0;
        }
        let is_enough = held.kept >= cost;
        if is_enough {
            held.kept -= cost;
        }
        is_enough
    }

    /// Asks the database once, with those that this process needs soon.
    async fn take_once(&self, purse: &Purse, cost: u32) -> Result<(), Duration> {
        let ahead = match self.budget.class {
            CallClass::Read => self.budget.bucket.ahead(),
            CallClass::Launch | CallClass::Terminate | CallClass::Tag | CallClass::Change => 0,
        };
        let news = lock(&purse.held).news;
        let taken = self
            .store
            .take_calls(&self.budget, (cost, ahead), news, self.clock.now());
        let taken = taken.await;
        let now = self.clock.elapsed();
        let mut held = lock(&purse.held);
        match taken {
            Ok(TakenCalls::Granted(count)) => {
                held.news.waited = held.news.waited.saturating_sub(news.waited);
                held.news.throttled = held.news.throttled.saturating_sub(news.throttled);
                held.kept = count.saturating_sub(cost);
                held.kept_until = now.saturating_add(KEPT_FOR);
                Ok(())
            }
            Ok(TakenCalls::Wait(wait)) => {
                let wait = wait.min(LONGEST_WAIT);
                held.news.waited = held.news.waited.saturating_add(1);
                held.next = now.saturating_add(wait);
                Err(wait)
            }
            // Without the database nothing is launched anyway. An end is not put off for it, and neither is a look.
            Err(error) => {
                let (cloud, class) = (self.budget.cloud, self.budget.class);
                debug!(
                    cloud,
                    "A call of the kind {class} is not counted: {}",
                    error_chain(&error)
                );
                match class {
                    CallClass::Launch => Err(PAUSE_WITHOUT_DATABASE),
                    _ => Ok(()),
                }
            }
        }
    }

    /// Counts calls that were made beyond those that were taken.
    pub(crate) async fn charge(&self, cost: u32) {
        if cost == 0 {
            return;
        }
        let charged = self.store.charge_calls(&self.budget, cost, self.clock.now());
        if let Err(error) = charged.await {
            debug!(
                cloud = self.budget.cloud,
                "{cost} calls are not counted: {}",
                error_chain(&error)
            );
        }
    }

    /// Takes note that the cloud asked for fewer calls, in answer to one that was made at `asked_at`. What many calls at once hear
    /// is written down once.
    pub(crate) async fn slow(&self, asked_at: Timestamp) {
        let (purse, now) = (self.purse(), self.clock.now());
        let news = {
            let mut held = lock(&purse.held);
            held.news.throttled = held.news.throttled.saturating_add(1);
            (held.kept, held.next) = (0, Duration::ZERO);
            if held.slowed_at.is_some_and(|slowed| asked_at <= slowed) {
                return;
            }
            held.slowed_at = Some(now);
            std::mem::take(&mut held.news)
        };
        let (cloud, class) = (self.budget.cloud, self.budget.class);
        warn!(
            cloud,
            "Cloud {cloud} asks for fewer calls: of the kind {class} it gets half as many, and slowly more again."
        );
        let slowed = self.store.slow_calls(&self.budget, asked_at, news, now);
        if let Err(error) = slowed.await {
            warn!(cloud, "That is not on record: {}", error_chain(&error));
        }
    }
}

#[cfg(test)]
mod tests;
