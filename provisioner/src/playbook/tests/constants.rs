//! Values that can be judged before anything is run, since nothing in them is evaluated.

use super::{Playbook, play, wrong};

/// A call, and the mistake in it: where, and in which words.
const MISTAKES: &[(&str, &str)] = &[
    (
        "- file: { path: /a, state: hard }",
        "5:32: the parameter state of file is \"hard\", expected file, directory, absent, touch, link",
    ),
    (
        "- file: { dest: a }",
        "5:21: the parameter path of file is \"a\", expected an absolute path",
    ),
    (
        "- file: { path: /a, state: link }",
        "5:7: src goes with state: link, and the other way round",
    ),
    (
        "- file: { path: /a, force: perhaps }",
        "5:32: the parameter force of file is \"perhaps\", expected true or false",
    ),
    (
        "- file: { path: /a, owner: \"a b\" }",
        "5:32: the parameter owner of file is \"a b\", expected the name of a user or group",
    ),
    (
        "- file: { path: /a, access_time: now }",
        "5:38: the parameter access_time of file is \"now\", expected preserve",
    ),
    (
        "- wait_for: { port: 99999 }",
        "5:25: the parameter port of wait_for is 99999, expected a whole number from 0 to 65535",
    ),
    ("- wait_for: {}", "5:7: wait_for needs either path or port"),
    (
        "- wait_for: { port: 22, host: db }",
        "5:35: wait_for looks at ports of the host itself only",
    ),
    (
        "- wait_for: { path: /a, timeout: -1 }",
        "5:38: the parameter timeout of wait_for is -1, expected a whole number from 0 to 86400",
    ),
    (
        "- wait_for: { path: /a, state: drained }",
        "5:36: the parameter state of wait_for is \"drained\", expected started, present, absent, stopped",
    ),
    (
        "- copy: { dest: x, content: y }",
        "5:21: the parameter dest of copy is \"x\", expected an absolute path",
    ),
    (
        "- copy: { dest: /x/, content: y }",
        "5:21: content goes to a file, but dest is a folder",
    ),
    ("- copy: { dest: /x }", "5:7: copy needs either src or content"),
    (
        "- copy: { dest: /x, src: [a] }",
        "5:30: the parameter src of copy is [\"a\"], expected text",
    ),
    (
        "- user: { name: a, uid: x }",
        "5:29: the parameter uid of user is \"x\", expected a whole number from 0 to 4294967294",
    ),
    (
        "- user: { name: a, groups: [b, \"c d\"] }",
        "5:32: the parameter groups of user is [\"b\",\"c d\"], expected names of groups",
    ),
    (
        "- user: { name: a, home: srv }",
        "5:30: the parameter home of user is \"srv\", expected an absolute path",
    ),
    (
        "- user: { name: a, comment: \"a:b\" }",
        "5:33: the parameter comment of user is \"a:b\", expected a text without a colon, in one line",
    ),
    (
        "- group: { name: a, gid: -1 }",
        "5:30: the parameter gid of group is -1, expected a whole number from 0 to 4294967294",
    ),
    (
        "- group: { name: a, state: gone }",
        "5:32: the parameter state of group is \"gone\", expected present, absent",
    ),
    (
        "- lineinfile: { path: /a, line: b, regexp: \"(\" }",
        "5:48: regexp \"(\": a parenthesis that is not closed is not supported; use what POSIX and Python share, such as [0-9]",
    ),
    (
        "- lineinfile: { path: /a, line: b, regexp: \"[z-a])\" }",
        "5:48: regexp \"[z-a])\": a range whose end comes before its begin is not supported; use what POSIX and Python share, such as [0-9]",
    ),
    (
        "- lineinfile: { path: /a }",
        "5:7: lineinfile needs line, or regexp with state: absent",
    ),
    (
        "- lineinfile: { path: /a, line: b, insertafter: c }",
        "5:53: the parameter insertafter of lineinfile is \"c\", expected EOF",
    ),
    (
        "- lineinfile: { path: /a, line: \"b\\nc\" }",
        "5:37: line holds more than one line",
    ),
    (
        "- stat: { path: /a, get_checksum: maybe }",
        "5:39: the parameter get_checksum of stat is \"maybe\", expected true or false",
    ),
    (
        "- stat: { path: /a, checksum_algorithm: md5 }",
        "5:45: the parameter checksum_algorithm of stat is \"md5\", expected sha1, sha256",
    ),
    (
        "- command: ls $HOME",
        "5:16: the word \"$HOME\" would be expanded by Ansible: say expand_argument_vars: false if it is meant as it stands, or use shell",
    ),
    (
        "- command: { cmd: \"ls 'a\" }",
        "5:23: a ' in the command line is never closed",
    ),
    ("- command: { argv: ls }", "5:24: argv is a list of words"),
    (
        "- command: { argv: [ls], chdir: [a] }",
        "5:37: the parameter chdir of command is [\"a\"], expected text",
    ),
    (
        "- shell: { cmd: \"\" }",
        "5:21: the parameter cmd of shell is \"\", expected text",
    ),
    (
        "- shell: { cmd: ls, stdin: { a: b } }",
        "5:32: the parameter stdin of shell is {\"a\":\"b\"}, expected text",
    ),
    (
        "- package: { name: a, state: latest }",
        "5:34: the parameter state of package is \"latest\", expected present, installed, absent, removed",
    ),
    (
        "- apt: { name: [a, \"b c\"] }",
        "5:20: \"b c\" is not the name of a package",
    ),
    (
        "- dnf: { name: a, update_cache: 2 }",
        "5:37: the parameter update_cache of dnf is 2, expected true or false",
    ),
    (
        "- authorized_key: { user: a, key: none }",
        "5:39: the key \"none\" holds no key in base64, which begins with AAAA",
    ),
    (
        "- authorized_key: { user: \"a/b\", key: AAAA }",
        "5:31: the parameter user of authorized_key is \"a/b\", expected the name of a user or group",
    ),
    (
        "- assert: { that: true, fail_msg: { a: b } }",
        "5:39: the parameter fail_msg of assert is {\"a\":\"b\"}, expected text",
    ),
    (
        "- assert: { that: true, quiet: silent }",
        "5:36: the parameter quiet of assert is \"silent\", expected true or false",
    ),
    (
        "- debug: { var: [a] }",
        "5:21: the parameter var of debug is [\"a\"], expected text",
    ),
    ("- set_fact: {}", "5:7: set_fact sets nothing"),
    (
        "- debug: { msg: a }\n  loop: 3",
        "6:13: loop is 3, expected a list",
    ),
    (
        "- debug: { msg: a }\n  loop: abc",
        "6:13: loop is \"abc\", expected a list",
    ),
];

