//! Builders from images: what their image was made by is not done on them once more.

use cloud::{Image, ImageState, PLAYBOOK_TAG, Volume};

use super::*;
use crate::{playbook_digest, playbook_variables};

/// The pool's image, without a tag.
pub(super) fn image() -> Image {
    Image {
        id: "ami-1".to_owned(),
        name: "a builder".to_owned(),
        state: ImageState::Available,
        state_reason: None,
        created: None,
        tags: BTreeMap::new(),
        kept_volumes: Vec::new(),
        root_volume: Some(Volume {
            device: "/dev/xvda".to_owned(),
            size: Some(8),
            kind: None,
        }),
    }
}

impl Farm {
    /// The digest of what makes the builders of the pool `x86`.
    fn digest(&self) -> String {
        let context = &self.controller.context;
        let pool = "x86".parse().unwrap();
        let vars = playbook_variables(
            &context.fleet,
            (&pool, ""),
            &context.key,
            &context.builder_url,
            &[],
        );
        playbook_digest(
            &context.provisioner,
            &context.fleet.provision["base"],
            &vars.unwrap(),
        )
    }

    /// Gives the pool's image this tag.
    fn tag_image(&self, digest: Option<&str>) {
        let tags = digest.map(|digest| (PLAYBOOK_TAG.to_owned(), digest.to_owned()));
        self.cloud.add_image(Image {
            tags: tags.into_iter().collect(),
            ..image()
        });
    }

