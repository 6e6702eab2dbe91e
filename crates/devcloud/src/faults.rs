//! Faults that are made on purpose, asked for at the control endpoint: one at a time ([`Fault`]), or a whole plan
//! ([`FaultPlan`]) of what becomes of calls.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use serde::Deserialize;
use sha2::{Digest, Sha256};

/// How many rules may be lined up.
const MOST_RULES: usize = 1000;

/// The longest pause that a rule may make.
const LONGEST_PAUSE: u64 = 600_000;

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

/// What becomes of calls: the body of `PUT /_devcloud/faults`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FaultPlan {
    /// Decides which calls a rule strikes that does not strike all: the same seed strikes the same ones.
    #[serde(default)]
    seed: u64,
    /// Asked in this order.
    rules: Vec<Rule>,
}

/// One effect on the calls of one action.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    /// Such as `RunInstances`.
    action: String,
    /// How many calls pass before the rule begins.
    #[serde(default)]
    after: u64,
    /// How many calls it strikes before it is used up.
    #[serde(default = "one")]
    count: u64,
    /// How many of a hundred calls it strikes while it lasts.
    #[serde(default = "all")]
    percent: u8,
    effect: Effect,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum Effect {
    /// Nothing is done, and the answer is this error.
    Fail { code: String },
    /// The call waits before anything is done.
    Pause { milliseconds: u64 },
    /// The work is done, and its answer is lost.
    LoseAnswer {
        #[serde(default)]
        hang: bool,
    },
    /// The instances that are launched never open their public address.
    NoSsh,
}

fn one() -> u64 {
    1
}

fn all() -> u8 {
    100
}

impl FaultPlan {
    /// Refuses what would never strike, or not as it reads. The reason says where.
    pub(crate) fn check(&self, is_action: impl Fn(&str) -> bool) -> Result<(), String> {
        if self.rules.len() > MOST_RULES {
            return Err(format!("rules: there are more than {MOST_RULES}"));
        }
        for (place, rule) in self.rules.iter().enumerate() {
            rule.check(&is_action)
                .map_err(|reason| format!("rules[{place}].{reason}"))?;
        }
        Ok(())
    }
}

impl Rule {
    fn of_launches(count: u64, effect: Effect) -> Self {
        Self {
            action: "RunInstances".to_owned(),
            after: 0,
            count,
            percent: all(),
            effect,
        }
    }

    fn check(&self, is_action: impl Fn(&str) -> bool) -> Result<(), String> {
        if !is_action(&self.action) {
            return Err(format!("action: this cloud has no action {}", self.action));
        }
        if self.count == 0 {
            return Err("count: a rule strikes at least one call".to_owned());
        }
        if !(1..=100).contains(&self.percent) {
            return Err(format!("percent: {} is not from 1 to 100", self.percent));
        }
        match &self.effect {
            Effect::Fail { code } if !is_code(code) => Err(format!(
                "effect.fail.code: {code:?} is not letters, digits and dots, as EC2's codes are"
            )),
            Effect::Pause { milliseconds } if !(1..=LONGEST_PAUSE).contains(milliseconds) => Err(format!(
                "effect.pause.milliseconds: {milliseconds} is not from 1 to {LONGEST_PAUSE}"
            )),
            Effect::NoSsh if self.action != "RunInstances" => Err(format!(
                "effect: only RunInstances launches instances, not {}",
                self.action
            )),
            _ => Ok(()),
        }
    }
}

/// Whether a text can be the code of an error.
fn is_code(text: &str) -> bool {
    (1..=100).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'.')
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
    pub(crate) without_ssh: bool,
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
        let no_ssh = |effect: &Effect| matches!(effect, Effect::NoSsh).then_some(());
        let without_ssh = failure.is_none() && left.strike(action, no_ssh).is_some();
        Struck {
            pause,
            failure,
            without_ssh,
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
