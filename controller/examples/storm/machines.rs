//! Machines, as a program of the farm reaches them over SSH. What is done there takes its time, and ends with the machine.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use controller::{Machine, Reach};
use model::{
    fleet::{HOSTS, ProvisionSpec},
    step::{difference::Difference, live::Answer},
};
use runtime::clock::Clock;
use serde_json::{Map, Value};
use shell::{ClientKey, Endpoint, HostKey};
use sim::{Fault, Rule, cloud::Machine as Truth};

use crate::{
    gate::Gate,
    outside::{All, Outside},
};

/// How long it takes to see that nobody answers, at most.
const SILENCE: Duration = Duration::from_secs(5);
/// How often a machine asks its cloud for a notice.
const ASKS_EVERY: Duration = Duration::from_secs(5);

/// The ways of one program to all machines.
#[derive(Clone)]
pub(crate) struct Ways {
    pub(crate) outside: Arc<Outside>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) clock: Clock,
}

impl std::fmt::Debug for Ways {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ways")
    }
}

/// A connection to a machine.
struct Connection {
    ways: Ways,
    cloud: &'static str,
    id: String,
    starts: u32,
}

fn lost(endpoint: &Endpoint) -> shell::Error {
    shell::Error::Lost {
        what: format!("the connection to {endpoint}"),
        bytes_received: 0,
        why: "nobody answers".to_owned(),
    }
}

#[async_trait]
impl Reach for Ways {
    async fn open(
        &self,
        endpoint: &Endpoint,
        host_key: &HostKey,
        limit: Duration,
    ) -> Result<Box<dyn Machine>, shell::Error> {
        self.gate.passed().await;
        let Some(found) = self.outside.with(|all| all.at(&endpoint.host)) else {
            self.clock.sleep(SILENCE.min(limit)).await;
            self.gate.passed().await;
            return Err(lost(endpoint));
        };
        self.gate.passed().await;
        if found.key.as_ref() != Some(host_key) {
            let got = found.key.as_ref().map_or("SHA256:another", HostKey::fingerprint);
            return Err(shell::Error::HostKeyMismatch {
                endpoint: endpoint.to_string(),
                expected: host_key.fingerprint().to_owned(),
                got: got.to_owned(),
            });
        }
        Ok(Box::new(Connection {
            ways: self.clone(),
            cloud: found.cloud,
            id: found.id,
            starts: found.starts,
        }))
    }

    async fn host_key(&self, endpoint: &Endpoint, _limit: Duration) -> Result<HostKey, shell::Error> {
        self.gate.passed().await;
        let found = self.outside.with(|all| all.at(&endpoint.host));
        found.and_then(|it| it.key).ok_or_else(|| lost(endpoint))
    }
}

impl Connection {
    /// Does something there, which takes so long at least and at most, in milliseconds. The machine does it whatever becomes of the
    /// program meanwhile, which hears of it only when that time is over, and only if the machine is still there.
    async fn work<T>(
        &self,
        (least, most): (u64, u64),
        limit: Duration,
        work: impl FnOnce(&mut All, &Self) -> Result<T, String>,
    ) -> Result<T, String> {
        let (done, takes) = self.ways.outside.with(|all| {
            let done = self.is_there(all).and_then(|()| work(all, self));
            (done, all.luck.millis(least, most))
        });
        self.ways.clock.sleep(takes.min(limit)).await;
        if takes > limit {
            return Err("it takes too long".to_owned());
        }
        self.ways.outside.with(|all| self.is_there(all))?;
        done
    }

    fn is_there(&self, all: &All) -> Result<(), String> {
        let machine = all.answers(self.cloud, &self.id);
        let is_it = machine.is_some_and(|it| it.starts == self.starts);
        is_it.then_some(()).ok_or("the connection was lost".to_owned())
    }

    /// [`Self::work`], before and after which the program may be held.
    async fn held_work<T>(
        &self,
        times: (u64, u64),
        limit: Duration,
        work: impl FnOnce(&mut All, &Self) -> Result<T, String>,
    ) -> Result<T, String> {
        self.ways.gate.passed().await;
        let done = self.work(times, limit, work).await;
        self.ways.gate.passed().await;
        done
    }

    /// What runs there.
    fn running(&self, all: &All) -> Option<String> {
        let run = all.runs.get(&self.id)?;
        let goes_on = run.starts == self.starts && all.now < run.ends_at;
        goes_on.then(|| format!("attempt {} is running on this builder", run.attempt))
    }

    fn machine<'a>(&self, all: &'a mut All) -> Option<&'a mut Truth> {
        all.clouds.get_mut(self.cloud)?.machines.get_mut(&self.id)
    }
}

fn difference(part: &str, what: &str, how: &str) -> Difference {
    Difference {
        part: part.to_owned(),
        what: what.to_owned(),
        how: how.to_owned(),
    }
}

/// What a machine is like that was started so often.
fn baseline(starts: u32) -> String {
    format!("{{\"boot\":{starts}}}")
}

