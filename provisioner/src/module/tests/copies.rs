//! copy.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::host::tests::fake::{Fake, output};
use crate::host::tests::here::{Here, play};
use crate::report::Mode;
use crate::scripts;

#[tokio::test]
async fn text_becomes_a_file_whose_mode_is_kept_when_only_the_text_changes() {
    let here = Here::new();
    here.check(&[
        ("- copy: { dest: ~/f, content: \"a\\n\" }", &["content of ~/f"]),
        (
            "- copy: { dest: ~/f, content: \"a\\n\", mode: \"0640\" }",
            &["mode 644 -> 640"],
        ),
        ("- copy: { dest: ~/f, content: \"b\\n\" }", &["content of ~/f"]),
        ("- copy: { dest: ~/f, content: \"c\\n\", force: false }", &[]),
        (
            "- copy: { dest: ~/g, content: \"\", force: false }",
            &["content of ~/g"],
        ),
        (
            "- copy: { dest: ~/h, content: { b: [1, true], a: é } }",
            &["content of ~/h"],
        ),
    ])
    .await;
    assert_eq!((here.read("f").as_str(), here.mode("f")), ("b\n", 0o640));
    assert_eq!((here.read("g").as_str(), here.mode("g")), ("", 0o644));
    assert_eq!(here.read("h"), "{\"b\": [1, true], \"a\": \"\\u00e9\"}");
    assert_eq!(here.snapshot().len(), 3);
}

#[tokio::test]
async fn a_file_goes_under_its_name_into_a_folder() {
    let (here, ours) = (Here::new(), tempfile::TempDir::new().expect("a folder"));
    let source = ours.path().join("one");
    std::fs::write(&source, "1").expect("a file");
    std::fs::set_permissions(&source, std::fs::Permissions::from_mode(0o705)).expect("its mode");
    std::fs::create_dir(here.path("d")).expect("a folder");
    let copy = |rest: &str| format!("- copy: {{ src: {}, {rest} }}", source.display());
    here.check(&[
        (&copy("dest: ~/d"), &["content of ~/d/one"]),
        (
            &copy("dest: ~/new/er/"),
            &["directory ~/new/er/", "content of ~/new/er/one"],
        ),
    ])
    .await;
    // A new file has its mode from the first: that is no change of its own.
    here.check(&[(&copy("dest: ~/two, mode: preserve"), &["content of ~/two"])])
        .await;
    assert_eq!((here.mode("two"), here.mode("d/one")), (0o705, 0o644));
    // Text of the playbook has the mode of the file in which Ansible sends it.
    let text = "- copy: { content: x, dest: ~/text, mode: preserve }";
    here.check(&[(text, &["content of ~/text"])]).await;
    assert_eq!(here.mode("text"), 0o600);
}

/// A folder with a file that may be run, one that may not, and an empty folder.
fn tree() -> tempfile::TempDir {
    let ours = tempfile::TempDir::new().expect("a folder");
    let tree = ours.path().join("tree");
    std::fs::create_dir_all(tree.join("a b/empty")).expect("folders");
    std::fs::write(tree.join("a b/it's $x"), "deep").expect("a file");
    std::fs::write(tree.join("run"), "#!/bin/sh\n").expect("a file");
    std::fs::set_permissions(tree.join("run"), std::fs::Permissions::from_mode(0o700)).expect("its mode");
    ours
}

