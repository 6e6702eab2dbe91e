//! Looks at clouds, and the conclusions from them: `model::step::sight` says what each means.

use std::collections::{BTreeMap, BTreeSet};

use model::{
    BuilderState, InstanceState,
    step::{
        launch,
        sight::{self, Sight},
    },
};

use super::{World, seconds};
use crate::{
    cloud::{Shown, Trouble},
    controller::{Seen, look_every},
    event::{Ask, Call, Side, Then},
    setting::CLOUDS,
    store::{Builder, Stop},
};

impl World {
    /// Begins a look at every cloud where one is due.
    pub(super) fn look(&mut self, side: Side) {
        let now = self.clock(side);
        for cloud in CLOUDS {
            let ours = self.store.builders.values().filter(|it| it.cloud == cloud);
            let every = ours
                .clone()
                .map(|it| look_every(it.state))
                .min()
                .unwrap_or(seconds(30));
            let known: Vec<String> = ours.filter_map(|it| it.instance.clone()).collect();
            let mut orphans = self.store.due_orphans(cloud, now);
            let at = self.now;
            let has_orphans = self.store.guards.orphans;
            let memory = &mut self.controller(side).memory;
            let Some(of_cloud) = memory.clouds.get_mut(cloud).filter(|it| it.is_due(every, at)) else {
                continue;
            };
            (of_cloud.is_looked_at, of_cloud.looked) = (true, Some(at));
            orphans.retain(|id| has_orphans && memory.told.get(id).is_none_or(|until| *until <= at));
            self.send(
                side,
                Call {
                    cloud,
                    ask: Ask::List,
                    then: Then::Listed(cloud, known, orphans),
                },
            );
        }
    }

    /// A list is there: orphans are ended, and what it lacks is asked for.
    pub(super) fn listed(
        &mut self,
        side: Side,
        cloud: &'static str,
        (known, orphans): (Vec<String>, Vec<String>),
        listed: Result<Vec<Shown>, Trouble>,
    ) {
        let shown = match listed {
            Ok(shown) => shown,
            Err(trouble) => return self.look_failed(side, cloud, trouble),
        };
        for id in orphans {
            tell!(self, "controller {} ends orphan {id}", self.looks_like(side).name);
            self.send(
                side,
                Call {
                    cloud,
                    ask: Ask::Terminate(id.clone()),
                    then: Then::OrphanTold(id),
                },
            );
        }
        let is_missing = |id: &String| !shown.iter().any(|it| it.id == *id);
        let missing: Vec<String> = known.into_iter().filter(is_missing).collect();
        if missing.is_empty() {
            self.look_ends(side, cloud, (shown, Vec::new()), Ok(Vec::new()));
        } else {
            self.send(
                side,
                Call {
                    cloud,
                    ask: Ask::Describe(missing.clone()),
                    then: Then::Described(cloud, shown, missing),
                },
            );
        }
    }

    fn look_failed(&mut self, side: Side, cloud: &'static str, trouble: Trouble) {
        if let Some(known) = self.controller(side).memory.clouds.get_mut(cloud) {
            known.is_looked_at = false;
        }
        self.cloud_failed(side, cloud, trouble);
        self.wake(side);
    }

    /// Notes that a cloud failed a call.
    pub(super) fn cloud_failed(&mut self, side: Side, cloud: &'static str, trouble: Trouble) {
        let now = self.clock(side);
        let (controller, luck) = self.with_luck(side);
        if let Some(known) = controller.memory.clouds.get_mut(cloud) {
            known.fail(cloud, &format!("{trouble:?}"), (luck, now));
        }
    }

    /// All that one look could see is there.
    pub(super) fn look_ends(
        &mut self,
        side: Side,
        cloud: &'static str,
        (shown, missing): (Vec<Shown>, Vec<String>),
        described: Result<Vec<Shown>, Trouble>,
    ) {
        let mut all: BTreeMap<String, Shown> = shown.into_iter().map(|it| (it.id.clone(), it)).collect();
        let asked: BTreeSet<String> = match described {
            Ok(found) => {
                all.extend(found.into_iter().map(|it| (it.id.clone(), it)));
                missing.into_iter().collect()
            }
            Err(_) => BTreeSet::new(),
        };
        let memory = &mut self.controller(side).memory;
        if let Some(known) = memory.clouds.get_mut(cloud) {
            known.is_looked_at = false;
        }
        memory.seen.push(Seen {
            cloud,
            shown: all,
            asked,
        });
        self.wake(side);
    }

