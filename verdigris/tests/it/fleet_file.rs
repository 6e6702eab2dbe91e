//! `verdigris fleet` on a farm that never ran: its schema, a first fleet file, another one beside it, and the status over and over.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    path::Path,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    clouds::Running,
    config_check::Place,
    farm::{PATIENCE, cached, text, verdigris},
};

/// The code of a command that cannot use a file.
const BAD_CONFIG: i32 = 5;

fn run(place: &Place, arguments: &[&str]) -> Output {
    let mut command = verdigris();
    command
        .args(arguments)
        .arg("--config")
        .arg(place.path("verdigris.toml"));
    command.output().unwrap()
}

/// Validates each of the fleet files that it is given with the schema that it is given; prints how many mistakes each has, or
/// that it is no YAML.
const VALIDATOR: &str = r#"
import json, sys, yaml
from jsonschema import Draft202012Validator
given = json.load(sys.stdin)
Draft202012Validator.check_schema(given["schema"])
validator = Draft202012Validator(given["schema"])
def mistakes(text):
    try:
        return len(list(validator.iter_errors(yaml.safe_load(text))))
    except yaml.YAMLError:
        return None
print(json.dumps([mistakes(text) for text in given["files"]]))
"#;

fn mistakes(files: &[String]) -> Vec<Option<u64>> {
    let schema = verdigris().args(["fleet", "schema"]).output().unwrap();
    assert!(schema.status.success());
    let schema: Value = serde_json::from_slice(&schema.stdout).unwrap();
    let mut python = Command::new(cached("venv/bin/python"))
        .args(["-c", VALIDATOR])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let given = serde_json::json!({"schema": schema, "files": files});
    python
        .stdin
        .take()
        .unwrap()
        .write_all(given.to_string().as_bytes())
        .unwrap();
    let said = python.wait_with_output().unwrap();
    serde_json::from_slice(&said.stdout).unwrap()
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)).unwrap()
}

/// The fleet files that the guide and the chart show, and those that programs write.
fn examples() -> Vec<String> {
    let guide = read("docs/fleet.md");
    let (_, block) = guide.split_once("```yaml\n").unwrap();
    let mut files = vec![block.split_once("```").unwrap().0.to_owned()];
    for values in ["README.md", "ci/minimal-values.yaml", "ci/large-values.yaml"] {
        let chart = read(&format!("charts/verdigris/{values}"));
        let (_, fleet) = chart.split_once("\nfleet:\n  yaml: |\n").unwrap();
        let lines = fleet.lines().map_while(|line| line.strip_prefix("    "));
        files.push(lines.collect::<Vec<_>>().join("\n"));
    }
    for options in [
        &["--region", "eu-central-1"][..],
        &["--cloud", "devcloud"],
        &[
            "--cloud",
            "eucalyptus",
            "--endpoint",
            "https://compute.example.org:8773/services/compute",
        ],
    ] {
        let output = verdigris()
            .args(["fleet", "init", "-o", "-"])
            .args(options)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        files.push(text(&output.stdout));
    }
    let place = Place::new();
    files.push(fs::read_to_string(place.path("fleet.yaml")).unwrap());
    files
}

#[test]
fn the_schema_takes_every_example_and_refuses_the_mistakes_that_it_can_see() {
    let examples = examples();
    assert_eq!(mistakes(&examples), vec![Some(0); examples.len()]);

    for name in [
        "fleet-mistakes.yaml",
        "fleet-mistakes-hooks.yaml",
        "fleet-mistakes-limits.yaml",
    ] {
        let table = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/runtime/testdata");
        let table = fs::read_to_string(table.join(name)).unwrap();
        let table: Value = runtime::yaml::parse(&table, name).unwrap();
        let sound = table["file"].as_str().unwrap();
        let table = table["mistakes"].as_array().unwrap();
        let files = table.iter().map(|it| {
            let [old, new] = ["for", "put"].map(|key| it[key].as_str().unwrap());
            sound.replace(old, new)
        });
        let found = mistakes(&std::iter::once(sound.to_owned()).chain(files).collect::<Vec<_>>());
        assert_eq!(found[0], Some(0));
        for (mistake, found) in table.iter().zip(&found[1..]) {
            let is_seen = mistake["unseen"] != true;
            // What is no YAML an editor shows without any schema.
            let shows = found.is_some_and(|count| count > 0);
            assert_eq!(shows, is_seen, "{mistake} {found:?}");
        }
    }
}

