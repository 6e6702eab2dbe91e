//! How many builders one owner may have at once.

use super::{drifts::wait_of, *};

fn capped(most: u32, active: &[(&str, u32)]) -> Farm {
    let mut farm = snapshot(&[("x86", pool(0, 9, 0))]);
    farm.caps.owner = Some(most);
    let active = active
        .iter()
        .map(|(owner, count)| (owner.parse().unwrap(), *count));
    farm.active = active.collect();
    farm
}

const REASON: &str = "alice has or gets 3 builders, as many as one owner may (`fairness.caps.owner`)";

#[test]
fn an_owner_gets_no_more_builders_than_one_may_have_and_others_get_theirs() {
    // One is at work, one is ready and one comes: the fourth waits, though one more is ready.
    let mut farm = capped(3, &[("alice", 2)]);
    farm.builders = vec![
        builder(90, "x86", BuilderState::Ready),
        builder(91, "x86", BuilderState::Ready),
        builder(92, "x86", BuilderState::Ready),
    ];
    farm.queue = vec![attempt(1, "alice"), attempt(2, "alice"), attempt(3, "bob")];
    let decided = plan(&farm);
    let given = decided.actions.iter().filter_map(|action| match action {
        Action::Assign { attempt, .. } => Some(attempt.0.as_u128()),
        _ => None,
    });
    assert_eq!(given.collect::<Vec<_>>(), [3, 1], "bob has none yet");
    assert_eq!(wait_of(&decided, 2), REASON);
}

#[test]
fn no_machine_is_made_for_what_is_beyond_and_those_that_come_count() {
    let mut farm = capped(3, &[("alice", 1)]);
    farm.queue = (1..=5).map(|number| attempt(number, "alice")).collect();
    let decided = plan(&farm);
    assert_eq!(decided.pools[0].launches, 2);
    let told = decided
        .waits
        .iter()
        .filter(|wait| &*wait.reason == REASON)
        .count();
    assert_eq!(told, 3);
    assert_eq!(decided.waits[4].position, 5, "they keep their places");
    // Who has more than that by now keeps them.
    let mut farm = capped(3, &[("alice", 7)]);
    farm.queue = vec![attempt(1, "alice")];
    let decided = plan(&farm);
    assert_eq!((decided.pools[0].launches, wait_of(&decided, 1)), (0, REASON));
}

#[test]
fn builds_that_nothing_can_serve_keep_no_builder_from_others_of_their_owner() {
    let mut farm = capped(1, &[]);
    let stuck = QueuedAttempt {
        chroot: "other-1-s390x".parse().unwrap(),
        ..attempt(1, "alice")
    };
    farm.queue = vec![stuck, attempt(2, "alice")];
    let decided = plan(&farm);
    assert_eq!(decided.pools[0].launches, 1);
    assert_eq!(wait_of(&decided, 1), "no pool offers other-1-s390x");
}
