//! Notices of clouds that take machines of the spot market back. As long as such a machine serves, one connection to it waits for
//! what its cloud tells it, beside the rounds; the next round writes that down, and the plan drains what is idle. A machine that is
//! taken back without a word, or while nobody is connected, is seen in its cloud as ever.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use model::{
    BuilderId,
    step::notice::{self, Told},
};
use runtime::{clock::Clock, supervisor::error_chain};
use shell::{Endpoint, HostKey};
use store::Builder;
use tokio::task::{AbortHandle, JoinError, JoinSet};
use tracing::debug;

use crate::{Context, Reach, pauses::Pauses, place::place_of};

/// How many machines are waited for at once: each is a connection that is open all the time.
const MOST_WATCHED: usize = 1024;
/// How long one try to connect may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// After how long a connection is made anew, so that none is forgotten.
const LONGEST: Duration = Duration::from_secs(3600);

/// The machines that are waited for.
#[derive(Debug)]
pub(crate) struct Notices {
    clock: Clock,
    tasks: JoinSet<Ended>,
    under_way: BTreeMap<BuilderId, UnderWay>,
    /// How many connections were begun so far.
    count: u64,
    pauses: Pauses<BuilderId>,
    told: Told,
}

#[derive(Debug)]
struct UnderWay {
    number: u64,
    task: AbortHandle,
}

#[derive(Debug)]
struct Ended {
    id: BuilderId,
    number: u64,
    /// The notice; `None` where there will be none. The error: why nobody waits for it at the moment.
    outcome: Result<Option<String>, String>,
}

impl Notices {
    /// None.
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            clock,
            tasks: JoinSet::new(),
            under_way: BTreeMap::new(),
            count: 0,
            pauses: Pauses::default(),
            told: Told::default(),
        }
    }

    /// Ends all connections and forgets what was told: whoever leads next is told again.
    pub(crate) async fn stop(&mut self) {
        self.tasks.shutdown().await;
        *self = Self::new(self.clock.clone());
    }

    /// How many machines are waited for.
    #[cfg(test)]
    pub(crate) fn under_way(&self) -> usize {
        self.under_way.len()
    }

    /// Waits for one to end; `None` when there is none.
    pub(crate) async fn ends(&mut self) -> Option<()> {
        let ended = self.tasks.join_next().await?;
        self.take(ended);
        while let Some(ended) = self.tasks.try_join_next() {
            self.take(ended);
        }
        Some(())
    }

    fn take(&mut self, ended: Result<Ended, JoinError>) {
        // What was aborted is forgotten already; a panic is seen as a wait that goes on, and ends with its builder.
        let Ok(Ended { id, number, outcome }) = ended else {
            return;
        };
        if self.under_way.get(&id).is_none_or(|it| it.number != number) {
            return;
        }
        self.under_way.remove(&id);
        match outcome {
            Ok(notice) => self.told.take(id, notice),
            Err(words) => {
                debug!(builder.id = %id, "Nobody waits for a notice of builder {id}: {words}");
                self.pauses.after_step(id, None, self.clock.elapsed());
            }
        }
    }

    /// Connects to machines that are to be waited for, and leaves the others.
    pub(crate) fn begin(&mut self, context: &Arc<Context>, builders: &[Builder]) {
        let watched: BTreeMap<BuilderId, &Builder> = builders
            .iter()
            .filter(|builder| is_watched(builder))
            .map(|builder| (builder.id, builder))
            .collect();
        self.pauses.retain(|id| watched.contains_key(id));
        self.told.keep(|id| watched.contains_key(id));
        self.under_way.retain(|id, it| {
            let stays = watched.contains_key(id);
            if !stays {
                it.task.abort();
            }
            stays
        });
        let now = self.clock.elapsed();
        for (id, builder) in watched {
            if self.told.is_over(id) || self.under_way.contains_key(&id) || self.pauses.holds(&id, now) {
                continue;
            }
            if self.under_way.len() >= MOST_WATCHED {
                return;
            }
            let Some(place) = place_of(context, builder) else {
                continue;
            };
            self.count = self.count.wrapping_add(1);
            let (number, reach) = (self.count, Arc::clone(&context.reach));
            let task = self.tasks.spawn(async move {
                let outcome = wait_for(reach.as_ref(), &place).await;
                Ended { id, number, outcome }
            });
            self.under_way.insert(id, UnderWay { number, task });
        }
    }
}

impl Notices {
    /// What a machine was told that is to be written down.
    pub(crate) fn told(&self, builder: &Builder) -> Option<&str> {
        let words = self.told.notice(builder.id)?;
        is_watched(builder).then_some(words)
    }
}

fn is_watched(builder: &Builder) -> bool {
    let market = builder.launch.as_ref().map(|launch| launch.offering.market);
    let mark = builder.mark.as_ref().map(|mark| mark.kind);
    notice::is_watched(builder.state, market, mark)
}

/// Waits for the notice of one machine.
async fn wait_for(
    reach: &dyn Reach,
    (endpoint, host_key): &(Endpoint, HostKey),
) -> Result<Option<String>, String> {
    let opened = reach.open(endpoint, host_key, HANDSHAKE).await;
    let machine = opened.map_err(|error| error_chain(&error))?;
    let told = machine.notice(LONGEST).await;
    machine.close().await;
    told
}
