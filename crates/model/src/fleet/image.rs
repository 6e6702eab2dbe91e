//! The images that machines are launched from: by their ids, or as the newest of those that match.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CloudPlace, FleetSpec, PoolKind, PoolSpec, schema};
use crate::{Glob, Timestamp, quantity::Span};

/// A machine image; exactly one of `id` and `select` is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [
    {"required": ["id"], "properties": {"id": {"type": "string"}, "select": {"type": "null"}}},
    {"required": ["select"], "properties": {"select": {"type": "object"}, "id": {"type": "null"}}},
]))]
pub struct ImageSpec {
    /// The cloud that has it, by its name in this file.
    pub cloud: String,
    /// Its id, such as `ami-0123456789abcdef0`.
    #[serde(default)]
    #[schemars(extend("pattern" = schema::SOMETHING))]
    pub id: Option<String>,
    /// Which images it may be, instead of an `id`: the newest of them that is available. The cloud is asked every five minutes.
    #[serde(default)]
    pub select: Option<SelectSpec>,
}

/// Which images of a cloud match.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SelectSpec {
    /// Whose images: `self`, of the account that asks; `amazon`; or the id of an account, 12 digits in quotes.
    #[schemars(extend("pattern" = OWNER))]
    pub owner: String,
    /// The name of the image, in which `*` stands for any characters and `?` for one, such as `builder-x86_64-*`.
    #[schemars(extend("pattern" = schema::SOMETHING))]
    pub name: String,
    /// How old an image is at least before it is used.
    #[serde(default = "no_age")]
    pub min_age: Span,
}

/// What `owner` may be.
const OWNER: &str = "^(self|amazon|[0-9]{12})$";

fn no_age() -> Span {
    Span::seconds(0)
}

impl SelectSpec {
    /// Whether the owner is one that a cloud can be asked for.
    pub(super) fn has_owner(&self) -> bool {
        let is_account = self.owner.len() == 12 && self.owner.bytes().all(|byte| byte.is_ascii_digit());
        is_account || matches!(self.owner.as_str(), "self" | "amazon")
    }
}

/// An image, as its cloud lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloudImage {
    pub id: String,
    pub name: String,
    /// When it was made; `None` where the cloud does not tell.
    pub created: Option<Timestamp>,
    /// Whether machines can be launched from it.
    pub is_available: bool,
}

/// The image that is used of those that a cloud lists: the newest that is available, matches and is old enough. Of two that were made
/// at the same moment it is the one with the higher id. One whose age is not known is older than all others, and is used only where
/// no age is needed.
#[must_use]
pub fn select<'a>(images: &'a [CloudImage], spec: &SelectSpec, now: Timestamp) -> Option<&'a CloudImage> {
    let name = Glob::new(&spec.name);
    let is_old_enough = |image: &CloudImage| match image.created {
        Some(created) => now.since(created) >= spec.min_age.get(),
        None => spec.min_age.get().is_zero(),
    };
    images
        .iter()
        .filter(|image| image.is_available && name.matches(&image.name) && is_old_enough(image))
        .max_by(|one, other| (one.created, &one.id).cmp(&(other.created, &other.id)))
}

/// The images that a selection uses of those that a cloud lists, now or when they are old enough: the one that it chooses now, and all
/// newer ones that match, also those that are not available yet.
pub fn awaited<'a>(
    images: &'a [CloudImage],
    spec: &SelectSpec,
    now: Timestamp,
) -> impl Iterator<Item = &'a CloudImage> {
    let name = Glob::new(&spec.name);
    let age = |image: &CloudImage| (image.created, image.id.clone());
    let chosen = select(images, spec, now).map(age);
    images
        .iter()
        .filter(move |image| name.matches(&image.name) && Some(age(image)) >= chosen)
}