    /// Draws the conclusions of what was seen.
    pub(super) fn conclude(&mut self, side: Side) -> Result<(), Stop> {
        for seen in std::mem::take(&mut self.controller(side).memory.seen) {
            let known = self.store.builders.values();
            let rows: Vec<Builder> = known.filter(|it| it.cloud == seen.cloud).cloned().collect();
            let doubt = seen.doubt(rows.iter());
            let now = self.clock(side);
            let (controller, luck) = self.with_luck(side);
            if let Some(cloud) = controller.memory.clouds.get_mut(seen.cloud) {
                match &doubt {
                    Some(words) => cloud.fail(seen.cloud, words, (luck, now)),
                    None => cloud.succeed(),
                }
            }
            for row in &rows {
                self.apply(side, row, &seen, doubt.is_some())?;
            }
            self.sort_out_orphans(side, &seen, &rows)?;
        }
        Ok(())
    }

    fn apply(&mut self, side: Side, row: &Builder, seen: &Seen, most_are_missing: bool) -> Result<(), Stop> {
        let Some(id) = &row.instance else {
            return Ok(());
        };
        let now = self.clock(side);
        let is_impatient = !self.store.guards.patience;
        let memory = &mut self.controller(side).memory;
        let step = match seen.shown.get(id) {
            Some(shown) => {
                memory.note_presence(id);
                let sight = Sight {
                    id,
                    state: shown.state,
                    address: shown.address.as_deref(),
                    why: Some("the cloud's reason").filter(|_| shown.is_taken_back),
                    is_taken_back: shown.is_taken_back,
                };
                sight::seen(row.state, &sight)
            }
            None if seen.lacks(id) && (memory.note_absence(id, most_are_missing, now) || is_impatient) => {
                sight::absent(row.state, id, now.since(row.entered_at), is_impatient)
            }
            None => None,
        };
        let Some(step) = step else { return Ok(()) };
        let is_taken_back = seen.shown.get(id).is_some_and(|it| it.is_taken_back);
        let before = is_taken_back.then(|| (self.counts_of(row), self.build_on(row)));
        let moved = unless_it_moved(self.advance(side, row, step, None));
        if let Some(before) = before {
            self.judge_taken_back(row, before);
        }
        moved
    }

    /// Instances with our tag that no builder's row has.
    fn sort_out_orphans(&mut self, side: Side, seen: &Seen, rows: &[Builder]) -> Result<(), Stop> {
        let known: BTreeSet<&String> = rows.iter().filter_map(|it| it.instance.as_ref()).collect();
        let mut orphans = BTreeSet::new();
        for shown in seen.shown.values() {
            let is_over = matches!(
                shown.state,
                InstanceState::Terminated | InstanceState::ShuttingDown
            );
            if is_over || known.contains(&shown.id) {
                continue;
            }
            let row = shown.builder.and_then(|id| rows.iter().find(|it| it.id == id));
            match row {
                Some(row) if row.state == BuilderState::Resolving => {
                    let step = launch::adopted(&shown.id);
                    unless_it_moved(self.advance(side, row, step, None))?;
                }
                Some(row) if row.state == BuilderState::Launching => {}
                _ if self
                    .store
                    .builders
                    .values()
                    .any(|it| it.instance.as_ref() == Some(&shown.id)) => {}
                _ => {
                    orphans.insert(shown.id.clone());
                }
            }
        }
        if orphans.is_empty() && !self.store.has_orphans() {
            return Ok(());
        }
        let (now, cloud) = (self.clock(side), seen.cloud);
        self.write(side, |store, lease| {
            store.record_sightings(lease, cloud, &orphans, now)
        })
    }
}

/// What was concluded for a builder that moved on meanwhile is left for the next round.
pub(super) fn unless_it_moved(moved: Result<Builder, Stop>) -> Result<(), Stop> {
    match moved {
        Ok(_) | Err(Stop::Conflict) => Ok(()),
        Err(stop) => Err(stop),
    }
}

#[cfg(test)]
mod tests;
