//! Which images machines are launched from, by the fleet file's names.

use model::fleet::FleetSpec;
use serde_json::{Value, json};
use store::FleetView;

/// A line for each image that says only which ones match, for people.
pub(super) fn lines(fleet: &FleetSpec, view: &FleetView) -> Vec<String> {
    let selected = fleet.images.iter().filter(|(_, spec)| spec.select.is_some());
    let lines = selected.map(|(name, _)| {
        let choice = fleet.image_choice(name, &view.images);
        let failure = choice.and_then(|it| it.failure.as_deref());
        match (choice.and_then(|it| it.chosen.as_ref()), failure) {
            (Some(chosen), failure) => {
                let (id, since) = (&chosen.id, chosen.chosen_at.to_the_second());
                let failure =
                    failure.map_or_else(String::new, |why| format!("; the last question failed: {why}"));
                format!(
                    "image {name} is {id}, named {}, since {since}{failure}",
                    chosen.name
                )
            }
            (None, Some(why)) => format!("image {name}: {why}"),
            (None, None) => format!("image {name}: its cloud has not been asked yet"),
        }
    });
    lines.collect()
}

/// All images of the file, for programs: by their names there.
pub(super) fn as_json(fleet: &FleetSpec, view: &FleetView) -> Value {
    let images = fleet.images.iter().map(|(name, spec)| {
        let choice = fleet.image_choice(name, &view.images);
        let chosen = choice.and_then(|it| it.chosen.as_ref());
        let shown = json!({
            "cloud": spec.cloud, "id": fleet.image_id(name, &view.images), "select": spec.select,
            "name": chosen.map(|it| &it.name),
            "created": chosen.and_then(|it| it.created).map(|at| at.to_string()),
            "chosen_at": chosen.map(|it| it.chosen_at.to_string()),
            "failure": choice.and_then(|it| it.failure.as_ref()),
        });
        (name.clone(), shown)
    });
    Value::Object(images.collect())
}

#[cfg(test)]
mod tests {
    use model::fleet::{ChosenImage, ImageChoice};

    use super::{
        super::testing::{NOW, fleet, view},
        *,
    };

    #[test]
    fn an_image_that_is_selected_tells_which_one_is_in_use_and_why_there_is_none() {
        let mut fleet = fleet(&[]);
        let mut view = view(vec![], vec![]);
        assert_eq!(lines(&fleet, &view), [""; 0], "an id stands in the file");
        assert_eq!(as_json(&fleet, &view)["i"]["id"], "ami-1");
        let select = json!({"owner": "self", "name": "b-*"});
        let image = fleet.images.get_mut("i").unwrap();
        image.id = None;
        image.select = serde_json::from_value(select).unwrap();
        assert_eq!(
            lines(&fleet, &view),
            ["image i: its cloud has not been asked yet"]
        );
        let chosen = ChosenImage {
            id: "ami-7".to_owned(),
            name: "b-7".to_owned(),
            created: Some(NOW),
            chosen_at: NOW,
        };
        for (chosen, failure, expected) in [
            (
                None,
                Some("no image matches images.i.select"),
                "image i: no image matches images.i.select",
            ),
            (
                Some(&chosen),
                None,
                "image i is ami-7, named b-7, since 2026-11-29T12:00:00Z",
            ),
            (
                Some(&chosen),
                Some("it is away"),
                "image i is ami-7, named b-7, since 2026-11-29T12:00:00Z; the last question failed: it is away",
            ),
        ] {
            let choice = ImageChoice {
                asked: fleet.image_question("i").unwrap(),
                chosen: chosen.cloned(),
                failure: failure.map(str::to_owned),
            };
            view.images = [("i".to_owned(), choice)].into();
            assert_eq!(lines(&fleet, &view), [expected]);
            let shown = &as_json(&fleet, &view)["i"];
            assert_eq!(shown["id"], json!(chosen.map(|it| &it.id)));
            assert_eq!(shown["failure"], json!(failure));
            assert_eq!(shown["created"], json!(chosen.map(|_| NOW.to_string())));
        }
    }
}
