use super::*;

#[test]
fn manuals_are_left_out_and_licences_kept() {
    assert!(left_out("/usr/share/man", true));
    assert!(left_out("/usr/share/man/man1/ls.1.gz", false));
    assert!(!left_out("/usr/share/manual", true));
    assert!(!left_out("/usr/share/doc/gcc", true));
    assert!(!left_out("/usr/share/doc/gcc/copyright", false));
    assert!(left_out("/usr/share/doc/gcc/changelog.gz", false));
    assert!(left_out("/usr/share/doc/gcc/examples", true));
    assert!(left_out("/usr/lib/os-release", false));
    assert!(!left_out("/usr/bin/ls", false));
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
