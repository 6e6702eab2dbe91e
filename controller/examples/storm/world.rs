//! One world: the farm's real controllers on its real store, in virtual time, from a seed. At a moment that the seed chooses the faults
//! stop, and everything has to finish.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use model::{BuilderId, BuilderState, LaunchId};
use provisioner::Provisioner;
use shell::ClientKey;
use sim::{
    Fault, Report, Rule,
    cloud::{Change, Machine, Tags},
};
use store::{Builder, Store, testing::Seam};
use tokio::runtime::{Handle, Runtime};

use crate::{
    gate::Open,
    idle::Idle,
    outside::{All, CLOUDS, Outside},
    people::People,
    program::{Common, NOW, Place},
    setting::Setting,
    told::told,
    workers::Worker,
};

/// Within how long after the calm everything has to be settled: a machine may take forty minutes to end, and a pool that failed
/// often is tried every half an hour.
const SETTLES_WITHIN: Duration = Duration::from_secs(4 * 3600);
/// How long people and workers rest once it is calm.
const CALM_TICK: Duration = Duration::from_secs(5);
/// How long after an outage of our own network there is no other: what is away for long may be given up.
const NETWORK_HOLDS: Duration = Duration::from_secs(900);
/// So many good machines that do not answer are ended in an outage at most: a builder that is the only one to wait may be.
const MOST_ENDED_IN_OUTAGE: usize = 2;
/// What the reasons of builders hold that live checks gave up.
const GIVEN_UP: &str = "looks in a row";

/// Which world is run, and how.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    pub(crate) seed: u64,
    /// The only faults that strike, where not all of the seed's do.
    pub(crate) only: Option<BTreeSet<Fault>>,
    /// Whether all that happens is told.
    pub(crate) is_told: bool,
}

/// What worlds have in common, one after the other.
pub(crate) struct Ground {
    beside: Runtime,
    store: Store,
    provisioner: Arc<Provisioner>,
    key: Arc<ClientKey>,
}

struct World {
    common: Common,
    /// The database for those who are no program of the farm.
    store: Store,
    idle: Idle,
    setting: Setting,
    places: Vec<Place>,
    people: People,
    workers: [Worker; 2],
    next_tick: Duration,
    network_holds_until: Duration,
}

impl Ground {
    /// # Errors
    /// A sentence about what is in the way.
    pub(crate) fn new() -> Result<Self, String> {
        let beside = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_time()
            .build()
            .map_err(|error| format!("cannot begin a runtime: {error}"))?;
        let store = beside
            .block_on(Store::in_memory())
            .map_err(|error| format!("cannot make a database in memory: {error}"))?;
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let provisioner = Provisioner::load(&root.join("playbooks"), &root.join("provision-files"))
            .map_err(|error| format!("cannot read the playbooks: {error}"))?;
        let key = ClientKey::generate("farm").map_err(|error| format!("cannot make a key: {error}"))?;
        Ok(Self {
            beside,
            store,
            provisioner: Arc::new(provisioner),
            key: Arc::new(key),
        })
    }

    /// Runs a world to its end.
    ///
    /// # Errors
    /// A sentence about what is in the way, which is none of the farm's rules.
    pub(crate) fn run(&self, scene: &Scene) -> Result<Report, String> {
        let cleared = self.beside.block_on(self.store.clear());
        cleared.map_err(|error| format!("cannot clear the database: {error}"))?;
        runtime::chance::come_from(scene.seed);
        let outside = Outside::new(scene.seed, scene.only.as_ref(), scene.is_told);
        let (runtime, idle) = Idle::runtime().map_err(|error| format!("cannot begin a runtime: {error}"))?;
        let beside = self.beside.handle().clone();
        let lived = runtime.block_on(async {
            let mut world = World::new(self, &outside, beside, idle).await?;
            world.live().await.map_err(|error| error.to_string())?;
            let told = match scene.is_told {
                true => told(&world.store, &outside)
                    .await
                    .map_err(|error| error.to_string())?,
                false => Vec::new(),
            };
            Ok::<_, String>(told)
        });
        drop(runtime);
        let trace = lived.map_err(|error| format!("seed {}: {error}", scene.seed))?;
        Ok(outside.with(|all| Report {
            seed: scene.seed,
            lifecycles: all.lifecycles,
            lasted: all.now,
            events: all.operations,
            met: all.luck.met(),
            violation: all.violation.clone(),
            trace,
        }))
    }
}

