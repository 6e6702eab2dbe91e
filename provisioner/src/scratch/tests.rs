use std::collections::BTreeSet;

use super::*;

#[test]
fn it_is_for_its_user_alone_and_goes_with_the_run() {
    let scratch = Scratch::new().expect("a folder");
    let mode = scratch.root().metadata().expect("it").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    fs::write(scratch.path("key"), "secret").expect("written");
    let path = scratch.path("key");
    drop(scratch);
    assert!(!path.exists());
}

#[test]
fn what_a_killed_run_left_is_taken_away_and_nothing_else() {
    let places = tempfile::tempdir().expect("a place");
    let make = |name: &str| {
        let path = places.path().join(name);
        fs::create_dir(&path).expect("made");
        fs::File::create(path.join(LOCK)).expect("a lock")
    };
    let held = make("verdigris-play-held");
    held.try_lock().expect("locked");
    drop((make("verdigris-play-left"), make("another")));
    fs::create_dir(places.path().join("verdigris-play-begun")).expect("made");
    std::os::unix::fs::symlink("another", places.path().join("verdigris-play-link")).expect("a link");
    let there = || {
        let names = fs::read_dir(places.path()).expect("there").flatten();
        let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.collect::<BTreeSet<_>>()
    };
    let all = there();
    let now = SystemTime::now();
    sweep(places.path(), now);
    assert_eq!(there(), all, "each may be one that begins");
    sweep(places.path(), now + LEFT_AFTER * 2);
    let gone: Vec<_> = all.difference(&there()).cloned().collect();
    assert_eq!(gone, ["verdigris-play-begun", "verdigris-play-left"]);
    assert!(places.path().join("another").join(LOCK).exists());
}

#[test]
fn a_run_finds_what_was_left_by_one_that_was_killed() {
    let now = Instant::now() + LOOK_EVERY * 2;
    assert!(is_time_to_look(now));
    assert!(!is_time_to_look(now + LOOK_EVERY / 2));
    assert!(is_time_to_look(now + LOOK_EVERY));
}
