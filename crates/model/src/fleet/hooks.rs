//! The hooks of a fleet file: commands of the operator's at turns in a builder's life.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;
use crate::{build::UnknownState, name::PoolName, quantity::Span};

/// For how long a machine that is to end waits for hooks.
pub const LONGEST_WAIT: Span = Span::seconds(30);

/// A turn in a builder's life at which hooks run, in the order in which it comes to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HookPoint {
    /// It is planned; its cloud has not been asked for a machine.
    BeforeSpawn,
    /// Its cloud has given a machine.
    AfterSpawn,
    /// It is ready for the first time.
    AfterReady,
    /// It serves no more; its machine still runs.
    BeforeTerminate,
    /// Its machine has ended.
    AfterTerminate,
}

impl HookPoint {
    /// All of them, in the order of a builder's life.
    pub const ALL: [Self; 5] = [
        Self::BeforeSpawn,
        Self::AfterSpawn,
        Self::AfterReady,
        Self::BeforeTerminate,
        Self::AfterTerminate,
    ];

    /// The word in the fleet file and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BeforeSpawn => "before_spawn",
            Self::AfterSpawn => "after_spawn",
            Self::AfterReady => "after_ready",
            Self::BeforeTerminate => "before_terminate",
            Self::AfterTerminate => "after_terminate",
        }
    }
}

impl fmt::Display for HookPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for HookPoint {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        let found = Self::ALL.into_iter().find(|point| point.as_str() == text);
        found.ok_or_else(|| UnknownState {
            kind: "hook",
            text: text.to_owned(),
        })
    }
}

/// Commands that the controller runs at turns in a builder's life, in the order in which they stand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HooksSpec {
    /// Before its cloud is asked for a machine, which waits for them.
    pub before_spawn: Vec<HookSpec>,
    /// When its cloud has given a machine, which may still boot.
    pub after_spawn: Vec<HookSpec>,
    /// When it is ready for the first time; builds need not wait for them.
    pub after_ready: Vec<HookSpec>,
    /// When it serves no more, before its machine is ended, which waits for them for 30 s at most.
    pub before_terminate: Vec<HookSpec>,
    /// When its machine has ended.
    pub after_terminate: Vec<HookSpec>,
}

impl HooksSpec {
    /// Those of a turn, as they stand in the file.
    #[must_use]
    pub fn at(&self, point: HookPoint) -> &[HookSpec] {
        match point {
            HookPoint::BeforeSpawn => &self.before_spawn,
            HookPoint::AfterSpawn => &self.after_spawn,
            HookPoint::AfterReady => &self.after_ready,
            HookPoint::BeforeTerminate => &self.before_terminate,
            HookPoint::AfterTerminate => &self.after_terminate,
        }
    }

    /// Those that run at a turn for builders of a pool, each with its place in the list.
    pub fn of<'a>(
        &'a self,
        point: HookPoint,
        pool: &'a PoolName,
    ) -> impl Iterator<Item = (u32, &'a HookSpec)> {
        let all = (0..).zip(self.at(point));
        all.filter(move |(_, hook)| hook.pools.is_empty() || hook.pools.contains(pool))
    }
}

/// A command, and what follows from its failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HookSpec {
    /// The program, by its whole path, and its arguments; no shell reads them.
    #[schemars(schema_with = "schema::command")]
    pub cmd: Vec<String>,
    /// The longest time for one try, after which all of it is killed; from 1s to 5m, and to 30s for `before_terminate`.
    #[serde(default = "timeout")]
    pub timeout: Span,
    /// What follows when a try fails.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// The most tries. With `on_failure: ignore` only what ends with exit code 75 is tried again.
    #[serde(default = "attempts")]
    #[schemars(range(min = 1, max = 100))]
    pub attempts: u32,
    /// When it is left out; for `before_terminate` only.
    #[serde(default)]
    pub skip_if: Option<SkipIf>,
    /// The pools whose builders it runs for; all when left out.
    #[serde(default)]
    #[schemars(schema_with = "schema::texts")]
    pub pools: Vec<PoolName>,
}

impl HookSpec {
    /// The command as people read it.
    #[must_use]
    pub fn words(&self) -> String {
        self.cmd.join(" ")
    }
}

fn timeout() -> Span {
    Span::seconds(30)
}

const fn attempts() -> u32 {
    3
}

/// What follows when a hook fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// It is told, and all goes on.
    #[default]
    Ignore,
    /// It is tried again; a builder whose `before_spawn` failed for good is given up without a machine.
    Retry,
}

/// When a hook is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SkipIf {
    /// When nobody with the builder's host key answers at its address.
    Unreachable,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hooks_of_a_pool_are_those_that_name_it_and_those_that_name_none() {
        let read = serde_json::json!({
            "after_ready": [
                {"cmd": ["/a"]}, {"cmd": ["/b"], "pools": ["x86"]}, {"cmd": ["/c"], "pools": ["arm", "rack"]},
            ],
        });
        let hooks: HooksSpec = serde_json::from_value(read).unwrap();
        for (pool, expected) in [
            ("x86", &[(0, "/a"), (1, "/b")][..]),
            ("rack", &[(0, "/a"), (2, "/c")]),
            ("gone", &[(0, "/a")]),
        ] {
            let pool: PoolName = pool.parse().unwrap();
            let of = hooks.of(HookPoint::AfterReady, &pool);
            let found: Vec<(u32, String)> = of.map(|(place, hook)| (place, hook.words())).collect();
            let expected = expected.iter().map(|(place, it)| (*place, (*it).to_owned()));
            assert_eq!(found, expected.collect::<Vec<_>>(), "{pool}");
            assert_eq!(hooks.of(HookPoint::AfterSpawn, &pool).count(), 0);
        }
    }

    #[test]
    fn each_turn_has_its_own_list_and_a_word_that_is_read_again() {
        for point in HookPoint::ALL {
            assert_eq!(point.to_string().parse(), Ok(point));
            let json = serde_json::json!({ point.as_str(): [{"cmd": ["/a", "b c"]}] });
            let hooks: HooksSpec = serde_json::from_value(json).unwrap();
            for other in HookPoint::ALL {
                assert_eq!(
                    hooks.at(other).len(),
                    usize::from(other == point),
                    "{point} {other}"
                );
            }
            assert_eq!(hooks.at(point)[0].words(), "/a b c");
        }
        assert!(HookPoint::ALL.is_sorted());
        assert!("after_lunch".parse::<HookPoint>().is_err());
    }
}
