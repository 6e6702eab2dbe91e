use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, SystemTime};

use super::*;

#[test]
fn the_environment_says_where_the_cache_is() {
    for (set, expected) in [
        (
            &[
                ("VERDIGRIS_CACHE", "/v"),
                ("XDG_CACHE_HOME", "/x"),
                ("HOME", "/h"),
            ][..],
            Some("/v"),
        ),
        (&[("XDG_CACHE_HOME", "/x"), ("HOME", "/h")], Some("/x/verdigris")),
        (&[("HOME", "/h")], Some("/h/.cache/verdigris")),
        // A variable that is set to nothing counts as not set.
        (
            &[("VERDIGRIS_CACHE", ""), ("XDG_CACHE_HOME", ""), ("HOME", "/h")],
            Some("/h/.cache/verdigris"),
        ),
        (&[("HOME", "")], None),
        (&[], None),
    ] {
        let variable = |name: &str| {
            let found = set.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        };
        assert_eq!(place(variable), expected.map(PathBuf::from), "{set:?}");
    }
}

#[test]
fn a_cache_is_made_and_known_by_its_real_path() {
    let dir = tempfile::tempdir().unwrap();
    let real = dir.path().canonicalize().unwrap();
    std::os::unix::fs::symlink("real/deep", dir.path().join("link")).unwrap();
    Cache::at(&dir.path().join("real/deep")).unwrap();
    let cache = Cache::at(&dir.path().join("link")).unwrap();
    assert_eq!(cache.path("a/b"), real.join("real/deep/a/b"));
}

#[test]
fn a_lock_keeps_other_processes_out_until_it_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::at(dir.path()).unwrap();
    // `flock` asks the kernel for the same lock.
    let is_free = |name: &str| {
        let file = dir.path().join(format!("locks/{name}.lock"));
        Tool::new("flock")
            .arg("--nonblock")
            .arg(file)
            .arg("true")
            .succeeds()
    };
    let lock = cache.lock("image").unwrap();
    assert!(!is_free("image"));
    assert!(is_free("other"), "another thing has another lock");
    drop(lock);
    assert!(is_free("image"));
}

#[test]
fn who_comes_second_waits_for_the_first_process() {
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::at(dir.path()).unwrap();
    drop(cache.lock("image").unwrap());
    let (lock, made) = (dir.path().join("locks/image.lock"), dir.path().join("made"));
    let script = "touch \"$1.begun\"; sleep 0.3; echo whole >\"$1\"";
    let first = Tool::new("flock")
        .arg(lock)
        .args(["sh", "-c", script, "sh"])
        .arg(&made);
    let first = std::thread::spawn(move || first.output());
    while !dir.path().join("made.begun").exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let _lock = cache.lock("image").unwrap();
    assert_eq!(std::fs::read_to_string(made).unwrap(), "whole\n");
    first.join().unwrap().unwrap();
}

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

    let late = Scratch::beside(dir.path()).unwrap();
    let path = late.path().to_owned();
    late.keep_as(&place).unwrap_err();
    assert!(!path.exists(), "what finds no place is removed");
    assert!(place.join("file").exists(), "and what has it stays");
}

#[test]
fn what_an_interrupted_run_left_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let left = dir.path().join(".new-1");
    std::fs::create_dir_all(left.join("deep")).unwrap();
    std::fs::create_dir(dir.path().join("new-2")).unwrap();
    let scratch = Scratch::beside(dir.path()).unwrap();
    assert!(!left.exists());
    assert!(scratch.path().exists());
    assert!(dir.path().join("new-2").exists());
    let shown = scratch.leave();
    assert!(shown.exists(), "for a person to look at");
    assert!(
        Scratch::beside(dir.path()).unwrap().path().exists(),
        "the next run needs no other place"
    );
}

/// Directories of these names, each a second older than the next.
fn directories(parent: &Path, names: &[&str]) {
    let begun = SystemTime::now();
    for (name, age) in names.iter().rev().zip(1..) {
        std::fs::create_dir(parent.join(name)).unwrap();
        let time = begun - Duration::from_secs(age);
        File::open(parent.join(name)).unwrap().set_modified(time).unwrap();
    }
}

fn names(parent: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(parent).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn the_current_one_and_the_one_before_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    directories(dir.path(), &["one", "two", "three"]);
    let link = dir.path().join("current");
    make_current(&link, "three").unwrap();
    assert_eq!(std::fs::read_link(&link).unwrap(), Path::new("three"));
    assert_eq!(names(dir.path()), ["current", "three", "two"]);
    directories(dir.path(), &["four"]);
    make_current(&link, "three").unwrap();
    assert_eq!(
        names(dir.path()).len(),
        4,
        "where nothing changes, nothing is removed"
    );
}

#[test]
fn a_link_beside_its_store_leads_into_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("image.d");
    std::fs::create_dir(&store).unwrap();
    directories(&store, &["one", "two", "three"]);
    std::fs::create_dir(dir.path().join("neighbour")).unwrap();
    make_current(&dir.path().join("image"), "image.d/three").unwrap();
    assert_eq!(names(&store), ["three", "two"]);
    assert_eq!(names(dir.path()), ["image", "image.d", "neighbour"]);
}

#[test]
fn only_directories_of_the_prefix_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    directories(dir.path(), &["roots-1", "roots-2", "root", "roots-3", ".roots-0"]);
    std::fs::write(dir.path().join("roots-4.log"), "").unwrap();
    prune(dir.path(), "roots-", "roots-3").unwrap();
    assert_eq!(
        names(dir.path()),
        [".roots-0", "root", "roots-2", "roots-3", "roots-4.log"]
    );
}

#[test]
fn a_link_is_switched_also_after_a_run_that_was_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("current");
    std::os::unix::fs::symlink("half", dir.path().join(".current.new")).unwrap();
    for target in ["one", "two"] {
        switch_link(&link, target).unwrap();
        assert_eq!(std::fs::read_link(&link).unwrap(), Path::new(target));
        assert_eq!(names(dir.path()), ["current"]);
    }
}

#[test]
fn a_file_is_written_whole_and_readable_for_all() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("deep/file");
    for text in ["a longer text", "short"] {
        write_atomically(&file, text.as_bytes()).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o644);
        assert_eq!(names(&dir.path().join("deep")), ["file"]);
    }
}

#[test]
fn digests_are_those_that_sha256sum_prints() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "abc").unwrap();
    let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(sha256("abc"), expected);
    assert_eq!(sha256_file(&file).unwrap(), expected);
    assert_eq!(short_digest("abc"), "ba7816bf8f01cfea");
    let error = sha256_file(&dir.path().join("none")).unwrap_err().to_string();
    assert!(error.contains("none"), "{error}");
}
