use std::{collections::BTreeMap, time::Duration};

use uuid::Uuid;

use super::*;
use crate::{
    LaunchHistory,
    mark::MarkKind,
    plan::{Builder, CloudHealth, Host, OutOfService, Pool, Queue, Snapshot},
};

mod adopt;
mod answers;
mod follow;
mod holds;

use BuilderState as S;
use IntentState::{Done, New, Nothing, Refused, Running};

const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

fn id(number: u128) -> BuilderId {
    BuilderId(Uuid::from_u128(number))
}

fn ids(numbers: &[u128]) -> Target {
    Target::Builders(numbers.iter().copied().map(id).collect())
}

fn x86() -> PoolName {
    "x86".parse().unwrap()
}

fn mark(kind: MarkKind, why: &str) -> Mark {
    Mark {
        kind,
        by: "root".to_owned(),
        why: why.to_owned(),
        until: None,
        lasts: None,
    }
}

fn builder(number: u128, state: BuilderState, mark: Option<Mark>) -> Builder {
    Builder {
        id: id(number),
        pool: x86(),
        state,
        created_at: NOW,
        entered_at: NOW,
        deadline: None,
        cordoned: mark.is_some(),
        drift: None,
        lacks: crate::Lacks::Nothing,
        refusal: None,
        sandbox: None,
        ready_at: None,
        mark,
        host: None,
        line: None,
    }
}

fn snapshot(builders: Vec<Builder>, pause: Option<Pause>) -> Snapshot {
    let pool = Pool {
        spec: serde_json::from_value(serde_json::json!({
            "labels": ["arch:x86_64"], "image": "i", "provision": "p",
            "size": {"min": 0, "max": 4, "idle": 0}, "offerings": [{"types": ["t"]}],
        }))
        .unwrap(),
        history: LaunchHistory::default(),
        cloud: CloudHealth::Answers,
        pause,
        no_image: None,
        quota: None,
        budget: None,
        calls: None,
        pace: None,
        hosts: BTreeMap::new(),
        port: 22,
    };
    let nobody = Queue::new(vec![], &BTreeMap::new());
    Snapshot::new(NOW, BTreeMap::from([(x86(), pool)]), builders, nobody)
}

fn intent(request: Request) -> Intent {
    Intent {
        key: "key".to_owned(),
        request,
        actor: "root".to_owned(),
        state: New,
        words: String::new(),
        builders: vec![],
        created_at: NOW,
    }
}

fn spawn(count: u32, keep: Option<Span>) -> Request {
    Request::Spawn {
        pool: x86(),
        count,
        keep,
    }
}

fn terminate(what: Target, now: bool) -> Request {
    Request::Terminate {
        what,
        now,
        reason: "old".to_owned(),
    }
}

fn hold() -> Request {
    Request::Hold {
        builder: id(1),
        reason: "look".to_owned(),
        lasts: Some(Span::seconds(60)),
        owner: Some("alice".to_owned()),
    }
}

fn held() -> Mark {
    Mark {
        kind: MarkKind::Held,
        by: "alice".to_owned(),
        why: "look".to_owned(),
        until: Some(NOW.plus(Duration::from_secs(60))),
        lasts: Some(Span::seconds(60)),
    }
}

/// The same for one that is not held yet.
fn to_be_held() -> Mark {
    Mark {
        until: None,
        ..held()
    }
}

fn cordon(lasts: Option<Span>) -> Request {
    Request::Cordon {
        builder: id(1),
        reason: "old".to_owned(),
        lasts,
    }
}

/// What is written down for a request beside some builders: state, words, and which builders get which mark.
fn taken(request: Request, builders: Vec<Builder>) -> (IntentState, String, Vec<(u128, Option<Mark>)>) {
    let decision = take_up(&intent(request), &snapshot(builders, None));
    let marks = decision.marks.into_iter();
    let marks = marks.map(|(id, mark)| (id.0.as_u128(), mark)).collect();
    (decision.state, decision.words, marks)
}

#[test]
fn the_slot_of_a_moment_is_its_minute_with_a_number_from_the_second_on() {
    assert_eq!(slot(NOW, 1), "2027-01-15T08:00");
    let at = |seconds| slot(NOW.plus(Duration::from_secs(seconds)), 1);
    assert_eq!((at(59), at(60)), (slot(NOW, 1), "2027-01-15T08:01".to_owned()));
    assert_eq!(slot(NOW, 2), "2027-01-15T08:00.2");
}

