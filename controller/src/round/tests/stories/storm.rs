//! The controller itself, on a database, in weather of all kinds: its program dies at any await, clouds fail, hide and lose machines,
//! machines do not answer, workers die. From a seed, by the clock of the test. `cargo xtask sim` has ten thousand such worlds with thin
//! copies of the tables and of the controller; here are few, with the real ones.

use std::collections::BTreeMap;

use model::{BuildId, Epoch, InstanceState as I};

use super::{
    super::reuse::{Packager, good},
    kills::killed_at,
    *,
};

/// How many machines the pool may have.
const MAX: usize = 4;
/// For how many seconds things go wrong, and how many they have to become right.
const STORM: u64 = 260;
/// Of them, those in which the program lives: who dies every other second sees nothing for long.
const LIVES: std::ops::Range<u64> = 60..200;
const CALM: u64 = 1500;
/// How many builds there are.
const BUILDS: usize = 8;

/// Numbers that look random, and are the same for a seed (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, most: u64) -> u64 {
        self.next() % most
    }

    fn is_one_in(&mut self, chances: u64) -> bool {
        self.below(chances) == 0
    }

    fn one_of<T: Clone>(&mut self, all: &[T]) -> Option<T> {
        let count = u64::try_from(all.len()).unwrap();
        let index = if count == 0 { 0 } else { self.below(count) };
        all.get(usize::try_from(index).unwrap()).cloned()
    }
}

/// An attempt that a worker drives.
struct Run {
    builder: model::BuilderId,
    instance: String,
    ends_at: u64,
    /// Whether its worker has died, or its machine: it may be ended then.
    is_lost: bool,
}

struct World {
    farm: Farm,
    random: Random,
    seed: u64,
    packager: Packager,
    builds: Vec<BuildId>,
    runs: BTreeMap<Epoch, Run>,
    /// How often the program died.
    deaths: u32,
}

impl World {
    async fn new(seed: u64) -> Self {
        let pool = pool("x86", &format!("max: {MAX}, idle: 1"), "a, b");
        let farm = Farm::start(&format!(
            "{pool}    shrink: {{idle_for: 20s}}\n    reuse: {{scope: sandbox}}\n"
        ))
        .await;
        let store = farm.controller.context.store.clone();
        Self {
            packager: Packager::new(&store, "alice").await,
            random: Random(seed),
            farm,
            seed,
            builds: Vec::new(),
            runs: BTreeMap::new(),
            deaths: 0,
        }
    }

    fn store(&self) -> Store {
        self.farm.controller.context.store.clone()
    }

    fn now(&self) -> model::Timestamp {
        Clock::Manual(self.farm.clock.clone()).now()
    }

    /// One second in which things go wrong.
    async fn stormy_second(&mut self) {
        if self.builds.len() < BUILDS && self.random.is_one_in(6) {
            self.builds.push(self.packager.submit(&self.farm).await);
        }
        self.clouds_and_machines();
        self.workers(true).await;
        let may_die = !LIVES.contains(&self.farm.seconds()) && self.random.is_one_in(2);
        let dies_at = may_die.then(|| 1 + self.random.below(40));
        let await_point = dies_at.map_or(usize::MAX, |at| usize::try_from(at).unwrap());
        let lease = self.farm.lease;
        match killed_at(await_point, self.farm.controller.round(&lease)).await {
            // A step that was under way may have moved what the round looked at; the next one looks again.
            Some(_) => {
                let soon = Duration::from_millis(self.random.below(4));
                tokio::time::timeout(soon, self.farm.wait_for_tasks()).await.ok();
            }
            None => {
                self.deaths += 1;
                self.farm.start_anew().await;
            }
        }
        self.farm.clock.advance(Duration::from_secs(1));
        self.check().await;
    }

    fn clouds_and_machines(&mut self) {
        let (random, cloud) = (&mut self.random, &self.farm.cloud);
        match random.below(40) {
            0 => cloud.set_away(Some(unreachable())),
            1..=4 => cloud.set_away(None),
            5 | 6 => cloud.fail_next_launch(LaunchFailure::After(unclear())),
            7 => cloud.fail_next_launch(LaunchFailure::Before(unclear())),
            8 => cloud.refuse_type("a", Some(refused("InsufficientInstanceCapacity"))),
            9 | 10 => cloud.refuse_type("a", None),
            _ => {}
        }
        let there: Vec<_> = cloud
            .instances()
            .into_iter()
            .filter(|it| it.state != I::Terminated)
            .collect();
        for instance in &there {
            if instance.state == I::Pending && !random.is_one_in(3) {
                cloud.set_state(&instance.id, I::Running);
            }
            if random.is_one_in(40) {
                cloud.hide(&instance.id, true);
            } else if random.is_one_in(100) {
                cloud.hide(&instance.id, false);
            }
        }
        if random.is_one_in(40)
            && let Some(dies) = random.one_of(&there)
        {
            cloud.set_state(&dies.id, I::Terminated);
            let runs = self.runs.values_mut().filter(|run| run.instance == dies.id);
            runs.for_each(|run| run.is_lost = true);
        }
        let answers = [
            Answers::Well,
            Answers::Well,
            Answers::Well,
            Answers::Never,
            Answers::Badly,
            Answers::Dirtily,
        ];
        if let Some(how) = random.one_of(&answers).filter(|_| random.is_one_in(5)) {
            self.farm.machines_answer(how);
        }
    }

