//! `cargo xtask sim --real`: the real controllers on the real store (SQLite in memory), in virtual time, with a cloud, machines, workers and
//! people that are simulated and go wrong. One world is one thread: nothing in it depends on how fast anything is, and a seed shows the
//! same again. Start with `world`.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this program speaks to the person at the terminal"
)]

mod door;
mod file;
mod gate;
mod hosts;
mod idle;
mod machines;
mod money;
mod most;
mod operators;
mod outside;
mod people;
mod program;
mod programs;
mod rules;
mod setting;
mod told;
mod tries;
mod weather;
mod workers;
mod world;

use std::{
    fmt::Write as _,
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use clap::Parser;
use sim::{Fault, Report, Violation};

use crate::world::{Ground, Scene};

/// After how many broken rules it is enough.
const MOST_VIOLATIONS: usize = 5;
/// How much stack a world has: without optimisation the store's futures are large.
const STACK: usize = 32 << 20;
/// How often it is said how far it is.
const PACE: Duration = Duration::from_secs(10);

/// Simulates farms whose controllers and database are the real ones, and looks whether the rules hold.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask sim --real", bin_name = "cargo xtask sim --real")]
struct Arguments {
    /// How many seeds are run.
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Runs this seed alone.
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// Tells all that happens in it.
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Lets only these of its faults strike, as they are named beside a broken rule.
    #[arg(long, requires = "seed", value_delimiter = ',', value_name = "FAULT")]
    only: Option<Vec<Fault>>,
    /// How many run at once; as many as there are processors when left out.
    #[arg(long)]
    threads: Option<usize>,
}

/// What came of all seeds so far.
#[derive(Debug, Default)]
struct Totals {
    seeds: u64,
    lifecycles: usize,
    operations: u64,
    lasted: Duration,
    met: Vec<u64>,
    violations: Vec<Violation>,
    obstacles: Vec<String>,
}

impl Totals {
    fn add(&mut self, came: Result<Report, String>) {
        self.seeds = self.seeds.saturating_add(1);
        let report = match came {
            Ok(report) => report,
            Err(words) => return self.obstacles.push(words),
        };
        self.lifecycles = self.lifecycles.saturating_add(report.lifecycles);
        self.operations = self.operations.saturating_add(report.events);
        self.lasted = self.lasted.saturating_add(report.lasted);
        self.met.resize(report.met.len(), 0);
        for (all, met) in self.met.iter_mut().zip(&report.met) {
            *all = all.saturating_add(*met);
        }
        self.violations.extend(report.violation);
    }

    fn is_enough(&self) -> bool {
        self.violations.len() >= MOST_VIOLATIONS || !self.obstacles.is_empty()
    }

    fn is_good(&self) -> bool {
        self.violations.is_empty() && self.obstacles.is_empty()
    }

    /// All of it as text; `took`: in how much real time.
    fn told(&self, took: Duration) -> String {
        let mut text = String::from("\n  faults met\n");
        for (fault, met) in Fault::ALL.iter().zip(&self.met).filter(|(_, met)| **met > 0) {
            // Writing to a text cannot fail.
            writeln!(text, "  {met:>12}  {}", fault.words()).ok();
        }
        let millis = took.as_millis().max(1);
        let rate = u128::try_from(self.lifecycles).unwrap_or(0).saturating_mul(1000) / millis;
        let rows = [
            ("seeds", self.seeds.to_string()),
            ("lifecycles of machines", self.lifecycles.to_string()),
            ("lifecycles a second", rate.to_string()),
            ("operations of the database", self.operations.to_string()),
            ("simulated hours", (self.lasted.as_secs() / 3600).to_string()),
            ("seconds", format!("{:.1}", took.as_secs_f64())),
            ("broken rules", self.violations.len().to_string()),
        ];
        text.push('\n');
        for (what, count) in rows {
            writeln!(text, "  {count:>12}  {what}").ok();
        }
        for violation in &self.violations {
            let seed = violation.seed;
            let again = format!("cargo xtask sim --real --seed {seed} --trace");
            writeln!(text, "BROKEN: {violation}\n  to see it again: {again}").ok();
        }
        for words in &self.obstacles {
            writeln!(text, "NOT RUN: {words}").ok();
        }
        text
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let is_good = match arguments.seed {
        Some(seed) => one(&Scene {
            seed,
            only: arguments.only.map(|only| only.into_iter().collect()),
            is_told: arguments.trace,
        }),
        None => many(&arguments).is_good(),
    };
    if is_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Does something on a thread with enough stack.
fn on_a_thread<T: Send>(work: impl FnOnce() -> Result<T, String> + Send) -> Result<T, String> {
    std::thread::scope(|scope| {
        let begun = std::thread::Builder::new()
            .stack_size(STACK)
            .spawn_scoped(scope, work);
        let begun = begun.map_err(|error| format!("cannot begin a thread: {error}"))?;
        begun
            .join()
            .unwrap_or_else(|_| Err("the world panicked".to_owned()))
    })
}

/// Runs one world; whether all rules held.
fn one(scene: &Scene) -> bool {
    let began = Instant::now();
    let came = on_a_thread(|| Ground::new()?.run(scene));
    for line in came.iter().flat_map(|report| &report.trace) {
        println!("{line}");
    }
    let mut totals = Totals::default();
    totals.add(came);
    println!("{}", totals.told(began.elapsed()));
    totals.is_good()
}

/// Runs all of them, on all processors; what came of them.
fn many(arguments: &Arguments) -> Totals {
    let began = Instant::now();
    let threads = arguments
        .threads
        .or_else(|| std::thread::available_parallelism().ok().map(usize::from));
    let end = arguments.from.saturating_add(arguments.seeds);
    let next = AtomicU64::new(arguments.from);
    let totals = Mutex::new((Totals::default(), Instant::now()));
    let locked = || totals.lock().unwrap_or_else(PoisonError::into_inner);
    std::thread::scope(|scope| {
        let work = || {
            let ground = match Ground::new() {
                Ok(ground) => ground,
                Err(words) => return locked().0.add(Err(words)),
            };
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= end || locked().0.is_enough() {
                    return;
                }
                let came = ground.run(&Scene {
                    seed,
                    only: None,
                    is_told: false,
                });
                let broken = came.as_ref().ok().and_then(|report| report.violation.as_ref());
                if let Some(broken) = broken {
                    eprintln!("    BROKEN: {broken}");
                }
                let mut locked = locked();
                locked.0.add(came);
                if locked.1.elapsed() >= PACE {
                    locked.1 = Instant::now();
                    let (done, broken) = (locked.0.seeds, locked.0.violations.len());
                    eprintln!(
                        "    simulated {done} of {} seeds, {broken} broken rules",
                        arguments.seeds
                    );
                }
            }
        };
        for _ in 0..threads.unwrap_or(1).max(1) {
            let begun = std::thread::Builder::new()
                .stack_size(STACK)
                .spawn_scoped(scope, work);
            if let Err(error) = begun {
                locked().0.add(Err(format!("cannot begin a thread: {error}")));
            }
        }
    });
    let (totals, _) = totals.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!("{}", totals.told(began.elapsed()));
    totals
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &str) -> Result<Arguments, String> {
        let all = ["sim"].into_iter().chain(words.split_whitespace());
        Arguments::try_parse_from(all).map_err(|error| error.to_string())
    }

    fn scene(seed: u64, is_told: bool) -> Scene {
        Scene {
            seed,
            only: None,
            is_told,
        }
    }

    #[test]
    fn the_rules_hold_in_the_first_seeds_whatever_goes_wrong() {
        let totals = many(&parsed("--seeds 8 --threads 2").unwrap());
        assert!(totals.is_good(), "{:?}", totals.violations);
        // That much happens in them.
        let met = totals.met.iter().filter(|met| **met > 0).count();
        assert!(
            totals.lifecycles > 100 && met > 40,
            "{} lifecycles, {met} kinds of faults",
            totals.lifecycles
        );
        for fault in [Fault::FileChange, Fault::PoolDrained, Fault::ClockStep] {
            assert!(
                totals.met[fault as usize] > 0,
                "{fault:?} does not strike in them"
            );
        }
        let hooks = [Fault::HookFails, Fault::HookAgain, Fault::HookHangs];
        let strike = hooks.iter().filter(|fault| totals.met[**fault as usize] > 0);
        assert!(strike.count() > 1, "hooks go wrong in one way only");
    }

    #[test]
    fn a_seed_shows_the_same_again_and_another_does_not() {
        let told = |seed| on_a_thread(|| Ok(Ground::new()?.run(&scene(seed, true))?.trace)).unwrap();
        let (first, again) = (told(3), told(3));
        for (line, (one, other)) in first.iter().zip(&again).enumerate() {
            assert_eq!(one, other, "line {line}");
        }
        assert_eq!(first.len(), again.len());
        assert!(first.len() > 500, "{} lines", first.len());
        assert_ne!(first, told(4));
    }

    #[test]
    fn a_broken_rule_is_told_with_how_to_see_it_again_and_the_program_fails() {
        let mut totals = Totals::default();
        totals.add(Ok(Report {
            seed: 3,
            lifecycles: 50,
            lasted: Duration::from_secs(7200),
            events: 10,
            met: vec![1; Fault::ALL.len()],
            violation: Some(Violation {
                seed: 3,
                at: Duration::from_millis(1500),
                rule: sim::Rule::Leak,
                words: "machine i-1 is running, and no builder's".to_owned(),
            }),
            trace: Vec::new(),
        }));
        let told = totals.told(Duration::from_millis(500));
        for part in [
            "           1  machine: dies\n",
            "100  lifecycles a second",
            "2  simulated hours",
            "BROKEN: seed 3, 1.500 s: a machine leaks: machine i-1 is running",
            "to see it again: cargo xtask sim --real --seed 3 --trace",
        ] {
            assert!(told.contains(part), "{part} in {told}");
        }
        assert!(!totals.is_good() && !totals.is_enough());
        totals.add(Err("seed 4: the disk is full".to_owned()));
        assert!(
            totals
                .told(Duration::ZERO)
                .contains("NOT RUN: seed 4: the disk is full")
        );
        assert!(totals.is_enough());
    }

    #[test]
    fn one_world_is_asked_for_by_its_seed_its_faults_and_whether_all_is_told() {
        let all = parsed("").unwrap();
        assert_eq!((all.seeds, all.from, all.seed), (200, 0, None));
        let one = parsed("--seed 7 --trace --only Dies,Slow").unwrap();
        assert_eq!(one.only, Some(vec![Fault::Dies, Fault::Slow]));
        for (words, expected) in [
            ("--seed 7 --seeds 9", "cannot be used with"),
            ("--trace", "--seed <SEED>"),
            ("--seed 7 --only Rain", "there is no fault Rain"),
        ] {
            let refused = parsed(words).unwrap_err();
            assert!(refused.contains(expected), "{words}: {refused}");
        }
    }
}
