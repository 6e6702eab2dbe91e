//! Hooks of builders: on record before their programs are started, and their ends after that.

use std::sync::Arc;

use model::{
    BuilderId, Timestamp,
    fleet::{HookPoint, HookSpec},
    hook::{self, Open},
};
use uuid::Uuid;

use super::{Stop, Store};

/// How a hook stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HookState {
    Waiting,
    /// A try is under way, or was when its controller was killed.
    Running,
    Done,
    Failed,
    Skipped,
    Late,
}

impl HookState {
    pub(crate) const fn is_final(self) -> bool {
        !matches!(self, Self::Waiting | Self::Running)
    }
}

/// A hook's row.
#[derive(Clone, Debug)]
pub(crate) struct HookRun {
    pub(crate) id: Uuid,
    pub(crate) builder: BuilderId,
    pub(crate) point: HookPoint,
    pub(crate) place: u32,
    pub(crate) spec: Arc<HookSpec>,
    pub(crate) state: HookState,
    /// The number of the last try.
    pub(crate) attempt: u32,
    pub(crate) due_at: Timestamp,
    /// How many tries have begun, counting those twice that were begun again, and how many have ended.
    pub(crate) begun: u32,
    pub(crate) ended: u32,
}

impl HookRun {
    pub(crate) const fn open(&self) -> Open {
        Open {
            builder: self.builder,
            point: self.point,
            place: self.place,
            due_at: self.due_at,
        }
    }
}

impl Store {
    /// Writes down the hooks of a turn that a builder has come to: within another transaction.
    pub(crate) fn write_hooks(
        &mut self,
        (builder, point): (BuilderId, HookPoint),
        hooks: &[(u32, Arc<HookSpec>)],
        now: Timestamp,
    ) {
        for (place, spec) in hooks {
            let run = HookRun {
                id: self.new_id(),
                builder,
                point,
                place: *place,
                spec: Arc::clone(spec),
                state: HookState::Waiting,
                attempt: 0,
                due_at: now,
                begun: 0,
                ended: 0,
            };
            self.hooks.insert(run.id, run);
        }
    }

    /// Writes down the hooks of a turn that a builder has come to, unless some of that turn are on record.
    pub(crate) fn begin_hooks(
        &mut self,
        lease: i64,
        turn: (BuilderId, HookPoint),
        hooks: &[(u32, Arc<HookSpec>)],
        now: Timestamp,
    ) -> Result<(), Stop> {
        self.check(lease)?;
        if self.hooks_at(turn).next().is_none() {
            self.write_hooks(turn, hooks, now);
        }
        Ok(())
    }

    /// Those of one turn of a builder.
    pub(crate) fn hooks_at(&self, turn: (BuilderId, HookPoint)) -> impl Iterator<Item = &HookRun> {
        let all = self.hooks.values();
        all.filter(move |run| (run.builder, run.point) == turn)
    }

    /// Writes down that a try begins. One that was under way when its controller was killed begins again, under the same number.
    pub(crate) fn start_hook(&mut self, lease: i64, seen: &HookRun) -> Result<HookRun, Stop> {
        self.check(lease)?;
        let keeps = self.guards.hook_numbers;
        let run = self.as_seen(seen)?;
        run.attempt = hook::number(run.attempt, keeps && run.state == HookState::Running);
        run.state = HookState::Running;
        run.begun = run.begun.saturating_add(1);
        Ok(run.clone())
    }

    /// Writes down what has come of a try, or that there is none; `again`: when it is due again.
    pub(crate) fn end_hook(
        &mut self,
        lease: i64,
        seen: &HookRun,
        (state, again): (HookState, Option<Timestamp>),
    ) -> Result<HookRun, Stop> {
        self.check(lease)?;
        let run = self.as_seen(seen)?;
        run.ended = run
            .ended
            .saturating_add(u32::from(run.state == HookState::Running));
        run.state = state;
        run.due_at = again.unwrap_or(run.due_at);
        let ended = run.clone();
        self.forget_hooks(ended.builder);
        Ok(ended)
    }

    /// A run that is as it was looked at.
    fn as_seen(&mut self, seen: &HookRun) -> Result<&mut HookRun, Stop> {
        let run = self.hooks.get_mut(&seen.id).ok_or(Stop::Conflict)?;
        if (run.state, run.attempt) == (seen.state, seen.attempt) {
            Ok(run)
        } else {
            Err(Stop::Conflict)
        }
    }

    /// Of a builder that has ended nothing is kept once all of its hooks are over.
    fn forget_hooks(&mut self, builder: BuilderId) {
        let is_open = |run: &HookRun| run.builder == builder && !run.state.is_final();
        if !self.builders.contains_key(&builder) && !self.hooks.values().any(is_open) {
            self.hooks.retain(|_, run| run.builder != builder);
        }
    }
}

#[cfg(test)]
mod tests;
