use std::{sync::Arc, time::Duration};

use runtime::{CancellationToken, clock};
use store::EventFilter;

use super::run;
use crate::testing::Farm;

async fn until(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let began = tokio::time::Instant::now();
    while !so().await {
        assert!(began.elapsed() < Duration::from_secs(30), "it never came: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn the_rows_of_a_project_go_when_it_is_deleted_and_what_happened_long_ago_goes_at_the_first_look() {
    let farm = Farm::start().await;
    let store = farm.store().clone();
    let build = farm.submit(farm.store_source()).await;
    store
        .cancel_build(build, "user:alice", clock::now())
        .await
        .unwrap();
    let events = async || store.events(EventFilter::default(), 10).await.unwrap().len();
    assert_ne!(events().await, 0);
    let mut context = farm.context.clone();
    context.keep_history = Duration::ZERO;
    let stop = CancellationToken::new();
    let running = tokio::spawn(run(Arc::new(context), stop.clone()));
    until("what happened is forgotten", async || events().await == 0).await;

    store.delete_project(farm.project.id, clock::now()).await.unwrap();
    assert_eq!(store.projects_to_clear().await.unwrap(), [farm.project.id]);
    until("its rows are gone", async || {
        store.projects_to_clear().await.unwrap().is_empty()
    })
    .await;
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn a_loop_that_is_told_to_stop_leaves_the_rest_to_the_next() {
    let farm = Farm::start().await;
    let store = farm.store().clone();
    store.delete_project(farm.project.id, clock::now()).await.unwrap();
    let stop = CancellationToken::new();
    stop.cancel();
    run(Arc::new(farm.context.clone()), stop).await;
    assert_eq!(store.projects_to_clear().await.unwrap(), [farm.project.id]);
}
