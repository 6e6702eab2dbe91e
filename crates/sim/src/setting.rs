//! What a seed's world consists of: its fleet file and the changes of it, its deadlines, and what is to be built.

use std::{
    collections::{BTreeMap, BTreeSet},
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use model::{
    ChrootName, Market, PoolName, Sandbox,
    builder::Deadlines,
    drift::Recipe,
    fleet::{
        CapsSpec, DriftSpec, HoldSpec, HookSpec, HooksSpec, HostKeySource, LaunchSpec, OfferingSpec,
        OnFailure, PoolSpec, ReuseScope, ReuseSpec, ShrinkSpec, SizeSpec, SkipIf,
    },
    name::{OwnerName, ProjectName},
    quantity::{Share, Span},
};

use crate::luck::Luck;

/// The clouds by name.
pub(crate) const CLOUDS: [&str; 2] = ["near", "far"];
/// The chroot that no pool offers.
const NOWHERE: &str = "microdistro-1-s390x";
const ARCHITECTURES: [&str; 4] = ["x86_64", "x86_64", "x86_64", "aarch64"];
const OWNERS: [&str; 3] = ["alice", "bob", "carol"];

/// A fleet file in force.
#[derive(Clone, Debug, Default)]
pub(crate) struct File {
    pub(crate) pools: BTreeMap<PoolName, PoolOfFile>,
    pub(crate) hooks: HooksSpec,
    pub(crate) caps: CapsSpec,
}

/// A pool of it.
#[derive(Clone, Debug)]
pub(crate) struct PoolOfFile {
    pub(crate) spec: PoolSpec,
    pub(crate) cloud: &'static str,
    /// What its builders are made from: the version of the image, of how they are provisioned, of the programs, and of a chroot.
    pub(crate) made_from: [u32; 4],
}

impl PoolOfFile {
    /// What its builders are made from, as the text that the database keeps.
    pub(crate) fn recipe(&self) -> String {
        self.made_now().to_string()
    }

    /// The same, to compare builders with. Of its chroots one is changed, and another stays as it is.
    pub(crate) fn made_now(&self) -> Recipe {
        let [image, provision, programs, chroot] = self.made_from.map(|version| format!("{version:010}"));
        let names = ARCHITECTURES.map(|it| word::<ChrootName>(&format!("microdistro-1-{it}")));
        let offered = names.into_iter().filter(|name| self.spec.offers(name));
        let mut chroots: BTreeMap<_, _> = offered.map(|name| (name, chroot.clone())).collect();
        chroots.insert(word(NOWHERE), "always".to_owned());
        Recipe {
            image,
            provision,
            files: String::new(),
            programs,
            chroots,
            first_version: None,
        }
    }
}

/// One build chroot that is wanted.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) chroot: ChrootName,
    pub(crate) owner: OwnerName,
    pub(crate) sandbox: Option<Sandbox>,
    pub(crate) is_background: bool,
}

/// All that a seed says of its world beside the faults.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    /// The file at the beginning. The changes of it end with one that has all of its pools.
    pub(crate) file: File,
    pub(crate) deadlines: Deadlines,
    /// How many build chroots are wanted in all.
    pub(crate) builds: u32,
    /// When nothing goes wrong any more.
    pub(crate) calm_at: Duration,
    /// How long a build takes at most, in seconds.
    pub(crate) longest_build: u64,
    /// How long a cloud shows what has ended.
    pub(crate) shown_for: Duration,
    /// How many machines an account may have.
    pub(crate) quota: usize,
}

impl Setting {
    /// A small one: a pool of two builders, which are used again, and a few builds.
    pub(crate) fn small(luck: &mut Luck) -> Self {
        let mut pool = pool(luck, "x86_64");
        pool.spec.size = SizeSpec {
            min: 0,
            max: 2,
            idle: Share::Count(1),
            idle_cap: None,
        };
        pool.spec.launch = LaunchSpec::default();
        pool.spec.reuse = ReuseSpec {
            scope: ReuseScope::Sandbox,
            max_uses: 3,
            ..ReuseSpec::default()
        };
        Self {
            file: File {
                pools: [(word("main"), pool)].into(),
                hooks: HooksSpec::default(),
                caps: CapsSpec::default(),
            },
            deadlines: Deadlines::default(),
            builds: 6,
            calm_at: Duration::from_secs(400),
            longest_build: 20,
            shown_for: Duration::from_secs(600),
            quota: 10,
        }
    }

