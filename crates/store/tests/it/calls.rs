//! Calls to clouds, of which all processes take from one budget.

use std::time::Duration;

use model::calls::{Bucket, CallClass, CallCount, Level};
use store::{CallBudget, CallNews, Store, TakenCalls};

use crate::{
    farm::Farm,
    support::{Database, Start, at},
};

on_both_databases!(
    what_is_taken_is_gone_and_comes_back,
    a_budget_is_of_one_cloud_and_of_one_class,
    processes_that_take_at_the_same_time_get_no_more_than_there_is,
    a_refusal_is_everybodys,
    what_was_made_already_is_counted,
    a_row_that_cannot_be_read_stops_nobody_who_looks,
);

const NOTHING: CallNews = CallNews {
    waited: 0,
    throttled: 0,
};

fn launches(farm: &Farm) -> CallBudget<'static> {
    CallBudget {
        fleet: farm.lease.fleet,
        cloud: "aws",
        class: CallClass::Launch,
        bucket: CallClass::Launch.documented(),
    }
}

async fn take(store: &Store, budget: &CallBudget<'_>, wish: (u32, u32), second: u64) -> TakenCalls {
    store.take_calls(budget, wish, NOTHING, at(second)).await.unwrap()
}

/// What is left, as a look at the fleet tells it.
async fn level(farm: &Farm, cloud: &str, class: CallClass) -> Option<Level> {
    let view = farm.store.fleet_snapshot(farm.lease.fleet, at(0)).await.unwrap();
    view.calls.get(&(cloud.to_owned(), class)).copied()
}

async fn counts(farm: &Farm) -> Vec<CallCount> {
    let condition = farm.store.fleet_condition(Some(farm.lease.fleet), at(0)).await;
    condition.unwrap().calls
}

async fn what_is_taken_is_gone_and_comes_back(farm: Farm) {
    let budget = launches(&farm);
    assert_eq!(
        level(&farm, "aws", CallClass::Launch).await,
        None,
        "nothing is written before the first"
    );
    let half = TakenCalls::Wait(Duration::from_millis(500));
    for (second, wish, expected) in [
        (0, (1, 0), TakenCalls::Granted(1)),
        (0, (1, 9), TakenCalls::Granted(4)),
        (0, (1, 0), half),
        (0, (1, 9), half),
        (1, (1, 0), TakenCalls::Granted(1)),
        (1, (2, 0), half),
        (2, (3, 0), TakenCalls::Granted(3)),
        (2, (1, 0), half),
        (100, (5, 5), TakenCalls::Granted(5)),
        // The clock of another process is behind.
        (90, (1, 0), half),
    ] {
        assert_eq!(
            take(&farm.store, &budget, wish, second).await,
            expected,
            "{second} {wish:?}"
        );
    }
    let found = counts(&farm).await;
    let expected = CallCount {
        cloud: "aws".to_owned(),
        class: CallClass::Launch,
        taken: 14,
        waited: 0,
        throttled: 0,
    };
    assert_eq!(found, [expected]);
}

async fn a_budget_is_of_one_cloud_and_of_one_class(farm: Farm) {
    let budget = launches(&farm);
    assert_eq!(
        take(&farm.store, &budget, (5, 0), 0).await,
        TakenCalls::Granted(5)
    );
    let terminate = CallBudget {
        class: CallClass::Terminate,
        bucket: CallClass::Terminate.documented(),
        ..budget
    };
    let elsewhere = CallBudget {
        cloud: "other",
        ..budget
    };
    let another_fleet = CallBudget {
        fleet: model::FleetId(uuid::Uuid::now_v7()),
        ..budget
    };
    for other in [terminate, elsewhere, another_fleet] {
        assert_eq!(
            take(&farm.store, &other, (5, 0), 0).await,
            TakenCalls::Granted(5),
            "{other:?}"
        );
    }
    assert_eq!(counts(&farm).await.len(), 3, "of this fleet");
}

async fn processes_that_take_at_the_same_time_get_no_more_than_there_is(database: Database) {
    let (one, other) = (database.connect().await, database.connect().await);
    let farm = Farm::start(database).await;
    let budget = CallBudget {
        bucket: Bucket::of_calls(50, 10),
        ..launches(&farm)
    };
    let mut granted = Vec::new();
    for second in 0..10 {
        // Ten at once; there are 50 at first, and then ten each second.
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..10 {
            let store = if number % 2 == 0 {
                one.clone()
            } else {
                other.clone()
            };
            tasks.spawn(async move {
                let mut all = 0;
                for _ in 0..6 {
                    if let TakenCalls::Granted(count) = take(&store, &budget, (1, 1), second).await {
                        all += count;
                    }
                }
                all
            });
        }
        granted.push(tasks.join_all().await.into_iter().sum::<u32>());
    }
    let mut expected = vec![50];
    expected.resize(10, 10);
    assert_eq!(granted, expected);
    assert_eq!(counts(&farm).await[0].taken, 140);
}

async fn a_refusal_is_everybodys(farm: Farm) {
    let budget = launches(&farm);
    let news = CallNews {
        waited: 2,
        throttled: 40,
    };
    // Forty calls of one moment were refused, and another process heard it of one of its own.
    farm.store.slow_calls(&budget, at(7), news, at(8)).await.unwrap();
    let one = CallNews {
        waited: 0,
        throttled: 1,
    };
    farm.store.slow_calls(&budget, at(7), one, at(9)).await.unwrap();
    let level = level(&farm, "aws", CallClass::Launch).await.unwrap();
    assert_eq!((level.pace, level.slowed_at), (500_000, Some(at(8))));
    let found = counts(&farm).await.remove(0);
    assert_eq!((found.taken, found.waited, found.throttled), (0, 2, 41));
    // One second of it gave half of what it gives otherwise.
    assert_eq!(
        take(&farm.store, &budget, (1, 9), 9).await,
        TakenCalls::Granted(1)
    );
    assert!(matches!(
        take(&farm.store, &budget, (1, 0), 9).await,
        TakenCalls::Wait(_)
    ));
}

async fn what_was_made_already_is_counted(farm: Farm) {
    let budget = CallBudget {
        class: CallClass::Read,
        bucket: CallClass::Read.documented(),
        ..launches(&farm)
    };
    farm.store.charge_calls(&budget, 120, at(0)).await.unwrap();
    let expected = TakenCalls::Wait(Duration::from_millis(1050));
    assert_eq!(take(&farm.store, &budget, (1, 0), 0).await, expected);
    assert_eq!(counts(&farm).await[0].taken, 120);
}

async fn a_row_that_cannot_be_read_stops_nobody_who_looks(farm: Farm) {
    take(&farm.store, &launches(&farm), (1, 0), 0).await;
    farm.raw().await.execute("UPDATE api_budget SET pace = -1").await;
    assert_eq!(level(&farm, "aws", CallClass::Launch).await, None);
    let error = farm
        .store
        .take_calls(&launches(&farm), (1, 0), NOTHING, at(0))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("pace"), "{error}");
}
