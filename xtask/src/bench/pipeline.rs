//! From a submission to an installable package: on a builder that waits, and on one that has to be rented first.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use time::OffsetDateTime;

use super::{
    bare,
    phases::{Moments, PHASES, moment},
    table::{Times, heading},
};
use crate::{
    cache::{Cache, Scratch},
    examples,
    farm::{CHROOT, Farm, is_over},
    image,
    progress::{Count, Step, say},
    setup, workspace,
};

/// The packages that are built: one that is built in a moment, so that the farm's own time is not lost in what a compiler's
/// varies by; and one with configure, make and tests.
const LEAST: &str = "note";
const USUAL: &str = "hello";
const PATIENCE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(250);

/// One submission, in seconds.
struct Passage {
    /// The bare build just before it, on the builder that it then got. The two are compared in pairs, since a machine that
    /// others use as well is slower in some minutes than in others. A farm without builders has none to do it on.
    bare: Option<f64>,
    /// From the start of copr-cli until its package could be installed.
    whole: f64,
    /// From the farm's having taken the package.
    accepted: f64,
    /// Where that went.
    phases: Vec<(&'static str, Option<f64>)>,
    /// How long dnf, asked anew, took to name the package.
    seen: f64,
    /// The id of the builder that it ran on.
    builder: String,
}

/// Measures and prints.
pub(super) fn run(cache: &Cache, install: bool, runs: u32) -> Result<()> {
    setup::run(cache, setup::Purpose::Farm, install)?;
    image::builder(cache)?;
    let package = |name: &'static str| Ok::<_, anyhow::Error>((name, examples::source_package(cache, name)?));
    let (least, usual) = (package(LEAST)?, package(USUAL)?);
    let program = workspace::release_program()?;
    let measure = |(name, file): &(&'static str, PathBuf), readiness| {
        passages(&program, cache, (*name, file.as_path(), runs), readiness)
    };
    let mut starts = Vec::new();
    for (of, has_cold) in [(&least, false), (&usual, true)] {
        let (warm, begun) = measure(of, Readiness::Warm)?;
        starts.extend(begun);
        let mut cases = vec![(warm, "builder ready")];
        if has_cold {
            let (cold, begun) = measure(of, Readiness::Cold)?;
            starts.extend(begun);
            cases.push((cold, "no builder"));
        }
        say(report(of.0, &cases));
    }
    for (name, file) in [&least, &usual] {
        let pairs = reuse::pairs(&program, cache, (*name, file.as_path(), runs))?;
        say(reuse::report(name, &pairs));
    }
    say(heading("machines, seconds"));
    say(Times::of(starts).line("RunInstances to a ready builder", None));
    say(
        "\nA release build of the farm, on the machine that also runs its only builder. Over bare: with a builder ready, the differences of \
         pairs of a bare build and the farm's on the same builder; without one, those to the median of the bare builds. Used again: a \
         project's first two builds on one builder, fresh before the first and cleaned before the second; without `reuse` the second one \
         would wait for another machine besides, where none is ready.",
    );
    Ok(())
}

/// The cases of one package; the first is that of a builder that is ready.
fn report(package: &str, cases: &[(Vec<Passage>, &str)]) -> String {
    let times = |passages: &[Passage], of: fn(&Passage) -> f64| Times::of(passages.iter().map(of).collect());
    let warm = cases.first().map_or(&[][..], |(passages, _)| passages);
    let bare = Times::of(warm.iter().filter_map(|one| one.bare).collect());
    let base = bare.median();
    let mut lines = vec![
        heading(&format!("{package} in {CHROOT}, seconds")),
        bare.line("bare rpmbuild --rebuild, on the builder", None),
    ];
    for (passages, builder) in cases {
        let line = |what: &str, of: fn(&Passage) -> f64| {
            times(passages, of).line(&format!("{what}, {builder}"), base)
        };
        let over = passages
            .iter()
            .filter_map(|one| Some(one.accepted - one.bare.or(base)?));
        lines.extend([
            line("accepted to installable", |one| one.accepted),
            line("copr-cli's start to installable", |one| one.whole),
            Times::of(over.collect()).line(&format!("accepted to installable over bare, {builder}"), None),
        ]);
    }
    lines.push(heading(&format!(
        "where the time of {package} goes, builder ready"
    )));
    for (name, _) in PHASES {
        let took = |one: &Passage| one.phases.iter().find(|(phase, _)| *phase == name)?.1;
        lines.push(Times::of(warm.iter().filter_map(took).collect()).line(name, None));
    }
    lines.push(times(warm, |one| one.seen).line("seen by a dnf that asks anew", None));
    lines.join("\n")
}

/// Whether a builder waits when the package comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Readiness {
    Warm,
    Cold,
}

