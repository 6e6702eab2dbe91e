//! From a submission to an installable package: on a builder that waits, and on one that has to be rented first.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use time::OffsetDateTime;

use self::machines::Machines;
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
/// varies by; one with configure, make and tests; and one that the build root has not all for.
const LEAST: &str = "note";
const USUAL: &str = "hello";
const NEEDY: &str = "wants";
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

/// What is measured.
#[derive(Debug, clap::Args)]
pub(crate) struct Pipeline {
    /// How often each case is measured.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    /// Measure only this, for each `--case`; all where none is named.
    #[arg(long = "case", value_enum)]
    cases: Vec<Case>,
    /// Install nothing; fail where something is missing.
    #[arg(long)]
    no_install: bool,
}

/// What can be measured by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Case {
    /// Builders that run one build, beside bare builds.
    Once,
    /// The second build of a project on the builder of its first.
    Reuse,
}

impl Pipeline {
    fn has(&self, case: Case) -> bool {
        self.cases.is_empty() || self.cases.contains(&case)
    }
}

/// What every case needs.
#[derive(Clone, Copy)]
struct Bench<'a> {
    program: &'a Path,
    cache: &'a Cache,
    runs: u32,
}

/// A package that is built: its name, and its source package.
type Package = (&'static str, PathBuf);

/// Measures and prints.
pub(super) fn run(cache: &Cache, wanted: &Pipeline) -> Result<()> {
    setup::run(cache, setup::Purpose::Farm, !wanted.no_install)?;
    image::builder(cache)?;
    let package =
        |name: &'static str| Ok::<Package, anyhow::Error>((name, examples::source_package(cache, name)?));
    let (least, usual, needy) = (package(LEAST)?, package(USUAL)?, package(NEEDY)?);
    let program = workspace::release_program()?;
    let bench = Bench {
        program: &program,
        cache,
        runs: wanted.runs,
    };
    let mut machines = Machines::default();
    if wanted.has(Case::Once) {
        machines.add(once(bench, &least, &usual)?);
    }
    if wanted.has(Case::Reuse) {
        // What is saved lies around the package's own build: a longer one would only hide it.
        for package in [&least, &needy] {
            for first in reuse::FIRSTS {
                let (pairs, more) = reuse::pairs(bench, package, first)?;
                say(reuse::report(package.0, first, &pairs));
                machines.add(more);
            }
        }
    }
    say(machines.report());
    say(
        "\nA release build of the farm, on the machine that also runs its only builder. Over bare: with a builder ready, the differences of \
         pairs of a bare build and the farm's on the same builder; without one, those to the median of the bare builds. Used again: a \
         project's first two builds on one builder, cleaned between them. Repositories are read from this machine here: elsewhere the first \
         build waits for the network besides, and the second does not.",
    );
    Ok(())
}

/// Builders that run one build: prints, and tells what the machines took.
fn once(bench: Bench<'_>, least: &Package, usual: &Package) -> Result<Machines> {
    let mut machines = Machines::default();
    for (package, has_cold) in [(least, false), (usual, true)] {
        let (warm, begun) = passages(bench, package, Readiness::Warm)?;
        machines.add(begun);
        let mut cases = vec![(warm, "builder ready")];
        if has_cold {
            let (cold, begun) = passages(bench, package, Readiness::Cold)?;
            machines.add(begun);
            cases.push((cold, "no builder"));
        }
        say(report(package.0, &cases));
    }
    Ok(machines)
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

/// Bare builds and the farm's, by turns; and what the machines took.
fn passages(
    bench: Bench<'_>,
    (name, package): &Package,
    readiness: Readiness,
) -> Result<(Vec<Passage>, Machines)> {
    let (cache, runs) = (bench.cache, bench.runs);
    let step = Step::start(match readiness {
        Readiness::Warm => "a farm with a builder ready",
        Readiness::Cold => "a farm without builders",
    });
    let _lock = cache.lock("bench-farm")?;
    let place = Scratch::beside(&cache.path("bench-farm"))?;
    // One builder: its successor, which is another machine's work elsewhere, does not boot here beside the build.
    let idle = if readiness == Readiness::Warm { 1 } else { 0 };
    let farm = Farm::start_program(bench.program, cache, place.path(), (1, idle))?;
    farm.copr_cli(&["create", "bench", "--chroot", CHROOT])?;
    let mut count = Count::of("build", runs as usize);
    let mut passages = Vec::new();
    for _ in 0..runs {
        await_fleet(&farm, readiness)?;
        let bare = match readiness {
            Readiness::Warm => Some(bare::build(&farm, package)?),
            Readiness::Cold => None,
        };
        let mut one = passage(&farm, name, package, bare)?;
        let asked = Instant::now();
        let query = ["repoquery", "--refresh", "--disablerepo=base", name];
        farm.dnf(cache, "bench", &query)
            .context("asking dnf for what was built")?;
        one.seen = asked.elapsed().as_secs_f64();
        passages.push(one);
        count.one_more();
    }
    let machines = Machines::used_once(&farm.events("")?)?;
    step.done("measured");
    Ok((passages, machines))
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
fn passage(farm: &Farm, package: &str, file: &Path, bare: Option<f64>) -> Result<Passage> {
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

mod machines;
mod reuse;
#[cfg(test)]
mod tests;
