//! Where a program of the simulation can be held: before and after all that it asks of its database, of clouds and of machines. One
//! that is paused waits there until it goes on, and does then what it was about to do; one that is killed never goes on.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};

use runtime::clock::Clock;
use sim::Fault;
use store::testing::{Fate, Seam};
use tokio::sync::Notify;

use crate::outside::{All, Outside};

/// One of so many operations takes a while, of so many milliseconds at most: workers and machines go on meanwhile.
const SLOW_ONE: u64 = 40;
const SLOW_FOR: u64 = 4000;
/// How many others at most get their turn while one passes.
const MOST_TURNS: u64 = 3;

/// The gate of one life of a program.
#[derive(Debug)]
pub(crate) struct Gate {
    outside: Arc<Outside>,
    /// The program's.
    clock: Clock,
    /// The number of this life, counted over all programs from 1.
    life: u64,
    state: Mutex<State>,
    opened: Notify,
}

#[derive(Debug)]
struct State {
    is_open: bool,
    /// Whether it never opens again.
    is_killed: bool,
    /// After how many more it closes.
    closes_after: Option<u64>,
}

impl Gate {
    pub(crate) fn new(outside: &Arc<Outside>, clock: Clock) -> Arc<Self> {
        let state = State {
            is_open: true,
            is_killed: false,
            closes_after: None,
        };
        Arc::new(Self {
            outside: Arc::clone(outside),
            clock,
            life: outside.with(All::next_life),
            state: Mutex::new(state),
            opened: Notify::new(),
        })
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The number of its program's life.
    pub(crate) const fn life(&self) -> u64 {
        self.life
    }

    /// Closes it for ever.
    pub(crate) fn kill(&self) {
        self.with(|state| (state.is_open, state.is_killed) = (false, true));
    }

    pub(crate) fn is_killed(&self) -> bool {
        self.with(|state| state.is_killed)
    }

    /// Has it close before the one that comes after so many others.
    pub(crate) fn close_after(&self, others: u64) {
        self.with(|state| state.closes_after = Some(others));
    }

    pub(crate) fn open(&self) {
        self.with(|state| {
            (state.is_open, state.closes_after) = (!state.is_killed, None);
        });
        self.opened.notify_waiters();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.with(|state| !state.is_open)
    }

    /// Whether one may go on.
    fn lets_through(&self) -> bool {
        self.with(|state| {
            match state.closes_after {
                Some(0) => state.is_open = false,
                Some(others) => state.closes_after = Some(others - 1),
                None => {}
            }
            state.is_open
        })
    }

    /// Waits until the program may go on. Others often get their turn first, so that all orders of things are met.
    pub(crate) async fn passed(&self) {
        let takes = self.outside.with(|all| {
            let is_slow = !all.luck.is_calm() && all.luck.once_in(SLOW_ONE);
            is_slow.then(|| all.luck.millis(1, SLOW_FOR))
        });
        if let Some(takes) = takes {
            self.clock.sleep(takes).await;
        }
        loop {
            let opened = self.opened.notified();
            if self.lets_through() {
                break;
            }
            opened.await;
        }
        for _ in 0..self.outside.with(|all| all.luck.below(MOST_TURNS)) {
            tokio::task::yield_now().await;
        }
    }
}

impl Seam for Gate {
    fn pass(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.passed())
    }

    fn fate(&self) -> Fate {
        self.outside.with(|all| {
            all.operations = all.operations.wrapping_add(1);
            if all.luck.strikes(Fault::DatabaseAway) {
                all.tell(|| "the database fails".to_owned());
                Fate::NotDone
            } else if all.luck.strikes(Fault::CommitUnknown) {
                all.tell(|| "the database does it, and seems to fail".to_owned());
                Fate::DoneUnheard
            } else {
                Fate::Works
            }
        })
    }
}

/// For those who are no program of the farm: nothing holds them, and nothing fails.
pub(crate) struct Open;

impl Seam for Open {
    fn pass(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::ready(()))
    }

    fn fate(&self) -> Fate {
        Fate::Works
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_gate_closes_before_the_one_that_comes_after_so_many_and_opens_again() {
        let outside = Outside::new(3, None, false);
        // Nobody moves the clock: nothing is to be slow.
        outside.with(|all| all.luck.calm_down());
        let gate = Gate::new(&outside, Clock::System);
        gate.close_after(2);
        gate.passed().await;
        gate.passed().await;
        assert!(!gate.is_closed());
        let third = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { gate.passed().await }
        });
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        assert!(gate.is_closed() && !third.is_finished());
        gate.open();
        third.await.unwrap();
        gate.passed().await;
        assert!(!gate.is_closed());
        gate.kill();
        gate.open();
        assert!(gate.is_closed() && gate.is_killed());
        let next = Gate::new(&outside, Clock::System);
        assert_eq!((gate.life(), next.life()), (1, 2));
    }
}