    /// Workers take up what is offered, tell that they live, and end what is done.
    async fn workers(&mut self, may_die: bool) {
        let (store, now, second) = (self.store(), self.now(), self.farm.seconds());
        let until = now.plus(Duration::from_secs(90));
        for build in self.builds.clone() {
            for attempt in store.attempts_of(build).await.unwrap() {
                let (Some(epoch), Some(builder)) = (attempt.epoch, attempt.builder) else {
                    continue;
                };
                if attempt.state != AttemptState::Assigned || (may_die && self.random.is_one_in(3)) {
                    continue;
                }
                if store.accept_allocation(epoch, "worker", until, now).await.is_ok() {
                    let row = store.builder(builder).await.unwrap().unwrap();
                    let twice = self
                        .runs
                        .values()
                        .find(|run| run.builder == builder && !run.is_lost);
                    assert!(
                        twice.is_none(),
                        "seed {}: builder {builder} is given away twice",
                        self.seed
                    );
                    let instance = row.instance_id.unwrap();
                    // Its machine may have died before its worker came.
                    let is_lost = !self.farm.running().contains(&instance);
                    let run = Run {
                        builder,
                        instance,
                        ends_at: second + 2 + self.random.below(90),
                        is_lost,
                    };
                    self.runs.insert(epoch, run);
                }
            }
        }
        let alive = self.runs.iter().filter(|(_, run)| !run.is_lost);
        let sizes: BTreeMap<Epoch, i64> = alive.map(|(epoch, _)| (*epoch, 0)).collect();
        let heard = store
            .renew_allocations("worker", &sizes, until, now)
            .await
            .unwrap();
        for (epoch, renewal) in heard {
            assert_ne!(
                renewal,
                store::Renewal::Lost,
                "seed {}: {epoch} is lost, and its worker lives",
                self.seed
            );
        }
        let mut over = Vec::new();
        for (epoch, run) in &mut self.runs {
            if may_die && self.random.is_one_in(60) {
                run.is_lost = true;
            }
            if !run.is_lost && run.ends_at <= second {
                store
                    .finish_attempt(*epoch, "worker", &good(), now)
                    .await
                    .unwrap();
                over.push(*epoch);
            }
        }
        for epoch in over {
            self.runs.remove(&epoch);
        }
    }

    /// The rules that hold whatever goes wrong.
    async fn check(&self) {
        let running = self.farm.running();
        assert!(
            running.len() <= MAX,
            "seed {}: {} machines run",
            self.seed,
            running.len()
        );
        let alive = self.runs.iter().filter(|(_, run)| !run.is_lost);
        let ended = self.farm.cloud.terminated();
        for (epoch, run) in alive {
            let is_ended = ended.contains(&run.instance);
            assert!(
                !is_ended,
                "seed {}: {} is ended while {epoch} runs there",
                self.seed, run.instance
            );
        }
    }

    /// Nothing goes wrong any more: all that is wanted comes about, and no machine is left.
    async fn calm(&mut self) {
        self.farm.cloud.set_away(None);
        self.farm.cloud.refuse_type("a", None);
        self.farm.machines_answer(Answers::Well);
        for instance in self.farm.cloud.instances() {
            self.farm.cloud.hide(&instance.id, false);
        }
        for _ in 0..CALM / 5 {
            self.workers(false).await;
            self.farm.run_instances();
            self.farm.settle().await;
            self.check().await;
            let states = self.farm.states().await;
            if self.left().await.is_empty() && states == [BuilderState::Ready] {
                break;
            }
            self.farm.clock.advance(Duration::from_secs(5));
        }
        let (seed, builders) = (self.seed, self.farm.builders().await);
        let left = self.left().await;
        assert_eq!(left, [""; 0], "seed {seed}: these are left beside {builders:#?}");
        assert_eq!(
            self.farm.running(),
            self.farm.had().await,
            "seed {seed}: a machine is nobody's"
        );
        assert_eq!(
            self.farm.running().len(),
            1,
            "seed {seed}: one is to be held ready: {builders:#?}"
        );
    }

    /// The attempts that are not over.
    async fn left(&self) -> Vec<String> {
        let mut left = Vec::new();
        for build in &self.builds {
            let attempts = self.store().attempts_of(*build).await.unwrap();
            // Publishing is the worker's, of which there is none here.
            let is_open = |it: &AttemptState| !it.is_final() && *it != AttemptState::Publishing;
            let open = attempts.into_iter().filter(|attempt| is_open(&attempt.state));
            left.extend(open.map(|it| format!("{build}: {} on {:?}, {:?}", it.state, it.builder, it.reason)));
        }
        left
    }
}

#[tokio::test]
async fn whatever_goes_wrong_no_machine_is_left_given_away_twice_or_ended_while_it_builds() {
    for seed in 1..=4 {
        let mut world = Box::pin(World::new(seed)).await;
        for _ in 0..STORM {
            Box::pin(world.stormy_second()).await;
        }
        assert!(world.deaths > 10, "seed {seed}: {} deaths", world.deaths);
        assert_eq!(world.builds.len(), BUILDS, "seed {seed}");
        Box::pin(world.calm()).await;
    }
}
