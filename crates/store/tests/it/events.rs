//! Events: what happened, in an order that a reader can go on in.

use std::{collections::BTreeSet, time::Duration};

use model::{BuilderState, Timestamp};
use store::{EventFilter, NewUser, Store};

use crate::{
    farm::{CHROOT, Farm, because},
    support::at,
};

on_both_databases!(
    a_reader_goes_on_after_the_last_number,
    events_are_told_by_build_and_by_builder,
    an_operation_that_is_refused_tells_nothing,
    a_reader_misses_nothing_while_many_write,
    a_reader_misses_nothing_that_is_written_slowly,
);

async fn a_reader_goes_on_after_the_last_number(farm: Farm) {
    farm.published_build().await;
    let all = farm.events(EventFilter::default()).await;
    assert!(all.len() > 20, "{}", all.len());
    assert!(all.is_sorted_by(|left, right| left.id < right.id));
    for size in [1, 3, 7] {
        let mut read = Vec::new();
        let mut after_id = None;
        loop {
            let filter = EventFilter {
                after_id,
                ..EventFilter::default()
            };
            let page = farm.store.events(filter, size).await.unwrap();
            assert!(page.len() <= usize::try_from(size).unwrap());
            let Some(last) = page.last() else { break };
            after_id = Some(last.id);
            read.extend(page);
        }
        assert_eq!(read, all, "pages of {size}");
    }
    assert_eq!(farm.store.events(EventFilter::default(), 0).await.unwrap(), []);
    assert_eq!(farm.events_after(Some(i64::MAX)).await, []);
}

async fn events_are_told_by_build_and_by_builder(farm: Farm) {
    let (id, other) = (farm.submit().await.id, farm.submit().await.id);
    farm.collect(id).await;
    farm.publish(CHROOT).await;
    farm.begin(other).await;
    let builder = farm.store.attempts_of(id).await.unwrap()[0].builder;
    let all = farm.events(EventFilter::default()).await;
    for filter in [
        EventFilter {
            build: Some(id),
            ..EventFilter::default()
        },
        EventFilter {
            builder,
            ..EventFilter::default()
        },
        EventFilter {
            build: Some(id),
            builder,
            ..EventFilter::default()
        },
    ] {
        let is_it = |event: &&store::Event| {
            (filter.build.is_none() || event.build == filter.build)
                && (filter.builder.is_none() || event.builder == filter.builder)
        };
        let expected: Vec<_> = all.iter().filter(is_it).cloned().collect();
        assert!(expected.len() > 2 && expected.len() < all.len(), "{filter:?}");
        assert_eq!(farm.events(filter).await, expected);
        let after = EventFilter {
            after_id: Some(expected[1].id),
            ..filter
        };
        assert_eq!(farm.events(after).await, expected[2..]);
    }
}

async fn an_operation_that_is_refused_tells_nothing(farm: Farm) {
    let builder = farm.ready_builder().await;
    farm.go(&builder, BuilderState::Draining).await;
    let before = farm.last_event().await;
    let late = farm
        .store
        .transition(&farm.lease, &builder, BuilderState::Held, &because("late"), at(9))
        .await;
    assert!(late.is_err());
    assert!(
        farm.store
            .create_chroots(&[crate::farm::new_chroot(CHROOT)], at(9))
            .await
            .is_err()
    );
    assert!(
        farm.store
            .create_project(&farm.new_project("tools"), at(9))
            .await
            .is_err()
    );
    assert_eq!(farm.last_event().await, before);
}

async fn make_user(store: &Store, name: &str, now: Timestamp) {
    let new = NewUser {
        name: name.parse().unwrap(),
        is_operator: false,
    };
    store.create_user(&new, now).await.unwrap();
}

/// Reads as a client does, which never looks back, until it has seen what it waits for.
async fn follow(farm: &Farm, mut after_id: Option<i64>, awaited: &BTreeSet<String>) -> Vec<String> {
    let mut seen = Vec::new();
    let mut missing = awaited.clone();
    while !missing.is_empty() {
        let events = farm.events_after(after_id).await;
        if events.is_empty() {
            tokio::task::yield_now().await;
        }
        for event in events {
            assert!(Some(event.id) > after_id);
            after_id = Some(event.id);
            missing.remove(&event.subject_id);
            seen.push(event.subject_id);
        }
    }
    seen
}

async fn a_reader_misses_nothing_while_many_write(farm: Farm) {
    let before = farm.last_event().await;
    let names: BTreeSet<String> = (0..4)
        .flat_map(|w| (0..25).map(move |n| format!("user-{w}-{n}")))
        .collect();
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..4 {
        let store = farm.database.connect().await;
        writers.spawn(async move {
            for number in 0..25 {
                make_user(&store, &format!("user-{writer}-{number}"), at(1)).await;
            }
        });
    }
    let reading = tokio::time::timeout(Duration::from_secs(60), follow(&farm, before, &names));
    let seen = reading.await.expect("the reader misses an event");
    writers.join_all().await;
    assert_eq!(seen.len(), names.len(), "each is told once");
}

/// A transaction that has to wait in its middle, while another one begins and ends.
async fn a_reader_misses_nothing_that_is_written_slowly(farm: Farm) {
    let build = farm.submit().await.id;
    let (attempt, builder) = (farm.open_attempt(build).await.id, farm.ready_builder().await);
    let before = farm.last_event().await;
    let (store, lease) = (farm.database.connect().await, farm.lease);
    let slow = async move {
        store
            .assign(&lease, attempt, &builder, at(60), at(3))
            .await
            .unwrap()
    };
    let raw = farm.raw().await;
    if raw.is_postgres() {
        let in_the_way = raw.begin().await;
        let lock = format!("SELECT 1 FROM build_chroot WHERE build = {build} FOR UPDATE");
        in_the_way.execute(&lock).await;
        let slow = tokio::spawn(slow);
        // By now it has something to tell of builder and attempt, and waits for the chroot's row.
        raw.wait_until_somebody_waits_for_a_lock().await;
        make_user(&farm.store, "quick", at(2)).await;
        let first = farm.events_after(before).await;
        assert_eq!(first.len(), 1, "what has not ended is not told");
        in_the_way.commit().await;
        slow.await.unwrap();
    } else {
        // SQLite has one writer at a time, so that there is no middle.
        make_user(&farm.store, "quick", at(2)).await;
        slow.await;
    }
    let events = farm.events_after(before).await;
    let kinds: Vec<_> = events.iter().map(|event| event.subject_kind.as_str()).collect();
    assert_eq!(kinds, ["user", "builder", "attempt", "build"]);
}
