//! Faults that are made on purpose, asked for at the control endpoint: one at a time ([`Fault`]), or a whole plan
//! ([`FaultPlan`]) of what becomes of calls.

mod effect;
mod limits;
mod plan;
mod reading;
mod work;

use std::{
    mem::discriminant,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use self::{
    effect::{Effect, Stage, check_time},
    limits::{Level, Shortage},
    plan::{MOST_RULES, Rule, all, one},
    reading::Document,
};
pub(crate) use self::{
    effect::{Market, When},
    limits::{Held, Quotas},
    plan::FaultPlan,
    reading::read,
    work::{PageFault, Work},
};

/// A fault as the body of `POST /_devcloud/fault` names it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "fault", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Fault {
    /// The link of an instance is cut; nothing is closed.
    Partition {
        /// The instance's id.
        instance: String,
    },
    /// The link is mended.
    Heal {
        /// The instance's id.
        instance: String,
    },
    /// All processes of an instance stand still.
    Freeze {
        /// The instance's id.
        instance: String,
    },
    /// They go on.
    Thaw {
        /// The instance's id.
        instance: String,
    },
    /// An instance is gone without a word to those connected to it.
    PowerCut {
        /// The instance's id.
        instance: String,
    },
    /// The cloud takes an instance back, as it does with those of the spot market.
    SpotLoss {
        /// The instance's id.
        instance: String,
        /// How long before that it is told, in the metadata service.
        #[serde(default)]
        notice_milliseconds: u64,
    },
    /// The next calls of RunInstances fail.
    FailRunInstances {
        /// The error's code, such as `InsufficientInstanceCapacity`.
        code: String,
        /// How many calls.
        #[serde(default = "one")]
        count: u64,
    },
    /// The next calls of RunInstances do their work and their answers are lost.
    LoseAnswer {
        /// How many calls.
        #[serde(default = "one")]
        count: u64,
        /// Whether the client waits in vain instead of seeing a reset.
        #[serde(default)]
        hang: bool,
    },
    /// The instances of the next calls of RunInstances never open their public address.
    NoSsh {
        /// How many calls.
        #[serde(default = "one")]
        count: u64,
    },
}

impl Document for Fault {
    const MAPPINGS: &'static [&'static str] = &[""];
    const TAG: Option<&'static str> = Some("fault");
}

/// What becomes of an answer that is to be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LostAnswer {
    /// The connection is reset.
    Reset,
    /// Nothing comes.
    Hang,
}

impl LostAnswer {
    fn of(hang: bool) -> Self {
        if hang { Self::Hang } else { Self::Reset }
    }
}

/// What strikes a call before its work is done, and while it is.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Struck {
    pub(crate) pause: Option<Duration>,
    /// The code of the error that is answered instead.
    pub(crate) failure: Option<String>,
    pub(crate) work: Work,
}

/// What strikes a call whose work was done.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct StruckAfter {
    pub(crate) pause: Option<Duration>,
    /// The code of the error that is answered although all is done.
    pub(crate) failure: Option<String>,
    pub(crate) lost: Option<LostAnswer>,
}

/// Tells milliseconds that have passed since any moment.
type Clock = Box<dyn Fn() -> u64 + Send + Sync>;

/// The plan as far as it is still to come.
pub(crate) struct Faults {
    left: Mutex<Left>,
    clock: Clock,
}

impl Default for Faults {
    fn default() -> Self {
        let began = Instant::now();
        Self::new(Box::new(move || {
            u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX)
        }))
    }
}

#[derive(Default)]
struct Left {
    plan: FaultPlan,
    /// What the clock said when the plan was made.
    since: u64,
    /// How often a die was cast.
    casts: u64,
    levels: Vec<Level>,
    shortages: Vec<Shortage>,
}

impl Faults {
    fn new(clock: Clock) -> Self {
        Self {
            left: Mutex::default(),
            clock,
        }
    }

    /// Replaces what was planned. The plan has to be a checked one.
    pub(crate) fn set(&self, plan: FaultPlan) {
        *self.left() = Left {
            levels: plan.buckets.iter().map(Level::full).collect(),
            plan,
            since: (self.clock)(),
            ..Left::default()
        };
    }

    /// Lines up a fault that the next launches meet. One of an instance is not lined up: it is made at once.
    pub(crate) fn line_up(&self, fault: &Fault) -> Result<(), String> {
        let (count, effect) = match fault.clone() {
            Fault::FailRunInstances { code, count } => (count, Effect::Fail { code, done: false }),
            Fault::LoseAnswer { count, hang } => {
                let when = When::After;
                (count, Effect::LoseAnswer { hang, when })
            }
            Fault::NoSsh { count } => (count, Effect::NoSsh),
            Fault::SpotLoss {
                notice_milliseconds, ..
            } => return check_time("notice_milliseconds", notice_milliseconds, 0),
            _ => return Ok(()),
        };
        let rule = Rule::of_launches(count, effect);
        rule.check(|_| true)?;
        let rules = &mut self.left().plan.rules;
        if rules.len() >= MOST_RULES {
            return Err(format!("more than {MOST_RULES} faults are lined up"));
        }
        rules.push(rule);
        Ok(())
    }

