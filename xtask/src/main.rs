//! The project's own automation: `cargo xtask COMMAND`. It installs what is missing, makes the images and the
//! distribution that tests and demo run on, checks the tree, and runs what CI runs.
//!
//! It imports none of the other crates, so that it compiles in seconds and works while they do not. It changes the
//! system only in `setup`, which says what it does; all it makes is in the cache directory (see [`cache`]).
//! Start reading at [`Command`]: each command is one module of that name.

mod apt;
mod bench;
mod cache;
mod ci;
mod demo;
mod examples;
mod farm;
mod generated;
mod http;
mod image;
mod microdistro;
mod process;
mod progress;
mod python;
mod seed;
mod setup;
mod sim;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::cache::Cache;

/// The project's own automation.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Install what the farm and its tests need and this system lacks.
    Setup {
        /// Only say what is missing and which commands install it.
        #[arg(long)]
        no_install: bool,
    },
    /// Make the machine images that the embedded cloud boots.
    Image,
    /// Make the small RPM distribution that packages are built in.
    Microdistro,
    /// Check the rules of the house that no compiler checks.
    Tidy {
        /// Freeze new migrations first.
        #[arg(long)]
        bless: bool,
    },
    /// Install what is missing and run every test.
    Test {
        /// Install nothing; fail where something is missing.
        #[arg(long)]
        no_install: bool,
        /// Run the long tests only, each for as long as it is meant to go on; without it they are parts of all tests, and short.
        #[arg(long)]
        long: bool,
        /// Passed to the test runner, as names of tests.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Write the API's description, api/openapi.json.
    Openapi,
    /// Write the builder's copy of the grammar of names, names.py.
    Names,
    /// Start the whole farm, build real packages in it, and install them with dnf.
    Demo {
        /// End when all is shown, instead of keeping the farm up.
        #[arg(long)]
        once: bool,
        /// Install nothing; say what is missing.
        #[arg(long)]
        no_install: bool,
    },
    /// Measure the farm beside its peers in the same run, and print a table.
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Run fleets in a simulated world with all faults, and look whether the rules hold.
    #[command(disable_help_flag = true)]
    Sim {
        /// Passed to the simulator: `--help` tells what it knows.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Run all that a change has to pass beside the tests: format, tidy, clippy, documentation.
    Check,
    /// Run all that a change has to pass: `check` and `test`.
    Ci,
}

/// What fails is told in words. A stack backtrace, which RUST_BACKTRACE would add to an error returned from here, shows where
/// this program noticed it, and hides what the person can do.
fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            progress::complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let cache = Cache::locate()?;
    match Arguments::parse().command {
        Command::Setup { no_install } => setup::run(&cache, setup::Purpose::Tests, !no_install),
        Command::Image => image::run(&cache),
        Command::Microdistro => microdistro::make(&cache).map(drop),
        Command::Tidy { bless } => tidy::run(bless),
        Command::Test {
            no_install,
            long: true,
            arguments,
        } => test::run_long(&cache, !no_install, &arguments),
        Command::Test {
            no_install,
            arguments,
            ..
        } => test::run(&cache, !no_install, &arguments),
        Command::Openapi => generated::run(generated::OPENAPI),
        Command::Names => generated::run(generated::NAMES),
        Command::Demo { once, no_install } => demo::run(&cache, !no_install, once),
        Command::Bench(bench) => bench::run(&cache, &bench),
        Command::Sim { arguments } => sim::run(&arguments),
        Command::Check => ci::check(&cache),
        Command::Ci => ci::run(&cache),
    }
}

#[cfg(test)]
mod tests;
