//! The controllers of the farm: real ones, each behind a gate of its own and with a clock of its own. One that is paused stands still
//! together with its clock; one that is killed is gone with all that it remembered, and another is started in its place.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use cloud::{Cloud, HostCloud};
use controller::{Calls, Clients, Context, Controller, Files, News, Reach, Term};
use model::{
    Timestamp,
    fleet::{FleetSpec, HOSTS},
};
use provisioner::Provisioner;
use runtime::{
    CancellationToken,
    clock::{Clock, ManualClock},
};
use shell::ClientKey;
use sim::{Fault, Rule};
use store::{Store, testing::Seam};
use tokio::{runtime::Handle, sync::watch, task::JoinHandle};

use crate::{
    door::Door,
    gate::Gate,
    machines::Ways,
    outside::{CLOUDS, Outside},
    programs::Programs,
};

/// When the world begins.
pub(crate) const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);
/// How wrong a clock is that was set by a step, and one that has jumped, in microseconds at most.
const STEP: u64 = 20_000_000;
const JUMP: u64 = 3_600_000_000;
/// How wrong a controller's clock is at least where a worker may pass for lost that lives.
const MUCH: u64 = 30_000_000;
/// How long a program waits that finds a fleet file with a mistake, before it is started again.
const STARTS_AGAIN: Duration = Duration::from_secs(5);
/// How often in a tick it might be struck: about as often as it writes or calls.
const DRAWS: usize = 4;
/// Within how many operations after one that was decided on a program is held.
const MOST_PASSES: u64 = 60;

/// What all controllers of a world begin with.
#[derive(Clone)]
pub(crate) struct Common {
    pub(crate) outside: Arc<Outside>,
    pub(crate) store: Store,
    /// The runtime in which the database lives.
    pub(crate) beside: Handle,
    /// The fleet file as it stands, or what is wrong with it; and how often it was written.
    pub(crate) fleet: Result<Arc<FleetSpec>, String>,
    pub(crate) version: u64,
    pub(crate) provisioner: Arc<Provisioner>,
    pub(crate) key: Arc<ClientKey>,
}

/// A place where a controller runs.
pub(crate) struct Place {
    name: &'static str,
    life: Option<Life>,
    /// What becomes of it when its gate closes.
    doom: Option<Doom>,
    /// When it is started, or goes on.
    next: Option<Duration>,
    /// By how much its host's clock is wrong, in microseconds.
    wrong: i64,
}

/// One life of a controller.
struct Life {
    gate: Arc<Gate>,
    clock: ManualClock,
    task: JoinHandle<Result<(), controller::Error>>,
    /// How far its clock is behind by now.
    behind: Duration,
    clouds: BTreeMap<String, Arc<dyn Cloud>>,
    reach: Arc<dyn Reach>,
    /// Where what it reads of the fleet file goes, and the version that it has read.
    news: watch::Sender<News>,
    read: u64,
}

#[derive(Clone, Copy)]
enum Doom {
    Killed,
    Paused(Duration),
}

/// The clouds, and the fixed hosts of a fleet file in the place of another one.
fn with_hosts(
    clouds: &BTreeMap<String, Arc<dyn Cloud>>,
    fleet: &FleetSpec,
) -> BTreeMap<String, Arc<dyn Cloud>> {
    let mut clouds = clouds.clone();
    clouds.retain(|name, _| fleet.clouds.contains_key(name));
    clouds.insert(HOSTS.to_owned(), Arc::new(HostCloud::new(fleet)));
    clouds
}

