use std::{sync::Arc, time::Duration};

use model::{AttemptState, BuildId};
use runtime::CancellationToken;

use super::Worker;
use crate::{
    context::Context,
    fake::{FakeBuilder, verdict},
    session::VerdictWord,
    testing::Farm,
};

fn failing() -> FakeBuilder {
    FakeBuilder::new().with(|script| {
        script.verdict = verdict(VerdictWord::Failed, Some("package"), "no");
    })
}

async fn wait_for(farm: &Farm, build: BuildId, state: AttemptState) {
    let reached = async {
        while farm.store().attempts_of(build).await.unwrap()[0].state != state {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), reached)
        .await
        .expect("the state is reached");
}

#[tokio::test]
async fn a_worker_takes_up_offers_and_after_a_restart_what_it_drove_before() {
    let builder = failing().with(|script| script.over = false);
    let mut farm = Farm::start().await;
    farm.context.sessions = Arc::new(builder.clone());
    let build = farm.submit(farm.store_source()).await;
    farm.offer(build).await;
    let run = |context: Context| {
        let stop = CancellationToken::new();
        (tokio::spawn(Worker::new(context).run(stop.clone())), stop)
    };
    let (first, stop) = run(farm.context.clone());
    builder.called("follow 0").await;
    stop.cancel();
    first.await.unwrap().unwrap();
    let epoch = farm.store().attempts_of(build).await.unwrap()[0].epoch;
    assert_eq!(
        farm.store().attempts_of(build).await.unwrap()[0].state,
        AttemptState::Running
    );

    let (second, stop) = run(farm.context.clone());
    while farm.store().attempts_of(build).await.unwrap()[0].epoch == epoch {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    builder.script().over = true;
    wait_for(&farm, build, AttemptState::Failed).await;
    stop.cancel();
    second.await.unwrap().unwrap();
    let calls = builder.calls();
    assert_eq!(
        calls.iter().filter(|call| *call == "start").count(),
        1,
        "{calls:?}"
    );
}
