//! The fleet file changes while a controller leads.

use std::sync::atomic::{AtomicBool, Ordering};

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
    // Nor is one that looks for a machine elsewhere.
    let mut files = with(&farm, &good);
    let mut fleet = FleetSpec::clone(&files.fleet);
    fleet.clouds.get_mut("fake").unwrap().region = "q".to_owned();
    files.fleet = Arc::new(fleet);
    sender.send_modify(|news| news.note(Ok(files)));
    farm.pass(30).await;
    let words = problem(&farm).await.unwrap();
    assert!(
        words.starts_with("clouds.fake.region was `r` and is `q`, and 1 machine is left there"),
        "{words}"
    );
    assert_eq!(farm.controller.context.fleet.clouds["fake"].region, "r");
    // Whoever leads anew tells of it again, and of its end.
    farm.controller.forget_everything().await;
    sender.send_modify(|news| news.note(Ok(with(&farm, &good))));
    farm.pass(1).await;
    assert_eq!(problem(&farm).await, None);
}

/// Files without any cloud, image and pool.
fn without_clouds(farm: &Farm) -> Files {
    let mut files = with(farm, &pool("x86", "max: 0", "a"));
    let mut fleet = FleetSpec::clone(&files.fleet);
    (fleet.clouds, fleet.images, fleet.pools) = Default::default();
    files.fleet = Arc::new(fleet);
    files.clouds.remove("fake");
    files
}

/// The clouds of the fleet in force, as the database has it.
async fn clouds_on_record(farm: &Farm) -> Vec<String> {
    let context = &farm.controller.context;
    let spec = context.store.fleet_file(Some(context.fleet.fleet)).await.unwrap();
    let spec: FleetSpec = serde_json::from_value(spec.unwrap()).unwrap();
    spec.clouds.into_keys().collect()
}

#[tokio::test]
async fn a_cloud_that_is_gone_from_the_file_is_kept_until_its_last_machine_has_ended() {
    let (mut farm, sender) = following(&pool("x86", "max: 3, idle: 1", "a")).await;
    farm.until_ready(1).await;
    let machine = farm.cloud.instances()[0].id.clone();
    let refusal = cloud::Error::Refused {
        code: "UnauthorizedOperation".to_owned(),
        message: String::new(),
    };
    farm.cloud.protect(&machine, Some(refusal));
    sender.send_modify(|news| news.note(Ok(without_clouds(&farm))));
    farm.pass(700).await;
    assert_eq!(farm.states().await, [BuilderState::Terminating]);
    assert_eq!(problem(&farm).await, None, "the file is in force");
    assert!(farm.controller.context.fleet.pools.is_empty());
    assert_eq!(clouds_on_record(&farm).await, ["fake"]);

    // Another controller, which begins with the file as it stands, gets a client by what is on record.
    let mut context = Context::clone(&farm.controller.context);
    let files = without_clouds(&farm);
    (context.fleet, context.clouds) = (files.fleet, files.clouds);
    farm.controller = Controller::new(context);
    assert_eq!(farm.controller.settle_on_files(&farm.lease).await.unwrap(), None);
    assert_eq!(clouds_on_record(&farm).await, ["fake"]);
    farm.cloud.protect(&machine, None);
    farm.until("nothing is left", |states, _| {
        states.iter().all(|state| state.is_final())
    })
    .await;
    farm.pass(30).await;
    assert_eq!(farm.cloud.instances()[0].state, InstanceState::Terminated);
    assert!(farm.controller.context.fleet.clouds.is_empty(), "it is let go");
    assert!(!farm.controller.context.clouds.contains_key("fake"));
    assert_eq!(clouds_on_record(&farm).await, [""; 0]);
}

