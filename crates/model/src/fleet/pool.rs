//! The pools of a fleet file.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    DiskSpec, HostSpec, NetworkSpec, ScheduleSpec, SizeNow, SizeSpec, WhenSpec, schema, size::size_at,
};
use crate::{
    BuilderState, Timestamp,
    calls::Bucket,
    drift::DriftPart,
    glob::Glob,
    name::ChrootName,
    offering::{Market, Offering},
    quantity::{Price, Rate, Share, Span},
};

/// A pool: machines of one kind for the same builds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend(
    "if" = {"required": ["hosts"], "properties": {"hosts": {"minItems": 1}}},
    "then" = {"properties": {
        "image": {"type": "null"}, "offerings": {"maxItems": 0}, "host_key": {"const": "user-data"}, "disk": {"type": "null"},
    }},
    "else" = {"required": ["image", "offerings"], "properties": {"image": {"type": "string"}, "offerings": {"minItems": 1}}},
))]
pub struct PoolSpec {
    /// What its builders offer: one or more of `arch:x86_64`, and of `chroot:fedora-*`. Without any `chroot:` all of its
    /// architectures are offered.
    #[schemars(schema_with = "schema::labels")]
    pub labels: BTreeSet<String>,
    /// Pools with a higher one are used first.
    #[serde(default)]
    pub priority: i32,
    /// Whether it launches nothing, for whomever. Its builders go on to serve and leave as ever; those are given up for which no cloud
    /// was asked yet.
    #[serde(default)]
    pub paused: bool,
    /// The image, by its name in this file; a pool without `hosts` needs it.
    #[serde(default)]
    pub image: Option<String>,
    /// What makes its machines builders, by the name in this file.
    pub provision: String,
    /// Where the host key of its machines comes from; one that was given in user data is replaced at the first connection.
    #[serde(default)]
    pub host_key: HostKeySource,
    /// How many machines it has.
    pub size: SizeSpec,
    /// Times of the week at which it has another size; the first one that goes on counts.
    #[serde(default)]
    pub schedule: Vec<ScheduleSpec>,
    /// How fast it grows.
    #[serde(default)]
    pub launch: LaunchSpec,
    /// The offerings to ask the cloud for, the preferred one first; a pool without `hosts` needs one.
    #[serde(default)]
    pub offerings: Vec<OfferingSpec>,
    /// The root volume of its machines; as the image has it when left out.
    #[serde(default)]
    pub disk: Option<DiskSpec>,
    /// Machines that are always there, instead of `image` and `offerings`. They are neither launched nor terminated.
    #[serde(default)]
    pub hosts: Vec<HostSpec>,
    /// When it gives machines back.
    #[serde(default)]
    pub shrink: ShrinkSpec,
    /// Whether a builder is used for more than one build.
    #[serde(default)]
    pub reuse: ReuseSpec,
    /// How fast builders are replaced that would be made otherwise by now.
    #[serde(default)]
    pub drift: DriftSpec,
    /// How long and how many of its builders operators may hold.
    #[serde(default)]
    pub hold: HoldSpec,
}

/// Where the host key comes from that each machine of a pool has to prove.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HostKeySource {
    /// The farm makes one for each launch, and gives it in the user data. It serves until the machine has made another one.
    #[default]
    UserData,
    /// The machine makes one at its first boot and prints it on its console, as cloud-init does. A fixed host has no console.
    Console,
}

