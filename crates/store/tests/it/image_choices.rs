//! Which images are used for those of the fleet file that say only which ones match.

use model::fleet::{ChosenImage, CloudImage, CloudPlace, ImageChoice, ImageQuestion};
use store::Lease;

use crate::{farm::Farm, support::at};

on_both_databases!(
    what_was_chosen_stays_when_the_next_question_fails_or_finds_nothing,
    what_was_chosen_for_another_question_counts_no_more,
    a_choice_of_a_program_that_did_not_tell_where_it_asked_is_read_and_made_anew,
    a_choice_is_of_one_fleet_and_one_image,
    a_choice_that_cannot_be_read_was_never_made,
);

fn place(region: &str) -> CloudPlace {
    let credentials = serde_json::json!({"source": "environment"});
    CloudPlace {
        region: region.to_owned(),
        endpoint: None,
        credentials: serde_json::from_value(credentials).unwrap(),
    }
}

fn question(cloud: &str, name: &str, min_age: &str) -> ImageQuestion {
    let text = serde_json::json!({"owner": "self", "name": name, "min_age": min_age});
    ImageQuestion {
        cloud: cloud.to_owned(),
        place: Some(place("r")),
        select: serde_json::from_value(text).unwrap(),
    }
}

fn image(id: &str, created: Option<u64>) -> CloudImage {
    CloudImage {
        id: id.to_owned(),
        name: format!("name of {id}"),
        created: created.map(at),
        is_available: true,
    }
}

async fn record(
    farm: &Farm,
    name: &str,
    question: &ImageQuestion,
    answer: Result<&CloudImage, &str>,
    now: u64,
) -> bool {
    let store = &farm.store;
    let recorded = store.record_image_choice(&farm.lease, name, question, answer, at(now));
    recorded.await.unwrap()
}

async fn known(farm: &Farm, name: &str) -> Option<ImageChoice> {
    let fleet = farm.lease.fleet;
    let view = farm.store.fleet_snapshot(fleet, at(0)).await.unwrap();
    assert_eq!(farm.store.image_choices(fleet).await.unwrap(), view.images);
    view.images.get(name).cloned()
}

/// The id that is in use, since when, and why the last question gave none.
async fn in_use(farm: &Farm, name: &str) -> (Option<(String, model::Timestamp)>, Option<String>) {
    let choice = known(farm, name).await.unwrap();
    (choice.chosen.map(|it| (it.id, it.chosen_at)), choice.failure)
}

async fn what_was_chosen_stays_when_the_next_question_fails_or_finds_nothing(farm: Farm) {
    assert_eq!(known(&farm, "b").await, None);
    let asked = &question("aws", "b-*", "1h");
    let (one, two) = (image("ami-1", Some(5)), image("ami-2", None));
    let used = |id: &str, since: u64| Some((id.to_owned(), at(since)));
    for (answer, now, is_new, expected) in [
        (Err("nothing matches"), 1, false, (None, Some("nothing matches"))),
        (Ok(&one), 2, true, (used("ami-1", 2), None)),
        (Ok(&one), 3, false, (used("ami-1", 2), None)),
        (
            Err("it is away"),
            4,
            false,
            (used("ami-1", 2), Some("it is away")),
        ),
        (Ok(&two), 5, true, (used("ami-2", 5), None)),
        // The newest one went away.
        (Ok(&one), 6, true, (used("ami-1", 6), None)),
    ] {
        assert_eq!(record(&farm, "b", asked, answer, now).await, is_new, "{now}");
        let (id, failure) = in_use(&farm, "b").await;
        assert_eq!((id, failure.as_deref()), expected, "{now}");
    }
    let expected = ImageChoice {
        asked: asked.clone(),
        chosen: Some(ChosenImage {
            id: "ami-1".to_owned(),
            name: "name of ami-1".to_owned(),
            created: Some(at(5)),
            chosen_at: at(6),
        }),
        failure: None,
    };
    assert_eq!(known(&farm, "b").await, Some(expected));
    let lost = Lease {
        epoch: farm.lease.epoch - 1,
        ..farm.lease
    };
    let refused = farm
        .store
        .record_image_choice(&lost, "b", asked, Ok(&two), at(7))
        .await;
    assert!(
        matches!(refused, Err(store::Error::LeaseLost { .. })),
        "{refused:?}"
    );
}

async fn what_was_chosen_for_another_question_counts_no_more(farm: Farm) {
    let one = image("ami-1", Some(5));
    let moved = ImageQuestion {
        place: Some(place("q")),
        ..question("aws", "b-*", "1h")
    };
    for (asked, stays) in [
        (question("aws", "b-*", "2h"), true),
        (question("aws", "c-*", "1h"), false),
        (question("lab", "b-*", "1h"), false),
        (moved, false),
    ] {
        record(&farm, "b", &question("aws", "b-*", "1h"), Ok(&one), 1).await;
        record(&farm, "b", &asked, Err("it is away"), 2).await;
        let (id, failure) = in_use(&farm, "b").await;
        assert_eq!(
            (id.is_some(), failure.as_deref()),
            (stays, Some("it is away")),
            "{asked:?}"
        );
        assert_eq!(known(&farm, "b").await.unwrap().asked, asked);
    }
}

async fn a_choice_of_a_program_that_did_not_tell_where_it_asked_is_read_and_made_anew(farm: Farm) {
    let (one, asked) = (image("ami-1", None), question("aws", "b-*", "0s"));
    record(&farm, "b", &asked, Ok(&one), 1).await;
    let raw = farm.raw().await;
    raw.execute(r#"UPDATE image_choice SET asked = '{"owner":"self","name":"b-*","min_age":"0s"}'"#)
        .await;
    let old = known(&farm, "b").await.unwrap();
    let expected = ImageQuestion {
        place: None,
        ..asked.clone()
    };
    assert_eq!(
        (&old.asked, old.chosen.unwrap().id.as_str()),
        (&expected, "ami-1")
    );
    assert!(record(&farm, "b", &asked, Ok(&one), 2).await);
    assert_eq!(known(&farm, "b").await.unwrap().asked, asked);
}

async fn a_choice_is_of_one_fleet_and_one_image(farm: Farm) {
    let (one, question) = (image("ami-1", None), question("aws", "b-*", "0s"));
    record(&farm, "b", &question, Ok(&one), 1).await;
    assert_eq!(known(&farm, "c").await, None);
    let another = model::FleetId(uuid::Uuid::now_v7());
    assert!(farm.store.image_choices(another).await.unwrap().is_empty());
}

async fn a_choice_that_cannot_be_read_was_never_made(farm: Farm) {
    let (one, question) = (image("ami-1", None), question("aws", "b-*", "0s"));
    for name in ["b", "c"] {
        record(&farm, name, &question, Ok(&one), 1).await;
    }
    let raw = farm.raw().await;
    raw.execute("UPDATE image_choice SET asked = '{' WHERE image = 'b'")
        .await;
    assert_eq!(known(&farm, "b").await, None);
    assert!(known(&farm, "c").await.is_some());
    // The next answer makes it whole again.
    assert!(record(&farm, "b", &question, Ok(&one), 2).await);
    assert!(known(&farm, "b").await.is_some());
}
