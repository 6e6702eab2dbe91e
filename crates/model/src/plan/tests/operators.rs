//! What operators ask for: builders, and that builders and pools are let alone.

use super::*;
use crate::fleet::NoImage;

pub(super) fn mark(kind: MarkKind) -> Mark {
    Mark {
        kind,
        by: "root".to_owned(),
        why: "it smells".to_owned(),
        until: None,
        lasts: (kind == MarkKind::Held).then_some(Span::seconds(60)),
    }
}

fn marked(number: u128, state: BuilderState, kind: MarkKind) -> Builder {
    Builder {
        cordoned: true,
        mark: Some(mark(kind)),
        ..builder(number, "x86", state)
    }
}

fn wish(count: u32) -> Demand {
    Demand {
        source: Source::Operator("x86".parse().unwrap(), "key".to_owned()),
        count,
        until: None,
        why: "root asked for 3 builders".to_owned(),
    }
}

#[test]
fn what_an_operator_asks_for_is_launched_beside_what_the_file_asks_for() {
    let farm = snapshot(&[("x86", pool(0, 9, 1)), ("arm", pool(0, 9, 0))]);
    let decided = plan_with(&farm, vec![wish(3)]);
    assert_eq!(launches(&decided), 4, "one to hold ready, three for root");
    let expected = Action::Launch {
        pool: "x86".parse().unwrap(),
        host: None,
        reason: "root asked for 3 builders".to_owned(),
        intent: Some("key".to_owned()),
    };
    assert_eq!(decided.actions[3], expected);
    assert_eq!((decided.unmet.len(), decided.pools[0].launches), (0, 0));
}

#[test]
fn a_demand_without_room_is_told_of_with_whether_that_passes() {
    let drained = |until| {
        let mut pool = pool(0, 9, 0);
        pool.pause = Some(Pause {
            by: "root".to_owned(),
            why: "new network".to_owned(),
            until,
        });
        pool
    };
    let soon = NOW.plus(Duration::from_secs(60));
    let without_image = |why: Option<&str>| {
        let mut pool = pool(0, 9, 0);
        pool.no_image = Some(NoImage {
            image: "builder".to_owned(),
            why: why.map(str::to_owned),
        });
        pool
    };
    let mut slow = pool(0, 9, 0);
    slow.spec.launch.parallel = 2;
    for (pool, missing, may_pass, why) in [
        (pool(0, 2, 0), 1, false, "pool x86 is at its maximum of 2"),
        (
            slow,
            1,
            true,
            "pool x86 starts 2 builders already, as many as it may at once",
        ),
        (
            without_image(None),
            3,
            true,
            "the cloud of pool x86 is being asked which image `builder` is",
        ),
        (
            without_image(Some("no image matches images.builder.select")),
            3,
            false,
            "no image matches images.builder.select",
        ),
        (
            drained(None),
            3,
            false,
            "pool x86 is drained by its operators, by root: new network",
        ),
        (
            drained(Some(soon)),
            3,
            false,
            "pool x86 is drained by its operators until 1970-01-12T13:47:40Z, by root: new network",
        ),
    ] {
        let decided = plan_with(&snapshot(&[("x86", pool)]), vec![wish(3)]);
        let expected = Unmet {
            intent: "key".to_owned(),
            missing,
            may_pass,
            why: why.to_owned(),
        };
        assert_eq!(decided.unmet, [expected]);
        assert_eq!(decided.pools[0].note, why);
    }
    let over = drained(Some(NOW));
    assert_eq!(
        launches(&plan_with(&snapshot(&[("x86", over)]), vec![wish(3)])),
        3
    );
}

