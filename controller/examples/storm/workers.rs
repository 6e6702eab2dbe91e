//! Workers: they take up what is offered, tell that they live, and end what is done. They are killed and paused as well. Their own
//! work with a machine is not simulated further than that.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use model::{AttemptId, Blame, BuilderId, Epoch, Sandbox};
use sim::{
    Fault, Rule,
    cloud::{Machine, Tags},
};
use store::{Allocation, Builder, Error, Outcome, Renewal, Store};

use crate::{
    outside::{All, Outside, Run},
    people::takes,
    program::NOW,
};

/// For how long a sign of life counts, and after how long there is another.
const BUSY: Duration = Duration::from_secs(90);
const BEAT: Duration = Duration::from_secs(15);
/// For how long a machine may be silent while something is built there.
const SILENCE: Duration = Duration::from_secs(60);

/// A worker.
pub(crate) struct Worker {
    name: String,
    /// Until when it stands still, or is not there.
    away_until: Duration,
    next_beat: Duration,
    held: BTreeMap<Epoch, Held>,
}

/// An attempt that it drives.
struct Held {
    builder: BuilderId,
    place: Place,
    /// Since when its machine has been silent.
    silent_since: Option<Duration>,
    is_canceled: bool,
}

/// Where a machine is.
#[derive(Clone)]
struct Place {
    cloud: String,
    instance: String,
}

