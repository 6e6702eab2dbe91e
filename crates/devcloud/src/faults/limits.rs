//! Limits that a plan sets: how fast calls are answered, how much the account may have, where there is no room.

use serde::Deserialize;

use super::effect::{ANY, Market, check_code, check_time};

/// A token in the units of [`Level`]: what a minute has of milliseconds.
const TOKEN: u64 = 60_000;

/// What one call takes from a bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Counts {
    /// One token.
    #[default]
    Calls,
    /// A token for each instance that is asked for.
    Instances,
}

/// A bucket of tokens: calls that find it empty are refused. EC2 has one for each class of calls, and one of instances.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Bucket {
    /// The actions whose calls share it: names, beginnings of names such as `Describe*`, or `*`.
    pub(super) actions: Vec<String>,
    /// How many tokens it holds at first, and at most.
    pub(super) size: u32,
    /// How many come back in a minute.
    pub(super) per_minute: u32,
    #[serde(default)]
    pub(super) counts: Counts,
    #[serde(default = "throttled")]
    pub(super) code: String,
}

fn throttled() -> String {
    "RequestLimitExceeded".to_owned()
}

impl Bucket {
    pub(super) fn check(&self, is_action: impl Fn(&str) -> bool) -> Result<(), String> {
        if self.actions.is_empty() {
            return Err("actions: there are none".to_owned());
        }
        let unknown = |name: &&String| !name.ends_with(ANY) && !is_action(name);
        if let Some(name) = self.actions.iter().find(unknown) {
            return Err(format!("actions: this cloud has no action {name}"));
        }
        check_code("code", &self.code)
    }

    fn is_of(&self, action: &str) -> bool {
        self.actions.iter().any(|name| match name.strip_suffix(ANY) {
            Some(beginning) => action.starts_with(beginning),
            None => name == action,
        })
    }
}

/// How full a bucket is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Level {
    bucket: Bucket,
    units: u64,
    milliseconds: u64,
}

impl Level {
    /// A full bucket, when no time has passed.
    pub(super) fn full(bucket: &Bucket) -> Self {
        Self {
            bucket: bucket.clone(),
            units: u64::from(bucket.size) * TOKEN,
            milliseconds: 0,
        }
    }

    /// Takes what a call needs; the code of its refusal where there is too little.
    pub(super) fn take(&mut self, action: &str, instances: u64, milliseconds: u64) -> Option<String> {
        if !self.bucket.is_of(action) {
            return None;
        }
        let past = milliseconds.saturating_sub(self.milliseconds);
        self.milliseconds = milliseconds;
        let most = u64::from(self.bucket.size) * TOKEN;
        let back = past.saturating_mul(u64::from(self.bucket.per_minute));
        self.units = self.units.saturating_add(back).min(most);
        let tokens = match self.bucket.counts {
            Counts::Calls => 1,
            Counts::Instances => instances,
        };
        match self.units.checked_sub(tokens.saturating_mul(TOKEN)) {
            Some(left) => {
                self.units = left;
                None
            }
            None => Some(self.bucket.code.clone()),
        }
    }
}

/// Where there is no room, up to a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shortage {
    pub(super) instance_type: Option<String>,
    pub(super) zone: Option<String>,
    pub(super) market: Option<Market>,
    /// Milliseconds after the plan was made.
    pub(super) until: u64,
}

impl Shortage {
    pub(super) fn is_of(&self, instance_type: &str, zone: &str, market: Market, milliseconds: u64) -> bool {
        milliseconds < self.until
            && self
                .instance_type
                .as_deref()
                .is_none_or(|one| one == instance_type)
            && self.zone.as_deref().is_none_or(|one| one == zone)
            && self.market.is_none_or(|one| one == market)
    }
}

/// How much the account may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Quotas {
    instances: Option<u64>,
    processors: Option<u64>,
    spot_instances: Option<u64>,
    /// How long after its end an instance still counts.
    freed_after_milliseconds: u64,
}

/// What the account has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) instances: u64,
    pub(crate) processors: u64,
    pub(crate) spot_instances: u64,
}

impl Quotas {
    pub(super) fn check(&self) -> Result<(), String> {
        check_time("freed_after_milliseconds", self.freed_after_milliseconds, 0)
    }

    /// How long after its end an instance still counts.
    pub(crate) fn freed_after(&self) -> std::time::Duration {
        std::time::Duration::from_millis(self.freed_after_milliseconds)
    }

    /// How many instances with so many processors may still be launched, from `least` to `most`; or the code of the quota
    /// that is in the way.
    pub(crate) fn room(
        &self,
        held: Held,
        processors: u64,
        spot: bool,
        (least, most): (usize, usize),
    ) -> Result<usize, &'static str> {
        let spot_instances = self.spot_instances.filter(|_| spot);
        let mut room = most;
        for (code, quota, held, each) in [
            ("InstanceLimitExceeded", self.instances, held.instances, 1),
            (
                "MaxSpotInstanceCountExceeded",
                spot_instances,
                held.spot_instances,
                1,
            ),
            ("VcpuLimitExceeded", self.processors, held.processors, processors),
        ] {
            let Some(quota) = quota else { continue };
            let free = quota.saturating_sub(held) / each.max(1);
            room = room.min(usize::try_from(free).unwrap_or(usize::MAX));
            if room < least {
                return Err(code);
            }
        }
        Ok(room)
    }
}
