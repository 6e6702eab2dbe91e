//! What the operator is told by `verdigris fleet`, by day and by night.

use std::{collections::BTreeSet, ffi::OsString, fs, process::Output, time::Duration};

use crate::{
    farm::{CHROOT, Farm, text, verdigris},
    packages::{SLOW, source_package},
};

#[test]
fn the_fleets_commands_name_builds_and_owners_and_a_farm_that_nobody_leads() {
    let mut farm = Farm::start();
    farm.copr(&["create", "demo", "--chroot", CHROOT]);
    let build = farm.submit("demo", &source_package(farm.directory.path(), SLOW));
    farm.wait_for(build, &["running"]);

    let status = farm.fleet_status();
    let builders = status["builders"].as_array().unwrap();
    let busy = builders.iter().find(|it| it["state"] == "busy").unwrap();
    let runs = &busy["runs"];
    assert_eq!(runs["build"], build, "{status}");
    assert_eq!(
        (runs["owner"].as_str(), runs["project"].as_str()),
        (Some("admin"), Some("demo"))
    );
    assert_eq!(status["troubles"], serde_json::json!([]), "{status}");
    let shown = farm.operate(&["fleet", "status"]);
    assert!(shown.starts_with("POOL   WANTED  BUILDERS  READY"), "{shown}");
    let what = format!("build {build} of admin/demo for {CHROOT}");
    assert!(shown.contains(&what), "{shown}");
    let id = busy["id"].as_str().unwrap();
    assert!(shown.contains(id), "one id in text and JSON: {shown}");
    why_tells_of_both(&farm, build, id);
    assert_eq!(farm.json("/api/fleet")["pools"][0]["name"], "local");

    let said = farm.refused(&["fleet", "resume", "locl"]);
    assert!(
        said.contains("no pool `locl`") && said.contains("did you mean `local`?"),
        "{said}"
    );
    let said = farm.operate(&["fleet", "resume", "local"]);
    assert_eq!(said.trim(), "Pool local is not held back: nothing to do.");

    let cost = farm.operate(&["fleet", "cost"]);
    assert!(
        cost.starts_with("HOUR (UTC)") && cost.contains(" h\n"),
        "none has a price: {cost}"
    );
    let cost: serde_json::Value =
        serde_json::from_str(&farm.operate(&["fleet", "cost", "--days", "2", "--json"])).unwrap();
    assert_eq!(cost["of"], "days");
    let all = &cost["all"]["pools"]["local"];
    assert!(
        all["machine_seconds"].as_u64().unwrap() > 0 && all["cost"] == "0",
        "{cost}"
    );

    // It is asked before a restart, while the controller of the first id leads.
    let (is_good, said) = with_another_fleet_id(&farm, |farm| {
        let output = check(farm);
        (output.status.success(), text(&output.stdout))
    });
    assert!(is_good, "it may be another farm's: {said}");
    let told = "builders good while that fleet's own controller runs; when it is stopped, the fleet file's `fleet` is";
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains(told), "{said}");

    farm.signal("TERM");
    assert!(farm.ends_within(Duration::from_secs(60)), "{}", farm.log());
    let kept = directories(&farm);
    for command in ["status", "plan"] {
        let said = farm.operate(&["fleet", command]);
        assert!(said.starts_with("! no controller leads since "), "{said}");
    }
    assert_eq!(directories(&farm), kept, "they only read");
    a_changed_fleet_id_is_refused(&farm);
    farm.up();
    farm.wait_for(build, &["succeeded"]);
}

/// The names of the directories in the farm's own.
fn directories(farm: &Farm) -> BTreeSet<OsString> {
    fs::read_dir(farm.path("data"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().unwrap().is_dir())
        .map(|entry| entry.file_name())
        .collect()
}

/// What is told of a build that runs, and of its builder.
fn why_tells_of_both(farm: &Farm, build: i64, builder: &str) {
    let number = build.to_string();
    let said = farm.operate(&["fleet", "why", &number]);
    let begins = format!("build {build} of admin/demo, ");
    assert!(said.starts_with(&begins) && said.contains(" running  "), "{said}");
    assert!(said.contains(builder) && !said.contains("in the queue"), "{said}");
    let said = farm.operate(&["fleet", "why", builder]);
    assert!(
        said.starts_with(&format!("{builder} of pool local is busy\n")),
        "{said}"
    );
    let runs = format!("  runs      build {build} of admin/demo for {CHROOT}, att_");
    assert!(
        said.contains(&runs)
            && said.contains("unless its worker gives a sign of life: then it becomes draining"),
        "{said}"
    );
    let states: Vec<_> = ["planned", "booting", "ready", "reserved", "busy"]
        .into_iter()
        .filter(|it| !said.contains(it))
        .collect();
    assert!(states.is_empty(), "its history lacks {states:?}: {said}");
    let story: serde_json::Value =
        serde_json::from_str(&farm.operate(&["fleet", "why", builder, "--json"])).unwrap();
    let instance = story["instance_id"].as_str().unwrap();
    let again: serde_json::Value =
        serde_json::from_str(&farm.operate(&["fleet", "why", instance, "--json"])).unwrap();
    assert_eq!(
        (&story["builder"], &again["builder"]),
        (&builder.into(), &builder.into())
    );
    assert_eq!(story["runs"]["build"], build, "{story}");
    assert!(story["machine_seconds"].as_u64().is_some(), "{story}");
}

/// What comes of something while the fleet file has another id.
fn with_another_fleet_id<T>(farm: &Farm, what: impl FnOnce(&Farm) -> T) -> T {
    let file = farm.path("data/fleet.yaml");
    let before = fs::read_to_string(&file).unwrap();
    let id = before.lines().find(|line| line.starts_with("fleet: ")).unwrap();
    let other = "fleet: 019a0000-0000-7000-8000-000000000009";
    fs::write(&file, before.replace(id, other)).unwrap();
    let outcome = what(farm);
    fs::write(&file, &before).unwrap();
    outcome
}

fn check(farm: &Farm) -> Output {
    verdigris()
        .args(["config", "check", "--config"])
        .arg(farm.path("data/verdigris.toml"))
        .output()
        .unwrap()
}

/// The machines of the first id would be nobody's.
fn a_changed_fleet_id_is_refused(farm: &Farm) {
    let file = fs::read_to_string(farm.path("data/fleet.yaml")).unwrap();
    let id = file.lines().find(|line| line.starts_with("fleet: ")).unwrap();
    let (output, checked) = with_another_fleet_id(farm, |farm| {
        let up = verdigris()
            .args(["up", "--directory"])
            .arg(farm.path("data"))
            .output()
            .unwrap();
        (up, check(farm))
    });
    let said = text(&output.stderr);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("on record"), "{said}");
    assert!(said.contains(&format!("Write `{id}` back")), "{said}");
    let said = text(&checked.stdout);
    assert!(!checked.status.success() && said.contains("on record"), "{said}");
}
