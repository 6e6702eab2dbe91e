//! The plan of faults as it is written, and what of it would not do what it says.

use serde::Deserialize;

use super::reading::Document;

/// How many rules may be lined up.
pub(super) const MOST_RULES: usize = 1000;

/// The longest time that a rule may name, in milliseconds.
const LONGEST_PAUSE: u64 = 600_000;

/// What becomes of calls: the body of `PUT /_devcloud/faults`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FaultPlan {
    /// Decides which calls a rule strikes that does not strike all: the same seed strikes the same ones.
    #[serde(default)]
    pub(super) seed: u64,
    /// Asked in this order.
    pub(super) rules: Vec<Rule>,
}

impl Document for FaultPlan {
    const MAPPINGS: &'static [&'static str] = &["", "rules[]", "rules[].effect.{}"];
    const TAG: Option<&'static str> = None;
}

/// One effect on the calls of one action.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    /// Such as `RunInstances`.
    pub(super) action: String,
    /// How many calls pass before the rule begins.
    #[serde(default)]
    pub(super) after: u64,
    /// How many calls it strikes before it is used up.
    #[serde(default = "one")]
    pub(super) count: u64,
    /// How many of a hundred calls it strikes while it lasts.
    #[serde(default = "all")]
    pub(super) percent: u8,
    pub(super) effect: Effect,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Effect {
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
    /// They open it so long after their start.
    SlowBoot { milliseconds: u64 },
    /// They show another host key than their user data brought.
    WrongHostKey,
    /// For so long they are in no list, and their ids are unknown.
    DelayVisibility { milliseconds: u64 },
    /// The cloud takes them back.
    SpotLoss {
        /// How long after the launch they are told.
        after_milliseconds: u64,
        /// How long after that they are ended.
        #[serde(default)]
        notice_milliseconds: u64,
    },
    /// So many of a hundred instances are missing in the answer.
    LeaveOut { percent: u8 },
    /// Every instance is twice in the answer.
    Double,
}

pub(super) fn one() -> u64 {
    1
}

pub(super) fn all() -> u8 {
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
    pub(super) fn of_launches(count: u64, effect: Effect) -> Self {
        Self {
            action: "RunInstances".to_owned(),
            after: 0,
            count,
            percent: all(),
            effect,
        }
    }

    pub(super) fn check(&self, is_action: impl Fn(&str) -> bool) -> Result<(), String> {
        if !is_action(&self.action) {
            return Err(format!("action: this cloud has no action {}", self.action));
        }
        if self.count == 0 {
            return Err("count: a rule strikes at least one call".to_owned());
        }
        if !(1..=100).contains(&self.percent) {
            return Err(format!("percent: {} is not from 1 to 100", self.percent));
        }
        if let Some(only) = self.effect.only_action()
            && self.action != only
        {
            return Err(format!(
                "effect: this one is of calls of {only}, not of {}",
                self.action
            ));
        }
        self.effect.check().map_err(|reason| format!("effect.{reason}"))
    }
}

impl Effect {
    /// The one action that it is for, where it is not for all.
    fn only_action(&self) -> Option<&'static str> {
        match self {
            Self::Fail { .. } | Self::Pause { .. } | Self::LoseAnswer { .. } => None,
            Self::NoSsh
            | Self::SlowBoot { .. }
            | Self::WrongHostKey
            | Self::DelayVisibility { .. }
            | Self::SpotLoss { .. } => Some("RunInstances"),
            Self::LeaveOut { .. } | Self::Double => Some("DescribeInstances"),
        }
    }

    fn check(&self) -> Result<(), String> {
        match self {
            Self::Fail { code } if !is_code(code) => Err(format!(
                "fail.code: {code:?} is not letters, digits and dots, as EC2's codes are"
            )),
            Self::Pause { milliseconds } => check_pause("pause.milliseconds", *milliseconds, 1),
            Self::SlowBoot { milliseconds } => check_pause("slow-boot.milliseconds", *milliseconds, 1),
            Self::DelayVisibility { milliseconds } => {
                check_pause("delay-visibility.milliseconds", *milliseconds, 1)
            }
            Self::SpotLoss {
                after_milliseconds,
                notice_milliseconds,
            } => {
                check_pause("spot-loss.after_milliseconds", *after_milliseconds, 0)?;
                check_pause("spot-loss.notice_milliseconds", *notice_milliseconds, 0)
            }
            Self::LeaveOut { percent } if !(1..=100).contains(percent) => {
                Err(format!("leave-out.percent: {percent} is not from 1 to 100"))
            }
            Self::Fail { .. }
            | Self::LoseAnswer { .. }
            | Self::NoSsh
            | Self::WrongHostKey
            | Self::LeaveOut { .. }
            | Self::Double => Ok(()),
        }
    }
}

/// Whether a fault may last so long, in milliseconds.
pub(super) fn check_pause(name: &str, milliseconds: u64, least: u64) -> Result<(), String> {
    if (least..=LONGEST_PAUSE).contains(&milliseconds) {
        return Ok(());
    }
    Err(format!(
        "{name}: {milliseconds} is not from {least} to {LONGEST_PAUSE}"
    ))
}

/// Whether a text can be the code of an error.
fn is_code(text: &str) -> bool {
    (1..=100).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'.')
}
