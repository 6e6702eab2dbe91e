//! Hooks of a whole farm: real programs, told of real machines.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

use serde_json::Value;

use crate::{
    farm::{CHROOT, Farm, eventually, text, verdigris},
    packages::{GREETING, source_package},
};

const IN_ORDER: [&str; 5] = [
    "before_spawn",
    "after_spawn",
    "after_ready",
    "before_terminate",
    "after_terminate",
];

/// What the hook wrote down of a builder: the variables that it had, and what it read.
fn told(farm: &Farm, builder: &str) -> Vec<(String, String, Value)> {
    let text = fs::read_to_string(farm.path("told")).unwrap_or_default();
    let lines = text.lines().map(|line| {
        let (hook, rest) = line.split_once(' ').unwrap();
        let (key, json) = rest.split_once(' ').unwrap();
        (
            hook.to_owned(),
            key.to_owned(),
            serde_json::from_str::<Value>(json).unwrap(),
        )
    });
    lines.filter(|(_, _, json)| json["builder"] == builder).collect()
}

/// What `verdigris config check` says, whether all is well or not.
fn check(farm: &Farm) -> String {
    let mut command = verdigris();
    command
        .args(["config", "check", "--config"])
        .arg(farm.path("data/verdigris.toml"));
    text(&command.output().unwrap().stdout)
}

/// That all five were told once, in order, of the same machine.
fn assert_whole(told: &[(String, String, Value)]) {
    let hooks: Vec<&str> = told.iter().map(|(hook, ..)| hook.as_str()).collect();
    assert_eq!(hooks, IN_ORDER, "{told:?}");
    let last = &told[4].2;
    assert_eq!(last["state"], "terminated");
    for (number, (hook, key, json)) in told.iter().enumerate() {
        assert_eq!(
            (json["hook"].as_str(), json["key"].as_str()),
            (Some(hook.as_str()), Some(key.as_str()))
        );
        assert_eq!((&json["schema"], &json["attempt"]), (&1.into(), &1.into()));
        assert_eq!(
            (json["pool"].as_str(), json["cloud"].is_string()),
            (Some("local"), true)
        );
        if number > 0 {
            assert_eq!(json["instance"], last["instance"]);
        }
        if number > 1 {
            assert_eq!(json["address"], last["address"]);
        }
    }
    assert!(
        last["instance"].as_str().is_some_and(|id| id.starts_with("i-")),
        "{last}"
    );
}

/// Has all hooks write down what they are told; that of `after_ready` fails. The program, which may not be executed yet.
fn write_hooks(farm: &Farm) -> PathBuf {
    let hook = farm.path("hook");
    let script = format!(
        "#!/bin/sh\nread -r json\n\
         printf '%s %s %s\\n' \"$VERDIGRIS_HOOK\" \"$VERDIGRIS_ATTEMPT\" \"$json\" >>{}\n\
         test \"$VERDIGRIS_HOOK\" != after_ready || {{ echo no such inventory; exit 3; }}\n",
        farm.path("told").display()
    );
    fs::write(&hook, script).unwrap();
    let file = farm.path("data/fleet.yaml");
    let before = fs::read_to_string(&file).unwrap();
    let hooks: String = IN_ORDER
        .iter()
        .map(|name| format!("  {name}: [{{cmd: [{}, {name}]}}]\n", hook.display()))
        .collect();
    fs::write(&file, format!("{before}hooks:\n{hooks}")).unwrap();
    hook
}

#[test]
fn all_hooks_run_once_for_each_builder_in_the_order_of_its_life() {
    let farm = Farm::start();
    let hook = write_hooks(&farm);
    // That nobody may execute it is found before it matters.
    let said = check(&farm);
    assert!(
        said.contains("hooks.before_spawn[0].cmd[0]: ") && said.contains("may not be executed"),
        "{said}"
    );
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    let said = check(&farm);
    assert!(said.contains("hooks      good"), "{said}");

    eventually("the file is in force", || {
        farm.log().contains("is in force: `hooks` changes")
    });
    farm.copr(&["create", "demo", "--chroot", CHROOT]);
    let package = source_package(farm.directory.path(), GREETING);
    // Of the builder that was there before the file changed only the rest is told.
    let builds: Vec<i64> = (0..3).map(|_| farm.submit("demo", &package)).collect();
    let ran_on = |build: i64| {
        farm.wait_for(build, &["succeeded"]);
        let attempts = farm.json(&format!("/api/builds/{build}/attempts"));
        let last = attempts.as_array().unwrap().last().unwrap().clone();
        last["builder"].as_str().unwrap().to_owned()
    };
    let builders: Vec<String> = builds.into_iter().map(ran_on).collect();
    let fresh: Vec<&String> = builders
        .iter()
        .filter(|it| {
            told(&farm, it)
                .first()
                .is_some_and(|(hook, ..)| hook == "before_spawn")
        })
        .collect();
    assert!(fresh.len() >= 2, "{builders:?}\n{}", farm.log());
    for builder in fresh {
        eventually("it is told of the end", || told(&farm, builder).len() == 5);
        let told = told(&farm, builder);
        assert_whole(&told);
        let why = farm.operate(&["fleet", "why", builder]);
        let failed = format!(
            "  failed    hook after_ready failed: {} after_ready: exit code 3 (no such inventory)",
            hook.display()
        );
        assert!(why.contains(&failed), "{why}");
    }
    let status = farm.operate(&["fleet", "status"]);
    assert!(status.contains("\nhook after_ready of "), "{status}");
    let all = fs::read_to_string(farm.path("told")).unwrap();
    let mut keys: Vec<&str> = all.lines().map(|line| line.split(' ').nth(1).unwrap()).collect();
    let count = keys.len();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), count, "no key is used twice");
}
