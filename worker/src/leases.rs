//! Signs of life for all that a worker drives: one statement for all of it, beside whatever is being done for each attempt. So
//! an upload of an hour loses no builder, and a user's wish to cancel is seen in the middle of it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use model::{Epoch, builder::Deadlines};
use runtime::{CancellationToken, clock, supervisor::error_chain};
use store::Renewal;
use tokio::{sync::watch, time::Instant};
use tracing::warn;

use crate::context::Context;

/// How long a busy builder is believed to be so without a sign of its worker.
pub(crate) const BUILDER_DEADLINE: Duration = Deadlines::USUAL.busy;

/// How often a worker looks how its allocations stand, and how often it says that it is there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) look: Duration,
    pub(crate) renew: Duration,
}

/// A worker is taken for dead after 30 seconds; a wish to cancel that another process writes down is seen after half a one.
pub(crate) const USUAL_PACE: Pace = Pace {
    look: Duration::from_millis(500),
    renew: Duration::from_secs(5),
};

/// All allocations that a worker drives.
#[derive(Debug, Default)]
pub(crate) struct Leases(Mutex<BTreeMap<Epoch, Entry>>);

#[derive(Debug)]
struct Entry {
    log_bytes: Arc<AtomicU64>,
    stands: watch::Sender<Renewal>,
}

/// One of them, for as long as this lives.
#[derive(Debug)]
pub(crate) struct Held {
    leases: Arc<Leases>,
    epoch: Epoch,
    log_bytes: Arc<AtomicU64>,
    stands: watch::Receiver<Renewal>,
}

impl Leases {
    /// Gives signs of life for an allocation from now on.
    pub(crate) fn hold(self: &Arc<Self>, epoch: Epoch, stands: Renewal) -> Held {
        let (sender, receiver) = watch::channel(stands);
        let log_bytes = Arc::<AtomicU64>::default();
        let entry = Entry {
            log_bytes: Arc::clone(&log_bytes),
            stands: sender,
        };
        self.entries(|entries| entries.insert(epoch, entry));
        Held {
            leases: Arc::clone(self),
            epoch,
            log_bytes,
            stands: receiver,
        }
    }

    fn entries<T>(&self, work: impl FnOnce(&mut BTreeMap<Epoch, Entry>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What is to be renewed, with the sizes of the logs.
    fn sizes(&self) -> BTreeMap<Epoch, i64> {
        let size = |entry: &Entry| i64::try_from(entry.log_bytes.load(Ordering::Relaxed)).unwrap_or(i64::MAX);
        self.entries(|entries| {
            entries
                .iter()
                .map(|(epoch, entry)| (*epoch, size(entry)))
                .collect()
        })
    }

    /// Whether nothing is held.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.sizes().is_empty()
    }

    fn tell(&self, answers: &BTreeMap<Epoch, Renewal>) {
        self.entries(|entries| {
            for (epoch, entry) in entries {
                if let Some(stands) = answers.get(epoch) {
                    entry.stands.send_if_modified(|known| {
                        let is_news = known != stands;
                        *known = *stands;
                        is_news
                    });
                }
            }
        });
    }
}

impl Held {
    /// How much of the attempt's log is stored.
    pub(crate) fn note_log(&self, bytes: u64) {
        self.log_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Returns when the attempt is to be ended, or is no longer this worker's.
    pub(crate) async fn ended(&self) -> Renewal {
        let mut stands = self.stands.clone();
        let found = stands.wait_for(|stands| *stands != Renewal::Held).await;
        found.map_or(Renewal::Lost, |stands| *stands)
    }

    /// Returns when the attempt is no longer this worker's.
    pub(crate) async fn lost(&self) {
        let mut stands = self.stands.clone();
        // Without a sender, nobody renews it any more.
        stands.wait_for(|stands| *stands == Renewal::Lost).await.ok();
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.leases.entries(|entries| entries.remove(&self.epoch));
    }
}

/// Gives signs of life until told to stop. A database that is away or full is no reason to end anything: builds go on, and
/// another worker takes them over only when it can say so in the database.
pub(crate) async fn run(context: Arc<Context>, leases: Arc<Leases>, pace: Pace, stop: CancellationToken) {
    let mut notifications = context.store.notifications();
    let mut renewed: Option<Instant> = None;
    while !stop.is_cancelled() {
        let sizes = leases.sizes();
        let answers = if sizes.is_empty() {
            Ok(BTreeMap::new())
        } else if renewed.is_none_or(|last| last.elapsed() >= pace.renew) {
            let now = clock::now();
            let answers = context
                .store
                .renew_allocations(&context.name, &sizes, now.plus(BUILDER_DEADLINE), now)
                .await;
            renewed = answers.is_ok().then(Instant::now);
            answers
        } else {
            let epochs: Vec<Epoch> = sizes.keys().copied().collect();
            context.store.look_at_allocations(&context.name, &epochs).await
        };
        match answers {
            Ok(answers) => leases.tell(&answers),
            Err(error) => warn!("Cannot renew allocations: {}", error_chain(&error)),
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(pace.look) => {}
            // What this process hears of itself is looked at soon, but not at every event of a busy farm.
            () = async { notifications.next().await; tokio::time::sleep(pace.look / 5).await } => {}
        }
    }
}

#[cfg(test)]
mod tests;
