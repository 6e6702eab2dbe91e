//! Of a build: its attempts, and of each that waits its place in the queue, the pools that could take it, and why each does not.

use std::collections::BTreeMap;

use model::{
    AttemptId, AttemptState, BuildState, BuilderId, ChrootName, PoolName, Timestamp,
    fleet::{FleetSpec, PoolSpec},
    plan::{Action, Plan},
    quantity::Price,
};
use serde::Serialize;
use store::{Attempt, Build, FleetView};

use super::{
    super::wanted::{Counts, counts},
    ago, length,
};
use crate::table::table;

/// The end of a part of a reason that has a semicolon in it.
const ASKED_AGAIN: &str = "it is asked again";

/// All that an operator asks about a build that waits, or did.
#[derive(Debug, Serialize)]
pub(super) struct BuildStory {
    build: i64,
    owner: String,
    project: String,
    package: Option<String>,
    version: Option<String>,
    state: BuildState,
    submitted: String,
    chroots: Vec<Chroot>,
    attempts: Vec<Tried>,
    /// What all attempts together cost whose cost is known.
    cost: Option<String>,
    waits: Vec<Waiting>,
    #[serde(skip)]
    submitted_at: Timestamp,
    #[serde(skip)]
    now: Timestamp,
}

#[derive(Debug, Serialize)]
struct Chroot {
    chroot: ChrootName,
    state: BuildState,
    attempts: u32,
    /// Why it waits, or failed.
    why: Option<String>,
}

#[derive(Debug, Serialize)]
struct Tried {
    attempt: AttemptId,
    chroot: ChrootName,
    number: u32,
    state: AttemptState,
    since: String,
    builder: Option<String>,
    /// What its builder cost meanwhile, by the price that the file has now; none where that is not known.
    cost: Option<String>,
    why: Option<String>,
}

/// An attempt without a builder.
#[derive(Debug, Serialize)]
struct Waiting {
    attempt: AttemptId,
    chroot: ChrootName,
    seconds: u64,
    /// Its place in the queue, from 1, and how many are in it.
    place: usize,
    of: usize,
    /// What the next round does for it, or why nothing.
    why: String,
    pools: Vec<PoolAnswer>,
}

/// What a pool says to an attempt.
#[derive(Debug, Serialize)]
struct PoolAnswer {
    pool: PoolName,
    priority: i32,
    may_take_it: bool,
    builders: u32,
    ready: u32,
    max: u32,
    why: String,
}

impl BuildStory {
    pub(super) fn new(
        build: Build,
        attempts: &[Attempt],
        fleet: &FleetSpec,
        view: &FleetView,
        plan: &Plan,
    ) -> Self {
        let now = view.at;
        let chroots = build.chroots.into_iter().map(|chroot| Chroot {
            chroot: chroot.name,
            state: chroot.state,
            attempts: chroot.attempts,
            why: chroot.failure.map(|it| it.reason).or(chroot.waiting_reason),
        });
        let counts = counts(fleet, view);
        let places = view
            .queue
            .iter()
            .zip(1..)
            .filter(|(queued, _)| queued.build == build.id);
        let waits = places.map(|(queued, place)| {
            let why = what_comes(queued.id, view, plan);
            Waiting {
                attempt: queued.id,
                chroot: queued.chroot.clone(),
                seconds: now.since(queued.queued_at).as_secs(),
                place,
                of: view.queue.len(),
                pools: pools(fleet, &queued.chroot, &why, &counts),
                why,
            }
        });
        Self {
            build: build.id.0,
            owner: build.owner.to_string(),
            project: build.project_name.to_string(),
            package: build.package.map(|name| name.to_string()),
            version: build.version,
            state: build.state,
            submitted: build.submitted_at.to_string(),
            chroots: chroots.collect(),
            attempts: attempts.iter().map(tried).collect(),
            cost: None,
            waits: waits.collect(),
            submitted_at: build.submitted_at,
            now,
        }
    }

