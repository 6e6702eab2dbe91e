//! The life of a builder: each move by compare-and-set, told in an event of the same transaction.

use model::{BuilderId, BuilderState, LaunchAnswer, LaunchHistory};
use serde_json::json;
use store::{Change, Error, EventFilter, FleetCache, Page};
use uuid::Uuid;

use crate::{
    farm::{
        Farm, WORKER, assert_conflict, assert_invalid, assert_not_found, because, collected, new_builder,
        new_launch, the_one_winner,
    },
    support::at,
};

on_both_databases!(
    a_builder_lives_from_the_wish_to_the_clouds_word_and_each_move_is_told,
    no_move_is_made_that_the_model_forbids_or_that_was_decided_on_an_old_look,
    of_two_who_move_a_builder_one_does,
    a_move_whose_event_cannot_be_written_does_not_happen,
    a_launch_is_on_record_before_the_cloud_is_called,
    the_secret_host_key_is_kept_only_while_a_launch_may_be_repeated,
    an_instance_is_one_builders,
    what_a_change_does_not_name_stays,
    a_builder_is_wanted_once,
    a_cordon_is_told_and_lifted,
    builders_that_are_gone_are_listed_only_since_a_moment,
    whoever_looks_again_sees_each_change_of_a_builder,
    a_pools_failed_launches_in_a_row_are_counted,
);

async fn a_builder_lives_from_the_wish_to_the_clouds_word_and_each_move_is_told(farm: Farm) {
    use BuilderState as S;
    let planned = farm.planned_builder().await;
    assert_eq!(
        (planned.state, planned.version, planned.launches),
        (S::Planned, 1, 0)
    );
    assert_eq!((planned.created_at, planned.deadline), (at(1), Some(at(600))));
    let mut builder = farm.launch(&planned).await;
    let moves = [
        S::Resolving,
        S::Pending,
        S::Booting,
        S::Provisioning,
        S::Checking,
        S::Ready,
        S::Draining,
        S::Terminating,
        S::Terminated,
    ];
    for to in moves {
        let before = builder.version;
        builder = farm.go(&builder, to).await;
        assert_eq!((builder.state, builder.version), (to, before + 1));
    }
    assert_eq!(farm.builder(builder.id).await, builder);
    assert_eq!(builder.ready_at, Some(at(2)));

    let filter = EventFilter {
        builder: Some(builder.id),
        ..EventFilter::default()
    };
    let told = farm.events(filter).await;
    let states: Vec<_> = told.iter().map(|it| it.new_state.clone().unwrap()).collect();
    let expected: Vec<_> = [S::Planned, S::Launching]
        .iter()
        .chain(&moves)
        .map(S::to_string)
        .collect();
    assert_eq!(states, expected);
    for (before, after) in told.iter().zip(&told[1..]) {
        assert_eq!(before.new_state, after.old_state);
    }
    assert!(told.iter().all(|event| event.actor == "controller"));
}

async fn no_move_is_made_that_the_model_forbids_or_that_was_decided_on_an_old_look(farm: Farm) {
    let real = farm.builder_in(BuilderState::Booting).await;
    let before = farm.last_event().await;
    for from in BuilderState::ALL {
        for to in BuilderState::ALL {
            // A look that says `from`, at a builder that has moved on since.
            let look = store::Builder {
                state: from,
                version: real.version - 1,
                ..real.clone()
            };
            let answer = farm
                .store
                .transition(&farm.lease, &look, to, &because("a test"), at(9))
                .await;
            let belongs_elsewhere = matches!(
                to,
                BuilderState::Launching | BuilderState::Reserved | BuilderState::Busy
            );
            if from.may_become(to) && !belongs_elsewhere {
                assert_conflict(answer);
            } else {
                assert_invalid(answer);
            }
        }
    }
    // The right version does not help when the state is not the one that was looked at.
    let look = store::Builder {
        state: BuilderState::Ready,
        ..real.clone()
    };
    let nobody = store::Builder {
        id: BuilderId(Uuid::now_v7()),
        ..real.clone()
    };
    for (look, to) in [
        (look, BuilderState::Draining),
        (nobody, BuilderState::Terminating),
    ] {
        let answer = farm
            .store
            .transition(&farm.lease, &look, to, &because("a test"), at(9))
            .await;
        assert_conflict(answer);
    }
    assert_invalid(
        farm.store
            .begin_launch(&farm.lease, &real, &new_launch(), at(60), at(9))
            .await,
    );

    assert_eq!(farm.builder(real.id).await, real);
    assert_eq!(farm.last_event().await, before);
}

