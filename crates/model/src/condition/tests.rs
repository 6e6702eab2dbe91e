use std::time::Duration;

use super::*;
use crate::budget::Spent;

const NOW: Timestamp = Timestamp::from_micros(1_000_000_000_000_000);

fn lines(condition: &Condition) -> Vec<String> {
    let troubles = condition.troubles(NOW);
    troubles.iter().map(Trouble::for_operators).collect()
}

/// What a cloud may cost that has cost so much.
fn budget(known: &str) -> Budget {
    Budget {
        cloud: "aws".to_owned(),
        spec: serde_json::from_value(serde_json::json!({"per_day": 10})).unwrap(),
        spent: Spent {
            known: known.parse().unwrap(),
            ..Spent::default()
        },
        next: "1".parse().unwrap(),
    }
}

#[test]
fn a_fleet_without_a_leader_says_since_when() {
    let mut condition = Condition::default();
    assert_eq!(lines(&condition), [""; 0]);
    condition.leadership = Leadership::Held {
        holder: "host:1".to_owned(),
    };
    assert_eq!(lines(&condition), [""; 0]);
    condition.leadership = Leadership::Vacant {
        since: Some(NOW.minus(Duration::from_secs(95))),
    };
    assert_eq!(
        lines(&condition),
        ["no controller leads since 2001-09-09T01:45:05Z, for 95 s: nothing is launched, assigned or ended"]
    );
}

#[test]
fn a_fleet_file_that_is_not_used_is_told_of_and_its_mistake_to_operators_only() {
    let condition = Condition {
        file: Some(FileProblem {
            since: NOW,
            words: "/etc/verdigris/fleet.yaml:3:9: there is no image `x`".to_owned(),
        }),
        ..Condition::default()
    };
    let words =
        "the fleet file was changed at 2001-09-09T01:46:40Z and is not used: the one before stays in force";
    assert_eq!(condition.troubles(NOW)[0].words, words);
    let expected = format!("{words}: /etc/verdigris/fleet.yaml:3:9: there is no image `x`");
    assert_eq!(lines(&condition), [expected]);
}

#[test]
fn a_farm_that_stops_says_what_it_waits_for() {
    let mut condition = Condition::default();
    for (running, words) in [
        (0, "its machines and its processes have ended"),
        (1, "1 build that runs has ended"),
        (2, "2 builds that run have ended"),
    ] {
        condition.stopping = Some(running);
        let expected = format!("the farm is stopping: it begins no builds, and stops when {words}");
        assert_eq!(lines(&condition), [expected]);
    }
}

#[test]
fn what_a_machine_or_a_cloud_said_is_for_operators_only() {
    let history = LaunchHistory {
        failures: 3,
        last_failure: Some(NOW.minus(Duration::from_secs(10))),
        last_reason: Some("SSH at 10.0.0.7 did not answer".to_owned()),
    };
    let condition = Condition {
        clouds: vec![CloudTrouble {
            cloud: "aws".to_owned(),
            since: NOW,
            reason: "the cloud refuses: AuthFailure".to_owned(),
            detail: "the cloud refuses: AuthFailure: account 1234".to_owned(),
        }],
        pools: BTreeMap::from([("x86".parse().unwrap(), history)]),
        refused_ends: BTreeMap::from([("i-1".to_owned(), "OperationNotPermitted".to_owned())]),
        ..Condition::default()
    };
    let public: Vec<_> = condition.troubles(NOW).into_iter().map(|it| it.words).collect();
    for secret in ["1234", "10.0.0.7", "i-1"] {
        assert!(!public.iter().any(|words| words.contains(secret)), "{public:?}");
        assert!(
            lines(&condition).iter().any(|line| line.contains(secret)),
            "{secret}"
        );
    }
    assert_eq!(
        public[1],
        "pool x86 is held back until 2001-09-09T01:47:00Z, 20 s from now, since its last 3 builders never got ready"
    );
}

