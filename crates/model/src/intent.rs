//! What operators ask of the fleet by commands: intents. A command only writes one down; the controller that leads takes it up
//! in its next round ([`take_up`]), carries out what follows, and looks in each round what has become of it ([`follow`]).
//!
//! An intent has a key, which the command makes from all that it says and from a slot of time, so that of many equal commands one
//! has an effect, and all the others are told what came of it. Where no key was given, that one answers as long as nothing else was
//! asked since of what it is about ([`answers()`]).

mod adopt;
mod answers;
mod follow;
mod take_up;

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    BuilderId, BuilderState, PoolName, Timestamp,
    build::UnknownState,
    mark::{Mark, Pause},
    plan::{Demand, Snapshot, Source},
    quantity::Span,
    stray::{Disregard, Stray},
};

pub use adopt::no_room;
pub use answers::answers;
pub use follow::{Made, Pass, follow};
pub use take_up::{expired, take_up};

/// What an operator asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "lowercase")]
pub enum Request {
    /// So many builders more of a pool.
    Spawn {
        pool: PoolName,
        count: u32,
        /// For how long that many are kept beside what the pool holds ready anyway.
        #[serde(rename = "for")]
        keep: Option<Span>,
    },
    /// These builders end: after their jobs, or now.
    Terminate { what: Target, now: bool, reason: String },
    /// No attempts go to a builder any more.
    Cordon {
        builder: BuilderId,
        reason: String,
        #[serde(rename = "for")]
        lasts: Option<Span>,
    },
    /// A cordon is lifted, or the pause of a pool that was drained.
    Uncordon { what: Target },
    /// These builders end after their jobs; a pool launches no others meanwhile.
    Drain {
        what: Target,
        reason: String,
        #[serde(rename = "for")]
        lasts: Option<Span>,
    },
    /// A builder is kept for somebody, out of service.
    Hold {
        builder: BuilderId,
        reason: String,
        /// For how long; as the file says of its pool where that is left out.
        #[serde(rename = "for")]
        lasts: Option<Span>,
        owner: Option<String>,
    },
    /// A hold ends before its time.
    Release { builder: BuilderId },
    /// A fixed host that is out of service, or is left alone after failures, is used again.
    Readmit { host: String },
    /// An instance that no builder has becomes one of a pool.
    Adopt {
        /// The cloud's id for it.
        instance: String,
        pool: PoolName,
        /// The host key that it has to prove, as OpenSSH writes it, where the farm does not know it.
        host_key: Option<String>,
    },
    /// A stray is left alone: shown, and never ended.
    Ignore { instance: String, reason: String },
    /// A stray that was left alone is one like others again.
    Disown { instance: String },
    /// One whole pass: every cloud is looked at, and what is due is done.
    Reconcile,
}

/// Builders, or all of a pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    Builders(Vec<BuilderId>),
    Pool(PoolName),
}

impl Request {
    /// The word of the command.
    #[must_use]
    pub const fn verb(&self) -> &'static str {
        match self {
            Self::Spawn { .. } => "spawn",
            Self::Terminate { .. } => "terminate",
            Self::Cordon { .. } => "cordon",
            Self::Uncordon { .. } => "uncordon",
            Self::Drain { .. } => "drain",
            Self::Hold { .. } => "hold",
            Self::Release { .. } | Self::Readmit { .. } | Self::Disown { .. } => "release",
            Self::Adopt { .. } => "adopt",
            Self::Ignore { .. } => "ignore",
            Self::Reconcile => "reconcile",
        }
    }
}

/// The slot of a request whose operator names none: the minute, with a number where it was asked for in it before and that does not
/// answer any more. `number`: the first is 1.
#[must_use]
pub fn slot(now: Timestamp, number: u32) -> String {
    let second = now.to_the_second().to_string();
    let minute = second
        .rsplit_once(':')
        .map_or(second.as_str(), |(minute, _)| minute);
    match number {
        0 | 1 => minute.to_owned(),
        more => format!("{minute}.{more}"),
    }
}

/// How far an intent has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IntentState {
    /// On record; no controller has taken it up.
    New,
    /// Taken up; what it asks for is under way.
    Running,
    /// What it asks for is so.
    Done,
    /// It was so already.
    Nothing,
    /// A limit or a brake forbids it.
    Refused,
    /// It was tried, and did not come about.
    Failed,
}

impl IntentState {
    /// Every state, in the order of the enum.
    pub const ALL: [Self; 6] = [
        Self::New,
        Self::Running,
        Self::Done,
        Self::Nothing,
        Self::Refused,
        Self::Failed,
    ];

    /// The word in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Running => "running",
            Self::Done => "done",
            Self::Nothing => "nothing",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }

    /// Whether it will not change any more.
    #[must_use]
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::New | Self::Running)
    }
}

impl fmt::Display for IntentState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for IntentState {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        let found = Self::ALL.into_iter().find(|state| state.as_str() == text);
        found.ok_or_else(|| UnknownState {
            kind: "state of an intent",
            text: text.to_owned(),
        })
    }
}

/// A request on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    pub key: String,
    pub request: Request,
    /// Who asks.
    pub actor: String,
    pub state: IntentState,
    /// What has become of it, as a sentence for operators.
    pub words: String,
    /// The builders that it is about: those that were launched for it, or those that it named.
    pub builders: Vec<BuilderId>,
    pub created_at: Timestamp,
}

