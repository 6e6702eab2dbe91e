//! Instances without a builder that operators adopt, or have left alone.

use model::{
    BuilderId, BuilderState, LaunchId,
    intent::{Decision, Intent, IntentState, Request},
    stray::{Disregard, Ignored},
};
use store::{Adoption, Change, Lease, Sighting};
use uuid::Uuid;

use crate::{
    farm::{Farm, assert_conflict, assert_invalid, assert_lease_lost, because, new_builder, new_launch},
    support::at,
};

on_both_databases!(
    an_instance_becomes_a_builder_with_its_intent_or_not_at_all,
    an_instance_is_adopted_once,
    what_is_being_ended_is_not_adopted,
    what_an_operator_brought_is_no_launch_of_the_pool,
    the_key_of_an_instance_is_that_which_the_farm_gave_it,
    a_stray_that_is_ignored_stays_so_whatever_the_lists_say,
);

fn adoption(instance: &str) -> Adoption {
    Adoption {
        builder: new_builder(),
        instance_id: instance.to_owned(),
        host_key: "ssh-ed25519 BBBB".to_owned(),
        offering: Some("c5.large spot".parse().unwrap()),
    }
}

/// An intent that was taken up.
async fn wanted(farm: &Farm, key: &str) -> Intent {
    let request = Request::Adopt {
        instance: "i-1".to_owned(),
        pool: "small".parse().unwrap(),
        host_key: None,
    };
    let fleet = farm.lease.fleet;
    let asked = (&request, key, "operator:root");
    let (new, _) = farm.store.add_intent(fleet, asked, at(1)).await.unwrap();
    let decision = Decision::of(IntentState::Running, "the cloud is asked");
    let settled = farm.store.settle_intent(&farm.lease, &new, &decision, at(2));
    settled.await.unwrap();
    farm.store.intent(fleet, key).await.unwrap().unwrap()
}

async fn adopt(farm: &Farm, wanted: &Intent, adoption: &Adoption) -> Result<(), store::Error> {
    farm.store.adopt(&farm.lease, wanted, adoption, at(3)).await
}

async fn see(farm: &Farm, seen: &[(&str, Option<&str>)], now: u64) {
    let seen: Vec<_> = seen
        .iter()
        .map(|(id, pool)| Sighting {
            pool: pool.map(|pool| pool.parse().unwrap()),
            ..Sighting::of(id, "running")
        })
        .collect();
    let recorded = farm.store.record_sightings(&farm.lease, "dev", &seen, at(now));
    recorded.await.unwrap();
}

async fn an_instance_becomes_a_builder_with_its_intent_or_not_at_all(farm: Farm) {
    let (intent, adoption) = (wanted(&farm, "one").await, adoption("i-1"));
    let before = farm.last_event().await;
    let late = Lease {
        epoch: farm.lease.epoch - 1,
        ..farm.lease
    };
    assert_lease_lost(farm.store.adopt(&late, &intent, &adoption, at(3)).await);
    let mut odd = adoption.clone();
    odd.instance_id = "i-\0".to_owned();
    assert_invalid(adopt(&farm, &intent, &odd).await);
    assert_eq!(farm.store.builders(None).await.unwrap(), []);
    adopt(&farm, &intent, &adoption).await.unwrap();
    let builder = farm.builder(adoption.builder.id).await;
    assert_eq!((builder.state, builder.version), (BuilderState::Pending, 1));
    assert_eq!(builder.instance_id.as_deref(), Some("i-1"));
    assert_eq!(builder.host_key.as_deref(), Some("ssh-ed25519 BBBB"));
    assert_eq!(
        (builder.deadline, builder.host_key_secret.as_ref()),
        (Some(at(600)), None)
    );
    assert!(builder.is_adopted());
    assert_eq!(
        (builder.offering(), builder.rented_since()),
        (adoption.offering.as_ref(), Some(at(3)))
    );
    let view = farm.store.fleet_snapshot(farm.lease.fleet, at(4)).await.unwrap();
    assert_eq!(view.intents[0].builders, [builder.id]);
    assert_eq!(view.made[0].state, BuilderState::Pending);
    assert!(view.intents[0].wants().is_none());
    let told = farm.events_after(before).await;
    assert_eq!((told.len(), told[0].actor.as_str()), (1, "operator:root"));
    // It goes on as one that was launched.
    let change = Change {
        address: Some("192.0.2.9".to_owned()),
        ..because("it runs")
    };
    let moved = farm
        .store
        .transition(&farm.lease, &builder, BuilderState::Booting, &change, at(5));
    assert_eq!(moved.await.unwrap().host_key.as_deref(), Some("ssh-ed25519 BBBB"));
}

