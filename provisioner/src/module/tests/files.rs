//! file and stat.

use std::os::unix::fs::symlink;

use crate::host::tests::here::Here;
use crate::report::Mode;

#[tokio::test]
async fn folders_are_made_with_those_above_and_only_new_ones_get_the_mode() {
    let here = Here::new();
    here.check(&[
        (
            "- file: { path: ~/a, state: directory, mode: \"0750\" }",
            &["directory ~/a"],
        ),
        (
            "- file: { path: ~/a/b//c/, state: directory, mode: \"0700\" }",
            &["directory ~/a/b", "directory ~/a/b/c"],
        ),
        (
            "- file: { path: ~/a, state: directory, mode: \"0711\" }",
            &["mode 750 -> 711"],
        ),
    ])
    .await;
    assert_eq!(
        (here.mode("a"), here.mode("a/b"), here.mode("a/b/c")),
        (0o711, 0o700, 0o700)
    );
}

#[tokio::test]
async fn files_are_touched_changed_and_removed() {
    let here = Here::new();
    here.check(&[
        (
            "- file: { path: ~/f, state: touch, modification_time: preserve, access_time: preserve }",
            &["file ~/f"],
        ),
        ("- file: { path: ~/f, mode: \"4711\" }", &["mode 644 -> 4711"]),
        ("- file: { dest: ~/f, state: file, mode: \"4711\" }", &[]),
        ("- file: { path: ~/f, state: absent }", &["removed ~/f"]),
        ("- file: { path: ~/f, state: absent }", &[]),
    ])
    .await;
    let touch = "- file: { path: ~/g, state: touch }";
    assert_eq!(here.changes(touch, Mode::Apply).await, ["file ~/g"]);
    assert_eq!(here.changes(touch, Mode::Apply).await, ["times of ~/g"]);
    assert_eq!(here.mode("g"), 0o644, "whatever the umask of the session");
}

#[tokio::test]
async fn a_folder_is_removed_with_all_in_it_and_a_link_without_what_it_shows() {
    let here = Here::new();
    std::fs::create_dir_all(here.path("d/e")).expect("folders");
    here.write("d/e/f", "x");
    symlink("d", here.path("l")).expect("a link");
    symlink("nothing", here.path("broken")).expect("a link");
    here.check(&[
        ("- file: { path: ~/l, state: absent }", &["removed ~/l"]),
        ("- file: { path: ~/broken, state: absent }", &["removed ~/broken"]),
    ])
    .await;
    assert_eq!(here.read("d/e/f"), "x");
    here.check(&[("- file: { path: ~/d, state: absent }", &["removed ~/d"])])
        .await;
}

#[tokio::test]
async fn links_are_made_and_turned_and_their_mode_is_that_of_their_target() {
    let here = Here::new();
    std::fs::create_dir(here.path("empty")).expect("a folder");
    here.write("f", "");
    here.write("g", "");
    here.check(&[
        ("- file: { path: ~/l, src: f, state: link }", &["link ~/l -> f"]),
        ("- file: { path: ~/l, src: g, state: link }", &["link ~/l -> g"]),
        (
            "- file: { path: ~/l, src: ~/g, state: link }",
            &["link ~/l -> ~/g"],
        ),
        (
            "- file: { path: ~/l, src: ~/g, state: link, mode: \"0600\" }",
            &["mode 644 -> 600"],
        ),
        (
            "- file: { path: ~/m, src: none, state: link, force: true }",
            &["link ~/m -> none"],
        ),
        (
            "- file: { path: ~/f, src: g, state: link, force: true }",
            &["link ~/f -> g"],
        ),
        (
            "- file: { path: ~/empty, src: g, state: link, force: true }",
            &["link ~/empty -> g"],
        ),
    ])
    .await;
    assert_eq!(here.mode("g"), 0o600);
}

#[tokio::test]
async fn what_stands_in_the_way_is_never_replaced_unasked() {
    let here = Here::new();
    here.write("f", "kept");
    for folder in ["d", "empty"] {
        std::fs::create_dir(here.path(folder)).expect("a folder");
    }
    here.write("d/f", "kept");
    let cases = [
        ("- file: { path: ~/none }", "~/none does not exist"),
        (
            "- file: { path: ~/f/sub, state: directory }",
            "~/f exists and is no directory",
        ),
        (
            "- file: { path: ~/f, state: directory }",
            "~/f exists and is no directory",
        ),
        (
            "- file: { path: ~/f, src: d, state: link }",
            "~/f exists and is no link",
        ),
        (
            "- file: { path: ~/d, src: f, state: link, force: true }",
            "~/d is a directory that is not empty",
        ),
        (
            "- file: { path: ~/empty, src: f, state: link }",
            "~/empty exists and is no link",
        ),
        (
            "- file: { path: ~/l, src: none, state: link }",
            "~/none, the link's target, does not exist (force: true makes it anyway)",
        ),
    ];
    for (task, expected) in cases {
        let text = here.failure(task).await;
        assert_eq!(text, format!("the module's script failed\n{expected}"), "{task}");
    }
    assert_eq!((here.read("f").as_str(), here.snapshot().len()), ("kept", 4));
    for task in [
        "- file: { path: ~/l, state: link }",
        "- file: { path: ~/l, src: f, state: file }",
    ] {
        assert_eq!(
            here.failure(task).await,
            "src goes with state: link, and the other way round"
        );
    }
}