#[test]
fn a_refused_launch_is_told_of_from_the_first_time_and_once() {
    let pool: PoolName = "x86".parse().unwrap();
    let mut condition = Condition::default();
    let starting = |refused: u32, refusal: Option<&str>| Launching {
        starting: 2,
        refused,
        refusal: refusal.map(str::to_owned),
    };
    condition.launching.insert(pool.clone(), starting(0, None));
    assert_eq!(lines(&condition), [""; 0]);
    condition
        .launching
        .insert(pool.clone(), starting(1, Some("a: refuses: NoRoom")));
    let refused =
        "the cloud gave pool x86 no machine for a builder so far, and is asked again: a: refuses: NoRoom";
    assert_eq!(lines(&condition), [refused]);
    // Between two builders there is no refusal of a new one yet.
    condition.launching.insert(pool.clone(), starting(0, None));
    let mut history = LaunchHistory::default().after_failure(NOW, "all its launches were refused", NOW);
    condition.pools.insert(pool.clone(), history.clone());
    let failed = "the last builder of pool x86 never got ready, and another is tried: \
                  the last one: all its launches were refused";
    assert_eq!(lines(&condition), [failed]);
    // One that failed long ago is no trouble while nothing is wanted.
    condition.launching.clear();
    assert_eq!(lines(&condition), [""; 0]);
    condition
        .launching
        .insert(pool.clone(), starting(2, Some("NoRoom")));
    history.failures = 3;
    condition.pools.insert(pool, history);
    assert_eq!(lines(&condition).len(), 1);
    assert!(
        lines(&condition)[0].contains("is held back until"),
        "{:?}",
        lines(&condition)
    );
}

#[test]
fn a_pool_whose_pause_is_over_still_says_that_it_only_tries() {
    let history = LaunchHistory {
        failures: 4,
        last_failure: Some(NOW.minus(Duration::from_secs(100))),
        last_reason: None,
    };
    let condition = Condition {
        pools: BTreeMap::from([("x86".parse().unwrap(), history)]),
        ..Condition::default()
    };
    assert_eq!(
        lines(&condition),
        [
            "pool x86 is held back and tries one builder when one is wanted, since its last 4 builders never got ready"
        ]
    );
}

#[test]
fn a_fleet_that_never_had_a_leader_says_so_and_one_of_which_nothing_is_known_does_not() {
    let mut condition = Condition {
        leadership: Leadership::Vacant { since: None },
        ..Condition::default()
    };
    assert_eq!(lines(&condition), ["no controller has ever led this fleet"]);
    condition.leadership = Leadership::Unknown;
    assert_eq!(lines(&condition), [""; 0]);
    // A clock that was set back is no reason for a negative time.
    condition.leadership = Leadership::Vacant {
        since: Some(NOW.plus(Duration::from_secs(5))),
    };
    assert!(
        lines(&condition)[0].contains(", for 0 s: "),
        "{:?}",
        lines(&condition)
    );
}

#[test]
fn a_cloud_that_says_no_more_than_its_reason_says_it_once() {
    let trouble = |detail: &str| CloudTrouble {
        cloud: "aws".to_owned(),
        since: NOW,
        reason: "the cloud refuses: AuthFailure".to_owned(),
        detail: detail.to_owned(),
    };
    let public = "cloud aws gives no machines since 2001-09-09T01:46:40Z: the cloud refuses: AuthFailure";
    for (detail, besides) in [
        ("the cloud refuses: AuthFailure", ""),
        ("", ""),
        ("the cloud refuses: AuthFailure: no such key", ": no such key"),
        ("status 401", ": status 401"),
    ] {
        let condition = Condition {
            clouds: vec![trouble(detail)],
            ..Condition::default()
        };
        assert_eq!(lines(&condition), [format!("{public}{besides}")], "{detail}");
    }
}

#[test]
fn machines_that_cannot_be_ended_are_counted_and_named_for_operators() {
    let mut condition = Condition::default();
    condition
        .refused_ends
        .insert("i-1".to_owned(), "locked".to_owned());
    assert_eq!(
        lines(&condition),
        [
            "1 machine without a builder goes on costing, since a cloud refuses to end what it was told to: i-1: locked"
        ]
    );
    condition
        .refused_ends
        .insert("i-0".to_owned(), "not ours".to_owned());
    assert_eq!(
        lines(&condition),
        [
            "2 machines without builders go on costing, since a cloud refuses to end what it was told to: \
             i-0: not ours; i-1: locked"
        ]
    );
}

#[test]
fn machines_without_a_builder_that_are_too_many_are_told_of() {
    let condition = Condition {
        left: vec!["i-1".to_owned(), "i-2".to_owned()],
        ..Condition::default()
    };
    assert_eq!(
        lines(&condition),
        [
            "2 machines have the fleet's tag and no builder, and are not ended: more than `controller.reap_per_hour` are no \
          accident. Is the database the right one?: i-1, i-2"
        ]
    );
}