async fn of_two_who_move_a_builder_one_does(farm: Farm) {
    let builder = farm.ready_builder().await;
    let before = farm.last_event().await;
    let (here, there) = (farm.store.clone(), farm.database.connect().await);
    let change = because("a race");
    let (left, right) = tokio::join!(
        here.transition(&farm.lease, &builder, BuilderState::Draining, &change, at(9)),
        there.transition(&farm.lease, &builder, BuilderState::Checking, &change, at(9)),
    );
    let winner = the_one_winner(vec![left, right]);
    assert_eq!(farm.builder(builder.id).await, winner);
    let events = farm.events_after(before).await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].new_state, Some(winner.state.to_string()));
}

async fn a_move_whose_event_cannot_be_written_does_not_happen(farm: Farm) {
    let build = farm.submit().await.id;
    let epoch = farm.assign(build).await;
    let (booting, planned) = (
        farm.builder_in(BuilderState::Booting).await,
        farm.planned_builder().await,
    );
    let before = farm.build(build).await;
    let raw = farm.raw().await;
    raw.execute("ALTER TABLE event RENAME TO elsewhere").await;

    let (to, change) = (BuilderState::Provisioning, because("x"));
    let moved = farm
        .store
        .transition(&farm.lease, &booting, to, &change, at(9))
        .await;
    let launched = farm
        .store
        .begin_launch(&farm.lease, &planned, &new_launch(), at(60), at(9))
        .await;
    for answer in [
        moved.map(drop),
        launched.map(drop),
        farm.store.plan_builder(&farm.lease, &new_builder(), at(9)).await,
        farm.store.accept_allocation(epoch, "w", at(60), at(9)).await,
    ] {
        assert!(matches!(answer, Err(Error::Refused { .. })), "{answer:?}");
    }
    raw.execute("ALTER TABLE elsewhere RENAME TO event").await;
    assert_eq!(farm.builder(booting.id).await, booting);
    assert_eq!(farm.builder(planned.id).await, planned);
    assert_eq!(farm.store.builders(None).await.unwrap().len(), 3);
    assert_eq!(farm.build(build).await, before);
    assert_eq!(farm.store.offered_allocations(10).await.unwrap().len(), 1);
}

