//! A simulated world: its time, what happens in it, and who does what then.

/// Tells what happened, where somebody wants to know.
macro_rules! tell {
    ($world:expr, $($words:tt)+) => {
        if $world.trace.is_some() {
            let words = format!($($words)+);
            $world.tell(words);
        }
    };
}

mod hooks;
mod lead;
mod lives;
mod looks;
mod machines;
mod notices;
mod outside;
mod promises;
mod rules;
mod steps;
mod work;

use std::{
    collections::{BTreeMap, BinaryHeap, VecDeque},
    sync::Arc,
    time::Duration,
};

use model::{AttemptId, BuilderId, PoolName, Timestamp};

use crate::{
    Report, Scene, Violation,
    cloud::Cloud,
    controller::{Controller, shown_by_clock},
    event::{Due, Event, Side, Task},
    guards::Guards,
    luck::{Fault, Luck},
    setting::{CLOUDS, File, Setting},
    store::{Stop, Store},
};
use hooks::Program;
use machines::Network;
use promises::Watched;
use work::Worker;

/// How many workers there are.
const WORKERS: u8 = 3;

pub(crate) const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// All that there is.
pub(crate) struct World {
    seed: u64,
    now: Duration,
    /// How many events were foreseen so far.
    foreseen: u64,
    events: BinaryHeap<Due>,
    luck: Luck,
    setting: Setting,
    /// The fleet file as it lies there.
    file: Arc<File>,
    store: Store,
    clouds: BTreeMap<&'static str, Cloud>,
    one: Controller,
    other: Controller,
    workers: BTreeMap<u8, Worker>,
    /// The network between the farm and its machines.
    network: Network,
    /// The programs of hooks that run.
    programs: Vec<Program>,
    watched: Watched,
    /// How many build chroots were wanted so far.
    submitted: u32,
    /// The highest maximum that each pool had.
    most: BTreeMap<PoolName, usize>,
    /// On which builder each attempt was begun.
    begun: BTreeMap<AttemptId, BuilderId>,
    is_settled: bool,
    violation: Option<Violation>,
    /// What happened last, where somebody wants to know, and how much of it is kept.
    trace: Option<VecDeque<String>>,
    told: usize,
}

impl World {
    pub(crate) fn of(scene: &Scene) -> Self {
        let mut luck = Luck::of(scene.seed);
        let setting = Setting::of(&mut luck);
        if let Some(faults) = &scene.only {
            luck.keep_only(faults);
        }
        Self::new((scene.seed, luck), setting, scene.guards, scene.told)
    }

    /// A small one with hooks and the spot market, in which a fault strikes once, at the moment after so many others at which it could
    /// have.
    pub(crate) fn struck_once(fault: Fault, spared: u64, told: usize) -> Self {
        let mut luck = Luck::once(fault, spared);
        let setting = Setting::small(&mut luck).with_hooks_and_spot();
        Self::new((0, luck), setting, Guards::default(), told)
    }

    fn new((seed, luck): (u64, Luck), setting: Setting, guards: Guards, told: usize) -> Self {
        let file = Arc::new(setting.file.clone());
        let clouds = CLOUDS.map(|name| (name, Cloud::new(name, setting.quota, setting.shown_for)));
        let mut world = Self {
            seed,
            now: Duration::ZERO,
            foreseen: 0,
            events: BinaryHeap::new(),
            luck,
            file: Arc::clone(&file),
            store: Store::new(guards),
            clouds: clouds.into(),
            one: Controller::new(1, Arc::clone(&file)),
            other: Controller::new(2, file),
            workers: (1..=WORKERS).map(|name| (name, Worker::default())).collect(),
            network: Network::default(),
            programs: Vec::new(),
            watched: Watched::default(),
            submitted: 0,
            most: BTreeMap::new(),
            begun: BTreeMap::new(),
            is_settled: false,
            violation: None,
            trace: (told > 0).then(VecDeque::new),
            told,
            setting,
        };
        world.note_sizes();
        world.begin_all();
        world
    }

    /// Foresees the first of all that goes on by itself.
    fn begin_all(&mut self) {
        for side in [Side::One, Side::Other] {
            let after = self.luck.millis(0, 3000);
            self.plan_round(side, after);
        }
        for name in 1..=WORKERS {
            let after = self.luck.millis(0, 5000);
            self.after(after, Event::Worker(name, 0));
        }
        self.after(Duration::ZERO, Event::Submit);
        self.after(seconds(10), Event::Weather);
        self.after(self.setting.calm_at, Event::Calm);
    }