#[test]
fn a_request_is_the_same_from_the_database_as_it_went_in() {
    for request in [
        spawn(2, Some(Span::seconds(90))),
        terminate(ids(&[1, 2]), true),
        terminate(Target::Pool(x86()), false),
        cordon(None),
        hold(),
        Request::Release { builder: id(3) },
        Request::Uncordon {
            what: Target::Pool(x86()),
        },
        Request::Reconcile,
    ] {
        let json = serde_json::to_value(&request).unwrap();
        assert_eq!(json["verb"], request.verb());
        assert_eq!(serde_json::from_value::<Request>(json).unwrap(), request);
    }
}

#[test]
fn spawning_asks_the_plan_for_what_is_missing_and_keeps_it_for_its_time() {
    let keep = Some(Span::seconds(60));
    let at = |seconds| NOW.plus(Duration::from_secs(seconds));
    let found = |state, made: &[u128], keep, now| {
        let intent = Intent {
            state,
            builders: made.iter().copied().map(id).collect(),
            ..intent(spawn(2, keep))
        };
        let demands = demands(&intent, now);
        let is_kept = |demand: &Demand| matches!(demand.source, Source::Kept(_));
        demands
            .iter()
            .map(|it| (is_kept(it), it.count))
            .collect::<Vec<_>>()
    };
    for (state, made, keep, now, expected) in [
        (New, &[][..], None, NOW, vec![]),
        (Running, &[], None, NOW, vec![(false, 2)]),
        (Running, &[1], None, NOW, vec![(false, 1)]),
        (Running, &[1, 2], None, NOW, vec![]),
        (Running, &[1], keep, NOW, vec![(false, 1), (true, 1)]),
        (Done, &[1, 2], keep, at(59), vec![(true, 2)]),
        (Done, &[1, 2], keep, at(60), vec![]),
        (Refused, &[], None, NOW, vec![]),
    ] {
        assert_eq!(found(state, made, keep, now), expected, "{state} {made:?}");
    }
    assert_eq!(taken(spawn(0, None), vec![]).0, Nothing);
    let words = "1 builder of pool x86 to launch";
    assert_eq!(taken(spawn(1, None), vec![]), (Running, words.to_owned(), vec![]));
    let other = Request::Spawn {
        pool: "arm".parse().unwrap(),
        count: 1,
        keep: None,
    };
    let words = "there is no pool arm in the fleet file";
    assert_eq!(taken(other, vec![]), (Refused, words.to_owned(), vec![]));
}

#[test]
fn terminating_marks_what_is_not_told_yet() {
    let retired = || Some(mark(MarkKind::Retired, "old"));
    let ended = || Some(mark(MarkKind::Ended, "old"));
    let farm = || {
        vec![
            builder(1, S::Ready, None),
            builder(2, S::Busy, None),
            builder(3, S::Terminating, None),
            builder(4, S::Busy, retired()),
            builder(5, S::Held, Some(held())),
        ]
    };
    let pool = || Target::Pool(x86());
    let cases = [
        (
            ids(&[1, 2]),
            false,
            Running,
            "2 builders to end",
            vec![(1, retired()), (2, retired())],
        ),
        (
            ids(&[3]),
            false,
            Nothing,
            "they are gone, or going already",
            vec![],
        ),
        (
            ids(&[9]),
            false,
            Nothing,
            "they are gone, or going already",
            vec![],
        ),
        (
            ids(&[4]),
            false,
            Nothing,
            "they are gone, or going already",
            vec![],
        ),
        (ids(&[4]), true, Running, "1 builder to end", vec![(4, ended())]),
        (
            pool(),
            false,
            Running,
            "3 builders to end",
            vec![(1, retired()), (2, retired()), (5, retired())],
        ),
    ];
    for (what, now, state, words, marks) in cases {
        let found = taken(terminate(what.clone(), now), farm());
        assert_eq!(found, (state, words.to_owned(), marks), "{what:?} {now}");
    }
    let none = "pool x86 has no builder that is not going already";
    assert_eq!(
        taken(terminate(pool(), true), vec![]),
        (Nothing, none.to_owned(), vec![])
    );
}

