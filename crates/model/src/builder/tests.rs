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
