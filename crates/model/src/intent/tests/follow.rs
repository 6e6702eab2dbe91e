//! What has become of intents that were taken up.

use super::*;
use crate::plan::Unmet;

use IntentState::Failed;

fn made(number: u128, state: BuilderState, was_ready: bool) -> Made {
    Made {
        id: id(number),
        state,
        was_ready,
        reason: Some(format!("it is {state}")),
    }
}

fn unmet(may_pass: bool) -> Unmet {
    Unmet {
        intent: "key".to_owned(),
        missing: 1,
        may_pass,
        why: "pool x86 is at its maximum of 4".to_owned(),
    }
}

#[test]
fn spawning_is_done_when_all_that_was_launched_got_ready() {
    let full = "pool x86 is at its maximum of 4";
    for (made, unmet, state, words) in [
        (
            vec![],
            Some(unmet(true)),
            Running,
            "0 of 2 builders of pool x86 are ready, 0 launched",
        ),
        (vec![], Some(unmet(false)), Refused, full),
        // What was launched is not left behind half launched.
        (
            vec![made(1, S::Booting, false)],
            Some(unmet(false)),
            Running,
            "1 of 2 builders launched, 1 still under way: pool x86 is at its maximum of 4",
        ),
        (
            vec![made(1, S::Terminating, false)],
            Some(unmet(false)),
            Running,
            "1 of 2 builders launched, 1 still under way: pool x86 is at its maximum of 4",
        ),
        (
            vec![made(1, S::Ready, true)],
            Some(unmet(false)),
            Refused,
            "1 of 2 builders launched: pool x86 is at its maximum of 4",
        ),
        (
            vec![made(1, S::Terminated, false)],
            Some(unmet(false)),
            Refused,
            "1 of 2 builders launched: pool x86 is at its maximum of 4",
        ),
        (
            vec![made(1, S::Ready, true), made(2, S::Booting, false)],
            None,
            Running,
            "1 of 2 builders of pool x86 are ready, 2 launched",
        ),
        (
            vec![made(1, S::Busy, true), made(2, S::Terminated, true)],
            None,
            Done,
            "2 builders of pool x86 got ready",
        ),
        (
            vec![made(1, S::Ready, true), made(2, S::Terminating, false)],
            None,
            Failed,
            "1 of 2 builders never got ready: it is terminating",
        ),
    ] {
        let running = Intent {
            state: Running,
            ..intent(spawn(2, None))
        };
        let decision = follow(&running, &made, unmet.as_ref(), (&Pass::default(), NOW)).unwrap();
        assert_eq!((decision.state, decision.words.as_str()), (state, words));
    }
}

#[test]
fn nothing_is_launched_for_an_intent_whose_time_is_over_and_what_was_launched_is_followed() {
    let keep = Some(Span::seconds(60));
    let after = |seconds| NOW.plus(Duration::from_secs(seconds));
    let over = "the time for which it was asked was over at 2027-01-15T08:01:00Z";
    for (made, seconds, state, words) in [
        (
            vec![],
            59,
            Running,
            "0 of 2 builders of pool x86 are ready, 0 launched".to_owned(),
        ),
        (vec![], 60, Refused, over.to_owned()),
        (
            vec![made(1, S::Ready, true)],
            60,
            Refused,
            format!("1 of 2 builders launched: {over}"),
        ),
        (
            vec![made(1, S::Booting, false)],
            60,
            Running,
            format!("1 of 2 builders launched, 1 still under way: {over}"),
        ),
        (
            vec![made(1, S::Ready, true), made(2, S::Booting, false)],
            60,
            Running,
            "1 of 2 builders of pool x86 are ready, 2 launched".to_owned(),
        ),
    ] {
        let running = Intent {
            state: Running,
            builders: made.iter().map(|it| it.id).collect(),
            ..intent(spawn(2, keep))
        };
        let decision = follow(&running, &made, None, (&Pass::default(), after(seconds))).unwrap();
        assert_eq!((decision.state, &decision.words), (state, &words), "{seconds} s");
        let asked = demands(&running, after(seconds));
        let asks = asked.iter().any(|it| matches!(it.source, Source::Operator(..)));
        assert_eq!(asks, seconds < 60 && made.len() < 2, "{words}");
    }
    let mut late = snapshot(vec![], None);
    late.now = after(60);
    let decision = take_up(&intent(spawn(2, keep)), &late);
    assert_eq!((decision.state, decision.words.as_str()), (Refused, over));
    let forever = take_up(&intent(spawn(2, None)), &late);
    assert_eq!(forever.state, Running, "without a time it is never too late");
}