    fn taken_played(&self) -> Vec<String> {
        std::mem::take(&mut *self.machines.1.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Ends all builders and waits for others in their place.
    async fn replace(&mut self, count: usize) {
        for instance in self.cloud.instances() {
            self.cloud.set_state(&instance.id, InstanceState::Terminated);
        }
        self.pass(60).await;
        self.until_ready(count).await;
    }
}

const WHOLE: [&str; 2] = ["builder.yml", "check.yml"];
const BOOT: [&str; 2] = ["boot of builder.yml", "check.yml"];

#[tokio::test]
async fn only_what_each_machine_needs_is_played_where_the_image_was_made_by_the_same_playbook() {
    for (is_same, expected) in [(true, BOOT), (false, WHOLE)] {
        let mut farm = Farm::start(&pool("x86", "max: 1, idle: 1", "a")).await;
        let digest = farm.digest();
        farm.tag_image(Some(if is_same { &digest } else { "0123" }));
        farm.until_ready(1).await;
        assert_eq!(farm.taken_played(), expected);
        let reason = farm.builders().await[0].reason.clone().unwrap();
        assert_eq!(
            reason.starts_with("from an image made by builder.yml and checked by check.yml, "),
            is_same,
            "{reason}"
        );
    }
}

#[tokio::test]
async fn an_image_is_asked_for_once_for_many_builders_and_anew_after_ten_minutes() {
    let mut farm = Farm::start(&pool("x86", "max: 12, idle: 6", "a")).await;
    let digest = farm.digest();
    farm.tag_image(Some(&digest));
    farm.until_ready(6).await;
    assert_eq!(farm.cloud.image_looks(), 1);
    // Somebody takes the tag away: that is noticed when the answer is old.
    farm.tag_image(None);
    farm.taken_played();
    farm.replace(6).await;
    assert_eq!(farm.cloud.image_looks(), 1);
    assert!(farm.taken_played().contains(&BOOT[0].to_owned()));
    farm.pass(600).await;
    farm.taken_played();
    farm.replace(6).await;
    assert_eq!(farm.cloud.image_looks(), 2);
    let played = farm.taken_played();
    assert!(!played.contains(&BOOT[0].to_owned()), "{played:?}");
}

#[tokio::test]
async fn a_cloud_that_does_not_say_what_made_an_image_costs_the_playbook_and_is_asked_again_soon() {
    let mut farm = Farm::start(&pool("x86", "max: 4, idle: 1", "a")).await;
    let digest = farm.digest();
    farm.tag_image(Some(&digest));
    farm.until_ready(1).await;
    let builder = farm.builders().await.remove(0);
    // As after ten minutes, when what was known of the image is old.
    let images = crate::image::Images::new(Clock::Manual(farm.clock.clone()));
    let vars = playbook_variables(
        &farm.controller.context.fleet,
        (&builder.pool, ""),
        &farm.controller.context.key,
        &farm.controller.context.builder_url,
        &[],
    )
    .unwrap();
    for (error, seconds, expected) in [
        (Some(refused("UnauthorizedOperation")), 0, None),
        (None, 29, None),
        (None, 1, Some(crate::BOOT_TAG)),
    ] {
        farm.cloud.hide_images(error);
        farm.clock.advance(Duration::from_secs(seconds));
        let context = &farm.controller.context;
        let provision = &context.fleet.provision["base"];
        let part = crate::image::part_of(context, &builder, provision, (&vars, &images)).await;
        assert_eq!(part, expected);
    }
}

#[tokio::test]
async fn volumes_that_an_image_would_leave_behind_go_with_its_machines() {
    let mut farm = Farm::start(&pool("x86", "max: 4, idle: 2", "a")).await;
    let root = Volume {
        device: "/dev/xvda".to_owned(),
        size: Some(8),
        kind: None,
    };
    farm.cloud.add_image(Image {
        kept_volumes: vec![root.clone()],
        ..image()
    });
    // The answer to the first launch is lost: the question is repeated word for word.
    farm.cloud
        .fail_next_launch(LaunchFailure::After(cloud::Error::Unclear {
            what: "it is lost".to_owned(),
        }));
    farm.until_ready(2).await;
    let asked = farm.cloud.asked();
    assert!(asked.len() >= 2, "{asked:?}");
    for request in &asked {
        assert_eq!(request.volumes, std::slice::from_ref(&root), "{request:?}");
    }
    assert_eq!(farm.cloud.image_looks(), 1);
}

#[tokio::test]
async fn nothing_is_launched_while_it_is_not_known_what_it_would_leave_behind() {
    let mut farm = Farm::start(&pool("x86", "max: 4, idle: 1", "a")).await;
    farm.cloud.add_image(image());
    farm.cloud.hide_images(Some(refused("UnauthorizedOperation")));
    farm.pass(30).await;
    assert_eq!(farm.cloud.asked(), []);
    let builder = farm.builders().await.remove(0);
    let why = builder.reason.unwrap();
    assert!(
        why.contains("not known which volumes image ami-1 would leave behind")
            && why.contains("UnauthorizedOperation"),
        "{why}"
    );
    farm.cloud.hide_images(None);
    farm.until_ready(1).await;
    assert_eq!(farm.cloud.asked().len(), 1);
}

#[tokio::test]
async fn nothing_is_launched_from_an_image_without_a_root_volume_where_a_disk_is_wanted() {
    let pools = format!(
        "{}    disk: {{size: 160g, type: gp3}}\n",
        pool("x86", "max: 4, idle: 1", "a")
    );
    let mut farm = Farm::start(&pools).await;
    farm.cloud.add_image(Image {
        root_volume: None,
        ..image()
    });
    farm.pass(30).await;
    assert_eq!(farm.cloud.asked(), []);
    let why = farm.builders().await.remove(0).reason.unwrap();
    let words = "not launched: pools.x86.disk: image ami-1 has no volume as its root device, so that `disk` can say nothing of it";
    assert!(why.ends_with(words), "{why}");
    // Another image of that id, and ten minutes later.
    farm.cloud.add_image(image());
    farm.pass(700).await;
    farm.until_ready(1).await;
    let wanted = Volume {
        device: "/dev/xvda".to_owned(),
        size: Some(160),
        kind: Some("gp3".to_owned()),
    };
    assert_eq!(farm.cloud.asked()[0].volumes, [wanted]);
}

#[tokio::test]
async fn a_machine_that_was_adopted_is_provisioned_whatever_its_pool_s_image_was_made_by() {
    let mut farm = Farm::start(&pool("x86", "max: 2, idle: 1", "a")).await;
    let digest = farm.digest();
    farm.tag_image(Some(&digest));
    farm.until_ready(1).await;
    farm.taken_played();
    let adopted = Builder {
        launch: None,
        ..farm.builders().await.remove(0)
    };
    let images = crate::image::Images::new(Clock::Manual(farm.clock.clone()));
    let context = &farm.controller.context;
    let provision = &context.fleet.provision["base"];
    let vars = Map::new();
    let part = crate::image::part_of(context, &adopted, provision, (&vars, &images)).await;
    assert_eq!(part, None);
    assert_eq!(farm.cloud.image_looks(), 1, "nobody asks for it");
}
