//! How many calls a cloud's API may be asked, and how many are left: token buckets, one for each cloud and class of calls.
//!
//! EC2 counts calls by classes: each has a bucket of tokens that a call takes one of, and that fills up again at a steady rate.
//! Whoever finds it empty is refused. A fleet keeps the same buckets by itself, a share of the documented ones, so that it is
//! hardly ever refused, and waits where it knows that there is nothing to be had. A refusal all the same (others use the same
//! account) halves the rate of that class, which creeps back. Where a cloud counts machines as well as calls, the calls run out
//! first, since each of ours is about one machine: the larger bucket with the same rate is never the one that is empty.

use std::{collections::BTreeMap, fmt, str::FromStr, time::Duration};

use crate::{
    Timestamp,
    build::UnknownState,
    name::PoolName,
    quantity::{Decimal, Rate},
};

/// A call, in the unit in which tokens are counted.
const CALL: u64 = 1_000_000;
/// The whole rate.
const WHOLE: u64 = 1_000_000;
/// A rate is never less than this part of the whole: something has to find out that the cloud takes calls again.
const LEAST_PACE: u64 = WHOLE / 16;
/// How long a rate takes from nothing to the whole.
const RECOVERY: Duration = Duration::from_secs(600);
/// How far a level may lie ahead of the reader's clock before the clock that wrote it is taken to have been wrong.
const MOST_AHEAD: Duration = Duration::from_secs(10);
/// For so long a process may keep calls that it took before it needs them: a bucket holds that much less.
pub const KEPT_FOR: Duration = Duration::from_secs(1);
/// How many seconds' worth of calls a bucket holds of which only the rate is known.
const BURST_SECONDS: u64 = 5;

/// A kind of calls that a cloud counts by itself. None of them is ever held up by another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CallClass {
    /// Asking for a machine.
    Launch,
    /// Asking for the end of one.
    Terminate,
    /// Giving tags.
    Tag,
    /// Whatever else changes something: making and deleting images.
    Change,
    /// Lists, descriptions, consoles.
    Read,
}

impl CallClass {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Launch, Self::Terminate, Self::Tag, Self::Change, Self::Read];

    /// The word in the database and in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Launch => "launch",
            Self::Terminate => "terminate",
            Self::Tag => "tag",
            Self::Change => "change",
            Self::Read => "read",
        }
    }

    /// The bucket that EC2 documents for it.
    #[must_use]
    pub const fn documented(self) -> Bucket {
        match self {
            Self::Launch => Bucket::of_calls(5, 2),
            Self::Terminate => Bucket::of_calls(100, 5),
            Self::Tag => Bucket::of_calls(100, 10),
            Self::Change => Bucket::of_calls(50, 5),
            Self::Read => Bucket::of_calls(100, 20),
        }
    }
}

impl fmt::Display for CallClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for CallClass {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        let found = Self::ALL.into_iter().find(|class| class.as_str() == text);
        found.ok_or_else(|| UnknownState {
            kind: "class of calls",
            text: text.to_owned(),
        })
    }
}

/// The buckets of a cloud; a class that is not there has no limit.
pub type Buckets = BTreeMap<CallClass, Bucket>;

/// How many calls there may be: so many at once, and so many a second in the long run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// How much it holds, in millionths of a call.
    capacity: u64,
    /// How much comes back in a second, in millionths of a call.
    per_second: u64,
}

impl Bucket {
    /// One of so many calls, of which so many come back in a second.
    #[must_use]
    pub const fn of_calls(capacity: u64, per_second: u64) -> Self {
        Self {
            capacity: capacity.saturating_mul(CALL),
            per_second: per_second.saturating_mul(CALL),
        }
    }

    /// One of which only the calls in a second are known.
    #[must_use]
    pub fn of_rate(per_second: Decimal) -> Self {
        let per_second = per_second.millionths();
        Self {
            capacity: per_second.saturating_mul(BURST_SECONDS).max(CALL),
            per_second,
        }
    }

    /// A part of it, which holds one call at least.
    #[must_use]
    pub fn share(self, part: Decimal) -> Self {
        let of = |whole: u64| {
            let share = u128::from(whole).saturating_mul(u128::from(part.millionths())) / u128::from(CALL);
            u64::try_from(share).unwrap_or(u64::MAX)
        };
        Self {
            capacity: of(self.capacity).max(CALL),
            per_second: of(self.per_second),
        }
    }

    /// The same for processes that take some calls before they need them: it holds less by what all of them together may keep,
    /// so that no more are made at any time than the whole one allows.
    #[must_use]
    pub fn for_keepers(self) -> Self {
        let kept = self.per_second.saturating_mul(KEPT_FOR.as_secs());
        if self.ahead() == 0 {
            return self;
        }
        Self {
            capacity: self.capacity.saturating_sub(kept),
            per_second: self.per_second,
        }
    }

