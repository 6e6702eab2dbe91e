//! The fleet file of a world: what it says, and how people change it while controllers work by it.

use std::{collections::BTreeMap, fmt::Write as _};

use model::fleet::FleetSpec;
use sim::luck::Luck;

use crate::{
    door::FLEET,
    hosts::{RACK, host},
    money::{PRICES, price},
    outside::CLOUDS,
};

/// The pools that there may be.
const POOLS: [&str; 2] = ["main", "more"];
/// The turns of hooks, and for how long a hook of each may run at most, in seconds.
const TURNS: [(&str, u64); 5] = [
    ("before_spawn", 120),
    ("after_spawn", 300),
    ("after_ready", 300),
    ("before_terminate", 30),
    ("after_terminate", 300),
];
/// The hour of UTC at which worlds begin.
const HOUR: u32 = 8;

/// What the file says, in the parts that change.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct File {
    timeouts: String,
    /// The version of each cloud's image, and of how machines are made builders.
    images: BTreeMap<&'static str, u32>,
    provision: u32,
    /// What each cloud may cost in a day, where that is limited.
    limits: BTreeMap<&'static str, u32>,
    pools: BTreeMap<&'static str, Pool>,
    /// How many builders one owner may have, where that is limited.
    cap: Option<u32>,
    /// The lines below `hooks`.
    hooks: String,
    /// Whether clouds that no pool uses are left out.
    is_short: bool,
    /// Whether there is a mistake in it.
    is_broken: bool,
}

/// A pool of it.
#[derive(Clone, Debug, PartialEq)]
struct Pool {
    cloud: &'static str,
    priority: u64,
    /// `min`, `max` and `idle`.
    size: [u32; 3],
    /// `parallel` and `attempts`.
    launch: [u32; 2],
    is_spot: bool,
    /// The most machines of the last line of its offerings, and for how many seconds it is asked for after others were refused.
    last_line: Option<(u32, u64)>,
    is_paused: bool,
    /// When builders are replaced that are made otherwise.
    when: &'static str,
    /// Whether its machines make their host keys themselves, and tell them on their consoles.
    is_told_keys: bool,
    /// How many fixed hosts it has instead of machines of a cloud.
    hosts: u32,
    shrink: u64,
    reuse: String,
    schedule: String,
}

impl File {
    /// That with which a world begins. `is_idle`: the farm has little to do, and has builders that wait for long.
    pub(crate) fn of(is_idle: bool, luck: &mut Luck) -> Self {
        let timeouts = if luck.once_in(3) {
            String::new()
        } else {
            let (pending, boot, play) = (luck.count(90, 180), luck.count(60, 120), luck.count(120, 240));
            format!("pending: {pending}s, boot: {boot}s, provision: {play}s")
        };
        let count = 1 + usize::from(luck.once_in(2));
        let pools = POOLS.into_iter().take(count);
        let pools = pools.map(|name| (name, Pool::of(is_idle, luck)));
        let mut pools: BTreeMap<_, _> = pools.collect();
        if luck.once_in(3) {
            pools.insert(RACK, Pool::of_hosts(luck));
        }
        Self {
            timeouts,
            images: CLOUDS.into_iter().map(|name| (name, 1)).collect(),
            provision: 1,
            limits: limits(luck),
            pools,
            cap: cap(luck),
            hooks: hooks(luck),
            is_short: luck.once_in(2),
            is_broken: false,
        }
    }

    /// Another one: one thing of it has changed. `whole`: the one with which the world began, whose pools come back.
    pub(crate) fn changed(&self, whole: &Self, luck: &mut Luck) -> Self {
        let mut next = self.clone();
        next.is_broken = luck.once_in(10);
        if next.is_broken {
            return next;
        }
        let Some(name) = luck.pick(&whole.pools.keys().copied().collect::<Vec<_>>()) else {
            return next;
        };
        match luck.below(12) {
            11 => next.cap = cap(luck),
            10 => next.is_short = !next.is_short,
            0 => next.hooks = hooks(luck),
            1 => next.limits = limits(luck),
            2 => next.provision = next.provision.saturating_add(1),
            3 => {
                let cloud = luck.pick(&CLOUDS).unwrap_or("near");
                let version = next.images.entry(cloud).or_default();
                *version = version.saturating_add(1);
            }
            4 if next.pools.len() > 1 => drop(next.pools.remove(name)),
            _ => {
                if let Some(pool) = next.pools.get_mut(name) {
                    pool.change(luck);
                } else if let Some(pool) = whole.pools.get(name) {
                    next.pools.insert(name, pool.clone());
                }
            }
        }
        next
    }

