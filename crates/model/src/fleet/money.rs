//! How much may be spent in a cloud.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::quantity::Price;

/// What machines may cost, by the `prices` of the cloud.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MoneySpec {
    /// The most that they may cost in any 24 hours, in the currency of the cloud's account.
    pub per_day: Price,
    /// From how much on `soft` holds; four fifths of `per_day` when left out.
    #[serde(default)]
    pub soft_from: Option<Price>,
    /// What is left undone from `soft_from` on.
    #[serde(default)]
    pub soft: SoftLimit,
    /// What is left undone when an hour of one more machine would go beyond `per_day`.
    #[serde(default)]
    pub hard: HardLimit,
}

impl MoneySpec {
    /// From how much on the soft limit holds.
    #[must_use]
    pub fn soft_from(&self) -> Price {
        let four_fifths = self.per_day.millionths() / 5 * 4;
        self.soft_from.unwrap_or(Price::from_millionths(four_fifths))
    }
}

/// What is left undone when much is spent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SoftLimit {
    /// No builders are held ready beside those that are needed.
    #[default]
    NoHeadroom,
    /// Nothing; it is told.
    Nothing,
}

/// What is left undone when all is spent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HardLimit {
    /// Nothing is launched. What runs goes on.
    #[default]
    NoLaunches,
    /// Nothing; it is told.
    Nothing,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_four_fifths_where_nobody_says_another() {
        let read = |text: serde_json::Value| serde_json::from_value::<MoneySpec>(text).unwrap();
        let spec = read(serde_json::json!({"per_day": 900}));
        assert_eq!(spec.soft_from().to_string(), "720");
        assert_eq!(
            (spec.soft, spec.hard),
            (SoftLimit::NoHeadroom, HardLimit::NoLaunches)
        );
        let spec =
            read(serde_json::json!({"per_day": 9, "soft_from": 0.5, "soft": "nothing", "hard": "nothing"}));
        assert_eq!(spec.soft_from().to_string(), "0.5");
        assert_eq!((spec.soft, spec.hard), (SoftLimit::Nothing, HardLimit::Nothing));
        let most = MoneySpec {
            per_day: Price::from_millionths(u64::MAX),
            ..spec
        };
        assert!(most.soft_from() < most.per_day);
    }
}
