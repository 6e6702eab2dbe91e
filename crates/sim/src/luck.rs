//! All that happens by chance in a simulated world, from one seed: the faults, how often each strikes, and how long things take.

use std::{collections::BTreeSet, str::FromStr, time::Duration};

macro_rules! faults {
    ($($name:ident = $odds:literal $words:literal,)+) => {
        /// What can go wrong, or comes from outside.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault {
            $(#[doc = $words] $name,)+
        }

        impl Fault {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// How often it strikes in a usual seed, of a million times that it could.
            const fn usual(self) -> u64 {
                match self {
                    $(Self::$name => $odds,)+
                }
            }

            /// What it is, for people.
            #[must_use]
            pub const fn words(self) -> &'static str {
                match self {
                    $(Self::$name => $words,)+
                }
            }
        }
    };
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|fault| format!("{fault:?}") == name);
        let all = || {
            Self::ALL
                .iter()
                .map(|fault| format!("{fault:?}"))
                .collect::<Vec<_>>()
        };
        found
            .copied()
            .ok_or_else(|| format!("there is no fault {name}; there are {}", all().join(", ")))
    }
}

faults! {
    Unreachable = 15_000 "call: the cloud cannot be reached",
    Throttled = 20_000 "call: too many calls",
    Slow = 20_000 "call: the answer takes up to a minute",
    Outage = 400 "cloud: away for minutes",
    Capacity = 100_000 "launch: no capacity of an offering for minutes",
    Quota = 15_000 "launch: the quota is used up",
    Odd = 10_000 "launch: refused with an unknown code",
    ActedUnanswered = 50_000 "launch: done, and the answer lost",
    Unanswered = 30_000 "launch: not done, and no answer",
    ShownLate = 100_000 "launch: the machine is not shown for a minute",
    ListStale = 60_000 "list: an older state of some machines",
    ListPartial = 40_000 "list: half of it",
    ListEmpty = 15_000 "list: empty, with success",
    DescribeFails = 30_000 "describe: fails",
    DescribePartial = 20_000 "describe: not found, though there",
    EndRefused = 30_000 "terminate: refused",
    EndForgotten = 40_000 "terminate: accepted and forgotten",
    EndsSlowly = 40_000 "terminate: takes up to 40 minutes",
    NeverRuns = 20_000 "machine: never runs",
    AddressLate = 40_000 "machine: runs without an address",
    NeverAnswers = 25_000 "machine: SSH never answers",
    BootsSlowly = 50_000 "machine: boots slowly",
    StrangeKey = 15_000 "machine: a strange host key",
    PlayFails = 25_000 "machine: its playbook fails",
    NoBaseline = 20_000 "machine: no fingerprint before its first build",
    Dies = 40_000 "machine: dies",
    TakenBack = 60_000 "machine: taken back by the spot market without a word",
    Stops = 15_000 "machine: stops",
    Residue = 80_000 "builder: a build leaves residue",
    CleanFails = 30_000 "builder: cleaning fails",
    Foreign = 15_000 "stranger: a machine of another fleet",
    Orphan = 15_000 "stranger: a machine with our tag and no builder",
    ControllerKilled = 1_500 "controller: kill -9 beside a write",
    KilledAtCall = 600 "controller: kill -9 beside a call",
    PausedAtCommit = 6_000 "controller: paused between plan and commit",
    PausedAtCall = 400 "controller: paused between commit and call",
    DatabaseAway = 3_000 "database: a write fails",
    CommitUnknown = 3_000 "database: a write is done, and seems to fail",
    WorkerKilled = 15_000 "worker: kill -9",
    WorkerPaused = 10_000 "worker: paused",
    ClockStep = 10_000 "clock: a step of up to 20 s",
    ClockJump = 1_000 "clock: a jump of up to an hour",
    Mark = 40_000 "operator: cordon, hold, retire or end a builder",
    PoolDrained = 4_000 "operator: drain a pool",
    Spawn = 8_000 "operator: spawn",
    Cancel = 20_000 "user: cancel a build",
    FileChange = 20_000 "fleet file: sizes, reuse, image, files, hooks or pools change",
    Silent = 40_000 "machine: runs and is shown, and says nothing any more, or for minutes",
    Sick = 15_000 "machine: not fit to build any more",
    StartsAgain = 15_000 "machine: starts again",
    NetworkAway = 6_000 "network: most machines, or all, are not reached for minutes",
    Noticed = 60_000 "spot market: notice, and the machine is taken back two minutes after it",
    FalseNotice = 30_000 "spot market: notice, and the machine stays",
    NoMetadata = 30_000 "spot market: the machine is told nothing",
    WatchBreaks = 60_000 "spot market: the connection that waits for a notice breaks",
    HookFails = 60_000 "hook: fails",
    HookAgain = 40_000 "hook: wants to be tried again",
    HookHangs = 120_000 "hook: hangs up to its time limit",
    HookNotRun = 10_000 "hook: cannot be run",
    KilledInHook = 8_000 "controller: kill -9 while a hook runs",
}

