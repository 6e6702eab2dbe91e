//! user, group and authorized_key, with programs that only write down how they are called.

use crate::host::tests::here::Here;
use crate::report::Mode;

/// A machine on which `getent` knows these entries.
fn machine(entries: &[(&str, &str)]) -> Here {
    let here = Here::new();
    let cases: String = entries
        .iter()
        .map(|(name, entry)| format!("'{name}') echo '{entry}';;\n"))
        .collect();
    here.program("getent", &format!("case \"$1 $3\" in\n{cases}*) exit 2;; esac"));
    for name in [
        "useradd", "usermod", "userdel", "groupadd", "groupmod", "groupdel", "chown",
    ] {
        here.recorder(name);
    }
    here
}

/// A task by the parameters, what it says, and what it calls; in check mode it says the same and calls nothing.
async fn check(here: &Here, module: &str, cases: &[(&str, &[&str], &[&str])]) {
    for (parameters, changes, calls) in cases {
        let task = format!("- {module}: {{ {parameters} }}");
        assert_eq!(
            here.changes(&task, Mode::Check).await,
            *changes,
            "check mode of {task}"
        );
        assert!(here.calls().is_empty(), "check mode of {task}");
        assert_eq!(here.changes(&task, Mode::Apply).await, *changes, "{task}");
        assert_eq!(here.calls(), *calls, "{task}");
    }
}

#[tokio::test]
async fn groups() {
    let here = machine(&[("group old", "old:x:70:")]);
    check(
        &here,
        "group",
        &[
            ("name: new", &["group new"], &["groupadd -- new"]),
            (
                "name: new, gid: 71, system: true",
                &["group new"],
                &["groupadd -g 71 -r -- new"],
            ),
            ("name: old", &[], &[]),
            ("name: old, gid: 70", &[], &[]),
            (
                "name: old, gid: \"71\"",
                &["gid of old"],
                &["groupmod -g 71 -- old"],
            ),
            (
                "name: old, state: absent",
                &["removed group old"],
                &["groupdel -- old"],
            ),
            ("name: new, state: absent", &[], &[]),
        ],
    )
    .await;
}

#[tokio::test]
async fn users_who_are_new() {
    let here = machine(&[("group own", "own:x:70:")]);
    check(
        &here,
        "user",
        &[
            ("name: new", &["user new"], &["useradd -m -- new"]),
            // A group of the same name is not made anew.
            ("name: own", &["user own"], &["useradd -N -m -- own"]),
            (
                "name: new, group: own, create_home: false, system: true",
                &["user new"],
                &["useradd -g own -M -r -- new"],
            ),
            (
                "name: new, uid: 71, groups: [a, b], comment: A B, home: /h, shell: /bin/sh, password: \"*\"",
                &["user new"],
                &["useradd -u 71 -G a,b -c A B -d /h -s /bin/sh -p * -m -- new"],
            ),
            ("name: new, groups: []", &["user new"], &["useradd -m -- new"]),
            ("name: new, state: absent", &[], &[]),
        ],
    )
    .await;
}

