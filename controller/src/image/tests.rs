use std::path::Path;

use super::*;

fn provision(text: &str) -> ProvisionSpec {
    runtime::yaml::parse(text, "provision").unwrap()
}

fn vars(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap()
}

fn files(folder: &Path, playbook: &str, beside: &str) -> Provisioner {
    for name in ["playbooks", "files"] {
        std::fs::create_dir_all(folder.join(name)).unwrap();
    }
    let text = "- hosts: all\n  gather_facts: false\n  tasks: [{debug: {msg: x}, tags: [boot]}]\n";
    std::fs::write(folder.join("playbooks/builder.yml"), format!("{text}{playbook}")).unwrap();
    std::fs::write(folder.join("files/one"), beside).unwrap();
    Provisioner::load(&folder.join("playbooks"), &folder.join("files")).unwrap()
}

#[test]
fn a_digest_changes_with_all_that_decides_what_a_machine_becomes_and_with_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let given = || vars(json!({"pool": "x86", "chroots": [{"name": "a"}], "builder": "", "ssh_keys": ["k"]}));
    let first = files(folder.path(), "", "1");
    let digest = playbook_digest(&first, &provision("{}"), &given());
    let same = |provision: &ProvisionSpec, vars| playbook_digest(&first, provision, &vars) == digest;
    assert!(same(&provision("{}"), given()));
    // What each machine has of its own, and how long things may take.
    let of_a_builder =
        vars(json!({"pool": "x86", "chroots": [{"name": "a"}], "builder": "bdr_1", "ssh_keys": []}));
    assert!(same(
        &provision("{timeouts: {boot: 9s}, check: other.yml}"),
        of_a_builder
    ));
    for text in [
        "{playbook: other.yml}",
        "{runner: ansible}",
        "{ansible: {command: /opt/a}}",
        "{connect: {user: admin}}",
    ] {
        assert!(!same(&provision(text), given()), "{text}");
    }
    for other in [
        json!({"pool": "arm", "chroots": [{"name": "a"}]}),
        json!({"pool": "x86", "chroots": [{"name": "b"}]}),
        json!({"pool": "x86", "chroots": [{"name": "a"}], "packages": []}),
    ] {
        assert!(!same(&provision("{}"), vars(other.clone())), "{other}");
    }
    for (playbook, beside) in [("# a word\n", "1"), ("", "2")] {
        let changed = files(folder.path(), playbook, beside);
        assert_ne!(playbook_digest(&changed, &provision("{}"), &given()), digest);
    }
    let again = files(folder.path(), "", "1");
    assert_eq!(playbook_digest(&again, &provision("{}"), &given()), digest);
}