#[tokio::test]
async fn owners_are_compared_by_name_and_by_number() {
    let here = Here::new();
    for name in ["chown", "chmod"] {
        here.recorder(name);
    }
    // Mode, user and group, each with its number.
    here.program("stat", "echo '4755 daemon 2 wheel 10'");
    here.write("f", "");
    let cases: &[(&str, &[&str], &[&str])] = &[
        ("owner: daemon, group: wheel", &[], &[]),
        ("owner: \"2\", group: 10", &[], &[]),
        ("owner: root", &["owner daemon -> root"], &["chown -- root ~/f"]),
        ("group: \"0\"", &["group wheel -> 0"], &["chown -- :0 ~/f"]),
        (
            "owner: root, group: \"0\"",
            &["owner daemon -> root", "group wheel -> 0"],
            &["chown -- root:0 ~/f"],
        ),
        // Changing owner or group takes the bits away that let others act as the owner.
        (
            "owner: root, mode: \"4755\"",
            &["owner daemon -> root"],
            &["chown -- root ~/f", "chmod -- 4755 ~/f"],
        ),
        (
            "group: \"0\", mode: \"4755\"",
            &["group wheel -> 0"],
            &["chown -- :0 ~/f", "chmod -- 4755 ~/f"],
        ),
        ("mode: \"4755\"", &[], &[]),
        ("mode: \"755\"", &["mode 4755 -> 755"], &["chmod -- 755 ~/f"]),
    ];
    for (parameters, changes, calls) in cases {
        let task = format!("- file: {{ path: ~/f, {parameters} }}");
        assert_eq!(here.changes(&task, Mode::Check).await, *changes, "{task}");
        assert!(here.calls().is_empty(), "{task} in check mode");
        assert_eq!(here.changes(&task, Mode::Apply).await, *changes, "{task}");
        let called: Vec<String> = here.calls().iter().map(|call| here.short(call)).collect();
        assert_eq!(called, *calls, "{task}");
    }
}

/// What `stat` registers, as far as it is the same on every machine.
async fn stat(here: &Here, parameters: &str, members: &str) -> String {
    let task = format!("- stat: {{ {parameters} }}\n  register: r\n- debug: {{ msg: \"{members}\" }}");
    let report = here.play(&task, Mode::Check).await;
    let report = report.unwrap_or_else(|error| panic!("{error}"));
    here.short(report.tasks[1].message.as_deref().expect("a message"))
}

#[tokio::test]
async fn stat_tells_what_is_there() {
    let here = Here::new();
    here.write("f", "abc");
    std::fs::create_dir(here.path("d")).expect("a folder");
    symlink("f", here.path("l")).expect("a link");
    symlink("none", here.path("broken")).expect("a link");
    let kind = "{{ r.stat.exists }} {{ r.stat.isreg }} {{ r.stat.isdir }} {{ r.stat.islnk }} {{ r.stat.mode }} {{ r.stat.path }}";
    let cases = [
        ("path: ~/f", "True True False False 0644 ~/f"),
        ("path: ~/d", "True False True False 0755 ~/d"),
        ("path: ~/l", "True False False True 0777 ~/l"),
        ("path: ~/l, follow: true", "True True False False 0644 ~/l"),
        ("path: ~/broken", "True False False True 0777 ~/broken"),
    ];
    for (parameters, expected) in cases {
        assert_eq!(stat(&here, parameters, kind).await, expected, "{parameters}");
    }
    let missing = "{{ r.stat.exists }} {{ r.stat | length }}";
    for parameters in ["path: ~/none", "path: ~/broken, follow: true"] {
        assert_eq!(stat(&here, parameters, missing).await, "False 1", "{parameters}");
    }
}

/// As in Ansible, where a link is no file unless it is followed.
#[tokio::test]
async fn stat_gives_a_digest_of_files_and_a_target_of_links() {
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let here = Here::new();
    here.write("f", "abc");
    std::fs::create_dir(here.path("d")).expect("a folder");
    symlink("f", here.path("l")).expect("a link");
    let members = "{{ r.stat.checksum | default('-') }} {{ r.stat.lnk_target | default('-') }}";
    let cases = [
        ("path: ~/f", "- -".to_owned()),
        ("path: ~/f, checksum_algorithm: sha256", format!("{ABC} -")),
        (
            "path: ~/f, checksum_algorithm: sha256, get_checksum: false",
            "- -".to_owned(),
        ),
        ("path: ~/d, checksum_algorithm: sha256", "- -".to_owned()),
        ("path: ~/l, checksum_algorithm: sha256", "- f".to_owned()),
        (
            "path: ~/l, checksum_algorithm: sha256, follow: true",
            format!("{ABC} -"),
        ),
    ];
    for (parameters, expected) in cases {
        assert_eq!(stat(&here, parameters, members).await, expected, "{parameters}");
    }
    let text = here
        .failure("- stat: { path: ~/f, checksum_algorithm: md5 }")
        .await;
    assert_eq!(
        text,
        "the parameter checksum_algorithm of stat is \"md5\", expected sha1, sha256"
    );
}
