//! What builders are wanted for: one list, whoever wants them.

use std::collections::BTreeMap;

use super::{Builder, Pool, Queue};
use crate::{Timestamp, fleet::SizeNow, name::PoolName};

/// A wish for builders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    /// Who wants them, and of which pool.
    pub source: Source,
    /// How many; of what, the source says.
    pub count: u32,
    /// When it ends by itself; `None`: with what it comes from.
    pub until: Option<Timestamp>,
    /// What is wanted, as the end of a sentence for people.
    pub why: String,
}

/// Who wants builders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The attempts that wait: a builder for each, of any pool that offers its chroot.
    Queue,
    /// The fleet file's `size.min`: so many builders of the pool that do not go.
    Floor(PoolName),
    /// The fleet file's `size.idle`: so many builders of the pool that are spare, or will be.
    Headroom(PoolName),
    /// An operator's intent, by its key: so many launches more.
    Operator(PoolName, String),
    /// An operator's intent that lasts: so many spare builders of the pool beside its headroom.
    Kept(PoolName),
}

impl Demand {
    /// The pool that it asks; `None` where any will do.
    #[must_use]
    pub const fn pool(&self) -> Option<&PoolName> {
        match &self.source {
            Source::Queue => None,
            Source::Floor(pool) | Source::Headroom(pool) | Source::Operator(pool, _) | Source::Kept(pool) => {
                Some(pool)
            }
        }
    }

    /// Whether it is for builders that are only held ready.
    #[must_use]
    pub const fn is_spare(&self) -> bool {
        matches!(self.source, Source::Headroom(_) | Source::Kept(_))
    }

    /// Whether it goes on at a moment.
    #[must_use]
    pub fn lasts(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| until > now)
    }
}

/// How many builders of a pool are in use: a build is on them, or has just been.
pub(super) fn in_use(pool: &PoolName, builders: &[Builder]) -> u32 {
    let used = builders
        .iter()
        .filter(|it| it.state.is_in_use() && it.pool == *pool);
    u32::try_from(used.count()).unwrap_or(u32::MAX)
}

/// What the fleet file and the queue ask for, in the order in which it is served.
pub(super) fn of_file_and_queue(
    pools: &BTreeMap<PoolName, Pool>,
    (builders, queue): (&[Builder], &Queue),
    now: Timestamp,
) -> Vec<Demand> {
    let mut demands = Vec::with_capacity(pools.len().saturating_mul(2).saturating_add(1));
    let mut add = |source, count, until, why| {
        if count > 0 {
            demands.push(Demand {
                source,
                count,
                until,
                why,
            });
        }
    };
    let waiting = u32::try_from(queue.len()).unwrap_or(u32::MAX);
    add(
        Source::Queue,
        waiting,
        None,
        format!("{waiting} attempts that wait"),
    );
    for (name, pool) in pools {
        let SizeNow {
            min,
            idle,
            idle_of,
            until,
            ..
        } = pool.spec.size_at(now, in_use(name, builders));
        let lasts = until.map_or_else(String::new, |until| format!(" until {}", until.to_the_second()));
        let of = idle_of.map_or_else(String::new, |of| format!(" ({of})"));
        add(
            Source::Floor(name.clone()),
            min,
            until,
            format!("at least {min} builders{lasts}"),
        );
        add(
            Source::Headroom(name.clone()),
            idle,
            until,
            format!("{idle} spare builders{of}{lasts}"),
        );
    }
    demands
}
