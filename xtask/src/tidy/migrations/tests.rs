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
