//! Faults that are made on purpose, asked for at the control endpoint: one at a time ([`Fault`]), or a whole plan
//! ([`FaultPlan`]) of what becomes of calls.

mod plan;
mod reading;

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use serde::Deserialize;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

pub(crate) use self::plan::FaultPlan;
use self::plan::{Effect, MOST_RULES, Rule, all, check_pause, one};
use self::reading::Document;
pub(crate) use self::reading::read;
use crate::ledger::{InstanceFaults, Interruption};

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

/// What strikes a call before its work is done.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Struck {
    pub(crate) pause: Option<Duration>,
    /// The code of the error that is answered instead.
    pub(crate) failure: Option<String>,
    pub(crate) launch: LaunchFaults,
    pub(crate) list: WrongList,
}

/// What is wrong with the instances that a call launches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LaunchFaults {
    pub(crate) without_ssh: bool,
    pub(crate) other_host_key: bool,
    /// How long after the start of an instance its public address opens.
    pub(crate) slow_boot: Duration,
    /// How long after the launch nobody is told of an instance.
    pub(crate) hidden: Option<Duration>,
    /// How long after the launch the notice comes, and how long after the notice the end.
    pub(crate) spot_loss: Option<(Duration, Duration)>,
}

impl LaunchFaults {
    /// The same of an instance that is launched now.
    pub(crate) fn of_instance(self, now: OffsetDateTime) -> InstanceFaults {
        InstanceFaults {
            slow_boot_milliseconds: u64::try_from(self.slow_boot.as_millis()).unwrap_or(u64::MAX),
            other_host_key: self.other_host_key,
            hidden_until: self.hidden.map(|time| now + time),
            interruption: self.spot_loss.map(|(after, notice)| Interruption {
                notice: now + after,
                end: now + after + notice,
            }),
        }
    }
}

/// What is wrong with a list of instances.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct WrongList {
    /// How many of a hundred are left out, and what decides which.
    left_out: Option<(u8, u64)>,
    /// Whether it is given twice in one answer.
    is_doubled: bool,
}

impl WrongList {
    /// What becomes of a list.
    pub(crate) fn spoil<T: Clone>(self, list: Vec<T>) -> Vec<T> {
        let is_left_out = |place: u64| {
            self.left_out
                .is_some_and(|(percent, seed)| die(seed, place) < percent)
        };
        let kept = (0..).zip(list).filter(|(place, _)| !is_left_out(*place));
        let mut list: Vec<T> = kept.map(|(_, one)| one).collect();
        if self.is_doubled {
            list.extend_from_within(..);
        }
        list
    }
}

/// The plan as far as it is still to come.
#[derive(Default)]
pub(crate) struct Faults(Mutex<Left>);

#[derive(Default)]
struct Left {
    plan: FaultPlan,
    /// How often a die was cast.
    casts: u64,
}

impl Faults {
    /// Replaces what was planned. The plan has to be a checked one.
    pub(crate) fn set(&self, plan: FaultPlan) {
        *self.left() = Left { plan, casts: 0 };
    }

    /// Lines up a fault that the next launches meet. One of an instance is not lined up: it is made at once.
    pub(crate) fn line_up(&self, fault: &Fault) -> Result<(), String> {
        let (count, effect) = match fault.clone() {
            Fault::FailRunInstances { code, count } => (count, Effect::Fail { code }),
            Fault::LoseAnswer { count, hang } => (count, Effect::LoseAnswer { hang }),
            Fault::NoSsh { count } => (count, Effect::NoSsh),
            Fault::SpotLoss {
                notice_milliseconds, ..
            } => return check_pause("notice_milliseconds", notice_milliseconds, 0),
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

    /// What strikes a call that has come. One that fails meets nothing else.
    pub(crate) fn before(&self, action: &str) -> Struck {
        let mut left = self.left();
        let pause = left.strike(action, |effect| match effect {
            Effect::Pause { milliseconds } => Some(Duration::from_millis(*milliseconds)),
            _ => None,
        });
        let failure = left.strike(action, |effect| match effect {
            Effect::Fail { code } => Some(code.clone()),
            _ => None,
        });
        if failure.is_some() {
            return Struck {
                pause,
                failure,
                ..Struck::default()
            };
        }
        Struck {
            pause,
            failure,
            launch: left.launch(action),
            list: left.list(action),
        }
    }

    /// What strikes the answer of a call that was done.
    pub(crate) fn after(&self, action: &str) -> Option<LostAnswer> {
        self.left().strike(action, |effect| match effect {
            Effect::LoseAnswer { hang: true } => Some(LostAnswer::Hang),
            Effect::LoseAnswer { hang: false } => Some(LostAnswer::Reset),
            _ => None,
        })
    }

    fn left(&self) -> std::sync::MutexGuard<'_, Left> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Left {
    fn launch(&mut self, action: &str) -> LaunchFaults {
        let without_ssh = self.is_struck(action, &Effect::NoSsh);
        let other_host_key = self.is_struck(action, &Effect::WrongHostKey);
        let slow_boot = self.strike(action, |effect| match effect {
            Effect::SlowBoot { milliseconds } => Some(Duration::from_millis(*milliseconds)),
            _ => None,
        });
        let hidden = self.strike(action, |effect| match effect {
            Effect::DelayVisibility { milliseconds } => Some(Duration::from_millis(*milliseconds)),
            _ => None,
        });
        let spot_loss = self.strike(action, |effect| match effect {
            Effect::SpotLoss {
                after_milliseconds,
                notice_milliseconds,
            } => Some((
                Duration::from_millis(*after_milliseconds),
                Duration::from_millis(*notice_milliseconds),
            )),
            _ => None,
        });
        LaunchFaults {
            without_ssh,
            other_host_key,
            slow_boot: slow_boot.unwrap_or_default(),
            hidden,
            spot_loss,
        }
    }

    fn list(&mut self, action: &str) -> WrongList {
        let percent = self.strike(action, |effect| match effect {
            Effect::LeaveOut { percent } => Some(*percent),
            _ => None,
        });
        let left_out = percent.map(|percent| {
            self.casts += 1;
            (percent, self.plan.seed ^ self.casts.rotate_right(16))
        });
        WrongList {
            left_out,
            is_doubled: self.is_struck(action, &Effect::Double),
        }
    }

    fn is_struck(&mut self, action: &str, effect: &Effect) -> bool {
        self.strike(action, |other| (other == effect).then_some(()))
            .is_some()
    }

    /// The first rule for this call with such an effect strikes; one that is used up is forgotten.
    fn strike<T>(&mut self, action: &str, wanted: impl Fn(&Effect) -> Option<T>) -> Option<T> {
        let Self { plan, casts } = self;
        let mut struck = None;
        for rule in &mut plan.rules {
            let Some(effect) = (rule.action == action).then(|| wanted(&rule.effect)).flatten() else {
                continue;
            };
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
            rule.count -= 1;
            struck = Some(effect);
            break;
        }
        plan.rules.retain(|rule| rule.count > 0);
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