#[test]
fn who_waits_for_a_pool_without_an_image_reads_no_words_of_its_cloud() {
    let mut pool = pool(0, 9, 0);
    pool.no_image = Some(NoImage {
        image: "builder".to_owned(),
        why: Some("cloud aws said: secret".to_owned()),
    });
    let mut farm = snapshot(&[("x86", pool)]);
    farm.queue = (1..=1).map(|number| attempt(number, "alice")).collect();
    let decided = plan(&farm);
    assert_eq!(launches(&decided), 0);
    let expected = "pool x86 launches nothing: there is no image `builder` to launch from";
    assert_eq!(&*decided.waits[0].reason, expected);
}

#[test]
fn a_demand_of_a_pool_that_is_gone_is_told_of() {
    let decided = plan_with(&snapshot(&[("arm", pool(0, 9, 0))]), vec![wish(3)]);
    let expected = Unmet {
        intent: "key".to_owned(),
        missing: 3,
        may_pass: false,
        why: "pool x86 is no longer in fleet.yaml".to_owned(),
    };
    assert_eq!((decided.actions, decided.unmet), (vec![], vec![expected]));
}

#[test]
fn what_is_kept_for_an_operator_does_not_go_for_being_idle_and_is_launched_again_when_it_is_used() {
    let mut farm = snapshot(&[("x86", pool(0, 9, 1))]);
    farm.builders = (1..=4)
        .map(|number| Builder {
            entered_at: NOW.minus(Duration::from_secs(601)),
            ..builder(number, "x86", BuilderState::Ready)
        })
        .collect();
    let kept = |until| Demand {
        source: Source::Kept("x86".parse().unwrap()),
        count: 2,
        until: Some(until),
        why: "2 builders that root asked for".to_owned(),
    };
    assert_eq!(plan_with(&farm, vec![]).actions.len(), 3);
    let later = NOW.plus(Duration::from_secs(1));
    assert_eq!(plan_with(&farm, vec![kept(later)]).actions.len(), 1);
    assert_eq!(
        plan_with(&farm, vec![kept(NOW)]).actions.len(),
        3,
        "its time is over"
    );
    // Three are to be spare, one by the file.
    let launches = |farm: &Farm, demands| {
        let actions = plan_with(farm, demands).actions;
        let reason = |action: &Action| match action {
            Action::Launch { reason, .. } => Some(reason.clone()),
            _ => None,
        };
        actions.iter().filter_map(reason).collect::<Vec<_>>()
    };
    farm.builders.truncate(2);
    let words = "the pool has 1 of 2 builders that root asked for";
    assert_eq!(launches(&farm, vec![kept(later)]), [words]);
    assert_eq!(launches(&farm, vec![kept(NOW)]), [""; 0], "its time is over");
    // A second wish is beside the first.
    assert_eq!(launches(&farm, vec![kept(later), kept(later)]).len(), 3);
    farm.builders = vec![builder(1, "x86", BuilderState::Busy)];
    assert_eq!(
        launches(&farm, vec![kept(later)]).len(),
        3,
        "one that is in use is not spare"
    );
    let max = &mut farm.pools.values_mut().next().unwrap().spec.size.max;
    *max = 2;
    assert_eq!(launches(&farm, vec![kept(later)]).len(), 1);
    let note = &plan_with(&farm, vec![kept(later)]).pools[0].note;
    assert_eq!(note, "pool x86 is at its maximum of 2");
}

