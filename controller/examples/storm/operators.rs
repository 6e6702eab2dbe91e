//! Operators: they want builders ended, kept or left alone, more of them, pools drained and strays spared. Once it is calm they take
//! back what they said.

use std::{collections::BTreeSet, time::Duration};

use model::{
    BuilderId, BuilderState, PoolName,
    intent::{Request, Target},
    quantity::Span,
};
use sim::Fault;
use store::{Builder, Error, Store};

use crate::{
    door::fleet,
    hosts::mend,
    outside::{All, Outside},
    program::NOW,
};

/// One of so many moments at which an operator might say something of a builder is one.
const WISHES: u64 = 8;
/// After how long what is not as it was before is taken back once more.
const AGAIN: Duration = Duration::from_secs(120);

/// What operators have said.
#[derive(Debug, Default)]
pub(crate) struct Operators {
    count: u64,
    drained: BTreeSet<PoolName>,
    spared: BTreeSet<String>,
    /// The builders that are told to serve again since it is calm, and until when that is waited for.
    freed: BTreeSet<BuilderId>,
    waits_until: Duration,
}

fn reason() -> String {
    "the simulation wants it".to_owned()
}

/// What an operator says of a builder.
fn mark(all: &mut All, builder: BuilderId) -> Request {
    let what = Target::Builders(vec![builder]);
    let reason = reason();
    let lasts = Span::seconds(1 + all.luck.below(900));
    match all.luck.below(8) {
        0 => Request::Cordon {
            builder,
            reason,
            lasts: Some(lasts).filter(|_| all.luck.once_in(2)),
        },
        1 => Request::Uncordon { what },
        2 => Request::Hold {
            builder,
            reason,
            lasts: Some(lasts),
            owner: None,
        },
        3 => Request::Release { builder },
        4 => Request::Drain {
            what,
            reason,
            lasts: None,
        },
        5 => Request::Reconcile,
        nth => {
            let now = nth == 6;
            if now {
                all.unwanted.insert(builder);
            }
            Request::Terminate { what, now, reason }
        }
    }
}

impl Operators {
    /// Asks for what operators ask for.
    pub(crate) async fn wish(&mut self, store: &Store, outside: &Outside) -> Result<(), Error> {
        let (is_marked, mut requests) = outside.with(|all| {
            let is_marked = all.luck.strikes(Fault::Mark) && all.luck.once_in(WISHES);
            let pools: Vec<PoolName> = all.most.keys().cloned().collect();
            let pool = all.luck.pick(&pools);
            (
                is_marked,
                pool.map_or_else(Vec::new, |pool| self.of_pool(all, pool)),
            )
        });
        if is_marked {
            let builders = store.builders(None).await?;
            requests.extend(outside.with(|all| {
                let builder = all.luck.pick(&builders)?;
                Some(mark(all, builder.id))
            }));
            let strays = outside.with(|all| all.strays.iter().cloned().collect::<Vec<_>>());
            let stray = outside.with(|all| all.luck.pick(&strays).filter(|_| all.luck.once_in(2)));
            requests.extend(stray.map(|instance| {
                self.spared.insert(instance.clone());
                Request::Ignore {
                    instance,
                    reason: reason(),
                }
            }));
        }
        for request in requests {
            self.ask(store, outside, &request).await?;
        }
        Ok(())
    }

    /// What is asked of a pool.
    fn of_pool(&mut self, all: &mut All, pool: PoolName) -> Vec<Request> {
        let mut requests = Vec::new();
        if all.luck.strikes(Fault::PoolDrained) {
            let lasts = Span::seconds(1 + all.luck.below(600));
            self.drained.insert(pool.clone());
            requests.push(Request::Drain {
                what: Target::Pool(pool.clone()),
                reason: reason(),
                lasts: Some(lasts).filter(|_| all.luck.once_in(2)),
            });
        }
        if all.luck.strikes(Fault::Spawn) {
            let keep = Span::seconds(1 + all.luck.below(600));
            requests.push(Request::Spawn {
                pool,
                count: all.luck.count(1, 3),
                keep: Some(keep).filter(|_| all.luck.once_in(2)),
            });
        }
        requests
    }

    async fn ask(&mut self, store: &Store, outside: &Outside, request: &Request) -> Result<(), Error> {
        self.count = self.count.wrapping_add(1);
        let (key, now) = (self.count.to_string(), outside.with(|all| all.now));
        outside.with(|all| all.tell(|| format!("an operator asks: {request:?}")));
        let asked = (request, key.as_str(), "operator");
        store.add_intent(fleet(), asked, NOW.plus(now)).await.map(drop)
    }

