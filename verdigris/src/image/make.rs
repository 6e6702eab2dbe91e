//! The cloud's part: an image is asked for, waited for, and only then tagged as whole.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, bail};
use cloud::{BASE_TAG, Cloud, FLEET_TAG, Image, ImageState, NewImage, PLAYBOOK_TAG, POOL_TAG};
use model::{FleetId, PoolName};
use runtime::clock::Clock;
use tracing::info;

/// How often it is asked how far an image has come.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long a cloud may go on not to answer, or not to know the image that it has just promised.
const SILENCE: Duration = Duration::from_secs(120);

/// What an image is of, for its tags.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    pub(super) fleet: FleetId,
    pub(super) pool: PoolName,
    /// The image that its machine was launched from.
    pub(super) base: String,
    /// The digest of all that made the machine a builder.
    pub(super) digest: String,
}

impl Origin {
    /// The tags that say whose an image is, and from what.
    pub(super) fn tags(&self) -> BTreeMap<String, String> {
        let tags = [
            ("Name", format!("verdigris {}", self.pool)),
            (FLEET_TAG, self.fleet.to_string()),
            (POOL_TAG, self.pool.to_string()),
            (BASE_TAG, self.base.clone()),
        ];
        tags.map(|(key, value)| (key.to_owned(), value)).into()
    }

    /// The same, of an image that is whole.
    fn tags_of_whole(&self) -> BTreeMap<String, String> {
        let mut tags = self.tags();
        tags.insert(PLAYBOOK_TAG.to_owned(), self.digest.clone());
        tags
    }
}

/// Has an image made, and waits until machines can be launched from it; then it is tagged with what made it. Its id.
///
/// # Errors
/// When the cloud refuses, when the image fails, and when the time is over. What there is of it is named.
pub(super) async fn make(
    cloud: &dyn Cloud,
    clock: &Clock,
    (wanted, origin): (&NewImage, &Origin),
    limit: Duration,
) -> anyhow::Result<String> {
    let id = cloud.create_image(wanted).await.context("asking for the image")?;
    info!("The cloud makes image {id} ({}).", wanted.name);
    wait_for(cloud, clock, &id, limit)
        .await
        .with_context(|| format!("image {id}, named {}", wanted.name))?;
    let tagged = tag(cloud, clock, (&id, &origin.tags_of_whole())).await;
    tagged.with_context(|| {
        format!(
            "image {id} is there and could not be tagged, so that its machines would be provisioned as ever"
        )
    })?;
    Ok(id)
}

/// Gives an image tags, and does so again where the cloud was not there to do it.
async fn tag(
    cloud: &dyn Cloud,
    clock: &Clock,
    (id, tags): (&str, &BTreeMap<String, String>),
) -> Result<(), cloud::Error> {
    let begun = clock.elapsed();
    loop {
        let error = match cloud.tag_image(id, tags).await {
            Err(error) if !matches!(error, cloud::Error::Refused { .. }) => error,
            done => return done,
        };
        if clock.elapsed().saturating_sub(begun) >= SILENCE {
            return Err(error);
        }
        clock.sleep(LOOK_EVERY).await;
    }
}

async fn wait_for(cloud: &dyn Cloud, clock: &Clock, id: &str, limit: Duration) -> anyhow::Result<()> {
    let begun = clock.elapsed();
    let mut heard = begun;
    loop {
        let told = cloud.image(id).await;
        let now = clock.elapsed();
        match told {
            Ok(Some(image)) if image.state == ImageState::Available => return Ok(()),
            Ok(Some(image)) if image.state == ImageState::Failed => bail!("{}", failed(&image)),
            Ok(Some(_)) => heard = now,
            Ok(None) if now.saturating_sub(heard) >= SILENCE => {
                bail!(
                    "the cloud has promised it, and does not know it since {} s",
                    SILENCE.as_secs()
                )
            }
            Err(error) if now.saturating_sub(heard) >= SILENCE => return Err(error.into()),
            Ok(None) | Err(_) => {}
        }
        let waited = now.saturating_sub(begun);
        if waited >= limit {
            bail!("it was not there after {} s", waited.as_secs());
        }
        clock.sleep(LOOK_EVERY.min(limit.saturating_sub(waited))).await;
    }
}

fn failed(image: &Image) -> String {
    let why = image.state_reason.as_deref().unwrap_or("it does not say why");
    format!("the cloud could not make it: {why}")
}

#[cfg(test)]
mod tests {
    use cloud::FakeCloud;
    use model::Timestamp;
    use runtime::clock::ManualClock;

    use super::*;

    fn origin() -> Origin {
        Origin {
            fleet: "flt_00000000000000000000000000000003".parse().unwrap(),
            pool: "x86".parse().unwrap(),
            base: "ami-0".to_owned(),
            digest: "abcd".to_owned(),
        }
    }

