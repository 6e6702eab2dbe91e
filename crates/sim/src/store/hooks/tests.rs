use model::{BuilderState, fleet::OnFailure, step::Move};

use super::*;
use crate::{guards::Guards, setting::hook, store::Builder};

const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);
const POINT: HookPoint = HookPoint::BeforeSpawn;

/// A builder with two hooks before its launch.
fn store() -> (Store, i64, Builder) {
    let mut store = Store::new(Guards::default());
    let lease = store.acquire(1, NOW).unwrap();
    let id = BuilderId(store.new_id());
    let made = (crate::setting::word("main"), "near", "v1:1.1.1.1".to_owned());
    let row = Builder::planned(id, made, "wanted".to_owned(), (NOW, NOW));
    store.plan_builder(lease, row.clone(), None).unwrap();
    let spec = Arc::new(hook(OnFailure::Retry, 3, 10));
    let hooks = [(0, Arc::clone(&spec)), (1, spec)];
    store.begin_hooks(lease, (id, POINT), &hooks, NOW).unwrap();
    (store, lease, row)
}

fn runs(store: &Store, row: &Builder) -> Vec<HookRun> {
    store.hooks_at((row.id, POINT)).cloned().collect()
}

#[test]
fn hooks_of_a_turn_are_written_down_once() {
    let (mut store, lease, row) = store();
    let spec = Arc::new(hook(OnFailure::Ignore, 1, 10));
    let more = [(7, spec)];
    store.begin_hooks(lease, (row.id, POINT), &more, NOW).unwrap();
    let places: Vec<u32> = runs(&store, &row).iter().map(|it| it.place).collect();
    assert_eq!(places, [0, 1]);
    let lost = store.begin_hooks(lease + 1, (row.id, POINT), &more, NOW);
    assert_eq!(lost, Err(Stop::LeaseLost));
}

#[test]
fn a_try_that_was_interrupted_keeps_its_number_and_the_next_one_has_another() {
    let (mut store, lease, row) = store();
    let run = runs(&store, &row).remove(0);
    let first = store.start_hook(lease, &run).unwrap();
    assert_eq!((first.attempt, first.state), (1, HookState::Running));
    assert_eq!(
        store.start_hook(lease, &run).unwrap_err(),
        Stop::Conflict,
        "an older look"
    );
    let again = store.start_hook(lease, &first).unwrap();
    assert_eq!((again.attempt, again.begun, again.ended), (1, 2, 0));
    let later = NOW.plus(std::time::Duration::from_secs(1));
    let came = (HookState::Waiting, Some(later));
    let waits = store.end_hook(lease, &again, came).unwrap();
    assert_eq!((waits.ended, waits.due_at), (1, later));
    assert_eq!(store.start_hook(lease, &waits).unwrap().attempt, 2);
    assert_eq!(store.end_hook(lease, &waits, came).unwrap_err(), Stop::Conflict);
    assert_eq!(store.start_hook(lease + 1, &waits).unwrap_err(), Stop::LeaseLost);
}

#[test]
fn of_a_builder_that_has_ended_hooks_are_kept_until_all_are_over() {
    let (mut store, lease, row) = store();
    let [first, second] = <[HookRun; 2]>::try_from(runs(&store, &row)).unwrap();
    store.end_hook(lease, &first, (HookState::Skipped, None)).unwrap();
    assert_eq!(runs(&store, &row).len(), 2, "it lives");
    let step = Move::new(BuilderState::Abandoned, "a test");
    store.transition(lease, &row, (step, None), NOW).unwrap();
    assert_eq!(runs(&store, &row).len(), 2, "one of them is open");
    let late = store.end_hook(lease, &second, (HookState::Late, None)).unwrap();
    assert_eq!(late.ended, 0, "it was never tried");
    assert!(runs(&store, &row).is_empty());
}
