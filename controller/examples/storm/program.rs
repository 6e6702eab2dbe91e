//! The controllers of the farm: real ones, each behind a gate of its own and with a clock of its own. One that is paused stands still
//! together with its clock; one that is killed is gone with all that it remembered, and another is started in its place.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use cloud::Cloud;
use controller::{Calls, Context, Controller, Reach, Term};
use model::{Timestamp, fleet::FleetSpec};
use provisioner::Provisioner;
use runtime::{
    CancellationToken,
    clock::{Clock, ManualClock},
};
use shell::ClientKey;
use sim::{Fault, Rule};
use store::{Store, testing::Seam};
use tokio::{runtime::Handle, task::JoinHandle};

use crate::{
    door::Door,
    gate::Gate,
    machines::Ways,
    outside::{CLOUDS, Outside},
};

/// When the world begins.
pub(crate) const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);
/// How far the clock of a controller may be from the others, in seconds.
const MOST_SKEW: u64 = 10;
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
    pub(crate) fleet: Arc<FleetSpec>,
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
}

/// One life of a controller.
struct Life {
    gate: Arc<Gate>,
    clock: ManualClock,
    task: JoinHandle<Result<(), controller::Error>>,
    /// How far its clock is behind by now.
    behind: Duration,
}

#[derive(Clone, Copy)]
enum Doom {
    Killed,
    Paused(Duration),
}

impl Common {
    fn start(&self) -> Life {
        let beginning = self.outside.with(|all| {
            let skew = match all.luck.strikes(Fault::ClockStep) {
                true => all.luck.seconds(0, 2 * MOST_SKEW),
                false => Duration::from_secs(MOST_SKEW),
            };
            let now = NOW.plus(all.now).plus(skew);
            Timestamp::from_micros(
                now.as_micros()
                    .saturating_sub(MOST_SKEW.cast_signed() * 1_000_000),
            )
        });
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
        let seam = Arc::clone(&gate) as Arc<dyn Seam>;
        let context = Context {
            store: self.store.behind(seam, self.beside.clone()),
            fleet: Arc::clone(&self.fleet),
            clouds: BTreeMap::from(clouds),
            calls: Calls::default(),
            term: Term::default(),
            provisioner: Arc::clone(&self.provisioner),
            reach: Arc::new(ways) as Arc<dyn Reach>,
            key: Arc::clone(&self.key),
            builder_url: "http://farm".to_owned(),
            holder: format!("controller-{}", runtime::chance::new_id().simple()),
            clock,
            quiesce: CancellationToken::new(),
        };
        let task = tokio::spawn(Controller::new(context).run(CancellationToken::new()));
        Life {
            gate,
            clock: manual,
            task,
            behind: Duration::ZERO,
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
        }
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
        let is_due = self.next.is_some_and(|next| next <= now);
        match (&mut self.life, self.doom) {
            (None, _) if is_due => {
                common
                    .outside
                    .with(|all| all.tell(|| format!("controller {name} starts")));
                (self.life, self.next) = (Some(common.start()), None);
            }
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
    pub(crate) fn calm_down(&mut self) {
        if let Some(life) = self.life.as_mut().filter(|life| !life.gate.is_closed()) {
            life.gate.open();
            self.doom = None;
        }
    }
}