#[test]
fn a_cordon_and_a_hold_are_set_where_they_mean_something() {
    let c = |until| Mark {
        until,
        ..mark(MarkKind::Cordoned, "old")
    };
    let retired = || Some(mark(MarkKind::Retired, "old"));
    let uncordon = || Request::Uncordon { what: ids(&[1]) };
    let minute = Some(Span::seconds(60));
    let soon = Some(NOW.plus(Duration::from_secs(60)));
    let release = || Request::Release { builder: id(1) };
    let released = || Some(mark(MarkKind::Retired, "released"));
    for (request, state, before, expected, marks) in [
        (cordon(None), S::Ready, None, Done, vec![(1, Some(c(None)))]),
        (
            cordon(minute),
            S::Busy,
            Some(c(None)),
            Done,
            vec![(1, Some(c(soon)))],
        ),
        (cordon(None), S::Ready, Some(c(None)), Nothing, vec![]),
        (cordon(None), S::Held, Some(held()), Nothing, vec![]),
        (cordon(None), S::Draining, None, Nothing, vec![]),
        (uncordon(), S::Ready, Some(c(None)), Done, vec![(1, None)]),
        (uncordon(), S::Ready, None, Nothing, vec![]),
        (uncordon(), S::Busy, retired(), Refused, vec![]),
        (hold(), S::Ready, None, Running, vec![(1, Some(to_be_held()))]),
        (
            hold(),
            S::Busy,
            Some(c(None)),
            Running,
            vec![(1, Some(to_be_held()))],
        ),
        (hold(), S::Busy, Some(to_be_held()), Nothing, vec![]),
        (hold(), S::Held, Some(held()), Nothing, vec![]),
        (hold(), S::Booting, None, Refused, vec![]),
        (hold(), S::Terminating, None, Refused, vec![]),
        (hold(), S::Busy, retired(), Refused, vec![]),
        (release(), S::Held, Some(held()), Running, vec![(1, released())]),
        (release(), S::Busy, Some(held()), Running, vec![(1, released())]),
        (release(), S::Ready, None, Nothing, vec![]),
        (release(), S::Held, retired(), Nothing, vec![]),
    ] {
        let what = format!("{request:?} of one that is {state}, {before:?}");
        let (found, words, told) = taken(request, vec![builder(1, state, before)]);
        assert_eq!((found, told), (expected, marks), "{what}: {words}");
    }
    for request in [cordon(None), uncordon(), hold(), release()] {
        let (state, words, marks) = taken(request, vec![]);
        assert_eq!((state, marks), (Nothing, vec![]), "{words}");
        assert!(words.ends_with(" is gone"), "{words}");
    }
}

#[test]
fn draining_a_pool_pauses_it_and_uncordoning_it_lets_it_launch_again() {
    let drain = |lasts| Request::Drain {
        what: Target::Pool(x86()),
        reason: "net".to_owned(),
        lasts,
    };
    let pause = |until| Pause {
        by: "root".to_owned(),
        why: "net".to_owned(),
        until,
    };
    let busy = vec![builder(1, S::Busy, None)];
    let soon = Some(NOW.plus(Duration::from_secs(60)));
    let minute = Some(Span::seconds(60));
    for (lasts, builders, paused, state, until) in [
        (None, busy.clone(), None, Running, None),
        (minute, busy, None, Running, soon),
        (None, vec![], None, Done, None),
        (None, vec![], Some(pause(None)), Nothing, None),
        (minute, vec![], Some(pause(None)), Done, soon),
    ] {
        let decision = take_up(&intent(drain(lasts)), &snapshot(builders, paused));
        assert_eq!(decision.state, state, "{}", decision.words);
        assert_eq!(decision.pause, Some((x86(), Some(pause(until)))));
    }
    let uncordon = intent(Request::Uncordon {
        what: Target::Pool(x86()),
    });
    for (paused, state, decided) in [
        (Some(pause(None)), Done, Some((x86(), None))),
        (Some(pause(Some(NOW))), Nothing, None),
        (None, Nothing, None),
    ] {
        let decision = take_up(&uncordon, &snapshot(vec![], paused));
        assert_eq!((decision.state, decision.pause), (state, decided));
    }
    // What the fleet file pauses, no command lets launch again.
    let in_file = "pool x86 is paused in the fleet file (`pools.x86.paused`)";
    for (paused, state, words) in [
        (
            Some(pause(None)),
            Done,
            "pool x86 is no longer drained, and launches nothing: ",
        ),
        (None, Nothing, "pool x86 is not drained; "),
    ] {
        let mut farm = snapshot(vec![], paused);
        farm.pools.get_mut(&x86()).unwrap().spec.paused = true;
        let decision = take_up(&uncordon, &farm);
        assert_eq!(
            (decision.state, decision.words),
            (state, format!("{words}{in_file}"))
        );
    }
    // The file that is in force lacks it for a moment: it does not come back drained.
    let mut without = snapshot(vec![], None);
    without.pools.clear();
    let decision = take_up(&uncordon, &without);
    assert_eq!((decision.state, decision.pause), (Done, Some((x86(), None))));
    let of_one = Request::Drain {
        what: ids(&[1]),
        reason: "net".to_owned(),
        lasts: None,
    };
    let decision = take_up(&intent(of_one), &snapshot(vec![builder(1, S::Ready, None)], None));
    assert_eq!((decision.pause, decision.marks.len()), (None, 1));
}