/// A farm whose clients are made only while an access key can be read, as `true` in the second says.
async fn with_a_key(pools: &str) -> (Farm, Arc<AtomicBool>, watch::Sender<News>) {
    let (mut farm, sender) = following(pools).await;
    let key = Arc::new(AtomicBool::new(true));
    let mut context = Context::clone(&farm.controller.context);
    context.clients = crate::Clients::new({
        let (cloud, key) = (Arc::clone(&farm.cloud), Arc::clone(&key));
        move |_, _| match key.load(Ordering::Relaxed) {
            true => Ok(Arc::clone(&cloud) as Arc<dyn cloud::Cloud>),
            false => Err("there is no file key.toml".to_owned()),
        }
    });
    farm.controller = Controller::new(context).following(sender.subscribe());
    (farm, key, sender)
}

/// For one, the file with its access key was removed together with it.
#[tokio::test]
async fn a_cloud_whose_key_went_with_it_is_asked_with_the_client_that_there_is() {
    let (mut farm, key, sender) = with_a_key(&pool("x86", "max: 3, idle: 1", "a")).await;
    farm.until_ready(1).await;
    let machine = farm.cloud.instances()[0].id.clone();
    let code = "UnauthorizedOperation".to_owned();
    let message = String::new();
    farm.cloud
        .protect(&machine, Some(cloud::Error::Refused { code, message }));
    key.store(false, Ordering::Relaxed);
    // Also when the file is changed again while the machine is there, and when another had led meanwhile.
    for name in ["one", "two"] {
        let mut files = without_clouds(&farm);
        let mut fleet = FleetSpec::clone(&files.fleet);
        name.clone_into(&mut fleet.name);
        files.fleet = Arc::new(fleet);
        sender.send_modify(|news| news.note(Ok(files)));
        if name == "two" {
            farm.controller.forget_everything().await;
            assert_eq!(farm.controller.settle_on_files(&farm.lease).await.unwrap(), None);
        }
        farm.pass(60).await;
        assert_eq!(problem(&farm).await, None, "{name}");
        assert_eq!(farm.controller.context.fleet.name, name);
        assert_eq!(farm.states().await, [BuilderState::Terminating], "{name}");
        assert_eq!(troubles(&farm).await, [""; 0], "{name}: it answers");
    }
    farm.cloud.protect(&machine, None);
    farm.pass(60).await;
    assert_eq!(farm.cloud.instances()[0].state, InstanceState::Terminated);
    assert_eq!(clouds_on_record(&farm).await, [""; 0]);
}

/// What is told of the clouds that give no machines, for operators.
async fn troubles(farm: &Farm) -> Vec<String> {
    let context = &farm.controller.context;
    let (fleet, now) = (context.fleet.fleet, context.clock.now());
    let condition = context.store.fleet_condition(Some(fleet), now).await.unwrap();
    condition.clouds.into_iter().map(|it| it.detail).collect()
}

#[tokio::test]
async fn without_any_client_a_kept_cloud_is_away_until_its_key_can_be_read_and_the_rest_goes_on() {
    let (mut farm, key, _) = with_a_key(&pool("x86", "max: 3, idle: 1", "a")).await;
    farm.until_ready(1).await;
    key.store(false, Ordering::Relaxed);
    let mut context = Context::clone(&farm.controller.context);
    let mut fleet = fleet(&pool("arm", "max: 3, idle: 1", "a"));
    let mut there = fleet.clouds.remove("fake").unwrap();
    there.region = "q".to_owned();
    fleet.clouds.insert("other".to_owned(), there);
    fleet.images.get_mut("builder").unwrap().cloud = "other".to_owned();
    let other = Arc::new(FakeCloud::default());
    context.clouds.remove("fake");
    context
        .clouds
        .insert("other".to_owned(), Arc::clone(&other) as Arc<dyn cloud::Cloud>);
    context.fleet = Arc::new(fleet);
    farm.controller = Controller::new(context);
    assert_eq!(farm.controller.settle_on_files(&farm.lease).await.unwrap(), None);
    for _ in 0..2 {
        farm.pass(15).await;
        for instance in other.instances() {
            other.set_state(&instance.id, InstanceState::Running);
        }
    }
    farm.pass(60).await;
    assert_eq!(problem(&farm).await, None);
    let builders = farm.builders().await;
    let states: BTreeMap<&str, _> = builders.iter().map(|it| (it.cloud.as_str(), it.state)).collect();
    let expected = [
        ("fake", BuilderState::Terminating),
        ("other", BuilderState::Ready),
    ];
    assert_eq!(states, BTreeMap::from(expected));
    assert_eq!(
        troubles(&farm).await,
        [
            "the farm has no access to the cloud: clouds.fake is no longer in fleet.yaml, and machines are left there: there is no file \
             key.toml. Put its access key back where it was: it is used as soon as it can be read"
        ]
    );
    assert_eq!(farm.cloud.terminated(), [""; 0]);
    key.store(true, Ordering::Relaxed);
    farm.pass(120).await;
    assert_eq!(farm.cloud.instances()[0].state, InstanceState::Terminated);
    assert_eq!(clouds_on_record(&farm).await, ["other"]);
    assert_eq!(troubles(&farm).await, [""; 0]);
}

