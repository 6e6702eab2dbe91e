//! What becomes of the rows of a list.

use std::sync::Arc;

use super::{Faults, planned};
use crate::{
    api::samples,
    faults::{PageFault, Work},
    ledger::{Instance, InstanceState, StateReason},
};

fn rows(count: u64) -> Vec<Arc<Instance>> {
    let rows = (0..count).map(|sequence| {
        let mut row = samples::instance(&format!("i-{sequence:08}"));
        row.sequence = sequence;
        row.into()
    });
    rows.collect()
}

fn sequences(rows: &[Arc<Instance>]) -> Vec<u64> {
    rows.iter().map(|row| row.sequence).collect()
}

fn of_lists(effects: &[&str]) -> Faults {
    let rules = effects
        .iter()
        .map(|effect| format!(r#"{{"action": "DescribeInstances", "count": 2, "effect": {effect}}}"#));
    let rules: Vec<String> = rules.collect();
    planned(&format!(r#"{{"seed": 7, "rules": [{}]}}"#, rules.join(",")))
}

/// What three lists of a thousand instances become.
fn lists(effects: &[&str]) -> [Vec<u64>; 3] {
    let faults = of_lists(effects);
    let calls = [(); 3].map(|()| faults.before("DescribeInstances").work);
    calls.map(|call| sequences(&call.spoil(rows(1000))))
}

#[test]
fn a_wrong_list_lacks_about_as_many_as_it_says_or_has_each_twice() {
    let whole: Vec<u64> = (0..1000).collect();
    assert_eq!(sequences(&Work::default().spoil(rows(1000))), whole);

    let [first, second, third] = lists(&[r#"{"leave-out": {"percent": 100}}"#]);
    assert_eq!((first.len(), second.len()), (0, 0));
    assert_eq!(third, whole, "the rule is used up");

    let [first, second, _] = lists(&[r#"{"leave-out": {"percent": 30}}"#]);
    for some in [&first, &second] {
        assert!(
            (650..750).contains(&some.len()),
            "{} of 1000 are left",
            some.len()
        );
    }
    assert_ne!(first, second, "other ones are missing in the next answer");
    assert_eq!(
        first,
        lists(&[r#"{"leave-out": {"percent": 30}}"#])[0],
        "the same seed"
    );

    let [twice, ..] = lists(&[r#""double""#]);
    assert_eq!(twice, [whole.clone(), whole].concat());
    let [both, ..] = lists(&[r#""double""#, r#"{"leave-out": {"percent": 30}}"#]);
    assert_eq!(both, [first.clone(), first].concat());
}

/// An instance that went through these states, the last of them for a reason.
fn with_history(states: &[InstanceState]) -> Arc<Instance> {
    let mut row = samples::instance("i-00000001");
    for state in states {
        row.enter(*state, Some(StateReason::new("Client.X", "x")));
    }
    row.into()
}

#[test]
fn a_row_can_be_in_the_state_before_its_last_or_without_what_is_known_later() {
    use InstanceState::{Pending, Running, ShuttingDown, Terminated};
    let row = |effect: &str, row: &Arc<Instance>| {
        let faults = of_lists(&[effect]);
        let work = faults.before("DescribeInstances").work;
        let spoilt = work.spoil(vec![Arc::clone(row)]);
        Arc::clone(&spoilt[0])
    };
    let old = r#"{"old-states": {"percent": 100}}"#;
    for (states, shown) in [
        (&[Pending][..], Pending),
        (&[Pending, Running], Pending),
        (&[Pending, Running, ShuttingDown], Running),
        (&[Pending, Running, ShuttingDown, Terminated], ShuttingDown),
    ] {
        let instance = with_history(states);
        let shown_row = row(old, &instance);
        assert_eq!(shown_row.state, shown, "{states:?}");
        let is_old = shown != instance.state;
        assert_eq!(shown_row.state_reason.is_none(), is_old, "{states:?}");
    }
    // What is noted between the states is no state.
    let mut noted = (*with_history(&[Pending, Running])).clone();
    noted.note("fault", "partition");
    assert_eq!(row(old, &noted.into()).state, Pending);

    let instance = with_history(&[Pending, Running]);
    let bare = row(r#"{"bare-rows": {"percent": 100}}"#, &instance);
    assert!(bare.faults.is_bare && bare.state_reason.is_none());
    assert_eq!(bare.state, Running);
    assert!(!instance.faults.is_bare, "the truth stays");
}

#[test]
fn a_page_can_end_wrongly() {
    for (effect, expected) in [
        (r#""repeat-row""#, Some(PageFault::Repeat)),
        (r#""skip-row""#, Some(PageFault::Skip)),
        (r#""double""#, None),
    ] {
        let work = of_lists(&[effect]).before("DescribeInstances").work;
        assert_eq!(work.page(), expected, "{effect}");
    }
}
