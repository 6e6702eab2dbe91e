//! The plan of faults as it is written, and what of it would not do what it says.

use serde::Deserialize;

use super::{
    effect::{ANY, Effect, check_percent, check_time},
    limits::{Bucket, Quotas},
    reading::Document,
};

/// How many rules may be lined up.
pub(super) const MOST_RULES: usize = 1000;

/// What becomes of calls: the body of `PUT /_devcloud/faults`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FaultPlan {
    /// Decides which calls a rule strikes that does not strike all: the same seed strikes the same ones.
    #[serde(default)]
    pub(super) seed: u64,
    /// Asked in this order.
    pub(super) rules: Vec<Rule>,
    /// How many calls are answered.
    #[serde(default)]
    pub(super) buckets: Vec<Bucket>,
    /// How much the account may have.
    #[serde(default)]
    pub(super) quotas: Quotas,
}

impl Document for FaultPlan {
    const MAPPINGS: &'static [&'static str] = &["", "rules[]", "rules[].effect.{}", "buckets[]", "quotas"];
    const TAG: Option<&'static str> = None;
}

/// One effect on the calls of one action, or of all.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    /// Such as `RunInstances`, or [`ANY`].
    pub(super) action: String,
    /// How many calls pass before the rule begins.
    #[serde(default)]
    pub(super) after: u64,
    /// How many calls it strikes before it is used up. Left out: one, and all of them where it lasts a time.
    pub(super) count: Option<u64>,
    /// How many of a hundred calls it strikes while it lasts.
    #[serde(default = "all")]
    pub(super) percent: u8,
    /// How long after the plan was made it begins.
    #[serde(default)]
    pub(super) begins_milliseconds: u64,
    /// How long it lasts then.
    pub(super) lasts_milliseconds: Option<u64>,
    pub(super) effect: Effect,
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
        for (place, bucket) in self.buckets.iter().enumerate() {
            bucket
                .check(&is_action)
                .map_err(|reason| format!("buckets[{place}].{reason}"))?;
        }
        self.quotas.check().map_err(|reason| format!("quotas.{reason}"))
    }
}

impl Rule {
    pub(super) fn of_launches(count: u64, effect: Effect) -> Self {
        Self {
            action: "RunInstances".to_owned(),
            after: 0,
            count: Some(count),
            percent: all(),
            begins_milliseconds: 0,
            lasts_milliseconds: None,
            effect,
        }
    }

    /// How many calls it has still to strike.
    pub(super) fn left(&self) -> u64 {
        let usual = if self.lasts_milliseconds.is_some() {
            u64::MAX
        } else {
            one()
        };
        self.count.unwrap_or(usual)
    }

    pub(super) fn is_of(&self, action: &str) -> bool {
        self.action == action || self.action == ANY
    }

    /// Whether it holds so long after the plan was made.
    pub(super) fn holds(&self, milliseconds: u64) -> bool {
        let past = milliseconds.checked_sub(self.begins_milliseconds);
        past.is_some_and(|past| self.lasts_milliseconds.is_none_or(|lasts| past < lasts))
    }

    pub(super) fn check(&self, is_action: impl Fn(&str) -> bool) -> Result<(), String> {
        if self.action != ANY && !is_action(&self.action) {
            return Err(format!("action: this cloud has no action {}", self.action));
        }
        if self.count == Some(0) {
            return Err("count: a rule strikes at least one call".to_owned());
        }
        check_percent("percent", self.percent)?;
        check_time("begins_milliseconds", self.begins_milliseconds, 0)?;
        if let Some(lasts) = self.lasts_milliseconds {
            check_time("lasts_milliseconds", lasts, 1)?;
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
