//! What is outside of the farm's programs: clouds and their machines, as they really are, chance, and the rules.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use cloud::LaunchRequest;
use model::{
    AttemptId, BuilderId, Epoch, InstanceState, LaunchId, PoolName,
    fleet::{HOSTS, HookPoint},
};
use shell::{ClientKey, HostKey};
use sim::{
    Fault, Rule, Violation,
    cloud::{Change, Cloud, Machine},
    luck::Luck,
};

use crate::{money::Money, most::Most, tries::Tries};

/// The clouds by name.
pub(crate) const CLOUDS: [&str; 2] = ["near", "far"];
/// How long a worker may have been silent at most so that it is a mistake to take its builder away. The farm waits for 90 seconds,
/// by clocks that differ by some seconds.
const HEARD_WITHIN: Duration = Duration::from_secs(60);
/// How long after a controller's clock was wrong by much something may still follow from it.
const WRONG_FOR: Duration = Duration::from_secs(300);

/// All that programs of the farm have in common: clouds by their names, and fixed hosts as if they were machines of one.
#[derive(Debug)]
pub(crate) struct Outside(Mutex<All>);

#[derive(Debug)]
pub(crate) struct All {
    pub(crate) seed: u64,
    pub(crate) now: Duration,
    pub(crate) luck: Luck,
    pub(crate) clouds: BTreeMap<&'static str, Cloud>,
    /// What machines do by themselves, by when.
    changes: BTreeMap<(Duration, u64), (&'static str, String, Change)>,
    count: u64,
    /// What was asked for with each token.
    asked: BTreeMap<LaunchId, LaunchRequest>,
    /// The host keys of machines and what was done with them, by their ids.
    pub(crate) keys: BTreeMap<String, Keys>,
    /// What runs on machines, by their ids.
    pub(crate) runs: BTreeMap<String, Run>,
    /// Which allocations have a worker that lives, and when it was heard last.
    pub(crate) heard: BTreeMap<Epoch, Duration>,
    /// The builders that operators want ended at once.
    pub(crate) unwanted: BTreeSet<BuilderId>,
    /// Machines with our tag that no launch made.
    pub(crate) strays: BTreeSet<String>,
    /// How many machines each pool may have.
    pub(crate) most: BTreeMap<PoolName, usize>,
    /// How many machines on demand each pool may have, where that is the last line of its offerings, and how many builders an owner.
    pub(crate) most_of_line: Most<PoolName>,
    pub(crate) most_of_owner: Most<()>,
    pub(crate) money: Money,
    pub(crate) tries: Tries,
    /// How many lives controllers had so far.
    lives: u64,
    /// When some controller's clock was wrong by more than workers may differ from it, at last.
    pub(crate) clocks_wrong_at: Option<Duration>,
    /// The pools whose machines made their host keys themselves by some file so far.
    pub(crate) told_keys: BTreeSet<PoolName>,
    pub(crate) network_away_until: Duration,
    /// How many outages of our own network there were, and the good builders whose machines were ended in each.
    pub(crate) outages: u32,
    pub(crate) ended_in_outage: BTreeMap<u32, BTreeSet<BuilderId>>,
    pub(crate) violation: Option<Violation>,
    told: Option<Vec<(Duration, String)>>,
    /// How many machines have ended, and how often a program of the farm asked its database.
    pub(crate) lifecycles: usize,
    pub(crate) operations: u64,
}

/// What the farm has done with a machine.
#[derive(Debug)]
pub(crate) struct Keys {
    /// The start after which it was made a builder last.
    pub(crate) set_up: u32,
    pub(crate) shown: HostKey,
    pub(crate) made: Option<HostKey>,
    /// When its console tells the key that it has made at its first start; `None` where it was given one.
    pub(crate) told_at: Option<Duration>,
}

/// A build on a machine.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) attempt: AttemptId,
    pub(crate) epoch: Epoch,
    /// How often its machine had been started when it began.
    pub(crate) starts: u32,
    pub(crate) ends_at: Duration,
}

/// Who answers at an address.
pub(crate) struct Answering {
    pub(crate) cloud: &'static str,
    pub(crate) id: String,
    pub(crate) starts: u32,
    /// `None`: a key that nobody knows.
    pub(crate) key: Option<HostKey>,
}

