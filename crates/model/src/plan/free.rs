//! The builders that can be given away.

use std::collections::{BTreeMap, VecDeque};

use super::Builder;
use crate::{
    Lacks, Sandbox,
    name::{ChrootName, PoolName},
};

/// Whose a builder is: of a pool, and of a sandbox if it has one.
type Key<'a> = (&'a PoolName, Option<&'a Sandbox>);

/// The builders that can be given away, in the order of their turns: by whose they are, and then by what they lack, since an attempt
/// has to pass over those that are not fit for it. Nearly always all lack nothing.
pub(super) struct Free<'a>(BTreeMap<Key<'a>, Vec<Alike<'a>>>);

/// Builders that lack the same.
struct Alike<'a> {
    lacks: &'a Lacks,
    builders: VecDeque<&'a Builder>,
}

impl<'a> Free<'a> {
    pub(super) fn of(builders: &'a [Builder]) -> Self {
        let mut ready: Vec<&Builder> = builders.iter().filter(|builder| builder.is_for_use()).collect();
        ready.sort_by_key(|builder| builder.turn());
        let mut free: BTreeMap<Key<'a>, Vec<Alike<'a>>> = BTreeMap::new();
        for builder in ready {
            let own = free.entry((&builder.pool, builder.sandbox.as_ref())).or_default();
            match own.iter_mut().find(|alike| *alike.lacks == builder.lacks) {
                Some(alike) => alike.builders.push_back(builder),
                None => own.push(Alike {
                    lacks: &builder.lacks,
                    builders: [builder].into(),
                }),
            }
        }
        Self(free)
    }

    /// Whether any of them has a sandbox.
    pub(super) fn has_used(&self) -> bool {
        self.0.keys().any(|(_, sandbox)| sandbox.is_some())
    }

    /// Takes the one whose turn is next, of those that are fit for builds in a chroot.
    pub(super) fn take(&mut self, key: Key<'a>, chroot: &ChrootName) -> Option<&'a Builder> {
        let own = self.0.get_mut(&key)?.iter_mut();
        let fit = own.filter(|alike| !alike.builders.is_empty() && !alike.lacks.blocks(chroot));
        let next = fit.min_by_key(|alike| alike.builders.front().map(|builder| builder.turn()))?;
        next.builders.pop_front()
    }
}