#[test]
fn a_first_fleet_file_is_written_once_and_is_one_that_the_farm_takes() {
    let place = Place::new();
    let file = place.path("fleet.yaml");
    let init = |more: &[&str]| {
        let mut command = verdigris();
        command
            .args(["fleet", "init", "--cloud", "devcloud", "--name", "mine", "-o"])
            .arg(&file)
            .args(more);
        command.output().unwrap()
    };
    let before = fs::read_to_string(&file).unwrap();
    let output = init(&[]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(
        said.contains("fleet.yaml is there already; --force writes over it"),
        "{said}"
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), before);

    let id = before.split_once("id: ").unwrap().1.split_once('}').unwrap().0;
    let output = init(&["--force", "--image", id]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    assert!(
        said.starts_with("Wrote ") && !said.contains("Its image is an example"),
        "{said}"
    );
    let check = place.good(&["config", "check"]);
    assert!(
        check.contains("fleet      good, 1 pool") && check.contains("clouds     good"),
        "{check}"
    );
    assert!(place.good(&["fleet", "status"]).contains("x86_64  0       0"));
    // Each has an id of its own.
    let fleet = |output: Output| {
        let text = text(&output.stdout);
        text.lines()
            .find(|line| line.starts_with("fleet: "))
            .unwrap()
            .to_owned()
    };
    let one = || {
        verdigris()
            .args(["fleet", "init", "--region", "r", "-o", "-"])
            .output()
            .unwrap()
    };
    assert_ne!(fleet(one()), fleet(one()));
    let output = verdigris().args(["fleet", "init", "-o", "-"]).output().unwrap();
    assert!(
        text(&output.stderr).contains("--region is needed"),
        "{}",
        text(&output.stderr)
    );
    assert!(output.stdout.is_empty());
}

#[test]
fn another_fleet_file_is_compared_with_the_present_one_and_a_bad_one_ends_with_five() {
    let place = Place::new();
    let before = fs::read_to_string(place.path("fleet.yaml")).unwrap();
    let new = place.path("new.yaml");
    let name = new.to_str().unwrap();
    let diff = ["fleet", "plan", "--diff", name];
    fs::write(&new, before.replace("size: {max: 1}", "size: {max: 3, idle: 2}")).unwrap();
    let output = run(&place, &diff);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let expected = "\
CHANGE   KEY                  NOW  THEN
changed  pools.x86.size.idle  0    2
changed  pools.x86.size.max   1    3

No builder becomes outdated.

POOL  LAUNCHES NOW  THEN  DRAINS NOW  THEN
x86   0             2     0           0

The next round would do besides:
  launch   a builder of pool x86: the pool has 0 of 2 spare builders
  launch   a builder of pool x86: the pool has 1 of 2 spare builders
";
    assert_eq!(text(&output.stdout), expected);
    let json: Value =
        serde_json::from_slice(&run(&place, &[&diff[..], &["--json"]].concat()).stdout).unwrap();
    assert_eq!(json["pools"]["x86"]["then"]["launches"], 2, "{json}");
    assert_eq!(json["changes"][0]["key"], "pools.x86.size.idle");

    for (old, put, words) in [
        (
            "max: 1",
            "mx: 1",
            "new.yaml:15:12: pools.x86.size: there is no key `mx` here, did you mean `max`?",
        ),
        (
            "builder: {}",
            "builder: {playbook: bilder.yml}",
            "there is no playbook bilder.yml; there is builder.yml",
        ),
    ] {
        fs::write(&new, before.replace(old, put)).unwrap();
        let output = run(&place, &diff);
        let said = text(&output.stderr);
        assert_eq!(
            (output.status.code(), said.contains(words)),
            (Some(BAD_CONFIG), true),
            "{said}"
        );
        assert!(said.contains("new.yaml") && output.stdout.is_empty(), "{said}");
    }
    let output = run(&place, &["fleet", "plan", "--diff", "/nowhere/fleet.yaml"]);
    assert_eq!(output.status.code(), Some(BAD_CONFIG));
    assert_eq!(
        text(&output.stderr),
        "verdigris: cannot read /nowhere/fleet.yaml: there is no such file\n"
    );
    // A bad present one is no better.
    fs::write(place.path("fleet.yaml"), before.replace("max: 1", "mx: 1")).unwrap();
    for command in ["status", "plan"] {
        assert_eq!(
            run(&place, &["fleet", command]).status.code(),
            Some(BAD_CONFIG),
            "{command}"
        );
    }
}

#[test]
fn why_names_what_is_not_there() {
    let place = Place::new();
    for (what, words) in [
        ("7", "verdigris: there is no build 7\n"),
        (
            "i-0123456789abcdef0",
            "verdigris: no builder on record is the instance i-0123456789abcdef0\n",
        ),
        (
            "bdr_00000000000000000000000000000007",
            "verdigris: there is no builder bdr_00000000000000000000000000000007 on record; one that ended is forgotten after \
             `database.keep_history`\n",
        ),
    ] {
        let output = run(&place, &["fleet", "why", what]);
        assert_eq!(
            (output.status.code(), text(&output.stderr).as_str()),
            (Some(1), words)
        );
    }
    let output = run(&place, &["fleet", "why", "hello"]);
    let said = text(&output.stderr);
    assert!(
        said.starts_with("verdigris: `hello` is neither the number of a build nor a builder: "),
        "{said}"
    );
}

/// `fleet status --watch` with its output in a pipe.
fn watching(place: &Place, more: &[&str]) -> Running {
    let child = verdigris()
        .args(["fleet", "status", "--watch", "--interval", "100ms"])
        .args(more)
        .arg("--config")
        .arg(place.path("verdigris.toml"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    Running(child)
}

fn ends(child: &mut Running) -> Option<i32> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.0.try_wait().unwrap() {
            return status.code();
        }
        assert!(started.elapsed() < PATIENCE, "it goes on");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_status_is_shown_again_until_ctrl_c_or_until_nobody_reads() {
    let place = Place::new();
    let mut child = watching(&place, &[]);
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    let mut headers = 0;
    let mut seen = String::new();
    while headers < 3 {
        let line = lines.next().unwrap().unwrap();
        headers += usize::from(line.starts_with("POOL  WANTED  BUILDERS  READY"));
        seen.push_str(&line);
    }
    assert!(!seen.contains('\x1b'), "{seen}");
    let pid = child.0.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(ends(&mut child), Some(0));
    let mut said = String::new();
    child.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(said, "");

    let mut child = watching(&place, &["--json"]);
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    for _ in 0..2 {
        let status: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        assert_eq!(status["pools"]["x86"]["wanted"], 0, "{status}");
    }
    drop(lines);
    assert_eq!(ends(&mut child), Some(0));

    fs::remove_file(place.path("fleet.yaml")).unwrap();
    assert_eq!(
        ends(&mut watching(&place, &[])),
        Some(BAD_CONFIG),
        "the first look says what is wrong"
    );
    let output = run(&place, &["fleet", "status", "--watch", "--interval", "5"]);
    assert!(
        text(&output.stderr).contains("`5` is not a duration with a unit"),
        "{}",
        text(&output.stderr)
    );
}