/// Where the machines of a pool come from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PoolKind<'a> {
    /// A cloud, with this image.
    Cloud { image: &'a str },
    /// They are always there.
    Hosts(&'a [HostSpec]),
}

impl PoolSpec {
    /// Where its machines come from.
    #[must_use]
    pub fn kind(&self) -> PoolKind<'_> {
        if self.hosts.is_empty() {
            let image = self.image.as_deref().unwrap_or_default();
            PoolKind::Cloud { image }
        } else {
            PoolKind::Hosts(&self.hosts)
        }
    }

    /// The host of that name.
    #[must_use]
    pub fn host(&self, name: &str) -> Option<&HostSpec> {
        self.hosts.iter().find(|host| host.name == name)
    }

    /// What the pool asks its cloud for, the preferred one first; each thing once.
    #[must_use]
    pub fn all_offerings(&self, network: &NetworkSpec) -> Vec<Offering> {
        self.offerings_by_line(network).concat()
    }

    /// What the pool asks its cloud for by each line of its offerings; each thing once, by the first line that has it.
    #[must_use]
    pub fn offerings_by_line(&self, network: &NetworkSpec) -> Vec<Vec<Offering>> {
        let mut seen = BTreeSet::new();
        let lines = self.offerings.iter().map(|line| {
            let mut all: Vec<Offering> = line.offerings(network).collect();
            all.retain(|offering| seen.insert(offering.clone()));
            all
        });
        lines.collect()
    }

    /// The line of offerings that a builder in a state takes a place of: the one that its machine is of, or that its cloud is being asked
    /// for. With another subnet or price in the file than when it was launched it is of the same line. `None` where nothing is asked for
    /// yet, and where no line is such any more.
    #[must_use]
    pub fn line_of(&self, state: BuilderState, offering: Option<&Offering>) -> Option<usize> {
        self.line_asked_for(offering.filter(|_| state.counts() && state != BuilderState::Planned)?)
    }

    /// The line of offerings that an offering is of: the first one that asks for it, whatever its subnet. If there is none, since the file
    /// has another price by now, the one with the lowest price that is not below its own, or else with the highest.
    #[must_use]
    pub fn line_asked_for(&self, offering: &Offering) -> Option<usize> {
        let has = |line: &OfferingSpec| {
            let is_zone = |zone: &String| Some(zone) == offering.zone.as_ref();
            line.market == offering.market
                && line.types.contains(&offering.instance_type)
                && (line.zones.is_empty() || line.zones.iter().any(is_zone))
        };
        let lines = || self.offerings.iter();
        let is_same = |line: &OfferingSpec| {
            has(line)
                && line.max_price == offering.max_price
                && line.zones.is_empty() == offering.zone.is_none()
        };
        if let Some(line) = lines().position(is_same) {
            return Some(line);
        }
        // Without a price it may cost what the market asks.
        let most = |price: Option<Price>| (price.is_none(), price);
        let own = most(offering.max_price);
        let like = || lines().enumerate().filter(|(_, line)| has(line));
        let costs = |(_, line): &(usize, &OfferingSpec)| most(line.max_price);
        let covers = like().filter(|line| costs(line) >= own).min_by_key(costs);
        let dearest = || like().rev().max_by_key(costs);
        covers.or_else(dearest).map(|(line, _)| line)
    }

    /// Which lines of offerings have as many machines as they may, when these lines have one each.
    #[must_use]
    pub fn full_lines(&self, taken: &[usize]) -> Vec<bool> {
        let mut left: Vec<Option<u32>> = self.offerings.iter().map(|line| line.max).collect();
        for line in taken {
            if let Some(Some(left)) = left.get_mut(*line) {
                *left = left.saturating_sub(1);
            }
        }
        left.into_iter().map(|left| left == Some(0)).collect()
    }

    /// How many machines all lines of offerings may still be asked for together, when these lines have one each; `None` where a line
    /// has no limit.
    #[must_use]
    pub fn left_of_lines(&self, taken: impl Iterator<Item = usize>) -> Option<u32> {
        let all: Option<Vec<u32>> = self.offerings.iter().map(|line| line.max).collect();
        let mut left = all.filter(|all| !all.is_empty())?;
        for line in taken {
            if let Some(left) = left.get_mut(line) {
                *left = left.saturating_sub(1);
            }
        }
        Some(left.into_iter().fold(0, u32::saturating_add))
    }

    /// Its size at a moment at which so many of its builders are in use, with what its schedule says.
    #[must_use]
    pub fn size_at(&self, now: Timestamp, in_use: u32) -> SizeNow {
        size_at(&self.size, &self.schedule, (now, in_use))
    }

    /// Whether builds for this chroot may run on its builders.
    #[must_use]
    pub fn offers(&self, chroot: &ChrootName) -> bool {
        let values = |key: &'static str| {
            self.labels
                .iter()
                .filter_map(move |label| label.strip_prefix(key))
        };
        let has_architecture = values("arch:").any(|architecture| architecture == chroot.architecture());
        let mut patterns = values("chroot:").peekable();
        has_architecture
            && (patterns.peek().is_none()
                || patterns.any(|pattern| Glob::new(pattern).matches(chroot.as_str())))
    }
}