    /// The same with what an hour of the attempts' builders costs.
    pub(super) fn with_prices(self, attempts: &[Attempt], prices: &BTreeMap<BuilderId, Price>) -> Self {
        let costs: Vec<Option<Price>> = attempts.iter().map(|it| cost(it, prices, self.now)).collect();
        let known = costs.iter().flatten().copied().reduce(Price::plus);
        let mut tried = self.attempts;
        for (one, cost) in tried.iter_mut().zip(costs) {
            one.cost = cost.map(|cost| cost.to_string());
        }
        Self {
            attempts: tried,
            cost: known.map(|cost| cost.to_string()),
            ..self
        }
    }

    pub(super) fn as_text(&self) -> String {
        let of = [&self.package, &self.version].into_iter().flatten();
        let of: String = of.map(|word| format!(" {word}")).collect();
        let named = if of.is_empty() { of } else { format!(",{of},") };
        let mut text = format!(
            "build {} of {}/{}{named} is {}\n\n  submitted {}\n\n",
            self.build,
            self.owner,
            self.project,
            self.state,
            ago(self.submitted_at, self.now)
        );
        let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let rows = self.chroots.iter().map(|it| {
            let cells = [
                it.chroot.to_string(),
                it.state.to_string(),
                it.attempts.to_string(),
            ];
            [cells.as_slice(), &[or_dash(&it.why)]].concat()
        });
        text.push_str(&table(&["CHROOT", "STATE", "ATTEMPTS", "WHY"], rows.collect()));
        text.push('\n');
        if self.attempts.is_empty() {
            text.push_str("It has no attempt yet.\n");
        } else {
            let rows = self.attempts.iter().map(|it| {
                let cells = [
                    it.attempt.to_string(),
                    it.chroot.to_string(),
                    it.number.to_string(),
                ];
                let more = [
                    it.state.to_string(),
                    it.since.clone(),
                    or_dash(&it.builder),
                    or_dash(&it.why),
                ];
                [cells.as_slice(), more.as_slice()].concat()
            });
            let header = ["ATTEMPT", "CHROOT", "NUMBER", "STATE", "SINCE", "BUILDER", "WHY"];
            text.push_str(&table(&header, rows.collect()));
        }
        if let Some(cost) = &self.cost {
            text.push_str(&format!(
                "\nIts builders cost {cost} while they built it, by the prices that the fleet file has now.\n"
            ));
        }
        for wait in &self.waits {
            text.push_str(&wait.as_text());
        }
        text
    }
}

impl Waiting {
    fn as_text(&self) -> String {
        let mut text = format!(
            "\n{} waits for {}, at place {} of {} in the queue: {}\n",
            self.chroot,
            length(std::time::Duration::from_secs(self.seconds)),
            self.place,
            self.of,
            self.why
        );
        if self.pools.is_empty() {
            return text;
        }
        let rows = self.pools.iter().map(|it| {
            let cells = [
                it.pool.to_string(),
                if it.may_take_it { "yes" } else { "no" }.to_owned(),
            ];
            let numbers = [
                it.priority.to_string(),
                it.builders.to_string(),
                it.ready.to_string(),
                it.max.to_string(),
            ];
            [
                cells.as_slice(),
                numbers.as_slice(),
                std::slice::from_ref(&it.why),
            ]
            .concat()
        });
        let header = [
            "POOL",
            "OFFERS IT",
            "PRIORITY",
            "BUILDERS",
            "READY",
            "AT MOST",
            "WHY IT DOES NOT TAKE IT NOW",
        ];
        text.push_str(&table(&header, rows.collect()));
        text
    }
}

fn tried(attempt: &Attempt) -> Tried {
    let since = attempt
        .ended_at
        .or(attempt.started_at)
        .unwrap_or(attempt.queued_at);
    Tried {
        attempt: attempt.id,
        chroot: attempt.chroot.clone(),
        number: attempt.number,
        state: attempt.state,
        since: since.to_the_second().to_string(),
        builder: attempt.builder.map(|id| id.to_string()),
        cost: None,
        why: attempt.reason.clone(),
    }
}

