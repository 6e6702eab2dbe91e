//! Rounds on a cloud in memory, with a clock that the test moves. Steps and looks are waited for until nothing is left to do
//! but what waits for the clock, so that nothing here depends on how fast the machine is.

use std::{
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use cloud::{FLEET_TAG, FakeCloud, HostCloud, Instance, InstanceState, LaunchFailure};
use model::{
    BuilderState,
    fleet::{FleetSpec, HOSTS, ProvisionSpec},
    step::{difference::Difference, live::Answer},
};
use provisioner::Provisioner;
use runtime::clock::{Clock, ManualClock};
use serde_json::{Map, Value};
use shell::{ClientKey, Endpoint, HostKey};
use store::{Builder, DatabaseSettings, Store};

use super::*;
use crate::{Machine, Reach, testing::NOW};

mod adopt;
mod calls;
mod clouds;
mod consoles;
mod files;
mod hooks;
mod host_keys;
mod hosts;
mod images;
mod intents;
mod launches;
mod lead;
mod lines;
mod lives;
mod logs;
mod machines;
mod money;
mod notices;
mod pools;
mod preparing;
mod profiles;
mod quotas;
mod reuse;
mod selection;
mod stories;

/// What each machine is like.
const BASELINE: &str = r#"{"files":"ab"}"#;

/// The host key that each machine shows.
const SHOWN: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";

/// How machines answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answers {
    Well,
    Never,
    WithAnotherKey,
    /// The playbook fails.
    Badly,
    /// It is not as it was before its first build.
    Dirtily,
    /// It was started again.
    Restarted,
    /// Nothing hides the metadata service on it any more.
    Exposed,
    /// An attempt runs on it.
    Busily,
    /// A fault of this program is met on the way.
    WithAPanic,
}

/// The playbooks that were played on any machine.
type Played = Arc<Mutex<Vec<String>>>;

/// What clouds tell their machines: nothing yet, that there is nothing that could tell it, or a notice.
type Told = Arc<Mutex<Option<Option<String>>>>;

/// The host keys of the machines that live at addresses where that is told; at others lives whoever is looked for there.
type Residents = Arc<Mutex<BTreeMap<String, HostKey>>>;

#[derive(Debug)]
struct FakeMachines(Mutex<Answers>, Played, Told, Arc<host_keys::Shown>, Residents);

struct FakeMachine(Answers, Played, Told, (Arc<host_keys::Shown>, usize));

#[async_trait]
impl Reach for FakeMachines {
    async fn open(
        &self,
        endpoint: &Endpoint,
        host_key: &HostKey,
        _limit: Duration,
    ) -> Result<Box<dyn Machine>, shell::Error> {
        let answers = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let residents = self.4.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(resident) = residents.get(&endpoint.host)
            && resident.fingerprint() != host_key.fingerprint()
        {
            return Err(shell::Error::HostKeyMismatch {
                endpoint: endpoint.to_string(),
                expected: host_key.fingerprint().to_owned(),
                got: resident.fingerprint().to_owned(),
            });
        }
        match answers {
            Answers::Never => Err(shell::Error::Lost {
                what: "the silence".to_owned(),
                bytes_received: 0,
                why: "nobody is there".to_owned(),
            }),
            Answers::WithAnotherKey => Err(shell::Error::HostKeyMismatch {
                endpoint: endpoint.to_string(),
                expected: host_key.fingerprint().to_owned(),
                got: host_key.fingerprint().to_owned(),
            }),
            Answers::WithAPanic => panic!("the test wants this panic"),
            Answers::Well
            | Answers::Badly
            | Answers::Dirtily
            | Answers::Restarted
            | Answers::Exposed
            | Answers::Busily => {
                let machine = self.3.prove(endpoint, host_key).await?;
                let (played, told) = (Arc::clone(&self.1), Arc::clone(&self.2));
                let keys = (Arc::clone(&self.3), machine);
                Ok(Box::new(FakeMachine(answers, played, told, keys)))
            }
        }
    }

