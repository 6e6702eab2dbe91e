//! Benchmarks: what the farm adds to the bare work, as a ratio to that work in the same run. They print figures and never fail on one.

mod bare;
mod phases;
mod pipeline;
mod plan;
mod table;

use anyhow::Result;
use clap::Subcommand;

use crate::cache::Cache;

/// What is measured.
#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// From the submission of a package to its being installable, beside a bare rpmbuild of it in the same chroot.
    Pipeline {
        /// How often each case is measured.
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
        runs: u32,
        /// Install nothing; fail where something is missing.
        #[arg(long)]
        no_install: bool,
    },
    /// Rounds of the planner and the deletion of a large project in databases with a long history, beside an older commit.
    Plan {
        /// How many builds that ended the long history has.
        #[arg(long, default_value_t = 1_000_000)]
        ended: u64,
        /// How many rounds of each kind are measured.
        #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=100))]
        rounds: u32,
        /// The commit beside which it is measured.
        #[arg(long, default_value = "f726b6b")]
        older: String,
        /// Measure this commit alone.
        #[arg(long, conflicts_with = "older")]
        alone: bool,
        /// Install nothing; fail where something is missing.
        #[arg(long)]
        no_install: bool,
    },
}

/// Runs one benchmark.
pub(crate) fn run(cache: &Cache, bench: &Bench) -> Result<()> {
    match bench {
        Bench::Pipeline { runs, no_install } => pipeline::run(cache, !no_install, *runs),
        Bench::Plan {
            ended,
            rounds,
            older,
            alone,
            no_install,
        } => plan::run(
            cache,
            !no_install,
            &plan::Plan {
                ended: *ended,
                rounds: *rounds,
                older: (!alone).then_some(older.as_str()),
            },
        ),
    }
}