#[async_trait]
impl Machine for Connection {
    async fn play(
        &self,
        _provision: &ProvisionSpec,
        playbook: &str,
        _with: (&Map<String, Value>, Option<&str>),
        limit: Duration,
    ) -> Result<String, String> {
        self.held_work((500, 20_000), limit, |all, it| {
            if let Some(words) = it.running(all) {
                let words = format!("{} is provisioned: {words}", it.id);
                all.violate(Rule::Sandbox, words);
            }
            all.tell(|| format!("{}: {playbook} is played", it.id));
            if all.luck.strikes(Fault::PlayFails) {
                return Err(format!("{playbook}: task 1 failed"));
            }
            if let Some(keys) = all.keys.get_mut(&it.id) {
                keys.set_up = it.starts;
            }
            Ok(format!("{playbook}: played"))
        })
        .await
    }

    async fn make_host_key(&self, limit: Duration) -> Result<HostKey, String> {
        let made = ClientKey::generate("made").and_then(|key| key.host_key());
        let made = made.map_err(|error| error.to_string())?;
        self.held_work((10, 500), limit, |all, it| {
            let keys = all.keys.get_mut(&it.id).ok_or("it has no keys")?;
            keys.made = Some(made.clone());
            Ok(made)
        })
        .await
    }

    async fn replace_host_key(&self, made: &HostKey, limit: Duration) -> Result<(), String> {
        self.held_work((10, 500), limit, |all, it| {
            let keys = all.keys.get_mut(&it.id).ok_or("it has no keys")?;
            if keys.made.as_ref() != Some(made) {
                return Err("that is not the key that it made last".to_owned());
            }
            keys.shown = made.clone();
            Ok(())
        })
        .await
    }

    async fn running(&self, limit: Duration) -> Option<String> {
        self.ways.gate.passed().await;
        let running = self.work((0, 0), limit, |all, it| Ok(it.running(all)));
        running.await.ok().flatten()
    }

    async fn baseline(&self, limit: Duration) -> Result<String, String> {
        self.held_work((100, 3_000), limit, |all, it| {
            if all.luck.strikes(Fault::NoBaseline) {
                return Err("the disk is full".to_owned());
            }
            Ok(baseline(it.starts))
        })
        .await
    }

    async fn accept(&self, limit: Duration) -> Result<(), String> {
        self.held_work((10, 500), limit, |all, it| {
            let machine = it.machine(all).ok_or("it is gone")?;
            machine.is_dirty = false;
            Ok(())
        })
        .await
    }

    async fn clean(&self, known: &str, limit: Duration) -> Result<Vec<Difference>, String> {
        self.held_work((500, 8_000), limit, |all, it| {
            // The builder's own program refuses that, in one step with looking.
            if let Some(words) = it.running(all) {
                return Err(words);
            }
            if all.luck.strikes(Fault::CleanFails) {
                return Err("the disk is full".to_owned());
            }
            all.tell(|| format!("{} is cleaned", it.id));
            let machine = it.machine(all).ok_or("it is gone")?;
            let mut differs = Vec::new();
            if machine.has_residue {
                differs.push(difference("users", "eve", "is new"));
            }
            if known != baseline(it.starts) {
                differs.push(difference("boot", "boot", "has changed"));
            }
            machine.is_dirty = !differs.is_empty();
            if it.cloud == HOSTS && !machine.is_dirty {
                // Anybody may build there next.
                machine.sandbox = None;
            }
            Ok(differs)
        })
        .await
    }

    async fn live(&self, _builder: &str, known: Option<&str>, limit: Duration) -> Answer {
        let answer = self.held_work((10, 1_000), limit, |all, it| {
            let is_sick = it.machine(all).is_some_and(|machine| machine.is_sick);
            let is_same = known.is_none_or(|known| known == baseline(it.starts));
            all.tell(|| format!("{} is asked whether it lives", it.id));
            Ok(if is_sick {
                Answer::Badly("the disk is full".to_owned())
            } else if !is_same {
                Answer::Restarted
            } else if all.keys.get(&it.id).is_none_or(|keys| keys.set_up != it.starts) {
                Answer::Exposed
            } else {
                Answer::Well
            })
        });
        answer.await.unwrap_or_else(Answer::Badly)
    }

    async fn notice(&self, limit: Duration) -> Result<Option<String>, String> {
        let mut waited = Duration::ZERO;
        loop {
            let told = self.held_work((0, 1), limit, |all, it| {
                if all.luck.strikes(Fault::WatchBreaks) {
                    return Err("the connection broke".to_owned());
                }
                let machine = it.machine(all).ok_or("it is gone")?;
                let notice = || Some("its cloud takes it back in two minutes".to_owned());
                Ok(match (machine.has_metadata, machine.is_noticed) {
                    (false, _) => Some(None),
                    (true, true) => Some(notice()),
                    (true, false) => None,
                })
            });
            if let Some(told) = told.await? {
                return Ok(told);
            }
            if waited >= limit {
                return Err("there was no notice in time".to_owned());
            }
            self.ways.clock.sleep(ASKS_EVERY).await;
            waited = waited.saturating_add(ASKS_EVERY);
        }
    }

    async fn close(self: Box<Self>) {}
}
