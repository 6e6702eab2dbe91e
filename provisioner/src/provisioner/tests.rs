use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use serde_json::json;
use tempfile::TempDir;

use super::*;

const PLAY: &str = "- hosts: all\n  gather_facts: false\n  tasks: [{ debug: {} }]\n";

/// The folders `playbooks` and `provision-files` with these files.
fn folders(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().expect("a folder");
    for name in ["playbooks", "provision-files"] {
        fs::create_dir(folder.path().join(name)).expect("a folder");
    }
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        fs::write(path, text).expect("a file");
    }
    folder
}

fn load(folder: &TempDir) -> Result<Provisioner, Error> {
    let path = folder.path();
    Provisioner::load(&path.join("playbooks"), &path.join("provision-files"))
}

fn loaded(files: &[(&str, &str)]) -> Provisioner {
    load(&folders(files)).unwrap_or_else(|error| panic!("{error}"))
}

fn refused(folder: &TempDir) -> String {
    load(folder).err().expect("refused").to_string()
}

#[test]
fn playbooks_are_the_files_that_end_with_yml_and_are_not_hidden() {
    let provisioner = loaded(&[
        ("playbooks/b.yml", PLAY),
        ("playbooks/a.yml", PLAY),
        ("playbooks/.c.yml", "not YAML: ["),
        ("playbooks/d.yaml", "not YAML: ["),
        ("playbooks/README.md", "text"),
    ]);
    assert_eq!(provisioner.playbooks().collect::<Vec<_>>(), ["a.yml", "b.yml"]);
    assert_eq!(loaded(&[]).playbooks().count(), 0);
}

#[test]
fn the_mistakes_of_all_files_are_reported_together() {
    let large = "#".repeat(MAX_PLAYBOOK + 1);
    let text = refused(&folders(&[
        (
            "playbooks/a.yml",
            "- hosts: all\n  gather_facts: false\n  taks: []\n",
        ),
        ("playbooks/b.yml", PLAY),
        ("playbooks/c.yml", "text"),
        ("playbooks/d.yml", &large),
        ("provision-files/e.hbs", "{{#if x}}"),
    ]));
    let lines: Vec<&str> = text.lines().collect();
    for start in [
        "a.yml:3:3: a play has no keyword \"taks\"; did you mean \"tasks\"?",
        "c.yml:1:1: a playbook is a list of plays",
        "d.yml: it is larger than 1048576 bytes",
        "e.hbs:1:",
    ] {
        assert!(
            lines.iter().any(|line| line.starts_with(start)),
            "{start}\n{text}"
        );
    }
}

#[test]
fn a_foreign_playbook_may_be_one_that_ours_does_not_understand() {
    let folder = folders(&[
        ("playbooks/a.yml", PLAY),
        ("playbooks/b.yml", "- import_playbook: a.yml\n"),
        ("provision-files/x.hbs", "{{v}}"),
    ]);
    let path = |name: &str| folder.path().join(name);
    let with = |ours: &[&str]| {
        let ours = ours.iter().copied().map(str::to_owned).collect();
        Provisioner::load_beside_ansible(&path("playbooks"), &path("provision-files"), Some(&ours))
    };
    let words = "b.yml:1:3: a play has no keyword \"import_playbook\"";
    assert!(refused(&folder).starts_with(words));
    assert!(with(&["b.yml"]).is_err());
    let provisioner = with(&["a.yml"]).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(provisioner.playbooks().collect::<Vec<_>>(), ["a.yml", "b.yml"]);
    let ours = provisioner
        .playbook("b.yml")
        .expect_err("not for ours")
        .to_string();
    assert!(ours.starts_with(words), "{ours}");
    // Who plays it may need the rendered files: what it needs is not known.
    let vars = json!({ "v": "w" });
    let staged = |playbook, target: &Path| {
        let request = Request {
            playbook,
            vars: vars.as_object().expect("an object"),
            mode: Mode::Apply,
            limit: Duration::from_secs(1),
            part: None,
            progress: None,
        };
        provisioner.stage_for_ansible(&request, target)
    };
    let target = path("staged");
    assert_eq!(staged("b.yml", &target).expect("staged"), Some(target.clone()));
    assert_eq!(fs::read_to_string(target.join("x")).expect("the file"), "w");
    assert_eq!(staged("a.yml", &path("none")).expect("not staged"), None);
    assert!(!path("none").exists());
}