/// How fast a pool grows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LaunchSpec {
    /// The most builders that are on their way to ready at once.
    #[schemars(range(min = 1))]
    pub parallel: u32,
    /// The most refused launches for one builder before it is given up.
    #[schemars(range(min = 1))]
    pub attempts: u32,
    /// How many launches it asks its cloud for in a time, such as `1/s` or `1/3s`, spread over it; no limit of its own when left out.
    pub rate: Option<Rate>,
}

impl LaunchSpec {
    /// The bucket that its launches are taken from; `None` where nothing but the cloud limits them.
    #[must_use]
    pub fn bucket(&self) -> Option<Bucket> {
        self.rate.map(|rate| Bucket::of_rate(rate.per_second()))
    }
}

impl Default for LaunchSpec {
    fn default() -> Self {
        Self {
            parallel: 10,
            attempts: 3,
            rate: None,
        }
    }
}

/// A line of offerings: instance types and zones to ask the cloud for, in one market.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OfferingSpec {
    /// Instance types, the preferred one first.
    #[schemars(schema_with = "schema::texts", length(min = 1))]
    pub types: Vec<String>,
    /// Availability zones, the preferred one first; none leaves it to the cloud.
    #[serde(default)]
    #[schemars(schema_with = "schema::texts")]
    pub zones: Vec<String>,
    /// How its machines are paid for.
    #[serde(default)]
    pub market: Market,
    /// The most that an hour of one may cost, for `spot`; as much as on demand when left out.
    #[serde(default)]
    pub max_price: Option<Price>,
    /// The most machines of the line that the pool has at once, counting those that come and go; no limit of its own when left out.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub max: Option<u32>,
    /// For how long the cloud has to refuse all of the lines before it until it is asked for, at most 5m; at once when left out. It counts
    /// from the first refusal of what is refused now, whoever asked, and goes on through a restart. Lines that are full are not waited for.
    #[serde(default)]
    pub after: Option<Span>,
}

impl OfferingSpec {
    /// All that the line offers, the preferred one first: each type in each zone before the next type.
    pub fn offerings<'a>(&'a self, network: &'a NetworkSpec) -> impl Iterator<Item = Offering> + 'a {
        let zones = || {
            let none = self.zones.is_empty().then_some(None);
            none.into_iter().chain(self.zones.iter().map(Some))
        };
        self.types.iter().flat_map(move |kind| {
            zones().map(move |zone| Offering {
                instance_type: kind.clone(),
                zone: zone.cloned(),
                subnet: network.subnet_of(zone.map(String::as_str)).map(str::to_owned),
                market: self.market,
                max_price: self.max_price,
            })
        })
    }
}

/// When a pool gives machines back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ShrinkSpec {
    /// How long a builder stays ready without need before it is terminated.
    pub idle_for: Span,
}

impl Default for ShrinkSpec {
    fn default() -> Self {
        Self {
            idle_for: Span::seconds(600),
        }
    }
}

/// How fast builders are replaced that would be made otherwise by now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DriftSpec {
    /// How many of a pool's builders may be missing for that at once, on their way out or not ready again. Of those on which no
    /// build may begin any more as many as `launch.parallel` leave in any case.
    pub budget: Share,
    /// The differences with which no build may begin on a builder any more: `image`, `provision`, `files`, `chroots`. With other
    /// programs of the builder's own, or made for no chroot that is offered by now, none may in any case.
    pub urgent_on: BTreeSet<DriftPart>,
    /// The time of the week in which builders leave on which builds may begin; at any time when left out.
    pub when: Option<WhenSpec>,
}