/// An instance with the fleet's tag that no builder has is ended after two minutes, also where nothing else is left.
#[tokio::test]
async fn a_cloud_is_kept_while_a_machine_is_there_that_no_builder_has() {
    let (mut farm, sender) = following(&pool("x86", "max: 3", "a")).await;
    farm.cloud.add(clouds::orphan(&farm));
    farm.pass(60).await;
    sender.send_modify(|news| news.note(Ok(without_clouds(&farm))));
    farm.pass(30).await;
    assert_eq!(clouds_on_record(&farm).await, ["fake"]);
    // Written back elsewhere it would be forgotten.
    let mut moved = with(&farm, &pool("x86", "max: 0", "a"));
    let mut fleet = FleetSpec::clone(&moved.fleet);
    fleet.clouds.get_mut("fake").unwrap().region = "q".to_owned();
    moved.fleet = Arc::new(fleet);
    sender.send_modify(|news| news.note(Ok(moved)));
    farm.pass(5).await;
    let words = problem(&farm).await.unwrap();
    assert!(
        words.starts_with("clouds.fake.region was `r` and is `q`, and 1 machine is left there"),
        "{words}"
    );
    sender.send_modify(|news| news.note(Ok(without_clouds(&farm))));
    farm.pass(700).await;
    assert_eq!(farm.cloud.terminated().len(), 1);
    assert_eq!(clouds_on_record(&farm).await, [""; 0]);
}

/// It was planned for a cloud that the pool has left since, and waits for its turn.
#[tokio::test]
async fn a_builder_that_is_planned_where_its_pool_is_no_more_is_not_launched() {
    let (mut farm, sender) = following(&pool("x86", "max: 2, idle: 1", "a")).await;
    let code = "RequestLimitExceeded".to_owned();
    farm.cloud
        .refuse_type("a", Some(cloud::Error::Throttled { code }));
    farm.pass(3).await;
    assert_eq!(farm.states().await, [BuilderState::Planned]);
    let asked = farm.cloud.asked().len();
    let mut files = with(&farm, &pool("x86", "max: 2, idle: 1", "a"));
    let mut fleet = FleetSpec::clone(&files.fleet);
    let there = fleet.clouds["fake"].clone();
    fleet.clouds.insert("other".to_owned(), there);
    fleet.images.get_mut("builder").unwrap().cloud = "other".to_owned();
    files.fleet = Arc::new(fleet);
    files
        .clouds
        .insert("other".to_owned(), Arc::new(FakeCloud::default()));
    sender.send_modify(|news| news.note(Ok(files)));
    farm.cloud.refuse_type("a", None);
    farm.pass(60).await;
    assert_eq!(
        farm.cloud.asked().len(),
        asked,
        "nothing is asked of the cloud that it left"
    );
    let left = farm.builders().await;
    assert!(left.iter().all(|it| it.cloud == "other"), "{left:?}");
}