#[test]
fn a_constant_that_would_fail_on_every_builder_is_a_mistake_of_the_file() {
    assert!(MISTAKES.len() >= 40);
    let told: Vec<String> = MISTAKES
        .iter()
        .map(|(task, expected)| (wrong(task), task, expected))
        .filter(|(found, _, expected)| found.as_slice() != [**expected])
        .map(|(found, task, expected)| format!("{task}\n  {expected}\n  {found:?}"))
        .collect();
    assert!(told.is_empty(), "{}", told.join("\n"));
}

#[test]
fn all_mistakes_of_one_call_are_told_and_each_where_it_is() {
    let found = wrong("- user: { name: \"a b\", uid: x, state: gone, home: \"{{ h }}\" }");
    let places: Vec<&str> = found.iter().map(|one| one.split(": ").next().unwrap()).collect();
    assert_eq!(places, ["5:21", "5:33", "5:43"], "{found:?}");
}

#[test]
fn what_is_known_only_when_it_runs_is_no_mistake() {
    for fine in [
        "- file: { path: \"{{ p }}\", state: \"{{ s }}\" }",
        "- file: { path: /a, state: link, src: \"{{ s }}\" }",
        "- wait_for: { port: \"{{ p }}\" }",
        "- wait_for: { path: \"{{ p }}\", port: \"{{ q }}\" }",
        "- copy: { dest: \"{{ d }}\", content: \"{{ c }}\" }",
        "- copy: { dest: /d, src: \"{{ staged }}/a\", mode: \"{{ m }}\" }",
        "- user: { name: \"{{ n }}\", groups: [\"{{ g }}\"], uid: \"{{ u }}\" }",
        "- user: { name: a, home: \"\", password: \"*\", groups: [] }",
        "- lineinfile: { path: /a, state: \"{{ s }}\" }",
        "- lineinfile: { path: /a, regexp: \"{{ r }}\", state: absent }",
        "- command: \"{{ c }} $HOME\"",
        "- command: { argv: [\"{{ c }}\", \"$HOME\"] }",
        "- command: { cmd: \"a $b\", expand_argument_vars: \"{{ e }}\" }",
        "- shell: \"{{ c }}\"",
        "- package: { name: \"{{ p }}\" }",
        "- authorized_key: { user: a, key: \"{{ k }}\" }",
        "- set_fact: { a: \"{{ b }}\" }",
        "- debug: { msg: [a] }\n  loop: \"{{ l }}\"",
        "- debug: { msg: a }\n  loop:",
        "- debug: { msg: a }\n  loop: []",
        "- stat: { path: /a, follow: \"yes\", get_checksum: false }",
    ] {
        let found = Playbook::parse("p.yml", &play(fine));
        assert!(found.is_ok(), "{fine}: {found:?}");
    }
}
