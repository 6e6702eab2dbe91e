//! What clouds cost: for how long machines were there that ended, and what lives.

use model::{
    BuilderState, FleetId, LaunchAnswer, Offering, Timestamp,
    budget::{Budget, Ended, costs::MachineTime},
    intent::{Decision, IntentState, Request},
};
use serde_json::json;
use store::{Adoption, Builder, Change, NewHost};
use uuid::Uuid;

use crate::{
    farm::{Farm, because, new_builder, new_launch},
    support::at,
};

on_both_databases!(
    a_machine_that_ended_counts_from_the_launch_that_gave_it_in_each_hour_that_it_was_there,
    each_hour_is_told_by_pool_and_offering_with_what_lives_up_to_now,
    what_never_was_a_rented_machine_costs_nothing,
    an_adopted_machine_counts_from_then_on_as_what_the_cloud_told_it_is,
    what_a_cloud_may_cost_is_told_by_the_file_in_force_and_with_what_lives,
);

const HOUR: u64 = 3600;
const DAY: u64 = 86_400;

/// A machine that is asked for at a moment, after another offering was refused.
async fn given(farm: &Farm, instance: &str, offering: &str, asked_at: u64) -> Builder {
    let (store, lease) = (&farm.store, &farm.lease);
    let mut builder = farm.planned_builder().await;
    for (answer, to, offering, moment) in [
        (LaunchAnswer::Refused, BuilderState::Planned, "c5.huge", 2),
        (LaunchAnswer::Given, BuilderState::Pending, offering, asked_at),
    ] {
        let mut new = new_launch();
        new.offering = offering.parse().unwrap();
        let begun = store.begin_launch(lease, &builder, &new, at(9 * DAY), at(moment));
        builder = begun.await.unwrap();
        let change = Change {
            launch_answer: Some(answer),
            instance_id: (answer == LaunchAnswer::Given).then(|| instance.to_owned()),
            ..because("the cloud says so")
        };
        let moved = store.transition(lease, &builder, to, &change, at(moment + 1));
        builder = moved.await.unwrap();
    }
    builder
}

async fn end(farm: &Farm, builder: &Builder, ended_at: u64) {
    let ending = farm.go(builder, BuilderState::Terminating).await;
    let (to, over) = (BuilderState::Terminated, because("it is gone"));
    let ended = farm
        .store
        .transition(&farm.lease, &ending, to, &over, at(ended_at));
    ended.await.unwrap();
}

/// A machine of an offering that was there from a moment to another.
async fn machine(farm: &Farm, offering: &str, from: u64, to: u64) {
    let builder = given(farm, &format!("i-{from}-{to}"), offering, from).await;
    end(farm, &builder, to).await;
}

/// Offering, machines and seconds of what ended, as it counts at a moment.
async fn ended_at(farm: &Farm, now: Timestamp) -> Vec<(String, u32, u64)> {
    let view = farm.store.fleet_snapshot(farm.lease.fleet, now).await.unwrap();
    let told = |ended: Ended| {
        assert_eq!(ended.cloud, "dev");
        let offering = ended
            .offering
            .as_ref()
            .map_or_else(String::new, Offering::to_string);
        (offering, ended.machines, ended.seconds)
    };
    view.ended.into_iter().map(told).collect()
}

fn of(offering: &str, machines: u32, seconds: u64) -> (String, u32, u64) {
    (offering.to_owned(), machines, seconds)
}

