//! What the planner is told of pools: what their builders are made from, and how their clouds are.

use model::{
    ChrootDefinition, Drift, PoolName,
    plan::{CloudHealth, CloudTrouble, Snapshot},
};
use store::Chroot;

use super::{reuse::Packager, *};
use crate::snapshot;

fn chroot(name: &str, package: &str) -> Chroot {
    Chroot {
        name: name.parse().unwrap(),
        comment: String::new(),
        is_active: true,
        definition: ChrootDefinition {
            buildroot_packages: vec![package.to_owned()],
            ..ChrootDefinition::default()
        },
    }
}

/// Two pools, of which the second is for another architecture.
fn two_pools() -> String {
    let other = pool("arm", "max: 2", "a").replace("x86_64", "aarch64");
    format!("{}{other}", pool("x86", "max: 3", "a"))
}

#[tokio::test]
async fn a_pools_digest_changes_with_what_its_builders_are_made_from_and_with_nothing_else() {
    let mut farm = Farm::start(&two_pools()).await;
    let mut view = farm.controller.view().await.unwrap();
    view.chroots = vec![
        chroot("fedora-43-x86_64", "gcc"),
        chroot("fedora-43-aarch64", "gcc"),
    ];
    let context = Context::clone(&farm.controller.context);
    let name: PoolName = "x86".parse().unwrap();
    let first = context.recipe(&name, &view);
    assert_eq!(context.recipe(&name, &view), first);

    let with = |change: &dyn Fn(&mut FleetSpec)| {
        let mut changed = context.clone();
        let mut fleet = FleetSpec::clone(&context.fleet);
        change(&mut fleet);
        changed.fleet = Arc::new(fleet);
        changed.recipe(&name, &view)
    };
    let pool_of = |fleet: &mut FleetSpec, change: &dyn Fn(&mut model::fleet::PoolSpec)| {
        change(fleet.pools.get_mut(&name).unwrap());
    };
    let image = with(&|fleet| fleet.images.get_mut("builder").unwrap().id = Some("ami-2".to_owned()));
    let user = with(&|fleet| fleet.provision.get_mut("base").unwrap().connect.user = "admin".to_owned());
    let size = with(&|fleet| pool_of(fleet, &|pool| pool.size.max = 9));
    let types = with(&|fleet| pool_of(fleet, &|pool| pool.offerings.clear()));
    let disk = |text: &str| serde_json::from_str::<model::fleet::DiskSpec>(text).unwrap();
    let larger = with(&|fleet| pool_of(fleet, &|pool| pool.disk = Some(disk(r#"{"size": "9g"}"#))));
    let faster = with(&|fleet| {
        pool_of(fleet, &|pool| {
            pool.disk = Some(disk(r#"{"size": "9g", "type": "gp3"}"#))
        })
    });
    assert!(larger != first && faster != first && larger != faster);
    assert!(image != first && user != first && image != user);
    assert_eq!(
        (size, types),
        (first.clone(), first.clone()),
        "how many and where is nothing of a builder's"
    );

    view.chroots[1] = chroot("fedora-43-aarch64", "clang");
    assert_eq!(context.recipe(&name, &view), first, "it offers no such chroot");
    view.chroots[0].comment = "the latest".to_owned();
    assert_eq!(context.recipe(&name, &view), first);
    view.chroots[0] = chroot("fedora-43-x86_64", "clang");
    assert_ne!(context.recipe(&name, &view), first);
}

#[tokio::test]
async fn a_builder_is_outdated_as_soon_as_it_would_be_made_otherwise() {
    let mut farm = Farm::start(&pool("x86", "max: 3, idle: 1", "a")).await;
    farm.until_ready(1).await;
    let drift = |snapshot: &Snapshot| snapshot.builders[0].drift;
    let view = farm.controller.view().await.unwrap();
    assert_eq!(drift(&snapshot(&farm.controller.context, &view)), None);
    let mut context = Context::clone(&farm.controller.context);
    let mut fleet = FleetSpec::clone(&context.fleet);
    fleet.images.get_mut("builder").unwrap().id = Some("ami-2".to_owned());
    context.fleet = Arc::new(fleet);
    assert_eq!(drift(&snapshot(&context, &view)), Some(Drift::Image));
    // A controller that starts with that file replaces it, and is at rest then.
    farm.controller = Controller::new(context);
    farm.until("it is replaced", |_, cloud| cloud.instances().len() == 2)
        .await;
    farm.until_ready(1).await;
    assert_eq!(farm.builders().await[0].image, "ami-2");
    farm.pass(60).await;
    assert_eq!(farm.launches.len(), 2);
}

#[tokio::test]
async fn a_builder_is_replaced_when_its_pool_wants_another_disk() {
    let mut farm = Farm::start(&pool("x86", "max: 3, idle: 1", "a")).await;
    farm.cloud.add_image(images::image());
    farm.until_ready(1).await;
    let view = farm.controller.view().await.unwrap();
    let mut context = Context::clone(&farm.controller.context);
    let mut fleet = FleetSpec::clone(&context.fleet);
    let pool = fleet.pools.values_mut().next().unwrap();
    pool.disk = Some(serde_json::from_str(r#"{"size": "160g"}"#).unwrap());
    context.fleet = Arc::new(fleet);
    assert_eq!(snapshot(&context, &view).builders[0].drift, Some(Drift::Image));
    farm.controller = Controller::new(context);
    farm.until("it is replaced", |_, cloud| cloud.instances().len() == 2)
        .await;
    farm.until_ready(1).await;
    let sizes: Vec<_> = farm
        .cloud
        .asked()
        .iter()
        .map(|it| it.volumes[..].first().and_then(|it| it.size))
        .collect();
    assert_eq!(sizes, [None, Some(160)]);
}

#[tokio::test]
async fn a_chroot_that_is_added_gets_a_builder_and_the_others_go_on_while_a_few_at_a_time_are_replaced() {
    let mut farm = Farm::start(&pool("x86", "max: 40, idle: 30", "a")).await;
    let store = farm.controller.context.store.clone();
    let alice = Packager::new(&store, "alice").await;
    farm.until_ready(30).await;
    let first: Vec<_> = farm.builders().await.iter().map(|it| it.id).collect();

    let bob = Packager::for_chroot(&store, "bob", "microdistro-2-x86_64").await;
    let (of_new, of_old) = (bob.submit(&farm).await, alice.submit(&farm).await);
    farm.controller.round(&farm.lease).await.unwrap();
    let states = farm.states().await;
    let count = |state| states.iter().filter(|it| **it == state).count();
    // A tenth of thirty leaves, and one of them may be further already. Of the rest one is given away.
    let leave: usize = BuilderState::ENDING.into_iter().map(count).sum();
    assert_eq!((leave, count(BuilderState::Reserved)), (3, 1), "{states:?}");
    assert_eq!(count(BuilderState::Ready), 26, "{states:?}");
    let on = |attempts: Vec<store::Attempt>| attempts[0].builder;
    let old = on(store.attempts_of(of_old).await.unwrap()).unwrap();
    assert!(
        first.contains(&old),
        "the build of the other chroot has one that was there"
    );
    assert_eq!(on(store.attempts_of(of_new).await.unwrap()), None);

    reuse::until_assigned(&mut farm, of_new).await;
    let new = on(store.attempts_of(of_new).await.unwrap()).unwrap();
    assert!(!first.contains(&new), "it was made for the new chroot");
    // In the end nobody is of the old kind, and no build was cut.
    for _ in 0..300 {
        farm.settle().await;
        farm.run_instances();
        let builders = farm.builders().await;
        let ready = builders
            .iter()
            .filter(|it| it.state == BuilderState::Ready)
            .count();
        assert!(ready >= 24, "more than a few are missing: {ready}");
        if !builders
            .iter()
            .any(|it| first.contains(&it.id) && it.state != BuilderState::Reserved)
        {
            return;
        }
        farm.clock.advance(Duration::from_secs(1));
    }
    panic!("never replaced: {:?}", farm.states().await);
}

#[tokio::test]
async fn builders_of_an_older_farm_that_are_made_alike_go_on() {
    let mut farm = Farm::start(&pool("x86", "max: 3, idle: 1", "a")).await;
    farm.until_ready(1).await;
    let context = Arc::clone(&farm.controller.context);
    let mut view = farm.controller.view().await.unwrap();
    let (name, files) = ("x86".parse().unwrap(), context.provisioner.configuration_hash());
    let now = context.recipe(&name, &view);
    let parts: Vec<&str> = now.split([':', '.']).collect();
    let digest = |text: &str| hex::encode(<sha2::Sha256 as sha2::Digest>::digest(text));
    // As the first version of the text was made.
    let with_files = |files: &str| {
        format!(
            "v1:{}.{}.{}.{}",
            parts[1],
            parts[2],
            files.get(..16).unwrap(),
            digest("[]").get(..16).unwrap()
        )
    };
    for (made, drift) in [
        (with_files(files), None),
        (with_files(&"0".repeat(64)), Some(Drift::Programs)),
    ] {
        Arc::make_mut(&mut view.builders)[0].spec_hash = made;
        assert_eq!(snapshot(&context, &view).builders[0].drift, drift);
    }
}

#[tokio::test]
async fn a_pool_is_told_of_its_own_clouds_trouble_only() {
    let mut farm = Farm::start(&two_pools()).await;
    let mut context = Context::clone(&farm.controller.context);
    let mut fleet = FleetSpec::clone(&context.fleet);
    let mut far = fleet.images["builder"].clone();
    far.cloud = "far".to_owned();
    fleet.images.insert("far".to_owned(), far);
    let arm: PoolName = "arm".parse().unwrap();
    fleet.pools.get_mut(&arm).unwrap().image = Some("far".to_owned());
    context.fleet = Arc::new(fleet);
    let mut view = farm.controller.view().await.unwrap();
    let trouble = CloudTrouble {
        cloud: "far".to_owned(),
        since: NOW,
        reason: "no".to_owned(),
        detail: "no".to_owned(),
    };
    view.troubles = vec![trouble.clone()];
    let told = snapshot(&context, &view);
    let x86: PoolName = "x86".parse().unwrap();
    assert_eq!(told.pools[&x86].cloud, CloudHealth::Answers);
    assert_eq!(told.pools[&arm].cloud, CloudHealth::Away(trouble));
}

#[tokio::test]
async fn the_trouble_of_a_cloud_that_left_the_fleet_is_forgotten() {
    let mut farm = Farm::start(&pool("x86", "max: 3", "a")).await;
    let store = farm.controller.context.store.clone();
    for cloud in ["gone", "fake"] {
        let trouble = CloudTrouble {
            cloud: cloud.to_owned(),
            since: NOW,
            reason: "no".to_owned(),
            detail: "no".to_owned(),
        };
        let noted = store.set_cloud_trouble(&farm.lease, cloud, Some(&trouble), NOW);
        noted.await.unwrap();
    }
    farm.settle().await;
    assert_eq!(farm.troubles().await, [""; 0], "the other one answers by now");
}
