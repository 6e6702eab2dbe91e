//! Launches in doubt: how often their clouds listed no machine for them.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use model::BuilderId;

/// What this process has seen of them. After a new start it is counted anew, which only takes longer.
#[derive(Debug, Default)]
pub(crate) struct Doubts(Mutex<BTreeMap<BuilderId, Doubt>>);

#[derive(Debug, Default)]
struct Doubt {
    /// How many lists in a row had no machine of the builder's.
    misses: u32,
    /// When the cloud was asked for it last.
    asked_at: Option<Duration>,
}

impl Doubts {
    fn with<T>(&self, builder: BuilderId, work: impl FnOnce(&mut Doubt) -> T) -> T {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        work(all.entry(builder).or_default())
    }

    /// One more list without a machine of the builder's; how many that makes in a row.
    pub(crate) fn missed(&self, builder: BuilderId) -> u32 {
        self.with(builder, |doubt| {
            doubt.misses = doubt.misses.saturating_add(1);
            doubt.misses
        })
    }

    /// How many lists in a row had no machine of the builder's.
    pub(crate) fn count(&self, builder: BuilderId) -> u32 {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&builder).map_or(0, |doubt| doubt.misses)
    }

    /// A list had one.
    pub(crate) fn forget(&self, builder: BuilderId) {
        self.with(builder, |doubt| doubt.misses = 0);
    }

    /// Notes that the cloud is asked again for a launch.
    pub(crate) fn asked(&self, builder: BuilderId, now: Duration) {
        self.with(builder, |doubt| doubt.asked_at = Some(now));
    }

    /// Whether less than so long has passed since the cloud was asked for a launch. Since when that is nobody knows of the first question,
    /// which another process may have asked: it counts from now.
    pub(crate) fn rests(&self, builder: BuilderId, rest: Duration, now: Duration) -> bool {
        self.with(builder, |doubt| {
            now.saturating_sub(*doubt.asked_at.get_or_insert(now)) < rest
        })
    }

    /// Only these may be in doubt.
    pub(crate) fn keep(&self, is_in_doubt: impl Fn(BuilderId) -> bool) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|builder, _| is_in_doubt(*builder));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_without_a_machine_are_counted_in_a_row_and_for_each_builder() {
        let doubts = Doubts::default();
        let [one, other] = [1, 2].map(|number| BuilderId(uuid::Uuid::from_u128(number)));
        assert_eq!(
            [doubts.missed(one), doubts.missed(one), doubts.missed(other)],
            [1, 2, 1]
        );
        assert_eq!([doubts.count(one), doubts.count(other)], [2, 1]);
        doubts.forget(one);
        assert_eq!(doubts.count(one), 0);
        assert_eq!(doubts.missed(one), 1);
        doubts.keep(|builder| builder == one);
        assert_eq!([doubts.missed(one), doubts.missed(other)], [2, 1]);
    }

    #[test]
    fn a_launch_rests_from_the_first_look_at_it_and_from_each_question_on() {
        let (doubts, builder) = (Doubts::default(), BuilderId(uuid::Uuid::nil()));
        let seconds = Duration::from_secs;
        let rests = |now| doubts.rests(builder, seconds(120), seconds(now));
        assert_eq!([500, 619, 620].map(rests), [true, true, false]);
        doubts.asked(builder, seconds(620));
        assert_eq!([621, 739, 740].map(rests), [true, true, false]);
    }
}