#[tokio::test]
async fn users_who_are_there() {
    let here = machine(&[
        ("passwd old", "old:x:70:71:A B:/:/bin/sh"),
        ("shadow old", "old:$6$x:1:2:3:4:::"),
    ]);
    here.program(
        "id",
        "case $1 in -gn) echo main;; -Gn) echo main b a;; -u) echo 70;; -g) echo 71;; esac",
    );
    check(
        &here,
        "user",
        &[
            ("name: old", &[], &[]),
            (
                "name: old, uid: 70, group: main, groups: \"a,b\", comment: A B, home: /, shell: /bin/sh, password: $6$x",
                &[],
                &[],
            ),
            ("name: old, group: \"71\"", &[], &[]),
            ("name: old, uid: 72", &["uid"], &["usermod -u 72 -- old"]),
            ("name: old, group: staff", &["group"], &["usermod -g staff -- old"]),
            ("name: old, groups: c", &["groups"], &["usermod -G c -- old"]),
            ("name: old, groups: []", &["groups"], &["usermod -G  -- old"]),
            (
                "name: old, groups: [c, b], append: true",
                &["groups"],
                &["usermod -G a,b,c -- old"],
            ),
            ("name: old, groups: [b], append: true", &[], &[]),
            // The main group is nobody's supplementary one.
            ("name: old, groups: [main, a, b]", &[], &[]),
            (
                "name: old, comment: C, shell: /bin/bash, password: \"!\"",
                &["comment", "shell", "password"],
                &["usermod -c C -s /bin/bash -p ! -- old"],
            ),
            // What is given and empty is emptied; a password that is only locked is the same.
            (
                "name: old, comment: \"\", shell: \"\", password: \"\"",
                &["comment", "shell", "password"],
                &["usermod -c  -s  -p  -- old"],
            ),
            ("name: old, comment: null, shell: null, password: null", &[], &[]),
            ("name: old, password: \"!$6$x\"", &[], &[]),
            ("name: old, state: absent", &["removed user old"], &["userdel -- old"]),
        ],
    )
    .await;
}

/// As in Ansible, which has it of users only.
#[tokio::test]
async fn the_status_of_the_program_that_refuses_a_user_is_registered() {
    let here = machine(&[]);
    for (program, status) in [("useradd", 4), ("groupadd", 4), ("useradd", 127)] {
        here.program(program, &format!("exit {status}"));
        let module = if program == "useradd" { "user" } else { "group" };
        let tasks = format!(
            "- {module}: {{ name: new }}\n  register: r\n  ignore_errors: true\n- debug: {{ msg: \"{{{{ [r.changed, r.failed, \
             r.rc | default('none')] | to_json }}}}\" }}"
        );
        let report = here.play(&tasks, Mode::Apply).await.expect("ran");
        let expected = match (program, status) {
            ("useradd", 4) => "[false, true, 4]",
            _ => "[false, true, \"none\"]",
        };
        assert_eq!(
            report.tasks[1].message.as_deref(),
            Some(expected),
            "{program} {status}"
        );
    }
}

#[tokio::test]
async fn a_user_who_is_there_gets_the_home_that_is_missing() {
    let here = machine(&[]);
    let home = here.path("home").display().to_string();
    here.program(
        "getent",
        &format!("[ \"$1\" = passwd ] || exit 2; echo 'old:x:70:71::{home}:/bin/sh'"),
    );
    here.program("id", "case $1 in -u) echo 70;; -g) echo 71;; esac");
    check(&here, "user", &[("name: old, create_home: false", &[], &[])]).await;
    let task = "- user: { name: old }";
    assert_eq!(here.changes(task, Mode::Check).await, ["home ~/home"]);
    assert!(!here.path("home").exists());
    assert_eq!(here.changes(task, Mode::Apply).await, ["home ~/home"]);
    assert_eq!(here.calls(), [format!("chown -R -P -- 70:71 {home}")]);
    assert!(here.path("home").is_dir());
    assert!(here.changes(task, Mode::Apply).await.is_empty());
}

#[tokio::test]
async fn names_that_could_be_options_or_paths_are_refused() {
    let here = machine(&[]);
    for (module, name) in [
        ("user", "name"),
        ("group", "name"),
        ("authorized_key", "key: AAAA, user"),
    ] {
        for word in ["\"-x\"", "a/b", "a b", "\"a;b\"", "\"a\\nb\"", "ä"] {
            let task = format!("- {module}: {{ {name}: {word} }}");
            let text = here.failure(&task).await;
            assert!(
                text.ends_with("expected the name of a user or group"),
                "{task}: {text}"
            );
        }
        let text = here.failure(&format!("- {module}: {{ {name}: \"\" }}")).await;
        assert!(text.ends_with(" is \"\", expected text"), "{text}");
    }
    assert!(here.calls().is_empty());
}

const A: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAA a";
const B: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBBBB b";