/// The faults of a world and its chances.
#[derive(Debug)]
pub struct Luck {
    state: u64,
    /// How often each fault strikes, of a million times that it could.
    odds: Vec<u64>,
    met: Vec<u64>,
    is_calm: bool,
    /// The one fault that strikes, where there is only one, and how often it is spared before that.
    once: Option<(Fault, u64)>,
}

impl Luck {
    /// That of a seed. One of eight is quiet, in two of eight every fault strikes, and each of the others has faults of its own
    /// choice, some of them wild: a fault that strikes often hides what only others lead to.
    pub fn of(seed: u64) -> Self {
        let mut luck = Self {
            // Seeds are small numbers in a row: their first draws are not to be alike.
            state: seed.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(1),
            odds: Vec::new(),
            met: vec![0; Fault::ALL.len()],
            is_calm: false,
            once: None,
        };
        let quarters: &[u64] = match luck.below(8) {
            0 => &[0],
            1 | 2 => &[1, 4],
            _ => &[0, 0, 1, 4, 12],
        };
        for fault in Fault::ALL {
            let factor = luck.pick(quarters).unwrap_or(0);
            luck.odds.push(fault.usual().saturating_mul(factor) / 4);
        }
        luck
    }

    /// From the beginning, no other faults strike than these.
    pub fn keep_only(&mut self, faults: &BTreeSet<Fault>) {
        for (fault, odds) in Fault::ALL.iter().zip(&mut self.odds) {
            *odds = if faults.contains(fault) { *odds } else { 0 };
        }
    }

    /// One in which a fault strikes once, at the moment after so many others at which it could have.
    pub fn once(fault: Fault, spared: u64) -> Self {
        Self {
            odds: vec![0; Fault::ALL.len()],
            once: Some((fault, spared)),
            ..Self::of(0)
        }
    }

    /// From now on nothing goes wrong.
    pub fn calm_down(&mut self) {
        self.is_calm = true;
    }

    pub const fn is_calm(&self) -> bool {
        self.is_calm
    }