impl Common {
    /// Starts a controller on a host whose clock is wrong by so much.
    fn start(&self, fleet: &Arc<FleetSpec>, wrong: i64) -> Life {
        let beginning = NOW.plus(self.outside.with(|all| all.now));
        let beginning = Timestamp::from_micros(beginning.as_micros().saturating_add(wrong));
        let manual = ManualClock::new(beginning);
        let clock = Clock::Manual(manual.clone());
        let gate = Gate::new(&self.outside, clock.clone());
        let ways = Ways {
            outside: Arc::clone(&self.outside),
            gate: Arc::clone(&gate),
            clock: clock.clone(),
        };
        let clouds = CLOUDS.map(|name| {
            let door = Door {
                cloud: name,
                outside: Arc::clone(&self.outside),
                gate: Arc::clone(&gate),
                clock: clock.clone(),
            };
            (name.to_owned(), Arc::new(door) as Arc<dyn Cloud>)
        });
        let (clouds, reach) = (BTreeMap::from(clouds), Arc::new(ways) as Arc<dyn Reach>);
        let seam = Arc::clone(&gate) as Arc<dyn Seam>;
        let doors = clouds.clone();
        let context = Context {
            store: self.store.behind(seam, self.beside.clone()),
            fleet: Arc::clone(fleet),
            clouds: with_hosts(&clouds, fleet),
            clients: Clients::new(move |name, _| {
                let made = doors.get(name).map(Arc::clone);
                made.ok_or_else(|| "there is no such cloud".to_owned())
            }),
            calls: Calls::default(),
            term: Term::default(),
            provisioner: Arc::clone(&self.provisioner),
            reach: Arc::clone(&reach),
            key: Arc::clone(&self.key),
            builder_url: "http://farm".to_owned(),
            holder: format!("controller-{}", runtime::chance::new_id().simple()),
            clock,
            quiesce: CancellationToken::new(),
        };
        let programs = Programs {
            outside: Arc::clone(&self.outside),
            gate: Arc::clone(&gate),
        };
        let (sender, news) = watch::channel(News::default());
        let controller = Controller::new(context)
            .with_hooks_by(Arc::new(programs))
            .following(news);
        Life {
            gate,
            clock: manual,
            task: tokio::spawn(controller.run(CancellationToken::new())),
            behind: Duration::ZERO,
            clouds,
            reach,
            news: sender,
            read: self.version,
        }
    }
}

impl Place {
    pub(crate) const fn new(name: &'static str) -> Self {
        Self {
            name,
            life: None,
            doom: None,
            next: Some(Duration::ZERO),
            wrong: 0,
        }
    }

    fn start(&mut self, common: &Common) {
        let (name, now) = (self.name, common.outside.with(|all| all.now));
        let words = match &common.fleet {
            Ok(fleet) => {
                (self.life, self.next) = (Some(common.start(fleet, self.wrong)), None);
                format!("controller {name} starts")
            }
            Err(_) => {
                self.next = Some(now.saturating_add(STARTS_AGAIN));
                format!("controller {name} does not start: there is a mistake in the fleet file")
            }
        };
        common.outside.with(|all| all.tell(|| words));
    }

    /// Reads the fleet file anew where it has changed, as the program does beside its controller.
    pub(crate) fn read_file(&mut self, common: &Common) {
        let (name, is_held) = (self.name, self.is_held());
        let is_behind = |life: &&mut Life| !is_held && life.read != common.version;
        let Some(life) = self.life.as_mut().filter(is_behind) else {
            return;
        };
        let read = common.fleet.clone().map(|fleet| Files {
            clouds: with_hosts(&life.clouds, &fleet),
            fleet,
            provisioner: Arc::clone(&common.provisioner),
            reach: Arc::clone(&life.reach),
        });
        life.news.send_modify(|news| news.note(read));
        life.read = common.version;
        common
            .outside
            .with(|all| all.tell(|| format!("controller {name} reads the fleet file")));
    }

    /// Has chance decide whether its host's clock is set.
    pub(crate) fn may_be_set(&mut self, outside: &Outside) {
        let wrong_by = outside.with(|all| {
            let most = if all.luck.strikes(Fault::ClockJump) {
                JUMP
            } else if all.luck.strikes(Fault::ClockStep) {
                STEP
            } else {
                return None;
            };
            let wrong = all.luck.below(2 * most).cast_signed();
            Some(wrong.saturating_sub(most.cast_signed()))
        });
        if let Some(wrong) = wrong_by {
            self.set_clock(outside, wrong);
        }
        if self.wrong.unsigned_abs() >= MUCH {
            outside.with(|all| all.clocks_wrong_at = Some(all.now));
        }
    }

    /// Its host's clock is set, so that it is wrong by so much.
    fn set_clock(&mut self, outside: &Outside, wrong: i64) {
        let by = wrong.saturating_sub(self.wrong);
        self.wrong = wrong;
        if by == 0 {
            return;
        }
        if let Some(life) = &self.life {
            life.clock.set_by(by);
        }
        let name = self.name;
        outside.with(|all| all.tell(|| format!("the clock of controller {name} is wrong by {wrong} µs")));
    }