async fn a_launch_is_on_record_before_the_cloud_is_called(farm: Farm) {
    let planned = farm.planned_builder().await;
    let launch = new_launch();
    let launching = farm
        .store
        .begin_launch(&farm.lease, &planned, &launch, at(60), at(5))
        .await
        .unwrap();
    assert_eq!(
        (launching.state, launching.launches),
        (BuilderState::Launching, 1)
    );
    assert_eq!(
        (launching.deadline, launching.instance_id.as_ref()),
        (Some(at(60)), None)
    );
    let call = launching.launch.as_ref().unwrap();
    assert_eq!(
        (call.id, &call.offering, &call.params_hash),
        (launch.id, &launch.offering, &launch.params_hash)
    );
    assert_eq!(
        (call.asked_at, call.answered_at, &call.outcome),
        (at(5), None, &None)
    );
    // Of two who launch it, one does.
    assert_conflict(
        farm.store
            .begin_launch(&farm.lease, &planned, &new_launch(), at(60), at(6))
            .await,
    );

    let refused = Change {
        launch_answer: Some(LaunchAnswer::Refused),
        ..because("no capacity")
    };
    let back = farm
        .store
        .transition(&farm.lease, &launching, BuilderState::Planned, &refused, at(7));
    let back = back.await.unwrap();
    let call = back.launch.as_ref().unwrap();
    assert_eq!(
        (call.outcome.as_deref(), call.answered_at),
        (Some("no capacity"), Some(at(7)))
    );
    // A token goes with one call.
    assert_conflict(
        farm.store
            .begin_launch(&farm.lease, &back, &launch, at(60), at(8))
            .await,
    );
    // The clock was set back between the two: the one that is open is asked for, with its own token and key.
    let second = new_launch();
    let again = farm
        .store
        .begin_launch(&farm.lease, &back, &second, at(60), at(3))
        .await
        .unwrap();
    assert_eq!((again.launches, again.refusals, again.postponements), (2, 1, 0));
    let call = again.launch.as_ref().unwrap();
    assert_eq!((call.id, &call.outcome), (second.id, &None));
    assert_eq!(again.host_key, second.host_key_public);
    let given = Change {
        launch_answer: Some(LaunchAnswer::Given),
        instance_id: Some("i-1".to_owned()),
        ..because("the cloud gave it")
    };
    let given = farm
        .store
        .transition(&farm.lease, &again, BuilderState::Pending, &given, at(4));
    assert_eq!(given.await.unwrap().launch.unwrap().id, second.id);
}

async fn the_secret_host_key_is_kept_only_while_a_launch_may_be_repeated(farm: Farm) {
    let launching = farm.builder_in(BuilderState::Launching).await;
    assert_eq!(launching.host_key_secret.as_deref(), Some("the secret half"));
    assert_eq!(launching.host_key.as_deref(), Some("ssh-ed25519 AAAA"));
    assert!(!format!("{launching:?} {:?}", new_launch()).contains("the secret half"));
    let resolving = farm.go(&launching, BuilderState::Resolving).await;
    assert_eq!(resolving.host_key_secret.as_deref(), Some("the secret half"));
    let pending = farm.go(&resolving, BuilderState::Pending).await;
    assert_eq!(pending.host_key_secret, None);
    assert_eq!(pending.host_key.as_deref(), Some("ssh-ed25519 AAAA"));
}

async fn an_instance_is_one_builders(farm: Farm) {
    let change = Change {
        instance_id: Some("i-1".to_owned()),
        ..because("launched")
    };
    let (first, second) = (
        farm.builder_in(BuilderState::Launching).await,
        farm.builder_in(BuilderState::Launching).await,
    );
    let first = farm
        .store
        .transition(&farm.lease, &first, BuilderState::Pending, &change, at(3))
        .await
        .unwrap();
    let taken = farm
        .store
        .transition(&farm.lease, &second, BuilderState::Pending, &change, at(3))
        .await;
    assert!(
        taken.as_ref().unwrap_err().to_string().contains("i-1"),
        "{taken:?}"
    );
    assert_conflict(taken);
    assert_eq!(farm.builder(second.id).await, second);
    assert_eq!(farm.store.builder_by_instance("i-1").await.unwrap(), Some(first));
    assert_eq!(farm.store.builder_by_instance("i-2").await.unwrap(), None);
    assert_invalid(farm.store.builder_by_instance("\0").await);
}

async fn what_a_change_does_not_name_stays(farm: Farm) {
    let launching = farm.builder_in(BuilderState::Launching).await;
    let change = Change {
        reason: "it runs".to_owned(),
        deadline: Some(at(99)),
        instance_id: Some("i-1".to_owned()),
        address: Some("192.0.2.7".to_owned()),
        ..Change::default()
    };
    let pending = farm
        .store
        .transition(&farm.lease, &launching, BuilderState::Pending, &change, at(3));
    let pending = pending.await.unwrap();
    assert_eq!(
        (pending.deadline, pending.reason.as_deref()),
        (Some(at(99)), Some("it runs"))
    );
    let booting = farm.go(&pending, BuilderState::Booting).await;
    assert_eq!(
        (&booting.instance_id, &booting.address),
        (&pending.instance_id, &pending.address)
    );
    assert_eq!(booting.address.as_deref(), Some("192.0.2.7"));
    assert_eq!((&booting.host_key, booting.port), (&launching.host_key, 22));
    assert_eq!(booting.deadline, None, "each state has its own clock, or none");
}

