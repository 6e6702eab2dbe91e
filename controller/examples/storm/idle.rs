//! When nobody can go on any more but by the clock: the runtime is about to park then.

use std::{
    sync::{Arc, Mutex, PoisonError},
    task::{Poll, Waker},
};

use tokio::runtime::{Builder, Runtime};

/// Waits for a runtime to have nothing to do.
#[derive(Debug, Clone, Default)]
pub(crate) struct Idle(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    waiting: Option<Waker>,
    has_come: bool,
}

impl Idle {
    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A runtime of one thread, and who knows when it has nothing to do.
    pub(crate) fn runtime() -> std::io::Result<(Runtime, Self)> {
        let idle = Self::default();
        let told = idle.clone();
        let runtime = Builder::new_current_thread()
            .enable_time()
            .on_thread_park(move || {
                let waiting = told.with(|state| {
                    let waiting = state.waiting.take();
                    state.has_come |= waiting.is_some();
                    waiting
                });
                if let Some(waker) = waiting {
                    waker.wake();
                }
            })
            .build()?;
        Ok((runtime, idle))
    }

    /// Waits until nothing goes on any more but this.
    pub(crate) async fn wait(&self) {
        std::future::poll_fn(|context| {
            self.with(|state| {
                if std::mem::take(&mut state.has_come) {
                    return Poll::Ready(());
                }
                state.waiting = Some(context.waker().clone());
                Poll::Pending
            })
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use model::Timestamp;
    use runtime::clock::{Clock, ManualClock};

    use super::*;

    #[test]
    fn it_is_idle_when_all_tasks_wait_for_the_clock_however_often_they_yield_before() {
        let (runtime, idle) = Idle::runtime().unwrap();
        let manual = ManualClock::new(Timestamp::from_micros(0));
        let clock = Clock::Manual(manual.clone());
        let done = Arc::new(Mutex::new(0));
        runtime.block_on(async {
            for turns in [1, 500] {
                let (clock, done) = (clock.clone(), Arc::clone(&done));
                tokio::spawn(async move {
                    for _ in 0..turns {
                        tokio::task::yield_now().await;
                    }
                    *done.lock().unwrap() += 1;
                    clock.sleep(Duration::from_secs(1)).await;
                    *done.lock().unwrap() += 1;
                });
            }
            for expected in [2, 4] {
                idle.wait().await;
                assert_eq!(*done.lock().unwrap(), expected);
                manual.advance(Duration::from_secs(1));
            }
        });
    }
}