    /// It without mistakes, limits of money and caps, with all clouds, and with all pools open: those that are left as they are by now.
    pub(crate) fn completed(&self, whole: &Self) -> Self {
        let mut next = self.clone();
        (next.is_broken, next.is_short, next.limits) = (false, false, BTreeMap::new());
        next.cap = None;
        for (name, pool) in &whole.pools {
            let pool = next.pools.entry(name).or_insert_with(|| pool.clone());
            let [_, max, _] = &mut pool.size;
            *max = (*max).max(1);
            pool.is_paused = false;
        }
        next
    }

    /// The clouds that it names; it has one in any case.
    fn clouds(&self) -> Vec<&'static str> {
        let is_used = |name: &&str| {
            let mut pools = self.pools.values();
            pools.any(|pool| pool.hosts == 0 && pool.cloud == *name)
        };
        let used: Vec<_> = CLOUDS.into_iter().filter(is_used).collect();
        match (self.is_short, used.is_empty()) {
            (true, false) => used,
            _ => CLOUDS.to_vec(),
        }
    }

    /// How many fixed hosts there are.
    pub(crate) fn hosts(&self) -> u32 {
        self.pools.values().map(|pool| pool.hosts).sum()
    }

    /// The id of the image of which builders in a cloud are made.
    pub(crate) fn image(&self, cloud: &str) -> String {
        format!("ami-{}", self.images.get(cloud).copied().unwrap_or_default())
    }

    /// What a cloud may cost in a day, in millionths; `None`: as much as it does.
    pub(crate) fn limit(&self, cloud: &str) -> Option<u64> {
        self.limits.get(cloud).map(|limit| u64::from(*limit) * 1_000_000)
    }

    /// The file, as a controller reads it; the error is what it tells operators.
    pub(crate) fn read(&self) -> Result<FleetSpec, String> {
        runtime::yaml::parse(&self.text(), "fleet.yaml").map_err(|error| error.to_string())
    }

    /// All of it as text.
    pub(crate) fn text(&self) -> String {
        let (timeouts, provision) = (&self.timeouts, self.provision);
        let mut text = format!(
            "schema: 1\nfleet: {FLEET}\nname: storm\n\
             controller: {{tick: {{min: 4s, max: 30s}}, lease: {{ttl: 15s, renew: 5s}}}}\n\
             provision:\n  base: {{timeouts: {{{timeouts}}}, vars: {{edition: {provision}}}}}\nclouds:\n"
        );
        let mut images = String::from("images:\n");
        let prices = PRICES.map(|(kind, [on_demand, spot])| {
            format!(
                "{kind}: {{on-demand: {}, spot: {}}}",
                price(on_demand),
                price(spot)
            )
        });
        // Writing to a text cannot fail.
        for name in self.clouds() {
            writeln!(
                text,
                "  {name}:\n    kind: ec2\n    region: r\n    endpoint: 'http://{name}'\n    credentials: {{source: environment}}\n    \
                 prices: {{{}}}",
                prices.join(", ")
            )
            .ok();
            if let Some(limit) = self.limits.get(name) {
                writeln!(text, "    limits: {{money: {{per_day: {limit}}}}}").ok();
            }
            writeln!(images, "  {name}: {{cloud: {name}, id: {}}}", self.image(name)).ok();
        }
        text.push_str(&images);
        text.push_str("pools:\n");
        for (name, pool) in &self.pools {
            text.push_str(&pool.text(name));
        }
        if let Some(cap) = self.cap {
            writeln!(text, "fairness: {{caps: {{owner: {cap}}}}}").ok();
        }
        if !self.hooks.is_empty() {
            write!(text, "hooks:\n{}", self.hooks).ok();
        }
        if self.is_broken {
            text.push_str("pool: {}\n");
        }
        text
    }
}

impl Pool {
    fn of(is_idle: bool, luck: &mut Luck) -> Self {
        let max = luck.count(if is_idle { 4 } else { 1 }, 10);
        let idle = if is_idle {
            luck.count(3, 5)
        } else {
            luck.count(0, 2)
        };
        Self {
            cloud: luck.pick(&CLOUDS).unwrap_or("near"),
            priority: luck.below(3),
            size: [luck.count(0, 2).min(max), max, idle.min(max)],
            launch: [luck.count(1, 6), luck.count(1, 3)],
            is_spot: luck.once_in(2),
            last_line: last_line(luck),
            is_paused: false,
            when: when(luck),
            is_told_keys: luck.once_in(4),
            hosts: 0,
            shrink: if is_idle { 1800 } else { 30 + luck.below(200) },
            reuse: reuse(luck),
            schedule: schedule(max, luck),
        }
    }