async fn a_builder_is_wanted_once(farm: Farm) {
    let mut new = new_builder();
    farm.store.plan_builder(&farm.lease, &new, at(1)).await.unwrap();
    new.pool = "big".parse().unwrap();
    assert_conflict(farm.store.plan_builder(&farm.lease, &new, at(2)).await);
    assert_eq!(farm.builder(new.id).await.pool.as_str(), "small");
    let mut without_port = new_builder();
    without_port.port = 0;
    assert_invalid(farm.store.plan_builder(&farm.lease, &without_port, at(2)).await);
    assert_eq!(farm.store.builder(without_port.id).await.unwrap(), None);
}

async fn a_cordon_is_told_and_lifted(farm: Farm) {
    let builder = farm.ready_builder().await;
    for cordoned in [true, false] {
        let before = farm.last_event().await;
        farm.store
            .set_cordon(builder.id, cordoned, "user:root", at(9))
            .await
            .unwrap();
        assert_eq!(farm.builder(builder.id).await.cordoned, cordoned);
        let events = farm.events_after(before).await;
        assert_eq!((events.len(), events[0].builder), (1, Some(builder.id)));
        assert_eq!(events[0].actor, "user:root");
    }
    let nobody = BuilderId(Uuid::now_v7());
    assert_not_found(farm.store.set_cordon(nobody, true, "user:root", at(9)).await);
}

async fn builders_that_are_gone_are_listed_only_since_a_moment(farm: Farm) {
    let (gone, alive) = (farm.planned_builder().await, farm.ready_builder().await);
    let change = because("nobody wants it any more");
    farm.store
        .transition(&farm.lease, &gone, BuilderState::Abandoned, &change, at(50))
        .await
        .unwrap();
    let listed = async |since: Option<u64>| {
        let builders = farm.store.builders(since.map(at)).await.unwrap();
        builders.into_iter().map(|builder| builder.id).collect::<Vec<_>>()
    };
    assert_eq!(listed(None).await, [alive.id]);
    assert_eq!(listed(Some(51)).await, [alive.id]);
    assert_eq!(listed(Some(50)).await, [gone.id, alive.id]);
    let another = farm.planned_builder().await;
    let change = because("nobody wants it either");
    let moved = (farm.store).transition(&farm.lease, &another, BuilderState::Abandoned, &change, at(55));
    moved.await.unwrap();
    let listed = async |since: Option<u64>, limit: u64, offset: u64| {
        let page = Page {
            limit: Some(limit),
            offset,
        };
        let builders = farm.store.builders_page(since.map(at), page).await.unwrap();
        builders.into_iter().map(|builder| builder.id).collect::<Vec<_>>()
    };
    // Those that live, then those that are gone, the last one first; in pages of any size.
    assert_eq!(listed(Some(50), 9, 0).await, [alive.id, another.id, gone.id]);
    assert_eq!(listed(Some(51), 9, 0).await, [alive.id, another.id]);
    assert_eq!(listed(Some(50), 2, 0).await, [alive.id, another.id]);
    assert_eq!(listed(Some(50), 1, 1).await, [another.id]);
    assert_eq!(listed(Some(50), 2, 2).await, [gone.id]);
    assert_eq!(listed(Some(50), 2, 3).await, []);
    assert_eq!(listed(None, 9, 0).await, [alive.id]);
    let view = farm.store.fleet_snapshot(farm.lease.fleet, at(60)).await.unwrap();
    assert_eq!(*view.builders, [alive]);
    assert_eq!(farm.builder(gone.id).await.state, BuilderState::Abandoned);
}