#[test]
fn an_end_is_done_when_the_cloud_has_said_so_and_nothing_new_is_not_written_down() {
    let running = Intent {
        state: Running,
        builders: vec![id(1), id(2)],
        words: "2 of 2 builders not gone yet, 1 of them at work".to_owned(),
        ..intent(terminate(ids(&[1, 2]), false))
    };
    let of = |made: &[Made]| follow(&running, made, None, (&Pass::default(), NOW));
    assert_eq!(of(&[made(1, S::Busy, true), made(2, S::Draining, true)]), None);
    let some = of(&[made(1, S::Terminated, true), made(2, S::Draining, true)]).unwrap();
    let words = "1 of 2 builders not gone yet";
    assert_eq!((some.state, some.words.as_str()), (Running, words));
    assert_eq!(some.builders, [id(1), id(2)], "they stay what it is about");
    let all = of(&[made(1, S::Terminated, true), made(2, S::Abandoned, false)]).unwrap();
    assert_eq!((all.state, all.words.as_str()), (Done, "2 builders gone"));
    // Rows of those that ended long ago are taken away.
    assert_eq!(of(&[]).unwrap().state, Done);
}

#[test]
fn a_hold_is_done_when_the_builder_is_held_and_a_pass_when_nothing_moves() {
    let state = |request, made: &[Made], pass: &Pass| {
        let running = Intent {
            state: Running,
            words: "it waits".to_owned(),
            ..intent(request)
        };
        follow(&running, made, None, (pass, NOW)).map(|it| it.state)
    };
    let none = &Pass::default();
    for (now, expected) in [
        (S::Busy, None),
        (S::Held, Some(Done)),
        (S::Draining, Some(Failed)),
        (S::Terminated, Some(Failed)),
    ] {
        assert_eq!(state(hold(), &[made(1, now, true)], none), expected, "{now}");
    }
    assert_eq!(state(hold(), &[], none), Some(Failed));
    for (is_whole, has_acted, is_moving, expected) in [
        (false, false, false, Running),
        (true, false, true, Running),
        (true, true, true, Running),
        (true, true, false, Done),
        (true, false, false, Nothing),
    ] {
        let pass = Pass {
            is_whole,
            has_acted,
            is_moving,
            silent: vec![],
        };
        assert_eq!(state(Request::Reconcile, &[], &pass), Some(expected), "{pass:?}");
    }
}

#[test]
fn a_pass_that_no_cloud_answered_has_not_found_that_nothing_was_due() {
    let running = Intent {
        state: Running,
        ..intent(Request::Reconcile)
    };
    let silent = || vec!["cloud a is away".to_owned(), "cloud b is away".to_owned()];
    for (is_whole, has_acted, state, words) in [
        (true, false, Refused, "cloud a is away; cloud b is away"),
        (
            true,
            true,
            Refused,
            "cloud a is away; cloud b is away; what was due otherwise was done",
        ),
        // It is asked once more before that is said.
        (false, true, Running, "a pass has begun"),
    ] {
        let pass = Pass {
            is_whole,
            has_acted,
            silent: silent(),
            ..Pass::default()
        };
        let decision = follow(&running, &[], None, (&pass, NOW)).unwrap();
        assert_eq!((decision.state, decision.words.as_str()), (state, words));
    }
}