/// What an attempt's builder cost from when a worker took the attempt up to its end, or to now.
fn cost(attempt: &Attempt, prices: &BTreeMap<BuilderId, Price>, now: Timestamp) -> Option<Price> {
    let (begun, price) = (attempt.started_at?, prices.get(&attempt.builder?)?);
    let seconds = attempt.ended_at.unwrap_or(now).since(begun).as_secs();
    Some(price.for_seconds(seconds))
}

/// What the next round does for an attempt, or why it does nothing.
fn what_comes(attempt: AttemptId, view: &FleetView, plan: &Plan) -> String {
    let given = plan.actions.iter().find_map(|action| match action {
        Action::Assign { attempt: to, builder } if *to == attempt => Some(builder),
        _ => None,
    });
    if let Some(builder) = given {
        let pool = view
            .builders
            .iter()
            .find(|it| it.id == *builder)
            .map(|it| format!(" of pool {}", it.pool));
        return format!("the next round gives it {builder}{}", pool.unwrap_or_default());
    }
    let wait = plan.waits.iter().find(|wait| wait.attempt == attempt);
    wait.map_or_else(
        || "no controller has looked at it yet".to_owned(),
        |wait| wait.reason.to_string(),
    )
}

/// What each pool says to an attempt for a chroot, those that could take it first.
fn pools(
    fleet: &FleetSpec,
    chroot: &ChrootName,
    why: &str,
    counts: &BTreeMap<PoolName, Counts>,
) -> Vec<PoolAnswer> {
    let (mut may, mut may_not): (Vec<_>, Vec<_>) =
        fleet.pools.iter().partition(|(_, spec)| spec.offers(chroot));
    may.sort_by_key(|(name, spec)| (std::cmp::Reverse(spec.priority), *name));
    let names: Vec<&PoolName> = may.iter().map(|(name, _)| *name).collect();
    let said = by_pool(why, &names);
    let lacking = may_not
        .drain(..)
        .map(|(name, spec)| (name, spec, false, lacks(spec, chroot)));
    let offering = may
        .into_iter()
        .zip(said)
        .map(|((name, spec), why)| (name, spec, true, why));
    offering
        .chain(lacking)
        .map(|(name, spec, may_take_it, why)| {
            let has = counts.get(name).copied().unwrap_or_default();
            PoolAnswer {
                pool: name.clone(),
                priority: spec.priority,
                may_take_it,
                builders: has.all,
                ready: has.ready,
                max: spec.size.max,
                why,
            }
        })
        .collect()
}

/// The planner's reason for each pool that offers the chroot. Where all refuse, it has a part for each, in this order; where a
/// builder comes, it is about that one's pool.
fn by_pool(why: &str, pools: &[&PoolName]) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    for part in why.split("; ") {
        match parts.last_mut() {
            Some(last) if part == ASKED_AGAIN => last.push_str(&format!("; {part}")),
            _ => parts.push(part.to_owned()),
        }
    }
    if parts.len() == pools.len() {
        return parts;
    }
    let is_about = |pool: &PoolName| {
        let mut words = why.split([' ', ':', ';']);
        words.any(|word| word == pool.as_str())
    };
    let is_one_of_them = pools.iter().any(|pool| is_about(pool));
    let answer = |pool: &&PoolName| match is_about(pool) || !is_one_of_them {
        true => why.to_owned(),
        false => "it is not asked: another pool serves the attempt".to_owned(),
    };
    pools.iter().map(answer).collect()
}

/// Why a pool cannot take builds for a chroot.
fn lacks(spec: &PoolSpec, chroot: &ChrootName) -> String {
    let architecture = format!("arch:{}", chroot.architecture());
    if spec.labels.contains(&architecture) {
        format!("none of its `chroot:` labels fits {chroot}")
    } else {
        format!("it has no label {architecture}")
    }
}

#[cfg(test)]
mod tests;