async fn whoever_looks_again_sees_each_change_of_a_builder(farm: Farm) {
    let (store, fleet) = (&farm.store, farm.lease.fleet);
    let mut cache = FleetCache::default();
    let mut look = async |what: &str| {
        let first = store.fleet_snapshot(fleet, at(60)).await.unwrap();
        let again = store.look_at_fleet(fleet, &mut cache, at(60)).await.unwrap();
        assert_eq!(again.builders, first.builders, "{what}");
        let builders = store.look_at_builders(fleet, &mut cache).await.unwrap();
        assert_eq!(builders, first.builders, "{what}");
        first.builders.len()
    };
    assert_eq!(look("nothing").await, 0);
    let planned = farm.planned_builder().await;
    assert_eq!(look("one is planned").await, 1);
    let launching = farm.launch(&planned).await;
    farm.ready_builder().await;
    assert_eq!(look("one is asked for, and another came").await, 2);
    let annotated = store.annotate_builder(&farm.lease, &launching, "the cloud is slow");
    annotated.await.unwrap();
    assert_eq!(look("something is added to a reason").await, 2);
    (store.set_cordon(launching.id, true, "user:root", at(9)))
        .await
        .unwrap();
    assert_eq!(look("one is cordoned").await, 2);
    let change = because("the cloud never answered");
    let moved = store.transition(&farm.lease, &launching, BuilderState::Resolving, &change, at(50));
    let resolving = moved.await.unwrap();
    assert_eq!(look("one moves").await, 2);
    let moved = store.transition(&farm.lease, &resolving, BuilderState::Abandoned, &change, at(51));
    moved.await.unwrap();
    assert_eq!(look("one is gone").await, 1);
    let build = farm.submit().await.id;
    let epoch = farm.begin(build).await;
    look("one is busy").await;
    farm.renew(epoch, WORKER, 7, (4000, 70)).await;
    look("its worker gives a sign of life").await;
    farm.finish(epoch, &collected(build)).await;
    look("its attempt ends").await;
}

fn never_answered(failures: u32, last: u64) -> Option<LaunchHistory> {
    Some(LaunchHistory {
        failures,
        last_failure: Some(at(last)),
        last_reason: Some("it never answered\u{fffd}".to_owned()),
    })
}

async fn a_pools_failed_launches_in_a_row_are_counted(farm: Farm) {
    let pool = new_builder().pool;
    let history = async || {
        let view = farm.store.fleet_snapshot(farm.lease.fleet, at(60)).await.unwrap();
        view.histories.get(&pool).cloned()
    };
    let end = async |now, is_excused| {
        let builder = farm.builder_in(BuilderState::Booting).await;
        // What a playbook printed is part of such words.
        let change = Change {
            is_excused,
            ..because("it never answered\0")
        };
        farm.store
            .transition(&farm.lease, &builder, BuilderState::Terminating, &change, at(now))
            .await
            .unwrap();
    };
    assert_eq!(history().await, None);
    // That the cloud takes a machine back says nothing of the pool.
    end(5, true).await;
    assert_eq!(history().await, None);
    end(10, false).await;
    assert_eq!(history().await, never_answered(1, 10));
    end(15, true).await;
    assert_eq!(history().await, never_answered(1, 10));
    end(20, false).await;
    assert_eq!(history().await, never_answered(2, 20));

    let ready = farm.ready_builder().await;
    assert_eq!(history().await, never_answered(0, 20));
    farm.go(&ready, BuilderState::Draining).await;
    assert_eq!(
        history().await,
        never_answered(0, 20),
        "it was ready once: that is no failed launch"
    );

    // A new specification starts anew; the same one again does not.
    for (hash, expected) in [
        ("aa", Some(LaunchHistory::default())),
        ("bb", Some(LaunchHistory::default())),
        ("bb", never_answered(1, 30)),
    ] {
        farm.store
            .record_pool(&farm.lease, &pool, &json!({"hash": hash}), hash, at(25))
            .await
            .unwrap();
        assert_eq!(history().await, expected, "{hash}");
        if hash == "bb" && expected == Some(LaunchHistory::default()) {
            end(30, false).await;
        }
    }
}
