//! `verdigris provision` on real machines: throwaway hosts with a real sshd, and a farm's own builder.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf, process::Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    farm::{Farm, eventually, text, verdigris},
    throwaway::Throwaway,
};

const FLEET: &str = r#"schema: 1
fleet: 019a0000-0000-7000-8000-000000000001
name: test
clouds:
  lab: {kind: ec2, region: lab-1, endpoint: "http://127.0.0.1:1/", credentials: {source: environment}}
images:
  builder: {cloud: lab, id: ami-1}
provision:
  builder:
    connect: {user: root, port: PORT}
    vars: {metadata_firewall: false}
pools:
  x86:
    labels: ["arch:x86_64"]
    image: builder
    provision: builder
    size: {max: 1}
    offerings: [{types: [c7i.xlarge]}]
"#;

/// What builder.yml touches.
const TOUCHED: &[&str] = &[
    "/etc/verdigris",
    "/usr/libexec/verdigris",
    "/var/lib/verdigris",
    "/root/.ssh",
    "/etc/passwd",
    "/etc/group",
    "/etc/shadow",
];

/// A farm that never ran, and a machine that lets its key in.
pub(crate) struct Place {
    directory: TempDir,
    pub(crate) host: Throwaway,
}

impl Place {
    pub(crate) fn new() -> Self {
        let (directory, host) = (tempfile::tempdir().unwrap(), Throwaway::start());
        let place = Self { directory, host };
        let settings = format!(
            "[storage]\ndirectory = \"{}\"\n",
            place.directory.path().display()
        );
        fs::write(place.path("verdigris.toml"), settings).unwrap();
        let fleet = FLEET.replace("PORT", &place.host.endpoint.port.to_string());
        fs::write(place.path("fleet.yaml"), fleet).unwrap();
        fs::create_dir(place.path("secrets")).unwrap();
        let key = place.path("secrets/builders.ed25519");
        fs::copy(place.host.key_file(), &key).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        let known = format!(
            "[127.0.0.1]:{} {}\n",
            place.host.endpoint.port,
            place.host.target().host_key
        );
        fs::write(place.path("known_hosts"), known).unwrap();
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Own playbooks in place of the built-in ones.
    pub(crate) fn playbooks(&self, files: &[(&str, &str)]) {
        let folder = self.path("playbooks");
        fs::create_dir_all(&folder).unwrap();
        for (name, text) in files {
            fs::write(folder.join(name), text).unwrap();
        }
        let settings = fs::read_to_string(self.path("verdigris.toml")).unwrap();
        let line = format!("[fleet]\nplaybooks = \"{}\"\n", folder.display());
        fs::write(self.path("verdigris.toml"), settings + &line).unwrap();
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        verdigris()
            .args(arguments)
            .arg("--config")
            .arg(self.path("verdigris.toml"))
            .env("HOME", self.directory.path())
            .output()
            .unwrap()
    }

    /// `verdigris provision` of the machine: the status, and what was said.
    pub(crate) fn provision(&self, arguments: &[&str]) -> (i32, String) {
        let known = self.path("known_hosts");
        let known = ["--known-hosts", known.to_str().unwrap()];
        let output = self.run(&[&["provision", "127.0.0.1"][..], &known, arguments].concat());
        let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
        (output.status.code().unwrap(), said)
    }

    pub(crate) fn port(&self) -> String {
        self.host.endpoint.port.to_string()
    }
}

#[test]
fn what_would_change_is_told_and_nothing_is_changed_until_it_is_wished() {
    let place = Place::new();
    let made = place.run(&["migrate"]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let made = place.run(&["chroot", "create", "t-1-x86_64", "--repository", "base={farm}/m/"]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let before = place.host.snapshot(TOUCHED);
    let (code, said) = place.provision(&["--pool", "x86", "--check", "--diff"]);
    assert_eq!(code, 0, "{said}");
    for line in [
        "PLAY [Make a builder]",
        " changed: The machine knows who it is",
        "          +++ /etc/verdigris/builder.json",
        "          +++ /etc/verdigris/chroots/t-1-x86_64.json",
        " skipped: Packages are installed",
    ] {
        assert!(said.lines().any(|other| other == line), "{line}\n{said}");
    }
    assert!(
        said.trim_end().ends_with("(check mode: nothing was changed)"),
        "{said}"
    );
    assert_eq!(place.host.snapshot(TOUCHED), before);
    let (_, short) = place.provision(&["--pool", "x86", "--check"]);
    assert!(!short.contains("+++"), "{short}");

    let (code, said) = place.provision(&["--pool", "x86", "--var", "fleet=given"]);
    assert_eq!(code, 0, "{said}");
    let identity: Value = serde_json::from_str(&place.host.read("/etc/verdigris/builder.json")).unwrap();
    assert_eq!(
        identity,
        serde_json::json!({"fleet": "given", "pool": "x86", "builder": ""})
    );
    let (code, said) = place.provision(&["--pool", "x86", "--var", "fleet=given", "--json"]);
    let document: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &document["changed"]), (0, &serde_json::json!(0)), "{said}");
    assert!(document["ok"].as_u64().unwrap() > 10, "{said}");
    let (code, said) = place.provision(&["--pool", "x86", "--playbook", "check.yml"]);
    assert!(code == 0 || said.contains("play \"Check a builder\""), "{said}");
}

/// A playbook that says which variables it was given, changes a file and fails when it is told to.
pub(crate) const OWN: &str = r#"- name: Own
  hosts: all
  gather_facts: false
  vars: {what: nothing, fails: false}
  tasks:
    - name: Say
      debug: {msg: "{{ what }} {{ fails | string }}"}
    - name: Write
      copy: {content: "{{ what }}\n", dest: /srv/what}
    - name: Fail
      fail: {msg: as told}
      when: fails
    - name: Wait
      command: sleep 60
      when: what == "wait"
"#;

#[test]
fn a_named_playbook_is_given_variables_and_its_failure_has_a_status_of_its_own() {
    let place = Place::new();
    place.playbooks(&[("own.yml", OWN)]);
    let port = place.port();
    let own =
        |more: &[&str]| place.provision(&[&["--port", &port, "--playbook", "own.yml"][..], more].concat());
    let (code, said) = own(&["--var", "what=this"]);
    assert_eq!(code, 0, "{said}");
    assert!(
        said.contains("      ok: Say\n          this False\n changed: Write\n"),
        "{said}"
    );
    assert_eq!(place.host.read("/srv/what"), "this\n");

    let (code, said) = own(&["--var", "what=other", "--var", "fails=true", "--check", "--diff"]);
    assert_eq!(code, 3, "{said}");
    assert!(
        said.contains("          -this\n          +other\n  failed: Fail\n"),
        "{said}"
    );
    assert!(
        said.contains("play \"Own\", task \"Fail\" (own.yml:10): fail failed: as told"),
        "{said}"
    );
    assert!(said.contains("changed=1 skipped=0 failed=1"), "{said}");
    assert_eq!(place.host.read("/srv/what"), "this\n");

    let (code, said) = own(&["--var", "what=wait", "--limit-time", "2s", "--json"]);
    let document: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(code, 3, "{said}");
    let error = document["error"].as_str().unwrap();
    assert!(error.contains("did not end within"), "{said}");
    let names: Vec<&str> = document["tasks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["Say", "Write", "Fail"]);
}

#[test]
fn what_cannot_be_begun_is_told_and_the_machine_is_left_alone() {
    let place = Place::new();
    place.playbooks(&[("own.yml", OWN)]);
    place.run(&["migrate"]);
    let (port, own) = (place.port(), ["--playbook", "own.yml"]);
    let other = ::shell::ClientKey::generate("other").unwrap();
    let other_host = other.host_key().unwrap().to_string();
    let other_key = place.path("other");
    fs::write(&other_key, other.private_openssh().unwrap()).unwrap();
    let other_key = other_key.to_str().unwrap();
    let refused = |arguments: &[&str], words: &str| {
        let output = place.run(&[&["provision"][..], arguments].concat());
        let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(1), "{arguments:?} {said}");
        assert!(said.contains(words), "{arguments:?}: {words}\n{said}");
    };
    let known = place.path("known_hosts").display().to_string();
    let at = ["127.0.0.1", "--port", &port];
    let with_key = [&at[..], &own, &["--host-key", &other_host]].concat();
    refused(
        &with_key,
        "it is another machine, or was made anew. Nothing was done there",
    );
    let by_file = [&at[..], &own, &["--known-hosts", &known]].concat();
    refused(
        &[&by_file[..], &["--key", other_key]].concat(),
        "refuses the key SHA256:",
    );
    refused(
        &[&by_file[..], &["--key", &known]].concat(),
        "known_hosts: the private SSH key is not usable",
    );
    refused(
        &[&at[..], &own].concat(),
        &format!(
            "{}/.ssh/known_hosts has no host key of 127.0.0.1, port {port}",
            place.directory.path().display()
        ),
    );
    refused(
        &[&["127.0.0.1", "--port", "1", "--host-key", &other_host][..], &own].concat(),
        "127.0.0.1:1 cannot be reached",
    );
    refused(
        &[&at[..], &own, &["--host-key", "ssh-ed25519 AAAA"]].concat(),
        "--host-key: the host key is not usable",
    );
    let by_pool = [&at[..], &["--known-hosts", &known, "--pool", "x68"]].concat();
    refused(
        &by_pool,
        "there is no pool `x68` in the fleet file, did you mean `x86`? There is: x86",
    );
    let unknown = [&at[..], &["--known-hosts", &known, "--playbook", "on.yml"]].concat();
    refused(&unknown, "there is no playbook \"on.yml\"; there are own.yml");
    refused(
        &["bdr_019a0000000070008000000000000009", "--check"],
        "there is no builder bdr_019a",
    );
    place.playbooks_are_wrong();
    refused(
        &by_file,
        "own.yml:7:7: there is no module \"debgu\"; did you mean \"debug\"?",
    );
    assert!(!place.host.path("/srv/what").exists());
    // A program is told in its own way.
    let output = place.run(&[&["provision"][..], &by_file, &["--json"]].concat());
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(
        document["error"].as_str().unwrap().contains("own.yml:7:7"),
        "{document}"
    );
}

impl Place {
    fn playbooks_are_wrong(&self) {
        let path = self.path("playbooks/own.yml");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("debug:", "debgu:")).unwrap();
    }
}

#[test]
fn a_builder_is_looked_at_by_its_id_and_is_as_its_playbook_says() {
    let farm = Farm::start();
    let ready = || {
        let status = farm.fleet_status();
        let builders = status["builders"].as_array().unwrap();
        let found = builders.iter().find(|it| it["state"] == "ready");
        found.map(|it| it["id"].as_str().unwrap().to_owned())
    };
    eventually("a builder that is ready", || ready().is_some());
    let id = ready().unwrap();
    let said = farm.operate(&["provision", &id, "--check", "--json"]);
    let document: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(document["changed"], 0, "{said}");
    assert_eq!(document["error"], Value::Null, "{said}");
    let said = farm.refused(&["provision", &id]);
    assert!(
        said.contains(&format!("{id} is a builder of this farm")),
        "{said}"
    );
}
