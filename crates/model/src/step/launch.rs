//! From the wish for a machine to the cloud's answer: what is asked for next, and what an answer means.

use std::{str::FromStr, time::Duration};

use super::{Move, Standing, Step};
use crate::{
    BuilderId, BuilderState, Offering, Shortage, Timestamp,
    build::UnknownState,
    fleet::{CloudProfile, NetworkSpec, PoolSpec},
    quantity::Span,
    shortage::{Note, not_short, refused_since},
};

/// How long to leave a cloud alone that has none of the offerings, or that asked for fewer calls; the latter longer with
/// every time, and each builder up to half of it longer, so that those which were refused together come back one by one.
const PAUSE_AFTER_REFUSAL: Duration = Duration::from_secs(3);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How often a builder looks whether its pool may have one more machine of a line of its offerings.
const PAUSE_WHILE_FULL: Duration = Duration::from_secs(3);
/// How long a launch without a clear answer is asked about before it may count as never made.
const RESOLVING_AT_LEAST: Duration = Duration::from_secs(600);
/// The same where the cloud has never said anything else than that it does not know, or later, while its lists come.
const RESOLVING_WITHOUT_ANSWER: Duration = Duration::from_secs(1800);
/// How many lists in a row without its instance end the doubt about a launch: one alone may be wrong, as clouds' lists are now and then.
pub const LISTS_WITHOUT_IT: u32 = 3;
const PAUSE_BETWEEN_QUESTIONS: Duration = Duration::from_secs(3);
/// How long a cloud may work on a launch whose answer was lost, at most.
const LONGEST_WORK_OF_A_LAUNCH: Duration = Duration::from_secs(120);

/// The kinds of answers to a launch, as they are on record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaunchAnswer {
    /// A machine.
    Given,
    /// Not this offering.
    Refused,
    /// Not now: ask the same later.
    Later,
    /// Nothing that could be known: no machine came of it.
    Nothing,
}

impl LaunchAnswer {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Given, Self::Refused, Self::Later, Self::Nothing];

    /// The word in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Given => "given",
            Self::Refused => "refused",
            Self::Later => "later",
            Self::Nothing => "nothing",
        }
    }
}

impl FromStr for LaunchAnswer {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        let found = Self::ALL.into_iter().find(|answer| answer.as_str() == text);
        found.ok_or_else(|| UnknownState {
            kind: "answer to a launch",
            text: text.to_owned(),
        })
    }
}

/// How the launches for a builder went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Launches {
    /// How many were refused.
    pub refusals: u32,
    /// How many were put off, because the cloud asked for fewer calls or could not be reached.
    pub postponements: u32,
    /// The answer to the last one; `None` where there is none yet.
    pub last: Option<LaunchAnswer>,
}

/// What a pool asks its cloud for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The lines of offerings, the preferred one first.
    pub lines: Vec<Line>,
    /// What the cloud said lately that it has no more of, to whomever.
    pub short: Vec<Note>,
    /// After so many refused launches a builder is given up.
    pub tries: u32,
}

/// A line of a pool's offerings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The preferred one first.
    pub offerings: Vec<Offering>,
    /// Whether the pool has as many machines of it as it may (`offerings[].max`).
    pub is_full: bool,
    /// For how long the lines before it have to be refused until it is asked for (`offerings[].after`).
    pub after: Duration,
}

impl Line {
    /// A line of which the pool may have one more machine.
    #[must_use]
    pub const fn open(offerings: Vec<Offering>) -> Self {
        Self {
            offerings,
            is_full: false,
            after: Duration::ZERO,
        }
    }

    /// All lines of a pool, some of which are full.
    #[must_use]
    pub fn of_pool(pool: &PoolSpec, network: &NetworkSpec, full: &[bool]) -> Vec<Self> {
        let full = full.iter().copied().chain(std::iter::repeat(false));
        let after = pool.offerings.iter().map(|line| line.after);
        let lines = pool.offerings_by_line(network).into_iter().zip(full.zip(after));
        let line = |(offerings, (is_full, after)): (_, (_, Option<Span>))| Self {
            offerings,
            is_full,
            after: after.map_or(Duration::ZERO, Span::get),
        };
        lines.map(line).collect()
    }
}

/// What a cloud says to a launch, as far as its builder's fate depends on it. Each has the words that people read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// An instance, by its id.
    Instance(String),
    /// Nothing was done, and the same again will not help.
    Refused {
        /// EC2's code.
        code: String,
        words: String,
    },
    /// Nothing was done: ask the same later.
    Later(String),
    /// The machine of this launch has been made and has ended.
    Ended(String),
    /// Nobody knows whether anything was done.
    Unclear(String),
}

