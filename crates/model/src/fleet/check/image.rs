//! What is wrong with how an image is named.

use super::{Contradiction, empty};
use crate::fleet::ImageSpec;

/// What an image of `select` is named by; Amazon's names have at most 128 characters.
const LONGEST_NAME: usize = 128;

pub(super) fn of_image(name: &str, image: &ImageSpec, found: &mut Vec<Contradiction>) {
    let (id, select) = (["images", name, "id"], ["images", name, "select"]);
    match (&image.id, &image.select) {
        (None, None) => {
            let words = "it has neither `id` nor `select`: one of them says which image it is";
            found.push(Contradiction::new(&["images", name], words));
        }
        (Some(_), Some(_)) => {
            let words = "an image has either `id` or `select`";
            found.push(Contradiction::new(&select, words).beside(&id));
        }
        _ => {}
    }
    if let Some(text) = &image.id {
        found.extend(empty(&id, text, "an image's id, such as ami-0123456789abcdef0"));
    }
    let Some(spec) = &image.select else { return };
    if !spec.has_owner() {
        let words = format!(
            "there is no owner `{}`: it is `self`, `amazon` or the id of an account, 12 digits in quotes",
            spec.owner
        );
        found.push(Contradiction::new(&["images", name, "select", "owner"], words));
    }
    let path = ["images", name, "select", "name"];
    let is_empty = empty(&path, &spec.name, "images, such as builder-x86_64-*");
    if is_empty.is_none() && (spec.name.contains('\\') || spec.name.chars().count() > LONGEST_NAME) {
        let words = "no image has such a name: it has at most 128 characters, and no backslash";
        found.push(Contradiction::new(&path, words));
    }
    found.extend(is_empty);
}

#[cfg(test)]
mod tests {
    use crate::fleet::FleetSpec;

    #[test]
    fn an_image_has_an_id_or_says_whose_images_of_which_names_it_may_be() {
        let select = |owner: &str, name: &str| serde_json::json!({"cloud": "c", "select": {"owner": owner, "name": name}});
        let long = "x".repeat(129);
        for (image, expected) in [
            (serde_json::json!({"cloud": "c", "id": "ami-1"}), None),
            (select("self", "b-*"), None),
            (select("amazon", "b-?"), None),
            (select("012345678901", "b"), None),
            (
                serde_json::json!({"cloud": "c"}),
                Some("images.i: it has neither `id` nor `select`: one of them says which image it is"),
            ),
            (
                serde_json::json!({"cloud": "c", "id": "ami-1", "select": {"owner": "self", "name": "b"}}),
                Some("images.i.select: an image has either `id` or `select`"),
            ),
            (
                select("1234", "b"),
                Some(
                    "images.i.select.owner: there is no owner `1234`: it is `self`, `amazon` or the id of an account, 12 digits in quotes",
                ),
            ),
            (
                select("self", " "),
                Some("images.i.select.name: it is empty; it names images, such as builder-x86_64-*"),
            ),
            (
                select("self", &long),
                Some(
                    "images.i.select.name: no image has such a name: it has at most 128 characters, and no backslash",
                ),
            ),
            (
                select("self", "b\\*"),
                Some(
                    "images.i.select.name: no image has such a name: it has at most 128 characters, and no backslash",
                ),
            ),
        ] {
            let fleet: FleetSpec = serde_json::from_value(serde_json::json!({
                "schema": 1, "fleet": "019ac1f0-0000-7000-8000-000000000000", "name": "test",
                "clouds": {"c": {"kind": "ec2", "region": "r", "credentials": {"source": "environment"}}},
                "images": {"i": image}, "provision": {}, "pools": {},
            }))
            .unwrap();
            let found: Vec<_> = fleet.contradictions().iter().map(ToString::to_string).collect();
            assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{image}");
        }
    }
}
