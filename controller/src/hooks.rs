//! The hooks that are under way, beside the rounds. Each round looks at those on record, begins what is due, and ends what comes too
//! late; builders that wait for some of them are left alone meanwhile. However long a hook hangs, it delays its own builder only, and
//! the end of a machine by no more than its time.

mod input;
mod perform;
mod process;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use model::{
    BuilderId, BuilderState,
    fleet::HookPoint,
    hook::{self, Open},
    step::Move,
};
use runtime::{clock::Clock, supervisor::error_chain};
use store::{Builder, HookRun, HookState, Lease};
use tokio::task::{AbortHandle, JoinError, JoinSet};
use tracing::{debug, warn};
use uuid::Uuid;

use crate::{Context, Error, caught, pauses::Pauses, step::advance, turns::hooks_at};
pub(crate) use process::Processes;
pub use process::{HookRunner, Order, Tried};

/// How many hooks run at once that builders wait for, and how many others: those that hang keep no machine from its end.
const MOST_WAITED_FOR: usize = 64;
const MOST_OTHERS: usize = 32;

/// The hooks of all builders that are under way.
#[derive(Debug)]
pub(crate) struct Hooks {
    clock: Clock,
    runner: Arc<dyn HookRunner>,
    tasks: JoinSet<(Uuid, u64, Result<(), Error>)>,
    under_way: BTreeMap<Uuid, UnderWay>,
    /// How many were begun so far.
    count: u64,
    /// Those that could not be written down are left alone for a while.
    pauses: Pauses<Uuid>,
    /// The turns for which this controller has written hooks down that builders wait for.
    written: BTreeSet<(BuilderId, HookPoint)>,
    /// Whether some were due at the last look.
    is_any_due: bool,
}

#[derive(Debug)]
struct UnderWay {
    number: u64,
    point: HookPoint,
    task: AbortHandle,
}

impl Hooks {
    /// None.
    pub(crate) fn new(clock: Clock, runner: Arc<dyn HookRunner>) -> Self {
        Self {
            clock,
            runner,
            tasks: JoinSet::new(),
            under_way: BTreeMap::new(),
            count: 0,
            pauses: Pauses::default(),
            written: BTreeSet::new(),
            is_any_due: false,
        }
    }

    /// Ends all of them and forgets what it knows: they begin again under the same keys, by whoever leads next.
    pub(crate) async fn stop(&mut self) {
        self.tasks.shutdown().await;
        *self = Self::new(self.clock.clone(), Arc::clone(&self.runner));
    }

    /// How many are under way, or ended and not yet noticed.
    #[cfg(test)]
    pub(crate) fn under_way(&self) -> usize {
        self.tasks.len()
    }

    /// How many were begun so far.
    #[cfg(test)]
    pub(crate) fn begun(&self) -> u64 {
        self.count
    }

    /// Whether one is under way, or was due at the last look.
    pub(crate) fn is_busy(&self) -> bool {
        self.is_any_due || !self.tasks.is_empty()
    }

    /// Waits for one to end; `None` when there is none.
    pub(crate) async fn ends(&mut self) -> Option<()> {
        let ended = self.tasks.join_next().await?;
        self.take(ended);
        while let Some(ended) = self.tasks.try_join_next() {
            self.take(ended);
        }
        Some(())
    }

    fn take(&mut self, ended: Result<(Uuid, u64, Result<(), Error>), JoinError>) {
        // Panics are caught inside: what is left is a task that was aborted, and forgotten then.
        let Ok((id, number, outcome)) = ended else { return };
        if self.under_way.get(&id).is_none_or(|it| it.number != number) {
            return;
        }
        self.under_way.remove(&id);
        let rest = match outcome {
            Ok(()) | Err(Error::Store(store::Error::Conflict { .. })) => Some(std::time::Duration::ZERO),
            Err(error) => {
                warn!(
                    "A hook is tried again under the same key: {}",
                    error_chain(&error)
                );
                None
            }
        };
        self.pauses.after_step(id, rest, self.clock.elapsed());
    }

    /// Begins what is due and ends what comes too late. The answer: the builders that wait for hooks.
    ///
    /// # Errors
    /// When the database is away or the lease is lost.
    pub(crate) async fn begin(
        &mut self,
        context: &Arc<Context>,
        lease: &Lease,
        builders: &[Builder],
    ) -> Result<BTreeSet<BuilderId>, Error> {
        let waiting = Box::pin(self.write_down(context, lease, builders)).await?;
        let ids: Vec<BuilderId> = waiting.iter().map(|builder| builder.id).collect();
        let runs = context.store.hook_runs(context.fleet.fleet, &ids).await?;
        let (over, open): (Vec<HookRun>, Vec<HookRun>) =
            runs.into_iter().partition(|run| run.state.is_final());
        let is_open = |id: &Uuid| open.iter().any(|run| run.id == *id);
        self.pauses.retain(is_open);
        self.stop_others(is_open);
        let about: BTreeSet<BuilderId> = open.iter().map(|run| run.builder).collect();
        let states = builders.iter().filter(|builder| about.contains(&builder.id));
        let states = states.map(|builder| (builder.id, (builder.state, builder.entered_at)));
        let facts: Vec<Open> = open.iter().map(HookRun::open).collect();
        let orders = hook::orders(&facts, &states.collect(), context.clock.now());
        self.is_any_due = !orders.tried.is_empty();
        for place in orders.late {
            if let Some(run) = open.get(place) {
                Box::pin(self.drop_late(context, lease, run)).await?;
            }
        }
        // Before the next hooks of these builders are begun.
        let given_up = Box::pin(give_up(context, lease, &waiting, &over)).await?;
        for (place, left) in orders.tried {
            if let Some(run) = open.get(place).filter(|run| !given_up.contains(&run.builder)) {
                self.try_one(context, lease, (run.clone(), left));
            }
        }
        let mut held = orders.waiting;
        held.extend(given_up);
        Ok(held)
    }

