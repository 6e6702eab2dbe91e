use std::sync::Mutex;

use super::*;

/// How many seeds run as a test. `cargo xtask sim` runs ten thousand.
const SEEDS: u64 = 12;
/// Seeds in which a rule was broken once, each with what was wrong then.
const FAILED_ONCE: &[(u64, &str)] = &[
    (
        23,
        "a pool of one builder was not given the time that its builds take",
    ),
    (
        357,
        "a controller that was paused cleaned a builder on which another had an attempt begin",
    ),
    (460, "a builder counted as at work whose worker had been killed"),
];

/// Runs seeds on all processors.
fn all(seeds: impl Iterator<Item = u64> + Send, guards: Guards) -> Vec<Report> {
    let seeds = Mutex::new(seeds);
    let reports = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(seed) = { seeds.lock().unwrap().next() } {
                    let report = run_without(seed, guards);
                    reports.lock().unwrap().push(report);
                }
            });
        }
    });
    reports.into_inner().unwrap()
}

fn broken(reports: &[Report]) -> Vec<String> {
    let violations = reports.iter().filter_map(|report| report.violation.as_ref());
    violations.map(ToString::to_string).collect()
}

#[test]
fn all_rules_hold_in_the_first_seeds_and_much_happens_there() {
    let reports = all(0..SEEDS, Guards::default());
    assert_eq!(broken(&reports), [""; 0]);
    let lifecycles: usize = reports.iter().map(|report| report.lifecycles).sum();
    assert!(lifecycles > 300, "{lifecycles}");
    let never = (0..Fault::ALL.len()).filter(|nth| reports.iter().all(|report| report.met[*nth] == 0));
    let never: Vec<&Fault> = never.map(|nth| &Fault::ALL[nth]).collect();
    assert!(never.len() < Fault::ALL.len() / 3, "never met: {never:?}");
}

#[test]
fn all_rules_hold_where_one_was_broken_once() {
    let reports = all(FAILED_ONCE.iter().map(|(seed, _)| *seed), Guards::default());
    assert_eq!(broken(&reports), [""; 0], "{FAILED_ONCE:?}");
}

#[test]
fn a_seed_gives_the_same_world_again() {
    let seed = 1;
    let (one, other) = (run(seed), run_traced(seed, LAST_EVENTS));
    assert_eq!(
        (one.events, one.lifecycles, one.lasted),
        (other.events, other.lifecycles, other.lasted)
    );
    assert_eq!(one.met, other.met);
    assert!(one.trace.is_empty() && other.trace.len() == LAST_EVENTS);
    assert_ne!(run(seed + 1).events, one.events);
}

/// At how many of its moments a fault strikes at most in a test, and how many lie between two of them.
const MOMENTS: usize = 5;
const STRIDE: usize = 11;

#[test]
fn all_rules_hold_whatever_strikes_once_in_a_small_farm_and_whenever_it_does() {
    let moments = || (0..).step_by(STRIDE).take(MOMENTS);
    let faults = Mutex::new(Fault::ALL.iter());
    let struck = Mutex::new(std::collections::BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(fault) = { faults.lock().unwrap().next() } {
                    let reports = moments().map_while(|spared| run_struck_once(*fault, spared));
                    let times = reports.map(|report| {
                        let last = report.trace.join("\n");
                        assert!(
                            report.violation.is_none(),
                            "{fault:?}: {:?}\n{last}",
                            report.violation
                        );
                        assert!(report.lifecycles > 0, "{fault:?}");
                    });
                    struck.lock().unwrap().insert(*fault, times.count());
                }
            });
        }
    });
    let struck = struck.into_inner().unwrap();
    let never: Vec<_> = struck.iter().filter(|(_, times)| **times == 0).collect();
    assert!(never.len() < 4, "{never:?}");
    assert!(
        struck[&Fault::ControllerKilled] == MOMENTS && struck[&Fault::KilledAtCall] == MOMENTS,
        "{struck:?}"
    );
}