fn stuck(number: u128, state: BuilderState, minutes: u64) -> Stuck {
    Stuck {
        builder: BuilderId(uuid::Uuid::from_u128(number)),
        state,
        since: NOW.minus(Duration::from_secs(60 * minutes)),
        reason: (number == 1).then(|| "the cloud refuses: OperationNotPermitted".to_owned()),
    }
}

#[test]
fn machines_that_do_not_end_or_may_be_there_are_told_of_with_the_longest_time() {
    let condition = Condition {
        stuck: vec![
            stuck(1, BuilderState::Terminating, 50),
            stuck(2, BuilderState::Resolving, 40),
            stuck(3, BuilderState::Terminating, 16),
        ],
        ..Condition::default()
    };
    let [one, two, three] = [1, 2, 3].map(|number| BuilderId(uuid::Uuid::from_u128(number)));
    assert_eq!(
        lines(&condition),
        [
            format!(
                "2 machines were told to end, and the end has not come for 50 minutes: they may go on costing: {one}: the cloud \
                 refuses: OperationNotPermitted; {three}: nothing is known"
            ),
            format!(
                "1 machine was asked for without an answer for 40 minutes: it may go on costing: {two}: nothing is known"
            ),
        ]
    );
    assert_eq!(Stuck::AFTER, Duration::from_secs(900));
}

#[test]
fn builders_are_counted_in_plain_words() {
    let pool: PoolName = "x86".parse().unwrap();
    let mut condition = Condition::default();
    let launching = |starting, refused| Launching {
        starting,
        refused,
        refusal: None,
    };
    condition.launching.insert(pool.clone(), launching(4, 3));
    let words = "the cloud gave pool x86 no machine for 3 builders so far, and is asked again";
    assert_eq!(lines(&condition), [words]);
    condition.launching.insert(pool.clone(), launching(1, 0));
    let history = LaunchHistory {
        failures: 2,
        last_failure: Some(NOW),
        last_reason: None,
    };
    condition.pools.insert(pool.clone(), history);
    let words = "the last 2 builders of pool x86 never got ready, and another is tried";
    assert_eq!(lines(&condition), [words]);
    // Nothing is tried any more: nothing is wrong either.
    condition.launching.insert(pool, launching(0, 0));
    assert_eq!(lines(&condition), [""; 0]);
}

#[test]
fn the_worst_comes_first_and_pools_follow_by_name() {
    let held = LaunchHistory {
        failures: 3,
        last_failure: Some(NOW),
        last_reason: None,
    };
    let condition = Condition {
        stopping: Some(0),
        leadership: Leadership::Vacant { since: None },
        file: Some(FileProblem {
            since: NOW,
            words: "a tab".to_owned(),
        }),
        clouds: vec![CloudTrouble {
            cloud: "aws".to_owned(),
            since: NOW,
            reason: "it does not answer".to_owned(),
            detail: String::new(),
        }],
        pools: BTreeMap::from([("b".parse().unwrap(), held.clone()), ("a".parse().unwrap(), held)]),
        launching: BTreeMap::new(),
        refused_ends: BTreeMap::from([("i-1".to_owned(), "locked".to_owned())]),
        left: vec!["i-2".to_owned()],
        stuck: vec![stuck(1, BuilderState::Terminating, 16)],
        budgets: vec![budget("10")],
        calls: Vec::new(),
    };
    let starts: Vec<String> = lines(&condition)
        .iter()
        .map(|line| line.split(' ').take(3).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(
        starts,
        [
            "the farm is",
            "no controller has",
            "the fleet file",
            "cloud aws gives",
            "cloud aws costs",
            "pool a is",
            "pool b is",
            "1 machine has",
            "1 machine was",
            "1 machine without",
        ]
    );
}

#[test]
fn a_cloud_that_costs_as_much_as_it_may_is_told_of_and_how_much_that_is_to_operators_only() {
    let condition = Condition {
        budgets: vec![budget("9"), budget("9.5")],
        ..Condition::default()
    };
    let troubles = condition.troubles(NOW);
    assert_eq!(troubles.len(), 1);
    let words = "cloud aws costs as much in 24 hours as it may: nothing more is launched there";
    assert_eq!(troubles[0].words, words);
    let detail = "cloud aws cost 9.5 of 10 in the last 24 hours: nothing more is launched there";
    assert_eq!(lines(&condition), [format!("{words}: {detail}")]);
}
