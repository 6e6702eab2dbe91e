//! How many machines each pool has by each line of its offerings, while steps are begun.

use std::collections::BTreeMap;

use model::{BuilderId, Offering, PoolName, step::Step};
use store::Builder;

use crate::Context;

/// The lines of offerings that builders take places of, of the pools that limit any.
///
/// A step that is under way has perhaps written down its launch since the rows were read, and perhaps will: it counts in any case. What
/// a controller before this one asked for is among the rows, and it can ask for nothing more.
#[derive(Debug)]
pub(crate) struct Lines<'a>(BTreeMap<&'a PoolName, Vec<usize>>);

impl<'a> Lines<'a> {
    /// Those of all builders, with what the steps that are under way ask for.
    pub(crate) fn of<'b>(
        context: &'a Context,
        builders: &[Builder],
        asks: impl Fn(&BuilderId) -> Option<&'b Offering>,
    ) -> Self {
        let pools = context.fleet.pools.iter();
        let limited = pools.filter(|(_, spec)| spec.offerings.iter().any(|line| line.max.is_some()));
        let mut taken: BTreeMap<&PoolName, Vec<usize>> =
            limited.map(|(name, _)| (name, Vec::new())).collect();
        for builder in builders {
            let (Some(taken), Some(spec)) = (
                taken.get_mut(&builder.pool),
                context.fleet.pools.get(&builder.pool),
            ) else {
                continue;
            };
            let line = spec.line_of(builder.state, builder.offering());
            // By the file of now: that one may have had other lines by which the step began.
            let asked_for = || spec.line_asked_for(asks(&builder.id)?);
            taken.extend(line.or_else(asked_for));
        }
        Self(taken)
    }

    /// Which lines of a pool have as many machines as they may.
    pub(crate) fn full(&self, context: &Context, pool: &PoolName) -> Vec<bool> {
        let taken = self.0.get(pool);
        let full = taken.and_then(|taken| Some(context.fleet.pools.get(pool)?.full_lines(taken)));
        full.unwrap_or_default()
    }

    /// Notes the line that a step asks for, where it asks for one; what it asks for.
    pub(crate) fn ask(&mut self, context: &Context, pool: &PoolName, step: &Step) -> Option<Offering> {
        let Step::Launch(offering) = step else {
            return None;
        };
        if let (Some(taken), Some(spec)) = (self.0.get_mut(pool), context.fleet.pools.get(pool)) {
            taken.extend(spec.line_asked_for(offering));
        }
        Some(offering.clone())
    }

    /// Why a pool takes up no machine that is like this offering, as a sentence for operators.
    pub(crate) fn refusal(&self, context: &Context, pool: &PoolName, offering: &Offering) -> Option<String> {
        let line = context.fleet.pools.get(pool)?.line_asked_for(offering)?;
        let is_full = self.full(context, pool).get(line).copied().unwrap_or(false);
        is_full.then(|| {
            format!(
                "pool {pool} has as many machines like it ({offering}) as it may: `max` of `offerings[{line}]`"
            )
        })
    }
}