    async fn host_key(&self, endpoint: &Endpoint, _limit: Duration) -> Result<HostKey, shell::Error> {
        match *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Answers::Never => Err(shell::Error::Lost {
                what: format!("the silence of {endpoint}"),
                bytes_received: 0,
                why: "nobody is there".to_owned(),
            }),
            _ => HostKey::parse(SHOWN),
        }
    }
}

#[async_trait]
impl Machine for FakeMachine {
    async fn play(
        &self,
        _provision: &ProvisionSpec,
        playbook: &str,
        (_vars, part): (&Map<String, Value>, Option<&str>),
        _limit: Duration,
    ) -> Result<String, String> {
        let mut played = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        played.push(part.map_or_else(|| playbook.to_owned(), |part| format!("{part} of {playbook}")));
        match self.0 {
            Answers::Badly => Err(format!("{playbook}: task 1 failed")),
            _ => Ok(format!("{playbook}: played")),
        }
    }

    async fn make_host_key(&self, _limit: Duration) -> Result<HostKey, String> {
        let (keys, machine) = &self.3;
        keys.make(*machine).await
    }

    async fn replace_host_key(&self, made: &HostKey, _limit: Duration) -> Result<(), String> {
        let (keys, machine) = &self.3;
        keys.replace(*machine, made).await
    }

    async fn running(&self, _limit: Duration) -> Option<String> {
        (self.0 == Answers::Busily).then(|| "attempt 7 is running on this builder".to_owned())
    }

    async fn baseline(&self, _limit: Duration) -> Result<String, String> {
        Ok(BASELINE.to_owned())
    }

    async fn accept(&self, _limit: Duration) -> Result<(), String> {
        match self.0 {
            Answers::Badly => Err("the disk is full".to_owned()),
            _ => Ok(()),
        }
    }

    async fn clean(&self, baseline: &str, _limit: Duration) -> Result<Vec<Difference>, String> {
        assert_eq!(baseline, BASELINE);
        let difference = |part: &str, what: &str, how: &str| Difference {
            part: part.to_owned(),
            what: what.to_owned(),
            how: how.to_owned(),
        };
        match self.0 {
            Answers::Dirtily => Ok(vec![difference("users", "eve", "is new")]),
            Answers::Restarted => Ok(vec![
                difference("boot", "boot", "has changed: id: 1 -> 2"),
                difference("mounts", "/tmp of type tmpfs", "is gone"),
            ]),
            Answers::Badly => Err("the disk is full".to_owned()),
            _ => Ok(Vec::new()),
        }
    }

    async fn live(&self, builder: &str, baseline: Option<&str>, _limit: Duration) -> Answer {
        assert!(builder.starts_with("bdr_"), "{builder}");
        match self.0 {
            Answers::Badly => Answer::Badly("the disk is full".to_owned()),
            // Only of a machine that is to be used again it is known.
            Answers::Restarted if baseline.is_some() => Answer::Restarted,
            Answers::Exposed => Answer::Exposed,
            _ => Answer::Well,
        }
    }

