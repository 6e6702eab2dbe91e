//! Lines of offerings, of which a pool may have so many machines.

use model::{
    Offering,
    intent::{IntentState, Request},
};

use super::*;
use crate::lines::Lines;

/// A pool with these lines of offerings.
fn lined(size: &str, lines: &str) -> String {
    pool("x86", size, "a").replace("[{types: [a]}]", lines)
}

impl Farm {
    /// How many machines there are of each type, or may be.
    async fn types(&self) -> BTreeMap<String, usize> {
        let mut types = BTreeMap::new();
        for builder in self.builders().await {
            let offering = builder
                .offering()
                .filter(|_| builder.state != BuilderState::Planned);
            if let Some(offering) = offering {
                *types.entry(offering.instance_type.clone()).or_default() += 1;
            }
        }
        types
    }
}

fn counts(expected: &[(&str, usize)]) -> BTreeMap<String, usize> {
    expected
        .iter()
        .map(|(name, count)| ((*name).to_owned(), *count))
        .collect()
}

#[tokio::test]
async fn many_launches_of_one_round_keep_to_the_most_of_each_line() {
    let lines = "[{types: [a], max: 2}, {types: [b], max: 3}, {types: [c]}]";
    let mut farm = Farm::start(&lined("max: 9, idle: 7", lines)).await;
    farm.until_ready(7).await;
    assert_eq!(farm.types().await, counts(&[("a", 2), ("b", 3), ("c", 2)]));
}

#[tokio::test]
async fn a_launch_without_an_answer_takes_its_place_also_for_the_controller_that_takes_over() {
    let lines = "[{types: [a], max: 1}, {types: [b], max: 2}]";
    let mut farm = Farm::start(&lined("max: 9, idle: 1", lines)).await;
    for _ in 0..2 {
        let what = "connection reset".to_owned();
        farm.cloud
            .fail_next_launch(LaunchFailure::Before(cloud::Error::Unclear { what }));
    }
    farm.settle().await;
    assert_eq!(farm.states().await, [BuilderState::Resolving]);
    let mut context = Context::clone(&farm.controller.context);
    context.fleet = Arc::new(fleet(&lined("max: 9, idle: 4", lines)));
    farm.controller = Controller::new(context);
    farm.settle().await;
    assert_eq!(farm.types().await, counts(&[("a", 1), ("b", 2)]));
    let view = farm.controller.view().await.unwrap();
    let plan = plan::plan(&snapshot_with(&farm.controller.context, &view, &BTreeMap::new()));
    let full = "pool x86 has as many machines of each line of its offerings as it may (`offerings[].max`)";
    assert_eq!(plan.pools[0].note, full);
    assert_eq!(
        farm.builders().await.len(),
        3,
        "nothing waits to be launched for ever"
    );
}

#[tokio::test]
async fn a_line_that_is_refused_leaves_its_places_and_those_of_the_next_are_not_overdrawn() {
    let lines = "[{types: [a], market: spot}, {types: [b], max: 2}]";
    let mut farm = Farm::start(&lined("max: 9, idle: 4", lines)).await;
    for _ in 0..4 {
        let no_room = refused("InsufficientInstanceCapacity");
        farm.cloud.fail_next_launch(LaunchFailure::Before(no_room));
    }
    farm.settle().await;
    farm.pass(30).await;
    let types = farm.types().await;
    assert_eq!(types.get("b"), Some(&2), "{types:?}");
    assert_eq!(
        types.values().sum::<usize>(),
        4,
        "the others are of spot: {types:?}"
    );
}

#[tokio::test]
async fn one_refusal_does_not_lead_to_a_line_that_has_an_after_and_a_restart_does_not_begin_the_time_anew() {
    let lines = "[{types: [a], market: spot}, {types: [b], after: 30s}]";
    let mut farm = Farm::start(&lined("max: 9, idle: 1", lines)).await;
    let no_room = refused("InsufficientInstanceCapacity");
    farm.cloud.fail_next_launch(LaunchFailure::Before(no_room));
    farm.settle().await;
    farm.pass(20).await;
    assert_eq!(farm.states().await, [BuilderState::Planned]);
    let context = Context::clone(&farm.controller.context);
    farm.controller = Controller::new(context);
    farm.pass(8).await;
    assert_eq!(farm.states().await, [BuilderState::Planned]);
    farm.pass(8).await;
    assert_eq!(farm.types().await, counts(&[("b", 1)]));
}

#[tokio::test]
async fn what_a_step_asks_for_counts_for_the_line_that_the_file_has_by_now() {
    let before = "[{types: [a]}, {types: [b], max: 2}]";
    let mut farm = Farm::start(&lined("max: 9, idle: 2", before)).await;
    farm.settle().await;
    let mut builders = farm.builders().await;
    for builder in &mut builders {
        builder.state = BuilderState::Planned;
    }
    let asked: Offering = "b".parse().unwrap();
    // What was the second line is the first, and the other way round.
    let after = "[{types: [b], max: 2}, {types: [a], max: 9}]";
    let mut context = Context::clone(&farm.controller.context);
    context.fleet = Arc::new(fleet(&lined("max: 9, idle: 2", after)));
    let lines = Lines::of(&context, &builders, |_| Some(&asked));
    assert_eq!(lines.full(&context, &builders[0].pool), [true, false]);
    let lines = Lines::of(&context, &builders, |_| None);
    assert_eq!(lines.full(&context, &builders[0].pool), [false, false]);
}

#[tokio::test]
async fn a_machine_is_lent_only_while_its_line_of_offerings_has_room() {
    let lines = "[{types: [a], max: 1}, {types: [b]}]";
    let mut farm = Farm::start(&lined("max: 9, idle: 1", lines)).await;
    farm.until_ready(1).await;
    for (id, offering) in [("i-second", "a"), ("i-other", "b"), ("i-strange", "c")] {
        farm.cloud.add(Instance {
            offering: Some(offering.parse().unwrap()),
            id: id.to_owned(),
            state: InstanceState::Running,
            address: Some("127.0.0.1".to_owned()),
            state_reason: None,
            tags: BTreeMap::new(),
        });
    }
    let adopt = |instance: &str| Request::Adopt {
        instance: instance.to_owned(),
        pool: "x86".parse().unwrap(),
        host_key: Some(SHOWN.to_owned()),
    };
    let refused = farm.outcome(&adopt("i-second")).await;
    assert_eq!(
        (refused.state, refused.words.as_str()),
        (
            IntentState::Refused,
            "pool x86 has as many machines like it (a) as it may: `max` of `offerings[0]`"
        )
    );
    // Of the second line there is no limit, and what is of no line is limited by the pool's size alone.
    for id in ["i-other", "i-strange"] {
        let done = farm.outcome(&adopt(id)).await;
        assert_eq!(done.state, IntentState::Done, "{id}: {}", done.words);
    }
}
