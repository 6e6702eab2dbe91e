//! What is wrong with the fleet, for those who look after it: who leads, which clouds give no machines, which pools are held
//! back, what goes on costing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::{
    BuilderId, BuilderState, LaunchHistory, PoolName, Timestamp, budget::Budget, calls::CallCount,
    plan::CloudTrouble,
};

/// The fleet's condition, as the database has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// How many builds run that a farm waits for which is being stopped; `None` when it is not.
    pub stopping: Option<usize>,
    /// Whether a controller acts.
    pub leadership: Leadership,
    /// Why the fleet file as it stands is not in force; `None` when it is.
    pub file: Option<FileProblem>,
    /// The clouds that give no machines.
    pub clouds: Vec<CloudTrouble>,
    /// How the last launches of each pool went.
    pub pools: BTreeMap<PoolName, LaunchHistory>,
    /// How the launches go that are under way, by pool.
    pub launching: BTreeMap<PoolName, Launching>,
    /// Instances with the fleet's tag and without a builder that a cloud refuses to end, by their ids, and why.
    pub refused_ends: BTreeMap<String, String>,
    /// Instances with the fleet's tag and without a builder that are not ended, since too many were in the last hour: their ids.
    pub left: Vec<String>,
    /// Builders that have been on their way out, or without an answer to their launch, for longer than clouds take; oldest first.
    pub stuck: Vec<Stuck>,
    /// What may be spent in clouds with a limit of money, and is.
    pub budgets: Vec<Budget>,
    /// How many calls were made to clouds for which they are limited, by class.
    pub calls: Vec<CallCount>,
}

/// A fleet file that was changed and cannot be taken up. The one before it stays in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileProblem {
    /// Since when it stands so.
    pub since: Timestamp,
    /// What is wrong with it, for operators: with its path and the line.
    pub words: String,
}

/// A builder whose machine does not end, or of which no cloud says whether there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck {
    pub builder: BuilderId,
    pub state: BuilderState,
    /// Since when it is in its state.
    pub since: Timestamp,
    /// What is in its way, as far as somebody has said it.
    pub reason: Option<String>,
}

impl Stuck {
    /// How long a builder is in such a state before it is told of: what clouds need for it is over by then (reference of the
    /// fleet, section 2: terminating and resolving).
    pub const AFTER: Duration = Duration::from_secs(15 * 60);
    /// The states in which a builder may cost money while nobody can do anything about it.
    pub const STATES: [BuilderState; 2] = [BuilderState::Terminating, BuilderState::Resolving];
}

/// A pool's builders on the way to ready.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Launching {
    /// How many there are.
    pub starting: u32,
    /// For how many of them the cloud gave no machine so far and is asked again.
    pub refused: u32,
    /// What it said last.
    pub refusal: Option<String>,
}

/// Whether a controller holds the fleet's lease.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Leadership {
    /// A controller holds it.
    Held {
        /// The controller's name.
        holder: String,
    },
    /// No controller holds it: nothing is launched, assigned or ended.
    Vacant {
        /// When the last one's lease ended; `None` when there never was one.
        since: Option<Timestamp>,
    },
    /// It is not known.
    #[default]
    Unknown,
}

/// Something that is wrong with the fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// A sentence for everybody: without ids, addresses and what machines said.
    pub words: String,
    /// What operators need to know besides.
    pub detail: Option<String>,
}

impl Trouble {
    /// Sentence and detail in one line.
    #[must_use]
    pub fn for_operators(&self) -> String {
        match &self.detail {
            Some(detail) => format!("{}: {detail}", self.words),
            None => self.words.clone(),
        }
    }
}

impl Condition {
    /// What is wrong, the worst first; empty when nothing is.
    #[must_use]
    pub fn troubles(&self, now: Timestamp) -> Vec<Trouble> {
        let mut found = Vec::new();
        let mut tell = |words: String, detail: Option<String>| found.push(Trouble { words, detail });
        if let Some(running) = self.stopping {
            tell(stopping(running), None);
        }
        match &self.leadership {
            Leadership::Held { .. } | Leadership::Unknown => {}
            Leadership::Vacant { since: None } => {
                tell("no controller has ever led this fleet".to_owned(), None);
            }
            Leadership::Vacant { since: Some(since) } => {
                let (for_long, since) = (now.since(*since).as_secs(), since.to_the_second());
                tell(
                    format!(
                        "no controller leads since {since}, for {for_long} s: nothing is launched, assigned or ended"
                    ),
                    None,
                );
            }
        }
        if let Some(file) = &self.file {
            let since = file.since.to_the_second();
            let words = format!(
                "the fleet file was changed at {since} and is not used: the one before stays in force"
            );
            tell(words, Some(file.words.clone()));
        }
        for cloud in &self.clouds {
            let detail = cloud.detail.strip_prefix(&cloud.reason).unwrap_or(&cloud.detail);
            let detail = detail.trim_start_matches(": ");
            tell(
                cloud.in_public(),
                Some(detail.to_owned()).filter(|detail| !detail.is_empty()),
            );
        }
        for budget in self.budgets.iter().filter(|it| it.forbids_launches()) {
            let words = format!("{}: nothing more is launched there", budget.in_public());
            tell(words, Some(budget.in_words()));
        }
        for pool in self
            .pools
            .keys()
            .chain(self.launching.keys())
            .collect::<BTreeSet<_>>()
        {
            if let Some((words, detail)) = self.of_pool(pool, now) {
                tell(words, detail);
            }
        }
        for trouble in self.of_left().into_iter().chain(self.of_stuck(now)) {
            tell(trouble.words, trouble.detail);
        }
        let count = self.refused_ends.len();
        if count > 0 {
            let whose = if count == 1 {
                "machine without a builder goes"
            } else {
                "machines without builders go"
            };
            let each = self.refused_ends.iter().map(|(id, why)| format!("{id}: {why}"));
            tell(
                format!("{count} {whose} on costing, since a cloud refuses to end what it was told to"),
                Some(each.collect::<Vec<_>>().join("; ")),
            );
        }
        found
    }
}

