use super::*;

fn map(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
    entries
        .iter()
        .map(|(file, digest)| ((*file).to_owned(), (*digest).to_owned()))
        .collect()
}

#[test]
fn changed_new_and_lost_migrations_are_found() {
    let findings = compare(
        &map(&[("a", "1"), ("b", "2"), ("c", "3")]),
        &map(&[("a", "1"), ("b", "x"), ("d", "4")]),
    );
    let files = findings
        .iter()
        .map(|finding| finding.file.as_str())
        .collect::<Vec<_>>();
    assert_eq!(files, ["b", "c", "d"]);
}

#[test]
fn blessing_adds_new_migrations_and_refuses_changed_ones() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join(DIRECTORY);
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("mod.rs"), "free to change").unwrap();
    std::fs::write(dir.join("m20260105_000001_first.rs"), "one").unwrap();
    assert_eq!(check(root.path()).unwrap().len(), 1);
    bless(root.path()).unwrap();
    assert_eq!(check(root.path()).unwrap(), []);
    std::fs::write(dir.join("m20260105_000001_first.rs"), "two").unwrap();
    assert!(
        bless(root.path())
            .unwrap_err()
            .to_string()
            .contains("new migration")
    );
    assert_eq!(check(root.path()).unwrap().len(), 1);
}

#[test]
fn only_dated_files_of_rust_are_migrations() {
    let root = tempfile::tempdir().unwrap();
    assert_eq!(found(root.path()).unwrap(), BTreeMap::new(), "a tree without any");
    let dir = root.path().join(DIRECTORY);
    std::fs::create_dir_all(&dir).unwrap();
    for name in [
        "mod.rs",
        "m20260105_000001_first.sql",
        "model.rs",
        "20260105_second.rs",
        "m2_short.rs",
    ] {
        std::fs::write(dir.join(name), "abc").unwrap();
    }
    let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let file = format!("{DIRECTORY}/m2_short.rs");
    assert_eq!(found(root.path()).unwrap(), map(&[(&file, digest)]));
    bless(root.path()).unwrap();
    let lock = std::fs::read_to_string(root.path().join(LOCK)).unwrap();
    let (comment, lines) = lock.split_once('\n').unwrap();
    assert!(
        comment.starts_with("# ") && comment.contains("cargo xtask tidy --bless"),
        "{comment}"
    );
    assert_eq!(lines, format!("{digest}  {file}\n"), "as sha256sum writes it");
    std::fs::remove_file(root.path().join(&file)).unwrap();
    bless(root.path()).unwrap();
    assert_eq!(
        kept(root.path()),
        map(&[(&file, digest)]),
        "one that is gone is not forgotten"
    );
}