#[test]
fn folders_that_cannot_be_read_are_named() {
    let folder = folders(&[("playbooks/a.yml", PLAY)]);
    let away = folder.path().join("away");
    for name in ["provision-files", "playbooks"] {
        let path = folder.path().join(name);
        fs::rename(&path, &away).expect("moved");
        let expected = format!("{} cannot be used: it cannot be read", path.display());
        assert_eq!(refused(&folder), expected);
        fs::rename(&away, &path).expect("moved back");
    }
    fs::write(folder.path().join("playbooks/b.yml"), [0xff]).expect("a file");
    let error = refused(&folder);
    assert!(
        error.ends_with("b.yml cannot be used: it cannot be read"),
        "{error}"
    );
}

#[test]
fn the_hash_follows_every_name_and_every_content() {
    let playbook = ("playbooks/a.yml", PLAY);
    let file = ("provision-files/ab", "c");
    let hash = |files: &[(&str, &str)]| loaded(files).configuration_hash().to_owned();
    let first = hash(&[playbook, file]);
    assert_eq!(first.len(), 64);
    for left_out in [
        ("provision-files/tests/x", "y"),
        ("playbooks/README.md", "y"),
        ("playbooks/.git/x", "y"),
        ("playbooks/a.yml~", "y"),
    ] {
        assert_eq!(
            first,
            hash(&[playbook, left_out, file]),
            "{left_out:?} is left out"
        );
    }
    let commented = format!("{PLAY}# a comment\n");
    let others: [&[(&str, &str)]; 8] = [
        &[("playbooks/a.yml", &commented), file],
        &[("playbooks/b.yml", PLAY), file],
        // The same letters, cut elsewhere.
        &[playbook, ("provision-files/a", "bc")],
        &[playbook, file, ("provision-files/d", "")],
        // The same file, on the other side.
        &[playbook, ("playbooks/ab", "c")],
        // What real Ansible may use beside a playbook.
        &[playbook, file, ("playbooks/roles/r/tasks/main.yml", "- debug:")],
        &[playbook, file, ("playbooks/vars.yaml", "")],
        &[playbook, file, ("playbooks/files/motd", "")],
    ];
    for files in others {
        assert_ne!(first, hash(files), "{files:?}");
    }
    let seen: BTreeSet<String> = others.iter().map(|files| hash(files)).collect();
    assert_eq!(seen.len(), others.len());
}

#[test]
fn the_builders_programs_have_a_hash_of_their_own() {
    let playbook = ("playbooks/a.yml", PLAY);
    let (program, file) = (("provision-files/builder/run", "1"), ("provision-files/ab", "c"));
    let hashes = |files: &[(&str, &str)]| {
        let loaded = loaded(files);
        [
            loaded.files_hash(),
            loaded.programs_hash(),
            loaded.configuration_hash(),
        ]
        .map(str::to_owned)
    };
    let first = hashes(&[playbook, program, file]);
    // What changes: the files, the programs; the whole always does.
    type Case<'a> = (&'a str, [(&'a str, &'a str); 3], [bool; 2]);
    let table: [Case<'_>; 5] = [
        (
            "a program",
            [playbook, ("provision-files/builder/run", "2"), file],
            [false, true],
        ),
        (
            "its name",
            [playbook, ("provision-files/builder/go", "1"), file],
            [false, true],
        ),
        (
            "a file",
            [playbook, program, ("provision-files/ab", "d")],
            [true, false],
        ),
        (
            "a name alike",
            [playbook, program, ("provision-files/builder2", "c")],
            [true, false],
        ),
        (
            "a playbook's file",
            [("playbooks/builder/run", "1"), playbook, program],
            [true, false],
        ),
    ];
    for (what, files, expected) in table {
        let found = hashes(&files);
        assert_eq!([found[0] != first[0], found[1] != first[1]], expected, "{what}");
        assert_ne!(found[2], first[2], "{what}");
    }
    assert_eq!(hashes(&[playbook, program, file]), first);
}

