//! How many builders one may have at once: what is beyond waits, and no machine is made for it.

use std::{collections::BTreeMap, sync::Arc};

use super::{QueuedAttempt, Snapshot};
use crate::{fleet::CapsSpec, name::OwnerName};

/// What the fleet file says of it, and how it stands.
#[derive(Clone, Debug, Default)]
pub struct Caps {
    pub spec: CapsSpec,
    /// How many attempts of each owner have a builder.
    pub active: BTreeMap<OwnerName, u32>,
}

/// How many builders each owner has while a plan is made, with those that it gives away and those that come.
pub(super) struct Shares<'a> {
    most: Option<u32>,
    active: &'a BTreeMap<OwnerName, u32>,
    more: BTreeMap<&'a OwnerName, u32>,
    /// The reasons of owners whose attempts wait for that. Many wait for one thing.
    told: BTreeMap<&'a OwnerName, Arc<str>>,
}

impl<'a> Shares<'a> {
    pub(super) fn of(snapshot: &'a Snapshot) -> Self {
        Self {
            most: snapshot.caps.spec.owner,
            active: &snapshot.caps.active,
            more: BTreeMap::new(),
            told: BTreeMap::new(),
        }
    }

    /// Whether an attempt may have a builder.
    pub(super) fn allow(&self, attempt: &QueuedAttempt) -> bool {
        let Some(most) = self.most else { return true };
        let count = |counts: Option<&u32>| counts.copied().unwrap_or(0);
        let (active, more) = (self.active.get(&attempt.owner), self.more.get(&attempt.owner));
        count(active).saturating_add(count(more)) < most
    }

    /// It gets one.
    pub(super) fn take(&mut self, attempt: &'a QueuedAttempt) {
        if self.most.is_some() {
            let more = self.more.entry(&attempt.owner).or_default();
            *more = more.saturating_add(1);
        }
    }

    /// Why it gets none.
    pub(super) fn refusal(&mut self, attempt: &'a QueuedAttempt) -> Arc<str> {
        let (owner, most) = (&attempt.owner, self.most.unwrap_or_default());
        let words = || {
            format!("{owner} has or gets {most} builders, as many as one owner may (`fairness.caps.owner`)")
        };
        Arc::clone(self.told.entry(owner).or_insert_with(|| words().into()))
    }
}