impl Outside {
    pub(crate) fn new(seed: u64, only: Option<&BTreeSet<Fault>>, is_told: bool) -> Arc<Self> {
        let mut luck = Luck::of(seed);
        if let Some(only) = only {
            luck.keep_only(only);
        }
        let shown_for = luck.seconds(60, 900);
        let quota = usize::try_from(luck.count(14, 40)).unwrap_or(14);
        let clouds = CLOUDS.into_iter().chain([HOSTS]);
        let clouds = clouds.map(|name| (name, Cloud::new(name, quota, shown_for)));
        Arc::new(Self(Mutex::new(All {
            seed,
            now: Duration::ZERO,
            luck,
            clouds: clouds.collect(),
            changes: BTreeMap::new(),
            count: 0,
            asked: BTreeMap::new(),
            keys: BTreeMap::new(),
            runs: BTreeMap::new(),
            heard: BTreeMap::new(),
            unwanted: BTreeSet::new(),
            strays: BTreeSet::new(),
            most: BTreeMap::new(),
            most_of_line: Most::default(),
            most_of_owner: Most::default(),
            money: Money::default(),
            tries: Tries::default(),
            lives: 0,
            clocks_wrong_at: None,
            told_keys: BTreeSet::new(),
            network_away_until: Duration::ZERO,
            outages: 0,
            ended_in_outage: BTreeMap::new(),
            violation: None,
            told: is_told.then(Vec::new),
            lifecycles: 0,
            operations: 0,
        })))
    }

    /// Does something with it. Nobody waits meanwhile.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut All) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl All {
    /// The number of a life of a controller that begins.
    pub(crate) fn next_life(&mut self) -> u64 {
        self.lives = self.lives.wrapping_add(1);
        self.lives
    }

    /// Notes what happens, where that is wanted.
    pub(crate) fn tell(&mut self, words: impl FnOnce() -> String) {
        if let Some(told) = &mut self.told {
            told.push((self.now, words()));
        }
    }

    pub(crate) fn take_told(&mut self) -> Vec<(Duration, String)> {
        self.told.take().unwrap_or_default()
    }

    /// Notes that a rule is broken: the first one counts.
    pub(crate) fn violate(&mut self, rule: Rule, words: String) {
        self.tell(|| format!("BROKEN: {}: {words}", rule.words()));
        let (seed, at) = (self.seed, self.now);
        self.violation.get_or_insert(Violation {
            seed,
            at,
            rule,
            words,
        });
    }

    /// Something a machine will do after so long.
    pub(crate) fn will(&mut self, after: Duration, cloud: &'static str, id: &str, change: Change) {
        self.count = self.count.wrapping_add(1);
        let at = (self.now.saturating_add(after), self.count);
        self.changes.insert(at, (cloud, id.to_owned(), change));
    }

    /// When the next machine does something.
    pub(crate) fn next_change(&self) -> Option<Duration> {
        self.changes.keys().next().map(|(at, _)| *at)
    }

    /// Has machines do what they do by now.
    pub(crate) fn go_on(&mut self) {
        while self.next_change().is_some_and(|at| at <= self.now) {
            let Some((_, (cloud, id, change))) = self.changes.pop_first() else {
                return;
            };
            self.change(cloud, &id, change);
        }
    }

    /// A machine does something, or goes on ending.
    pub(crate) fn change(&mut self, cloud: &'static str, id: &str, change: Change) {
        self.tell(|| format!("{id}: {change:?}"));
        let now = self.now;
        let Some(of) = self.clouds.get_mut(cloud) else {
            return;
        };
        let next = of.change(id, change, &mut self.luck, now);
        let is_alive = of.machines.get(id).is_some_and(Machine::is_alive);
        let runs = of.machines.get(id).map(|it| it.state) == Some(InstanceState::Running);
        if !runs {
            self.runs.remove(id);
        }
        if change == Change::Ended && !is_alive {
            self.lifecycles = self.lifecycles.saturating_add(1);
            self.money.ended(id, now);
        }
        if let Some((after, change)) = next {
            self.will(after, cloud, id, change);
        }
    }

    /// A launch reaches its cloud: it asks for what it asked for before, if it did.
    pub(crate) fn judge_launch(&mut self, request: &LaunchRequest) {
        let request = LaunchRequest {
            limit: Duration::ZERO,
            ..request.clone()
        };
        if let Some(before) = self.asked.get(&request.launch)
            && *before != request
        {
            let words = format!("{} asks for something else with the same token", request.launch);
            return self.violate(Rule::Record, words);
        }
        self.asked.insert(request.launch, request);
    }