async fn an_instance_is_adopted_once(farm: Farm) {
    let (one, two) = (wanted(&farm, "one").await, wanted(&farm, "two").await);
    let first = adoption("i-1");
    adopt(&farm, &one, &first).await.unwrap();
    // The same again, and another who wants the same.
    assert_conflict(adopt(&farm, &one, &adoption("i-2")).await);
    assert_conflict(adopt(&farm, &two, &adoption("i-1")).await);
    let found = farm.store.intent(farm.lease.fleet, "two").await.unwrap().unwrap();
    assert_eq!(found, two, "nothing is left of what was refused");
    let builders = farm.store.builders(None).await.unwrap();
    assert_eq!(
        builders.iter().map(|it| it.id).collect::<Vec<_>>(),
        [first.builder.id]
    );
    // What has not been taken up wants nothing, nor what is over.
    let over = Decision::of(IntentState::Refused, "no");
    farm.store
        .settle_intent(&farm.lease, &two, &over, at(4))
        .await
        .unwrap();
    assert_conflict(adopt(&farm, &two, &adoption("i-3")).await);
}

async fn what_is_being_ended_is_not_adopted(farm: Farm) {
    see(&farm, &[("i-1", Some("small")), ("i-2", None)], 1).await;
    let intent = wanted(&farm, "one").await;
    let (store, lease) = (&farm.store, &farm.lease);
    store.note_ends(lease, "dev", &["i-1"], at(2)).await.unwrap();
    let late = Lease {
        epoch: lease.epoch - 1,
        ..*lease
    };
    assert_lease_lost(store.note_ends(&late, "dev", &["i-2"], at(2)).await);
    let strays = async || {
        let orphans = store.orphans(lease.fleet, None).await.unwrap();
        let told = orphans
            .into_iter()
            .map(|it| (it.instance_id, it.is_ending, it.pool.is_some()));
        told.collect::<Vec<_>>()
    };
    let expected = |is_ending| {
        vec![
            ("i-1".to_owned(), is_ending, true),
            ("i-2".to_owned(), false, false),
        ]
    };
    assert_eq!(strays().await, expected(true));
    // A list that shows it still changes nothing.
    see(&farm, &[("i-1", Some("small")), ("i-2", None)], 3).await;
    assert_eq!(strays().await, expected(true));
    assert_conflict(adopt(&farm, &intent, &adoption("i-1")).await);
    store
        .note_refusal(lease, "dev", "i-1", "no", at(4))
        .await
        .unwrap();
    assert_eq!(strays().await, expected(false));
    // It is told once more, and refuses for the same reason.
    store.note_ends(lease, "dev", &["i-1"], at(5)).await.unwrap();
    store
        .note_refusal(lease, "dev", "i-1", "no", at(6))
        .await
        .unwrap();
    assert_eq!(strays().await, expected(false));
    adopt(&farm, &intent, &adoption("i-1")).await.unwrap();
    assert_eq!(strays().await, [("i-2".to_owned(), false, false)]);
}

async fn what_an_operator_brought_is_no_launch_of_the_pool(farm: Farm) {
    let failures = async || {
        let view = farm.store.fleet_snapshot(farm.lease.fleet, at(9)).await.unwrap();
        view.histories
            .values()
            .map(|history| history.failures)
            .sum::<u32>()
    };
    let launched = farm.builder_in(BuilderState::Pending).await;
    farm.go(&launched, BuilderState::Terminating).await;
    assert_eq!(failures().await, 1);
    let (intent, adoption) = (wanted(&farm, "one").await, adoption("i-9"));
    adopt(&farm, &intent, &adoption).await.unwrap();
    let mut builder = farm.builder(adoption.builder.id).await;
    builder = farm.go(&builder, BuilderState::Terminating).await;
    assert_eq!(failures().await, 1, "neither a failure");
    farm.go(&builder, BuilderState::Terminated).await;
    let again = wanted(&farm, "two").await;
    let mut adoption = adoption_of(&adoption);
    adoption.instance_id = "i-8".to_owned();
    adopt(&farm, &again, &adoption).await.unwrap();
    let mut builder = farm.builder(adoption.builder.id).await;
    for to in [
        BuilderState::Booting,
        BuilderState::Provisioning,
        BuilderState::Checking,
        BuilderState::Ready,
    ] {
        builder = farm.go(&builder, to).await;
    }
    assert_eq!(failures().await, 1, "nor a success");
}

fn adoption_of(before: &Adoption) -> Adoption {
    Adoption {
        builder: new_builder(),
        ..before.clone()
    }
}

