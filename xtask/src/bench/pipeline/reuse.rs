//! The second build of a project on the builder of its first, which was cleaned in between, beside that first build on a fresh one.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use super::{PATIENCE, POLL, Passage, Readiness, await_fleet, passage};
use crate::{
    bench::{
        phases::PHASES,
        table::{Times, heading},
    },
    cache::{Cache, Scratch},
    farm::{CHROOT, Farm},
    progress::{Count, Step},
};

/// What a pool of the farm's file says besides: a builder ends after a pair, so that the next pair begins with a fresh one.
const REUSE: &str = "    reuse: {scope: sandbox, max_uses: 2, idle_for: 10m}\n";
/// Where it is put.
const BEFORE: &str = "    offerings:";
/// What the farm says when that is in force.
const IN_FORCE: &str = "is in force: pool local changes";

/// Two builds of one project, one after the other on one builder: the first on a fresh one.
pub(super) struct Pair {
    first: Passage,
    second: Passage,
}

/// Measures pairs on a farm with one builder, which is always ready when a package comes.
pub(super) fn pairs(
    program: &Path,
    cache: &Cache,
    (name, package, runs): (&str, &Path, u32),
) -> Result<Vec<Pair>> {
    let step = Step::start("a farm whose builder is used again");
    let _lock = cache.lock("bench-farm")?;
    let place = Scratch::beside(&cache.path("bench-farm"))?;
    let farm = Farm::start_program(program, cache, place.path(), (1, 1))?;
    farm.copr_cli(&["create", "bench", "--chroot", CHROOT])?;
    use_builders_again(&farm)?;
    // The machine from before is not known well enough to be used again: it runs one build, which is measured by nobody.
    await_fleet(&farm, Readiness::Warm)?;
    let before = passage(&farm, (name, package), None)?;
    let mut count = Count::of("pair", runs as usize);
    let mut pairs: Vec<Pair> = Vec::new();
    for _ in 0..runs {
        let last = pairs.last().map_or(&before, |pair| &pair.second);
        let last = last.builder.clone();
        let ready = || {
            await_fleet(&farm, Readiness::Warm)?;
            passage(&farm, (name, package), None)
        };
        let pair = Pair {
            first: ready()?,
            second: ready()?,
        };
        pair.check(&last)?;
        pairs.push(pair);
        count.one_more();
    }
    step.done("measured");
    Ok(pairs)
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

/// Both builds, and the second beside the first of each pair.
pub(super) fn report(package: &str, pairs: &[Pair]) -> String {
    let accepted =
        |which: fn(&Pair) -> &Passage| Times::of(pairs.iter().map(|pair| which(pair).accepted).collect());
    let (first, second) = (accepted(|pair| &pair.first), accepted(|pair| &pair.second));
    let ratios = pairs
        .iter()
        .map(|pair| pair.second.accepted / pair.first.accepted);
    let mut lines = vec![
        heading(&format!("{package}, a builder used again, seconds")),
        first.line("accepted to installable, first build, fresh builder", None),
        second.line(
            "accepted to installable, second build, same builder",
            first.median(),
        ),
        heading("the same by pairs, second divided by first"),
        Times::of(ratios.collect()).line("accepted to installable", None),
        heading(&format!("what {package}'s second build saves, by pairs, seconds")),
    ];
    for (name, _) in PHASES {
        let of = |passage: &Passage| passage.phases.iter().find(|(phase, _)| *phase == name)?.1;
        let saved = pairs
            .iter()
            .filter_map(|pair| Some(of(&pair.first)? - of(&pair.second)?));
        lines.push(Times::of(saved.collect()).line(name, None));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::{super::tests::passage, *};

    fn on(builder: &str, accepted: f64) -> Passage {
        Passage {
            builder: builder.to_owned(),
            ..passage(None, accepted)
        }
    }

    fn pair(first: (&str, f64), second: (&str, f64)) -> Pair {
        Pair {
            first: on(first.0, first.1),
            second: on(second.0, second.1),
        }
    }

    #[test]
    fn a_pair_is_of_one_builder_that_was_fresh() {
        assert!(pair(("a", 5.0), ("a", 4.0)).check("z").is_ok());
        for (pair, words) in [
            (
                pair(("a", 5.0), ("b", 4.0)),
                "the second build of a pair ran on builder b",
            ),
            (pair(("z", 5.0), ("z", 4.0)), "\"z\", which is not fresh"),
            (pair(("", 5.0), ("", 4.0)), "not fresh"),
        ] {
            let error = pair.check("z").unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn the_report_has_both_builds_their_ratio_and_what_each_phase_saves() {
        let pairs = [
            pair(("a", 10.0), ("a", 5.0)),
            pair(("b", 8.0), ("b", 6.0)),
            pair(("c", 10.0), ("c", 9.0)),
        ];
        let text = report("hello", &pairs);
        let figures = |what: &str| {
            let line = text.lines().find_map(|line| line.trim_start().strip_prefix(what));
            let words = line.unwrap_or_else(|| panic!("no line {what}: {text}"));
            words.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            figures("accepted to installable, first build, fresh builder"),
            "3 10.00 8.00 10.00"
        );
        assert_eq!(
            figures("accepted to installable, second build, same builder"),
            "3 6.00 5.00 9.00 x 0.60"
        );
        // 0.5, 0.75 and 0.9.
        assert_eq!(figures("accepted to installable "), "3 0.75 0.50 0.90");
        assert_eq!(figures("rpmbuild "), "3 2.00 1.00 5.00");
        assert_eq!(figures("root "), "not measured");
        assert!(report("hello", &[]).contains("not measured"), "nothing to divide");
    }

    #[test]
    fn a_pool_is_told_to_use_builders_again() {
        let fleet = "pools:\n  local:\n    size: {max: 1}\n    offerings: [{types: [a]}]\n";
        let changed = with_reuse(fleet).unwrap();
        assert!(
            changed.contains(
                "{max: 1}\n    reuse: {scope: sandbox, max_uses: 2, idle_for: 10m}\n    offerings:"
            )
        );
        assert_eq!(
            with_reuse("pools: {}").unwrap_err().to_string(),
            "fleet.yaml has no pool with offerings"
        );
    }
}