#[test]
fn a_marked_builder_goes_where_its_mark_leads_as_soon_as_its_state_allows_it() {
    use BuilderState as S;
    let moved = |state, kind| {
        let mut farm = snapshot(&[("x86", pool(0, 9, 0))]);
        farm.builders = vec![marked(1, state, kind)];
        plan(&farm).actions
    };
    let to = |to, until, reason: &str| {
        vec![Action::Move {
            builder: BuilderId(Uuid::from_u128(1)),
            to,
            until,
            reason: reason.to_owned(),
        }]
    };
    let drained = |reason: &str| {
        vec![Action::Drain {
            builder: BuilderId(Uuid::from_u128(1)),
            reason: reason.to_owned(),
        }]
    };
    let held = "held for root for 1m: it smells";
    let until = Some(NOW.plus(Duration::from_secs(60)));
    for (state, kind, expected) in [
        (S::Ready, MarkKind::Cordoned, vec![]),
        (S::Ready, MarkKind::Held, to(S::Held, until, held)),
        (S::Ready, MarkKind::Retired, drained("retired by root: it smells")),
        (
            S::Ready,
            MarkKind::Ended,
            drained("ended at once by root: it smells"),
        ),
        (
            S::Ready,
            MarkKind::TakenBack,
            drained("taken back by root: it smells"),
        ),
        (S::Busy, MarkKind::TakenBack, vec![]),
        (S::Busy, MarkKind::Retired, vec![]),
        (
            S::Busy,
            MarkKind::Ended,
            to(S::Draining, None, "ended at once by root: it smells"),
        ),
        (
            S::Booting,
            MarkKind::Retired,
            to(S::Terminating, None, "retired by root: it smells"),
        ),
        (
            S::Held,
            MarkKind::Retired,
            to(S::Draining, None, "retired by root: it smells"),
        ),
    ] {
        assert_eq!(moved(state, kind), expected, "{state} {kind}");
    }
}

#[test]
fn nobody_waits_for_a_builder_that_is_to_go() {
    let mut farm = snapshot(&[("x86", pool(1, 9, 0))]);
    farm.builders = vec![marked(1, BuilderState::Launching, MarkKind::Retired)];
    farm.queue.push(attempt(7, "alice"));
    assert_eq!(
        launches(&plan(&farm)),
        1,
        "one for the queue, which is the floor's too"
    );
    farm.queue.clear();
    for state in [BuilderState::Launching, BuilderState::Busy] {
        farm.builders[0].state = state;
        assert_eq!(launches(&plan(&farm)), 1, "the floor's, when it is {state}");
    }
    farm.builders[0].mark = None;
    farm.builders[0].cordoned = false;
    assert_eq!(launches(&plan(&farm)), 0);
}

#[test]
fn a_held_builder_counts_against_the_maximum_and_ends_with_its_hold() {
    let mut farm = snapshot(&[("x86", pool(0, 1, 1))]);
    farm.builders = vec![marked(1, BuilderState::Held, MarkKind::Held)];
    farm.builders[0].deadline = Some(NOW.plus(Duration::from_secs(1)));
    let held = plan(&farm);
    assert_eq!((held.actions, held.pools[0].counted), (vec![], 1));
    farm.builders[0].deadline = Some(NOW);
    let over = plan(&farm);
    assert!(
        matches!(
            over.actions[..],
            [Action::Expire {
                to: BuilderState::Draining,
                ..
            }]
        ),
        "{over:?}"
    );
}

#[test]
fn a_builder_that_is_to_be_held_is_held_also_when_nobody_goes_on_with_its_use() {
    use BuilderState as S;
    for (state, kind, expected) in [
        (S::Busy, MarkKind::Held, S::Held),
        (S::Cleaning, MarkKind::Held, S::Held),
        (S::Busy, MarkKind::Retired, S::Draining),
        (S::Cleaning, MarkKind::Cordoned, S::Draining),
        // Nothing has happened on it, and its hold follows when it is ready again.
        (S::Reserved, MarkKind::Held, S::Ready),
        (S::Held, MarkKind::Held, S::Draining),
    ] {
        let mut farm = snapshot(&[("x86", pool(0, 1, 0))]);
        farm.builders = vec![marked(1, state, kind)];
        farm.builders[0].deadline = Some(NOW);
        let hold = if expected == S::Held {
            "; held for root for 1m: it smells"
        } else {
            ""
        };
        let since = NOW.since(farm.builders[0].entered_at).as_secs();
        let expected = Action::Expire {
            builder: BuilderId(Uuid::from_u128(1)),
            from: state,
            to: expected,
            reason: format!("still {state} after {since} s{hold}"),
        };
        assert_eq!(plan(&farm).actions, [expected], "{kind}");
    }
}
