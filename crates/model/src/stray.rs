//! Instances without a builder, and what operators may make of them: builders, or nothing at all.
//!
//! A stray carries the fleet's tag. It is ended after a while, unless an operator adopts it or has it ignored. What carries no tag
//! is somebody else's and never touched, until an operator names it and it becomes a builder.

use serde::Serialize;

use crate::{FleetId, InstanceState};

/// An instance with the fleet's tag that was in the latest list of its cloud and that no builder has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stray {
    /// Its cloud, by its name in the fleet file.
    pub cloud: String,
    /// The cloud's id for it.
    pub instance: String,
    /// Whether the cloud is being told to end it.
    pub is_ending: bool,
    /// That an operator has it left alone.
    pub ignored: Option<Ignored>,
}

/// An operator's word that a stray is to be left alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ignored {
    /// Who gave it.
    pub by: String,
    /// Why, as a sentence for people; may be empty.
    pub why: String,
}

impl Ignored {
    /// The word as a sentence for operators.
    #[must_use]
    pub fn in_words(&self) -> String {
        match self.why.as_str() {
            "" => format!("ignored by {}", self.by),
            why => format!("ignored by {}: {why}", self.by),
        }
    }
}

/// A stray that is to be left alone from now on, or no longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disregard {
    /// Its cloud, by its name in the fleet file.
    pub cloud: String,
    /// The cloud's id for it.
    pub instance: String,
    /// Who has it left alone, and why; `None`: nobody any more.
    pub ignored: Option<Ignored>,
}

/// An instance that an operator wants as a builder, as its cloud shows it.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// The cloud's id for it.
    pub instance: &'a str,
    pub state: InstanceState,
    /// The fleet that its tag names; `None` where it has none.
    pub fleet: Option<&'a str>,
    /// Whether the host key is known that it has to prove.
    pub has_key: bool,
}

/// Why an instance is not adopted by a fleet, as a sentence for operators; `None` when it may be.
#[must_use]
pub fn unfit(candidate: &Candidate<'_>, fleet: FleetId) -> Option<String> {
    let Candidate { instance, state, .. } = candidate;
    if let Some(other) = candidate.fleet.filter(|tag| *tag != fleet.to_string()) {
        return Some(format!(
            "instance {instance} belongs to another fleet: its tag says {}",
            shortened(other)
        ));
    }
    match state {
        InstanceState::Pending | InstanceState::Running => {}
        state => {
            return Some(format!(
                "instance {instance} is {}: only one that runs, or is about to, is adopted",
                state.as_str()
            ));
        }
    }
    (!candidate.has_key).then(|| {
        format!(
            "no host key of instance {instance} is known, and without one nobody can tell it from another machine: say it with \
             --host-key, as it stands in its /etc/ssh/ssh_host_ed25519_key.pub"
        )
    })
}

/// What anybody may have written into a tag, as far as it is told.
fn shortened(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_instance_that_runs_is_nobody_elses_and_can_prove_itself_is_adopted() {
        use InstanceState as I;
        let fleet: FleetId = "flt_00000000000000000000000000000003".parse().unwrap();
        let own = fleet.to_string();
        for (state, tag, has_key, expected) in [
            (I::Running, None, true, None),
            (I::Pending, Some(own.as_str()), true, None),
            (
                I::Running,
                Some("flt_00000000000000000000000000000004"),
                true,
                Some("belongs to another fleet: its tag says flt_00000000000000000000000000000004"),
            ),
            // Value for value, as where it is ended.
            (
                I::Running,
                Some("FLT_00000000000000000000000000000003"),
                true,
                Some("belongs to another fleet"),
            ),
            (
                I::Running,
                Some("a\u{1b}[31mb"),
                true,
                Some("another fleet: its tag says a[31mb"),
            ),
            (I::Stopped, None, true, Some("is stopped: only one that runs")),
            (I::Stopping, None, true, Some("is stopping: only one that runs")),
            (
                I::ShuttingDown,
                None,
                true,
                Some("is shutting-down: only one that runs"),
            ),
            (
                I::Terminated,
                Some(own.as_str()),
                true,
                Some("is terminated: only one that runs"),
            ),
            (I::Unknown, None, true, Some("is unknown: only one that runs")),
            (
                I::Running,
                Some(own.as_str()),
                false,
                Some("no host key of instance i-1 is known"),
            ),
        ] {
            let candidate = Candidate {
                instance: "i-1",
                state,
                fleet: tag,
                has_key,
            };
            let found = unfit(&candidate, fleet);
            let told = found.as_deref().unwrap_or_default();
            assert_eq!(found.is_some(), expected.is_some(), "{candidate:?}: {told}");
            assert!(
                told.contains(expected.unwrap_or_default()),
                "{candidate:?}: {told}"
            );
        }
    }

    #[test]
    fn a_word_of_an_operator_says_who_and_why() {
        let word = |why: &str| Ignored {
            by: "alice".to_owned(),
            why: why.to_owned(),
        };
        assert_eq!(word("").in_words(), "ignored by alice");
        assert_eq!(word("evidence").in_words(), "ignored by alice: evidence");
    }
}