    /// Whether it stands still.
    fn is_held(&self) -> bool {
        self.life.as_ref().is_some_and(|life| life.gate.is_closed())
    }

    /// How long until it does something by itself; `None` where that is never.
    pub(crate) fn next_wake(&self, now: Duration) -> Option<Duration> {
        match (&self.life, self.next) {
            (_, Some(next)) => Some(next.saturating_sub(now)),
            (Some(life), None) => life.clock.next_wake(),
            (None, None) => None,
        }
    }

    /// Time passes.
    pub(crate) fn advance(&mut self, by: Duration) {
        let is_held = self.is_held();
        if let Some(life) = &mut self.life {
            if is_held {
                life.behind = life.behind.saturating_add(by);
            } else {
                life.clock.advance(by);
            }
        }
    }

    /// Has chance decide whether it is killed or paused, at one of the next things that it asks for.
    pub(crate) fn may_be_struck(&mut self, outside: &Outside) {
        let Some(life) = self.life.as_ref().filter(|_| self.doom.is_none()) else {
            return;
        };
        self.doom = outside.with(|all| {
            let mut strikes = |faults: [Fault; 2]| {
                let draws = faults.into_iter().cycle().take(2 * DRAWS);
                draws.into_iter().any(|fault| all.luck.strikes(fault))
            };
            let doom = if strikes([Fault::ControllerKilled, Fault::KilledAtCall]) {
                Doom::Killed
            } else if strikes([Fault::PausedAtCommit, Fault::PausedAtCall]) {
                Doom::Paused(all.luck.seconds(5, 240))
            } else {
                return None;
            };
            life.gate.close_after(all.luck.below(MOST_PASSES));
            Some(doom)
        });
    }

    /// Starts it, ends it or has it go on, where that is due; whether it did. Nothing is under way anywhere but what waits.
    pub(crate) fn go_on(&mut self, common: &Common) -> bool {
        let (name, now) = (self.name, common.outside.with(|all| all.now));
        if self.life.as_ref().is_some_and(|life| life.gate.is_killed()) {
            self.doom = Some(Doom::Killed);
        }
        let is_due = self.next.is_some_and(|next| next <= now);
        match (&mut self.life, self.doom) {
            (None, _) if is_due => self.start(common),
            (Some(life), Some(Doom::Paused(_))) if is_due && self.next.is_some() => {
                // Which of the two is first is chance: its timers, or what it was about to do.
                let is_clock_first = common.outside.with(|all| {
                    all.tell(|| format!("controller {name} goes on"));
                    all.luck.once_in(2)
                });
                let behind = std::mem::take(&mut life.behind);
                if is_clock_first {
                    life.clock.advance(behind);
                }
                life.gate.open();
                if !is_clock_first {
                    life.clock.advance(behind);
                }
                (self.doom, self.next) = (None, None);
            }
            (Some(life), Some(doom)) if self.next.is_none() && life.gate.is_closed() => {
                self.next = Some(common.outside.with(|all| match doom {
                    Doom::Killed => {
                        all.tell(|| format!("controller {name} is killed"));
                        now.saturating_add(all.luck.seconds(1, 40))
                    }
                    Doom::Paused(lasts) => {
                        all.tell(|| format!("controller {name} is paused for {} s", lasts.as_secs()));
                        now.saturating_add(lasts)
                    }
                }));
                if matches!(doom, Doom::Killed) {
                    life.gate.kill();
                    life.task.abort();
                    (self.life, self.doom) = (None, None);
                }
            }
            (Some(life), _) if life.task.is_finished() => {
                let words = format!("controller {name} has ended by itself");
                common.outside.with(|all| all.violate(Rule::Moves, words));
            }
            _ => return false,
        }
        true
    }

    /// From now on nothing strikes it any more. What is held already goes on as it would.
    pub(crate) fn calm_down(&mut self, outside: &Outside) {
        self.set_clock(outside, 0);
        if let Some(life) = self.life.as_mut().filter(|life| !life.gate.is_closed()) {
            life.gate.open();
            self.doom = None;
        }
    }
}
