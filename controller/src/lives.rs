//! Whether builders that wait for work are still what they were: each is asked over SSH now and then, beside the rounds, and so many
//! at once at most. What its answers mean is `model::step::live`'s to say; one that goes is drained by the next round, if nothing has
//! happened to it since, and the plan launches another as the pool needs it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use model::{
    BuilderId, BuilderState, Timestamp,
    step::live::{Answer, LIMIT, Verdict, is_common, judge, pause},
};
use runtime::{clock::Clock, supervisor::error_chain};
use shell::{Endpoint, HostKey};
use store::Builder;
use tokio::task::{JoinError, JoinSet};
use tracing::debug;

use crate::{Context, Reach, place::place_of};

/// How many machines are asked at once.
const MOST_ASKED: usize = 64;

/// The ready builders, and what came of asking them.
#[derive(Debug)]
pub(crate) struct Lives {
    clock: Clock,
    tasks: JoinSet<(BuilderId, Timestamp, Answer)>,
    known: BTreeMap<BuilderId, Known>,
    /// Those that serve no more, and since when each of them was ready.
    gone: BTreeMap<BuilderId, (Timestamp, String)>,
}

/// A builder that is ready.
#[derive(Debug)]
struct Known {
    /// Since when. One that was used in between is another to ask.
    since: Timestamp,
    /// How many answers in a row were not as they should be.
    failures: u32,
    /// When it is asked next, by the clock's elapsed time; `None` while it is being asked.
    next: Option<Duration>,
}

impl Lives {
    /// None.
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            clock,
            tasks: JoinSet::new(),
            known: BTreeMap::new(),
            gone: BTreeMap::new(),
        }
    }

    /// Asks nobody any more, and forgets all answers.
    pub(crate) async fn stop(&mut self) {
        self.tasks.shutdown().await;
        *self = Self::new(self.clock.clone());
    }

    /// How many are being asked, or have answered and were not heard yet.
    #[cfg(test)]
    pub(crate) fn under_way(&self) -> usize {
        self.tasks.len()
    }

    /// Waits for an answer; `None` when nobody is asked.
    pub(crate) async fn ends(&mut self) -> Option<()> {
        let ended = self.tasks.join_next().await?;
        self.take(ended);
        while let Some(ended) = self.tasks.try_join_next() {
            self.take(ended);
        }
        Some(())
    }

    fn take(&mut self, ended: Result<(BuilderId, Timestamp, Answer), JoinError>) {
        // What panicked is never heard of again: its builder is asked no more, and is seen in its cloud as ever.
        let Ok((id, since, answer)) = ended else { return };
        let ready = self.known.len();
        let others = self
            .known
            .iter()
            .filter(|(other, known)| **other != id && known.failures > 0);
        let is_common = is_common(others.count().saturating_add(1), ready);
        let Some(known) = self.known.get_mut(&id).filter(|known| known.since == since) else {
            return;
        };
        if answer != Answer::Well {
            debug!(builder.id = %id, "Builder {id}, which is ready, was asked: {answer:?}");
        }
        known.next = Some(self.clock.elapsed().saturating_add(pause(id)));
        match judge(known.failures, answer, is_common) {
            Verdict::Stays(failures) => known.failures = failures,
            Verdict::Goes(why) => {
                self.gone.insert(id, (since, why));
            }
        }
    }

    /// Asks those whose time has come.
    pub(crate) fn begin(&mut self, context: &Arc<Context>, builders: &[Builder]) {
        let ready = builders.iter().filter(|it| it.state == BuilderState::Ready);
        let ready: Vec<&Builder> = ready.collect();
        let there: BTreeSet<(BuilderId, Timestamp)> = ready.iter().map(|it| (it.id, it.entered_at)).collect();
        self.known.retain(|id, known| there.contains(&(*id, known.since)));
        self.gone.retain(|id, (since, _)| there.contains(&(*id, *since)));
        let now = self.clock.elapsed();
        for builder in ready {
            let fresh = || Known {
                since: builder.entered_at,
                failures: 0,
                next: Some(now.saturating_add(pause(builder.id))),
            };
            let known = self.known.entry(builder.id).or_insert_with(fresh);
            let is_due = known.next.is_some_and(|next| next <= now);
            if !is_due || self.tasks.len() >= MOST_ASKED || self.gone.contains_key(&builder.id) {
                continue;
            }
            let Some(place) = place_of(context, builder) else {
                continue;
            };
            known.next = None;
            let (id, since) = (builder.id, builder.entered_at);
            let (reach, baseline) = (Arc::clone(&context.reach), builder.baseline.clone());
            self.tasks.spawn(async move {
                let answer = ask(reach.as_ref(), &place, (id, baseline.as_deref())).await;
                (id, since, answer)
            });
        }
    }
}

impl Lives {
    /// Why a builder that is ready serves no more, if it does not.
    pub(crate) fn verdict(&self, builder: &Builder) -> Option<&str> {
        let (since, why) = self.gone.get(&builder.id)?;
        let is_so = (builder.state, builder.entered_at) == (BuilderState::Ready, *since);
        is_so.then_some(why.as_str())
    }
}

/// Asks one machine, which has to prove its host key.
async fn ask(
    reach: &dyn Reach,
    (endpoint, host_key): &(Endpoint, HostKey),
    (id, baseline): (BuilderId, Option<&str>),
) -> Answer {
    let machine = match reach.open(endpoint, host_key, LIMIT).await {
        Ok(machine) => machine,
        Err(error) => return Answer::Badly(error_chain(&error)),
    };
    let answer = machine.live(&id.to_string(), baseline, LIMIT).await;
    machine.close().await;
    answer
}
