//! What builders are wanted for: one list, whoever wants them.

use std::collections::BTreeMap;

use super::{Pool, Queue};
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
    /// An operator's intent that lasts: so many builders of the pool, beside its headroom, that do not go for being idle.
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

    /// Whether it goes on at a moment.
    #[must_use]
    pub fn lasts(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| until > now)
    }
}

/// What the fleet file and the queue ask for, in the order in which it is served.
pub(super) fn of_file_and_queue(
    pools: &BTreeMap<PoolName, Pool>,
    queue: &Queue,
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
        let SizeNow { size, until } = pool.spec.size_at(now);
        let lasts = until.map_or_else(String::new, |until| format!(" until {}", until.to_the_second()));
        add(
            Source::Floor(name.clone()),
            size.min,
            until,
            format!("at least {} builders{lasts}", size.min),
        );
        add(
            Source::Headroom(name.clone()),
            size.idle,
            until,
            format!("{} spare builders{lasts}", size.idle),
        );
    }
    demands
}
