//! Runs every test: makes sure that all they need is there, then the test runner, the documentation's examples, and the
//! tests of the builder's scripts and of the chart.

use std::process::ExitStatus;

use anyhow::{Context as _, Result, bail};

use crate::cache::Cache;
use crate::process::Tool;
use crate::progress::{Step, say};
use crate::workspace::{self, cargo, root};
use crate::{image, setup};

/// Sets up, makes the images (and so the micro-distribution), and runs all tests; `arguments` go to the runner.
pub(crate) fn run(cache: &Cache, install: bool, arguments: &[String]) -> Result<()> {
    setup::run(cache, setup::Purpose::Tests, install)?;
    image::run(cache)?;
    let Some(runner) = setup::nextest(cache) else {
        bail!("cargo-nextest is missing: `cargo xtask setup` installs it");
    };
    let step = Step::start("the tests (compiling them first, which takes minutes the first time)");
    workspace::compile(cargo()?.args(["test", "--workspace", "--no-run"]))
        .context("the tests do not compile")?;
    step.done("compiled");
    let tests = Tool::new(runner)
        .args(["nextest", "run", "--workspace", "--no-fail-fast"])
        .args(arguments);
    let tested = tests.dir(&root()?).status()?;
    // The examples are run all the same: one run shows all that is broken. A run of chosen tests has none.
    let examples = if arguments.is_empty() {
        Some(
            cargo()?
                .args(["test", "--workspace", "--doc", "--quiet"])
                .status()?,
        )
    } else {
        None
    };
    let scripts = if arguments.is_empty() {
        Some(builder_scripts()?)
    } else {
        None
    };
    let charts = if arguments.is_empty() {
        Some(chart(cache)?)
    } else {
        None
    };
    for (what, status) in [
        ("tests", Some(tested)),
        ("examples in the documentation", examples),
        ("tests of the builder's scripts", scripts),
        ("tests of the chart", charts),
    ] {
        if let Some(status) = status.filter(|status| !status.success()) {
            bail!("{what} failed ({status})");
        }
    }
    Ok(())
}

/// The scripts that run on builders are Python and have tests of their own, which make namespaces and mounts as root.
fn builder_scripts() -> Result<ExitStatus> {
    say("==> tests of the builder's scripts");
    Tool::as_root("python3")
        .args([
            "-m",
            "unittest",
            "discover",
            "-s",
            "provision-files/builder/tests",
        ])
        .dir(&root()?)
        .status()
}

/// The chart is rendered by Helm's own engine, which the Python environment brings.
fn chart(cache: &Cache) -> Result<ExitStatus> {
    say("==> tests of the chart");
    Tool::new(setup::python_tool(cache, "python3"))
        .args(["-m", "unittest", "discover", "-s", "charts/tests"])
        .dir(&root()?)
        .status()
}