#[tokio::test]
async fn of_a_folder_only_what_differs_is_changed() {
    let (here, ours) = (Here::new(), tree());
    let copy =
        |slash: &str, rest: &str| format!("- copy: {{ src: {}/tree{slash}, {rest} }}", ours.path().display());
    // What is inside a folder when its name ends with a slash, else the folder itself.
    here.check(&[
        (
            &copy("/", "dest: ~/x"),
            &[
                "directory ~/x",
                "directory ~/x/a b",
                "directory ~/x/a b/empty",
                "content of ~/x/a b/it's $x",
                "content of ~/x/run",
            ],
        ),
        (
            &copy("", "dest: ~/x/"),
            &[
                "directory ~/x/tree",
                "directory ~/x/tree/a b",
                "directory ~/x/tree/a b/empty",
                "content of ~/x/tree/a b/it's $x",
                "content of ~/x/tree/run",
            ],
        ),
        (
            &copy("/", "dest: ~/x, mode: preserve"),
            &["mode 644 -> 700 of ~/x/run"],
        ),
        (
            &copy("/", "dest: ~/x, directory_mode: \"0700\""),
            &[
                "mode 755 -> 700 of ~/x",
                "mode 755 -> 700 of ~/x/a b",
                "mode 755 -> 700 of ~/x/a b/empty",
            ],
        ),
    ])
    .await;
    here.write("x/run", "other");
    symlink("nowhere", here.path("x/link")).expect("a link");
    here.check(&[(&copy("/", "dest: ~/x"), &["content of ~/x/run"])])
        .await;
    assert_eq!(
        (here.read("x/a b/it's $x").as_str(), here.mode("x/run")),
        ("deep", 0o700)
    );
    assert!(here.path("x/link").is_symlink(), "what is not ours stays");
}

#[tokio::test]
async fn check_mode_shows_the_difference_of_texts() {
    let here = Here::new();
    here.write("f", "one\ntwo\n");
    std::fs::write(here.path("binary"), [0xff, 0xfe]).expect("a file");
    let cases = [
        (
            "dest: ~/f, content: \"one\\n2\\n\"",
            "--- ~/f\n+++ ~/f\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n",
        ),
        (
            "dest: ~/new, content: \"x\\n\"",
            "--- ~/new\n+++ ~/new\n@@ -0,0 +1,1 @@\n+x\n",
        ),
        ("dest: ~/binary, content: abc", "~/binary: not text, 3 bytes\n"),
    ];
    for (parameters, expected) in cases {
        let task = format!("- copy: {{ {parameters} }}");
        let report = here.play(&task, Mode::Check).await.expect("checked");
        let diff = report.tasks[0].diff.as_deref().map(|diff| here.short(diff));
        assert_eq!(diff.as_deref(), Some(expected), "{task}");
        let report = here.play(&format!("{task}\n  no_log: true"), Mode::Check).await;
        assert_eq!(report.expect("checked").tasks[0].diff, None, "no_log");
    }
    let same = here
        .play("- copy: { dest: ~/f, content: \"one\\ntwo\\n\" }", Mode::Check)
        .await;
    assert_eq!(same.expect("checked").tasks[0].diff, None);
}

#[tokio::test]
async fn what_cannot_be_copied_is_named() {
    let (here, ours) = (Here::new(), tree());
    std::fs::create_dir(here.path("d")).expect("a folder");
    let odd = ours.path().join("odd");
    std::fs::create_dir(&odd).expect("a folder");
    std::fs::write(odd.join("a\\b"), "").expect("a file");
    let at = odd.display();
    let source = ours.path().join("tree/run").display().to_string();
    let cases = [
        (
            "dest: ~/f".to_owned(),
            "copy needs either src or content".to_owned(),
        ),
        (
            format!("dest: ~/f, content: x, src: {source}"),
            "copy needs either src or content".to_owned(),
        ),
        (
            "dest: ~/d/, content: x".to_owned(),
            "content goes to a file, but dest is a folder".to_owned(),
        ),
        (
            "dest: ~/d, content: x".to_owned(),
            "the module's script failed\n~/d/ is a directory".to_owned(),
        ),
        (
            "dest: ~/no/f, content: x".to_owned(),
            "the module's script failed\nthe directory ~/no does not exist".to_owned(),
        ),
        (
            "dest: ~/f, src: /no/where".to_owned(),
            "the source /no/where cannot be read: No such file or directory (os error 2)".to_owned(),
        ),
        (
            format!("dest: ~/f, src: {at}/"),
            format!("{at}/ holds the name \"a\\\\b\", which cannot be copied"),
        ),
    ];
    for (parameters, expected) in cases {
        let task = format!("- copy: {{ {parameters} }}");
        assert_eq!(here.failure(&task).await, expected, "{task}");
    }
    assert_eq!(here.snapshot().len(), 1);
}