    fn of_hosts(luck: &mut Luck) -> Self {
        let hosts = luck.count(1, 3);
        Self {
            size: [0, hosts, luck.count(0, hosts)],
            is_spot: false,
            is_told_keys: false,
            hosts,
            reuse: "never".to_owned(),
            schedule: String::new(),
            ..Self::of(false, luck)
        }
    }

    /// One thing of it becomes another.
    fn change(&mut self, luck: &mut Luck) {
        match luck.below(11) {
            8 if self.hosts == 0 => self.last_line = last_line(luck),
            9 => self.is_paused = !self.is_paused,
            10 => self.when = when(luck),
            0 | 1 => {
                let most = if self.hosts > 0 { self.hosts } else { 10 };
                let max = luck.count(0, most);
                let [min, _, idle] = self.size;
                self.size = [min.min(max), max, idle.min(max)];
                self.schedule = schedule(max, luck);
            }
            2 if self.hosts == 0 => self.reuse = reuse(luck),
            3 => self.launch = [luck.count(1, 6), luck.count(1, 3)],
            4 => self.is_spot = !self.is_spot,
            5 => self.cloud = luck.pick(&CLOUDS).unwrap_or("near"),
            6 if self.hosts == 0 => self.is_told_keys = !self.is_told_keys,
            _ => self.shrink = 30 + luck.below(200),
        }
    }

    fn text(&self, name: &str) -> String {
        let Self {
            cloud,
            priority,
            size: [min, max, idle],
            launch: [parallel, attempts],
            shrink,
            reuse,
            schedule,
            ..
        } = self;
        let on_demand = match (self.last_line, self.is_spot) {
            (Some((most, after)), true) => format!("{{types: [a, b], max: {most}, after: {after}s}}"),
            // The only one has no others before it, and `min` has to be possible.
            (Some((most, _)), false) => format!("{{types: [a, b], max: {}}}", most.max(*min)),
            (None, _) => "{types: [a, b]}".to_owned(),
        };
        let (paused, when) = (self.is_paused, self.when);
        let hosts = (1..=self.hosts).map(|nth| {
            let [name, address] = host(nth);
            format!("{{name: {name}, address: {address}}}")
        });
        let host_key = if self.is_told_keys { "console" } else { "user-data" };
        let made_of = match (self.hosts, self.is_spot) {
            (0, true) => {
                format!("image: {cloud}\n    offerings: [{{types: [a], market: spot}}, {on_demand}]")
            }
            (0, false) => format!("image: {cloud}\n    offerings: [{on_demand}]"),
            _ => format!("hosts: [{}]", hosts.collect::<Vec<_>>().join(", ")),
        };
        format!(
            "  {name}:\n    labels: ['arch:x86_64']\n    {made_of}\n    provision: base\n    priority: {priority}\n    \
             size: {{min: {min}, max: {max}, idle: {idle}}}\n    launch: {{parallel: {parallel}, attempts: {attempts}}}\n    \
             host_key: {host_key}\n    shrink: {{idle_for: {shrink}s}}\n    reuse: {{scope: {reuse}}}\n    \
             schedule: [{schedule}]\n    paused: {paused}\n    drift: {{{when}}}\n"
        )
    }
}

/// One of three files has one.
fn cap(luck: &mut Luck) -> Option<u32> {
    luck.once_in(3).then(|| luck.count(1, 5))
}

fn last_line(luck: &mut Luck) -> Option<(u32, u64)> {
    luck.once_in(3).then(|| (luck.count(1, 4), luck.below(120)))
}

/// Half an hour of the world's first one, now and then.
fn when(luck: &mut Luck) -> &'static str {
    if luck.once_in(4) {
        "when: {hours: '08:05-08:30'}"
    } else {
        ""
    }
}

fn reuse(luck: &mut Luck) -> String {
    if luck.once_in(2) {
        return "never".to_owned();
    }
    let (idle_for, uses, age) = (30 + luck.below(90), luck.count(2, 6), 300 + luck.below(1500));
    format!("sandbox, idle_for: {idle_for}s, max_uses: {uses}, max_age: {age}s")
}