/// A machine on which one user has a home.
fn home() -> Here {
    let here = machine(&[]);
    let home = here.path("").display().to_string();
    let entry = format!("u:x:70:71::{}:/bin/sh", home.trim_end_matches('/'));
    here.program("getent", &format!("[ \"$3\" = u ] || exit 2; echo '{entry}'"));
    here
}

#[tokio::test]
async fn keys_are_added_replaced_and_taken_away() {
    let key = |key: &str, rest: &str| format!("- authorized_key: {{ user: u, key: '{key}'{rest} }}");
    let options = format!("restrict,command=\"echo a b\" {A}");
    let other_comment = A.replace(" a", " someone");
    let cases = [
        ("", key(A, ""), Some(format!("{A}\n"))),
        (A, key(A, ""), None),
        (A, key(B, ""), Some(format!("{A}\n{B}\n"))),
        // The same key with another comment or with options is the same key.
        (A, key(&other_comment, ""), Some(format!("{other_comment}\n"))),
        (A, key(&options, ""), Some(format!("{options}\n"))),
        (&options, key(A, ", state: absent"), Some(String::new())),
        (B, key(A, ", state: absent"), None),
        (A, key(B, ", exclusive: true"), Some(format!("{B}\n"))),
        (A, key(A, ", exclusive: true"), None),
        // Several in one text, with comments and blank lines between.
        (
            "",
            key(&format!("{A}\n\n\n\n# two\n\n{B}"), ""),
            Some(format!("{A}\n{B}\n")),
        ),
        // A line that only tells of a key is no key.
        (&format!("# {A}"), key(A, ""), Some(format!("# {A}\n{A}\n"))),
        (&format!("# {A}"), key(A, ", state: absent"), None),
    ];
    for (before, task, after) in cases {
        let here = home();
        std::fs::create_dir(here.path(".ssh")).expect("a folder");
        here.write(".ssh/authorized_keys", &format!("{before}\n"));
        let changes: &[&str] = if after.is_some() { &["keys of u"] } else { &[] };
        here.check(&[(&task, changes)]).await;
        let after = after.unwrap_or_else(|| format!("{before}\n"));
        assert_eq!(here.read(".ssh/authorized_keys"), after, "{before:?} and {task}");
    }
}

#[tokio::test]
async fn the_folder_of_keys_is_made_and_belongs_to_the_user() {
    let here = home();
    let task = format!("- authorized_key: {{ user: u, key: '{A}' }}");
    here.check(&[(&task, &["keys of u"])]).await;
    assert_eq!(
        (here.mode(".ssh"), here.mode(".ssh/authorized_keys")),
        (0o700, 0o600)
    );
    let calls = here.calls();
    let [folder, file] = calls.as_slice() else {
        panic!("{calls:?}");
    };
    // The file is made in a folder that is the user's: what is there by now may be a link of theirs.
    assert!(folder.starts_with("chown 70:71 -- "), "{folder}");
    assert!(file.starts_with("chown -h 70:71 -- "), "{file}");
}

#[tokio::test]
async fn what_is_no_key_changes_nothing() {
    let here = home();
    std::fs::create_dir(here.path(".ssh")).expect("a folder");
    here.write(".ssh/authorized_keys", &format!("{A}\n"));
    let before = here.snapshot();
    for key in ["nonsense", "ssh-ed25519", "ssh-ed25519 BBBB a"] {
        for rest in ["", ", state: absent", ", exclusive: true"] {
            let task = format!("- authorized_key: {{ user: u, key: '{key}'{rest} }}");
            assert_eq!(
                here.failure(&task).await,
                format!("the key {key:?} holds no key in base64, which begins with AAAA"),
                "{task}"
            );
        }
    }
    assert_eq!(here.snapshot(), before);
    let text = here
        .failure(&format!("- authorized_key: {{ user: v, key: '{A}' }}"))
        .await;
    assert_eq!(text, "the module's script failed\nthere is no user v");
}