async fn a_machine_that_ended_counts_from_the_launch_that_gave_it_in_each_hour_that_it_was_there(farm: Farm) {
    // Of three hours the first 600 seconds are missing, and all but 600 of the last.
    machine(&farm, "c5.large", 600, 2 * HOUR + 600).await;
    let first = 2 * HOUR;
    assert_eq!(ended_at(&farm, at(3 * HOUR)).await, [of("c5.large", 1, first)]);
    machine(&farm, "c5.large", HOUR, HOUR + 60).await;
    machine(&farm, "c5.large@z spot<=0.2", HOUR, 2 * HOUR).await;
    let all = [of("c5.large", 2, first + 60), of("c5.large@z spot<=0.2", 1, HOUR)];
    assert_eq!(ended_at(&farm, at(3 * HOUR)).await, all);
    assert_eq!(
        ended_at(&farm, at(DAY + HOUR - 1)).await,
        all,
        "the first hour is in it"
    );
    let later = [of("c5.large", 2, HOUR + 660), of("c5.large@z spot<=0.2", 1, HOUR)];
    assert_eq!(ended_at(&farm, at(DAY + HOUR)).await, later);
    assert_eq!(
        ended_at(&farm, at(DAY + 2 * HOUR)).await,
        [of("c5.large", 1, 600)]
    );
    assert_eq!(ended_at(&farm, at(DAY + 3 * HOUR)).await, []);
    // What is kept no longer goes with the next end, and of a machine of a year only the last ninety days are kept.
    let rows = async || {
        let raw = farm.raw().await;
        raw.number("SELECT count(*) FROM machine_hours").await
    };
    assert_eq!(rows().await, 4);
    machine(&farm, "c5.large", 5 * HOUR, 365 * DAY).await;
    assert_eq!(rows().await, 90 * 24);
    assert_eq!(ended_at(&farm, at(365 * DAY)).await, [of("c5.large", 1, DAY)]);
    let other = farm.store.fleet_snapshot(FleetId(Uuid::now_v7()), at(365 * DAY));
    assert_eq!(other.await.unwrap().ended, [], "another fleet's");
}

async fn each_hour_is_told_by_pool_and_offering_with_what_lives_up_to_now(farm: Farm) {
    let told = async |fleet: FleetId, since: u64, now: u64| {
        let times = farm.store.machine_times(fleet, at(since), at(now)).await.unwrap();
        let row = |it: &MachineTime| {
            assert_eq!(it.cloud, "dev");
            assert_eq!(
                it.pool.as_ref().map(ToString::to_string).as_deref(),
                Some("small")
            );
            let offering = it.offering.as_ref().map_or_else(String::new, Offering::to_string);
            (it.hour.since(at(0)).as_secs() / HOUR, offering, it.time.as_secs())
        };
        times.iter().map(row).collect::<Vec<_>>()
    };
    let row = |hour: u64, offering: &str, seconds: u64| (hour, offering.to_owned(), seconds);
    let fleet = farm.lease.fleet;
    assert_eq!(told(fleet, 0, DAY).await, []);
    machine(&farm, "c5.large", 600, 2 * HOUR + 600).await;
    machine(&farm, "c5.large", HOUR, HOUR + 60).await;
    machine(&farm, "c5.odd", HOUR, HOUR + 30).await;
    given(&farm, "i-1", "c5.large", 2 * HOUR + 1800).await;
    assert_eq!(
        told(fleet, 0, 3 * HOUR + 60).await,
        [
            row(0, "c5.large", 3000),
            row(1, "c5.large", 3660),
            row(1, "c5.odd", 30),
            row(2, "c5.large", 600),
            row(2, "c5.large", 1800),
            row(3, "c5.large", 60),
        ]
    );
    assert_eq!(
        told(fleet, 2 * HOUR, 2 * HOUR + 1860).await,
        [row(2, "c5.large", 600), row(2, "c5.large", 60)]
    );
    assert_eq!(told(FleetId(Uuid::now_v7()), 0, DAY).await, [], "another fleet's");
    // One from before pools were kept.
    let raw = farm.raw().await;
    raw.execute("UPDATE machine_hours SET pool = ''").await;
    let times = farm.store.machine_times(fleet, at(0), at(HOUR)).await.unwrap();
    assert!(times.iter().all(|it| it.pool.is_none()), "{times:?}");
}

