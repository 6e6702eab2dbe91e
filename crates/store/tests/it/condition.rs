//! What is wrong with the fleet, and what an operator and the end of the farm change.

use model::{
    AttemptState, Blame, BuildState, BuilderState, FleetId, LaunchAnswer, PoolName, Timestamp,
    condition::Leadership, plan::CloudTrouble,
};
use serde_json::json;
use store::{Change, Outcome, Sighting};
use uuid::Uuid;

use crate::{
    farm::{CANCELED, CHROOT, Farm, TTL, assert_lease_lost, assert_not_found, because, new_builder},
    support::at,
};

on_both_databases!(
    a_fleet_that_nobody_leads_says_since_when,
    a_cloud_that_gives_no_machines_is_told_of_until_it_does,
    a_fleet_file_that_is_not_in_force_is_told_of_until_it_is,
    a_pool_that_is_resumed_launches_as_it_needs,
    a_pool_that_is_in_no_file_any_more_is_told_of_no_longer,
    what_a_cloud_refuses_to_end_is_told_with_the_reason,
    builders_that_do_not_end_are_told_of_after_a_quarter_of_an_hour,
    what_keeps_a_builder_in_its_state_is_added_to_its_reason_once,
    attempts_that_the_end_of_the_farm_lost_do_not_count,
    attempts_on_machines_that_the_cloud_took_back_do_not_count,
    what_a_worker_gave_up_before_its_cloud_said_that_it_took_the_machine_back_does_not_count,
    only_machines_that_ended_with_the_farm_lose_their_attempts,
    builders_of_another_fleet_are_forsaken_unless_somebody_leads_it,
);

async fn leadership(farm: &Farm, now: u64) -> Leadership {
    let fleet = farm.lease.fleet;
    let condition = farm.store.fleet_condition(Some(fleet), at(now)).await.unwrap();
    condition.leadership
}

async fn a_fleet_that_nobody_leads_says_since_when(farm: Farm) {
    let held = Leadership::Held {
        holder: "controller-1".to_owned(),
    };
    let vacant = |since: Option<Timestamp>| Leadership::Vacant { since };
    assert_eq!(leadership(&farm, 14).await, held);
    assert_eq!(
        leadership(&farm, 15).await,
        vacant(Some(at(15))),
        "its time is over"
    );
    farm.store.renew_lease(&farm.lease, TTL, at(20)).await.unwrap();
    assert_eq!(leadership(&farm, 21).await, held);
    farm.store.release_lease(&farm.lease, at(22)).await.unwrap();
    assert_eq!(
        leadership(&farm, 30).await,
        vacant(Some(at(22))),
        "it was given back"
    );
    let never = FleetId(Uuid::now_v7());
    let condition = farm.store.fleet_condition(Some(never), at(30)).await.unwrap();
    assert_eq!(condition.leadership, vacant(None));
}

async fn a_cloud_that_gives_no_machines_is_told_of_until_it_does(farm: Farm) {
    let trouble = |reason: &str| CloudTrouble {
        cloud: "dev".to_owned(),
        since: at(5),
        reason: reason.to_owned(),
        detail: format!("{reason}: in full"),
    };
    let set = async |trouble: Option<&CloudTrouble>| {
        let set = farm.store.set_cloud_trouble(&farm.lease, "dev", trouble, at(6));
        set.await.unwrap();
        let view = farm.store.fleet_snapshot(farm.lease.fleet, at(7)).await.unwrap();
        let condition = farm.store.fleet_condition(None, at(7)).await.unwrap();
        assert_eq!(view.troubles, condition.clouds);
        condition.clouds
    };
    assert_eq!(set(None).await, []);
    assert_eq!(set(Some(&trouble("away"))).await, [trouble("away")]);
    assert_eq!(set(Some(&trouble("refuses"))).await, [trouble("refuses")]);
    let other = FleetId(Uuid::now_v7());
    let condition = farm.store.fleet_condition(Some(other), at(7)).await.unwrap();
    assert_eq!(condition.clouds, [], "each fleet has its own");
    let before = farm.last_event().await;
    assert_eq!(set(None).await, []);
    assert_eq!(set(None).await, []);
    let told = farm.events_after(before).await;
    assert_eq!(told.len(), 1, "{told:?}");
    farm.store.release_lease(&farm.lease, at(8)).await.unwrap();
    let late = farm.store.set_cloud_trouble(&farm.lease, "dev", None, at(9));
    assert_lease_lost(late.await);
}