#[test]
fn the_hash_follows_what_is_a_program_and_what_a_link_leads_to() {
    let folder = folders(&[("playbooks/a.yml", PLAY), ("playbooks/files/run", "#!/bin/sh\n")]);
    let path = |name: &str| folder.path().join("playbooks").join(name);
    let hash = || {
        load(&folder)
            .unwrap_or_else(|error| panic!("{error}"))
            .configuration_hash()
            .to_owned()
    };
    let plain = hash();
    fs::set_permissions(path("files/run"), fs::Permissions::from_mode(0o755)).expect("a mode");
    let program = hash();
    assert_ne!(plain, program);
    // As Kubernetes mounts files: links into a hidden folder.
    fs::create_dir(path("..data")).expect("a folder");
    fs::rename(path("a.yml"), path("..data/a.yml")).expect("moved");
    symlink("..data/a.yml", path("a.yml")).expect("a link");
    assert_eq!(hash(), program, "a link stands for what it leads to");
    fs::write(path("..data/a.yml"), format!("{PLAY}# more\n")).expect("a file");
    assert_ne!(hash(), program);
}

/// What the template `x.hbs` becomes with these variables.
fn staged(template: &str, vars: &str, given: &Value) -> Result<String, String> {
    let play = format!("- hosts: all\n  gather_facts: false\n  vars: {vars}\n  tasks: [{{ debug: {{}} }}]\n");
    let provisioner = loaded(&[("playbooks/a.yml", &play), ("provision-files/x.hbs", template)]);
    let target = TempDir::new().expect("a folder");
    let given = given.as_object().expect("an object");
    let written = provisioner.stage("a.yml", given, target.path());
    written.map_err(|error| error.to_string())?;
    Ok(fs::read_to_string(target.path().join("x")).expect("the file"))
}

#[test]
fn templates_see_the_plays_variables_where_none_is_given() {
    let cases = [
        ("{{a}}", "{ a: 1 }", json!({}), "1"),
        ("{{a}}", "{ a: 1 }", json!({ "a": 2 }), "2"),
        ("{{a}}", "{ a: \"{{ b }}!\", b: x }", json!({}), "x!"),
        ("{{a}}", "{ a: \"{{ b }}!\", b: x }", json!({ "b": "y" }), "y!"),
        (
            "{{json a}}",
            "{ a: \"{{ [b, 1.5] }}\" }",
            json!({ "b": null }),
            "[null,1.5]",
        ),
        // One that needs the rendered files cannot be needed for rendering.
        ("{{b}}", "{ a: \"{{ staged }}/x\", b: 1 }", json!({}), "1"),
    ];
    for (template, vars, given, expected) in cases {
        assert_eq!(
            staged(template, vars, &given).as_deref(),
            Ok(expected),
            "{template} {vars}"
        );
    }
}

#[test]
fn a_variable_that_is_wrong_or_missing_is_named_with_its_file() {
    assert_eq!(
        staged("x", "{ a: \"{{ nope }}\" }", &json!({})),
        Err("a.yml: a: `{{ nope }}`: `nope` is undefined".to_owned())
    );
    assert_eq!(
        staged("one\n{{nope}}", "{}", &json!({})),
        Err("x.hbs:2:1: the variable \"nope\" is missing".to_owned())
    );
    let target = TempDir::new().expect("a folder");
    let error = loaded(&[("playbooks/a.yml", PLAY)]).stage("b.yml", &Map::new(), target.path());
    assert_eq!(
        error.expect_err("unknown").to_string(),
        "there is no playbook \"b.yml\"; there are a.yml"
    );
}
