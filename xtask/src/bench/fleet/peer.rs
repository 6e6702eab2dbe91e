//! The peer: a pass of resalloc, Copr's allocator of machines, over machines and tickets. It is not on PyPI, so that it is measured
//! where a checkout of it is at hand.

use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    cache::{Cache, Scratch},
    process::Tool,
    progress::Step,
    python::Environment,
};

const PROGRAM: &str = include_str!("peer.py");
/// Every package with its version.
const REQUIREMENTS: &str = include_str!("peer-requirements.txt");
/// What it can bear.
pub(super) const MACHINES: u32 = 100;
pub(super) const TICKETS: u32 = 1000;

/// Seconds of a pass in which nothing suits, and of one that gives every machine away.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Passes {
    pub(super) unsuitable: f64,
    pub(super) given: f64,
}

/// Measures the resalloc of a checkout.
pub(super) fn measure(cache: &Cache, checkout: &Path, install: bool) -> Result<Passes> {
    let manager = checkout.join("resallocserver/manager.py");
    ensure!(
        manager.is_file(),
        "{} is no checkout of resalloc: there is no resallocserver/manager.py in it",
        checkout.display()
    );
    let _lock = cache.lock("bench-fleet-peer")?;
    let environment = Environment {
        place: &cache.path("bench-fleet-peer"),
        requirements: REQUIREMENTS,
    };
    if !environment.is_complete() {
        if !install {
            bail!("the peer's Python environment is missing; the same without --no-install makes it");
        }
        let step = Step::start("Python environment with what resalloc needs");
        environment.install(&cache.path("bench-fleet-peer.log"), |_| {})?;
        step.done(environment.place.display().to_string());
    }
    let place = Scratch::beside(&cache.path("bench-fleet-peer-run"))?;
    let program = place.path().join("peer.py");
    fs_err::write(&program, PROGRAM)?;
    let step = Step::start(format!("resalloc, {MACHINES} machines and {TICKETS} tickets"));
    let printed = Tool::new(environment.program("python3"))
        .args(["-W", "ignore"])
        .arg(&program)
        .args([MACHINES.to_string(), TICKETS.to_string()])
        .env("PYTHONPATH", checkout)
        .output()
        .context("resalloc's pass")?;
    step.done("measured");
    read(&printed)
}

fn read(printed: &str) -> Result<Passes> {
    let figures: Vec<f64> = printed
        .lines()
        .map(|line| {
            line.parse()
                .with_context(|| format!("resalloc's program printed no seconds, but {line:?}"))
        })
        .collect::<Result<_>>()?;
    match *figures.as_slice() {
        [unsuitable, given] => Ok(Passes { unsuitable, given }),
        _ => bail!(
            "resalloc's program printed {} figures, and not two",
            figures.len()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::{PROGRAM, Passes, measure, read};
    use crate::{cache::Cache, process::Tool};

    #[test]
    fn two_figures_are_two_passes() {
        let passes = Passes {
            unsuitable: 170.5,
            given: 9.0,
        };
        assert_eq!(read("170.5\n9\n").unwrap(), passes);
        for (printed, error) in [
            ("170.5\n", "resalloc's program printed 1 figures, and not two"),
            (
                "170.5\nmany\n",
                "resalloc's program printed no seconds, but \"many\"",
            ),
        ] {
            assert_eq!(read(printed).unwrap_err().to_string(), error);
        }
    }

    #[test]
    fn what_is_no_checkout_is_refused_by_name() {
        let place = tempfile::tempdir().unwrap();
        let cache = Cache::at(&place.path().join("cache")).unwrap();
        let error = measure(&cache, place.path(), false).unwrap_err().to_string();
        assert!(error.contains("is no checkout of resalloc"), "{error}");
        fs_err::create_dir(place.path().join("resallocserver")).unwrap();
        fs_err::write(place.path().join("resallocserver/manager.py"), "").unwrap();
        let error = measure(&cache, place.path(), false).unwrap_err().to_string();
        assert_eq!(
            error,
            "the peer's Python environment is missing; the same without --no-install makes it"
        );
    }

    #[test]
    fn python_understands_the_program() {
        let compile = "import ast, sys; ast.parse(sys.argv[1])";
        Tool::new("python3")
            .args(["-c", compile, PROGRAM])
            .output()
            .unwrap();
    }
}
