//! The order in which attempts are served.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Deref,
    sync::Arc,
};

use crate::{
    Timestamp,
    id::{AttemptId, BuildId},
    name::{ChrootName, OwnerName},
};

/// An attempt that waits for a builder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedAttempt {
    pub id: AttemptId,
    pub build: BuildId,
    /// The chroot that a builder has to offer.
    pub chroot: ChrootName,
    /// The owner of the project. Owners take turns.
    pub owner: OwnerName,
    /// Whether it is in the background: all attempts that are not are served before it.
    pub background: bool,
    /// When it was put into the queue.
    pub queued_at: Timestamp,
}

/// Attempts in the order of service: what is not background first; then the n-th request of an owner, counting those
/// that have a builder, after everybody's (n-1)-th; then age. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Queue(Arc<[QueuedAttempt]>);

impl Queue {
    /// Puts attempts in order. `active`: how many attempts of each owner have a builder.
    #[must_use]
    pub fn new(mut attempts: Vec<QueuedAttempt>, active: &BTreeMap<OwnerName, u32>) -> Self {
        attempts.sort_by_key(|attempt| (attempt.background, attempt.queued_at, attempt.id));
        let mut requests: HashMap<OwnerName, u32> = active
            .iter()
            .map(|(owner, count)| (owner.clone(), *count))
            .collect();
        let mut ranked: Vec<(bool, u32, QueuedAttempt)> = Vec::with_capacity(attempts.len());
        for attempt in attempts {
            let nth = requests.entry(attempt.owner.clone()).or_default();
            *nth = nth.saturating_add(1);
            ranked.push((attempt.background, *nth, attempt));
        }
        // The sort is stable: of the same rank the oldest stays first.
        ranked.sort_by_key(|(background, nth, _)| (*background, *nth));
        Self(ranked.into_iter().map(|(_, _, attempt)| attempt).collect())
    }
}

impl Deref for Queue {
    type Target = [QueuedAttempt];

    fn deref(&self) -> &[QueuedAttempt] {
        &self.0
    }
}