/// The id of the image in use, where the cloud is to be asked for it by its id before another one takes its place: a list lacks it and
/// has nothing newer that is used. Lists of clouds are late now and then, so that only an answer for the image itself says that it is
/// gone. `None` where the list is enough.
#[must_use]
pub fn to_confirm<'a>(
    listed: &[CloudImage],
    in_use: Option<&'a ChosenImage>,
    spec: &SelectSpec,
    now: Timestamp,
) -> Option<&'a str> {
    let in_use = in_use?;
    let is_listed = listed.iter().any(|image| image.id == in_use.id);
    let is_newer = |found: &CloudImage| (found.created, &found.id) > (in_use.created, &in_use.id);
    let is_replaced = select(listed, spec, now).is_some_and(is_newer);
    (!is_listed && !is_replaced).then_some(in_use.id.as_str())
}

/// What a cloud is asked for one of the file's images, and where that cloud is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageQuestion {
    /// The cloud, by its name in the file.
    pub cloud: String,
    /// Where that cloud was when it was asked; `None` where nobody wrote that down, as older programs did not.
    pub place: Option<CloudPlace>,
    /// What it is asked for.
    pub select: SelectSpec,
}

impl ImageQuestion {
    /// Whether the same is asked of the same cloud at the same place, whatever the age. A place that is not known is never the same.
    #[must_use]
    pub fn asks_as(&self, other: &Self) -> bool {
        let asked = |it: &Self| (it.cloud.clone(), it.select.owner.clone(), it.select.name.clone());
        self.place.is_some() && self.place == other.place && asked(self) == asked(other)
    }
}

/// The image that was chosen last for one of the file's, and why the last question found none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageChoice {
    /// What was asked.
    pub asked: ImageQuestion,
    /// What was chosen; `None` where nothing ever matched.
    pub chosen: Option<ChosenImage>,
    /// Why the last question gave no image, as a sentence for operators; `None` where it gave one.
    pub failure: Option<String>,
}

/// An image that was chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChosenImage {
    pub id: String,
    pub name: String,
    /// When it was made; `None` where the cloud does not tell.
    pub created: Option<Timestamp>,
    /// Since when it is used.
    pub chosen_at: Timestamp,
}

/// What was chosen for each image of a fleet file, by its name there.
pub type ImageChoices = BTreeMap<String, ImageChoice>;

/// Why a pool has no image to launch from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoImage {
    /// Its image, by its name in the file.
    pub image: String,
    /// Why none was found, as a sentence for operators; `None` while the cloud is being asked.
    pub why: Option<String>,
}

impl FleetSpec {
    /// What a cloud is asked for an image of the file; `None` where the file names its id.
    #[must_use]
    pub fn image_question(&self, name: &str) -> Option<ImageQuestion> {
        let spec = self.images.get(name)?;
        Some(ImageQuestion {
            cloud: spec.cloud.clone(),
            place: Some(self.clouds.get(&spec.cloud)?.place()),
            select: spec.select.clone()?,
        })
    }