async fn what_never_was_a_rented_machine_costs_nothing(farm: Farm) {
    let planned = farm.planned_builder().await;
    assert_eq!(planned.rented_since(), None);
    let asked = farm.launch(&planned).await;
    assert_eq!(asked.rented_since(), Some(at(2)), "it may be one");
    let refused = Change {
        launch_answer: Some(LaunchAnswer::Refused),
        ..because("the cloud has none")
    };
    let moved = farm
        .store
        .transition(&farm.lease, &asked, BuilderState::Abandoned, &refused, at(900));
    assert_eq!(moved.await.unwrap().rented_since(), None);
    let mut host = new_builder();
    host.host = Some(NewHost {
        name: "rack-1".to_owned(),
        address: "192.0.2.1".to_owned(),
    });
    farm.store.plan_builder(&farm.lease, &host, at(1)).await.unwrap();
    let asked = farm.launch(&farm.builder(host.id).await).await;
    let given = Change {
        launch_answer: Some(LaunchAnswer::Given),
        instance_id: Some("rack-1".to_owned()),
        ..because("it is there")
    };
    let there = farm
        .store
        .transition(&farm.lease, &asked, BuilderState::Pending, &given, at(3));
    let there = there.await.unwrap();
    assert_eq!(there.rented_since(), None);
    end(&farm, &there, 900).await;
    assert_eq!(ended_at(&farm, at(900)).await, []);
}

async fn an_adopted_machine_counts_from_then_on_as_what_the_cloud_told_it_is(farm: Farm) {
    for (key, offering, expected) in [("one", Some("c5.large spot"), "c5.large spot"), ("two", None, "")] {
        let request = Request::Adopt {
            instance: format!("i-{key}"),
            pool: "small".parse().unwrap(),
            host_key: None,
        };
        let asked = (&request, key, "operator:root");
        let (intent, _) = farm
            .store
            .add_intent(farm.lease.fleet, asked, at(1))
            .await
            .unwrap();
        let running = Decision::of(IntentState::Running, "the cloud is asked");
        farm.store
            .settle_intent(&farm.lease, &intent, &running, at(2))
            .await
            .unwrap();
        let adoption = Adoption {
            builder: new_builder(),
            instance_id: format!("i-{key}"),
            host_key: "ssh-ed25519 BBBB".to_owned(),
            offering: offering.map(|it| it.parse().unwrap()),
        };
        farm.store
            .adopt(&farm.lease, &intent, &adoption, at(100))
            .await
            .unwrap();
        let builder = farm.builder(adoption.builder.id).await;
        assert_eq!(builder.offering(), adoption.offering.as_ref());
        end(&farm, &builder, 160).await;
        assert!(
            ended_at(&farm, at(160)).await.contains(&of(expected, 1, 60)),
            "{key}"
        );
    }
}

async fn what_a_cloud_may_cost_is_told_by_the_file_in_force_and_with_what_lives(farm: Farm) {
    let file = |limits: serde_json::Value| {
        json!({
            "schema": 1, "fleet": farm.lease.fleet, "name": "test",
            "clouds": {"dev": {
                "kind": "ec2", "region": "r", "credentials": {"source": "environment"}, "limits": limits,
                "prices": {"c5.large": {"on-demand": 1}},
            }},
            "provision": {}, "pools": {},
        })
    };
    let put = async |limits: serde_json::Value| {
        let file = file(limits);
        let put = farm.store.record_fleet_file(&farm.lease, &file, None, at(1));
        put.await.unwrap();
    };
    let told = async || {
        let fleet = Some(farm.lease.fleet);
        let condition = farm.store.fleet_condition(fleet, at(2 * HOUR)).await.unwrap();
        let told = condition.budgets.iter().map(Budget::in_words);
        told.collect::<Vec<_>>()
    };
    assert_eq!(told().await, [""; 0], "nobody has led yet");
    put(json!({})).await;
    machine(&farm, "c5.large", 600, HOUR + 600).await;
    given(&farm, "i-1", "c5.large", HOUR + HOUR / 2).await;
    given(&farm, "i-2", "c5.odd", HOUR).await;
    assert_eq!(told().await, [""; 0], "the file has no limit");
    put(json!({"money": {"per_day": 9}})).await;
    let words = "cloud dev cost at least 1.5 of 9 in the last 24 hours, with 1 machine whose price is not known, and 0.5 is \
                 set aside for first hours of machines";
    assert_eq!(told().await, [words]);
    put(json!({"money": {"per_day": 2}})).await;
    assert_eq!(
        told().await,
        [words.replace("of 9", "of 2") + ": nothing more is launched there"]
    );
}
