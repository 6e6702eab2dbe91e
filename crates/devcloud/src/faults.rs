//! Faults that are made on purpose, asked for at the control endpoint.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use serde::Deserialize;

/// How many faults of one kind may be lined up.
const LINED_UP: usize = 1000;

/// A fault as the body of `POST /_devcloud/fault` names it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "fault", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Fault {
    /// The link of an instance is cut; nothing is closed.
    Partition {
        /// The instance's id.
        instance: String,
    },
    /// The link is mended.
    Heal {
        /// The instance's id.
        instance: String,
    },
    /// All processes of an instance stand still.
    Freeze {
        /// The instance's id.
        instance: String,
    },
    /// They go on.
    Thaw {
        /// The instance's id.
        instance: String,
    },
    /// An instance is gone without a word to those connected to it.
    PowerCut {
        /// The instance's id.
        instance: String,
    },
    /// The next calls of RunInstances fail.
    FailRunInstances {
        /// The error's code, such as `InsufficientInstanceCapacity`.
        code: String,
        /// How many calls.
        #[serde(default = "one")]
        count: usize,
    },
    /// The next calls of RunInstances do their work and their answers are lost.
    LoseAnswer {
        /// How many calls.
        #[serde(default = "one")]
        count: usize,
        /// Whether the client waits in vain instead of seeing a reset.
        #[serde(default)]
        hang: bool,
    },
    /// The next instances never open their public address.
    NoSsh {
        /// How many instances.
        #[serde(default = "one")]
        count: usize,
    },
}

fn one() -> usize {
    1
}

/// What becomes of an answer that is to be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LostAnswer {
    /// The connection is reset.
    Reset,
    /// Nothing comes.
    Hang,
}

/// Faults that wait for the next launch.
#[derive(Default)]
pub(crate) struct Faults {
    failures: Mutex<VecDeque<String>>,
    lost_answers: Mutex<VecDeque<LostAnswer>>,
    without_ssh: Mutex<usize>,
}

impl Faults {
    /// Lines up failures of RunInstances.
    pub(crate) fn fail_runs(&self, code: &str, count: usize) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.extend(std::iter::repeat_n(code.to_owned(), count.min(LINED_UP)));
    }

    /// The code that this call of RunInstances has to fail with.
    pub(crate) fn next_failure(&self) -> Option<String> {
        self.failures
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front()
    }

    /// Lines up answers of RunInstances to be lost.
    pub(crate) fn lose_answers(&self, how: LostAnswer, count: usize) {
        let mut lost = self.lost_answers.lock().unwrap_or_else(PoisonError::into_inner);
        lost.extend(std::iter::repeat_n(how, count.min(LINED_UP)));
    }

    /// Whether this answer of RunInstances is to be lost.
    pub(crate) fn next_lost_answer(&self) -> Option<LostAnswer> {
        self.lost_answers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front()
    }

    /// Lines up instances without SSH.
    pub(crate) fn withhold_ssh(&self, count: usize) {
        *self.without_ssh.lock().unwrap_or_else(PoisonError::into_inner) = count.min(LINED_UP);
    }

    /// Takes up to `count` of the instances that are to be without SSH.
    pub(crate) fn take_without_ssh(&self, count: usize) -> usize {
        let mut left = self.without_ssh.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = count.min(*left);
        *left -= taken;
        taken
    }
}
