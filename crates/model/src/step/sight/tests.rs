use super::*;
use BuilderState as B;

fn sight(state: InstanceState) -> Sight<'static> {
    Sight {
        id: "i-1",
        state,
        address: Some("10.0.0.7"),
        why: None,
        is_taken_back: false,
    }
}

/// Where a builder goes whose instance has ended or is ending: out of service while something may run on it, else to its end.
const AFTER_THE_END: [(BuilderState, Option<BuilderState>); 15] = [
    (B::Planned, None),
    (B::Launching, None),
    (B::Resolving, Some(B::Terminating)),
    (B::Pending, Some(B::Terminating)),
    (B::Booting, Some(B::Terminating)),
    (B::Provisioning, Some(B::Terminating)),
    (B::Checking, Some(B::Terminating)),
    (B::Ready, Some(B::Draining)),
    (B::Reserved, Some(B::Draining)),
    (B::Busy, Some(B::Draining)),
    (B::Cleaning, Some(B::Draining)),
    (B::Held, Some(B::Draining)),
    (B::Draining, None),
    (B::Terminated, None),
    (B::Abandoned, None),
];

#[test]
fn an_instance_that_ends_takes_its_builder_with_it_in_every_state() {
    use InstanceState::{ShuttingDown, Stopped, Stopping, Terminated};
    for (state, expected) in AFTER_THE_END {
        for (of_instance, word) in [
            (ShuttingDown, "shutting-down"),
            (Terminated, "terminated"),
            (Stopping, "stopping"),
            (Stopped, "stopped"),
        ] {
            let reason = format!("instance i-1 is {word}: no reason given");
            let expected = expected.map(|to| Move {
                is_gone: true,
                ..Move::new(to, reason)
            });
            assert_eq!(seen(state, &sight(of_instance)), expected, "{state} {word}");
            let why = "Server.SpotInstanceTermination";
            let taken_back = Sight {
                why: Some(why),
                is_taken_back: true,
                ..sight(of_instance)
            };
            let expected = expected.map(|step| Move {
                is_excused: true,
                reason: format!("instance i-1 is {word}: {why}"),
                ..step
            });
            assert_eq!(seen(state, &taken_back), expected, "{state} {word}");
        }
        let expected = expected.filter(|_| state != B::Busy); // Its worker knows.
        let found = absent(state, "i-1", Duration::ZERO, false);
        assert_eq!(found.map(|step| step.to), expected, "absent: {state}");
    }
    let known: Vec<_> = AFTER_THE_END.iter().map(|(state, _)| *state).collect();
    let missing = B::ALL.into_iter().filter(|state| !known.contains(state));
    let missing: Vec<_> = missing.collect();
    assert_eq!(missing, [B::Terminating], "its own test is below");
}

#[test]
fn only_the_end_itself_ends_a_builder_that_is_being_ended() {
    for state in [
        InstanceState::Pending,
        InstanceState::Running,
        InstanceState::ShuttingDown,
        InstanceState::Stopping,
        InstanceState::Stopped,
        InstanceState::Unknown,
    ] {
        assert_eq!(seen(B::Terminating, &sight(state)), None, "{}", state.as_str());
    }
    let said = "the cloud says that it is terminated";
    // What was lost on one that was taken back is excused, also where its worker was the first to notice.
    for (why, is_taken_back, reason) in [
        (None, false, said.to_owned()),
        (Some("Client.UserInitiatedShutdown"), false, said.to_owned()),
        (
            Some("Server.SpotInstanceTermination"),
            true,
            format!("{said}: Server.SpotInstanceTermination"),
        ),
    ] {
        let ended = Sight {
            why,
            is_taken_back,
            ..sight(InstanceState::Terminated)
        };
        let expected = Move {
            is_excused: is_taken_back,
            ..Move::new(B::Terminated, reason)
        };
        assert_eq!(seen(B::Terminating, &ended), Some(expected));
    }
    for (seconds, is_over) in [(0, false), (599, false), (600, true), (6000, true)] {
        let found = absent(B::Terminating, "i-1", Duration::from_secs(seconds), false);
        let expected = is_over.then(|| Move::new(B::Terminated, "the cloud no longer knows instance i-1"));
        assert_eq!(found, expected, "{seconds}");
    }
    // A cloud that shows all that it has shows so that it is gone.
    let found = absent(B::Terminating, "i-1", Duration::ZERO, true);
    assert_eq!(found.map(|step| step.to), Some(B::Terminated));
}

