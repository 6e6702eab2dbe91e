//! One world: the farm's real controllers on its real store, in virtual time, from a seed. At a moment that the seed chooses the faults
//! stop, and everything has to finish.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use provisioner::Provisioner;
use shell::ClientKey;
use sim::{Fault, Report};
use store::{Store, testing::Seam};
use tokio::runtime::{Handle, Runtime};

use crate::{
    file::File,
    gate::Open,
    hosts,
    idle::Idle,
    operators::Operators,
    outside::{All, Outside},
    people::People,
    program::{Common, Place},
    setting::Setting,
    told::told,
    workers::Worker,
};

/// Within how long after the calm everything has to be settled: a machine may take forty minutes to end, and a pool that failed
/// often is tried every half an hour.
const SETTLES_WITHIN: Duration = Duration::from_secs(4 * 3600);
/// How long people and workers rest once it is calm.
const CALM_TICK: Duration = Duration::from_secs(5);

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

pub(crate) struct World {
    pub(crate) common: Common,
    /// The database for those who are no program of the farm.
    pub(crate) store: Store,
    idle: Idle,
    pub(crate) setting: Setting,
    /// The fleet file as it stands.
    pub(crate) file: File,
    pub(crate) places: Vec<Place>,
    pub(crate) people: People,
    operators: Operators,
    workers: [Worker; 2],
    next_tick: Duration,
    pub(crate) network_holds_until: Duration,
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
        let store = ground
            .store
            .behind(Arc::new(Open) as Arc<dyn Seam>, beside.clone());
        let people = People::new(&store, setting.builds).await;
        let names = ["one", "two"].into_iter().take(setting.controllers);
        let mut world = Self {
            common: Common {
                outside: Arc::clone(outside),
                store: store.clone(),
                beside,
                fleet: Err("it is not written yet".to_owned()),
                version: 0,
                provisioner: Arc::clone(&ground.provisioner),
                key: Arc::clone(&ground.key),
            },
            store,
            idle,
            file: setting.file.clone(),
            setting,
            places: names.map(Place::new).collect(),
            people: people.map_err(|error| error.to_string())?,
            operators: Operators::default(),
            workers: ["first", "second"].map(Worker::new),
            next_tick: Duration::ZERO,
            network_holds_until: Duration::ZERO,
        };
        world.write_file(world.file.clone());
        world.with(|all| hosts::put_up(all, world.file.hosts()))?;
        Ok(world)
    }

    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut All) -> T) -> T {
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
        self.people.cancel(&self.store, &outside).await?;
        self.operators.wish(&self.store, &outside).await?;
        for worker in &mut self.workers {
            worker.go_on(&self.store, &outside).await?;
        }
        let offered = self.store.offered_allocations(20).await?;
        for worker in &mut self.workers {
            worker.take(&self.store, &outside, &offered).await?;
        }
        if !is_calm {
            self.weather();
        }
        self.read_file();
        let pause = outside.with(|all| all.luck.millis(500, 4000));
        self.next_tick = now.saturating_add(if is_calm { CALM_TICK } else { pause });
        let builders = self.store.builders(None).await?;
        self.judge_builders(&builders);
        if is_calm {
            self.operators.free(&self.store, &outside, &builders).await?;
        }
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
            place.calm_down(&self.common.outside);
        }
        self.write_file(self.file.completed(&self.setting.file));
        self.operators.calm_down(&self.store, &self.common.outside).await
    }
}
