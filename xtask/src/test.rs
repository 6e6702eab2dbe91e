//! Runs every test: makes sure that all they need is there, then the test runner, the documentation's examples, and the
//! tests of the builder's scripts and of the chart.

use anyhow::{Context as _, Result, bail};

use crate::cache::Cache;
use crate::process::Tool;
use crate::progress::{Step, say};
use crate::workspace::{self, cargo, root};
use crate::{image, setup};

/// The tests that go on for minutes when they are asked to, and how they are: by a variable of their environment. Without it each is
/// a part of all tests, and short.
const LONG_TESTS: &str =
    "test(=killed::whenever_the_controller_is_killed_the_clouds_books_and_the_farms_agree_in_the_end)";
const LONG: &str = "VERDIGRIS_LONG_TESTS";

/// Sets up, makes the images (and so the micro-distribution), and runs all tests; `arguments` go to the runner.
pub(crate) fn run(cache: &Cache, install: bool, arguments: &[String]) -> Result<()> {
    run_all(suites(cache, runner(cache, install)?, arguments)?)
}

/// The same for the long tests, one after the other, at their full length.
pub(crate) fn run_long(cache: &Cache, install: bool, arguments: &[String]) -> Result<()> {
    let runner = runner(cache, install)?.env(LONG, "1");
    run_all(suites(cache, runner, &long(arguments))?)
}

fn long(arguments: &[String]) -> Vec<String> {
    let chosen = ["-E", LONG_TESTS, "--test-threads", "1", "--no-capture"];
    let chosen = chosen.iter().map(|word| (*word).to_owned());
    chosen.chain(arguments.iter().cloned()).collect()
}

/// The runner, when all that tests need is there and they are compiled.
fn runner(cache: &Cache, install: bool) -> Result<Tool> {
    setup::run(cache, setup::Purpose::Tests, install)?;
    image::run(cache)?;
    let Some(runner) = setup::nextest(cache) else {
        bail!("cargo-nextest is missing: `cargo xtask setup` installs it");
    };
    let step = Step::start("the tests (compiling them first, which takes minutes the first time)");
    workspace::compile(cargo()?.args(["test", "--workspace", "--no-run"]))
        .context("the tests do not compile")?;
    step.done("compiled");
    Ok(Tool::new(runner))
}

/// What is run, each with its name. Chosen tests are among the runner's; all are those of the documentation, of the builder's
/// scripts and of the chart as well.
fn suites(cache: &Cache, runner: Tool, arguments: &[String]) -> Result<Vec<(&'static str, Tool)>> {
    let root = root()?;
    let tests = runner
        .args(["nextest", "run", "--workspace", "--no-fail-fast"])
        .args(arguments)
        .dir(&root);
    let mut suites = vec![("tests", tests)];
    if arguments.is_empty() {
        let python =
            |tool: Tool, tests: &str| tool.args(["-m", "unittest", "discover", "-s", tests]).dir(&root);
        suites.extend([
            (
                "examples in the documentation",
                cargo()?.args(["test", "--workspace", "--doc", "--quiet"]),
            ),
            // They make namespaces and mounts as root.
            (
                "tests of the builder's scripts",
                python(Tool::as_root("python3"), "provision-files/builder/tests"),
            ),
            // The chart is rendered by Helm's own engine, which the Python environment brings.
            (
                "tests of the chart",
                python(Tool::new(setup::python_tool(cache, "python3")), "charts/tests"),
            ),
        ]);
    }
    Ok(suites)
}

/// Runs each, also after one that fails: one run shows all that is broken.
fn run_all(suites: Vec<(&str, Tool)>) -> Result<()> {
    let mut failed = Vec::new();
    for (what, tool) in suites {
        say(format!("==> {what}"));
        let status = tool.status()?;
        if !status.success() {
            failed.push(format!("{what} failed ({status})"));
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    bail!("{}", failed.join("; "))
}

#[cfg(test)]
mod tests {
    use super::{run_all, suites};
    use crate::{cache::Cache, process::Tool, workspace};

    fn shown(arguments: &[&str]) -> Vec<(&'static str, String)> {
        let place = tempfile::tempdir().unwrap();
        let cache = Cache::at(place.path()).unwrap();
        let arguments: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
        let suites = suites(&cache, Tool::new("cargo-nextest"), &arguments).unwrap();
        let suites = suites.into_iter();
        suites.map(|(what, tool)| (what, tool.shown())).collect()
    }

    #[test]
    fn chosen_tests_are_run_by_the_runner_alone() {
        let runner = "cargo-nextest nextest run --workspace --no-fail-fast";
        for (arguments, end) in [
            (&["builds"][..], "builds"),
            (&["-E", "test(=a)"], "-E 'test(=a)'"),
        ] {
            assert_eq!(shown(arguments), [("tests", format!("{runner} {end}"))]);
        }
        let all = shown(&[]);
        assert_eq!(all[0], ("tests", runner.to_owned()));
        let ends: Vec<_> = all[1..]
            .iter()
            .map(|(_, shown)| shown.split_whitespace().last().unwrap())
            .collect();
        assert_eq!(ends, ["--quiet", "provision-files/builder/tests", "charts/tests"]);
        let root = workspace::root().unwrap();
        assert!(
            ends[1..].iter().all(|tests| root.join(tests).is_dir()),
            "{ends:?}"
        );
    }

    #[test]
    fn the_long_tests_are_there_by_their_names() {
        let arguments = super::long(&["--profile".to_owned(), "x".to_owned()]);
        assert_eq!(arguments[5..], ["--profile", "x"]);
        let name = super::LONG_TESTS
            .trim_start_matches("test(=")
            .trim_end_matches(')');
        let (room, test) = name.split_once("::").unwrap();
        let file = workspace::root()
            .unwrap()
            .join(format!("verdigris/tests/it/{room}.rs"));
        let text = fs_err::read_to_string(file).unwrap();
        assert!(text.contains(&format!("fn {test}()")), "{name}");
        assert!(text.contains(super::LONG), "{name}");
    }

    #[test]
    fn one_run_shows_all_that_is_broken() {
        let place = tempfile::tempdir().unwrap();
        let ran = place.path().join("ran");
        let suite = |name: &'static str, code: u8| {
            let script = format!("echo {name} >>\"$1\"; exit {code}");
            (name, Tool::new("sh").args(["-c", &script, "sh"]).arg(&ran))
        };
        let all = vec![
            suite("one", 0),
            suite("two", 1),
            suite("three", 0),
            suite("four", 3),
        ];
        let error = run_all(all).unwrap_err().to_string();
        assert_eq!(error, "two failed (exit status: 1); four failed (exit status: 3)");
        assert_eq!(fs_err::read_to_string(&ran).unwrap(), "one\ntwo\nthree\nfour\n");
        run_all(vec![suite("five", 0)]).unwrap();
    }
}
