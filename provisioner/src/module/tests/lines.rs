//! lineinfile.

use crate::host::tests::here::Here;
use crate::report::Mode;

#[tokio::test]
async fn the_line_goes_where_ansible_puts_it() {
    // The file, the parameters, and the file behind it: none where nothing changes.
    let cases = [
        // The last line that matches is replaced, the others stay.
        (
            "a=1\nb=2\na=3\n",
            "regexp: \"^a=\", line: \"a=9\"",
            Some("a=1\nb=2\na=9\n"),
        ),
        ("a=1\nb=2\n", "regexp: \"^b=\", line: \"b=2\"", None),
        // Nothing matches: the line itself counts, else it goes to the end or to the beginning.
        ("a=1\nb=2\n", "regexp: \"^c=\", line: \"a=1\"", None),
        ("a=1\n", "regexp: \"^c=\", line: \"c=3\"", Some("a=1\nc=3\n")),
        ("a=1\n", "line: \"c=3\", insertbefore: BOF", Some("c=3\na=1\n")),
        ("a=1", "line: \"c=3\"", Some("a=1\nc=3\n")),
        ("a=1", "line: \"c=3\", insertbefore: BOF", Some("c=3\na=1")),
        ("", "line: \"c=3\"", Some("c=3\n")),
        ("a\n\nb\n", "line: \"\"", None),
        // A line of a file without an end gets one when it is the one that is wanted.
        ("b=1\na=1", "line: \"a=1\"", Some("b=1\na=1\n")),
        // Letters that mean something to awk, to sed or to a shell stand as they are.
        (
            "x\n",
            "line: 'p\\n&\\1 $HOME `id` \"q\"'",
            Some("x\np\\n&\\1 $HOME `id` \"q\"\n"),
        ),
        ("v=\\t\n", "line: 'v=\\t'", None),
        ("a.c\nabc\n", "regexp: 'a\\.c', line: z", Some("z\nabc\n")),
        ("(x|y)\n", "regexp: '^\\(x\\|y\\)$', line: z", Some("z\n")),
        (
            "#key = 1\n",
            "regexp: '^#?key *=', line: key = 2",
            Some("key = 2\n"),
        ),
        // Taking away takes all that match.
        ("a=1\nb=2\na=3", "state: absent, regexp: \"^a=\"", Some("b=2\n")),
        (
            "a=1\nb=2\na=3\n",
            "state: absent, line: \"a=3\"",
            Some("a=1\nb=2\n"),
        ),
        ("a=1\n", "state: absent, line: \"a=\"", None),
        ("a=1\n", "state: absent, regexp: \"^c\"", None),
    ];
    for (before, parameters, after) in cases {
        let here = Here::new();
        here.write("f", before);
        let task = format!("- lineinfile: {{ path: ~/f, {parameters} }}");
        let changes: &[&str] = if after.is_some() { &["lines of ~/f"] } else { &[] };
        here.check(&[(&task, changes)]).await;
        assert_eq!(here.read("f"), after.unwrap_or(before), "{before:?} {parameters}");
        assert_eq!(here.snapshot().len(), 1, "{parameters} leaves nothing behind");
    }
}

#[tokio::test]
async fn a_file_that_is_changed_keeps_its_mode_and_a_link_to_it_stays_one() {
    let here = Here::new();
    here.write("f", "a\n");
    std::os::unix::fs::symlink("f", here.path("l")).expect("a link");
    here.check(&[
        ("- file: { path: ~/f, mode: \"0640\" }", &["mode 644 -> 640"]),
        ("- lineinfile: { path: ~/l, line: b }", &["lines of ~/f"]),
        (
            "- lineinfile: { path: ~/l, line: b, mode: \"0600\" }",
            &["mode 640 -> 600"],
        ),
    ])
    .await;
    assert_eq!((here.read("f").as_str(), here.mode("f")), ("a\nb\n", 0o600));
    assert!(here.path("l").is_symlink());
}

#[tokio::test]
async fn a_file_that_is_missing_is_made_only_when_that_is_wished() {
    let here = Here::new();
    here.check(&[
        ("- lineinfile: { path: ~/f, line: a, state: absent }", &[]),
        (
            "- lineinfile: { path: ~/d/f, line: a, create: true }",
            &["file ~/d/f"],
        ),
    ])
    .await;
    assert_eq!((here.read("d/f").as_str(), here.mode("d/f")), ("a\n", 0o644));
    let cases = [
        (
            "path: ~/f, line: a",
            "the module's script failed\n~/f does not exist (create: true makes it)",
        ),
        (
            "path: ~/d, line: a",
            "the module's script failed\n~/d is not a regular file",
        ),
        ("path: ~/d/f, line: \"a\\nb\"", "line holds more than one line"),
        (
            "path: ~/d/f",
            "lineinfile needs line, or regexp with state: absent",
        ),
        (
            "path: ~/d/f, regexp: x",
            "lineinfile needs line, or regexp with state: absent",
        ),
        (
            "path: ~/d/f, state: absent",
            "lineinfile needs line, or regexp with state: absent",
        ),
        (
            "path: ~/d/f, line: a, insertafter: \"^x\"",
            "the parameter insertafter of lineinfile is \"^x\", expected EOF",
        ),
        (
            "path: ~/d/f, line: a, insertbefore: x",
            "the parameter insertbefore of lineinfile is \"x\", expected BOF",
        ),
        (
            "path: ~/d/f, line: a, regexp: \"{{ '(?i)a' }}\"",
            "regexp \"(?i)a\": (?...) is not supported; use what POSIX and Python share, such as [0-9]",
        ),
    ];
    for (parameters, expected) in cases {
        let task = format!("- lineinfile: {{ {parameters} }}");
        assert_eq!(here.failure(&task).await, expected, "{task}");
    }
    assert_eq!(here.read("d/f"), "a\n");
}

#[tokio::test]
async fn a_failed_change_leaves_the_file_as_it_was() {
    let here = Here::new();
    here.write("f", "a\n");
    here.program("awk", "echo half; exit 3");
    let before = here.snapshot();
    assert_eq!(
        here.failure("- lineinfile: { path: ~/f, line: b }").await,
        "the module's script failed\nawk failed with status 3"
    );
    assert_eq!(here.snapshot(), before);
    assert!(
        here.play("- lineinfile: { path: ~/f, line: b }", Mode::Check)
            .await
            .is_err()
    );
}