impl World {
    async fn new(
        ground: &Ground,
        outside: &Arc<Outside>,
        beside: Handle,
        idle: Idle,
    ) -> Result<Self, String> {
        let setting = outside.with(|all| Setting::of(&mut all.luck));
        let fleet = setting.read()?;
        let most = fleet.pools.iter().map(|(name, spec)| {
            let max = usize::try_from(spec.size.max).unwrap_or(usize::MAX);
            (name.clone(), max)
        });
        outside.with(|all| {
            all.most = most.collect();
            all.tell(|| format!("the fleet file:\n{}", setting.fleet));
        });
        let store = ground
            .store
            .behind(Arc::new(Open) as Arc<dyn Seam>, beside.clone());
        let people = People::new(&store, setting.builds).await;
        let names = ["one", "two"].into_iter().take(setting.controllers);
        Ok(Self {
            common: Common {
                outside: Arc::clone(outside),
                store: store.clone(),
                beside,
                fleet: Arc::new(fleet),
                provisioner: Arc::clone(&ground.provisioner),
                key: Arc::clone(&ground.key),
            },
            store,
            idle,
            setting,
            places: names.map(Place::new).collect(),
            people: people.map_err(|error| error.to_string())?,
            workers: ["first", "second"].map(Worker::new),
            next_tick: Duration::ZERO,
            network_holds_until: Duration::ZERO,
        })
    }

    fn with<T>(&self, work: impl FnOnce(&mut All) -> T) -> T {
        self.common.outside.with(work)
    }

    /// Everything, until all is settled or a rule is broken.
    async fn live(&mut self) -> Result<(), store::Error> {
        loop {
            self.idle.wait().await;
            let mut is_changed = false;
            for place in &mut self.places {
                is_changed |= place.go_on(&self.common);
            }
            if self.with(|all| all.violation.is_some()) {
                return Ok(());
            }
            if is_changed {
                continue;
            }
            if self.with(|all| all.now) >= self.next_tick {
                if self.tick().await? {
                    return self.judge_all().await;
                }
                continue;
            }
            self.pass();
        }
    }

    /// Time passes, until somebody or something wakes.
    fn pass(&mut self) {
        let (now, change) = self.with(|all| (all.now, all.next_change()));
        let mut step = self.next_tick.saturating_sub(now);
        if let Some(change) = change {
            step = step.min(change.saturating_sub(now));
        }
        for place in &self.places {
            step = place.next_wake(now).map_or(step, |wake| step.min(wake));
        }
        let step = step.max(Duration::from_micros(1));
        self.with(|all| {
            all.now = all.now.saturating_add(step);
            all.go_on();
        });
        for place in &mut self.places {
            place.advance(step);
        }
    }

    /// What people, workers and chance do at a moment; whether all is settled.
    async fn tick(&mut self) -> Result<bool, store::Error> {
        let outside = Arc::clone(&self.common.outside);
        let (now, was_calm) = outside.with(|all| (all.now, all.luck.is_calm()));
        if now >= self.setting.calm_at && !was_calm {
            self.calm_down().await?;
        }
        let is_calm = now >= self.setting.calm_at;
        self.people.submit(&self.store, &outside).await?;
        self.people.wish(&self.store, &outside).await?;
        for worker in &mut self.workers {
            worker.go_on(&self.store, &outside).await?;
        }
        let offered = self.store.offered_allocations(20).await?;
        for worker in &mut self.workers {
            worker.take(&self.store, &outside, &offered).await?;
        }
        if !is_calm {
            self.strangers();
            self.network();
            for place in &mut self.places {
                place.may_be_struck(&outside);
            }
        }
        let pause = outside.with(|all| all.luck.millis(500, 4000));
        self.next_tick = now.saturating_add(if is_calm { CALM_TICK } else { pause });
        let builders = self.store.builders(None).await?;
        self.judge_builders(&builders);
        if !is_calm || !self.people.has_submitted_all() {
            return Ok(false);
        }
        let left = self.left(&builders).await?;
        if let Some((rule, words)) = &left
            && now.saturating_sub(self.setting.calm_at) > SETTLES_WITHIN
        {
            self.with(|all| all.violate(*rule, words.clone()));
        }
        Ok(left.is_none())
    }

    async fn calm_down(&mut self) -> Result<(), store::Error> {
        self.with(|all| {
            all.tell(|| "nothing goes wrong from now on".to_owned());
            all.luck.calm_down();
            all.network_away_until = Duration::ZERO;
            all.clouds.values_mut().for_each(sim::cloud::Cloud::calm_down);
        });
        for place in &mut self.places {
            place.calm_down();
        }
        self.people.calm_down(&self.store, &self.common.outside).await
    }

