//! Images that the fleet file names by what matches: the newest one is used, and what is made from an older one is replaced.

use cloud::{Cloud as _, Image, ImageState};
use model::plan::Plan;

use super::*;
use crate::files::Files;

/// Seconds between two questions for an image.
const ASK_EVERY: u64 = 300;

impl Farm {
    /// A farm of which one pool has one builder ready, from the newest image of the name.
    async fn selecting(select: &str) -> Self {
        let mut farm = Self::start(&pool("x86", "max: 3, idle: 1", "a")).await;
        farm.say(select);
        farm
    }

    /// A controller that starts with a file in which the image is selected so.
    fn say(&mut self, select: &str) {
        let mut context = Context::clone(&self.controller.context);
        context.fleet = Arc::new(with_select(&context.fleet, select));
        self.controller = Controller::new(context);
    }

    /// Adds an image that was made so many seconds after the beginning.
    fn bake(&self, id: &str, name: &str, second: u64) {
        self.cloud.add_image(Image {
            id: id.to_owned(),
            name: name.to_owned(),
            created: Some(NOW.plus(Duration::from_secs(second)).to_string()),
            ..images::image()
        });
    }

    /// The images of the builders that there are.
    async fn in_use(&self) -> Vec<String> {
        self.builders().await.into_iter().map(|it| it.image).collect()
    }

    async fn plan(&mut self) -> Plan {
        let view = self.controller.view().await.unwrap();
        plan::plan(&snapshot_with(
            &self.controller.context,
            &view,
            &self.controller.clouds.health(),
        ))
    }
}

fn with_select(fleet: &FleetSpec, select: &str) -> FleetSpec {
    let mut fleet = FleetSpec::clone(fleet);
    let image = fleet.images.get_mut("builder").unwrap();
    image.id = None;
    image.select = Some(runtime::yaml::parse(select, "select").unwrap());
    fleet
}

const OWN: &str = "{owner: self, name: \"b-*\"}";

#[tokio::test]
async fn a_newer_image_is_taken_up_and_the_builders_are_replaced_in_turn() {
    let mut farm = Farm::selecting(OWN).await;
    farm.bake("ami-1", "b-1", 0);
    farm.bake("ami-7", "other", 9);
    farm.until_ready(1).await;
    assert_eq!(
        (farm.in_use().await, farm.cloud.image_lists()),
        (vec!["ami-1".to_owned()], 1)
    );
    // Nothing is asked for more often.
    farm.bake("ami-2", "b-2", 60);
    farm.pass(ASK_EVERY - 10).await;
    assert_eq!(
        (farm.in_use().await, farm.cloud.image_lists()),
        (vec!["ami-1".to_owned()], 1)
    );
    farm.until("it is replaced", |_, cloud| cloud.instances().len() == 2)
        .await;
    farm.until_ready(1).await;
    assert_eq!(farm.in_use().await, ["ami-2"]);
    assert!(farm.seconds() < ASK_EVERY + 60, "{}", farm.seconds());
    // What is as new as ever changes nothing.
    farm.pass(ASK_EVERY + 10).await;
    assert_eq!(
        (farm.in_use().await, farm.launches.len()),
        (vec!["ami-2".to_owned()], 2)
    );
    // The newest one goes away: the one before takes its place.
    farm.cloud.delete_image("ami-2").await.unwrap();
    farm.until("it is replaced", |_, cloud| cloud.instances().len() == 3)
        .await;
    farm.until_ready(1).await;
    assert_eq!(farm.in_use().await, ["ami-1"]);
}

#[tokio::test]
async fn an_image_is_used_when_it_is_old_enough_and_available() {
    let mut farm = Farm::selecting("{owner: self, name: \"b-*\", min_age: 10m}").await;
    farm.bake("ami-1", "b-1", 0);
    farm.cloud.add_image(Image {
        id: "ami-2".to_owned(),
        name: "b-2".to_owned(),
        state: ImageState::Pending,
        created: Some(NOW.minus(Duration::from_secs(9999)).to_string()),
        ..images::image()
    });
    farm.pass(580).await;
    assert!(farm.builders().await.is_empty());
    farm.until_ready(1).await;
    assert_eq!(farm.in_use().await, ["ami-1"]);
}

#[tokio::test]
async fn without_a_choice_nothing_is_launched_and_it_is_told_why_until_there_is_one() {
    let mut farm = Farm::selecting(OWN).await;
    // Whatever a cloud has of others.
    farm.bake("ami-1", "c-1", 0);
    farm.cloud.hide_images(Some(unclear()));
    farm.pass(5).await;
    assert!(farm.builders().await.is_empty());
    let note = farm.plan().await.pools[0].note.clone();
    assert!(note.starts_with("images.builder.select: cloud fake: "), "{note}");
    assert!(note.contains("it did not answer in time"), "{note}");
    farm.cloud.hide_images(None);
    farm.pass(40).await;
    assert_eq!(
        farm.plan().await.pools[0].note,
        "no image matches images.builder.select"
    );
    assert!(farm.builders().await.is_empty());
    farm.bake("ami-2", "b-1", 0);
    farm.until_ready(1).await;
    assert_eq!(farm.in_use().await, ["ami-2"]);
    assert_eq!(farm.plan().await.pools[0].note, "as wanted");
}