#[test]
fn an_instance_that_runs_at_an_address_lets_its_builder_boot_and_nothing_else_does() {
    let running = sight(InstanceState::Running);
    let boots = Move {
        address: Some("10.0.0.7".to_owned()),
        ..Move::new(B::Booting, "instance i-1 runs at 10.0.0.7")
    };
    for state in B::ALL {
        let expected = (state == B::Pending).then(|| boots.clone());
        assert_eq!(seen(state, &running), expected, "{state}");
        for waits in [InstanceState::Pending, InstanceState::Unknown] {
            assert_eq!(seen(state, &sight(waits)), None, "{state}");
        }
    }
    let nowhere = Sight {
        address: None,
        ..running
    };
    assert_eq!(seen(B::Pending, &nowhere), None, "it cannot be reached yet");
}

#[test]
fn an_absence_is_believed_after_three_looks_and_a_minute_or_five_where_most_are_missing() {
    for (times, seconds, most, expected) in [
        (3, 60, false, true),
        (2, 600, false, false),
        (9, 59, false, false),
        (3, 60, true, false),
        (3, 299, true, false),
        (3, 300, true, true),
    ] {
        let found = is_absence_believed(times, Duration::from_secs(seconds), most);
        assert_eq!(
            found, expected,
            "{times} times in {seconds} s, most missing: {most}"
        );
    }
}

#[test]
fn a_cloud_that_shows_less_than_half_of_what_it_has_shown_is_doubted() {
    for (shown, known, expected) in [
        (0, 0, false),
        (1, 1, false),
        (0, 1, true),
        (1, 2, false),
        (1, 3, true),
    ] {
        let words = format!("it shows {shown} of the {known} machines that it should have");
        assert_eq!(doubt(shown, known), expected.then_some(words));
    }
}

#[test]
fn a_machine_of_nobody_is_ended_when_it_was_seen_twice_and_watched_for_two_minutes() {
    let first_at = Timestamp::from_micros(1_800_000_000_000_000);
    for (times, seconds, expected) in [(2, 120, true), (1, 6000, false), (90, 119, false)] {
        let now = first_at.plus(Duration::from_secs(seconds));
        assert_eq!(
            is_orphan_due(times, first_at, now),
            expected,
            "{times} times in {seconds} s"
        );
    }
}

#[test]
fn no_more_orphans_are_ended_in_an_hour_than_the_file_says() {
    for (due, ended, most, expected) in [
        (3, 0, 20, 3),
        (25, 0, 20, 20),
        (25, 19, 20, 1),
        (9, 30, 20, 0),
        (9, 0, 0, 0),
    ] {
        assert_eq!(
            orphans_to_end(due, ended, most),
            expected,
            "{due} beside {ended} of {most}"
        );
    }
}

#[test]
fn what_takes_up_a_place_of_the_quota_is_as_the_cloud_counts() {
    use InstanceState as I;
    for state in I::ALL {
        let (amazon, eucalyptus) = match state {
            I::Pending | I::Running | I::ShuttingDown | I::Stopping | I::Unknown => (true, true),
            I::Stopped => (false, true),
            I::Terminated => (false, false),
        };
        assert_eq!(state.uses_quota(false), amazon, "{}", state.as_str());
        assert_eq!(state.uses_quota(true), eucalyptus, "{}", state.as_str());
        assert_eq!(I::of_word(state.as_str()), state);
    }
    assert_eq!(I::of_word("hibernated"), I::Unknown);
}

#[test]
fn a_count_of_others_is_used_for_a_quarter_of_an_hour_and_made_more_often() {
    let counted_at = Timestamp::from_micros(1_800_000_000_000_000);
    for (seconds, expected) in [(0, true), (899, true), (900, false)] {
        let now = counted_at.plus(Duration::from_secs(seconds));
        assert_eq!(is_count_believed(counted_at, now), expected, "{seconds}");
    }
    // A clock that was set back makes no count old.
    assert!(is_count_believed(
        counted_at,
        counted_at.minus(Duration::from_secs(5000))
    ));
    assert!(COUNT_OTHERS_EVERY * 2 < COUNT_BELIEVED_FOR, "one may fail");
}