    /// Machines of others, and some with our tag that nobody knows.
    fn strangers(&self) {
        let ids = [runtime::chance::new_id(), runtime::chance::new_id()];
        self.with(|all| {
            let name = all.luck.pick(&CLOUDS).unwrap_or("near");
            let is_orphan = all.luck.strikes(Fault::Orphan);
            if !is_orphan && !all.luck.strikes(Fault::Foreign) {
                return;
            }
            let pool = all.most.keys().next().cloned().filter(|_| is_orphan);
            let [builder, launch] = ids;
            let tags = pool.map(|pool| Tags {
                pool,
                builder: BuilderId(builder),
                launch: LaunchId(launch),
            });
            let All {
                clouds, luck, now, ..
            } = all;
            let Some(of) = clouds.get_mut(name) else { return };
            let id = of.make(tags, luck, *now);
            all.tell(|| format!("{id} is made by somebody else"));
            all.strays.insert(id.clone());
            all.will(Duration::from_secs(5), name, &id, Change::Runs);
        });
    }

    /// The network between the farm and all machines is away for some minutes.
    fn network(&mut self) {
        let until = self.with(|all| {
            if all.now < self.network_holds_until || !all.luck.strikes(Fault::NetworkAway) {
                return None;
            }
            let until = all.now.saturating_add(all.luck.seconds(60, 300));
            all.tell(|| "no machine is reached any more".to_owned());
            (all.network_away_until, all.outages) = (until, all.outages.saturating_add(1));
            Some(until)
        });
        if let Some(until) = until {
            self.network_holds_until = until.saturating_add(NETWORK_HOLDS);
        }
    }

    /// No pool has more builders than it may, and no builder that has ended has a machine.
    fn judge_builders(&self, builders: &[Builder]) {
        self.with(|all| {
            for (pool, most) in all.most.clone() {
                let count = builders.iter().filter(|it| it.pool == pool).count();
                if count > most {
                    let words = format!("pool {pool} has {count} builders and may have {most}");
                    all.violate(Rule::AboveMax, words);
                }
            }
        });
    }

    /// What is left to be done; `None` when the farm is settled.
    async fn left(&mut self, builders: &[Builder]) -> Result<Option<(Rule, String)>, store::Error> {
        if let Some(words) = self.people.unfinished(&self.store).await? {
            return Ok(Some((Rule::Finish, words)));
        }
        for builder in builders {
            if builder.state != BuilderState::Ready || builder.cordoned {
                let words = format!(
                    "builder {} is {}: {:?}",
                    builder.id, builder.state, builder.reason
                );
                return Ok(Some((Rule::Finish, words)));
            }
            if !self.with(|all| is_fit(all, builder)) {
                let words = format!("builder {} is ready, and its machine is not", builder.id);
                return Ok(Some((Rule::Live, words)));
            }
        }
        let had: BTreeSet<&str> = builders
            .iter()
            .filter_map(|it| it.instance_id.as_deref())
            .collect();
        Ok(self.with(|all| {
            let machines = all.clouds.values().flat_map(|it| &it.machines);
            let is_left = |(id, it): &(&String, &Machine)| {
                it.tags.is_some() && it.is_alive() && !had.contains(id.as_str())
            };
            let (id, machine) = machines.into_iter().find(is_left)?;
            let words = format!("machine {id} is {}, and no builder's", machine.state.as_str());
            Some((Rule::Leak, words))
        }))
    }

    /// What is looked at once all is settled: every end has a reason, and an outage of our own cost no fleet.
    async fn judge_all(&mut self) -> Result<(), store::Error> {
        let ended = self.store.builders(Some(NOW)).await?;
        self.with(|all| {
            let is_over = |it: &&Builder| it.state != BuilderState::Ready;
            for builder in ended.iter().filter(is_over) {
                if builder.reason.as_deref().is_none_or(str::is_empty) {
                    all.violate(Rule::Moves, format!("{} has ended without a reason", builder.id));
                }
            }
            let given_up = |id: &BuilderId| {
                let of = ended.iter().find(|it| it.id == *id);
                of.and_then(|it| it.reason.as_deref())
                    .is_some_and(|reason| reason.contains(GIVEN_UP))
            };
            for (outage, ids) in all.ended_in_outage.clone() {
                let count = ids.iter().filter(|id| given_up(id)).count();
                if count > MOST_ENDED_IN_OUTAGE {
                    let words =
                        format!("{count} good builders are given up in outage {outage} of the network");
                    all.violate(Rule::Live, words);
                }
            }
        });
        Ok(())
    }
}

/// Whether the machine of a builder that is ready can serve.
fn is_fit(all: &All, builder: &Builder) -> bool {
    let Some(id) = builder.instance_id.as_deref() else {
        return false;
    };
    let machine = all.answers(&builder.cloud, id);
    let set_up = all.keys.get(id).map(|keys| keys.set_up);
    machine.is_some_and(|it| !it.is_sick && Some(it.starts) == set_up)
}
