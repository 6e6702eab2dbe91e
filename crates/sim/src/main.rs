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
use told::{Progress, Totals, about_violation};

/// How often it is looked how far the threads are.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// After how many broken rules it is enough.
const MOST_VIOLATIONS: usize = 10;

/// Simulates fleets in a world with all faults, and looks whether the rules hold.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask sim", bin_name = "cargo xtask sim")]
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
    /// How many run at once; as many as there are processors when left out.
    #[arg(long)]
    threads: Option<usize>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let is_good = match arguments.seed {
        Some(seed) => one(seed, arguments.trace),
        None => many(&arguments),
    };
    if is_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Runs one seed; whether all rules held.
fn one(seed: u64, tells_all: bool) -> bool {
    let began = Instant::now();
    let report = if tells_all {
        sim::run_traced(seed, usize::MAX)
    } else {
        sim::run(seed)
    };
    for line in &report.trace {
        println!("{line}");
    }
    let mut totals = Totals::default();
    totals.add(&report);
    println!("{}", totals.table(began.elapsed()));
    for violation in &totals.violations {
        println!("{}", about_violation(violation));
    }
    totals.violations.is_empty()
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
                    let report = sim::run(seed);
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
        println!("{}", about_violation(violation));
    }
    totals.violations.is_empty()
}
