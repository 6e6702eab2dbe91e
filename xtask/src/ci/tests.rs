use anyhow::bail;

use super::*;
use crate::cache::write_atomically;

#[test]
fn the_table_says_which_steps_did_not_run() {
    let second = Duration::from_secs(1);
    let text = table(STEPS, &[("setup", second, true), ("format", second, false)]);
    let lines = text
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect::<Vec<_>>();
    assert!(lines.contains(&"setup ok 1.0 s".to_owned()), "{text}");
    assert!(lines.contains(&"format FAILED 1.0 s".to_owned()), "{text}");
    assert!(lines.contains(&"test not run".to_owned()), "{text}");
    assert_eq!(STEPS.len() + 2, text.lines().count());
}

/// Steps that note in the cache that they ran; `docs` fails.
const TRIED: &[Check] = &[
    Check {
        name: "format",
        run: |cache| write_atomically(&cache.path("format"), b""),
    },
    Check {
        name: "docs",
        run: |_| bail!("a link leads nowhere"),
    },
    Check {
        name: "test",
        run: |cache| write_atomically(&cache.path("test"), b""),
    },
];

#[test]
fn the_first_step_that_fails_is_the_last_that_runs() {
    let place = tempfile::tempdir().unwrap();
    let cache = Cache::at(place.path()).unwrap();
    let error = run_steps(&cache, TRIED).unwrap_err();
    assert_eq!(format!("{error:#}"), "docs: a link leads nowhere");
    assert!(cache.path("format").exists());
    assert!(!cache.path("test").exists());
    run_steps(&cache, &TRIED[..1]).unwrap();
}

#[test]
fn cheap_steps_come_before_dear_ones() {
    let names = |steps: &[Check]| steps.iter().map(|step| step.name).collect::<Vec<_>>();
    let cheap = ["setup", "format", "tidy", "clippy", "docs"];
    assert_eq!(names(all_but_tests()), cheap);
    assert_eq!(names(STEPS), [&cheap[..], &["test"]].concat());
}
