use std::{collections::BTreeSet, fmt::Write as _};

use super::*;

#[test]
fn the_moves_are_those_of_the_design() {
    let mut table = String::new();
    for state in BuilderState::ALL {
        let next: Vec<_> = state.next().iter().map(|next| next.as_str()).collect();
        writeln!(table, "{}", format!("{state} -> {}", next.join(" ")).trim_end()).unwrap();
    }
    insta::assert_snapshot!(table, @r"
    planned -> launching abandoned
    launching -> pending resolving planned abandoned
    resolving -> pending planned abandoned terminating
    pending -> booting terminating
    booting -> provisioning terminating
    provisioning -> checking terminating
    checking -> ready draining terminating
    ready -> checking reserved held draining
    reserved -> busy ready draining
    busy -> cleaning held draining
    cleaning -> ready held draining
    held -> draining
    draining -> terminating
    terminating -> terminated
    terminated ->
    abandoned ->
    ");
}

#[test]
fn every_state_reaches_an_end() {
    for start in BuilderState::ALL {
        let mut seen = BTreeSet::from([start]);
        let mut front = vec![start];
        while let Some(state) = front.pop() {
            front.extend(state.next().iter().copied().filter(|next| seen.insert(*next)));
        }
        assert!(seen.iter().any(|state| state.is_final()), "{start} never ends");
    }
}

#[test]
fn only_a_reserved_builder_gets_busy_and_only_a_ready_one_reserved() {
    for state in BuilderState::ALL {
        assert_eq!(state.may_become(S::Busy), state == S::Reserved);
        assert_eq!(state.may_become(S::Reserved), state == S::Ready);
    }
    assert!(!S::Busy.may_become(S::Terminating));
    assert!(!S::Ready.may_become(S::Terminating));
}

#[test]
fn a_state_has_a_clock_exactly_when_something_follows_it() {
    let deadlines = Deadlines::default();
    for state in BuilderState::ALL {
        assert_eq!(
            deadlines.of(state).is_some(),
            state.when_overdue().is_some(),
            "{state}"
        );
        if let Some(next) = state.when_overdue() {
            assert!(state.may_become(next), "{state} -> {next}");
        }
        assert_eq!(state.as_str().parse(), Ok(state));
    }
}

#[test]
fn a_builder_is_on_its_way_in_use_or_on_its_way_out_and_never_two_of_these() {
    for state in BuilderState::ALL {
        let (starts, ends) = (
            BuilderState::STARTING.contains(&state),
            BuilderState::ENDING.contains(&state),
        );
        assert!(!(starts && ends), "{state}");
        // Only what is a machine, or may be one, starts or ends.
        assert!(state.counts() || !(starts || ends), "{state}");
        assert_ne!(state.counts(), state.is_final(), "{state}");
        // What ends never comes back into use.
        if ends {
            let back = state
                .next()
                .iter()
                .find(|next| !next.is_final() && !BuilderState::ENDING.contains(next));
            assert_eq!(back, None, "{state}");
        }
    }
}

#[test]
fn whatever_happens_a_machine_is_ended_by_the_cloud_and_what_never_was_one_is_abandoned() {
    for state in BuilderState::ALL {
        assert_eq!(
            state.may_become(S::Terminated),
            state == S::Terminating,
            "{state}"
        );
        // Without an instance there is nothing that a cloud could end.
        let is_without = matches!(state, S::Planned | S::Launching | S::Resolving);
        assert_eq!(state.may_become(S::Abandoned), is_without, "{state}");
    }
}

#[test]
fn clocks_alone_move_every_builder_to_its_end_or_to_where_only_evidence_counts() {
    for start in BuilderState::ALL {
        let mut state = start;
        let mut steps = 0;
        while let Some(next) = state.when_overdue() {
            state = next;
            steps += 1;
            assert!(steps < BuilderState::ALL.len(), "{start} goes round in circles");
        }
        assert!(
            matches!(state, S::Ready | S::Resolving | S::Terminating) || state.is_final(),
            "{start} is left in {state}"
        );
    }
}

#[test]
fn a_word_that_is_no_state_of_a_builder_is_named() {
    for word in ["", "READY", "suspended"] {
        let said = word.parse::<BuilderState>().unwrap_err().to_string();
        assert_eq!(said, format!("`{word}` is no builder state"));
        assert!(
            serde_json::from_value::<BuilderState>(word.into()).is_err(),
            "{word}"
        );
    }
}

#[test]
fn a_builder_has_the_time_of_its_state_from_now_on_and_the_time_of_one_wish_until_it_is_asked_for() {
    let deadlines = Deadlines::default();
    let (wished, now) = (Timestamp::from_micros(0), Timestamp::from_micros(90_000_000));
    for state in BuilderState::ALL {
        let since = if state == S::Planned { wished } else { now };
        let expected = deadlines.of(state).map(|limit| since.plus(limit));
        assert_eq!(deadlines.end_of(state, wished, now), expected, "{state}");
    }
    let seconds = |state| deadlines.end_of(state, wished, now).map(Timestamp::as_seconds);
    assert_eq!(
        (seconds(S::Planned), seconds(S::Booting), seconds(S::Ready)),
        (Some(600), Some(390), None)
    );
}

#[test]
fn what_is_on_its_way_and_not_being_asked_for_can_be_ended_at_once() {
    for state in BuilderState::ALL {
        let is_asked_for = matches!(state, S::Launching | S::Resolving);
        let expected = BuilderState::STARTING.contains(&state) && !is_asked_for;
        assert_eq!(state.when_unwanted().is_some(), expected, "{state}");
        if let Some(next) = state.when_unwanted() {
            assert!(state.may_become(next), "{state} -> {next}");
        }
    }
}