/// Times at which a pool has another size, one of two in the first minutes of the world; two of three pools have none.
fn schedule(max: u32, luck: &mut Luck) -> String {
    if !luck.once_in(3) {
        return String::new();
    }
    let lines = (0..luck.count(1, 2)).map(|_| {
        let (from, lasts) = (luck.count(0, 12), luck.count(1, 20));
        let (min, idle) = (luck.count(0, 2).min(max), luck.count(0, 3).min(max));
        let (zone, hour) = if luck.once_in(2) {
            ("UTC", HOUR)
        } else {
            ("Europe/Prague", HOUR + 1)
        };
        let to = from + lasts;
        format!("{{hours: '{hour:02}:{from:02}-{hour:02}:{to:02}', zone: {zone}, min: {min}, idle: {idle}}}")
    });
    lines.collect::<Vec<_>>().join(", ")
}

/// What clouds may cost; three of four are not limited.
fn limits(luck: &mut Luck) -> BTreeMap<&'static str, u32> {
    let mut limited = BTreeMap::new();
    for name in CLOUDS {
        if luck.once_in(4) {
            limited.insert(name, luck.count(3, 12));
        }
    }
    limited
}

/// Hooks; one of two files has none.
fn hooks(luck: &mut Luck) -> String {
    let mut text = String::new();
    if luck.once_in(2) {
        return text;
    }
    for (turn, longest) in TURNS {
        let hooks = (0..luck.count(0, 2)).map(|_| hook(turn, longest, luck));
        let hooks: Vec<String> = hooks.collect();
        if !hooks.is_empty() {
            // Writing to a text cannot fail.
            writeln!(text, "  {turn}: [{}]", hooks.join(", ")).ok();
        }
    }
    text
}

fn hook(turn: &str, longest: u64, luck: &mut Luck) -> String {
    let on_failure = luck.pick(&["ignore", "retry"]).unwrap_or("ignore");
    let (attempts, timeout) = (luck.count(1, 4), 1 + luck.below(longest));
    let skip = match turn == "before_terminate" && luck.once_in(2) {
        true => ", skip_if: unreachable",
        false => "",
    };
    let pools = if luck.once_in(4) { ", pools: [main]" } else { "" };
    format!(
        "{{cmd: [/hook], on_failure: {on_failure}, attempts: {attempts}, timeout: {timeout}s{skip}{pools}}}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_and_every_change_of_it_is_one_that_a_controller_takes_or_has_a_mistake() {
        let (mut broken, mut without_a_pool, mut without_a_cloud) = (0, 0, 0);
        for seed in 0..20 {
            let mut luck = Luck::of(seed);
            let whole = File::of(luck.once_in(3), &mut luck);
            let mut file = whole.clone();
            for _ in 0..30 {
                match file.read() {
                    Ok(read) => {
                        assert!(!file.is_broken, "{seed}: {}", file.text());
                        assert_eq!(read.pools.len(), file.pools.len());
                        without_a_pool += usize::from(read.pools.len() < whole.pools.len());
                        without_a_cloud += usize::from(read.clouds.len() < CLOUDS.len());
                        // A hook may be of a pool that is gone for a while.
                        let mut mistakes = read.contradictions();
                        mistakes.retain(|it| it.path.first().is_none_or(|key| key != "hooks"));
                        assert_eq!(mistakes, [], "{seed}");
                    }
                    Err(words) => {
                        assert!(file.is_broken && words.contains("pool"), "{seed}: {words}");
                        broken += 1;
                    }
                }
                file = file.changed(&whole, &mut luck);
            }
            let last = file.completed(&whole);
            let read = last.read().unwrap();
            assert_eq!(read.pools.len(), whole.pools.len());
            assert_eq!(read.clouds.len(), CLOUDS.len());
            assert!(read.pools.values().all(|pool| pool.size.max > 0));
            assert!(CLOUDS.iter().all(|cloud| last.limit(cloud).is_none()));
        }
        assert!(
            broken > 20 && without_a_pool > 20 && without_a_cloud > 20,
            "{broken} {without_a_pool} {without_a_cloud} of 600"
        );
    }

    #[test]
    fn every_part_of_a_file_changes_at_some_time() {
        let mut luck = Luck::of(2);
        let whole = File::of(false, &mut luck);
        let mut file = whole.clone();
        for _ in 0..400 {
            file = file.changed(&whole, &mut luck);
        }
        let differs = [
            file.images["near"] > 5,
            file.provision > 20,
            file.image("far").len() > "ami-1".len(),
            (0..200).any(|_| !limits(&mut luck).is_empty()),
            (0..200).any(|_| hooks(&mut luck).contains("skip_if")),
            (0..200).any(|_| schedule(3, &mut luck).contains("Prague")),
            file.cap != whole.cap,
        ];
        assert_eq!(differs, [true; 7]);
        let [one, other] = [&whole, &file].map(|it| it.completed(&whole).pools);
        assert!(one.keys().eq(other.keys()) && one != other);
    }
}