    async fn notice(&self, _limit: Duration) -> Result<Option<String>, String> {
        loop {
            let told = self.2.lock().unwrap_or_else(PoisonError::into_inner).clone();
            match told {
                Some(told) => return Ok(told),
                None => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        }
    }

    async fn close(self: Box<Self>) {}
}

/// A controller that leads, and its world.
struct Farm {
    controller: Controller,
    lease: Lease,
    cloud: Arc<FakeCloud>,
    machines: Arc<FakeMachines>,
    clock: ManualClock,
    /// Every launch that reached the cloud: when, in seconds from the beginning, and for what.
    launches: Vec<(u64, String)>,
    _directory: tempfile::TempDir,
}

/// A fleet of one cloud whose pools are given in YAML. Its endpoint is not Amazon's, so that calls have no limit.
fn fleet(pools: &str) -> FleetSpec {
    let text = format!(
        "schema: 1\nfleet: 019a0000-0000-7000-8000-000000000001\nname: test\n\
         clouds:\n  fake:\n    kind: ec2\n    region: r\n    endpoint: http://x\n    credentials: {{source: environment}}\n\
         images:\n  builder: {{cloud: fake, id: ami-1}}\n\
         provision:\n  base: {{timeouts: {{boot: 20s}}}}\n\
         pools:\n{pools}"
    );
    runtime::yaml::parse(&text, "fleet.yaml").unwrap()
}

fn pool(name: &str, size: &str, types: &str) -> String {
    format!(
        "  {name}:\n    labels: [\"arch:x86_64\"]\n    image: builder\n    provision: base\n    \
         size: {{{size}}}\n    launch: {{parallel: 100}}\n    offerings: [{{types: [{types}]}}]\n"
    )
}

impl Farm {
    async fn start(pools: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let settings = DatabaseSettings {
            url: format!("sqlite://{}/farm.db", directory.path().display()),
            max_connections: 4,
        };
        let store = Store::connect(&settings).await.unwrap();
        store.migrate().await.unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let provisioner = Provisioner::load(&root.join("playbooks"), &root.join("provision-files")).unwrap();
        let (cloud, clock) = (Arc::new(FakeCloud::default()), ManualClock::new(NOW));
        let machines = Arc::new(FakeMachines(
            Mutex::new(Answers::Well),
            Played::default(),
            Told::default(),
            Arc::default(),
            Residents::default(),
        ));
        let fleet = fleet(pools);
        let lease = store.acquire_lease(fleet.fleet, "test", Duration::from_secs(1_000_000), NOW);
        let lease = lease.await.unwrap().unwrap();
        let context = Context {
            store,
            clouds: BTreeMap::from([
                ("fake".to_owned(), Arc::clone(&cloud) as Arc<dyn cloud::Cloud>),
                (HOSTS.to_owned(), Arc::new(HostCloud::new(&fleet))),
            ]),
            clients: crate::Clients::new({
                let cloud = Arc::clone(&cloud) as Arc<dyn cloud::Cloud>;
                move |name, _| {
                    (name == "fake")
                        .then(|| Arc::clone(&cloud))
                        .ok_or("no key".to_owned())
                }
            }),
            calls: crate::Calls::default(),
            term: crate::Term::default(),
            fleet: Arc::new(fleet),
            provisioner: Arc::new(provisioner),
            reach: Arc::clone(&machines) as Arc<dyn Reach>,
            key: Arc::new(ClientKey::generate("farm").unwrap()),
            builder_url: "http://farm".to_owned(),
            holder: "test".to_owned(),
            clock: Clock::Manual(clock.clone()),
            quiesce: runtime::CancellationToken::new(),
        };
        Self {
            controller: Controller::new(context),
            lease,
            cloud,
            machines,
            clock,
            launches: Vec::new(),
            _directory: directory,
        }
    }

    fn machines_answer(&self, how: Answers) {
        *self.machines.0.lock().unwrap_or_else(PoisonError::into_inner) = how;
    }

    fn seconds(&self) -> u64 {
        Clock::Manual(self.clock.clone()).now().since(NOW).as_secs()
    }

    async fn builders(&self) -> Vec<Builder> {
        self.controller.context.store.builders(None).await.unwrap()
    }

    async fn states(&self) -> Vec<BuilderState> {
        self.builders()
            .await
            .iter()
            .map(|builder| builder.state)
            .collect()
    }

    async fn history(&self) -> Vec<(BuilderState, i64)> {
        let all = self.controller.context.store.builders(Some(NOW)).await.unwrap();
        all.iter()
            .map(|builder| (builder.state, builder.version))
            .collect()
    }

