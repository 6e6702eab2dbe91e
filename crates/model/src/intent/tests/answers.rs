//! Whether an intent answers a command that asks for the same.

use super::*;

fn uncordon(what: Target) -> Request {
    Request::Uncordon { what }
}

fn drain(what: Target) -> Request {
    Request::Drain {
        what,
        reason: "net".to_owned(),
        lasts: None,
    }
}

fn adopt() -> Request {
    Request::Adopt {
        instance: "i-1".to_owned(),
        pool: x86(),
        host_key: None,
    }
}

fn pool() -> Target {
    Target::Pool(x86())
}

fn arm() -> Target {
    Target::Pool("arm".parse().unwrap())
}

/// An intent that was asked so many seconds after the moment of the tests.
fn asked(key: &str, request: Request, state: IntentState, seconds: u64) -> Intent {
    Intent {
        key: key.to_owned(),
        state,
        created_at: NOW.plus(Duration::from_secs(seconds)),
        ..intent(request)
    }
}

#[test]
fn an_intent_answers_the_same_command_until_something_else_is_asked_of_what_it_is_about() {
    let ignore = || Request::Ignore {
        instance: "i-1".to_owned(),
        reason: "evidence".to_owned(),
    };
    let disown = || Request::Disown {
        instance: "i-1".to_owned(),
    };
    for (found, state, other, expected) in [
        (uncordon(ids(&[1])), Done, cordon(None), false),
        (uncordon(ids(&[2])), Done, cordon(None), true),
        (cordon(None), Done, uncordon(ids(&[1])), false),
        (cordon(None), Done, cordon(Some(Span::seconds(60))), false),
        (cordon(None), Done, Request::Reconcile, true),
        (drain(pool()), Done, uncordon(pool()), false),
        // Its builders are not gone yet, and the pool launches others again.
        (drain(pool()), Running, uncordon(pool()), false),
        (drain(pool()), New, uncordon(pool()), false),
        (drain(pool()), Done, uncordon(arm()), true),
        (drain(pool()), Done, spawn(1, None), false),
        (terminate(ids(&[1, 2]), false), Nothing, hold(), false),
        (hold(), Done, Request::Release { builder: id(1) }, false),
        (ignore(), Done, disown(), false),
        (disown(), Done, adopt(), false),
        (adopt(), Refused, uncordon(pool()), false),
        (spawn(1, None), Done, terminate(pool(), true), false),
        (spawn(1, None), Running, drain(pool()), false),
        (spawn(1, None), Done, drain(arm()), true),
        (spawn(1, None), Refused, uncordon(pool()), false),
        // Others that cron asks for in the same minute make no second effect of it.
        (spawn(1, None), Done, uncordon(pool()), true),
        (spawn(1, None), Done, spawn(2, None), true),
        (spawn(1, None), Done, adopt(), true),
    ] {
        let what = format!("{found:?}, {state}, after {other:?}");
        let found = asked("found", found, state, 5);
        let other = |seconds| asked("other", other.clone(), New, seconds);
        assert!(answers(&found, &[]), "{what}");
        assert!(answers(&found, std::slice::from_ref(&found)), "{what}");
        assert!(answers(&found, &[other(4)]), "{what}: it was asked before");
        assert_eq!(answers(&found, &[found.clone(), other(6)]), expected, "{what}");
        let same = asked("same", found.request.clone(), Done, 6);
        assert!(answers(&found, &[same]), "{what}: it was asked for once more");
    }
}

#[test]
fn what_was_asked_of_the_builders_that_an_intent_made_or_named_counts() {
    let with = |request, builders: &[u128]| Intent {
        builders: builders.iter().copied().map(id).collect(),
        ..asked("found", request, Done, 0)
    };
    let other = |request| asked("other", request, Done, 1);
    let spawned = with(spawn(2, None), &[1, 2]);
    assert!(!answers(&spawned, &[other(terminate(ids(&[2]), false))]));
    assert!(answers(&spawned, &[other(terminate(ids(&[3]), false))]));
    assert!(
        answers(&spawned, &[other(cordon(None))]),
        "its machines are there"
    );
    let of_pool = Intent {
        key: "other".to_owned(),
        ..with(terminate(pool(), false), &[1])
    };
    let cordoned = with(cordon(None), &[1]);
    assert!(!answers(&cordoned, &[of_pool]));
}

#[test]
fn a_pass_answers_only_while_it_has_not_begun() {
    for state in IntentState::ALL {
        let pass = asked("pass", Request::Reconcile, state, 0);
        assert_eq!(answers(&pass, &[]), state == New, "{state}");
    }
}