    /// Writes down the hooks that builders wait for from now on; those builders of which some do, or did before.
    async fn write_down<'a>(
        &mut self,
        context: &Context,
        lease: &Lease,
        builders: &'a [Builder],
    ) -> Result<Vec<&'a Builder>, Error> {
        let turn = |builder: &Builder| hook::waits_for(builder.state, builder.launches);
        let mut waiting = Vec::new();
        let mut turns = BTreeSet::new();
        for builder in builders {
            let Some(point) = turn(builder) else { continue };
            if context.fleet.hooks.of(point, &builder.pool).next().is_none() {
                continue;
            }
            if !self.written.contains(&(builder.id, point)) {
                let hooks = hooks_at(&context.fleet, point, builder);
                let now = context.clock.now();
                let written = context.store.begin_hooks(lease, (builder.id, point), &hooks, now);
                written.await?;
            }
            turns.insert((builder.id, point));
            waiting.push(builder);
        }
        self.written = turns;
        Ok(waiting)
    }

    /// Ends the programs of all hooks but those that are open: another controller, which led meanwhile, has ended them.
    fn stop_others(&mut self, is_open: impl Fn(&Uuid) -> bool) {
        self.under_way.retain(|id, hook| {
            let is_open = is_open(id);
            if !is_open {
                hook.task.abort();
            }
            is_open
        });
    }

    /// Ends a hook whose turn is over.
    async fn drop_late(&mut self, context: &Context, lease: &Lease, run: &HookRun) -> Result<(), Error> {
        let words = match self.under_way.remove(&run.id) {
            Some(running) => {
                running.task.abort();
                "it was ended: its time was over"
            }
            None => "its time was over before it was done",
        };
        let end = perform::untried(HookState::Late, words.to_owned());
        match context
            .store
            .end_hook(lease, run, &end, context.clock.now())
            .await
        {
            // It has ended by itself meanwhile, or begun: the next round looks again.
            Ok(()) | Err(store::Error::Conflict { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn try_one(
        &mut self,
        context: &Arc<Context>,
        lease: &Lease,
        (run, left): (HookRun, std::time::Duration),
    ) {
        let is_waited_for = hook::is_waited_for(run.point);
        let most = if is_waited_for {
            MOST_WAITED_FOR
        } else {
            MOST_OTHERS
        };
        let same = |it: &&UnderWay| hook::is_waited_for(it.point) == is_waited_for;
        let is_full = self.under_way.values().filter(same).count() >= most;
        let is_left_alone = self.pauses.holds(&run.id, self.clock.elapsed());
        if is_full || is_left_alone || self.under_way.contains_key(&run.id) {
            return;
        }
        self.count = self.count.wrapping_add(1);
        let (id, number, point) = (run.id, self.count, run.point);
        let (context, lease, runner) = (Arc::clone(context), *lease, Arc::clone(&self.runner));
        let task = self.tasks.spawn(async move {
            let trying = perform::perform(&context, &lease, (run, left), runner.as_ref());
            let work = context.term.within(&context.clock, caught("a hook", trying));
            (id, number, work.await)
        });
        self.under_way.insert(id, UnderWay { number, point, task });
    }
}

/// Gives up the builders for which no machine is to be rented, since a hook failed that has to go well before that.
async fn give_up(
    context: &Context,
    lease: &Lease,
    waiting: &[&Builder],
    over: &[HookRun],
) -> Result<BTreeSet<BuilderId>, Error> {
    let mut given_up = BTreeSet::new();
    for run in over {
        if run.state != HookState::Failed || !hook::gives_up(run.point, &run.spec) {
            continue;
        }
        let is_it = |builder: &&&Builder| builder.id == run.builder && builder.state == BuilderState::Planned;
        let Some(builder) = waiting.iter().find(is_it) else {
            continue;
        };
        if !given_up.insert(builder.id) {
            continue;
        }
        let outcome = run.outcome.as_deref().unwrap_or("it failed");
        let words = format!(
            "no machine is asked for: hook {}: {}: {outcome}",
            run.point,
            run.spec.words()
        );
        let step = Move::new(BuilderState::Abandoned, words.clone());
        match advance(context, lease, builder, step).await {
            Ok(_) => warn!(builder.id = %builder.id, "Builder {} is given up: {words}.", builder.id),
            Err(store::Error::Conflict { what }) => debug!("Not given up, something was quicker: {what}"),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(given_up)
}
