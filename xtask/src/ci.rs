//! What a change has to pass, in one order: the cheap checks first. Stops at the first failure, and says what did not run.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::cache::Cache;
use crate::progress::say;
use crate::workspace::cargo;
use crate::{setup, test, tidy};

/// One step and what it does.
struct Check {
    name: &'static str,
    run: fn(&Cache) -> Result<()>,
}

/// All steps; the tests are the last, so that the runner's closing lines are the last thing to read.
const STEPS: &[Check] = &[
    Check {
        name: "setup",
        run: |cache| setup::run(cache, setup::Purpose::Tests, true),
    },
    Check {
        name: "format",
        run: |_| cargo()?.args(["fmt", "--all", "--check"]).show(),
    },
    Check {
        name: "tidy",
        run: |_| tidy::run(false),
    },
    Check {
        name: "clippy",
        run: |_| clippy(),
    },
    Check {
        name: "docs",
        run: |_| docs(),
    },
    Check {
        name: "test",
        run: |cache| test::run(cache, true, &[]),
    },
];

fn clippy() -> Result<()> {
    let all = ["clippy", "--workspace", "--all-targets", "--quiet"];
    cargo()?.args(all).args(["--", "-D", "warnings"]).show()
}

fn docs() -> Result<()> {
    cargo()?
        .args(["doc", "--workspace", "--no-deps", "--quiet"])
        .env("RUSTDOCFLAGS", "-D warnings")
        .show()
}

/// Runs all steps but the tests.
pub(crate) fn check(cache: &Cache) -> Result<()> {
    run_steps(cache, all_but_tests())
}

fn all_but_tests() -> &'static [Check] {
    STEPS.split_last().map_or(STEPS, |(_, others)| others)
}

/// Runs all steps.
pub(crate) fn run(cache: &Cache) -> Result<()> {
    run_steps(cache, STEPS)
}

/// Runs steps up to the first that fails, and prints a table.
fn run_steps(cache: &Cache, steps: &[Check]) -> Result<()> {
    let mut times = Vec::new();
    let mut failure = None;
    for check in steps {
        say(format!("==> ci: {}", check.name));
        let started = Instant::now();
        let result = (check.run)(cache);
        times.push((check.name, started.elapsed(), result.is_ok()));
        if let Err(error) = result {
            failure = Some((check.name, error));
            break;
        }
    }
    say(table(steps, &times));
    match failure {
        None => Ok(()),
        Some((name, error)) => Err(error.context(name)),
    }
}

/// One line for each step: its result and its time.
fn table(steps: &[Check], times: &[(&str, Duration, bool)]) -> String {
    let mut text = String::from("\nci:");
    for check in steps {
        let ran = times.iter().find(|(name, ..)| *name == check.name);
        let line = match ran {
            Some((_, time, true)) => format!("ok       {:>7.1} s", time.as_secs_f64()),
            Some((_, time, false)) => format!("FAILED   {:>7.1} s", time.as_secs_f64()),
            None => "not run".to_owned(),
        };
        text.push_str(&format!("\n  {:<8} {line}", check.name));
    }
    text
}

#[cfg(test)]
mod tests;