async fn the_key_of_an_instance_is_that_which_the_farm_gave_it(farm: Farm) {
    let fleet = farm.lease.fleet;
    let key = async |instance: &str, tagged: Option<(BuilderId, LaunchId)>| {
        let found = farm.store.key_of_instance(fleet, ("dev", instance), tagged);
        found.await.unwrap()
    };
    assert_eq!(key("i-1", None).await, None);
    // One that had the instance, and has ended.
    let builder = farm.planned_builder().await;
    let first = new_launch();
    let asked = farm
        .store
        .begin_launch(&farm.lease, &builder, &first, at(60), at(2));
    let mut builder = asked.await.unwrap();
    let change = Change {
        instance_id: Some("i-1".to_owned()),
        ..because("it is given")
    };
    let moved = farm
        .store
        .transition(&farm.lease, &builder, BuilderState::Pending, &change, at(3));
    builder = moved.await.unwrap();
    for to in [BuilderState::Terminating, BuilderState::Terminated] {
        builder = farm.go(&builder, to).await;
    }
    let given = Some("ssh-ed25519 AAAA".to_owned());
    assert_eq!(key("i-1", None).await, given);
    let other = farm.store.key_of_instance(fleet, ("aws", "i-1"), None);
    assert_eq!(other.await.unwrap(), None, "another cloud's instance of that id");
    let stranger = model::FleetId(Uuid::now_v7());
    let other = farm.store.key_of_instance(stranger, ("dev", "i-1"), None);
    assert_eq!(other.await.unwrap(), None, "another fleet's");

    // One whose launch was given up, though a machine came of it: the tags name both.
    let lost = farm.planned_builder().await;
    let launch = new_launch();
    let asked = farm
        .store
        .begin_launch(&farm.lease, &lost, &launch, at(60), at(4));
    let lost = asked.await.unwrap();
    let lost = farm.go(&lost, BuilderState::Abandoned).await;
    assert_eq!(key("i-2", None).await, None);
    assert_eq!(key("i-2", Some((lost.id, launch.id))).await, given);
    // An earlier launch of the same builder gave another key.
    assert_eq!(key("i-2", Some((lost.id, first.id))).await, None);
    assert_eq!(
        key("i-2", Some((BuilderId(Uuid::now_v7()), launch.id))).await,
        None
    );
}

async fn a_stray_that_is_ignored_stays_so_whatever_the_lists_say(farm: Farm) {
    see(&farm, &[("i-1", None), ("i-2", None)], 1).await;
    let ignored = |why: &str| Ignored {
        by: "root".to_owned(),
        why: why.to_owned(),
    };
    let set = async |key: &str, word: Option<Ignored>| {
        let fleet = farm.lease.fleet;
        let asked = (&Request::Reconcile, key, "operator:root");
        let (intent, _) = farm.store.add_intent(fleet, asked, at(2)).await.unwrap();
        let decision = Decision {
            disregard: Some(Disregard {
                cloud: "dev".to_owned(),
                instance: "i-1".to_owned(),
                ignored: word,
            }),
            ..Decision::of(IntentState::Done, "so it is")
        };
        let settled = farm.store.settle_intent(&farm.lease, &intent, &decision, at(2));
        settled.await.unwrap();
    };
    let told = async || {
        let orphans = farm.store.orphans(farm.lease.fleet, None).await.unwrap();
        let one = orphans.into_iter().find(|it| it.instance_id == "i-1");
        one.and_then(|it| it.ignored)
    };
    set("one", Some(ignored("mine"))).await;
    set("two", Some(ignored("evidence"))).await;
    assert_eq!(told().await, Some(ignored("evidence")), "the last word counts");
    // What a cloud refused before is no trouble any more.
    farm.store
        .note_refusal(&farm.lease, "dev", "i-1", "no", at(3))
        .await
        .unwrap();
    let condition = farm
        .store
        .fleet_condition(Some(farm.lease.fleet), at(3))
        .await
        .unwrap();
    assert!(condition.refused_ends.is_empty(), "{condition:?}");
    see(&farm, &[("i-2", None)], 4).await;
    assert_eq!(told().await, None, "it is not listed");
    see(&farm, &[("i-1", None), ("i-2", None)], 5).await;
    assert_eq!(told().await, Some(ignored("evidence")));
    set("three", None).await;
    assert_eq!(told().await, None);
    // Who adopts it does not ignore it.
    set("four", Some(ignored("mine"))).await;
    let intent = wanted(&farm, "five").await;
    let adoption = adoption("i-1");
    adopt(&farm, &intent, &adoption).await.unwrap();
    let mut builder = farm.builder(adoption.builder.id).await;
    for to in [BuilderState::Terminating, BuilderState::Terminated] {
        builder = farm.go(&builder, to).await;
    }
    assert_eq!(told().await, None);
}
