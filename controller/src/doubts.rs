//! Launches in doubt: how often their clouds listed no machine for them.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use model::BuilderId;

/// What this process has seen of them. After a new start it is counted anew, which only takes longer.
#[derive(Debug, Default)]
pub(crate) struct Doubts(Mutex<BTreeMap<BuilderId, u32>>);

impl Doubts {
    /// One more list without a machine of the builder's; how many that makes in a row.
    pub(crate) fn missed(&self, builder: BuilderId) -> u32 {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = all.entry(builder).or_default();
        *count = count.saturating_add(1);
        *count
    }

    /// How many lists in a row had no machine of the builder's.
    pub(crate) fn count(&self, builder: BuilderId) -> u32 {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&builder).copied().unwrap_or_default()
    }

    /// There is one, or no doubt any more.
    pub(crate) fn forget(&self, builder: BuilderId) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(&builder);
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
}