#[test]
fn a_cordon_is_over_at_its_time_and_no_other_mark_is() {
    let until = |kind, seconds| {
        let until = Some(
            NOW.plus(Duration::from_secs(60))
                .minus(Duration::from_secs(seconds)),
        );
        Some(Mark {
            until,
            ..mark(kind, "")
        })
    };
    let builders = [
        builder(1, S::Ready, until(MarkKind::Cordoned, 59)),
        builder(2, S::Ready, until(MarkKind::Cordoned, 60)),
        builder(3, S::Ready, until(MarkKind::Held, 60)),
        builder(4, S::Ready, Some(mark(MarkKind::Cordoned, ""))),
        builder(5, S::Ready, None),
    ];
    let marked = builders.iter().filter_map(|it| Some((it.id, it.mark.as_ref()?)));
    assert_eq!(expired(marked, NOW), [id(2)]);
}

#[test]
fn the_words_of_states_are_read_as_they_are_written() {
    for state in IntentState::ALL {
        assert_eq!(state.as_str().parse(), Ok(state));
        assert_eq!(state.is_final(), !matches!(state, New | Running));
    }
    assert!("over".parse::<IntentState>().is_err());
}

#[test]
fn a_host_that_is_kept_back_is_used_again_when_an_operator_says_so() {
    let kept_back = |out: Option<&str>, failures| Host {
        place: "192.0.2.7 22".to_owned(),
        history: LaunchHistory {
            failures,
            ..LaunchHistory::default()
        },
        out: out.map(|why| OutOfService {
            since: NOW,
            why: why.to_owned(),
        }),
    };
    let mut snapshot = snapshot(vec![], None);
    let pool = snapshot.pools.get_mut(&x86()).unwrap();
    pool.spec.hosts = serde_json::from_value(serde_json::json!([
        {"name": "dirty", "address": "192.0.2.1"}, {"name": "dead", "address": "192.0.2.2"},
        {"name": "fine", "address": "192.0.2.3"}, {"name": "new", "address": "192.0.2.4"},
    ]))
    .unwrap();
    pool.hosts = [
        ("dirty".to_owned(), kept_back(Some("users: eve: is new"), 0)),
        ("dead".to_owned(), kept_back(None, 2)),
        ("fine".to_owned(), kept_back(None, 0)),
    ]
    .into();
    for (host, state, words) in [
        ("dirty", Done, "host dirty is in service again, as it is now"),
        ("dead", Done, "host dead is in service again, as it is now"),
        ("fine", Nothing, "host fine is not out of service"),
        ("new", Nothing, "host new is not out of service"),
        ("none", Refused, "there is no host none in the fleet file"),
    ] {
        let asked = intent(Request::Readmit {
            host: host.to_owned(),
        });
        let decision = take_up(&asked, &snapshot);
        assert_eq!((decision.state, decision.words.as_str()), (state, words));
        assert_eq!(decision.readmitted.is_some(), state == Done, "{host}");
        let then = as_decided(&snapshot, &asked, &decision);
        let is_known = then.pools[&x86()].hosts.contains_key(host);
        assert_eq!(is_known, host == "fine", "{host}");
    }
}
