//! What the fleet files of a world allowed.

use std::collections::BTreeMap;

/// The most that any file so far allowed of each thing: programs may still work by an older one. Where a file set no limit, anything is.
#[derive(Debug)]
pub(crate) struct Most<K>(BTreeMap<K, Option<u64>>);

impl<K> Default for Most<K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord> Most<K> {
    /// A file allows so much of it.
    pub(crate) fn allow(&mut self, what: K, limit: Option<u64>) {
        let most = self.0.entry(what).or_insert(limit);
        *most = most.zip(limit).map(|(one, other)| one.max(other));
    }

    /// How much of it there may be; `None`: anything.
    pub(crate) fn of(&self, what: &K) -> Option<u64> {
        self.0.get(what).copied().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_that_any_file_allowed_counts_and_one_without_a_limit_allows_anything() {
        let mut most = Most::default();
        assert_eq!(most.of(&"near"), None);
        for (limit, expected) in [
            (Some(2), Some(2)),
            (Some(1), Some(2)),
            (Some(5), Some(5)),
            (None, None),
            (Some(9), None),
        ] {
            most.allow("near", limit);
            assert_eq!(most.of(&"near"), expected, "{limit:?}");
        }
        assert_eq!(most.of(&"far"), None);
    }
}