    async fn troubles(&self) -> Vec<String> {
        let now = Clock::Manual(self.clock.clone()).now();
        let condition = self
            .controller
            .context
            .store
            .fleet_condition(None, now)
            .await
            .unwrap();
        condition
            .troubles(now)
            .iter()
            .map(|it| it.for_operators())
            .collect()
    }

    /// Waits until all that is under way waits for the clock.
    async fn wait_for_tasks(&mut self) {
        let work = async {
            loop {
                let controller = &mut self.controller;
                tokio::select! {
                    biased;
                    Some(failures) = controller.steps.ends() => controller.note(failures),
                    Some(()) = controller.clouds.look_ends() => {}
                    Some(()) = controller.hooks.ends() => {}
                    Some(()) = controller.notices.ends() => {}
                    Some(()) = controller.lives.ends() => {}
                    Some(()) = controller.selection.ends() => {}
                    () = tokio::time::sleep(Duration::from_millis(2)) => {}
                }
                let it = &self.controller;
                let under_way = it.steps.under_way() + it.clouds.under_way() + it.hooks.under_way();
                let under_way = under_way + it.lives.under_way() + it.selection.under_way();
                if under_way <= self.clock.sleepers() {
                    return;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(120), work)
            .await
            .expect("steps and looks that end or wait for the clock");
    }

    /// Rounds until nothing is left to do at this moment.
    async fn settle(&mut self) {
        // What the clock woke ends first, all of it: a round that saw some of many failures would decide on those.
        self.wait_for_tasks().await;
        for _ in 0..100 {
            let before = (self.history().await, self.controller.hooks.begun());
            self.controller.round(&self.lease).await.unwrap();
            self.wait_for_tasks().await;
            let seconds = self.seconds();
            let asked = self.cloud.asked();
            let new = asked.iter().skip(self.launches.len());
            let new: Vec<_> = new
                .map(|it| (seconds, it.offering.instance_type.clone()))
                .collect();
            self.launches.extend(new);
            let after = (self.history().await, self.controller.hooks.begun());
            let is_quiet = self.controller.clouds.is_quiet() && self.controller.selection.is_quiet();
            if after == before && is_quiet {
                return;
            }
        }
        panic!("the farm never comes to rest: {:?}", self.history().await);
    }

    /// Lets so many seconds pass, one at a time where something is under way.
    async fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.clock.advance(Duration::from_secs(1));
            self.settle().await;
        }
    }

    /// Lets seconds pass until something is so.
    async fn until(&mut self, what: &str, mut is_so: impl FnMut(&[BuilderState], &FakeCloud) -> bool) {
        for _ in 0..600 {
            self.settle().await;
            if is_so(&self.states().await, &self.cloud) {
                return;
            }
            self.clock.advance(Duration::from_secs(1));
        }
        panic!("not in ten minutes: {what}: {:?}", self.builders().await);
    }

    /// Instances that are being made run from now on.
    fn run_instances(&self) {
        for instance in self.cloud.instances() {
            if instance.state == InstanceState::Pending {
                self.cloud.set_state(&instance.id, InstanceState::Running);
            }
        }
    }

    /// Until so many builders are ready, and nothing else is there.
    async fn until_ready(&mut self, count: usize) {
        for _ in 0..600 {
            self.settle().await;
            self.run_instances();
            let states = self.states().await;
            if states.len() == count && states.iter().all(|state| *state == BuilderState::Ready) {
                return;
            }
            self.clock.advance(Duration::from_secs(1));
        }
        panic!("never ready: {:?}", self.builders().await);
    }
}

fn refused(code: &str) -> cloud::Error {
    cloud::Error::Refused {
        code: code.to_owned(),
        message: "sorry".to_owned(),
    }
}

fn unreachable() -> cloud::Error {
    cloud::Error::Unreachable {
        why: "connection refused".to_owned(),
    }
}

fn unclear() -> cloud::Error {
    cloud::Error::Unclear {
        what: "it did not answer in time".to_owned(),
    }
}