    /// How many calls one process takes at most before it needs them: half of those of a second, and none where that leaves
    /// the bucket too small.
    #[must_use]
    pub fn ahead(self) -> u32 {
        let half = u32::try_from(self.per_second / 2 / CALL).unwrap_or(u32::MAX);
        let is_large = self.capacity >= self.per_second.saturating_mul(2).saturating_add(CALL);
        if is_large { half } else { 0 }
    }

    /// How many calls a second there are at a pace, such as `1.4`.
    fn rate_at(self, pace: u64) -> Decimal {
        Decimal::from_millionths(portion(self.per_second, pace))
    }
}

/// So many millionths of a number.
fn portion(whole: u64, millionths: u64) -> u64 {
    let part = u128::from(whole).saturating_mul(u128::from(millionths)) / u128::from(WHOLE);
    u64::try_from(part).unwrap_or(u64::MAX)
}

/// Microseconds, as far as there are so many.
fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

/// What is left in a bucket, as it was at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// In millionths of a call. Less than nothing where more was used than was asked for.
    pub tokens: i64,
    /// The moment.
    pub at: Timestamp,
    /// The part of the rate, in millionths, from which it creeps back since `slowed_at`.
    pub pace: u64,
    /// When the cloud asked for fewer calls, for the last time.
    pub slowed_at: Option<Timestamp>,
}

impl Level {
    /// A full one.
    #[must_use]
    pub fn full(bucket: Bucket, now: Timestamp) -> Self {
        Self {
            tokens: i64::try_from(bucket.capacity).unwrap_or(i64::MAX),
            at: now,
            pace: WHOLE,
            slowed_at: None,
        }
    }

    /// The part of the rate at a moment, in millionths.
    fn pace_at(&self, now: Timestamp) -> u64 {
        let Some(since) = self.slowed_at else { return WHOLE };
        let back =
            u128::from(micros(now.since(since))).saturating_mul(u128::from(WHOLE)) / RECOVERY.as_micros();
        let back = u64::try_from(back).unwrap_or(WHOLE);
        self.pace.saturating_add(back).min(WHOLE)
    }

    /// When the whole rate is reached again.
    fn recovered_at(&self) -> Option<Timestamp> {
        let missing = WHOLE.saturating_sub(self.pace);
        let needs = u128::from(missing)
            .saturating_mul(RECOVERY.as_micros())
            .div_ceil(u128::from(WHOLE));
        let needs = Duration::from_micros(u64::try_from(needs).unwrap_or(u64::MAX));
        self.slowed_at.map(|since| since.plus(needs))
    }

    /// What it is at a later moment. A clock that was set back adds nothing; a level that lies far ahead was written by one that
    /// was wrong, and counts from now on.
    #[must_use]
    pub fn at(mut self, bucket: Bucket, now: Timestamp) -> Self {
        if self.at.since(now) > MOST_AHEAD {
            self.at = now;
        }
        if self
            .slowed_at
            .is_some_and(|slowed| slowed.since(now) > MOST_AHEAD)
        {
            self.slowed_at = Some(now);
        }
        let earned = match self.recovered_at().filter(|whole| *whole > self.at) {
            None => earned(bucket, WHOLE, now.since(self.at)),
            Some(whole) => {
                // The pace rises evenly: its mean is that of both ends.
                let creeps_until = whole.min(now);
                let mean = u64::midpoint(self.pace_at(self.at), self.pace_at(creeps_until));
                let creeping = earned(bucket, mean, creeps_until.since(self.at));
                creeping.saturating_add(earned(bucket, WHOLE, now.since(whole)))
            }
        };
        let most = i64::try_from(bucket.capacity).unwrap_or(i64::MAX);
        let tokens = self
            .tokens
            .saturating_add(i64::try_from(earned).unwrap_or(i64::MAX))
            .min(most);
        Self {
            tokens,
            at: self.at.max(now),
            ..self
        }
    }

    /// Takes so many calls, and up to `ahead` more of those that are left: what is left then, and how many were taken. Where there
    /// are not enough: how long until there are, at the latest. More than the bucket ever holds is lent.
    ///
    /// # Errors
    /// The time until there are as many, at the present pace.
    pub fn take(
        self,
        bucket: Bucket,
        (cost, ahead): (u32, u32),
        now: Timestamp,
    ) -> Result<(Self, u32), Duration> {
        let level = self.at(bucket, now);
        let cost_in_tokens = tokens_of(cost);
        let needed = cost_in_tokens.min(i64::try_from(bucket.capacity).unwrap_or(i64::MAX));
        if level.tokens < needed {
            return Err(level.wait_for(bucket, needed, now));
        }
        let rest = level.tokens.saturating_sub(cost_in_tokens);
        let spare = u32::try_from(rest.max(0).unsigned_abs() / CALL).unwrap_or(u32::MAX);
        let more = ahead.min(spare);
        let left = Self {
            tokens: rest.saturating_sub(tokens_of(more)),
            ..level
        };
        Ok((left, cost.saturating_add(more)))
    }

