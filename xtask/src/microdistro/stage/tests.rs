use super::*;

#[test]
fn manuals_are_left_out_and_licences_kept() {
    for (path, is_directory, expected) in [
        ("/usr/share/man", true, true),
        ("/usr/share/man/man1/ls.1.gz", false, true),
        ("/usr/share/manual", true, false),
        ("/usr/share/doc", true, false),
        ("/usr/share/doc/gcc", true, false),
        ("/usr/share/doc/gcc", false, true),
        ("/usr/share/doc/gcc/copyright", false, false),
        ("/usr/share/doc/gcc/changelog.gz", false, true),
        ("/usr/share/doc/gcc/examples", true, true),
        ("/usr/share/doc/gcc/examples/copyright", false, true),
        ("/usr/share/doc-base/gcc", false, true),
        ("/usr/lib/os-release", false, true),
        ("/usr/lib/os-release.d", true, false),
        ("/usr/bin/ls", false, false),
    ] {
        assert_eq!(left_out(path, is_directory), expected, "{path}");
    }
}

#[test]
fn a_library_is_a_program_file_with_the_name_of_one() {
    let dir = tempfile::tempdir().unwrap();
    for (name, content, expected) in [
        ("libx.so.1", &b"\x7fELF and more"[..], true),
        ("plugin.so", b"\x7fELF", true),
        ("libx.so", b"/* GNU ld script */", false),
        ("short.so", b"\x7fE", false),
        ("program", b"\x7fELF", false),
    ] {
        let file = dir.path().join(name);
        std::fs::write(&file, content).unwrap();
        assert_eq!(is_library(name, &file).unwrap(), expected, "{name}");
    }
    let link = dir.path().join("link.so");
    std::os::unix::fs::symlink("libx.so.1", &link).unwrap();
    assert!(!is_library("link.so", &link).unwrap(), "a link is none");
}

#[test]
fn libraries_may_be_executed_and_directories_keep_their_modes() {
    let work = tempfile::tempdir().unwrap();
    let (root, tree) = (work.path().join("root"), work.path().join("tree"));
    let lib = root.join("usr/lib/x86_64-linux-gnu");
    std::fs::create_dir_all(&lib).unwrap();
    std::fs::create_dir_all(root.join("var/private")).unwrap();
    std::fs::create_dir(&tree).unwrap();
    std::fs::write(lib.join("libx.so.1"), b"\x7fELF").unwrap();
    std::fs::write(lib.join("data"), b"x").unwrap();
    for (path, mode) in [
        (lib.join("libx.so.1"), 0o644),
        (lib.join("data"), 0o640),
        (root.join("var/private"), 0o750),
    ] {
        std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }
    let mut staged = Staged {
        tree: tree.clone(),
        owned: BTreeMap::new(),
        with_libraries: BTreeSet::new(),
    };
    let mut mover = Mover {
        name: "x",
        root: &root,
        staged: &mut staged,
        owners: &mut BTreeMap::new(),
        entries: Vec::new(),
    };
    mover.directory("").unwrap();
    let owned: Vec<_> = mover.entries.iter().map(|entry| entry.path.as_str()).collect();
    assert_eq!(
        owned,
        [
            "/usr/lib/x86_64-linux-gnu/data",
            "/usr/lib/x86_64-linux-gnu/libx.so.1",
            "/var/private"
        ],
        "the directories of the file system are not its own"
    );
    let mode = |path: &str| below(&tree, path).metadata().unwrap().permissions().mode() & 0o7777;
    for (path, expected) in [
        ("/usr/lib/x86_64-linux-gnu/libx.so.1", 0o755),
        ("/usr/lib/x86_64-linux-gnu/data", 0o640),
        ("/var/private", 0o750),
    ] {
        assert_eq!(mode(path), expected, "{path}");
    }
    assert!(staged.with_libraries.contains("x"));
}

#[test]
fn the_file_system_has_its_modes_links_and_files() {
    let tree = tempfile::tempdir().unwrap();
    make_filesystem(tree.path()).unwrap();
    for (path, expected) in [
        ("/tmp", 0o1777),
        ("/var/tmp", 0o1777),
        ("/root", 0o700),
        ("/usr/bin", 0o755),
        ("/etc/passwd", 0o644),
        ("/etc/os-release", 0o644),
        ("/lib64/../lib/os-release", 0o644),
    ] {
        let found = below(tree.path(), path).metadata().unwrap().permissions().mode();
        assert_eq!(found & 0o7777, expected, "{path}");
    }
    let target = std::fs::read_link(tree.path().join("sbin")).unwrap();
    assert_eq!(target, Path::new("usr/sbin"));
}

#[test]
fn a_package_is_folded_into_usr() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    std::fs::create_dir_all(root.join("lib/x")).unwrap();
    std::fs::create_dir_all(root.join("usr/lib/x")).unwrap();
    std::fs::write(root.join("lib/x/a"), "a").unwrap();
    std::fs::write(root.join("usr/lib/x/b"), "b").unwrap();
    std::fs::create_dir(root.join("bin")).unwrap();
    std::fs::write(root.join("bin/c"), "c").unwrap();
    fold(root).unwrap();
    assert!(!root.join("lib").exists() && !root.join("bin").exists());
    assert_eq!(std::fs::read_to_string(root.join("usr/lib/x/a")).unwrap(), "a");
    assert_eq!(std::fs::read_to_string(root.join("usr/lib/x/b")).unwrap(), "b");
    assert_eq!(std::fs::read_to_string(root.join("usr/bin/c")).unwrap(), "c");
}

#[test]
fn the_same_file_in_both_places_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    std::fs::create_dir_all(root.join("bin")).unwrap();
    std::fs::create_dir_all(root.join("usr/bin")).unwrap();
    std::fs::write(root.join("bin/c"), "one").unwrap();
    std::fs::write(root.join("usr/bin/c"), "two").unwrap();
    let error = fold(root).unwrap_err();
    assert!(error.to_string().contains("twice"), "{error}");
}