    /// The same with a hook at every turn, and with machines of the spot market.
    pub(crate) fn with_hooks_and_spot(mut self) -> Self {
        let hook = || vec![hook(OnFailure::Retry, 3, 20)];
        self.file.hooks = HooksSpec {
            before_spawn: hook(),
            after_spawn: hook(),
            after_ready: hook(),
            before_terminate: hook(),
            after_terminate: hook(),
        };
        for line in self.file.pools.values_mut().flat_map(|it| &mut it.spec.offerings) {
            line.market = Market::Spot;
        }
        self
    }

    pub(crate) fn of(luck: &mut Luck) -> Self {
        let mut pools = BTreeMap::new();
        for name in ["main", "more", "other"]
            .into_iter()
            .take(usize::try_from(luck.count(1, 3)).unwrap_or(1))
        {
            let architecture = if name == "other" { "aarch64" } else { "x86_64" };
            pools.insert(word(name), pool(luck, architecture));
        }
        let (hooks, caps) = (hooks(luck), caps(luck));
        // A farm with little to do has builders that wait for long.
        let is_idle = luck.once_in(3);
        for pool in pools.values_mut().filter(|_| is_idle) {
            pool.spec.size.idle = Share::Count(luck.count(2, 4).min(pool.spec.size.max));
            pool.spec.shrink.idle_for = Span::seconds(1800);
        }
        let most: u32 = pools.values().map(|pool: &PoolOfFile| pool.spec.size.max).sum();
        let builds = if is_idle {
            luck.count(8, 30)
        } else {
            luck.count(60, 200)
        };
        let builds = builds.min(most.saturating_mul(25));
        let default = Deadlines::default();
        let slow = luck.once_in(3);
        let of = |luck: &mut Luck, usual: Duration, least| {
            if slow {
                usual
            } else {
                luck.seconds(least, least * 2)
            }
        };
        Self {
            file: File { pools, hooks, caps },
            deadlines: Deadlines {
                pending: of(luck, default.pending, 90),
                boot: of(luck, default.boot, 60),
                provision: of(luck, default.provision, 120),
                ..default
            },
            builds,
            calm_at: luck.seconds(900, 2400),
            longest_build: luck.pick(&[20, 60, 60, 200]).unwrap_or(60),
            shown_for: luck.seconds(60, 900),
            // Enough for what all pools hold ready; less than all that they may have.
            quota: usize::try_from(luck.count(14, 40)).unwrap_or(14),
        }
    }
}

fn pool(luck: &mut Luck, architecture: &str) -> PoolOfFile {
    let max = luck.count(1, 10);
    let types = ["c7i.xlarge", "c7a.xlarge", "m7i.large"].map(str::to_owned);
    let line = |market, count: u32| OfferingSpec {
        types: types
            .iter()
            .take(usize::try_from(count).unwrap_or(1))
            .cloned()
            .collect(),
        zones: vec![],
        market,
        max_price: None,
        max: None,
        after: None,
    };
    let mut on_demand = line(Market::OnDemand, luck.count(1, 2));
    let offerings = if luck.once_in(2) {
        on_demand.after = luck.once_in(3).then(|| Span::seconds(10 + luck.below(110)));
        on_demand.max = luck.once_in(3).then(|| luck.count(1, 3));
        vec![line(Market::Spot, luck.count(1, 3)), on_demand]
    } else {
        vec![on_demand]
    };
    let spec = PoolSpec {
        labels: [format!("arch:{architecture}")].into(),
        priority: i32::try_from(luck.below(3)).unwrap_or(0),
        paused: false,
        image: Some("builder".to_owned()),
        schedule: Vec::new(),
        hosts: Vec::new(),
        disk: None,
        provision: "builder".to_owned(),
        host_key: HostKeySource::default(),
        size: SizeSpec {
            min: luck.count(0, 2).min(max),
            max,
            idle: Share::Count(luck.count(0, 2).min(max)),
            idle_cap: None,
        },
        launch: LaunchSpec {
            parallel: luck.count(1, 6),
            attempts: luck.count(1, 3),
            rate: None,
        },
        offerings,
        shrink: ShrinkSpec {
            idle_for: Span::seconds(60 + luck.below(300)),
        },
        reuse: reuse(luck),
        drift: DriftSpec {
            budget: luck
                .pick(&[Share::Count(1), Share::Percent(10), Share::Percent(100)])
                .unwrap_or(Share::Count(1)),
            urgent_on: BTreeSet::new(),
            when: None,
        },
        hold: HoldSpec::default(),
    };
    PoolOfFile {
        spec,
        cloud: luck.pick(&CLOUDS).unwrap_or("near"),
        made_from: [1; 4],
    }
}

