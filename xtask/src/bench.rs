//! Benchmarks: what the farm adds to the bare work, as a ratio to that work in the same run. They print figures and never fail on one.

mod api;
mod bare;
mod checkout;
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
    /// Requests to the API over a kept connection: CPU time beside an older commit, and requests per second beside the same list
    /// served by Flask, SQLAlchemy and gunicorn from the same data.
    Api {
        /// How many projects there are.
        #[arg(long, default_value_t = 1000)]
        projects: u64,
        /// How many builds there are.
        #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1000..))]
        builds: u64,
        /// How often each request is measured, by turns.
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=20))]
        rounds: u32,
        /// The commit beside which it is measured.
        #[arg(long, default_value = "f726b6b")]
        older: String,
        /// Measure beside no commit.
        #[arg(long, conflicts_with = "older")]
        alone: bool,
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
        Bench::Api {
            projects,
            builds,
            rounds,
            older,
            alone,
            no_install,
        } => api::run(
            cache,
            !no_install,
            &api::Wanted {
                projects: *projects,
                builds: *builds,
                rounds: *rounds,
                older: (!alone).then_some(older.as_str()),
            },
        ),
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