async fn a_fleet_file_that_is_not_in_force_is_told_of_until_it_is(farm: Farm) {
    let file = async |fleet: Option<FleetId>| {
        let condition = farm.store.fleet_condition(fleet, at(9)).await.unwrap();
        condition.file.map(|file| (file.since, file.words))
    };
    let ours = Some(farm.lease.fleet);
    let spec = |name: &str| json!({"name": name});
    let put = async |name, problem, now| {
        let spec = spec(name);
        farm.store
            .record_fleet_file(&farm.lease, &spec, problem, at(now))
            .await
    };
    assert_eq!(farm.store.fleet_file(None).await.unwrap(), None);
    let before = farm.last_event().await;
    put("one", None, 1).await.unwrap();
    assert_eq!(file(ours).await, None);
    let mistake = "fleet.yaml:3:9: there is no image `x`";
    put("one", Some(mistake), 2).await.unwrap();
    // The same again is nothing new.
    put("one", Some(mistake), 3).await.unwrap();
    let expected = Some((at(2), mistake.to_owned()));
    assert_eq!(file(ours).await, expected);
    assert_eq!(file(None).await, expected);
    let another = Some(FleetId(Uuid::now_v7()));
    assert_eq!(file(another).await, None, "each fleet has its own");
    assert_eq!(farm.store.fleet_file(another).await.unwrap(), None);
    put("one", Some("fleet.yaml:4:1: a tab"), 4).await.unwrap();
    let expected = Some((at(4), "fleet.yaml:4:1: a tab".to_owned()));
    assert_eq!(file(ours).await, expected);
    for fleet in [ours, None] {
        assert_eq!(farm.store.fleet_file(fleet).await.unwrap(), Some(spec("one")));
    }
    // Whoever leads next still knows.
    let taken = farm
        .store
        .acquire_lease(farm.lease.fleet, "controller-1", TTL, at(5));
    let taken = taken.await.unwrap().unwrap();
    assert_lease_lost(put("late", None, 6).await);
    let two = spec("two");
    let mended = farm.store.record_fleet_file(&taken, &two, None, at(7));
    mended.await.unwrap();
    assert_eq!(file(ours).await, None);
    assert_eq!(farm.store.fleet_file(ours).await.unwrap(), Some(spec("two")));
    let told = farm.events_after(before).await;
    let told = told.iter().filter(|it| it.subject_kind == "fleet_file");
    let told: Vec<_> = told.map(|it| it.reason.as_str()).collect();
    let expected = [mistake, "fleet.yaml:4:1: a tab", "it is in force as it stands"];
    assert_eq!(told, expected);
}

async fn a_pool_that_is_resumed_launches_as_it_needs(farm: Farm) {
    let pool = new_builder().pool;
    let resume = async |now| {
        let (store, fleet) = (&farm.store, farm.lease.fleet);
        store.resume_pool(fleet, &pool, "alice", at(now)).await
    };
    assert_not_found(resume(1).await);
    for _ in 0..3 {
        let builder = farm.builder_in(BuilderState::Launching).await;
        let refused = Change {
            launch_answer: Some(LaunchAnswer::Refused),
            ..because("refused")
        };
        let given_up =
            farm.store
                .transition(&farm.lease, &builder, BuilderState::Abandoned, &refused, at(10));
        given_up.await.unwrap();
    }
    let held = async || {
        let view = farm.store.fleet_snapshot(farm.lease.fleet, at(11)).await.unwrap();
        view.histories[&pool].held_until()
    };
    assert_eq!(held().await, Some(at(40)));
    let before = farm.last_event().await;
    assert!(resume(12).await.unwrap());
    assert_eq!(held().await, None);
    assert!(!resume(13).await.unwrap());
    let told = farm.events_after(before).await;
    let told: Vec<_> = told
        .iter()
        .map(|it| (it.actor.as_str(), it.reason.as_str()))
        .collect();
    assert_eq!(told, [("alice", "resumed after 3 failed launches")]);
}