#[tokio::test]
async fn content_that_arrives_damaged_replaces_nothing() {
    let here = Here::new();
    here.write("f", "old");
    here.program("cat", "/bin/cat | /usr/bin/tr a b");
    let before = here.snapshot();
    assert_eq!(
        here.failure("- copy: { dest: ~/f, content: aaa }").await,
        "the module's script failed\nthe content arrived damaged"
    );
    assert_eq!(here.snapshot(), before);
}

#[tokio::test]
async fn a_folder_that_cannot_be_looked_at_as_a_whole_is_not_copied() {
    let ours = tree();
    let task = format!("- copy: {{ src: {}/tree/, dest: /x }}", ours.path().display());
    let mut cut = output(0, "directory|755|root|0|root|0|/x\n", "").expect("an output");
    cut.truncated = true;
    for answer in [output(127, "", "xargs: not found"), Ok(cut)] {
        let fake = Fake::new([answer]);
        let error = play(&fake, &task, Mode::Apply).await.expect_err("not copied");
        let text = error.to_string();
        assert!(
            text.contains("copy failed: the files on the host cannot be looked at"),
            "{text}"
        );
        assert_eq!(fake.asked().len(), 1);
    }
}

#[tokio::test]
async fn what_copy_registers() {
    let here = Here::new();
    std::fs::create_dir(here.path("d")).expect("a folder");
    let ours = tree();
    let tasks = format!(
        "- copy: {{ src: {}/tree/run, dest: ~/d }}\n  register: r\n- debug: {{ msg: \"{{{{ r.dest }}}} {{{{ r.checksum }}}} \
         {{{{ r.changed }}}}\" }}",
        ours.path().display()
    );
    let report = here.play(&tasks, Mode::Apply).await.expect("ran");
    let message = here.short(report.tasks[1].message.as_deref().expect("a message"));
    assert_eq!(
        message,
        "~/d/run a8076d3d28d21e02012b20eaf7dbf75409a6277134439025f282e368e3305abf True"
    );
}

#[tokio::test]
async fn a_name_is_as_long_as_the_file_system_lets_it_be() {
    let here = Here::new();
    let name = "x".repeat(255);
    let wanted = format!("- copy: {{ dest: ~/{name}, content: a }}");
    let line = format!("- lineinfile: {{ path: ~/{name}, line: b }}");
    here.check(&[
        (&wanted, &[&format!("content of ~/{name}")]),
        (&line, &[&format!("lines of ~/{name}")]),
    ])
    .await;
    assert_eq!(here.read(&name), "a\nb\n");
    assert_eq!(here.snapshot().len(), 1);
}

/// The channel to a host can be gone before its script has said why it fails.
#[test]
fn nothing_is_left_of_a_copy_that_fails_when_nobody_reads_why() {
    let directory = tempfile::TempDir::new().expect("a folder");
    let names = || std::fs::read_dir(directory.path()).expect("it").count();
    let mut copy = Command::new("sh")
        .args(["-c", scripts::COPY, "copy", "0"])
        .arg(directory.path().join("file"))
        .args(["file", "", "", "", &"0".repeat(64), "0"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a shell");
    let input = copy.stdin.take();
    while names() == 0 {
        assert!(
            copy.try_wait().expect("its state").is_none(),
            "it ended before it began"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(copy.stderr.take());
    drop(input);
    let status = copy.wait().expect("its end");
    assert_eq!((status.success(), names()), (false, 0), "{status}");
}