    /// A machine was made.
    pub(crate) fn made(&mut self, (cloud, id): (&'static str, &str), request: &LaunchRequest) {
        let (builder, now) = (request.builder, self.now);
        self.money.made((cloud, id), builder, &request.offering, now);
        let mut lines = request.user_data.lines();
        let given = lines.find_map(|line| line.trim().strip_prefix("ed25519_public: "));
        let given = given.and_then(|key| HostKey::parse(key).ok());
        let makes_its_own = given.is_none() && self.told_keys.contains(&request.pool);
        let own = || ClientKey::generate("machine").and_then(|key| key.host_key());
        let key = given.or_else(|| makes_its_own.then(own)?.ok());
        let Some(shown) = key else {
            return self.violate(Rule::Record, format!("{id} is made without a host key"));
        };
        let told_at = makes_its_own.then(|| now.saturating_add(self.luck.seconds(10, 45)));
        self.keys.insert(
            id.to_owned(),
            Keys {
                set_up: 0,
                shown,
                made: None,
                told_at,
            },
        );
        self.judge_machines(&request.pool);
    }

    /// No pool has more machines than it may.
    fn judge_machines(&mut self, pool: &PoolName) {
        let of_pool = |(id, it): &(&String, &Machine)| {
            let is_its = it.tags.as_ref().is_some_and(|tags| tags.pool == *pool);
            it.is_alive() && is_its && !self.strays.contains(*id)
        };
        let machines = self.clouds.values().flat_map(|it| &it.machines).filter(of_pool);
        let (count, most) = (machines.count(), self.most.get(pool).copied().unwrap_or(0));
        if count > most {
            let words = format!("{count} machines of pool {pool}, which may have {most}");
            self.violate(Rule::AboveMax, words);
        }
    }

    /// Whether the worker of an allocation lives and was heard of, by clocks that agree.
    fn is_heard(&self, epoch: Epoch) -> bool {
        let within = |at: Duration, limit| self.now.saturating_sub(at) < limit;
        let agree = !self.clocks_wrong_at.is_some_and(|at| within(at, WRONG_FOR));
        agree && self.heard.get(&epoch).is_some_and(|at| within(*at, HEARD_WITHIN))
    }

    /// A life of a controller asks a cloud for a builder's machine, or for its end: no hook runs that comes before.
    pub(crate) fn judge_hooks(&mut self, builder: BuilderId, before: HookPoint, life: u64) {
        if self.tries.running(builder, life) == Some(before) {
            let words = format!("hook {before} of {builder} runs on while its cloud is called");
            self.violate(Rule::Hook, words);
        }
    }

    /// A cloud is told to end a machine by a life of a controller: it is ours, and nobody builds there. What is forgotten there has
    /// ended.
    pub(crate) fn judge_end(&mut self, id: &str, life: u64) {
        let Some(machine) = self.clouds.values().find_map(|it| it.machines.get(id)) else {
            return;
        };
        let is_good = machine.answers(self.now) && !machine.is_sick;
        let Some(builder) = machine.tags.as_ref().map(|tags| tags.builder) else {
            return self.violate(Rule::Stranger, format!("{id} is not ours, and is to be ended"));
        };
        self.judge_hooks(builder, HookPoint::BeforeTerminate, life);
        if is_good && self.now < self.network_away_until {
            let ended = self.ended_in_outage.entry(self.outages).or_default();
            ended.insert(builder);
        }
        let Some(run) = self.runs.get(id) else { return };
        if self.is_heard(run.epoch) && !self.unwanted.contains(&builder) {
            let words = format!("{id} is to be ended, on which attempt {} runs", run.attempt);
            self.violate(Rule::BusyKill, words);
        }
    }

    /// An allocation was taken from a worker that lives.
    pub(crate) fn judge_lost(&mut self, epoch: Epoch, (builder, instance): (BuilderId, &str)) {
        let runs = self
            .runs
            .get(instance)
            .is_some_and(|run| run.epoch == epoch && self.now < run.ends_at);
        if runs && self.is_heard(epoch) && !self.unwanted.contains(&builder) {
            let words = format!("allocation {epoch} is taken away, which runs on {instance}");
            self.violate(Rule::BusyKill, words);
        }
    }

    /// Whether a machine answers, and the network to it is there.
    pub(crate) fn answers(&self, cloud: &str, id: &str) -> Option<&Machine> {
        let machine = self.clouds.get(cloud)?.machines.get(id)?;
        (machine.answers(self.now) && self.now >= self.network_away_until).then_some(machine)
    }

    /// Who answers at an address.
    pub(crate) fn at(&self, address: &str) -> Option<Answering> {
        self.clouds.iter().find_map(|(cloud, of)| {
            let (cloud, machines) = (*cloud, &of.machines);
            let has = |(_, it): &(&String, &Machine)| it.address.as_deref() == Some(address);
            let (id, _) = machines
                .iter()
                .filter(has)
                .find(|(id, _)| self.answers(cloud, id).is_some())?;
            let machine = self.answers(cloud, id)?;
            let keys = self.keys.get(id).filter(|_| machine.key.is_some());
            Some(Answering {
                cloud,
                id: id.clone(),
                starts: machine.starts,
                key: keys.map(|keys| keys.shown.clone()),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use sim::cloud::Tags;

    use super::*;

    const EPOCH: Epoch = Epoch(7);

    /// A machine of a builder that builds, and whose worker was heard so long ago.
    fn at_work(seconds: u64) -> (All, String) {
        let outside = Outside::new(1, Some(&BTreeSet::new()), false);
        let mut all = Arc::try_unwrap(outside).unwrap().0.into_inner().unwrap();
        all.now = Duration::from_secs(1000);
        let id = |number| uuid::Uuid::from_u128(number);
        let tags = Tags {
            pool: "x86".parse().unwrap(),
            builder: BuilderId(id(1)),
            launch: LaunchId(id(2)),
        };
        let All {
            clouds, luck, now, ..
        } = &mut all;
        let of = clouds.get_mut("near").unwrap();
        let instance = of.make(Some(tags), luck, *now);
        all.change("near", &instance, Change::Runs);
        let run = Run {
            attempt: AttemptId(id(3)),
            epoch: EPOCH,
            starts: 0,
            ends_at: Duration::from_secs(2000),
        };
        all.runs.insert(instance.clone(), run);
        let heard = all.now.saturating_sub(Duration::from_secs(seconds));
        all.heard.insert(EPOCH, heard);
        (all, instance)
    }

    fn broken(all: &All) -> Option<Rule> {
        all.violation.as_ref().map(|it| it.rule)
    }

    #[test]
    fn to_end_or_take_away_what_builds_breaks_a_rule_unless_its_worker_is_silent_or_an_operator_wants_it() {
        let builder = BuilderId(uuid::Uuid::from_u128(1));
        for (heard, is_unwanted, expected) in [
            (10, false, Some(Rule::BusyKill)),
            (59, false, Some(Rule::BusyKill)),
            (60, false, None),
            (10, true, None),
        ] {
            for is_end in [true, false] {
                let (mut all, id) = at_work(heard);
                if is_unwanted {
                    all.unwanted.insert(builder);
                }
                if is_end {
                    all.judge_end(&id, 1);
                } else {
                    all.judge_lost(EPOCH, (builder, &id));
                }
                assert_eq!(broken(&all), expected, "{heard} {is_unwanted} {is_end}");
            }
        }
        let (mut all, id) = at_work(10);
        all.change("near", &id, Change::Dies);
        all.judge_end(&id, 1);
        all.judge_lost(EPOCH, (builder, &id));
        assert_eq!(broken(&all), None, "nothing runs on what has died");
    }

    #[test]
    fn a_strangers_machine_is_not_to_be_ended_and_a_pool_has_no_more_than_it_may() {
        let (mut all, id) = at_work(100);
        let pool = "x86".parse().unwrap();
        all.most.insert("x86".parse().unwrap(), 1);
        all.judge_machines(&pool);
        assert_eq!(broken(&all), None);
        all.most.insert("x86".parse().unwrap(), 0);
        all.strays.insert(id.clone());
        all.judge_machines(&pool);
        assert_eq!(broken(&all), None, "no launch made it");
        all.strays.clear();
        all.judge_machines(&pool);
        assert_eq!(broken(&all), Some(Rule::AboveMax));
        all.violation = None;
        let All {
            clouds, luck, now, ..
        } = &mut all;
        let foreign = clouds.get_mut("far").unwrap().make(None, luck, *now);
        all.judge_end(&foreign, 1);
        assert_eq!(broken(&all), Some(Rule::Stranger));
    }
}
