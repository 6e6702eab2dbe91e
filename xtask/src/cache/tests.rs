use super::*;

#[test]
fn a_scratch_directory_is_gone_unless_it_was_moved_to_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("place");
    let dropped = Scratch::beside(dir.path()).unwrap();
    std::fs::write(dropped.path().join("file"), "text").unwrap();
    let path = dropped.path().to_owned();
    drop(dropped);
    assert!(!path.exists());

    let kept = Scratch::beside(dir.path()).unwrap();
    std::fs::write(kept.path().join("file"), "text").unwrap();
    kept.keep_as(&place).unwrap();
    assert_eq!(std::fs::read_to_string(place.join("file")).unwrap(), "text");
}

#[test]
fn what_an_interrupted_run_left_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let left = dir.path().join(".new-1");
    std::fs::create_dir_all(left.join("deep")).unwrap();
    let scratch = Scratch::beside(dir.path()).unwrap();
    assert!(!left.exists());
    assert!(scratch.path().exists());
}

#[test]
fn a_link_is_switched_and_the_directory_before_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("current");
    for name in ["one", "two", "three"] {
        std::fs::create_dir(dir.path().join(name)).unwrap();
        let time = std::time::SystemTime::now();
        File::open(dir.path().join(name))
            .unwrap()
            .set_modified(time)
            .unwrap();
        switch_link(&link, name).unwrap();
        assert_eq!(std::fs::read_link(&link).unwrap(), Path::new(name));
    }
    prune(dir.path(), "", "three").unwrap();
    assert!(!dir.path().join("one").exists());
    assert!(dir.path().join("two").exists());
    assert!(dir.path().join("three").exists());
}
