//! Playbooks by the real `ansible-playbook`: by hand, and by the controller of a farm.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::{
    farm::{Farm, cached, eventually, text, verdigris},
    provision::{OWN, Place},
};

/// The real Ansible takes minutes on a machine that does other things as well.
const OF_ANSIBLE: Duration = Duration::from_secs(900);

/// A playbook with more of Ansible's language than the farm knows itself.
const FOREIGN: &str = r#"- name: Foreign
  hosts: all
  gather_facts: false
  tasks:
    - block:
        - name: Breaks
          command: sh -c 'echo sorry >&2; exit 9'
          when: breaks
        - name: Writes
          copy: {content: "{{ what }}\n", dest: /srv/what}
      when: not ansible_check_mode or what is defined
"#;

#[test]
fn the_real_ansible_plays_what_the_farm_does_not_understand() {
    let place = Place::new();
    place.playbooks(&[("theirs.yml", FOREIGN)]);
    let (port, program) = (place.port(), cached("venv/bin/ansible-playbook"));
    let fleet = fs::read_to_string(place.path("fleet.yaml")).unwrap();
    let by = |command: &str| {
        let more = format!(
            "  builder:\n    runner: ansible\n    playbook: theirs.yml\n    check: theirs.yml\n    ansible: {{command: {command}}}\n"
        );
        fs::write(
            place.path("fleet.yaml"),
            fleet.replace("  builder:\n    connect", &(more + "    connect")),
        )
        .unwrap();
    };
    let (code, said) = place.provision(&["--port", &port, "--playbook", "theirs.yml"]);
    assert_eq!(code, 1, "{said}");
    assert!(
        said.contains("theirs.yml:5:7: there is no module \"block\""),
        "{said}"
    );

    by("/nowhere/ansible-playbook");
    let checked = text(&place.run(&["config", "check"]).stdout);
    let words = "provision.builder.runner: /nowhere/ansible-playbook is no program that can be run";
    assert!(checked.contains(words), "{checked}");
    by(&program.display().to_string());
    let checked = text(&place.run(&["config", "check"]).stdout);
    assert!(checked.contains("\nplaybooks  good\n"), "{checked}");

    place.run(&["migrate"]);
    let theirs = |more: &[&str]| place.provision(&[&["--pool", "x86"], more].concat());
    let (code, said) = theirs(&["--var", "what=this", "--var", "breaks=false", "--check", "--diff"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains(" skipped: Breaks\n changed: Writes\n"), "{said}");
    assert!(
        said.contains("          +this\n") && !place.host.path("/srv/what").exists(),
        "{said}"
    );
    let (code, said) = theirs(&["--var", "what=this", "--var", "breaks=true"]);
    assert_eq!(code, 3, "{said}");
    assert!(
        said.contains(
            "task \"Breaks\" (theirs.yml:6): command failed: non-zero return code: sorry (status 9)\n"
        ),
        "{said}"
    );
    let (code, said) = theirs(&["--var", "what=this", "--var", "breaks=false"]);
    assert_eq!(
        (code, place.host.read("/srv/what")),
        (0, "this\n".to_owned()),
        "{said}"
    );
}

#[test]
fn a_run_of_the_real_ansible_that_is_interrupted_leaves_nothing_behind() {
    let place = Place::new();
    place.playbooks(&[("own.yml", OWN)]);
    let (scratch, known) = (place.path("scratch"), place.path("known_hosts"));
    fs::create_dir(&scratch).unwrap();
    let left = || fs::read_dir(&scratch).unwrap().count();
    let venv = cached("venv/bin").display().to_string();
    let path = format!("{venv}:{}", std::env::var("PATH").unwrap());
    let mut child = verdigris()
        .args([
            "provision",
            "127.0.0.1",
            "--playbook",
            "own.yml",
            "--runner",
            "ansible",
            "--var",
            "what=wait",
        ])
        .args(["--port", &place.port(), "--known-hosts"])
        .args([&known, &PathBuf::from("--config"), &place.path("verdigris.toml")])
        .envs([("PATH", path.as_str()), ("TMPDIR", scratch.to_str().unwrap())])
        // What is the user's is not heeded.
        .envs([
            ("ANSIBLE_CONFIG", "/nowhere"),
            ("ANSIBLE_STDOUT_CALLBACK", "none"),
            ("ANSIBLE_REMOTE_USER", "nobody"),
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    assert!(
        lines.any(|line| line == " skipped: Fail"),
        "it waits in the task after that"
    );
    assert!(left() > 0);
    let signalled = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(signalled.success());
    let rest: Vec<String> = lines.collect();
    assert_eq!(child.wait().unwrap().code(), Some(3), "{rest:?}");
    assert_eq!(
        rest.first().map(String::as_str),
        Some("interrupted: the machine may be changed in part")
    );
    assert_eq!(left(), 0, "the private key's file is gone");
    let program = cached("venv/bin/ansible-playbook").display().to_string();
    let at = format!("{}/", scratch.display());
    eventually("the end of ansible-playbook", || {
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let mut lines = processes.filter_map(|entry| fs::read_to_string(entry.path().join("cmdline")).ok());
        !lines.any(|line| line.contains(&program) && line.contains(&at))
    });
}

#[test]
fn a_farms_builders_are_made_by_the_real_ansible_where_the_fleet_file_says_so() {
    let mut own = PathBuf::new();
    let mut farm = Farm::start_with(|data| {
        own = data.with_file_name("own");
        fs::create_dir(&own).unwrap();
        for name in ["builder.yml", "check.yml"] {
            let built_in = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
                .join("../playbooks")
                .join(name);
            fs::copy(built_in, own.join(name)).unwrap();
        }
        format!("[fleet]\nplaybooks = \"{}\"\n", own.display())
    });
    assert!(farm.stop(), "{}", farm.log());
    // Only the real Ansible imports playbooks.
    fs::write(own.join("theirs.yml"), "- import_playbook: builder.yml\n").unwrap();
    let fleet = fs::read_to_string(farm.path("data/fleet.yaml")).unwrap();
    let program = cached("venv/bin/ansible-playbook");
    let more = format!(
        "provision:\n  builder:\n    runner: ansible\n    playbook: theirs.yml\n    \
         timeouts: {{provision: 15m, check: 15m}}\n    ansible: {{command: {}}}\n",
        program.display()
    );
    assert!(fleet.contains("provision:\n  builder:\n"), "{fleet}");
    fs::write(
        farm.path("data/fleet.yaml"),
        fleet.replace("provision:\n  builder:\n", &more),
    )
    .unwrap();
    farm.up();
    let is_made = || {
        let status = farm.fleet_status();
        let builders = status["builders"].as_array().unwrap();
        builders.iter().any(|it| {
            let reason = it["reason"].as_str().unwrap_or_default();
            it["state"] == "ready" && reason.starts_with("made by theirs.yml and checked by check.yml")
        })
    };
    let started = Instant::now();
    while !is_made() {
        assert!(started.elapsed() < OF_ANSIBLE, "{}", farm.log());
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(farm.log().contains(": theirs.yml: "), "{}", farm.log());
}