impl Intent {
    /// The instance that it wants as a builder of which pool, while that is to be decided.
    #[must_use]
    pub fn wants(&self) -> Option<(&str, &PoolName)> {
        match &self.request {
            Request::Adopt { instance, pool, .. }
                if self.state == IntentState::Running && self.builders.is_empty() =>
            {
                Some((instance, pool))
            }
            _ => None,
        }
    }

    /// The instance without a builder that it is about.
    #[must_use]
    pub fn stray(&self) -> Option<&str> {
        match &self.request {
            Request::Adopt { instance, .. }
            | Request::Ignore { instance, .. }
            | Request::Disown { instance } => Some(instance),
            _ => None,
        }
    }

    /// Until when it goes on asking for something after its end; `None` when it does not.
    #[must_use]
    pub fn keeps_until(&self) -> Option<Timestamp> {
        match self.request {
            Request::Spawn { keep: Some(keep), .. } => Some(self.created_at.plus(keep.get())),
            _ => None,
        }
    }

    /// What is asked for once this pool is drained: nothing is kept there any more. `None` where that changes nothing.
    #[must_use]
    pub fn without_keeping(&self, drained: &PoolName) -> Option<Request> {
        match &self.request {
            Request::Spawn {
                pool,
                count,
                keep: Some(_),
            } if pool == drained => Some(Request::Spawn {
                pool: pool.clone(),
                count: *count,
                keep: None,
            }),
            _ => None,
        }
    }

    /// Why nothing is launched for it any more, as a sentence for operators; `None` while something may be.
    fn too_late(&self, now: Timestamp) -> Option<String> {
        let until = self.keeps_until().filter(|until| *until <= now)?;
        Some(format!(
            "the time for which it was asked was over at {}",
            until.to_the_second()
        ))
    }
}

/// What is to be written down for an intent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Builders that are marked, or whose mark is taken away.
    pub marks: Vec<(BuilderId, Option<Mark>)>,
    /// A pool that is to launch nothing, or to launch again.
    pub pause: Option<(PoolName, Option<Pause>)>,
    /// A host that is used again, as if nothing were known of it.
    pub readmitted: Option<String>,
    /// A stray that is left alone, or no longer.
    pub disregard: Option<Disregard>,
    /// The builders that it is about from now on.
    pub builders: Vec<BuilderId>,
    pub state: IntentState,
    /// What has become of it, as a sentence for operators.
    pub words: String,
}

impl Decision {
    /// Nothing but the word on how it stands.
    #[must_use]
    pub fn of(state: IntentState, words: impl Into<String>) -> Self {
        Self {
            marks: Vec::new(),
            pause: None,
            readmitted: None,
            disregard: None,
            builders: Vec::new(),
            state,
            words: words.into(),
        }
    }
}

/// What an intent asks a plan for. `made`: how many builders were launched for it.
#[must_use]
pub fn demands(intent: &Intent, now: Timestamp) -> Vec<Demand> {
    let Request::Spawn { pool, count, .. } = &intent.request else {
        return Vec::new();
    };
    let made = u32::try_from(intent.builders.len()).unwrap_or(u32::MAX);
    let missing = count.saturating_sub(made);
    let mut demands = Vec::new();
    if intent.state == IntentState::Running && missing > 0 && intent.too_late(now).is_none() {
        demands.push(Demand {
            source: Source::Operator(pool.clone(), intent.key.clone()),
            count: missing,
            until: None,
            why: format!("{} asked for {}", intent.actor, builders(*count)),
        });
    }
    let kept = made.min(*count);
    let keeps_until = intent.keeps_until().filter(|until| *until > now && kept > 0);
    if let Some(until) = keeps_until {
        demands.push(Demand {
            source: Source::Kept(pool.clone()),
            count: kept,
            until: Some(until),
            why: format!(
                "{} that {} asked for until {}",
                builders(kept),
                intent.actor,
                until.to_the_second()
            ),
        });
    }
    demands
}

/// The farm as it is when a decision on an intent is written down.
#[must_use]
pub fn as_decided(snapshot: &Snapshot, intent: &Intent, decision: &Decision) -> Snapshot {
    let mut then = snapshot.clone();
    for (id, mark) in &decision.marks {
        for builder in then.builders.iter_mut().filter(|it| it.id == *id) {
            builder.cordoned = mark.is_some();
            builder.mark.clone_from(mark);
        }
    }
    if let Some((name, pause)) = &decision.pause
        && let Some(pool) = then.pools.get_mut(name)
    {
        pool.pause.clone_from(pause);
    }
    if let Some(host) = &decision.readmitted {
        for pool in then.pools.values_mut() {
            pool.hosts.remove(host);
        }
    }
    if let Some(disregard) = &decision.disregard {
        let is_it =
            |stray: &&mut Stray| stray.instance == disregard.instance && stray.cloud == disregard.cloud;
        for stray in then.strays.iter_mut().filter(is_it) {
            stray.ignored.clone_from(&disregard.ignored);
        }
    }
    let decided = Intent {
        state: decision.state,
        builders: decision.builders.clone(),
        ..intent.clone()
    };
    then.demands.extend(demands(&decided, snapshot.now));
    then
}

/// So many builders, in words.
fn builders(count: u32) -> String {
    match count {
        1 => "1 builder".to_owned(),
        more => format!("{more} builders"),
    }
}

/// Whether a builder in this state goes already, whatever is said of it.
const fn is_going(state: BuilderState) -> bool {
    matches!(
        state,
        BuilderState::Draining
            | BuilderState::Terminating
            | BuilderState::Terminated
            | BuilderState::Abandoned
    )
}

#[cfg(test)]
mod tests;
