//! From a submission to an installable package: on a builder that waits, and on one that has to be rented first.

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::{
    bare,
    table::{Times, heading},
};
use crate::{
    cache::{Cache, Scratch},
    examples,
    farm::{CHROOT, Farm},
    image,
    progress::{Count, Step, say},
    setup,
};

/// The package that is built: small, but with configure, make and tests.
const PACKAGE: &str = "hello";
const PATIENCE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(20);

/// What one submission took, in seconds.
struct Passage {
    /// From the start of copr-cli until its package could be installed.
    whole: f64,
    /// The part until copr-cli said that the build exists: mostly a Python program's start.
    client: f64,
}

/// Measures and prints.
pub(super) fn run(cache: &Cache, install: bool, runs: u32) -> Result<()> {
    setup::run(cache, setup::Purpose::Farm, install)?;
    image::builder(cache)?;
    let package = examples::source_package(cache, PACKAGE)?;
    let bare = bare_builds(cache, &package, runs)?;
    let (warm, mut starts) = farm_builds(cache, &package, runs, Readiness::Warm)?;
    let (cold, more) = farm_builds(cache, &package, runs, Readiness::Cold)?;
    starts.extend(more);

    let base = bare.median();
    let of = |passages: &[Passage], part: fn(&Passage) -> f64| Times::of(passages.iter().map(part).collect());
    let (after, whole) = (|p: &Passage| p.whole - p.client, |p: &Passage| p.whole);
    say(heading(&format!("{PACKAGE} in {CHROOT}, seconds")));
    say(bare.line("bare rpmbuild --rebuild in the chroot", None));
    say(of(&warm, after).line("accepted to installable, builder ready", base));
    say(of(&cold, after).line("accepted to installable, no builder", base));
    say(of(&warm, whole).line("copr-cli's start to installable, ready", base));
    say(of(&cold, whole).line("copr-cli's start to installable, no builder", base));
    say(Times::of(starts).line("RunInstances to a ready builder", None));
    say("\nA debug build of the farm, on the machine that also runs its builders.");
    Ok(())
}

fn bare_builds(cache: &Cache, package: &Path, runs: u32) -> Result<Times> {
    let step = Step::start("bare builds");
    let mut count = Count::of("bare build", runs as usize);
    let mut times = Vec::new();
    for _ in 0..runs {
        times.push(bare::build(cache, package)?);
        count.one_more();
    }
    step.done("measured");
    Ok(Times::of(times))
}

/// Whether a builder waits when the package comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Readiness {
    Warm,
    Cold,
}

fn farm_builds(
    cache: &Cache,
    package: &Path,
    runs: u32,
    readiness: Readiness,
) -> Result<(Vec<Passage>, Vec<f64>)> {
    let step = Step::start(match readiness {
        Readiness::Warm => "a farm with a builder ready",
        Readiness::Cold => "a farm without builders",
    });
    let _lock = cache.lock("bench-farm")?;
    let place = Scratch::beside(&cache.path("bench-farm"))?;
    let idle = if readiness == Readiness::Warm { 1 } else { 0 };
    let farm = Farm::start(cache, place.path(), idle)?;
    farm.copr_cli(&["create", "bench", "--chroot", CHROOT])?;
    let mut count = Count::of("build", runs as usize);
    let mut passages = Vec::new();
    for _ in 0..runs {
        await_fleet(&farm, readiness)?;
        passages.push(passage(&farm, package)?);
        count.one_more();
    }
    farm.dnf(cache, "bench", &["repoquery", "--disablerepo=base", PACKAGE])
        .context("asking dnf for what was built")?;
    let starts = starts(&farm)?;
    step.done("measured");
    Ok((passages, starts))
}

/// Waits until the fleet is as the case wants it and nothing else happens: all of it ready, or nothing left of it.
fn await_fleet(farm: &Farm, readiness: Readiness) -> Result<()> {
    let started = Instant::now();
    loop {
        let fleet = farm.json("/api/fleet")?;
        let states = fleet.get("builders").and_then(Value::as_object);
        let states = states.context("/api/fleet tells no builders")?;
        let count = |state: &str| states.get(state).and_then(Value::as_u64).unwrap_or(0);
        let live: u64 = states.keys().map(|state| count(state)).sum();
        let settled = match readiness {
            Readiness::Warm => live > 0 && live == count("ready"),
            Readiness::Cold => live == 0,
        };
        if settled {
            return Ok(());
        }
        if started.elapsed() > PATIENCE {
            bail!("the fleet is not {readiness:?} after {PATIENCE:?}: {fleet}");
        }
        std::thread::sleep(POLL);
    }
}

/// One submission. A build has succeeded when it is in the published repository.
fn passage(farm: &Farm, package: &Path) -> Result<Passage> {
    let started = Instant::now();
    let build = farm.submit("bench", package)?;
    let client = started.elapsed().as_secs_f64();
    loop {
        match farm.state(build)?.as_str() {
            "succeeded" => break,
            "failed" | "canceled" | "skipped" => {
                let attempts = farm.json(&format!("/api/builds/{build}/attempts"))?;
                bail!("build {build} did not succeed: {attempts:#}");
            }
            _ if started.elapsed() > PATIENCE => bail!("build {build} is not over after {PATIENCE:?}"),
            _ => std::thread::sleep(POLL),
        }
    }
    Ok(Passage {
        whole: started.elapsed().as_secs_f64(),
        client,
    })
}

/// How long every builder took from the call that launched it to being ready, by the farm's events.
fn starts(farm: &Farm) -> Result<Vec<f64>> {
    let mut launched = BTreeMap::new();
    let mut times = Vec::new();
    for event in farm.events()? {
        let field = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
        if field("subject_kind") != "builder" {
            continue;
        }
        let at = || unix_seconds(field("at"));
        match field("new_state") {
            "launching" => {
                launched.insert(field("subject_id").to_owned(), at()?);
            }
            "ready" => times.extend(match launched.remove(field("subject_id")) {
                Some(begun) => Some(at()? - begun),
                None => None,
            }),
            _ => {}
        }
    }
    Ok(times)
}

/// Seconds since 1970 of a moment in RFC 3339.
#[expect(
    clippy::cast_precision_loss,
    reason = "differences of moments within an hour, in microseconds"
)]
fn unix_seconds(text: &str) -> Result<f64> {
    let format = &time::format_description::well_known::Rfc3339;
    let moment = time::OffsetDateTime::parse(text, format).with_context(|| format!("the moment {text:?}"))?;
    Ok((moment.unix_timestamp_nanos() / 1000) as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::unix_seconds;

    #[test]
    fn moments_differ_by_what_lies_between_them() {
        let [before, after] = ["2026-11-27T20:00:00.250000Z", "2026-11-27T20:00:02Z"]
            .map(|text| unix_seconds(text).expect("a moment"));
        assert!((after - before - 1.75).abs() < 1e-6);
        assert!(unix_seconds("yesterday").is_err());
    }
}
