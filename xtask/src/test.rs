//! Runs every test: makes sure that all they need is there, then the test runner, then the documentation's examples.

use anyhow::{Result, bail};

use crate::cache::Cache;
use crate::process::Tool;
use crate::workspace::{cargo, root};
use crate::{image, setup};

/// Sets up, makes the images (and so the micro-distribution), and runs all tests; `arguments` go to the runner.
pub(crate) fn run(cache: &Cache, install: bool, arguments: &[String]) -> Result<()> {
    setup::run(cache, setup::Purpose::Tests, install)?;
    image::run(cache)?;
    let Some(runner) = setup::nextest(cache) else {
        bail!("cargo-nextest is missing: `cargo xtask setup` installs it");
    };
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
    if !tested.success() {
        bail!("tests failed ({tested})");
    }
    match examples {
        Some(status) if !status.success() => bail!("examples in the documentation failed ({status})"),
        _ => Ok(()),
    }
}