#[tokio::test]
async fn what_was_chosen_stays_while_a_cloud_fails_and_for_who_leads_next() {
    let mut farm = Farm::selecting(OWN).await;
    farm.bake("ami-1", "b-1", 0);
    farm.until_ready(1).await;
    for (error, gone) in [(Some(refused("UnauthorizedOperation")), false), (None, true)] {
        farm.cloud.hide_images(error);
        if gone {
            farm.cloud.delete_image("ami-1").await.unwrap();
        }
        // A controller that starts anew has asked nobody.
        farm.controller = Controller::new(Context::clone(&farm.controller.context));
        farm.pass(ASK_EVERY + 40).await;
        assert_eq!(
            (farm.in_use().await, farm.launches.len()),
            (vec!["ami-1".to_owned()], 1)
        );
        assert_eq!(farm.states().await, [BuilderState::Ready]);
        assert_eq!(farm.plan().await.pools[0].note, "as wanted");
    }
    let choices = farm
        .controller
        .context
        .store
        .image_choices(farm.lease.fleet)
        .await
        .unwrap();
    let failure = choices["builder"].failure.as_deref();
    assert_eq!(failure, Some("no image matches images.builder.select"));
}

#[tokio::test]
async fn a_file_that_selects_what_it_named_before_replaces_nothing_and_asks_at_once() {
    let mut farm = Farm::start(&pool("x86", "max: 3, idle: 1", "a")).await;
    farm.until_ready(1).await;
    let context = Context::clone(&farm.controller.context);
    let (news, reader) = tokio::sync::watch::channel(crate::News::default());
    farm.controller = Controller::new(context.clone()).following(reader);
    farm.settle().await;
    let put = |select: &str| {
        let files = Files {
            fleet: Arc::new(with_select(&context.fleet, select)),
            clouds: context.clouds.clone(),
            provisioner: Arc::clone(&context.provisioner),
            reach: Arc::clone(&context.reach),
        };
        news.send_modify(|news| news.note(Ok(files)));
    };
    // While nobody knows which image it is, no builder is of another one.
    farm.cloud.hide_images(Some(unreachable()));
    put(OWN);
    farm.pass(20).await;
    assert_eq!(
        (farm.states().await, farm.launches.len()),
        (vec![BuilderState::Ready], 1)
    );
    farm.cloud.hide_images(None);
    farm.bake("ami-1", "b-1", 0);
    farm.bake("ami-2", "c-1", 0);
    farm.pass(40).await;
    assert_eq!(
        (farm.in_use().await, farm.launches.len()),
        (vec!["ami-1".to_owned()], 1)
    );
    // Another file is asked for at once, and what was chosen for the one before counts no more.
    let changed = farm.seconds();
    put("{owner: self, name: \"c-*\"}");
    farm.until("it is replaced", |_, cloud| cloud.instances().len() == 2)
        .await;
    farm.until_ready(1).await;
    assert_eq!(farm.in_use().await, ["ami-2"]);
    assert!(farm.seconds() < changed + 60, "{changed}, {}", farm.seconds());
}

#[tokio::test]
async fn a_list_that_lacks_the_image_in_use_changes_nothing_while_the_cloud_has_that_image() {
    let mut farm = Farm::selecting(OWN).await;
    farm.bake("ami-1", "b-1", 0);
    farm.bake("ami-2", "b-2", 1);
    farm.until_ready(1).await;
    let lists = farm.cloud.image_lists();
    farm.cloud.unlist_images(&["ami-2"]);
    farm.pass(2 * ASK_EVERY + 20).await;
    assert_eq!(farm.cloud.image_lists(), lists + 2);
    assert_eq!(
        (farm.in_use().await, farm.launches.len()),
        (vec!["ami-2".to_owned()], 1)
    );
    // Nor does a list without any image count as a failure.
    farm.cloud.unlist_images(&["ami-1", "ami-2"]);
    farm.pass(ASK_EVERY).await;
    let store = &farm.controller.context.store;
    let choice = store
        .image_choices(farm.lease.fleet)
        .await
        .unwrap()
        .remove("builder");
    let choice = choice.unwrap();
    assert_eq!(
        (choice.chosen.unwrap().id.as_str(), choice.failure),
        ("ami-2", None)
    );
    // A newer one is taken from a list that lacks the one in use.
    farm.cloud.unlist_images(&["ami-2"]);
    farm.bake("ami-3", "b-3", 2);
    farm.until("it is replaced", |_, cloud| cloud.instances().len() == 2)
        .await;
    farm.until_ready(1).await;
    assert_eq!(farm.in_use().await, ["ami-3"]);
    // One that its owner shares no more is gone for this account.
    farm.cloud.unlist_images(&[]);
    farm.cloud.withhold_images(&["ami-3"]);
    farm.until("it is replaced", |_, cloud| cloud.instances().len() == 3)
        .await;
    farm.until_ready(1).await;
    assert_eq!(farm.in_use().await, ["ami-2"]);
}

#[tokio::test]
async fn a_cloud_that_has_moved_is_asked_anew_and_what_it_had_before_is_not_used() {
    let mut farm = Farm::selecting(OWN).await;
    farm.bake("ami-1", "b-1", 0);
    farm.until_ready(1).await;
    let mut context = Context::clone(&farm.controller.context);
    let mut fleet = FleetSpec::clone(&context.fleet);
    for cloud in fleet.clouds.values_mut() {
        cloud.region = "elsewhere".to_owned();
    }
    context.fleet = Arc::new(fleet);
    farm.controller = Controller::new(context);
    // The same name, another id: what is in use says nothing of the new place.
    farm.cloud.unlist_images(&["ami-1"]);
    farm.bake("ami-0", "b-0", 0);
    farm.until("it is replaced", |_, cloud| cloud.instances().len() == 2)
        .await;
    farm.until_ready(1).await;
    assert_eq!(farm.in_use().await, ["ami-0"]);
}
