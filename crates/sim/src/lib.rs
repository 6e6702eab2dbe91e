//! A fleet in a simulated world: the farm's own decisions, driven from a seed through faults that real clouds and hosts have.
//!
//! What decides is the crate `model` as it is: plans, steps, what sights and answers mean, what becomes of a builder after its
//! use. What is simulated is everything around it: tables in memory that keep the promises of the real store, controllers that
//! carry the decisions out in the order of the real one, workers, operators, and clouds that lie, lose answers and machines; the
//! network between the farm and its machines, the notices of the spot market, and the programs of hooks. A
//! controller may be killed beside each write and each call, and be paused between a decision and its being written down, or
//! between what it wrote down and the call.
//!
//! At a moment that the seed chooses all faults stop, and everything has to finish. The rules in [`Rule`] are looked at wherever
//! one could be broken. The same seed gives the same world, so that what is found can be seen again.
//!
//! Clocks are set by up to 20 seconds; a jump of an hour happens, too. While the clocks of a controller and a worker are 45 seconds
//! apart or more, a build may be taken for dead that lives: that alone is not counted as a broken rule then.
//!
//! A broken rule is made smaller (`shrink`): to the few faults of its seed that it takes.
//!
//! Its clouds and its chance are also those of the worlds with the real controller and store (`controller/examples/storm`).
//!
//! Start reading at `world`, which says what happens, and at `world::rules` and `world::promises`.

pub mod cloud;
mod controller;
mod event;
mod guards;
pub mod luck;
mod pauses;
mod setting;
mod shrink;
mod store;
mod world;

use std::{collections::BTreeSet, fmt, time::Duration};

pub use guards::Guards;
pub use luck::Fault;
pub use shrink::shrink;
use world::World;

/// How many of the last events are told beside a broken rule.
pub const LAST_EVENTS: usize = 30;

/// What holds whatever goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Once all is settled, every machine with our tag is a living builder's.
    Leak,
    /// One builder, one attempt, one machine.
    DoubleHandOut,
    /// No attempt whose worker lives loses its machine to us, unless an operator says so.
    BusyKill,
    /// No pool has more builders, or machines, than its maximum.
    AboveMax,
    /// No build finds what another sandbox's left, runs on what was not cleaned, or has its machine changed beneath it.
    Sandbox,
    /// What is asked of a cloud is on record first.
    Record,
    /// Machines of others are left alone.
    Stranger,
    /// Builders make only the moves that the model lists.
    Moves,
    /// A live check ends what did not answer for a while, and neither what does nor all that an outage of our own hides.
    Live,
    /// Whom its cloud takes back gets no more work, and what is lost with it is nobody's failure.
    Notice,
    /// Hooks run in their order, each try under a key of its own, and keep no machine from its end.
    Hook,
    /// No machine is made that its cloud's limit of money has no room for.
    Money,
    /// Once the faults stop, everything finishes.
    Finish,
}

impl Rule {
    /// The breach, in words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Leak => "a machine leaks",
            Self::DoubleHandOut => "a builder, an attempt or a machine is handed out twice",
            Self::BusyKill => "a builder at work is ended",
            Self::AboveMax => "a pool is above its maximum",
            Self::Sandbox => "a build finds what another left, or is disturbed",
            Self::Record => "a cloud is asked for what is not on record",
            Self::Stranger => "a stranger's machine is touched",
            Self::Moves => "a builder makes a move that there is not",
            Self::Live => "a live check ends a good builder, or leaves a bad one",
            Self::Notice => "a notice is not heeded, or is held against somebody",
            Self::Hook => "a hook is left out, run otherwise than it should be, or holds an end up",
            Self::Money => "a cloud costs more than it may",
            Self::Finish => "something does not finish",
        }
    }
}

/// A rule that was broken.
#[derive(Clone, Debug)]
pub struct Violation {
    pub seed: u64,
    /// How long the world had been there.
    pub at: Duration,
    pub rule: Rule,
    /// By what, as a sentence for people.
    pub words: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            seed,
            at,
            rule,
            words,
        } = self;
        let (at, rule) = (at.as_secs_f64(), rule.words());
        write!(f, "seed {seed}, {at:.3} s: {rule}: {words}")
    }
}

/// What came of a seed.
#[derive(Debug)]
pub struct Report {
    pub seed: u64,
    /// How many builders lived and ended.
    pub lifecycles: usize,
    /// How long it lasted, in simulated time.
    pub lasted: Duration,
    /// How many events there were.
    pub events: u64,
    /// How often each fault struck, in the order of [`Fault::ALL`].
    pub met: Vec<u64>,
    /// The first rule that was broken.
    pub violation: Option<Violation>,
    /// The last events, where they were asked for.
    pub trace: Vec<String>,
}

/// Which world is run, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scene {
    pub seed: u64,
    pub guards: Guards,
    /// The only faults that strike, where not all of the seed's do.
    pub only: Option<BTreeSet<Fault>>,
    /// How many of the last events are told.
    pub told: usize,
}

impl Scene {
    /// The world of a seed with all guards and all of its faults.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        Self {
            seed,
            guards: Guards::default(),
            only: None,
            told: 0,
        }
    }

    /// Runs it to its end.
    #[must_use]
    pub fn run(&self) -> Report {
        World::of(self).run()
    }
}

/// Runs a small world in which a fault strikes once, at the moment after so many others at which it could have; the last events are
/// told. `None` when there is no such moment.
#[must_use]
pub fn run_struck_once(fault: Fault, spared: u64) -> Option<Report> {
    let report = World::struck_once(fault, spared, LAST_EVENTS).run();
    report.met.iter().any(|met| *met > 0).then_some(report)
}

#[cfg(test)]
mod tests;
