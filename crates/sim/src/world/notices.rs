//! Connections to machines of the spot market, over which controllers hear that a cloud takes one back.

use std::time::Duration;

use model::{BuilderId, mark::Mark, step::notice};

use super::{World, machines::Reached, seconds};
use crate::{
    controller::Watch,
    event::{Side, Task},
    luck::Fault,
    store::{Builder, Stop},
};

/// What a machine says that is told of its end.
const NOTICE: &str = "its notice names terminate";
/// How often a machine looks whether it is told anything.
const LOOKS_EVERY: u64 = 5;
/// How long a connection to a machine that says nothing seems to be there.
const SEEMS_OPEN: u64 = 45;

impl World {
    /// Connects to machines that are to be waited for, and leaves the others.
    pub(super) fn wait_for_notices(&mut self, side: Side) {
        let (now, builders) = (self.now, &self.store.builders);
        let controller = match side {
            Side::One => &mut self.one,
            Side::Other => &mut self.other,
        };
        let memory = &mut controller.memory;
        let is_there = |id: &BuilderId| builders.get(id).is_some_and(is_watched);
        memory.watch_pauses.keep(is_there);
        memory.told_of.keep(is_there);
        memory.watched.retain(|id, _| is_there(id));
        let mut begun = Vec::new();
        for row in builders.values().filter(|row| is_watched(row)) {
            let is_under_way = memory.watched.contains_key(&row.id);
            if memory.told_of.is_over(row.id) || is_under_way || memory.watch_pauses.holds(&row.id, now) {
                continue;
            }
            let number = memory.next_number();
            let is_open = false;
            memory.watched.insert(row.id, Watch { number, is_open });
            begun.push((row.clone(), number));
        }
        for (row, number) in begun {
            let soon = self.luck.millis(20, 300);
            self.task(side, soon, Task::Watch(Box::new(row), number));
        }
    }

    /// A connection is made, or not.
    pub(super) fn watch(&mut self, side: Side, row: &Builder, number: u64) {
        if !self.is_watch(side, row.id, number) {
            return;
        }
        let outcome = match self.reach(row) {
            Reached::Machine(machine) if !machine.has_metadata => Ok(None),
            Reached::Machine(machine) if machine.is_noticed => Ok(Some(NOTICE.to_owned())),
            Reached::Machine(_) => {
                if let Some(watch) = self.controller(side).memory.watched.get_mut(&row.id) {
                    watch.is_open = true;
                }
                if self.luck.strikes(Fault::WatchBreaks) {
                    let lasts = self.luck.seconds(5, 600);
                    self.task(side, lasts, Task::WatchEnds(row.id, number, Err(())));
                }
                return;
            }
            Reached::Stranger => Err(()),
            Reached::Nobody => {
                return self.task(side, seconds(10), Task::WatchEnds(row.id, number, Err(())));
            }
        };
        self.watch_ends(side, (row.id, number), outcome);
    }

    fn is_watch(&self, side: Side, id: BuilderId, number: u64) -> bool {
        let watch = self.looks_like(side).memory.watched.get(&id);
        watch.is_some_and(|it| it.number == number)
    }

    /// A wait has ended: with a notice, because there will be none, or because the connection broke.
    pub(super) fn watch_ends(
        &mut self,
        side: Side,
        (id, number): (BuilderId, u64),
        outcome: Result<Option<String>, ()>,
    ) {
        if !self.is_watch(side, id, number) {
            return;
        }
        let now = self.now;
        let (controller, luck) = self.with_luck(side);
        controller.memory.watched.remove(&id);
        match outcome {
            Ok(notice) => controller.memory.told_of.take(id, notice),
            Err(()) => controller.memory.watch_pauses.after_step(id, None, (luck, now)),
        }
        self.wake(side);
    }

    /// A machine is told that it is taken back: whoever is connected to it hears that soon.
    pub(super) fn notice_comes(&mut self, cloud: &'static str, instance: &str) {
        let machine = self.clouds.get(cloud).and_then(|it| it.machines.get(instance));
        let Some(machine) = machine.filter(|it| it.has_metadata && it.answers(self.now)) else {
            return;
        };
        if self.network.hides(machine, self.now) {
            return;
        }
        for (side, id, number) in self.watches_of(cloud, instance) {
            let soon = self.luck.millis(50, LOOKS_EVERY.saturating_mul(1000));
            let told = Ok(Some(NOTICE.to_owned()));
            self.task(side, soon, Task::WatchEnds(id, number, told));
        }
    }

    /// A machine says nothing any more: what is connected to it notices that after a while, and hears nothing meanwhile.
    pub(super) fn watches_break(&mut self, cloud: &'static str, instance: &str) {
        for (side, id, number) in self.watches_of(cloud, instance) {
            if let Some(watch) = self.controller(side).memory.watched.get_mut(&id) {
                watch.is_open = false;
            }
            let after = Duration::from_secs(1).saturating_add(self.luck.seconds(0, SEEMS_OPEN));
            self.task(side, after, Task::WatchEnds(id, number, Err(())));
        }
    }

    /// The connections to a machine, each with its controller, builder and number.
    fn watches_of(&self, cloud: &str, instance: &str) -> Vec<(Side, BuilderId, u64)> {
        let is_its = |row: &&Builder| row.cloud == cloud && row.instance.as_deref() == Some(instance);
        let Some(row) = self.store.builders.values().find(is_its) else {
            return Vec::new();
        };
        let of = |side| {
            let watch = self.looks_like(side).memory.watched.get(&row.id);
            let watch = watch.filter(|it| it.is_open)?;
            Some((side, row.id, watch.number))
        };
        [Side::One, Side::Other].into_iter().filter_map(of).collect()
    }

    /// Writes down what machines were told by their clouds.
    pub(super) fn take_up_notices(&mut self, side: Side) -> Result<(), Stop> {
        let told = &self.looks_like(side).memory.told_of;
        let heard = |row: &Builder| Some((row.id, row.cloud, told.notice(row.id)?.to_owned()));
        let heeds = self.store.guards.notices;
        let rows = self
            .store
            .builders
            .values()
            .filter(|row| heeds && is_watched(row));
        let about: Vec<(BuilderId, &'static str, String)> = rows.filter_map(heard).collect();
        for (id, cloud, words) in about {
            let mark = Mark::taken_back(cloud, &words);
            tell!(self, "{id} is {}", mark.in_words());
            self.write(side, |store, lease| store.mark_builder(lease, id, mark))?;
        }
        Ok(())
    }
}

fn is_watched(row: &Builder) -> bool {
    let market = row.launch.as_ref().map(|launch| launch.offering.market);
    notice::is_watched(row.state, market, row.mark.as_ref().map(|mark| mark.kind))
}

#[cfg(test)]
mod tests;
