//! The whole farm at work on real input: three packages from upstream releases, one of which needs another; one that
//! fails; and dnf, which installs what was built with both signature checks on.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::{
    cache::{Cache, Scratch},
    examples,
    farm::{CHROOT, Farm},
    image,
    process::Tool,
    progress::{Step, say},
    setup,
};

/// Runs the demo; with `once` it ends instead of keeping the farm up.
pub(crate) fn run(cache: &Cache, install: bool, once: bool) -> Result<()> {
    setup::run(cache, setup::Purpose::Farm, install)?;
    image::builder(cache)?;
    let packages = ["broken", "hello", "lzo", "squashfs-tools"];
    let [broken, hello, lzo, squashfs] = packages.map(|name| examples::source_package(cache, name));
    let packages = [broken?, hello?, lzo?, squashfs?];
    let _lock = cache.lock("demo")?;
    let place = Scratch::beside(&cache.path("demo"))?;
    let step = Step::start("the farm (building the program first, which takes minutes the first time)");
    let mut farm = Farm::start(cache, place.path(), 4, 1)?;
    step.done(farm.url());
    // Ctrl-C ends the farm, which gets it as well; what is left to this program is to tidy up.
    let interrupted = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGINT, Arc::clone(&interrupted))?;
    let shown = show(cache, &farm, &packages);
    match shown {
        Ok(()) if once => Ok(()),
        Ok(()) => {
            say("\nThe farm goes on running; Ctrl-C ends it.");
            farm.wait()
        }
        Err(_) if interrupted.load(Ordering::Relaxed) => {
            say("\nInterrupted.");
            Ok(())
        }
        Err(error) => {
            say(format!("\nThe farm's last words:\n{}", farm.last_words()));
            drop(farm);
            let place = place.leave();
            Err(error.context(format!("what the demo left is in {}", place.display())))
        }
    }
}

fn show(cache: &Cache, farm: &Farm, [broken, hello, lzo, squashfs]: &[PathBuf; 4]) -> Result<()> {
    farm.copr_cli(&[
        "create",
        "demo",
        "--chroot",
        CHROOT,
        "--description",
        "The demo of Verdigris",
    ])?;
    say(format!("project {}/coprs/admin/demo/", farm.url()));
    // squashfs-tools needs what lzo makes; the others need nothing, so that both lines go on side by side.
    std::thread::scope(|scope| {
        let beside = scope.spawn(|| build(farm, "hello", hello).and_then(|()| fail(farm, broken)));
        let in_turn = build(farm, "lzo", lzo).and_then(|()| build(farm, "squashfs-tools", squashfs));
        match beside.join() {
            Ok(built) => built.and(in_turn),
            Err(_) => bail!("following the build of hello failed"),
        }
    })?;
    install_and_run(cache, farm)?;
    say(addresses(&farm.url(), &farm.configuration()));
    Ok(())
}

/// Submits a package and shows its log as it grows.
fn build(farm: &Farm, name: &str, package: &Path) -> Result<()> {
    let number = farm.submit("demo", package)?;
    let step = Step::start(format!("build {number}: {name}"));
    let state = farm.follow(number, name, |line| say(format!("    {name} | {line}")))?;
    if state != "succeeded" {
        let attempts = farm.json(&format!("/api/builds/{number}/attempts"))?;
        bail!("build {number} of {name} is {state}: {attempts:#}");
    }
    step.done(state);
    Ok(())
}

/// Submits a package that cannot be built, and shows why that is.
fn fail(farm: &Farm, package: &Path) -> Result<()> {
    let number = farm.submit("demo", package)?;
    let step = Step::start(format!("build {number}: broken, which cannot succeed"));
    let state = farm.follow(number, "broken", |_| {})?;
    if state != "failed" {
        bail!("build {number} of broken is {state}");
    }
    let attempts = farm.json(&format!("/api/builds/{number}/attempts"))?;
    for line in reasons(&attempts)? {
        step.note(line);
    }
    step.done(state);
    Ok(())
}

/// Whom the last attempt blames, and why.
fn reasons(attempts: &Value) -> Result<[String; 2]> {
    let last = attempts.as_array().and_then(|attempts| attempts.last());
    let last = last.context("a failed build without an attempt")?;
    Ok(["blame", "reason"].map(|field| {
        let words = last.get(field).and_then(Value::as_str);
        format!("{field}: {}", words.unwrap_or("none"))
    }))
}

/// Installs the three packages into a scratch root and runs the programs in it.
fn install_and_run(cache: &Cache, farm: &Farm) -> Result<()> {
    let step = Step::start("dnf install hello lzo squashfs-tools, with gpgcheck=1 repo_gpgcheck=1");
    farm.dnf(cache, "demo", &["install", "hello", "lzo", "squashfs-tools"])?;
    for command in [
        ["/usr/bin/hello", "--greeting=built by Verdigris"],
        ["/usr/sbin/mksquashfs", "-version"],
    ] {
        let said = Tool::in_namespace("chroot")
            .arg(farm.root())
            .args(command)
            .output()?;
        step.note(format!(
            "{}: {}",
            command.join(" "),
            said.lines().next().unwrap_or_default()
        ));
    }
    step.done("installed and run");
    Ok(())
}

/// Where to look and what to type next.
fn addresses(url: &str, configuration: &Path) -> String {
    format!(
        "\n  the project   {url}/coprs/admin/demo/\n  its packages  {url}/results/admin/demo/{CHROOT}/\n  \
         the API       {url}/api/openapi.json\n  copr-cli      --config {}",
        configuration.display()
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_last_attempt_says_why_a_build_failed() {
        let attempt = |blame: Value, reason: Value| json!({"blame": blame, "reason": reason});
        let first = attempt(json!("builder"), json!("lost"));
        for (attempts, expected) in [
            (
                json!([first, attempt(json!("package"), json!("%build failed"))]),
                Some(["blame: package", "reason: %build failed"]),
            ),
            (
                json!([attempt(Value::Null, Value::Null)]),
                Some(["blame: none", "reason: none"]),
            ),
            (json!([{}]), Some(["blame: none", "reason: none"])),
            (json!([]), None),
            (json!({"error": "x"}), None),
        ] {
            let found = reasons(&attempts).ok();
            assert_eq!(
                found,
                expected.map(|lines| lines.map(str::to_owned)),
                "{attempts}"
            );
        }
    }

    #[test]
    fn every_address_is_one_that_can_be_opened() {
        let text = addresses("http://127.0.0.1:8080", Path::new("/d/copr.conf"));
        let words: Vec<_> = text
            .lines()
            .filter_map(|line| line.split_whitespace().last())
            .collect();
        assert_eq!(
            words,
            [
                "http://127.0.0.1:8080/coprs/admin/demo/",
                "http://127.0.0.1:8080/results/admin/demo/microdistro-1-x86_64/",
                "http://127.0.0.1:8080/api/openapi.json",
                "/d/copr.conf",
            ]
        );
    }
}