    /// Takes calls that were made already.
    #[must_use]
    pub fn charge(self, bucket: Bucket, cost: u32, now: Timestamp) -> Self {
        let level = self.at(bucket, now);
        Self {
            tokens: level.tokens.saturating_sub(tokens_of(cost)),
            ..level
        }
    }

    /// What is left when the cloud asked for fewer calls in answer to one that was made at `asked_at`: nothing, and half of the rate
    /// from now on. Answers to calls from before the last such moment say nothing new: many refused at once are one refusal.
    #[must_use]
    pub fn slowed(self, bucket: Bucket, asked_at: Timestamp, now: Timestamp) -> Self {
        let level = self.at(bucket, now);
        if level.slowed_at.is_some_and(|slowed| asked_at <= slowed) {
            return level;
        }
        Self {
            tokens: level.tokens.min(0),
            pace: (level.pace_at(now) / 2).max(LEAST_PACE),
            slowed_at: Some(now),
            ..level
        }
    }

    /// How long until there is a call to be had, at the latest; nothing where there is one.
    #[must_use]
    pub fn wait(self, bucket: Bucket, now: Timestamp) -> Duration {
        let level = self.at(bucket, now);
        let one = tokens_of(1);
        if level.tokens >= one {
            return Duration::ZERO;
        }
        level.wait_for(bucket, one, now)
    }

    /// How many calls a second come back at this moment.
    #[must_use]
    pub fn rate(&self, bucket: Bucket, now: Timestamp) -> Decimal {
        bucket.rate_at(self.pace_at(now))
    }

    /// Since when fewer calls come back than the bucket says, because the cloud asked for that; `None` where as many do.
    #[must_use]
    pub fn slowed_since(&self, now: Timestamp) -> Option<Timestamp> {
        self.slowed_at.filter(|_| self.pace_at(now) < WHOLE)
    }

    fn wait_for(&self, bucket: Bucket, needed: i64, now: Timestamp) -> Duration {
        let missing = needed.saturating_sub(self.tokens).max(0).unsigned_abs();
        let rate = portion(bucket.per_second, self.pace_at(now)).max(1);
        let micros = u128::from(missing)
            .saturating_mul(1_000_000)
            .div_ceil(u128::from(rate));
        Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }
}

/// What comes back in some time at a pace, in millionths of a call.
fn earned(bucket: Bucket, pace: u64, time: Duration) -> u64 {
    let rate = u128::from(portion(bucket.per_second, pace));
    let earned = rate.saturating_mul(time.as_micros()) / 1_000_000;
    u64::try_from(earned).unwrap_or(u64::MAX)
}

fn tokens_of(calls: u32) -> i64 {
    i64::from(calls).saturating_mul(1_000_000)
}

/// What every name begins with under which the launches of a pool are counted in the place of a cloud's calls. No cloud may have one.
pub const OF_POOLS: &str = "pools.";

/// The name under which the launches of a pool are counted, where it has a rate of its own.
#[must_use]
pub fn name_of_pool(pool: &PoolName) -> String {
    format!("{OF_POOLS}{pool}")
}

/// What keeps the launches of a pool that has a rate of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaunchPace {
    pub rate: Rate,
    /// How long until there may be the next one; nothing where that is now.
    pub wait: Duration,
}

/// What keeps the launches of a pool that wait for calls to its cloud, as people are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaunchCalls {
    /// The cloud, by its name in the fleet file.
    pub cloud: String,
    /// How many launches a second it may be asked for at this moment.
    pub per_second: Decimal,
    /// How long until the next one may be asked for; nothing where that is now.
    pub wait: Duration,
    /// Since when there are fewer because the cloud asked for that.
    pub slowed_since: Option<Timestamp>,
}

impl LaunchCalls {
    /// What is known of a cloud's launches.
    #[must_use]
    pub fn of(cloud: &str, bucket: Bucket, level: &Level, now: Timestamp) -> Self {
        Self {
            cloud: cloud.to_owned(),
            per_second: level.rate(bucket, now),
            wait: level.wait(bucket, now),
            slowed_since: level.slowed_since(now),
        }
    }
}

/// How many calls were made of a class, and how that went, since the beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallCount {
    /// The cloud, by its name in the fleet file.
    pub cloud: String,
    pub class: CallClass,
    /// How many calls were taken.
    pub taken: u64,
    /// How often there was none left.
    pub waited: u64,
    /// How often the cloud asked for fewer.
    pub throttled: u64,
}

#[cfg(test)]
mod tests;
