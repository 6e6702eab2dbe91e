//! A cloud that may be called only so often.

use model::calls::CallClass;

use super::*;

/// A farm in Amazon's cloud.
async fn in_amazons(pools: &str) -> Farm {
    let mut farm = Farm::start(pools).await;
    let mut context = Context::clone(&farm.controller.context);
    let mut of_file = fleet(pools);
    of_file.clouds.get_mut("fake").unwrap().endpoint = None;
    context.fleet = Arc::new(of_file);
    farm.controller = Controller::new(context);
    farm
}

/// What holds the pool back, as the planner tells it.
async fn held_back(farm: &Farm) -> String {
    let context = &farm.controller.context;
    let now = Clock::Manual(farm.clock.clone()).now();
    let view = context
        .store
        .fleet_snapshot(context.fleet.fleet, now)
        .await
        .unwrap();
    let mut plan = plan::plan(&crate::snapshot(context, &view));
    plan.pools.remove(0).note
}

#[tokio::test]
async fn launches_wait_for_their_turn_one_after_the_other_and_the_pool_says_so() {
    let mut farm = in_amazons(&pool("x86", "max: 12, idle: 12", "a")).await;
    farm.settle().await;
    // 0.7 of 5 at once, and of 2 a second.
    assert_eq!(farm.launches.len(), 3);
    let planned = |states: &[BuilderState]| states.iter().filter(|it| **it == BuilderState::Planned).count();
    assert_eq!(planned(&farm.states().await), 9, "the others are not begun");
    assert_eq!(
        held_back(&farm).await,
        "9 launches wait for a turn: cloud fake is asked for 1.4 machines a second at most"
    );
    for (second, expected) in [(1, 4), (2, 6), (3, 7), (4, 9), (5, 10), (6, 11), (7, 12)] {
        farm.pass(1).await;
        assert_eq!(farm.launches.len(), expected, "after {second} s");
    }
    farm.until_ready(12).await;
    assert_eq!(held_back(&farm).await, "as wanted");
    let builders = farm.builders().await;
    assert!(
        builders
            .iter()
            .all(|it| it.launches == 1 && it.postponements == 0),
        "waiting is no try"
    );
}

#[tokio::test]
async fn a_pool_with_a_rate_spreads_its_launches_also_over_controllers() {
    let pools = pool("x86", "max: 12, idle: 6", "a").replace("parallel: 100", "parallel: 100, rate: 1/3s");
    let mut farm = Farm::start(&pools).await;
    farm.settle().await;
    assert_eq!(farm.launches.len(), 1);
    let words = "5 launches wait for a turn: pool x86 launches 1/3s at most (`launch.rate`)";
    assert_eq!(held_back(&farm).await, words);
    let mut seen = Vec::new();
    for second in 1..=15 {
        farm.pass(1).await;
        seen.push(farm.launches.len());
        if second == 4 {
            // Another controller goes on where this one was.
            farm.controller = Controller::new(Context {
                calls: crate::Calls::default(),
                ..Context::clone(&farm.controller.context)
            });
        }
    }
    let evenly = seen.windows(2).all(|pair| pair[1] - pair[0] <= 1);
    assert!(evenly && (5..=6).contains(&seen[14]), "{seen:?}");
    farm.until_ready(6).await;
    assert_eq!(held_back(&farm).await, "as wanted");
    assert!(
        farm.builders()
            .await
            .iter()
            .all(|it| it.launches == 1 && it.postponements == 0)
    );
}

#[tokio::test]
async fn one_launch_that_is_refused_for_too_many_calls_fails_no_other() {
    let mut farm = in_amazons(&pool("x86", "max: 12, idle: 8", "a")).await;
    let code = "RequestLimitExceeded".to_owned();
    let throttled = cloud::Error::Throttled { code };
    farm.cloud.fail_next_launch(LaunchFailure::Before(throttled));
    farm.settle().await;
    let asked = farm.launches.len();
    assert_eq!(farm.cloud.instances().len(), asked - 1, "the others go on");
    farm.pass(3).await;
    let at_half_of_the_rate = farm.launches.len();
    assert!((4..=5).contains(&at_half_of_the_rate), "{:?}", farm.launches);
    farm.until_ready(8).await;
    assert_eq!(farm.launches.len(), 9, "one was asked for twice");
    for second in 1..30 {
        let at_once = farm.launches.iter().filter(|(at, _)| *at == second).count();
        assert!(at_once <= 2, "no two steps back at once: {:?}", farm.launches);
    }
    assert_eq!(farm.troubles().await, [""; 0]);
}

#[tokio::test]
async fn ends_are_asked_for_while_launches_wait_and_reads_are_used_up() {
    let mut farm = in_amazons(&pool("x86", "max: 12, idle: 2", "a")).await;
    farm.until_ready(2).await;
    let context = Arc::clone(&farm.controller.context);
    for class in [CallClass::Launch, CallClass::Read] {
        let budget = store::CallBudget {
            fleet: context.fleet.fleet,
            cloud: "fake",
            class,
            bucket: context.fleet.clouds["fake"].buckets()[&class],
        };
        let now = Clock::Manual(farm.clock.clone()).now();
        context.store.charge_calls(&budget, 10_000, now).await.unwrap();
    }
    // A look that is under way does not keep the farm from going on.
    let mut of_file = FleetSpec::clone(&context.fleet);
    of_file.pools.values_mut().next().unwrap().size.idle = model::quantity::Share::Count(0);
    of_file.pools.values_mut().next().unwrap().shrink =
        serde_json::from_str(r#"{"idle_for": "1s"}"#).unwrap();
    let mut context = Context::clone(&context);
    context.fleet = Arc::new(of_file);
    farm.controller.context = Arc::new(context);
    farm.pass(4).await;
    let mut ended = farm.cloud.terminated();
    ended.sort();
    ended.dedup();
    assert_eq!(ended.len(), 2);
    assert_eq!(
        farm.troubles().await,
        [""; 0],
        "that the farm waits is no trouble of the cloud's"
    );
}
