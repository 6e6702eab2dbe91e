//! The second build of a project on the builder of its first, which was cleaned in between, beside that first build.

mod newer;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::{Bench, PATIENCE, POLL, Package, Passage, Readiness, await_fleet, machines::Machines, passage};
use crate::{
    bench::{
        phases::PHASES,
        table::{Times, heading},
    },
    cache::Scratch,
    farm::{CHROOT, Farm, REPOSITORY},
    progress::{Count, Step},
};

/// What a pool of the farm's file says besides: a builder ends after a pair, so that the next pair begins with a fresh one.
const REUSE: &str = "    reuse: {scope: sandbox, max_uses: 2, idle_for: 10m}\n";
/// Where it is put.
const BEFORE: &str = "    offerings:";
/// What the farm says when that is in force.
const IN_FORCE: &str = "is in force: pool local changes";
/// Seconds by which a phase has to differ to be named.
const NOTABLE: f64 = 0.02;

/// What the first build of a pair finds. The second one finds its builder, clean and ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum First {
    /// A fresh builder that waits, whose image has the build root that is wanted: all there is to have.
    Ready,
    /// A fresh builder that waits, and no build root of the repository as it is now, as on the image of a cloud.
    Rootless,
    /// No machine: the pool holds none ready.
    Launched,
}

/// All of them, in the order in which they are measured.
pub(super) const FIRSTS: [First; 3] = [First::Ready, First::Rootless, First::Launched];

impl First {
    fn describe(self) -> &'static str {
        match self {
            Self::Ready => "fresh builder ready",
            Self::Rootless => "fresh builder ready, no build root",
            Self::Launched => "no builder",
        }
    }

    /// How many builders the pool holds ready.
    fn idle(self) -> u32 {
        match self {
            Self::Ready | Self::Rootless => 1,
            Self::Launched => 0,
        }
    }
}

/// Two builds of one project, one after the other on one builder: the first on a fresh one.
pub(super) struct Pair {
    first: Passage,
    second: Passage,
}

/// Measures pairs on a farm of at most one builder.
pub(super) fn pairs(
    bench: Bench<'_>,
    (name, package): &Package,
    first: First,
) -> Result<(Vec<Pair>, Machines)> {
    let cache = bench.cache;
    let step = Step::start(format!(
        "{name} on a builder that is used again: {}",
        first.describe()
    ));
    let _lock = cache.lock("bench-farm")?;
    let place = Scratch::beside(&cache.path("bench-farm"))?;
    let repository = cache.path(REPOSITORY).canonicalize()?;
    let mirror = match first {
        First::Rootless => newer::copy(&repository, &place.path().join("newer"))?,
        First::Ready | First::Launched => repository,
    };
    let farm = Farm::start_on(
        &mirror,
        bench.program,
        cache,
        &place.path().join("farm"),
        (1, first.idle()),
    )?;
    farm.copr_cli(&["create", "bench", "--chroot", CHROOT])?;
    use_builders_again(&farm)?;
    let build = |readiness| {
        await_fleet(&farm, readiness)?;
        passage(&farm, name, package, None)
    };
    let begin = if first == First::Launched {
        Readiness::Cold
    } else {
        Readiness::Warm
    };
    // A machine from before is not known well enough to be used again: it runs one build, which is measured by nobody.
    let mut last = match begin {
        Readiness::Warm => build(begin)?.builder,
        Readiness::Cold => String::new(),
    };
    let mut count = Count::of("pair", bench.runs as usize);
    let mut pairs: Vec<Pair> = Vec::new();
    for _ in 0..bench.runs {
        let pair = Pair {
            first: build(begin)?,
            second: build(Readiness::Warm)?,
        };
        pair.check(&last)?;
        last.clone_from(&pair.second.builder);
        pairs.push(pair);
        count.one_more();
    }
    let machines = Machines::used_again(&farm.events("")?, first.idle() as usize)?;
    step.done("measured");
    Ok((pairs, machines))
}

impl Pair {
    /// That both builds ran on one builder, and that nothing had run there before.
    fn check(&self, last: &str) -> Result<()> {
        let (first, second) = (&self.first.builder, &self.second.builder);
        if first.is_empty() || first == last {
            bail!("the first build of a pair ran on builder {first:?}, which is not fresh");
        }
        if first != second {
            bail!("the second build of a pair ran on builder {second}, and the first one on {first}");
        }
        Ok(())
    }

    /// The seconds by which the second build was shorter in a phase; none where one of them lacks its mark.
    fn saved(&self, name: &str) -> Option<f64> {
        let of = |passage: &Passage| passage.phases.iter().find(|(phase, _)| *phase == name)?.1;
        Some(of(&self.first)? - of(&self.second)?)
    }
}

/// Has the farm use builders again for the builds of their sandboxes.
fn use_builders_again(farm: &Farm) -> Result<()> {
    let file = farm.directory.join("data/fleet.yaml");
    let text = fs_err::read_to_string(&file)?;
    fs_err::write(&file, with_reuse(&text)?)?;
    let started = Instant::now();
    while !fs_err::read_to_string(farm.directory.join("farm.log"))?.contains(IN_FORCE) {
        if started.elapsed() > PATIENCE {
            bail!("the changed fleet file is not in force after {PATIENCE:?}");
        }
        std::thread::sleep(POLL.min(Duration::from_millis(50)));
    }
    Ok(())
}

/// A fleet file of one pool whose builders are used again.
fn with_reuse(fleet: &str) -> Result<String> {
    let (start, end) = fleet
        .split_once(BEFORE)
        .context("fleet.yaml has no pool with offerings")?;
    Ok(format!("{start}{REUSE}{BEFORE}{end}"))
}

/// Both builds, the second beside the first of each pair, and where the difference comes from.
pub(super) fn report(package: &str, first: First, pairs: &[Pair]) -> String {
    let accepted =
        |which: fn(&Pair) -> &Passage| Times::of(pairs.iter().map(|pair| which(pair).accepted).collect());
    let (before, after) = (accepted(|pair| &pair.first), accepted(|pair| &pair.second));
    let ratios: Vec<f64> = pairs
        .iter()
        .map(|pair| pair.second.accepted / pair.first.accepted)
        .collect();
    let faster = ratios.iter().filter(|ratio| **ratio < 1.0).count();
    let mut lines = vec![
        heading(&format!("{package}, at first {}, seconds", first.describe())),
        before.line("accepted to installable, first build", None),
        after.line("accepted to installable, second, same builder", before.median()),
        heading("the same by pairs"),
        Times::of(ratios).line("second divided by first", None),
        format!(
            "  the second build was faster in {faster} of {} pairs",
            pairs.len()
        ),
    ];
    let saved: Vec<(&str, Times)> = PHASES
        .iter()
        .map(|(name, _)| {
            let saved = pairs.iter().filter_map(|pair| pair.saved(name));
            (*name, Times::of(saved.collect()))
        })
        .filter(|(_, times)| times.median().is_some_and(|median| median.abs() >= NOTABLE))
        .collect();
    if saved.is_empty() {
        lines.push(format!("  no phase differs by {NOTABLE} s or more"));
    } else {
        lines.push(heading("what the second saves, by pairs, seconds"));
        lines.extend(saved.iter().map(|(name, times)| times.line(name, None)));
    }
    lines.join("\n")
}
