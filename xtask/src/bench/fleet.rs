//! What a very large fleet costs: decisions, a change, attempts handed out, and a restart beside thousands of machines; beside them
//! resalloc's matching, where a checkout of resalloc is at hand. The measuring programs are examples of the crates `store`, since
//! only that may speak to a database, and `verdigris`, which has all the parts of a farm.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::checkout;
use crate::{
    cache::{Cache, Scratch},
    process::Tool,
    progress::{Step, say},
    setup, workspace,
};

mod peer;
mod table;

/// What is measured.
#[derive(Debug, clap::Args)]
pub(crate) struct Fleet {
    /// How many builders live.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(100..=20_000))]
    builders: u32,
    /// How many attempts wait.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    waiting: u32,
    /// How many full decisions are measured.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rounds: u32,
    /// How many attempts are handed to as many ready builders.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    handed: u32,
    /// How many builds that ended the long history has, beside which a round is measured.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    ended: u32,
    /// A checkout of resalloc, which is not on PyPI: its matching is measured in the same run.
    #[arg(long, value_name = "CHECKOUT")]
    resalloc: Option<PathBuf>,
    /// Install nothing; fail where something is missing.
    #[arg(long)]
    no_install: bool,
}

/// Measures and prints.
pub(super) fn run(cache: &Cache, wanted: &Fleet) -> Result<()> {
    setup::run(cache, setup::Purpose::Tests, !wanted.no_install)?;
    let place = Scratch::beside(&cache.path("bench-fleet"))?;
    let step = Step::start("the measuring programs");
    checkout::examples(&workspace::root()?, &["fleet", "adopt"], place.path())?;
    step.done("built, in release");
    let step = Step::start("decisions, on both databases");
    let [builders, waiting, rounds, handed, ended] = [
        wanted.builders,
        wanted.waiting,
        wanted.rounds,
        wanted.handed,
        wanted.ended,
    ]
    .map(|number| number.to_string());
    let decided = Tool::new(place.path().join("fleet"))
        .args(["measure", &builders, &waiting, &rounds, &handed, &ended])
        .output()
        .context("decisions")?;
    step.done("measured");
    let step = Step::start("a restart, on both databases");
    let adopted = Tool::new(place.path().join("adopt"))
        .arg(&builders)
        .output()
        .context("a restart")?;
    step.done("measured");
    let peer = wanted.resalloc.as_ref();
    let peer = peer.map(|checkout| peer::measure(cache, checkout, !wanted.no_install));
    say(table::report(
        wanted,
        &table::read(&format!("{decided}\n{adopted}"))?,
        peer.transpose()?,
    ));
    Ok(())
}