/// What becomes of a launch without a clear answer, when it was asked for once more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// It is over.
    Over(Box<Move>),
    /// It is over with [`nowhere`], if the cloud lists no instance for the builder so often in a row ([`LISTS_WITHOUT_IT`]); else it goes
    /// on, and the cloud is asked again after so long.
    Unless(Duration),
    /// It goes on; the cloud is asked again after so long.
    GoesOn(Duration),
}

/// What a planned builder does next. The first offering is asked for of which nothing is known to be short; where something is of
/// each, each refusal leads to the next one, round and round until all tries are over, but every offering has one. What was only
/// put off is asked for again. Lines that are full are left out; where all are, it waits. So it does where all that may be asked for is
/// short, and a line is left that may be asked for when that has lasted for longer.
pub(super) fn next(builder: &Standing<'_>, wanted: &Result<Wanted, String>, now: Timestamp) -> Step {
    let give_up = |why: String| Step::Move(Move::new(BuilderState::Abandoned, why));
    let wanted = match wanted {
        Ok(wanted) => wanted,
        Err(why) => return give_up(why.clone()),
    };
    let Launches {
        refusals,
        postponements,
        last,
    } = builder.launches;
    let all = wanted
        .lines
        .iter()
        .map(|line| line.offerings.len())
        .sum::<usize>();
    if all == 0 {
        return give_up("its pool has no offering".to_owned());
    }
    let (lines, opens) = may_be_asked(wanted, now);
    if opens.is_none() && refusals >= wanted.tries.max(u32::try_from(all).unwrap_or(u32::MAX)) {
        return give_up(all_refused(builder));
    }
    let offerings: Vec<&Offering> = lines.iter().flat_map(|line| &line.offerings).collect();
    let count = u32::try_from(offerings.len()).unwrap_or(u32::MAX);
    let mut open = not_short(&offerings, &wanted.short, now);
    if open.is_empty() {
        if let Some(pause) = opens {
            return Step::Wait(pause);
        }
        open.clone_from(&offerings);
    }
    let is_choice = open.len() < offerings.len();
    let turn = if is_choice {
        0
    } else {
        refusals.checked_rem(count).unwrap_or(0)
    };
    let Some(offering) = usize::try_from(turn).ok().and_then(|nth| open.get(nth).copied()) else {
        return Step::Wait(PAUSE_WHILE_FULL);
    };
    let pause = if last == Some(LaunchAnswer::Later) {
        let doubled = 1u32 << postponements.saturating_sub(1).min(5);
        spread(
            builder.id,
            PAUSE_AFTER_REFUSAL.saturating_mul(doubled).min(LONGEST_PAUSE),
        )
    } else if !is_choice && refusals > 0 && refusals.is_multiple_of(count.max(1)) {
        PAUSE_AFTER_REFUSAL
    } else {
        Duration::ZERO
    };
    let waited = now.since(builder.entered_at);
    if waited < pause {
        return Step::Wait(pause.saturating_sub(waited));
    }
    Step::Launch(offering.clone())
}

/// The lines that may be asked for now, and where others wait until those before them have been refused for long enough, how long it is
/// at most until one more may be.
fn may_be_asked(wanted: &Wanted, now: Timestamp) -> (Vec<&Line>, Option<Duration>) {
    let short = &wanted.short;
    let (mut lines, mut opens) = (Vec::new(), None);
    // Since when all lines so far are refused; `None` where one is not.
    let mut refused = Some(Timestamp::from_micros(0));
    for line in wanted
        .lines
        .iter()
        .filter(|line| !line.is_full && !line.offerings.is_empty())
    {
        let waits = match refused {
            _ if line.after.is_zero() => Duration::ZERO,
            Some(since) => line.after.saturating_sub(now.since(since)),
            None => line.after,
        };
        if waits.is_zero() {
            lines.push(line);
        } else {
            opens = Some(opens.map_or(waits, |opens: Duration| opens.min(waits)));
        }
        let since = refused_since(&line.offerings, short, now);
        refused = refused.zip(since).map(|(all, since)| all.max(since));
    }
    // What is short may be asked for again before that.
    let ends = short
        .iter()
        .map(|note| note.until.since(now))
        .filter(|left| !left.is_zero());
    let soonest = ends.min().unwrap_or(LONGEST_PAUSE).min(LONGEST_PAUSE);
    (lines, opens.map(|opens| opens.min(soonest)))
}

