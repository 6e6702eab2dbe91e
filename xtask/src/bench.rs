//! Benchmarks: what the farm adds to the bare work, as a ratio to that work in the same run. They print figures and never fail on one.

mod bare;
mod phases;
mod pipeline;
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
}

/// Runs one benchmark.
pub(crate) fn run(cache: &Cache, bench: &Bench) -> Result<()> {
    match bench {
        Bench::Pipeline { runs, no_install } => pipeline::run(cache, !no_install, *runs),
    }
}