    /// Takes back what was said of pools and strays.
    pub(crate) async fn calm_down(&mut self, store: &Store, outside: &Outside) -> Result<(), Error> {
        for pool in std::mem::take(&mut self.drained) {
            let what = Target::Pool(pool);
            self.ask(store, outside, &Request::Uncordon { what }).await?;
        }
        for instance in std::mem::take(&mut self.spared) {
            self.ask(store, outside, &Request::Disown { instance }).await?;
        }
        Ok(())
    }

    /// Mends hosts that are out of service and has them used again, and pools that launch nothing. A controller that has not read the
    /// file yet may know nothing of a pool that is back.
    async fn free_pools_and_hosts(&mut self, store: &Store, outside: &Outside) -> Result<(), Error> {
        let now = NOW.plus(outside.with(|all| all.now));
        let view = store.fleet_snapshot(fleet(), now).await?;
        for pool in view.pauses.into_keys() {
            let what = Target::Pool(pool);
            self.ask(store, outside, &Request::Uncordon { what }).await?;
        }
        let out = view.hosts.into_iter().filter(|(_, host)| host.out.is_some());
        for (name, _) in out {
            outside.with(|all| mend(all, &name));
            self.ask(store, outside, &Request::Readmit { host: name }).await?;
        }
        Ok(())
    }

    /// Takes back what was said of builders, once it is calm; what was said last may be heard later than that.
    pub(crate) async fn free(
        &mut self,
        store: &Store,
        outside: &Outside,
        builders: &[Builder],
    ) -> Result<(), Error> {
        let now = outside.with(|all| all.now);
        if now >= self.waits_until {
            self.waits_until = now.saturating_add(AGAIN);
            self.freed.clear();
            self.free_pools_and_hosts(store, outside).await?;
        }
        for builder in builders {
            let id = builder.id;
            let request = match builder.state {
                BuilderState::Held => Request::Release { builder: id },
                BuilderState::Terminating => continue,
                _ if builder.cordoned => Request::Uncordon {
                    what: Target::Builders(vec![id]),
                },
                _ => continue,
            };
            if self.freed.insert(id) {
                self.ask(store, outside, &request).await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use store::Store;

    use super::*;

    /// What was asked for, in its order.
    async fn asked(store: &Store) -> Vec<Request> {
        let mut all = Vec::new();
        while let Some(intent) = store.intent(fleet(), &(all.len() + 1).to_string()).await.unwrap() {
            all.push(intent.request);
        }
        all
    }

    #[tokio::test]
    async fn what_is_said_of_pools_is_taken_back() {
        let store = Store::in_memory().await.unwrap();
        let outside = Outside::new(3, None, false);
        outside.with(|all| {
            all.most.insert("main".parse().unwrap(), 1);
            all.luck = sim::luck::Luck::once(Fault::PoolDrained, 0);
        });
        let mut operators = Operators::default();
        operators.wish(&store, &outside).await.unwrap();
        operators.wish(&store, &outside).await.unwrap();
        operators.calm_down(&store, &outside).await.unwrap();
        operators.calm_down(&store, &outside).await.unwrap();
        let pool = |what: &Target| *what == Target::Pool("main".parse().unwrap());
        let all = asked(&store).await;
        let drained = all
            .iter()
            .filter(|it| matches!(it, Request::Drain { what, .. } if pool(what)));
        let freed = all
            .iter()
            .filter(|it| matches!(it, Request::Uncordon { what } if pool(what)));
        assert_eq!((all.len(), drained.count(), freed.count()), (2, 1, 1), "{all:?}");
    }

    #[test]
    fn all_that_may_be_said_of_a_builder_is_said_at_some_time() {
        let outside = Outside::new(3, None, false);
        let id = BuilderId(uuid::Uuid::nil());
        let verbs: BTreeSet<&str> = (0..200)
            .map(|_| outside.with(|all| mark(all, id).verb()))
            .collect();
        let expected = [
            "cordon",
            "drain",
            "hold",
            "reconcile",
            "release",
            "terminate",
            "uncordon",
        ];
        assert!(verbs.iter().eq(expected.iter()), "{verbs:?}");
        assert!(outside.with(|all| all.unwanted.contains(&id)));
    }
}