    /// Lets all happen until everything is settled or a rule is broken.
    pub(crate) fn run(mut self) -> Report {
        while self.violation.is_none() && !self.is_settled {
            let Some(due) = self.events.pop() else { break };
            self.now = due.at;
            self.happen(due.event);
            self.look_at_rules();
        }
        Report {
            seed: self.seed,
            lifecycles: self.store.ended.len(),
            lasted: self.now,
            events: self.foreseen,
            met: self.luck.met(),
            violation: self.violation,
            trace: self.trace.unwrap_or_default().into(),
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Submit => self.submit(),
            Event::Weather => self.weather(),
            Event::Calm => self.calm_down(),
            Event::Machine(cloud, id, change) => self.machine_changes(cloud, &id, change),
            Event::Arrives(side, life, call) => self.arrives(side, life, *call),
            Event::Controller(side, life, task) => self.controller_does(side, life, task),
            Event::Wakes(side) => self.wakes(side),
            Event::Worker(name, life) => self.worker_looks(name, life),
            Event::WorkerWakes(name) => self.worker_wakes(name),
        }
    }

    fn controller_does(&mut self, side: Side, life: u64, task: Task) {
        let controller = self.controller(side);
        if !controller.is_up || controller.life != life {
            return;
        }
        if controller.is_paused {
            controller.backlog.push(task);
            return;
        }
        match task {
            Task::Round(number) => self.round(side, number),
            Task::Commit(decided) => self.commit(side, *decided),
            Task::KeepLease(epoch) => self.keep_lease(side, epoch),
            Task::Send(call) => self.leaves(side, call),
            Task::Answer(then, heard) => self.answered(side, then, heard),
            Task::Connect(builder, number) => self.connect(side, *builder, number),
            Task::Played(builder, number) => self.played(side, *builder, number),
            Task::Live(id, since, answer) => self.live_answered(side, (id, since), answer),
            Task::Watch(builder, number) => self.watch(side, &builder, number),
            Task::WatchEnds(id, number, outcome) => self.watch_ends(side, (id, number), outcome),
            Task::Hook(run, number, left) => self.hook_begins(side, &run, number, left),
            Task::HookEnds(run, number, end) => self.hook_ends(side, &run, number, &end),
            Task::Dies => self.kill(side),
        }
    }

    /// Foresees an event.
    fn after(&mut self, pause: Duration, event: Event) {
        self.foreseen = self.foreseen.saturating_add(1);
        self.events.push(Due {
            at: self.now.saturating_add(pause),
            nth: self.foreseen,
            event,
        });
    }

    /// Foresees what a controller does in this life of it.
    fn task(&mut self, side: Side, pause: Duration, task: Task) {
        let life = self.controller(side).life;
        self.after(pause, Event::Controller(side, life, task));
    }

    const fn controller(&mut self, side: Side) -> &mut Controller {
        match side {
            Side::One => &mut self.one,
            Side::Other => &mut self.other,
        }
    }

    const fn looks_like(&self, side: Side) -> &Controller {
        match side {
            Side::One => &self.one,
            Side::Other => &self.other,
        }
    }

    /// A controller and the luck beside it.
    const fn with_luck(&mut self, side: Side) -> (&mut Controller, &mut Luck) {
        match side {
            Side::One => (&mut self.one, &mut self.luck),
            Side::Other => (&mut self.other, &mut self.luck),
        }
    }

    /// What a controller's clock shows.
    fn clock(&self, side: Side) -> Timestamp {
        shown_by_clock(self.now, self.looks_like(side).skew)
    }

    /// One transaction of a controller: it may be killed before and after it, and may not learn what came of it.
    fn write<T>(
        &mut self,
        side: Side,
        work: impl FnOnce(&mut Store, i64) -> Result<T, Stop>,
    ) -> Result<T, Stop> {
        let lease = self.looks_like(side).lease.ok_or(Stop::LeaseLost)?;
        if self.luck.strikes(Fault::ControllerKilled) {
            self.kill(side);
            return Err(Stop::Killed);
        }
        if self.luck.strikes(Fault::DatabaseAway) {
            return Err(Stop::Away);
        }
        let done = work(&mut self.store, lease.epoch)?;
        if self.luck.strikes(Fault::ControllerKilled) {
            self.kill(side);
            return Err(Stop::Killed);
        }
        if self.luck.strikes(Fault::CommitUnknown) {
            return Err(Stop::Away);
        }
        Ok(done)
    }

    /// Keeps the last of what is told.
    fn tell(&mut self, words: String) {
        let at = self.now.as_secs_f64();
        let told = self.told;
        if let Some(trace) = &mut self.trace {
            if trace.len() >= told {
                trace.pop_front();
            }
            trace.push_back(format!("{at:>10.3} {words}"));
        }
    }
}

#[cfg(test)]
mod tests;
