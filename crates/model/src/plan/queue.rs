//! The order in which attempts are served.

use std::{collections::BTreeMap, ops::Deref, sync::Arc};

use crate::{
    Sandbox, Timestamp,
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
    /// Whose builder it may use again; none where nobody is known to have submitted it.
    pub sandbox: Option<Sandbox>,
}

impl QueuedAttempt {
    /// What attempts are sorted by before owners take turns. No two have the same.
    #[must_use]
    pub fn age(&self) -> Age {
        (self.background, self.queued_at, self.id)
    }
}

/// Whether it is in the background, since when it waits, and which it is.
pub type Age = (bool, Timestamp, AttemptId);

/// Attempts in the order of service: what is not background first; then the n-th request of an owner, counting those
/// that have a builder, after everybody's (n-1)-th; then age. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Queue(Arc<[QueuedAttempt]>);

impl Queue {
    /// Puts attempts in order. `active`: how many attempts of each owner have a builder.
    #[must_use]
    pub fn new(mut attempts: Vec<QueuedAttempt>, active: &BTreeMap<OwnerName, u32>) -> Self {
        // A queue of 100,000 is put in order again with each change of it: attempts that come in order of age stay where they
        // are, and by turn their places are sorted.
        attempts.sort_by_key(QueuedAttempt::age);
        let mut requests: BTreeMap<&OwnerName, u32> =
            active.iter().map(|(owner, count)| (owner, *count)).collect();
        let mut turns: Vec<(bool, u32, usize)> = Vec::with_capacity(attempts.len());
        for (place, attempt) in attempts.iter().enumerate() {
            let nth = requests.entry(&attempt.owner).or_default();
            *nth = nth.saturating_add(1);
            turns.push((attempt.background, *nth, place));
        }
        // Of the same turn the oldest is first, as its place is.
        turns.sort_unstable();
        let mut attempts: Vec<Option<QueuedAttempt>> = attempts.into_iter().map(Some).collect();
        let in_order = turns
            .into_iter()
            .filter_map(|(_, _, place)| attempts.get_mut(place)?.take());
        Self(in_order.collect())
    }
}

impl Deref for Queue {
    type Target = [QueuedAttempt];

    fn deref(&self) -> &[QueuedAttempt] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn the_queue_is_in_order_of_turn_and_then_of_age() {
        let older = |number: u128, owner: &str, seconds: i64| QueuedAttempt {
            id: AttemptId(Uuid::from_u128(number)),
            build: BuildId(1),
            chroot: "microdistro-1-x86_64".parse().unwrap(),
            owner: owner.parse().unwrap(),
            background: false,
            queued_at: Timestamp::from_micros(-seconds),
            sandbox: None,
        };
        let background = |number: u128, owner: &str| QueuedAttempt {
            background: true,
            ..older(number, owner, 900)
        };
        type Case<'a> = (Vec<QueuedAttempt>, &'a [(&'a str, u32)], &'a [u128], &'a str);
        let table: [Case<'_>; 5] = [
            (vec![], &[("alice", 2)], &[], "nobody waits"),
            (
                vec![older(1, "alice", 1), older(2, "bob", 3), older(3, "carol", 2)],
                &[],
                &[2, 3, 1],
                "the first of each: the oldest first",
            ),
            (
                vec![older(1, "alice", 9), older(2, "alice", 8), older(3, "bob", 1)],
                &[("bob", 1)],
                &[1, 2, 3],
                "bob had a turn: his is a second one too, and younger",
            ),
            (
                vec![background(1, "alice"), older(2, "alice", 1), background(3, "bob")],
                &[],
                &[2, 3, 1],
                "what is in the background takes its turn after what is not",
            ),
            (
                vec![older(9, "alice", 0), older(8, "bob", 0)],
                &[],
                &[8, 9],
                "of one moment: by id, so that every look gives one order",
            ),
        ];
        for (attempts, active, order, why) in table {
            let active = active
                .iter()
                .map(|(owner, count)| (owner.parse().unwrap(), *count))
                .collect();
            let queue = Queue::new(attempts, &active);
            let found: Vec<u128> = queue.iter().map(|attempt| attempt.id.0.as_u128()).collect();
            assert_eq!(found, order, "{why}");
        }
    }
}