impl DriftSpec {
    /// The time that builders wait for on which builds may begin; `None` where they may leave now.
    #[must_use]
    pub fn waits_for(&self, now: Timestamp) -> Option<&WhenSpec> {
        let when = self.when.as_ref()?;
        when.goes_on_until(now).is_none().then_some(when)
    }
}

impl Default for DriftSpec {
    fn default() -> Self {
        Self {
            budget: Share::Percent(10),
            urgent_on: BTreeSet::new(),
            when: None,
        }
    }
}

/// How long and how many of a pool's builders operators may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HoldSpec {
    /// For how long `fleet hold` holds a builder where it does not say; from 1s to `max`.
    pub default: Span,
    /// For how long it may at most; up to 30d.
    pub max: Span,
    /// The most builders that are held at once, counting those that are to be when their builds have ended; no limit when left out.
    pub limit: Option<u32>,
}

impl Default for HoldSpec {
    fn default() -> Self {
        Self {
            default: Span::seconds(3600),
            max: Span::seconds(3 * 86_400),
            limit: None,
        }
    }
}

/// Whose builds may have a builder that has run one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReuseScope {
    /// Nobody's: each builder runs one build.
    #[default]
    Never,
    /// Those of the same submitter in the same project.
    Sandbox,
}

/// Whether a builder is used for more than one build. Between two builds it is cleaned and compared with what it was before the
/// first one; if anything differs, it is terminated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ReuseSpec {
    /// Whose builds may have it.
    pub scope: ReuseScope,
    /// How long it stays ready for them without need before it is terminated.
    pub idle_for: Span,
    /// The most builds that it runs.
    #[schemars(range(min = 1))]
    pub max_uses: u32,
    /// For how long it takes builds, from the moment at which it was ready for the first one.
    pub max_age: Span,
}

impl Default for ReuseSpec {
    /// The limits are those of Fedora's Copr.
    fn default() -> Self {
        Self {
            scope: ReuseScope::Never,
            idle_for: Span::seconds(90),
            max_uses: 8,
            max_age: Span::seconds(1800),
        }
    }
}

impl ReuseSpec {
    /// Until when a builder that gets ready may be used again after its next use, when it has run so many builds and was ready
    /// at `first` for the first time; `None`: that use is its last.
    #[must_use]
    pub fn until(&self, uses: u32, first: Timestamp) -> Option<Timestamp> {
        let has_more = uses.saturating_add(1) < self.max_uses;
        (self.scope == ReuseScope::Sandbox && has_more).then(|| first.plus(self.max_age.get()))
    }

    /// Whether a builder that has run so many builds may run one more.
    #[must_use]
    pub const fn allows_one_more(&self, uses: u32) -> bool {
        matches!(self.scope, ReuseScope::Sandbox) && uses < self.max_uses
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_builder_may_be_used_again_until_it_has_run_its_builds_or_is_too_old() {
        let first = Timestamp::from_micros(1_800_000_000_000_000);
        let spec = |scope, max_uses| ReuseSpec {
            scope,
            max_uses,
            ..ReuseSpec::default()
        };
        let end = Some(first.plus(std::time::Duration::from_secs(1800)));
        for (scope, max_uses, uses, expected) in [
            (ReuseScope::Sandbox, 3, 0, end),
            (ReuseScope::Sandbox, 3, 1, end),
            (ReuseScope::Sandbox, 3, 2, None),
            (ReuseScope::Sandbox, 3, u32::MAX, None),
            (ReuseScope::Sandbox, 1, 0, None),
            (ReuseScope::Never, 3, 0, None),
        ] {
            let until = spec(scope, max_uses).until(uses, first);
            assert_eq!(until, expected, "{scope:?} {uses} of {max_uses}");
            // Whoever may be used again after the next use is allowed that one.
            let allows = spec(scope, max_uses).allows_one_more(uses);
            let expected = scope == ReuseScope::Sandbox && uses < max_uses;
            assert_eq!(allows, expected, "{scope:?} {uses} of {max_uses}");
        }
    }
}
