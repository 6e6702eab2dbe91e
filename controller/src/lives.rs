//! Whether builders that wait for work are still what they were: each is asked over SSH now and then, beside the rounds, and so many
//! at once at most. When that is and what its answers mean is `model::step::live`'s to say; one that goes is drained by the next
//! round, if nothing has happened to it since, and the plan launches another as the pool needs it.

use std::{collections::BTreeMap, sync::Arc};

use model::{
    BuilderId, BuilderState, Timestamp,
    step::live::{Answer, LIMIT, Looks},
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
    looks: Looks,
}

impl Lives {
    /// None.
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            clock,
            tasks: JoinSet::new(),
            looks: Looks::default(),
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
        if answer != Answer::Well {
            debug!(builder.id = %id, "Builder {id}, which is ready, was asked: {answer:?}");
        }
        self.looks.take(id, since, answer, self.clock.elapsed());
    }

    /// Asks those whose time has come.
    pub(crate) fn begin(&mut self, context: &Arc<Context>, builders: &[Builder]) {
        let ready = builders.iter().filter(|it| it.state == BuilderState::Ready);
        let ready: BTreeMap<BuilderId, &Builder> = ready.map(|it| (it.id, it)).collect();
        let since = ready.iter().map(|(id, builder)| (*id, builder.entered_at));
        let now = self.clock.elapsed();
        self.looks.keep(&since.collect(), now);
        for id in self.looks.due(now) {
            if self.tasks.len() >= MOST_ASKED {
                return;
            }
            let Some(builder) = ready.get(&id) else { continue };
            let Some(place) = place_of(context, builder) else {
                continue;
            };
            self.looks.begin(id);
            let since = builder.entered_at;
            let (reach, baseline) = (Arc::clone(&context.reach), builder.baseline.clone());
            self.tasks.spawn(async move {
                let answer = ask(reach.as_ref(), &place, (id, baseline.as_deref())).await;
                (id, since, answer)
            });
        }
    }

    /// Why a builder that is ready serves no more, if it does not.
    pub(crate) fn verdict(&self, builder: &Builder) -> Option<&str> {
        self.looks.verdict(builder.id, builder.state, builder.entered_at)
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