impl Condition {
    /// What is told of machines that are too many to be ended.
    fn of_left(&self) -> Option<Trouble> {
        let machines = match self.left.len() {
            0 => return None,
            1 => "1 machine has the fleet's tag and no builder, and is".to_owned(),
            more => format!("{more} machines have the fleet's tag and no builder, and are"),
        };
        Some(Trouble {
            words: format!(
                "{machines} not ended: more than `controller.reap_per_hour` are no accident. Is the database the right one?"
            ),
            detail: Some(self.left.join(", ")),
        })
    }

    /// What is told of builders that are stuck, for each of their states.
    fn of_stuck(&self, now: Timestamp) -> Vec<Trouble> {
        let states = [
            (BuilderState::Terminating, "told to end, and the end has not come"),
            (BuilderState::Resolving, "asked for without an answer"),
        ];
        let told = states.into_iter().filter_map(|(state, what)| {
            let stuck: Vec<&Stuck> = self.stuck.iter().filter(|one| one.state == state).collect();
            let (count, minutes) = (stuck.len(), now.since(stuck.first()?.since).as_secs() / 60);
            let (machines, they) = match count {
                1 => ("machine was", "it may"),
                _ => ("machines were", "they may"),
            };
            let each = stuck.iter().map(|one| {
                let reason = one.reason.as_deref().unwrap_or("nothing is known");
                format!("{}: {reason}", one.builder)
            });
            Some(Trouble {
                words: format!("{count} {machines} {what} for {minutes} minutes: {they} go on costing"),
                detail: Some(each.collect::<Vec<_>>().join("; ")),
            })
        });
        told.collect()
    }

    /// What is wrong with a pool, and why: of several things the worst.
    fn of_pool(&self, pool: &PoolName, now: Timestamp) -> Option<(String, Option<String>)> {
        let nothing_yet = LaunchHistory::default();
        let history = self.pools.get(pool).unwrap_or(&nothing_yet);
        let last_one = || {
            let reason = history.last_reason.as_ref();
            reason.map(|reason| format!("the last one: {reason}"))
        };
        if let Some(words) = held_back(pool, history, now) {
            return Some((words, last_one()));
        }
        let launching = self.launching.get(pool)?;
        match (launching.refused, history.failures) {
            (0, 0) => None,
            (0, failures) if launching.starting > 0 => {
                let failed = match failures {
                    1 => "the last builder".to_owned(),
                    more => format!("the last {more} builders"),
                };
                let words = format!("{failed} of pool {pool} never got ready, and another is tried");
                Some((words, last_one()))
            }
            (0, _) => None,
            (refused, _) => {
                let builders = match refused {
                    1 => "a builder",
                    more => &format!("{more} builders"),
                };
                let words = format!(
                    "the cloud gave pool {pool} no machine for {builders} so far, and is asked again"
                );
                Some((words, launching.refusal.clone()))
            }
        }
    }
}

/// What a farm waits for that is being stopped.
fn stopping(running: usize) -> String {
    let waits = match running {
        0 => "its machines and its processes have ended".to_owned(),
        1 => "1 build that runs has ended".to_owned(),
        more => format!("{more} builds that run have ended"),
    };
    format!("the farm is stopping: it begins no builds, and stops when {waits}")
}

/// That a pool launches nothing, or only one builder, because its last ones failed; `None` when it launches as it needs.
fn held_back(pool: &PoolName, history: &LaunchHistory, now: Timestamp) -> Option<String> {
    let until = history.held_until()?;
    let failures = history.failures;
    let words = if until > now {
        let (until, left) = (until.to_the_second(), until.since(now).as_secs());
        format!("pool {pool} is held back until {until}, {left} s from now")
    } else {
        format!("pool {pool} is held back and tries one builder when one is wanted")
    };
    Some(format!(
        "{words}, since its last {failures} builders never got ready"
    ))
}

#[cfg(test)]
mod tests;