/// Bare builds and the farm's, by turns; and how long builders took to be ready.
fn passages(
    program: &Path,
    cache: &Cache,
    (name, package, runs): (&str, &Path, u32),
    readiness: Readiness,
) -> Result<(Vec<Passage>, Vec<f64>)> {
    let step = Step::start(match readiness {
        Readiness::Warm => "a farm with a builder ready",
        Readiness::Cold => "a farm without builders",
    });
    let _lock = cache.lock("bench-farm")?;
    let place = Scratch::beside(&cache.path("bench-farm"))?;
    // One builder: its successor, which is another machine's work elsewhere, does not boot here beside the build.
    let idle = if readiness == Readiness::Warm { 1 } else { 0 };
    let farm = Farm::start_program(program, cache, place.path(), (1, idle))?;
    farm.copr_cli(&["create", "bench", "--chroot", CHROOT])?;
    let mut count = Count::of("build", runs as usize);
    let mut passages = Vec::new();
    for _ in 0..runs {
        await_fleet(&farm, readiness)?;
        let bare = match readiness {
            Readiness::Warm => Some(bare::build(&farm, package)?),
            Readiness::Cold => None,
        };
        let mut one = passage(&farm, (name, package), bare)?;
        let asked = Instant::now();
        let query = ["repoquery", "--refresh", "--disablerepo=base", name];
        farm.dnf(cache, "bench", &query)
            .context("asking dnf for what was built")?;
        one.seen = asked.elapsed().as_secs_f64();
        passages.push(one);
        count.one_more();
    }
    let starts = starts(&farm.events("")?)?;
    step.done("measured");
    Ok((passages, starts))
}

/// Waits until the fleet is as the case wants it and nothing else happens: all of it ready, or nothing left of it.
fn await_fleet(farm: &Farm, readiness: Readiness) -> Result<()> {
    let started = Instant::now();
    loop {
        let fleet = farm.json("/api/fleet")?;
        if is_settled(&fleet, readiness)? {
            return Ok(());
        }
        if started.elapsed() > PATIENCE {
            bail!("the fleet is not {readiness:?} after {PATIENCE:?}: {fleet}");
        }
        std::thread::sleep(POLL);
    }
}

/// Whether all of the fleet is ready, or nothing left of it.
fn is_settled(fleet: &Value, readiness: Readiness) -> Result<bool> {
    let states = fleet.get("builders").and_then(Value::as_object);
    let states = states.context("/api/fleet tells no builders")?;
    let count = |state: &str| states.get(state).and_then(Value::as_u64).unwrap_or(0);
    let live: u64 = states.keys().map(|state| count(state)).sum();
    Ok(match readiness {
        Readiness::Warm => live > 0 && live == count("ready"),
        Readiness::Cold => live == 0,
    })
}

/// One submission. A build has succeeded when it is in the published repository; when that was, its events tell: asking
/// for its state all the time would slow down what is measured.
fn passage(farm: &Farm, (package, file): (&str, &Path), bare: Option<f64>) -> Result<Passage> {
    let (started, waiting) = (OffsetDateTime::now_utc(), Instant::now());
    let build = farm.submit("bench", file)?;
    loop {
        let state = farm.state(build)?;
        if state == "succeeded" {
            break;
        }
        if is_over(&state) {
            let attempts = farm.json(&format!("/api/builds/{build}/attempts"))?;
            bail!("build {build} is {state}: {attempts:#}");
        }
        if waiting.elapsed() > PATIENCE {
            bail!("build {build} is still {state} after {PATIENCE:?}");
        }
        std::thread::sleep(POLL);
    }
    let attempts = farm.json(&format!("/api/builds/{build}/attempts"))?;
    let last = attempts.as_array().and_then(|all| all.last());
    let builder = last.map_or("", |attempt| text(attempt, "builder")).to_owned();
    let events = farm.events(&format!("&build={build}"))?;
    let (accepted, succeeded) = (when(&events, "pending")?, when(&events, "succeeded")?);
    let log = |name: &str| -> Result<String> {
        let path = format!("/results/admin/bench/{CHROOT}/{build:08}-{package}/{name}");
        match farm.get(&path)? {
            (200, text) => Ok(text),
            (status, _) => bail!("{path} answers {status}"),
        }
    };
    let moments = Moments::read(&events, &log("backend.log")?, &log("state.log")?)?;
    Ok(Passage {
        bare,
        whole: (succeeded - started).as_seconds_f64(),
        accepted: (succeeded - accepted).as_seconds_f64(),
        phases: moments.seconds(accepted),
        seen: 0.0,
        builder,
    })
}

/// A text of an event; empty where it has none of the name.
fn text<'a>(event: &'a Value, name: &str) -> &'a str {
    event.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// When a build came into a state, by its events.
fn when(events: &[Value], state: &str) -> Result<OffsetDateTime> {
    let is_it = |event: &&Value| text(event, "subject_kind") == "build" && text(event, "new_state") == state;
    let event = events.iter().find(is_it);
    moment(text(
        event.with_context(|| format!("no event says when the build was {state}"))?,
        "at",
    ))
}

/// How long every builder took from the call that launched it to being ready, by the farm's events.
fn starts(events: &[Value]) -> Result<Vec<f64>> {
    let mut launched = BTreeMap::new();
    let mut times = Vec::new();
    for event in events
        .iter()
        .filter(|event| text(event, "subject_kind") == "builder")
    {
        let (builder, at) = (text(event, "subject_id"), || moment(text(event, "at")));
        match text(event, "new_state") {
            "launching" => drop(launched.insert(builder, at()?)),
            "ready" => {
                if let Some(begun) = launched.remove(builder) {
                    times.push((at()? - begun).as_seconds_f64());
                }
            }
            _ => {}
        }
    }
    Ok(times)
}

mod reuse;
#[cfg(test)]
mod tests;