/// A hook with so many tries, of so many seconds each.
pub(crate) fn hook(on_failure: OnFailure, attempts: u32, timeout: u64) -> HookSpec {
    HookSpec {
        cmd: vec!["/hook".to_owned()],
        timeout: Span::seconds(timeout),
        on_failure,
        attempts,
        skip_if: None,
        pools: Vec::new(),
    }
}

/// Those of a fleet file; one of two has none.
fn hooks(luck: &mut Luck) -> HooksSpec {
    let mut hooks = HooksSpec::default();
    if luck.once_in(2) {
        return hooks;
    }
    let lists = [
        (&mut hooks.before_spawn, 120),
        (&mut hooks.after_spawn, 300),
        (&mut hooks.after_ready, 300),
        (&mut hooks.before_terminate, 30),
        (&mut hooks.after_terminate, 300),
    ];
    for (list, longest) in lists {
        for _ in 0..luck.count(0, 2) {
            let on_failure = luck.pick(&[OnFailure::Ignore, OnFailure::Retry]);
            let mut hook = hook(
                on_failure.unwrap_or_default(),
                luck.count(1, 4),
                1 + luck.below(longest),
            );
            let is_left_out = longest == 30 && luck.once_in(2);
            hook.skip_if = is_left_out.then_some(SkipIf::Unreachable);
            if luck.once_in(4) {
                hook.pools = vec![word("main")];
            }
            list.push(hook);
        }
    }
    hooks
}

/// How many builders an owner may have; two of three files have no limit.
fn caps(luck: &mut Luck) -> CapsSpec {
    let owner = luck.once_in(3).then(|| luck.count(1, 6));
    CapsSpec { owner }
}

/// A number of builders, or as many as there may be.
fn at_most(share: Share, max: u32) -> Share {
    match share {
        Share::Count(count) => Share::Count(count.min(max)),
        part @ Share::Percent(_) => part,
    }
}

fn reuse(luck: &mut Luck) -> ReuseSpec {
    if luck.once_in(2) {
        return ReuseSpec::default();
    }
    ReuseSpec {
        scope: ReuseScope::Sandbox,
        idle_for: Span::seconds(30 + luck.below(90)),
        max_uses: luck.count(2, 6),
        max_age: Span::seconds(300 + luck.below(1500)),
    }
}

/// A build chroot that somebody wants.
pub(crate) fn wanted(luck: &mut Luck) -> Wanted {
    let architecture = luck.pick(&ARCHITECTURES).unwrap_or("x86_64");
    let chroot = if luck.once_in(200) {
        word(NOWHERE)
    } else {
        word(&format!("microdistro-1-{architecture}"))
    };
    let owner: OwnerName = word(luck.pick(&OWNERS).unwrap_or("alice"));
    let submitter: OwnerName = word(luck.pick(&OWNERS).unwrap_or("alice"));
    let project: ProjectName = word(luck.pick(&["one", "two"]).unwrap_or("one"));
    let sandbox = (!luck.once_in(20)).then(|| Sandbox::new(&owner, &project, &submitter));
    Wanted {
        chroot,
        owner,
        sandbox,
        is_background: luck.once_in(10),
    }
}