    fn wanted() -> NewImage {
        NewImage {
            instance_id: "i-1".to_owned(),
            name: "verdigris-x86-1".to_owned(),
            description: "a builder".to_owned(),
            may_stop: true,
            tags: origin().tags(),
        }
    }

    /// Makes one on a clock that goes on whenever it is waited for; what came of it, and after how many seconds.
    async fn made(cloud: &FakeCloud) -> (Result<String, String>, u64) {
        let manual = ManualClock::new(Timestamp::from_micros(0));
        let clock = Clock::Manual(manual.clone());
        let (wanted, origin) = (wanted(), origin());
        let making = make(cloud, &clock, (&wanted, &origin), Duration::from_secs(600));
        tokio::pin!(making);
        loop {
            tokio::select! {
                biased;
                made = &mut making => {
                    let seconds = clock.elapsed().as_secs();
                    return (made.map_err(|error| format!("{error:#}")), seconds);
                }
                () = tokio::task::yield_now() => {
                    if let Some(next) = manual.next_wake() {
                        manual.advance(next);
                    }
                }
            }
        }
    }

    fn refused() -> cloud::Error {
        cloud::Error::Refused {
            code: "UnauthorizedOperation".to_owned(),
            message: "no".to_owned(),
        }
    }

    #[tokio::test]
    async fn an_image_has_the_digest_of_what_made_it_only_once_it_is_there() {
        let cloud = FakeCloud::default();
        cloud.set_image_course(&[ImageState::Pending, ImageState::Pending, ImageState::Available]);
        let (made, seconds) = made(&cloud).await;
        let image = cloud.all_images().remove(0);
        assert_eq!((made.as_deref(), seconds), (Ok(image.id.as_str()), 4));
        assert_eq!(image.made_by(), Some("abcd"));
        assert_eq!(image.tags[BASE_TAG], "ami-0");
        assert!(image.is_of(origin().fleet, &origin().pool));
        let asked = cloud.asked_images().remove(0);
        assert_eq!(asked.tags.get(PLAYBOOK_TAG), None, "it is not whole yet");
    }

    #[tokio::test]
    async fn an_image_that_never_comes_about_is_named_and_not_tagged_as_whole() {
        for (course, expected, seconds) in [
            (
                &[ImageState::Pending, ImageState::Failed][..],
                "the cloud could not make it: it does not say why",
                2,
            ),
            (&[ImageState::Pending], "it was not there after 600 s", 600),
        ] {
            let cloud = FakeCloud::default();
            cloud.set_image_course(course);
            let (made, after) = made(&cloud).await;
            let image = cloud.all_images().remove(0);
            let named = format!("image {}, named verdigris-x86-1: {expected}", image.id);
            assert_eq!((made, after), (Err(named), seconds));
            assert_eq!(image.made_by(), None);
        }
    }

    #[tokio::test]
    async fn tags_are_given_again_where_the_cloud_was_not_there_for_it() {
        let throttled = || cloud::Error::Throttled {
            code: "RequestLimitExceeded".to_owned(),
        };
        for (error, away_for, expected, seconds) in [
            (throttled(), 3, Ok(()), 6),
            (throttled(), u32::MAX, Err(throttled()), SILENCE.as_secs()),
            (refused(), 3, Err(refused()), 0),
        ] {
            let cloud = FakeCloud::default();
            let id = cloud.create_image(&wanted()).await.unwrap();
            cloud.set_away(Some(error));
            let manual = ManualClock::new(Timestamp::from_micros(0));
            let (clock, tags) = (Clock::Manual(manual.clone()), origin().tags_of_whole());
            let tagging = tag(&cloud, &clock, (&id, &tags));
            tokio::pin!(tagging);
            let mut wakes = 0;
            let tagged = loop {
                tokio::select! {
                    biased;
                    tagged = &mut tagging => break tagged,
                    () = tokio::task::yield_now() => {
                        wakes += 1;
                        if wakes == away_for {
                            cloud.set_away(None);
                        }
                        manual.advance(manual.next_wake().unwrap_or_default());
                    }
                }
            };
            assert_eq!((tagged, clock.elapsed().as_secs()), (expected, seconds));
        }
    }

    #[tokio::test]
    async fn a_cloud_that_refuses_is_told_and_one_that_goes_on_not_to_answer() {
        let cloud = FakeCloud::default();
        cloud.refuse_images(Some(refused()));
        let (made_one, seconds) = made(&cloud).await;
        let words = "asking for the image: the cloud refuses: UnauthorizedOperation: no".to_owned();
        assert_eq!((made_one, seconds), (Err(words), 0));
        assert!(cloud.all_images().is_empty());

        let cloud = FakeCloud::default();
        cloud.hide_images(Some(refused()));
        let (made_one, seconds) = made(&cloud).await;
        assert!(made_one.unwrap_err().ends_with("UnauthorizedOperation: no"));
        assert_eq!(seconds, SILENCE.as_secs());
    }
}