    /// The next number, by SplitMix64.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; 0 where there is none.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next().checked_rem(end).unwrap_or(0)
    }

    /// A small number from `first` to `last`.
    pub fn count(&mut self, first: u32, last: u32) -> u32 {
        let span = u64::from(last.saturating_sub(first)).saturating_add(1);
        first.saturating_add(u32::try_from(self.below(span)).unwrap_or(0))
    }

    /// A length of time between two, in seconds.
    pub fn seconds(&mut self, least: u64, most: u64) -> Duration {
        let micros = most.saturating_sub(least).saturating_mul(1_000_000);
        Duration::from_micros(least.saturating_mul(1_000_000).saturating_add(self.below(micros)))
    }

    /// A length of time between two, in thousandths of a second.
    pub fn millis(&mut self, least: u64, most: u64) -> Duration {
        let micros = most.saturating_sub(least).saturating_mul(1_000);
        Duration::from_micros(least.saturating_mul(1_000).saturating_add(self.below(micros)))
    }

    /// One of several; `None` when there is none.
    pub fn pick<T: Clone>(&mut self, of: &[T]) -> Option<T> {
        let end = u64::try_from(of.len()).unwrap_or(0);
        let nth = usize::try_from(self.below(end)).unwrap_or(0);
        of.get(nth).cloned()
    }

    /// Whether something happens that does so in one of `times` cases.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// Whether a fault strikes here; it is counted then.
    pub fn strikes(&mut self, fault: Fault) -> bool {
        let nth = fault as usize;
        let odds = self.odds.get(nth).copied().unwrap_or(0);
        // Also for what never strikes: without a fault that has not struck, a world goes on as it did with it.
        let by_chance = !self.is_calm && self.below(1_000_000) < odds;
        if !by_chance && !self.is_the_one(fault) {
            return false;
        }
        if let Some(met) = self.met.get_mut(nth) {
            *met = met.saturating_add(1);
        }
        true
    }

    /// Whether this is the moment of the one fault that strikes.
    fn is_the_one(&mut self, fault: Fault) -> bool {
        let Some((one, spared)) = self.once.filter(|(one, _)| *one == fault && !self.is_calm) else {
            return false;
        };
        self.once = spared.checked_sub(1).map(|left| (one, left));
        spared == 0
    }

    /// How often each fault struck so far.
    pub fn met(&self) -> Vec<u64> {
        self.met.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_world_again_and_its_neighbour_another() {
        let draws = |seed| {
            let mut luck = Luck::of(seed);
            (0..8).map(|_| luck.below(1000)).collect::<Vec<_>>()
        };
        assert_eq!(draws(7), draws(7));
        assert_ne!(draws(7), draws(8));
    }

    #[test]
    fn some_seeds_are_quiet_some_have_every_fault_and_each_fault_is_left_out_of_some() {
        let all: Vec<Luck> = (0..400).map(Luck::of).collect();
        let quiet = all
            .iter()
            .filter(|luck| luck.odds.iter().all(|odds| *odds == 0))
            .count();
        assert!((20..120).contains(&quiet), "{quiet} of 400");
        let whole = all
            .iter()
            .filter(|luck| luck.odds.iter().all(|odds| *odds > 0))
            .count();
        assert!((60..140).contains(&whole), "{whole} of 400");
        for fault in Fault::ALL {
            let has = all.iter().filter(|luck| luck.odds[*fault as usize] > 0).count();
            assert!((100..350).contains(&has), "{fault:?} in {has} of 400");
        }
    }

    #[test]
    fn faults_strike_about_as_often_as_they_should_and_never_once_it_is_calm() {
        let mut luck = Luck::of(1);
        luck.odds = vec![0; Fault::ALL.len()];
        luck.odds[Fault::Dies as usize] = 250_000;
        let struck = (0..10_000).filter(|_| luck.strikes(Fault::Dies)).count();
        assert!((2300..2700).contains(&struck), "{struck} of 10,000");
        assert!(
            !(0..1000).any(|_| luck.strikes(Fault::Stops)),
            "its odds are none"
        );
        luck.calm_down();
        assert!(!(0..1000).any(|_| luck.strikes(Fault::Dies)));
        assert_eq!(luck.met()[Fault::Dies as usize], u64::try_from(struck).unwrap());
    }

    #[test]
    fn one_fault_strikes_once_after_it_was_spared() {
        let mut luck = Luck::once(Fault::Dies, 2);
        let struck: Vec<bool> = (0..5).map(|_| luck.strikes(Fault::Dies)).collect();
        assert_eq!(struck, [false, false, true, false, false]);
        assert_eq!(luck.met().iter().sum::<u64>(), 1);
        let mut luck = Luck::once(Fault::Dies, 0);
        assert!(!luck.strikes(Fault::Stops), "another one");
        luck.calm_down();
        assert!(!luck.strikes(Fault::Dies));
    }

    #[test]
    fn draws_stay_within_their_bounds_and_nothing_comes_of_nothing() {
        let mut luck = Luck::of(3);
        for _ in 0..1000 {
            assert!((2..=5).contains(&luck.count(2, 5)));
            let span = luck.seconds(3, 9);
            assert!(span >= Duration::from_secs(3) && span < Duration::from_secs(9));
            assert!(luck.millis(5, 6) >= Duration::from_millis(5));
        }
        assert_eq!((luck.below(0), luck.count(4, 4)), (0, 4));
        assert_eq!(luck.seconds(5, 5), Duration::from_secs(5));
        assert_eq!(luck.pick::<u8>(&[]), None);
        assert!(luck.once_in(1));
    }

    #[test]
    fn every_fault_has_words_of_its_own() {
        let mut words: Vec<&str> = Fault::ALL.iter().map(|fault| fault.words()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Fault::ALL.len());
    }
}