/// What a look at the machine of an attempt says.
enum Look {
    Builds,
    Done,
    Broken(&'static str),
    Silent,
}

fn good() -> Outcome {
    Outcome::Collected {
        result_directory: "1-hello".to_owned(),
        packages: Vec::new(),
    }
}

fn broken(reason: &str) -> Outcome {
    Outcome::Failed {
        blame: Blame::Infrastructure,
        reason: reason.to_owned(),
        evidence: None,
        is_suspect: false,
        result_directory: None,
    }
}

impl Worker {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            away_until: Duration::ZERO,
            next_beat: Duration::ZERO,
            held: BTreeMap::new(),
        }
    }

    /// What it does at a moment.
    pub(crate) async fn go_on(&mut self, store: &Store, outside: &Arc<Outside>) -> Result<(), Error> {
        self.may_be_struck(outside);
        let now = outside.with(|all| all.now);
        if now < self.away_until {
            return Ok(());
        }
        self.look(store, outside).await?;
        if now >= self.next_beat {
            self.next_beat = now.saturating_add(BEAT);
            self.tell_that_it_lives(store, outside).await?;
        }
        Ok(())
    }

    fn may_be_struck(&mut self, outside: &Outside) {
        let name = self.name.clone();
        let (away, is_killed) = outside.with(|all| {
            if all.now < self.away_until {
                return (None, false);
            }
            let is_killed = all.luck.strikes(Fault::WorkerKilled);
            if is_killed {
                all.tell(|| format!("worker {name} is killed"));
                return (Some(all.now.saturating_add(all.luck.seconds(1, 30))), true);
            }
            let is_paused = all.luck.strikes(Fault::WorkerPaused);
            let until = is_paused.then(|| all.now.saturating_add(all.luck.seconds(5, 240)));
            if is_paused {
                all.tell(|| format!("worker {name} is paused"));
            }
            (until, false)
        });
        let Some(until) = away else { return };
        self.away_until = until;
        if is_killed {
            outside.with(|all| all.heard.retain(|epoch, _| !self.held.contains_key(epoch)));
            self.held.clear();
            // Another takes its place, which knows nothing of it.
            self.name.push('x');
        }
    }

    /// Takes up what was offered, but for some that it leaves to others.
    pub(crate) async fn take(
        &mut self,
        store: &Store,
        outside: &Arc<Outside>,
        offered: &[Allocation],
    ) -> Result<(), Error> {
        for allocation in offered {
            let (epoch, now) = (allocation.epoch, outside.with(|all| all.now));
            if now < self.away_until || outside.with(|all| all.luck.once_in(3)) {
                continue;
            }
            let at = NOW.plus(now);
            let taken = store
                .accept_allocation(epoch, &self.name, at.plus(BUSY), at)
                .await;
            match taken {
                Ok(()) => {}
                Err(Error::Conflict { .. }) => continue,
                Err(error) => return Err(error),
            }
            let Some(builder) = store.builder(allocation.builder.id).await? else {
                continue;
            };
            let attempt = &allocation.attempt;
            let lasts = takes(outside);
            let begun = outside.with(|all| {
                all.heard.insert(epoch, now);
                begin(all, &builder, (attempt.id, epoch), lasts)
            });
            let held = |place| Held {
                builder: builder.id,
                place,
                silent_since: None,
                is_canceled: false,
            };
            match begun {
                Some(place) => drop(self.held.insert(epoch, held(place))),
                None => {
                    self.end(store, outside, epoch, &broken("its machine is not there"))
                        .await?
                }
            }
        }
        Ok(())
    }

    async fn end(
        &mut self,
        store: &Store,
        outside: &Outside,
        epoch: Epoch,
        outcome: &Outcome,
    ) -> Result<(), Error> {
        let now = NOW.plus(outside.with(|all| all.now));
        let ended = store.finish_attempt(epoch, &self.name, outcome, now).await;
        let held = self.held.remove(&epoch);
        outside.with(|all| {
            match (&ended, &held) {
                (Err(Error::Conflict { .. }), Some(held)) => {
                    all.judge_lost(epoch, (held.builder, &held.place.instance));
                }
                _ => all.tell(|| format!("worker {} has ended allocation {epoch}", self.name)),
            }
            all.heard.remove(&epoch);
            if let Some(held) = &held
                && all
                    .runs
                    .get(&held.place.instance)
                    .is_some_and(|run| run.epoch == epoch)
            {
                all.runs.remove(&held.place.instance);
            }
        });
        match ended {
            Ok(()) | Err(Error::Conflict { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Looks at all that it drives, and ends what is over.
    async fn look(&mut self, store: &Store, outside: &Outside) -> Result<(), Error> {
        for epoch in self.held.keys().copied().collect::<Vec<_>>() {
            let Some(held) = self.held.get_mut(&epoch) else {
                continue;
            };
            let (look, now) = outside.with(|all| (look_at(all, &held.place, epoch), all.now));
            let outcome = match look {
                _ if held.is_canceled => Some(Outcome::Canceled {
                    result_directory: None,
                }),
                Look::Builds => {
                    held.silent_since = None;
                    None
                }
                Look::Done => Some(good()),
                Look::Broken(words) => Some(broken(words)),
                Look::Silent => {
                    let since = *held.silent_since.get_or_insert(now);
                    let is_over = now.saturating_sub(since) >= SILENCE;
                    is_over.then(|| broken("its machine does not answer"))
                }
            };
            if let Some(outcome) = outcome {
                self.end(store, outside, epoch, &outcome).await?;
            }
        }
        Ok(())
    }

    async fn tell_that_it_lives(&mut self, store: &Store, outside: &Outside) -> Result<(), Error> {
        if self.held.is_empty() {
            return Ok(());
        }
        let now = outside.with(|all| all.now);
        let sizes: BTreeMap<Epoch, i64> = self.held.keys().map(|epoch| (*epoch, 0)).collect();
        let at = NOW.plus(now);
        let renewed = store
            .renew_allocations(&self.name, &sizes, at.plus(BUSY), at)
            .await?;
        for (epoch, renewal) in renewed {
            match renewal {
                Renewal::Held => drop(outside.with(|all| all.heard.insert(epoch, now))),
                Renewal::CancelWanted => {
                    if let Some(held) = self.held.get_mut(&epoch) {
                        held.is_canceled = true;
                    }
                }
                Renewal::Lost => {
                    if let Some(held) = self.held.remove(&epoch) {
                        outside.with(|all| {
                            all.judge_lost(epoch, (held.builder, &held.place.instance));
                            all.heard.remove(&epoch);
                        });
                    }
                }
            }
        }
        Ok(())
    }
}

fn look_at(all: &mut All, place: &Place, epoch: Epoch) -> Look {
    let now = all.now;
    let Some(run) = all
        .runs
        .get(&place.instance)
        .filter(|run| run.epoch == epoch)
        .cloned()
    else {
        return Look::Broken("its machine is gone");
    };
    let Some(machine) = all.answers(&place.cloud, &place.instance) else {
        return Look::Silent;
    };
    if machine.starts != run.starts {
        return Look::Broken("its machine was started again");
    }
    if now < run.ends_at {
        return Look::Builds;
    }
    let leaves = all.luck.strikes(Fault::Residue);
    let of = all.clouds.get_mut(place.cloud.as_str());
    if let Some(machine) = of.and_then(|it| it.machines.get_mut(&place.instance)) {
        machine.has_residue |= leaves;
    }
    Look::Done
}

/// An attempt begins on a builder's machine; where that is. `None`: its machine is not reached.
fn begin(
    all: &mut All,
    builder: &Builder,
    (attempt, epoch): (AttemptId, Epoch),
    lasts: Duration,
) -> Option<Place> {
    let found = all.at(builder.address.as_deref()?)?;
    let known = [builder.host_key.as_deref(), builder.host_key_next.as_deref()];
    let shown = found.key.as_ref()?.to_string();
    if !known.contains(&Some(shown.as_str())) {
        return None;
    }
    let id = found.id;
    all.tell(|| format!("{id}: attempt {attempt} begins under {epoch}"));
    judge_begin(all, (found.cloud, &id), builder, attempt);
    let run = Run {
        attempt,
        epoch,
        starts: found.starts,
        ends_at: all.now.saturating_add(lasts),
    };
    all.runs.insert(id.clone(), run);
    Some(Place {
        cloud: found.cloud.to_owned(),
        instance: id,
    })
}

/// A build begins on a machine that is its builder's, on which nothing runs and nobody else's build ran.
fn judge_begin(all: &mut All, (cloud, id): (&str, &str), builder: &Builder, attempt: AttemptId) {
    let now = all.now;
    if let Some(run) = all.runs.get(id)
        && now < run.ends_at
    {
        let words = format!("attempts {} and {attempt} run on {id}", run.attempt);
        all.violate(Rule::DoubleHandOut, words);
    }
    let of = all.clouds.get_mut(cloud);
    let Some(machine) = of.and_then(|it| it.machines.get_mut(id)) else {
        return;
    };
    let broken = begun_on(machine, builder, builder.sandbox.as_ref());
    machine.is_dirty = true;
    machine.sandbox.clone_from(&builder.sandbox);
    if let Some((rule, what)) = broken {
        all.violate(rule, format!("attempt {attempt} begins on {id}, {what}"));
    }
}

fn begun_on(machine: &Machine, builder: &Builder, sandbox: Option<&Sandbox>) -> Option<(Rule, &'static str)> {
    let is_its = |tags: &Tags| builder.host.is_some() || tags.builder == builder.id;
    if !machine.tags.as_ref().is_some_and(is_its) {
        return Some((Rule::DoubleHandOut, "which is not its builder's"));
    }
    if machine.has_residue {
        return Some((Rule::Sandbox, "where a build left something"));
    }
    if machine.is_dirty {
        return Some((Rule::Sandbox, "which was not cleaned"));
    }
    let is_anothers = machine.sandbox.is_some() && machine.sandbox.as_ref() != sandbox;
    is_anothers.then_some((Rule::Sandbox, "where builds of another sandbox ran"))
}
