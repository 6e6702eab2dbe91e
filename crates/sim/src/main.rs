//! `cargo xtask sim`: runs the worlds of many seeds and tells what came of them.
#![expect(
    clippy::print_stdout,
    reason = "this program speaks to the person at the terminal"
)]

mod told;

use std::{
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use clap::Parser;
use sim::{Fault, Scene};
use told::{Progress, Totals, about_violation};

/// How often it is looked how far the threads are.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// After how many broken rules it is enough.
const MOST_VIOLATIONS: usize = 10;

/// Simulates fleets in a world with all faults, and looks whether the rules hold.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask sim",
    bin_name = "cargo xtask sim",
    after_help = "With --real it is the farm's own controller and store, with SQLite in memory, that are simulated: more true, and slower. `cargo xtask sim --real --help` has its options."
)]
struct Arguments {
    /// How many seeds are run.
    #[arg(long, default_value_t = 10_000)]
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

impl Arguments {
    /// The world of the one seed.
    fn scene(&self, seed: u64) -> Scene {
        Scene {
            only: self.only.as_ref().map(|only| only.iter().copied().collect()),
            told: if self.trace { usize::MAX } else { 0 },
            ..Scene::of(seed)
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let is_good = match arguments.seed {
        Some(seed) => one(&arguments.scene(seed)),
        None => many(&arguments),
    };
    if is_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Runs one world; whether all rules held.
fn one(scene: &Scene) -> bool {
    let began = Instant::now();
    let report = scene.run();
    for line in &report.trace {
        println!("{line}");
    }
    let mut totals = Totals::default();
    totals.add(&report);
    println!("{}", totals.table(began.elapsed()));
    if let Some(violation) = &report.violation {
        println!("{}", about_violation(violation, scene));
    }
    report.violation.is_none()
}

/// Runs all of them, on all processors; whether all rules held.
fn many(arguments: &Arguments) -> bool {
    let began = Instant::now();
    let threads = arguments
        .threads
        .or_else(|| std::thread::available_parallelism().ok().map(usize::from));
    let end = arguments.from.saturating_add(arguments.seeds);
    let next = AtomicU64::new(arguments.from);
    let totals = Mutex::new(Totals::default());
    let locked = || totals.lock().unwrap_or_else(PoisonError::into_inner);
    std::thread::scope(|scope| {
        for _ in 0..threads.unwrap_or(1).max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end || locked().violations.len() >= MOST_VIOLATIONS {
                        return;
                    }
                    let report = Scene::of(seed).run();
                    locked().add(&report);
                }
            });
        }
        let mut progress = Progress::new(arguments.seeds);
        loop {
            let (done, broken) = {
                let totals = locked();
                (totals.seeds, totals.violations.len())
            };
            progress.show(done, broken);
            if done >= arguments.seeds || broken >= MOST_VIOLATIONS {
                return;
            }
            std::thread::sleep(LOOK_EVERY);
        }
    });
    let totals = locked();
    println!("{}", totals.table(began.elapsed()));
    for violation in &totals.violations {
        println!("{}", about_violation(violation, &Scene::of(violation.seed)));
    }
    totals.violations.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &str) -> Result<Arguments, String> {
        let words = words.split_whitespace();
        let all = ["cargo xtask sim"].into_iter().chain(words);
        Arguments::try_parse_from(all).map_err(|error| error.to_string())
    }

    #[test]
    fn one_world_is_asked_for_by_its_seed_its_faults_and_whether_all_is_told() {
        let all = parsed("").unwrap();
        assert_eq!((all.seeds, all.from, all.seed), (10_000, 0, None));
        let one = parsed("--seed 7").unwrap();
        assert_eq!(one.scene(7), Scene::of(7));
        let some = parsed("--seed 7 --trace --only Dies,Slow").unwrap().scene(7);
        assert_eq!(some.only, Some([Fault::Slow, Fault::Dies].into()));
        assert_eq!(some.told, usize::MAX);
    }

    #[test]
    fn arguments_that_do_not_go_together_are_refused_with_what_there_is() {
        for (words, expected) in [
            ("--seed 7 --seeds 9", "cannot be used with"),
            ("--trace", "--seed <SEED>"),
            ("--only Dies", "--seed <SEED>"),
            (
                "--seed 7 --only Rain",
                "there is no fault Rain; there are Unreachable, Throttled,",
            ),
            ("--seeds many", "invalid value 'many'"),
        ] {
            let refused = parsed(words).unwrap_err();
            assert!(refused.contains(expected), "{words}: {refused}");
        }
    }

    #[test]
    fn all_seeds_from_the_first_on_are_run_and_the_program_says_whether_all_rules_held() {
        assert!(many(&parsed("--seeds 3 --from 5 --threads 2").unwrap()));
        assert!(
            many(&parsed("--seeds 0").unwrap()),
            "nothing is wrong with nothing"
        );
        assert!(one(&parsed("--seed 5 --only Dies").unwrap().scene(5)));
    }
}