/// Another file: one thing of it has changed.
pub(crate) fn changed(file: &File, whole: &File, luck: &mut Luck) -> Arc<File> {
    let mut next = file.clone();
    if luck.once_in(8) {
        next.hooks = hooks(luck);
        return Arc::new(next);
    }
    if luck.once_in(8) {
        next.caps = caps(luck);
        return Arc::new(next);
    }
    let names: Vec<PoolName> = whole.pools.keys().cloned().collect();
    let Some(name) = luck.pick(&names) else {
        return Arc::new(next);
    };
    if let (None, Some(pool)) = (next.pools.get(&name), whole.pools.get(&name)) {
        next.pools.insert(name, pool.clone());
        return Arc::new(next);
    }
    if luck.once_in(6) {
        next.pools.remove(&name);
        return Arc::new(next);
    }
    let Some(pool) = next.pools.get_mut(&name) else {
        return Arc::new(next);
    };
    let (part, max) = (luck.below(4), luck.count(1, 10));
    match luck.below(4) {
        0 => {
            let size = &mut pool.spec.size;
            (size.max, size.min, size.idle) = (max, size.min.min(max), at_most(size.idle, max));
        }
        1 => pool.spec.reuse = reuse(luck),
        2 => pool.spec.launch.parallel = luck.count(1, 6),
        _ => {
            if let Some(version) = usize::try_from(part)
                .ok()
                .and_then(|part| pool.made_from.get_mut(part))
            {
                *version = version.saturating_add(1);
            }
        }
    }
    Arc::new(next)
}

/// The file with all pools of the first one: those that are left as they are by now. Nobody is limited.
pub(crate) fn completed(file: &File, whole: &File) -> Arc<File> {
    let mut next = file.clone();
    next.caps = CapsSpec::default();
    for (name, pool) in &whole.pools {
        next.pools.entry(name.clone()).or_insert_with(|| pool.clone());
    }
    Arc::new(next)
}

/// A name that is known to be one.
pub(crate) fn word<T: FromStr>(text: &str) -> T {
    let Ok(word) = text.parse() else {
        unreachable!("`{text}` is a good name")
    };
    word
}

/// Whether some pool offers a chroot.
pub(crate) fn is_offered(file: &File, chroot: &ChrootName) -> bool {
    file.pools.values().any(|pool| pool.spec.offers(chroot))
}

#[cfg(test)]
mod tests {
    use model::Drift;

    use super::*;

    #[test]
    fn every_seed_has_a_fleet_that_a_fleet_file_could_describe() {
        for seed in 0..200 {
            let mut luck = Luck::of(seed);
            let setting = Setting::of(&mut luck);
            assert!(!setting.file.pools.is_empty());
            for pool in setting.file.pools.values() {
                let size = &pool.spec.size;
                assert!(
                    size.max >= 1 && size.min <= size.max && size.idle == at_most(size.idle, size.max),
                    "{size:?}"
                );
                assert!(!pool.spec.offerings.is_empty() && CLOUDS.contains(&pool.cloud));
            }
            assert!(is_offered(&setting.file, &word("microdistro-1-x86_64")));
            assert!(!is_offered(&setting.file, &word(NOWHERE)));
        }
    }

    #[test]
    fn a_changed_file_differs_in_one_pool_and_a_completed_one_has_all() {
        let mut luck = Luck::of(5);
        let whole = Setting::of(&mut luck).file;
        let mut file = Arc::new(whole.clone());
        let (mut removed, mut drifted, mut limited) = (false, false, false);
        for _ in 0..200 {
            let next = changed(&file, &whole, &mut luck);
            let differ = whole.pools.keys().filter(|name| {
                let [a, b] = [&file, &next].map(|file| file.pools.get(*name));
                a.map(|it| (&it.spec, it.made_from)) != b.map(|it| (&it.spec, it.made_from))
            });
            assert!(differ.count() <= 1);
            limited |= next.caps.owner.is_some();
            removed |= next.pools.len() < whole.pools.len();
            for (name, pool) in &next.pools {
                let first = whole.pools[name].recipe();
                let outdated = pool.made_now().outdated(&first, &BTreeSet::new());
                drifted |= outdated.is_some_and(|it| it.drift != Drift::Unknown);
            }
            file = next;
        }
        assert!(removed && drifted && limited);
        assert_eq!(completed(&file, &whole).caps, CapsSpec::default());
        assert_eq!(completed(&file, &whole).pools.len(), whole.pools.len());
    }

    #[test]
    fn builds_are_of_several_owners_chroots_and_sandboxes() {
        let mut luck = Luck::of(9);
        let all: Vec<Wanted> = (0..500).map(|_| wanted(&mut luck)).collect();
        let count = |is: &dyn Fn(&Wanted) -> bool| all.iter().filter(|it| is(it)).count();
        assert!(count(&|it| it.sandbox.is_none()) > 5);
        assert!(count(&|it| it.is_background) > 20);
        assert!(count(&|it| it.chroot.architecture() == "aarch64") > 50);
        assert!(count(&|it| it.chroot.as_str() == NOWHERE) > 0);
    }
}
