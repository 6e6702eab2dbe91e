//! Why a pool launches no more builders, in words.

use super::{CloudTrouble, Quota};
use crate::{
    LaunchHistory, Timestamp, budget::Budget, calls::LaunchCalls, fleet::NoImage, mark::Pause,
    name::PoolName, quantity::Rate,
};

/// What keeps a pool from one more builder.
pub(super) enum Refusal {
    Away(CloudTrouble),
    Unasked,
    /// There is no image to launch from.
    NoImage(NoImage),
    /// The fleet file pauses it.
    PausedInFile,
    /// An operator drained it.
    Paused(Pause),
    Full(u32),
    /// It has as many machines of each line of its offerings as it may.
    LinesFull,
    /// All pools of the cloud, and others there, have as many machines together as they may.
    CloudFull(Quota),
    /// Nobody has counted lately how many machines others have in the cloud.
    Uncounted(String),
    /// An hour of one more machine would cost more than may be spent in its cloud.
    Spent(Budget),
    /// All its hosts are in use or not fit for it, in words for everybody and for operators.
    NoHost(String, Option<String>),
    Parallel(u32),
    Unanswered(u32),
    NoMachine(String),
    /// So many launches wait until the cloud may be asked for one more.
    Rationed(LaunchCalls, u32),
    /// So many launches wait until the pool may launch one more by its own rate.
    Paced(Rate, u32),
    HeldBack(LaunchHistory, Timestamp),
    Probing(LaunchHistory),
}

/// That a pool launches nothing because of its `paused`, as a sentence for everybody.
pub(crate) fn paused_in_file(pool: &PoolName) -> String {
    format!("pool {pool} is paused in the fleet file (`pools.{pool}.paused`)")
}

fn launches_wait(waiting: u32) -> String {
    match waiting {
        1 => "1 launch waits".to_owned(),
        more => format!("{more} launches wait"),
    }
}

impl Refusal {
    /// For everybody: without what machines and clouds said.
    pub(super) fn describe(&self, pool: &PoolName) -> String {
        match self {
            Self::Away(trouble) => trouble.in_public(),
            Self::Unasked => format!("the cloud of pool {pool} is being asked what runs there"),
            Self::NoImage(NoImage { why: None, image }) => {
                format!("the cloud of pool {pool} is being asked which image `{image}` is")
            }
            Self::NoImage(NoImage { image, .. }) => {
                format!("pool {pool} launches nothing: there is no image `{image}` to launch from")
            }
            Self::PausedInFile => paused_in_file(pool),
            Self::Paused(pause) => {
                let until = pause
                    .until
                    .map_or_else(String::new, |until| format!(" until {}", until.to_the_second()));
                format!("pool {pool} is drained by its operators{until}")
            }
            Self::Full(max) => format!("pool {pool} is at its maximum of {max}"),
            Self::LinesFull => {
                format!(
                    "pool {pool} has as many machines of each line of its offerings as it may (`offerings[].max`)"
                )
            }
            Self::CloudFull(Quota { cloud, instances, .. }) => {
                format!("cloud {cloud} has as many machines as it may: {instances}")
            }
            Self::Uncounted(cloud) => {
                format!("the machines of cloud {cloud} that are none of the fleet's are being counted")
            }
            Self::Spent(budget) => budget.in_public(),
            Self::NoHost(hosts, _) => format!("pool {pool} has no free host: {hosts}"),
            Self::Parallel(limit) => {
                format!("pool {pool} starts {limit} builders already, as many as it may at once")
            }
            Self::Unanswered(launches) => {
                format!("pool {pool} waits for its cloud's answer to {launches} launches")
            }
            Self::NoMachine(_) => {
                format!("the cloud gave pool {pool} no machine so far; it is asked again")
            }
            Self::Rationed(
                LaunchCalls {
                    cloud, per_second, ..
                },
                waiting,
            ) => {
                let (launches, rate) = (launches_wait(*waiting), per_second.to_two_digits());
                format!("{launches} for a turn: cloud {cloud} is asked for {rate} machines a second at most")
            }
            Self::Paced(rate, waiting) => {
                let launches = launches_wait(*waiting);
                format!("{launches} for a turn: pool {pool} launches {rate} at most (`launch.rate`)")
            }
            Self::HeldBack(history, until) => {
                let (failures, until) = (history.failures, until.to_the_second());
                format!(
                    "pool {pool} is held back until {until}: its last {failures} builders never got ready"
                )
            }
            Self::Probing(history) => {
                let failures = history.failures;
                format!("pool {pool} tries one builder: its last {failures} never got ready")
            }
        }
    }

    /// For operators: with the reason of the last failure, which they have to know first.
    pub(super) fn note(&self, pool: &PoolName) -> String {
        let words = self.describe(pool);
        match self {
            Self::Away(trouble) => trouble.for_operators(),
            Self::NoImage(NoImage { why: Some(why), .. }) => why.clone(),
            Self::Paused(Pause { by, why, .. }) if why.is_empty() => format!("{words}, by {by}"),
            Self::Paused(Pause { by, why, .. }) => format!("{words}, by {by}: {why}"),
            Self::CloudFull(quota) => {
                let (ours, others) = (quota.counted, quota.others.unwrap_or_default());
                format!("{words}, with {ours} of its pools and {others} of others")
            }
            Self::Spent(budget) => budget.in_words(),
            Self::NoHost(_, Some(trouble)) => format!("{words}; {trouble}"),
            Self::NoMachine(refusal) => format!("{words}: {refusal}"),
            Self::Rationed(
                LaunchCalls {
                    slowed_since: Some(since),
                    ..
                },
                _,
            ) => {
                let since = since.to_the_second();
                format!("{words}, fewer than usual since it refused calls at {since}")
            }
            Self::HeldBack(
                LaunchHistory {
                    last_reason: Some(reason),
                    ..
                },
                _,
            )
            | Self::Probing(LaunchHistory {
                last_reason: Some(reason),
                ..
            }) => {
                format!("{words}; the last one: {reason}")
            }
            _ => words,
        }
    }

    /// Whether it passes while the pool goes on: what is under way ends, and what is asked is answered.
    pub(super) const fn may_pass(&self) -> bool {
        match self {
            Self::Unasked
            | Self::NoImage(NoImage { why: None, .. })
            | Self::Uncounted(_)
            | Self::Parallel(_)
            | Self::Unanswered(_)
            | Self::NoMachine(_)
            | Self::Rationed(..)
            | Self::Paced(..)
            | Self::Probing(_) => true,
            Self::Away(_)
            | Self::NoImage(_)
            | Self::PausedInFile
            | Self::Paused(_)
            | Self::Full(_)
            | Self::LinesFull
            | Self::CloudFull(..)
            | Self::NoHost(..)
            | Self::Spent(_)
            | Self::HeldBack(..) => false,
        }
    }
}
