//! What happens in a simulated world, each at its moment.

use std::{cmp::Ordering, collections::BTreeMap, time::Duration};

use model::{
    BuilderId, Timestamp,
    hook::End,
    plan::Plan,
    step::{launch::Reply, live::Answer},
};

use crate::{
    cloud::{Change, LaunchAsk, Shown, Trouble},
    store::{Builder, HookRun},
};

/// One of the two controllers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    One,
    Other,
}

/// Something that happens.
#[derive(Debug)]
pub(crate) enum Event {
    /// Somebody wants builds.
    Submit,
    /// Things that come from outside, now and then.
    Weather,
    /// From now on nothing goes wrong.
    Calm,
    /// A machine does something.
    Machine(&'static str, String, Change),
    /// A call reaches its cloud.
    Arrives(Side, u64, Box<Call>),
    /// A controller has something to do, in one of its lives.
    Controller(Side, u64, Task),
    /// A controller is started again, or goes on.
    Wakes(Side),
    /// A worker looks for what to do.
    Worker(u8, u64),
    WorkerWakes(u8),
}

/// What a controller has to do.
#[derive(Debug)]
pub(crate) enum Task {
    Round(u64),
    Commit(Box<Decided>),
    KeepLease(i64),
    /// The call leaves.
    Send(Box<Call>),
    /// The answer is there.
    Answer(Then, Heard),
    /// One more try to connect to a machine.
    Connect(Box<Builder>, u64),
    /// What was done on a machine is over.
    Played(Box<Builder>, u64),
    /// A builder that is ready since then has answered.
    Live(BuilderId, Timestamp, Answer),
    /// A connection is made that waits for a notice.
    Watch(Box<Builder>, u64),
    /// It has ended: with the notice, since there will be none, or because it broke.
    WatchEnds(BuilderId, u64, Result<Option<String>, ()>),
    /// A hook is tried, for so long at most.
    Hook(Box<HookRun>, u64, Duration),
    HookEnds(Box<HookRun>, u64, End),
    /// It is killed.
    Dies,
}

/// A plan that is being written down.
#[derive(Debug)]
pub(crate) struct Decided {
    /// The rows that it is about, as they were looked at.
    pub(crate) builders: BTreeMap<BuilderId, Builder>,
    pub(crate) plan: Plan,
}

/// A call to a cloud, and who goes on with its answer.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) cloud: &'static str,
    pub(crate) ask: Ask,
    pub(crate) then: Then,
}

/// What is asked.
#[derive(Debug)]
pub(crate) enum Ask {
    Launch(LaunchAsk),
    List,
    Describe(Vec<String>),
    Terminate(String),
}

/// What goes on with an answer. Steps of builders carry their number.
#[derive(Debug)]
pub(crate) enum Then {
    Launched(Box<Builder>, u64),
    AskedAgain(Box<Builder>, u64),
    /// The list was to show whether there is a machine; the pause is that of one that is not certain.
    Searched(Box<Builder>, u64, Duration),
    Told(Box<Builder>, u64),
    /// The list of a look; the ids are those that should be there.
    Listed(&'static str, Vec<String>, Vec<String>),
    Described(&'static str, Vec<Shown>, Vec<String>),
    OrphanTold(String),
}

/// What is heard of a cloud.
#[derive(Debug)]
pub(crate) enum Heard {
    /// What it says to a launch, and whether that is because it cannot be reached.
    Launch(Reply, bool),
    Shown(Result<Vec<Shown>, Trouble>),
    Told(Result<(), Trouble>),
}

/// An event and its moment. Of those at one moment that comes first which was foreseen first.
#[derive(Debug)]
pub(crate) struct Due {
    pub(crate) at: Duration,
    pub(crate) nth: u64,
    pub(crate) event: Event,
}

impl Due {
    const fn place(&self) -> (Duration, u64) {
        (self.at, self.nth)
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    /// The earlier one is greater: it is taken first.
    fn cmp(&self, other: &Self) -> Ordering {
        other.place().cmp(&self.place())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BinaryHeap;

    use super::*;

    #[test]
    fn what_is_due_first_comes_first_and_of_one_moment_what_was_foreseen_first() {
        let due = |at, nth| Due {
            at: Duration::from_secs(at),
            nth,
            event: Event::Weather,
        };
        let mut heap: BinaryHeap<Due> = [due(5, 1), due(3, 2), due(3, 3), due(9, 0)].into();
        let order: Vec<u64> = std::iter::from_fn(|| heap.pop()).map(|it| it.nth).collect();
        assert_eq!(order, [2, 3, 1, 0]);
    }
}