    /// What strikes a call on its way here: whether its answer is lost, and when.
    pub(crate) fn arriving(&self, action: &str) -> Option<(LostAnswer, When)> {
        let struck = self.strike(action, Stage::Arrival);
        struck.into_iter().find_map(|effect| match effect {
            Effect::LoseAnswer { hang, when } => Some((LostAnswer::of(hang), when)),
            _ => None,
        })
    }

    /// The code of the refusal of a call that is one too many; `instances` is how many it is for.
    pub(crate) fn throttle(&self, action: &str, instances: u64) -> Option<String> {
        let now = self.milliseconds();
        let mut left = self.left();
        // Each bucket gives, whether another one is empty or not.
        let refusals: Vec<String> = left
            .levels
            .iter_mut()
            .filter_map(|level| level.take(action, instances, now))
            .collect();
        refusals.into_iter().next()
    }

    /// What strikes a call that has come. One that fails meets nothing else.
    pub(crate) fn before(&self, action: &str) -> Struck {
        let pause = pause(&self.strike(action, Stage::Wait));
        let failure = failure(&self.strike(action, Stage::Refusal));
        if failure.is_some() {
            return Struck {
                pause,
                failure,
                ..Struck::default()
            };
        }
        let now = self.milliseconds();
        let work = self.left().work(action, now);
        Struck { pause, failure, work }
    }

    /// What strikes a call that was done.
    pub(crate) fn after(&self, action: &str) -> StruckAfter {
        let struck = self.strike(action, Stage::Done);
        StruckAfter {
            pause: pause(&struck),
            failure: failure(&struck),
            lost: struck.iter().find_map(|effect| match effect {
                Effect::LoseAnswer { hang, .. } => Some(LostAnswer::of(*hang)),
                _ => None,
            }),
        }
    }

    /// Whether there is no room for such an instance now.
    pub(crate) fn is_short(&self, instance_type: &str, zone: &str, market: Market) -> bool {
        let now = self.milliseconds();
        let left = self.left();
        left.shortages
            .iter()
            .any(|shortage| shortage.is_of(instance_type, zone, market, now))
    }

    /// How much the account may have.
    pub(crate) fn quotas(&self) -> Quotas {
        self.left().plan.quotas
    }

    fn strike(&self, action: &str, stage: Stage) -> Vec<Effect> {
        let now = self.milliseconds();
        self.left().strike(action, stage, now)
    }

    /// How long ago the plan was made.
    fn milliseconds(&self) -> u64 {
        (self.clock)().saturating_sub(self.left().since)
    }

    fn left(&self) -> std::sync::MutexGuard<'_, Left> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn pause(struck: &[Effect]) -> Option<Duration> {
    struck.iter().find_map(|effect| match effect {
        Effect::Pause { milliseconds, .. } => Some(Duration::from_millis(*milliseconds)),
        _ => None,
    })
}

fn failure(struck: &[Effect]) -> Option<String> {
    struck.iter().find_map(|effect| match effect {
        Effect::Fail { code, .. } => Some(code.clone()),
        _ => None,
    })
}

impl Left {
    /// What goes wrong with the work of a call. A shortage that begins with it is kept.
    fn work(&mut self, action: &str, now: u64) -> Work {
        let effects = self.strike(action, Stage::Work, now);
        self.shortages.retain(|shortage| now < shortage.until);
        for effect in &effects {
            if let Effect::Shortage {
                milliseconds,
                instance_type,
                zone,
                market,
            } = effect
            {
                self.shortages.push(Shortage {
                    instance_type: instance_type.clone(),
                    zone: zone.clone(),
                    market: *market,
                    until: now.saturating_add(*milliseconds),
                });
            }
        }
        if effects.is_empty() {
            return Work::default();
        }
        self.casts += 1;
        Work {
            effects,
            seed: self.plan.seed ^ self.casts.rotate_right(16),
        }
    }

    /// The effects of this stage that strike this call: of each kind that of the first rule which does. A rule that is used
    /// up is forgotten.
    fn strike(&mut self, action: &str, stage: Stage, now: u64) -> Vec<Effect> {
        let Self { plan, casts, .. } = self;
        let mut struck: Vec<Effect> = Vec::new();
        for rule in &mut plan.rules {
            let kind = discriminant(&rule.effect);
            let is_asked = rule.is_of(action) && rule.effect.stage() == stage && rule.holds(now);
            if !is_asked || struck.iter().any(|other| discriminant(other) == kind) {
                continue;
            }
            if rule.after > 0 {
                rule.after -= 1;
                continue;
            }
            if rule.percent < all() {
                *casts += 1;
                if die(plan.seed, *casts) >= rule.percent {
                    continue;
                }
            }
            rule.count = Some(rule.left() - 1);
            struck.push(rule.effect.clone());
        }
        plan.rules.retain(|rule| rule.left() > 0);
        struck
    }
}

/// The `cast`th number from 0 to 99 of a seed.
fn die(seed: u64, cast: u64) -> u8 {
    let digest = Sha256::digest([seed.to_be_bytes(), cast.to_be_bytes()].concat());
    let [first, second, ..] = digest.as_slice() else {
        return 0;
    };
    u8::try_from(u16::from_be_bytes([*first, *second]) % 100).unwrap_or_default()
}

#[cfg(test)]
mod tests;
