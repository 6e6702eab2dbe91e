//! What operators say of instances without a builder.

use super::*;
use crate::{
    plan::CloudTrouble,
    stray::{Ignored, Stray},
};

use IntentState::Failed;

fn adopt(instance: &str) -> Intent {
    intent(Request::Adopt {
        instance: instance.to_owned(),
        pool: x86(),
        host_key: None,
    })
}

fn ignored(why: &str) -> Ignored {
    Ignored {
        by: "root".to_owned(),
        why: why.to_owned(),
    }
}

/// Strays `i-fresh`, `i-ending` and `i-ignored`, and so many builders of the pool.
fn farm(builders: u128) -> Snapshot {
    let builders = (1..=builders).map(|number| builder(number, S::Busy, None));
    let mut farm = snapshot(builders.collect(), None);
    let stray = |name: &str, is_ending, ignored| Stray {
        cloud: "aws".to_owned(),
        instance: format!("i-{name}"),
        is_ending,
        ignored,
    };
    farm.strays = vec![
        stray("fresh", false, None),
        stray("ending", true, None),
        stray("ignored", false, Some(ignored("evidence"))),
    ];
    farm
}

fn drained(farm: &mut Snapshot) {
    farm.pools.get_mut(&x86()).unwrap().pause = Some(Pause {
        by: "alice".to_owned(),
        why: String::new(),
        until: None,
    });
}

#[test]
fn an_instance_is_asked_for_where_its_pool_has_room_and_takes_builders() {
    let running = "the cloud of pool x86 is asked for instance i-1";
    type Change = fn(&mut Snapshot);
    let cases: [(u128, Change, Option<&str>); 9] = [
        (0, |_| {}, None),
        (3, |_| {}, None),
        // What has not been asked is asked first.
        (
            0,
            |farm| farm.pools.get_mut(&x86()).unwrap().cloud = CloudHealth::Unknown,
            None,
        ),
        (4, |_| {}, Some("pool x86 is at its maximum of 4")),
        (
            0,
            |farm| farm.pools.clear(),
            Some("there is no pool x86 in the fleet file"),
        ),
        (
            0,
            |farm| {
                let trouble = CloudTrouble {
                    cloud: "aws".to_owned(),
                    since: NOW,
                    reason: "it is silent".to_owned(),
                    detail: "it is silent, all of it".to_owned(),
                };
                farm.pools.get_mut(&x86()).unwrap().cloud = CloudHealth::Away(trouble);
            },
            Some("cloud aws gives no machines since 2027-01-15T08:00:00Z: it is silent, all of it"),
        ),
        (0, drained, Some("pool x86 is drained by alice")),
        (
            0,
            |farm| farm.pools.get_mut(&x86()).unwrap().spec.paused = true,
            Some("pool x86 is paused in the fleet file (`pools.x86.paused`)"),
        ),
        (
            0,
            |farm| {
                let pool = farm.pools.get_mut(&x86()).unwrap();
                pool.spec.image = None;
                pool.spec.hosts =
                    serde_json::from_value(serde_json::json!([{"name": "a", "address": "192.0.2.1"}]))
                        .unwrap();
            },
            Some("pool x86 has fixed hosts: a machine becomes one of them by the fleet file"),
        ),
    ];
    for (builders, change, refusal) in cases {
        let mut farm = farm(builders);
        change(&mut farm);
        let decision = take_up(&adopt("i-1"), &farm);
        let state = if refusal.is_some() { Refused } else { Running };
        assert_eq!(
            (decision.state, decision.words.as_str()),
            (state, refusal.unwrap_or(running))
        );
        assert_eq!(
            decision.builders,
            [],
            "nothing is decided before the cloud has answered"
        );
    }
}

#[test]
fn what_is_being_ended_is_not_asked_for() {
    let decision = take_up(&adopt("i-ending"), &farm(0));
    assert_eq!(
        (decision.state, decision.words.as_str()),
        (Refused, "instance i-ending is being ended already")
    );
}

#[test]
fn a_stray_is_left_alone_or_ended_after_all_as_operators_say() {
    let ignore = |instance: &str, why: &str| Request::Ignore {
        instance: instance.to_owned(),
        reason: why.to_owned(),
    };
    let disown = |instance: &str| Request::Disown {
        instance: instance.to_owned(),
    };
    let unlisted = "no cloud lists an instance i-9 with the fleet's tag and no builder";
    for (request, state, words, then) in [
        (
            ignore("i-fresh", "mine"),
            Done,
            "instance i-fresh is ignored by root: mine",
            Some("mine"),
        ),
        (
            ignore("i-ending", "mine"),
            Refused,
            "instance i-ending is being ended already",
            None,
        ),
        (ignore("i-9", "mine"), Refused, unlisted, None),
        (
            ignore("i-ignored", "evidence"),
            Nothing,
            "instance i-ignored is ignored by root: evidence already",
            Some("evidence"),
        ),
        (
            ignore("i-ignored", "mine"),
            Done,
            "instance i-ignored is ignored by root: mine",
            Some("mine"),
        ),
        (
            disown("i-ignored"),
            Done,
            "instance i-ignored is a stray again, and is ended as others are",
            None,
        ),
        (
            disown("i-fresh"),
            Nothing,
            "instance i-fresh is not ignored",
            None,
        ),
        (disown("i-9"), Nothing, "instance i-9 is not ignored", None),
    ] {
        let (before, asked) = (farm(0), intent(request));
        let decision = take_up(&asked, &before);
        assert_eq!((decision.state, decision.words.as_str()), (state, words));
        let after = as_decided(&before, &asked, &decision);
        let stray = asked.stray().unwrap();
        let found = after.strays.iter().find(|it| it.instance == stray);
        assert_eq!(
            found.and_then(|it| it.ignored.clone()),
            then.map(ignored),
            "{asked:?}"
        );
        assert_eq!(decision.disregard.is_some(), state == Done, "{asked:?}");
    }
}

#[test]
fn an_adoption_is_over_when_its_builder_got_ready_or_goes() {
    let made = |state, was_ready| Made {
        id: id(1),
        state,
        was_ready,
        reason: Some(format!("it is {state}")),
    };
    let ready = format!("instance i-1 is builder {}, and got ready", id(1));
    for (builders, made, expected) in [
        (vec![], vec![], None),
        (vec![id(1)], vec![made(S::Pending, false)], None),
        (vec![id(1)], vec![made(S::Checking, false)], None),
        (
            vec![id(1)],
            vec![made(S::Ready, true)],
            Some((Done, ready.as_str())),
        ),
        // However soon it went again.
        (
            vec![id(1)],
            vec![made(S::Terminated, true)],
            Some((Done, ready.as_str())),
        ),
        (
            vec![id(1)],
            vec![made(S::Terminating, false)],
            Some((Failed, "instance i-1 never got ready: it is terminating")),
        ),
        (
            vec![id(1)],
            vec![],
            Some((Failed, "the builder of instance i-1 is gone")),
        ),
    ] {
        let mut asked = adopt("i-1");
        (asked.state, asked.words, asked.builders) = (Running, "it is asked for".to_owned(), builders);
        let followed = follow(&asked, &made, None, (&Pass::default(), NOW));
        let found = followed.as_ref().map(|it| (it.state, it.words.as_str()));
        assert_eq!(found, expected, "{made:?}");
        assert_eq!(asked.wants().is_some(), asked.builders.is_empty(), "{made:?}");
    }
    assert_eq!(adopt("i-1").wants(), None, "nobody has taken it up");
    assert_eq!(intent(Request::Reconcile).stray(), None);
}
