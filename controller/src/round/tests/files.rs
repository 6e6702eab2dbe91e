//! The fleet file changes while a controller leads.

use tokio::sync::watch;

use super::*;
use crate::{Files, News};

/// A farm whose files are read anew, and where what is read is put in.
async fn following(pools: &str) -> (Farm, watch::Sender<News>) {
    let mut farm = Farm::start(pools).await;
    let (sender, news) = watch::channel(News::default());
    let context = Context::clone(&farm.controller.context);
    farm.controller = Controller::new(context).following(news);
    (farm, sender)
}

/// The files of a farm with other pools.
fn with(farm: &Farm, pools: &str) -> Files {
    let context = &farm.controller.context;
    Files {
        fleet: Arc::new(fleet(pools)),
        clouds: context.clouds.clone(),
        provisioner: Arc::clone(&context.provisioner),
        reach: Arc::clone(&context.reach),
    }
}

async fn problem(farm: &Farm) -> Option<String> {
    let context = &farm.controller.context;
    let (fleet, now) = (context.fleet.fleet, context.clock.now());
    let condition = context.store.fleet_condition(Some(fleet), now).await.unwrap();
    condition.file.map(|file| file.words)
}

#[tokio::test]
async fn what_the_file_says_now_is_done_from_the_next_round_on() {
    let (mut farm, sender) = following(&pool("x86", "max: 3", "a")).await;
    farm.pass(30).await;
    assert_eq!(farm.builders().await.len(), 0);
    sender.send_modify(|news| news.note(Ok(with(&farm, &pool("x86", "max: 3, idle: 2", "a")))));
    farm.until_ready(2).await;
    assert_eq!(problem(&farm).await, None);
    // Of several changes since the last round the last one counts.
    for size in ["max: 3, idle: 3", "max: 3"] {
        sender.send_modify(|news| news.note(Ok(with(&farm, &pool("arm", size, "a")))));
    }
    farm.until("the pool that is gone is empty", |states, _| {
        states.iter().all(|state| state.is_final())
    })
    .await;
}

#[tokio::test]
async fn a_file_that_cannot_be_used_changes_nothing_and_is_told_of_until_it_is_mended() {
    let good = pool("x86", "max: 3, idle: 1", "a");
    let (mut farm, sender) = following(&good).await;
    farm.until_ready(1).await;
    sender.send_modify(|news| news.note(Err("fleet.yaml:3:9: a tab".to_owned())));
    farm.pass(30).await;
    assert_eq!(problem(&farm).await.as_deref(), Some("fleet.yaml:3:9: a tab"));
    assert_eq!(farm.states().await, [BuilderState::Ready]);
    // Nor is one that forgets the cloud in which a machine runs.
    let mut files = with(&farm, &good);
    let mut fleet = FleetSpec::clone(&files.fleet);
    fleet.clouds.clear();
    files.fleet = Arc::new(fleet);
    sender.send_modify(|news| news.note(Ok(files)));
    farm.pass(30).await;
    let words = problem(&farm).await.unwrap();
    assert!(
        words.starts_with("clouds.fake is gone, and 1 machine is left there"),
        "{words}"
    );
    assert!(farm.controller.context.fleet.clouds.contains_key("fake"));
    // Whoever leads anew tells of it again, and of its end.
    farm.controller.forget_everything().await;
    sender.send_modify(|news| news.note(Ok(with(&farm, &good))));
    farm.pass(1).await;
    assert_eq!(problem(&farm).await, None);
}

#[tokio::test]
async fn a_file_without_a_cloud_is_taken_up_when_the_last_machine_there_has_ended() {
    let (mut farm, sender) = following(&pool("x86", "max: 3, idle: 1", "a")).await;
    farm.until_ready(1).await;
    let machine = farm.cloud.instances()[0].id.clone();
    let refusal = cloud::Error::Refused {
        code: "UnauthorizedOperation".to_owned(),
        message: String::new(),
    };
    farm.cloud.protect(&machine, Some(refusal));
    sender.send_modify(|news| news.note(Ok(with(&farm, &pool("x86", "max: 0", "a")))));
    farm.pass(700).await;
    assert_eq!(farm.states().await, [BuilderState::Terminating]);

    let mut files = with(&farm, &pool("x86", "max: 0", "a"));
    let mut fleet = FleetSpec::clone(&files.fleet);
    fleet.clouds.clear();
    (files.fleet, files.clouds) = (Arc::new(fleet), BTreeMap::new());
    sender.send_modify(|news| news.note(Ok(files)));
    farm.pass(30).await;
    assert!(problem(&farm).await.is_some());
    farm.cloud.protect(&machine, None);
    farm.until("nothing is left", |states, _| states.is_empty()).await;
    farm.pass(30).await;
    assert_eq!(problem(&farm).await, None);
    assert!(farm.controller.context.fleet.clouds.is_empty());
}