async fn a_pool_that_is_in_no_file_any_more_is_told_of_no_longer(farm: Farm) {
    let names: Vec<PoolName> = ["one", "two"].map(|name| name.parse().unwrap()).into();
    for name in &names {
        farm.store
            .record_pool(&farm.lease, name, &json!({}), "hash", at(1))
            .await
            .unwrap();
    }
    let told = async || {
        let condition = farm.store.fleet_condition(None, at(2)).await.unwrap();
        condition
            .pools
            .keys()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    assert_eq!(told().await, ["one", "two"]);
    farm.store.retire_pools(&farm.lease, &[&names[1]]).await.unwrap();
    assert_eq!(told().await, ["two"]);
}

async fn what_a_cloud_refuses_to_end_is_told_with_the_reason(farm: Farm) {
    let see = async |now| {
        let seen = [Sighting::of("i-1", "running")];
        let seen = farm.store.record_sightings(&farm.lease, "dev", &seen, at(now));
        seen.await.unwrap();
    };
    see(1).await;
    let before = farm.last_event().await;
    for now in [2, 3] {
        let noted = farm
            .store
            .note_refusal(&farm.lease, "dev", "i-1", "it is protected", at(now));
        noted.await.unwrap();
    }
    assert_eq!(
        farm.events_after(before).await.len(),
        1,
        "the same reason is told once"
    );
    see(4).await;
    let condition = farm.store.fleet_condition(None, at(5)).await.unwrap();
    assert_eq!(condition.refused_ends["i-1"], "it is protected");
    let gone = farm.store.record_sightings(&farm.lease, "dev", &[], at(6));
    gone.await.unwrap();
    let condition = farm.store.fleet_condition(None, at(7)).await.unwrap();
    assert!(condition.refused_ends.is_empty());
}

async fn builders_that_do_not_end_are_told_of_after_a_quarter_of_an_hour(farm: Farm) {
    let booting = farm.builder_in(BuilderState::Booting).await;
    let ending = farm.go(&booting, BuilderState::Terminating).await;
    farm.ready_builder().await;
    let stuck = async |now| farm.store.fleet_condition(None, at(now)).await.unwrap().stuck;
    assert_eq!(stuck(2 + 899).await, []);
    let told = stuck(2 + 900).await;
    assert_eq!(told.len(), 1);
    assert_eq!(
        (told[0].builder, told[0].state, told[0].since),
        (ending.id, BuilderState::Terminating, at(2))
    );
    assert_eq!(told[0].reason, ending.reason);
}

async fn what_keeps_a_builder_in_its_state_is_added_to_its_reason_once(farm: Farm) {
    let builder = farm.builder_in(BuilderState::Booting).await;
    for words in ["it is protected", "it is protected", "it is busy"] {
        let looked_at = farm.builder(builder.id).await;
        let annotated = farm.store.annotate_builder(&farm.lease, &looked_at, words);
        annotated.await.unwrap();
    }
    let after = farm.builder(builder.id).await;
    assert_eq!(after.reason.as_deref(), Some("a test; but it is busy"));
    assert_eq!(after.version, builder.version, "nobody's look is outdated by it");
}

async fn attempts_that_the_end_of_the_farm_lost_do_not_count(farm: Farm) {
    let build = farm.submit().await.id;
    let clouds = ["dev".to_owned()];
    for _ in 0..4 {
        farm.begin(build).await;
        let lost = farm
            .store
            .lose_to_stop(farm.lease.fleet, &clouds, at(9))
            .await
            .unwrap();
        assert_eq!(lost, [(build, CHROOT.parse().unwrap())]);
        assert_eq!(
            farm.states(build).await,
            (BuildState::Pending, BuildState::Pending, AttemptState::Waiting)
        );
    }
    let attempts = farm.store.attempts_of(build).await.unwrap();
    for attempt in &attempts[..4] {
        assert_eq!((attempt.state, attempt.blame), (AttemptState::Lost, None));
        assert_eq!(
            attempt.reason.as_deref(),
            Some("the farm was stopped while it ran")
        );
        let builder = farm.builder(attempt.builder.unwrap()).await;
        assert_eq!(builder.state, BuilderState::Draining);
    }
    // Three losses for other reasons still end it.
    for now in [10, 11, 12] {
        assert_eq!(farm.states(build).await.0, BuildState::Pending);
        farm.begin(build).await;
        farm.lose_builder(build, "it went away", at(now)).await;
    }
    assert_eq!(farm.states(build).await.0, BuildState::Failed);
}

async fn attempts_on_machines_that_the_cloud_took_back_do_not_count(farm: Farm) {
    let build = farm.submit().await.id;
    let taken_back = Change {
        is_excused: true,
        ..because("instance i-1 is terminated: Server.SpotInstanceTermination")
    };
    for now in 2..6 {
        farm.begin(build).await;
        farm.lose_builder_by(build, taken_back.clone(), at(now)).await;
        assert_eq!(
            farm.states(build).await,
            (BuildState::Pending, BuildState::Pending, AttemptState::Waiting)
        );
    }
    let attempts = farm.store.attempts_of(build).await.unwrap();
    let lost = &attempts[3];
    assert_eq!(
        (attempts.len(), lost.state, lost.blame),
        (5, AttemptState::Lost, None)
    );
    assert_eq!(lost.reason.as_deref(), Some(taken_back.reason.as_str()));
    // Those that the user gave up are over all the same.
    farm.begin(build).await;
    farm.store.cancel_build(build, "alice", at(8)).await.unwrap();
    farm.lose_builder_by(build, taken_back, at(9)).await;
    assert_eq!(farm.states(build).await.2, AttemptState::Canceled);
}

async fn what_a_worker_gave_up_before_its_cloud_said_that_it_took_the_machine_back_does_not_count(
    farm: Farm,
) {
    let build = farm.submit().await.id;
    let failed = |blame| Outcome::Failed {
        blame,
        reason: "the builder cannot be reached".to_owned(),
        evidence: None,
        is_suspect: false,
        result_directory: None,
    };
    let ended = |is_excused| Change {
        is_excused,
        ..because("it is terminated: Server.SpotInstanceTermination")
    };
    // What its worker said of the attempt, whether the cloud took the machine back, and whether the attempt counts.
    for (index, (blame, is_taken_back, counts)) in [
        (Blame::Infrastructure, true, false),
        (Blame::Infrastructure, true, false),
        (Blame::Service, true, true),
        (Blame::Infrastructure, true, false),
        (Blame::Infrastructure, false, true),
    ]
    .into_iter()
    .enumerate()
    {
        let epoch = farm.begin(build).await;
        let builder = farm.open_attempt(build).await.builder.unwrap();
        farm.finish(epoch, &failed(blame)).await;
        let draining = farm.builder(builder).await;
        let to = BuilderState::Terminating;
        (farm
            .store
            .transition(&farm.lease, &draining, to, &ended(is_taken_back), at(7)))
        .await
        .unwrap();
        let lost = farm.store.attempts_of(build).await.unwrap().swap_remove(index);
        let expected = if counts {
            (Some(blame), "the builder cannot be reached")
        } else {
            (None, "it is terminated: Server.SpotInstanceTermination")
        };
        assert_eq!(lost.state, AttemptState::Lost, "{index}");
        assert_eq!(
            (lost.blame, lost.reason.as_deref().unwrap()),
            (expected.0, expected.1),
            "{index}"
        );
        assert_eq!(farm.states(build).await.0, BuildState::Pending, "{index}");
    }
    // The third that counts was the last, and a build that is over stays so.
    let epoch = farm.begin(build).await;
    let builder = farm.open_attempt(build).await.builder.unwrap();
    farm.finish(epoch, &failed(Blame::Infrastructure)).await;
    let draining = farm.builder(builder).await;
    (farm.store.transition(
        &farm.lease,
        &draining,
        BuilderState::Terminating,
        &ended(true),
        at(7),
    ))
    .await
    .unwrap();
    assert_eq!(farm.states(build).await.0, BuildState::Failed);
}

async fn only_machines_that_ended_with_the_farm_lose_their_attempts(farm: Farm) {
    let [offered, begun, over, cancelled] = [
        farm.submit().await.id,
        farm.submit().await.id,
        farm.submit().await.id,
        farm.submit().await.id,
    ];
    farm.assign(offered).await;
    farm.begin(begun).await;
    let epoch = farm.begin(over).await;
    farm.finish(epoch, &CANCELED).await;
    farm.begin(cancelled).await;
    farm.store.cancel_build(cancelled, "alice", at(8)).await.unwrap();

    let (fleet, elsewhere) = (farm.lease.fleet, FleetId(Uuid::now_v7()));
    let dev = ["dev".to_owned()];
    for (fleet, clouds) in [(fleet, &["aws".to_owned()]), (elsewhere, &dev)] {
        let lost = farm.store.lose_to_stop(fleet, clouds, at(9)).await.unwrap();
        assert_eq!(lost, [], "their machines go on");
    }
    assert_eq!(farm.states(begun).await.2, AttemptState::Running);

    let lost = farm.store.lose_to_stop(fleet, &dev, at(9)).await.unwrap();
    let mut lost: Vec<_> = lost.into_iter().map(|(build, _)| build).collect();
    lost.sort();
    assert_eq!(lost, [begun, cancelled]);
    assert_eq!(
        farm.states(offered).await.2,
        AttemptState::Waiting,
        "nobody had taken it up: the same attempt waits again"
    );
    assert_eq!(farm.store.attempts_of(offered).await.unwrap().len(), 1);
    assert_eq!(farm.states(cancelled).await.2, AttemptState::Canceled);
    assert_eq!(farm.store.lose_to_stop(fleet, &dev, at(10)).await.unwrap(), []);
}

async fn builders_of_another_fleet_are_forsaken_unless_somebody_leads_it(farm: Farm) {
    let new = FleetId(Uuid::now_v7());
    let forsaken = async |now| farm.store.forsaken_fleets(new, at(now)).await.unwrap();
    assert_eq!(forsaken(1).await, []);
    farm.ready_builder().await;
    farm.ready_builder().await;
    assert_eq!(forsaken(2).await, [], "its controller looks after them");
    assert_eq!(forsaken(15).await, [(farm.lease.fleet, 2)]);
    let own = farm.store.forsaken_fleets(farm.lease.fleet, at(15)).await;
    assert_eq!(own.unwrap(), []);
}