/// Why a builder is given up that was refused as often as may be.
fn all_refused(builder: &Standing<'_>) -> String {
    let why = builder.reason.unwrap_or("no reason was given");
    let refusals = builder.launches.refusals;
    let launches = if refusals == 1 {
        "its launch was"
    } else {
        "all its launches were"
    };
    format!("{launches} refused, {refusals} in all; the last one: {why}")
}

/// A pause that is up to half longer, by how much is each builder's own. The last bytes of an id are those that differ among
/// builders of one moment.
fn spread(id: BuilderId, pause: Duration) -> Duration {
    let [.., high, low] = id.0.into_bytes();
    let part = u32::from(u16::from_be_bytes([high, low]));
    pause.saturating_add((pause / 2).saturating_mul(part) / u32::from(u16::MAX))
}

/// Where a builder goes that is being launched.
#[must_use]
pub fn after(offering: &Offering, reply: Reply) -> Move {
    let mut shortage = None;
    let (to, answer, words) = match reply {
        Reply::Instance(id) => return given(offering, id),
        Reply::Refused { code, words } => {
            shortage = Some(Shortage::of(&code, offering));
            (BuilderState::Planned, Some(LaunchAnswer::Refused), words)
        }
        Reply::Later(words) => (BuilderState::Planned, Some(LaunchAnswer::Later), words),
        Reply::Ended(words) => (BuilderState::Abandoned, Some(LaunchAnswer::Nothing), words),
        Reply::Unclear(words) => (BuilderState::Resolving, None, words),
    };
    Move {
        answer,
        shortage,
        ..Move::new(to, format!("{offering}: {words}"))
    }
}

/// What becomes of a launch without a clear answer. Asked for with the same token and the same words, a machine that was made
/// is the answer. A refusal does not prove that the first question was refused as well, so that only ten minutes without a
/// machine of that tag end the doubt. A cloud that answers no such question may answer for its list.
#[must_use]
pub fn after_question(offering: &Offering, reply: Reply, waited: Duration) -> Doubt {
    let pause = (waited / 2).clamp(PAUSE_BETWEEN_QUESTIONS, LONGEST_PAUSE);
    match reply {
        Reply::Instance(id) => Doubt::Over(Box::new(given(offering, id))),
        Reply::Ended(words) => Doubt::Over(Box::new(nothing(words))),
        Reply::Refused { .. } if waited > RESOLVING_AT_LEAST => Doubt::Unless(pause),
        Reply::Later(_) | Reply::Unclear(_) if waited > RESOLVING_WITHOUT_ANSWER => Doubt::Unless(pause),
        Reply::Refused { .. } | Reply::Later(_) | Reply::Unclear(_) => Doubt::GoesOn(pause),
    }
}

/// Whether a launch is not asked for again, since only lists are left to tell of it, so many of which had no instance of it in a row: the
/// question could make the machine that the next list does not show yet.
#[must_use]
pub fn only_lists_tell(waited: Duration, misses: u32) -> bool {
    waited > RESOLVING_WITHOUT_ANSWER && misses > 0
}

/// How long after each question a launch in doubt is not asked for again; until then, and for as long as a list shows its instance, only
/// lists tell of it. `None`: the token alone sees to it that there is one machine.
///
/// Eucalyptus looks a token up, does the work, and only then writes it down (sources of 4.4, 2017). What becomes of a second question beside
/// the first depends on where the first is: it fails, or is one more launch.
#[must_use]
pub fn rest_before_question(profile: CloudProfile) -> Option<Duration> {
    match profile {
        CloudProfile::Eucalyptus => Some(LONGEST_WORK_OF_A_LAUNCH),
        CloudProfile::Aws => None,
    }
}

/// The end of a launch of which no instance is to be found.
#[must_use]
pub fn nowhere() -> Move {
    nothing("no instance with its tag in ten minutes")
}

/// The end of the doubt by an instance that carries the builder's tag.
#[must_use]
pub fn adopted(instance_id: &str) -> Move {
    Move {
        instance_id: Some(instance_id.to_owned()),
        ..Move::new(
            BuilderState::Pending,
            format!("instance {instance_id} carries its tag"),
        )
    }
}

fn given(offering: &Offering, id: String) -> Move {
    let reason = format!("the cloud gave instance {id} ({offering})");
    Move {
        answer: Some(LaunchAnswer::Given),
        instance_id: Some(id),
        ..Move::new(BuilderState::Pending, reason)
    }
}

fn nothing(words: impl Into<String>) -> Move {
    Move {
        answer: Some(LaunchAnswer::Nothing),
        ..Move::new(BuilderState::Abandoned, words)
    }
}

#[cfg(test)]
mod tests;
