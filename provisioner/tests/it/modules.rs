//! Each module by a table: what a first and a second run report, and what is left on the host.

use provisioner::{Mode, Outcome};
use serde_json::{Value, json};

use crate::throwaway::{Throwaway, play_of};

use Outcome::{Changed, Ok as Fine, Skipped};

/// A task, and what it reports the first time and the second time.
type Case = (&'static str, Outcome, Outcome);

async fn check(host: &Throwaway, cases: &[Case]) {
    for (task, first, second) in cases {
        let play = play_of(task);
        let last = |report: provisioner::Report| report.tasks.last().expect("a task").outcome;
        // Check mode says what the run then does, unless it cannot know.
        let checked = host.play(&play, json!({}), Mode::Check).await;
        let checked = last(checked.unwrap_or_else(|error| panic!("{task}: {error}")));
        let done = host.play(&play, json!({}), Mode::Apply).await;
        let done = done.unwrap_or_else(|error| panic!("{task}: {error}"));
        assert_eq!(
            done.tasks.last().expect("a task").outcome,
            *first,
            "first run of {task}\n{done}"
        );
        assert!(
            checked == *first || checked == Skipped,
            "check mode said {checked} of {task}"
        );
        let again = host.play(&play, json!({}), Mode::Apply).await.expect("again");
        assert_eq!(last(again), *second, "second run of {task}");
    }
}

#[tokio::test]
async fn files() {
    let host = Throwaway::start();
    let cases: &[Case] = &[
        (
            "- file: { path: /srv/d/e, state: directory, mode: \"0750\", owner: daemon }",
            Changed,
            Fine,
        ),
        (
            "- file: { path: /srv/d/e, state: directory, mode: \"0700\" }",
            Changed,
            Fine,
        ),
        ("- file: { path: /srv/d/f, state: touch }", Changed, Changed),
        (
            "- file: { path: /srv/d/f, state: touch, modification_time: preserve, access_time: preserve }",
            Fine,
            Fine,
        ),
        ("- file: { path: /srv/d/l, src: f, state: link }", Changed, Fine),
        ("- file: { path: /srv/d/l, src: e, state: link }", Changed, Fine),
        (
            "- file: { path: /srv/d/f, mode: \"0604\", group: daemon }",
            Changed,
            Fine,
        ),
        ("- file: { path: /srv/d/l, state: absent }", Changed, Fine),
        ("- file: { dest: /srv/d, state: absent }", Changed, Fine),
    ];
    check(&host, cases).await;
    assert!(!host.path("/srv/d").exists());
}

#[tokio::test]
async fn copies() {
    let host = Throwaway::start();
    let cases: &[Case] = &[
        (
            "- copy: { content: \"it's $x\\n\", dest: \"/srv/a b'c\" }",
            Changed,
            Fine,
        ),
        (
            "- copy: { content: \"other\\n\", dest: \"/srv/a b'c\", mode: \"0600\" }",
            Changed,
            Fine,
        ),
        (
            "- copy: { content: \"third\\n\", dest: \"/srv/a b'c\", force: false }",
            Fine,
            Fine,
        ),
        (
            "- copy: { content: \"other\\n\", dest: \"/srv/a b'c\", owner: daemon, group: daemon }",
            Changed,
            Fine,
        ),
        ("- copy: { src: /etc/hostname, dest: /srv/new/ }", Changed, Fine),
        ("- copy: { src: /etc/hostname, dest: /srv/new }", Fine, Fine),
        (
            "- copy: { content: { a: [1, x] }, dest: /srv/json }",
            Changed,
            Fine,
        ),
    ];
    check(&host, cases).await;
    assert_eq!(
        (host.read("/srv/a b'c").as_str(), host.mode("/srv/a b'c")),
        ("other\n", 0o600)
    );
    assert_eq!(host.read("/srv/json"), "{\"a\": [1, \"x\"]}");
    assert!(host.path("/srv/new/hostname").exists());
}

#[tokio::test]
async fn a_large_file_is_copied_once() {
    let host = Throwaway::start();
    let file = tempfile::NamedTempFile::new().expect("a file");
    let bytes: Vec<u8> = (0..=250_u8).cycle().take(5_000_000).collect();
    std::fs::write(file.path(), &bytes).expect("its content");
    let task = format!("- copy: {{ src: {}, dest: /srv/large }}", file.path().display());
    assert_eq!(host.tasks(&task).await.changed(), 1);
    assert!(std::fs::read(host.path("/srv/large")).expect("the copy") == bytes);
    assert_eq!(host.tasks(&task).await.changed(), 0);
}

#[tokio::test]
async fn lines() {
    let host = Throwaway::start();
    host.write("/srv/f", "a=1\n#b=2\nc=3");
    let cases: &[Case] = &[
        (
            "- lineinfile: { path: /srv/f, regexp: \"^#?b=\", line: b=9 }",
            Changed,
            Fine,
        ),
        (
            "- lineinfile: { path: /srv/f, line: \"d='\\\\ $x\" }",
            Changed,
            Fine,
        ),
        (
            "- lineinfile: { path: /srv/f, line: first, insertbefore: BOF }",
            Changed,
            Fine,
        ),
        (
            "- lineinfile: { path: /srv/f, regexp: \"^[ac]=\", state: absent }",
            Changed,
            Fine,
        ),
        (
            "- lineinfile: { path: /srv/f, line: gone, state: absent }",
            Fine,
            Fine,
        ),
        (
            "- lineinfile: { path: /srv/g/h, line: x, create: true, mode: \"0600\" }",
            Changed,
            Fine,
        ),
    ];
    check(&host, cases).await;
    assert_eq!(host.read("/srv/f"), "first\nb=9\nd='\\ $x\n");
    assert_eq!(
        (host.read("/srv/g/h").as_str(), host.mode("/srv/g/h")),
        ("x\n", 0o600)
    );
}

const KEY_A: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA a";

#[tokio::test]
async fn accounts() {
    let host = Throwaway::start();
    let cases: &[Case] = &[
        ("- group: { name: vg, gid: 7001 }", Changed, Fine),
        ("- group: { name: vg, gid: 7002 }", Changed, Fine),
        (
            "- user: { name: vu, uid: 7003, group: vg, groups: [daemon, mail], password: \"*\", home: /srv/vu }",
            Changed,
            Fine,
        ),
        ("- user: { name: vu, groups: mail }", Changed, Fine),
        (
            "- user: { name: vu, groups: \"daemon,bin\", append: true }",
            Changed,
            Fine,
        ),
        (
            "- user: { name: vu, shell: /bin/sh, comment: \"A b\", uid: 7004 }",
            Changed,
            Fine,
        ),
        ("- user: { name: vu, password: \"!\" }", Changed, Fine),
        (
            "- ansible.posix.authorized_key: { user: vu, key: \"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA a\" }",
            Changed,
            Fine,
        ),
        (
            "- authorized_key: { user: vu, key: \"ssh-ed25519 AAAAB3 b\" }",
            Changed,
            Fine,
        ),
        (
            "- authorized_key: { user: vu, key: \"ssh-ed25519 AAAAB3 b\", state: absent }",
            Changed,
            Fine,
        ),
        (
            "- authorized_key: { user: vu, key: \"ssh-ed25519 AAAAC3 c\", exclusive: true }",
            Changed,
            Fine,
        ),
    ];
    check(&host, &cases[..8]).await;
    assert_eq!(host.read("/srv/vu/.ssh/authorized_keys"), format!("{KEY_A}\n"));
    check(&host, &cases[8..]).await;
    assert_eq!(
        host.read("/srv/vu/.ssh/authorized_keys"),
        "ssh-ed25519 AAAAC3 c\n"
    );
    assert_eq!(
        (
            host.mode("/srv/vu/.ssh"),
            host.mode("/srv/vu/.ssh/authorized_keys")
        ),
        (0o700, 0o600)
    );
    assert!(host.read("/etc/shadow").contains("\nvu:!:"));
    assert!(
        host.read("/etc/passwd")
            .contains("\nvu:x:7004:7002:A b:/srv/vu:/bin/sh\n")
    );
    let gone: &[Case] = &[
        ("- user: { name: vu, state: absent }", Changed, Fine),
        ("- group: { name: vg, state: absent }", Changed, Fine),
    ];
    check(&host, gone).await;
}

#[tokio::test]
async fn packages_that_are_there_are_left_alone_and_missing_ones_would_be_installed() {
    let host = Throwaway::start();
    let cases: &[Case] = &[
        (
            "- package: { name: [bash, coreutils], state: present }",
            Fine,
            Fine,
        ),
        ("- apt: { name: bash }", Fine, Fine),
        (
            "- package: { name: no-such-package-anywhere, state: absent }",
            Fine,
            Fine,
        ),
        (
            "- dnf: { name: no-such-package-anywhere, state: absent }",
            Fine,
            Fine,
        ),
    ];
    check(&host, cases).await;
    let play = play_of("- package: { name: [bash, no-such-package] }");
    let report = host.play(&play, json!({}), Mode::Check).await.expect("checked");
    assert_eq!(report.tasks[0].changes, ["present: no-such-package"]);
    let error = host
        .play(&play, json!({}), Mode::Apply)
        .await
        .expect_err("there is none")
        .to_string();
    assert!(
        error.contains("Unable to locate package no-such-package"),
        "{error}"
    );
}

#[tokio::test]
async fn commands_conditions_loops_and_results() {
    let host = Throwaway::start();
    let cases: &[Case] = &[
        ("- command: touch '/srv/a b'", Changed, Changed),
        (
            "- command: { cmd: touch /srv/made, creates: /srv/made }",
            Changed,
            Fine,
        ),
        (
            "- command: { cmd: rm /srv/made, removes: /srv/made }",
            Changed,
            Fine,
        ),
        (
            "- command: { argv: [touch, \"$x; it's\"], chdir: /srv, expand_argument_vars: false }",
            Changed,
            Changed,
        ),
        (
            "- command: { cmd: cat, stdin: text }\n  changed_when: false\n  check_mode: false",
            Fine,
            Fine,
        ),
        (
            "- shell: exit 3\n  failed_when: false\n  changed_when: false",
            Fine,
            Fine,
        ),
        ("- debug: { msg: x }\n  when: [true, false]", Skipped, Skipped),
        ("- debug: { msg: x }\n  loop: []", Skipped, Skipped),
        (
            "- command: \"true\"\n  loop: [1, 2]\n  changed_when: item == 2",
            Changed,
            Changed,
        ),
        (
            "- set_fact: { x: 1 }\n- assert: { that: [x == 1, y is not defined] }",
            Fine,
            Fine,
        ),
        (
            "- command: \"false\"\n  ignore_errors: true",
            Outcome::Ignored,
            Outcome::Ignored,
        ),
        ("- wait_for: { port: 22, timeout: 5 }", Fine, Fine),
        ("- wait_for: { path: /srv, timeout: 5 }", Fine, Fine),
        (
            "- wait_for: { path: /srv/none, state: absent, timeout: 5 }",
            Fine,
            Fine,
        ),
        (
            "- stat: { path: /srv, checksum_algorithm: sha256 }\n  register: s\n- assert: { that: s.stat.isdir and s.stat.mode == '0755' }",
            Fine,
            Fine,
        ),
        (
            "- shell: echo x >>/srv/count; test $(wc -l </srv/count) -ge 3\n  register: r\n  until: r.rc == 0\n  retries: 5\n  delay: 0\n  changed_when: false",
            Fine,
            Fine,
        ),
    ];
    check(&host, cases).await;
    assert!(host.path("/srv/$x; it's").exists() && host.path("/srv/a b").exists());
}

#[tokio::test]
async fn results_facts_and_given_variables_are_seen_in_their_order() {
    let host = Throwaway::start();
    let play = "- name: P\n  hosts: all\n  gather_facts: false\n  vars: { a: play, b: play, c: \"{{ a }}-{{ b }}\" }\n  tasks:\n    \
        - set_fact: { fact: \"{{ c }}\" }\n    - debug: { msg: \"{{ a }} {{ b }} {{ fact }} {{ t }} {{ item }}\" }\n      \
        vars: { t: \"{{ item }}{{ item }}\" }\n      loop: [1, 2]\n      register: said\n    - debug: { var: \"said.results[1].msg\" }\n";
    let report = host
        .play(play, json!({ "a": "given" }), Mode::Apply)
        .await
        .expect("ran");
    let messages: Vec<_> = report
        .tasks
        .iter()
        .filter_map(|task| task.message.as_deref())
        .collect();
    let expected = [
        "given play given-play 11 1\ngiven play given-play 22 2",
        "said.results[1].msg: \"given play given-play 22 2\"",
    ];
    assert_eq!(messages, expected);
}

#[tokio::test]
async fn no_log_hides_what_a_task_did() {
    let host = Throwaway::start();
    let play = play_of(
        "- copy: { content: secret, dest: /srv/x }\n  no_log: true\n- command: sh -c 'echo secret >&2; exit 9'\n  no_log: true",
    );
    let checked = host.play(&play, json!({}), Mode::Check).await.expect("checked");
    assert!(
        !format!("{checked} {checked:?}").contains("secret"),
        "{checked:?}"
    );
    let error = host
        .play(&play, Value::Object(serde_json::Map::new()), Mode::Apply)
        .await
        .expect_err("fails");
    assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
}