    /// What was chosen for an image of the file, if it was for what the file says now.
    #[must_use]
    pub fn image_choice<'a>(&self, name: &str, choices: &'a ImageChoices) -> Option<&'a ImageChoice> {
        let (question, choice) = (self.image_question(name)?, choices.get(name)?);
        question.asks_as(&choice.asked).then_some(choice)
    }

    /// The id of the image that machines are launched from now, by the image's name in the file; `None` where there is no such image,
    /// or where none was chosen yet.
    #[must_use]
    pub fn image_id<'a>(&'a self, name: &str, choices: &'a ImageChoices) -> Option<&'a str> {
        if let Some(id) = &self.images.get(name)?.id {
            return Some(id);
        }
        let chosen = self.image_choice(name, choices)?.chosen.as_ref()?;
        Some(&chosen.id)
    }

    /// Why there is no image to launch a pool's machines from; `None` where there is one, or none is needed.
    #[must_use]
    pub fn no_image(&self, pool: &PoolSpec, choices: &ImageChoices) -> Option<NoImage> {
        let PoolKind::Cloud { image } = pool.kind() else {
            return None;
        };
        if self.image_id(image, choices).is_some() {
            return None;
        }
        let choice = self.image_choice(image, choices);
        Some(NoImage {
            image: image.to_owned(),
            why: choice.and_then(|it| it.failure.clone()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::{CloudSpec, CredentialsSource};

    const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

    fn spec(name: &str, min_age: &str) -> SelectSpec {
        let text = serde_json::json!({"owner": "self", "name": name, "min_age": min_age});
        serde_json::from_value(text).unwrap()
    }

    /// An image that was made so many seconds ago.
    fn image(id: &str, name: &str, age: Option<u64>) -> CloudImage {
        CloudImage {
            id: id.to_owned(),
            name: name.to_owned(),
            created: age.map(|age| NOW.minus(std::time::Duration::from_secs(age))),
            is_available: true,
        }
    }

    #[test]
    fn the_newest_image_is_used_that_is_available_matches_and_is_old_enough() {
        let pending = CloudImage {
            is_available: false,
            ..image("ami-9", "b-4", Some(1))
        };
        let all = [
            image("ami-3", "b-1", Some(7200)),
            image("ami-1", "b-3", Some(60)),
            image("ami-2", "b-2", Some(3600)),
            image("ami-4", "other", Some(2)),
            image("ami-8", "b-0", None),
            pending,
        ];
        for (name, min_age, expected) in [
            ("b-*", "0s", Some("ami-1")),
            ("b-*", "60s", Some("ami-1")),
            ("b-*", "61s", Some("ami-2")),
            ("b-*", "1h", Some("ami-2")),
            ("b-*", "2h", Some("ami-3")),
            ("b-*", "1d", None),
            ("b-?", "0s", Some("ami-1")),
            ("b-2", "0s", Some("ami-2")),
            ("B-2", "0s", None),
            ("b", "0s", None),
            // Of what nobody knows the age, no age is believed.
            ("b-0", "0s", Some("ami-8")),
            ("b-0", "1ms", None),
        ] {
            let found = select(&all, &spec(name, min_age), NOW);
            assert_eq!(found.map(|it| it.id.as_str()), expected, "{name} {min_age}");
        }
        assert_eq!(select(&[], &spec("*", "0s"), NOW), None);
        // The same moment: always the same one, in whatever order they are listed.
        let twins = [image("ami-5", "b", Some(9)), image("ami-6", "b", Some(9))];
        let turned = [twins[1].clone(), twins[0].clone()];
        for images in [twins, turned] {
            assert_eq!(select(&images, &spec("b", "0s"), NOW).unwrap().id, "ami-6");
        }
    }

    #[test]
    fn a_selection_waits_for_all_that_match_and_are_newer_than_what_it_chooses_now() {
        let pending = CloudImage {
            is_available: false,
            ..image("ami-5", "b-5", Some(1))
        };
        let all = [
            image("ami-1", "b-1", Some(7200)),
            image("ami-2", "b-2", Some(3600)),
            image("ami-3", "b-3", Some(60)),
            image("ami-4", "other", Some(2)),
            pending,
        ];
        for (name, min_age, expected) in [
            ("b-*", "0s", &["ami-3", "ami-5"] as &[&str]),
            ("b-*", "10m", &["ami-2", "ami-3", "ami-5"]),
            ("b-*", "2h", &["ami-1", "ami-2", "ami-3", "ami-5"]),
            ("b-*", "1d", &["ami-1", "ami-2", "ami-3", "ami-5"]),
            ("b-2", "0s", &["ami-2"]),
            ("c-*", "0s", &[]),
        ] {
            let spec = spec(name, min_age);
            let ids: Vec<_> = awaited(&all, &spec, NOW).map(|it| it.id.as_str()).collect();
            assert_eq!(ids, expected, "{name} {min_age}");
        }
    }

    #[test]
    fn an_older_image_takes_the_place_of_the_one_in_use_only_when_the_cloud_says_that_this_is_gone() {
        let (old, used) = (
            image("ami-1", "b-1", Some(7200)),
            image("ami-2", "b-2", Some(3600)),
        );
        let new = image("ami-3", "b-3", Some(60));
        let deregistered = CloudImage {
            is_available: false,
            ..used.clone()
        };
        let in_use = ChosenImage {
            id: used.id.clone(),
            name: used.name.clone(),
            created: used.created,
            chosen_at: NOW,
        };
        let (all, late) = (vec![old.clone(), used.clone()], vec![old.clone()]);
        // What the list has, what the cloud says of the image in use if it is asked for it, the least age, and what is used then.
        for (listed, by_id, min_age, expected) in [
            (all.clone(), None, "0s", Some("ami-2")),
            (late.clone(), Some(Some(&used)), "0s", Some("ami-2")),
            (vec![], Some(Some(&used)), "0s", Some("ami-2")),
            (late.clone(), Some(None), "0s", Some("ami-1")),
            (late.clone(), Some(Some(&deregistered)), "0s", Some("ami-1")),
            (vec![], Some(None), "0s", None),
            // A newer one is used whatever became of the one before, unless it is too young.
            (vec![old.clone(), new.clone()], None, "0s", Some("ami-3")),
            (
                vec![old.clone(), new.clone()],
                Some(Some(&used)),
                "10m",
                Some("ami-2"),
            ),
            // The age in the file is another one: the image in use is too young by it.
            (all, None, "2h", Some("ami-1")),
            (late, Some(Some(&used)), "2h", Some("ami-1")),
        ] {
            let spec = spec("b-*", min_age);
            let asked = to_confirm(&listed, Some(&in_use), &spec, NOW);
            assert_eq!(asked, by_id.map(|_| "ami-2"), "{listed:?} {min_age}");
            let mut known = listed.clone();
            known.extend(by_id.flatten().cloned());
            let found = select(&known, &spec, NOW).map(|it| it.id.as_str());
            assert_eq!(found, expected, "{listed:?} {by_id:?} {min_age}");
        }
        assert_eq!(to_confirm(&[old], None, &spec("b-*", "0s"), NOW), None);
    }

    fn fleet(image: &serde_json::Value) -> FleetSpec {
        serde_json::from_value(serde_json::json!({
            "schema": 1, "fleet": "019ac1f0-0000-7000-8000-000000000000", "name": "test",
            "clouds": {
                "c": {"kind": "ec2", "region": "r", "credentials": {"source": "environment"}},
                "d": {"kind": "ec2", "region": "r", "credentials": {"source": "environment"}},
            },
            "images": {"i": image}, "provision": {"p": {}},
            "pools": {
                "x": {"labels": ["arch:x86_64"], "image": "i", "provision": "p", "size": {"max": 1}, "offerings": []},
                "h": {
                    "labels": ["arch:x86_64"], "provision": "p", "size": {"max": 1},
                    "hosts": [{"name": "h", "address": "a"}],
                },
            },
        }))
        .unwrap()
    }

    /// What is asked for the image of a file by these words.
    fn question() -> ImageQuestion {
        let select = serde_json::json!({"owner": "self", "name": "b-*"});
        let image = serde_json::json!({"cloud": "c", "select": select});
        fleet(&image).image_question("i").unwrap()
    }

    #[test]
    fn a_choice_counts_no_more_where_its_cloud_has_moved() {
        let choices = |place: Option<CloudPlace>| {
            let chosen = ChosenImage {
                id: "ami-1".to_owned(),
                name: "b-1".to_owned(),
                created: None,
                chosen_at: NOW,
            };
            let choice = ImageChoice {
                asked: ImageQuestion { place, ..question() },
                chosen: Some(chosen),
                failure: None,
            };
            ImageChoices::from([("i".to_owned(), choice)])
        };
        let is_used = |choices: &ImageChoices, change: &dyn Fn(&mut CloudSpec)| {
            let select = serde_json::json!({"owner": "self", "name": "b-*"});
            let mut fleet = fleet(&serde_json::json!({"cloud": "c", "select": select}));
            change(fleet.clouds.get_mut("c").unwrap());
            fleet.image_id("i", choices) == Some("ami-1")
        };
        let known = choices(question().place);
        let source = |it: &mut CloudSpec| it.credentials.source = CredentialsSource::InstanceRole;
        for (change, stays) in [
            ((|_| ()) as fn(&mut CloudSpec), true),
            (|it| it.limits.instances = Some(7), true),
            (|it| it.network.subnet = Some("subnet-1".to_owned()), true),
            (|it| it.region = "q".to_owned(), false),
            (|it| it.endpoint = Some("http://other".to_owned()), false),
            (|it| it.credentials.path = Some("other.toml".to_owned()), false),
            (source, false),
        ] {
            assert_eq!(is_used(&known, &change), stays);
        }
        // Older programs did not write down where they asked.
        assert!(!is_used(&choices(None), &|_| ()));
        let unknown = ImageQuestion {
            place: None,
            ..question()
        };
        assert!(!unknown.asks_as(&unknown));
    }

    #[test]
    fn a_choice_counts_for_the_cloud_and_the_question_that_it_answers() {
        let choice = |chosen: Option<&str>, failure: Option<&str>| {
            let chosen = chosen.map(|id| ChosenImage {
                id: id.to_owned(),
                name: "b-1".to_owned(),
                created: None,
                chosen_at: NOW,
            });
            let choice = ImageChoice {
                asked: ImageQuestion {
                    select: spec("b-*", "1h"),
                    ..question()
                },
                chosen,
                failure: failure.map(str::to_owned),
            };
            ImageChoices::from([("i".to_owned(), choice)])
        };
        let select = |owner: &str, name: &str| serde_json::json!({"owner": owner, "name": name});
        let by = |cloud: &str, select| fleet(&serde_json::json!({"cloud": cloud, "select": select}));
        let same = by("c", select("self", "b-*"));
        let no = |why: Option<&str>| {
            Err(NoImage {
                image: "i".to_owned(),
                why: why.map(str::to_owned),
            })
        };
        for (fleet, choices, expected) in [
            (&same, choice(Some("ami-1"), None), Ok("ami-1")),
            // Another age changes what is chosen next, not what is in use.
            (&same, choice(Some("ami-1"), Some("it is away")), Ok("ami-1")),
            (
                &same,
                choice(None, Some("nothing matches")),
                no(Some("nothing matches")),
            ),
            (&same, ImageChoices::new(), no(None)),
            (
                &by("d", select("self", "b-*")),
                choice(Some("ami-1"), None),
                no(None),
            ),
            (
                &by("c", select("amazon", "b-*")),
                choice(Some("ami-1"), None),
                no(None),
            ),
            (
                &by("c", select("self", "c-*")),
                choice(Some("ami-1"), Some("x")),
                no(None),
            ),
            (
                &fleet(&serde_json::json!({"cloud": "c", "id": "ami-7"})),
                choice(Some("ami-1"), None),
                Ok("ami-7"),
            ),
        ] {
            let pool = &fleet.pools[&"x".parse().unwrap()];
            let found = match fleet.no_image(pool, &choices) {
                None => Ok(fleet.image_id("i", &choices).unwrap()),
                Some(no) => Err(no),
            };
            assert_eq!(found, expected, "{:?} {choices:?}", fleet.images);
            assert_eq!(fleet.image_id("j", &choices), None);
            let hosts = &fleet.pools[&"h".parse().unwrap()];
            assert_eq!(fleet.no_image(hosts, &choices), None);
        }
    }
}
