//! A limit of money, which machines use up while they are there, and the next day gives back.

use model::{budget::Spent, intent::IntentState, quantity::Price};
use serde_json::json;

use super::*;

impl Farm {
    /// Lets the cloud cost so much in 24 hours; a machine of type `a` costs 1 an hour.
    fn limit_money(&mut self, per_day: &str) {
        let context = Arc::make_mut(&mut self.controller.context);
        let cloud = Arc::make_mut(&mut context.fleet).clouds.get_mut("fake").unwrap();
        cloud.limits.money = serde_json::from_value(json!({"per_day": per_day})).unwrap();
        cloud.prices = serde_json::from_value(json!({"a": {"on-demand": 1, "spot": 0.25}})).unwrap();
    }

    async fn spent(&mut self) -> Spent {
        let view = self.controller.view().await.unwrap();
        crate::budgets(&self.controller.context.fleet, &view)["fake"].spent
    }

    /// Ends a machine in its cloud, and lets the farm see it.
    async fn lose(&mut self, index: usize) {
        let id = self.cloud.instances()[index].id.clone();
        self.cloud.set_state(&id, InstanceState::Terminated);
        self.pass(40).await;
    }
}

#[tokio::test]
async fn machines_are_launched_while_an_hour_of_one_more_is_within_the_limit_and_again_a_day_later() {
    let mut farm = Farm::start(&pool("x86", "max: 4, min: 3", "a")).await;
    farm.limit_money("2.5");
    farm.until_ready(2).await;
    farm.pass(20).await;
    assert_eq!(farm.launches.len(), 2, "of three that the file asks for");
    let told = farm.troubles().await;
    let words =
        "cloud fake costs as much in 24 hours as it may: nothing more is launched there: cloud fake cost 0.";
    assert!(told.len() == 1 && told[0].starts_with(words), "{told:?}");
    for _ in 0..80 {
        farm.clock.advance(Duration::from_secs(65));
        farm.settle().await;
    }
    assert_eq!(farm.states().await, [BuilderState::Ready; 2], "what runs goes on");
    let before = farm.spent().await;
    assert!(before.known > "2.5".parse().unwrap(), "{before:?}");
    farm.lose(0).await;
    assert_eq!(
        farm.states().await,
        [BuilderState::Ready],
        "nothing comes in its place"
    );

    // What it cost is known to the next controller as well.
    let context = Context::clone(&farm.controller.context);
    farm.controller = Controller::new(context);
    farm.pass(2).await;
    let after = farm.spent().await;
    assert!(after.known > before.known, "{before:?} {after:?}");
    assert_eq!(farm.launches.len(), 2);
    farm.lose(1).await;
    let last = farm.spent().await;
    assert_eq!((last.set_aside, last.unpriced), (Price::default(), 0));
    assert_eq!(farm.states().await, []);
    farm.clock.advance(Duration::from_secs(86_400 + 2 * 3600));
    farm.until_ready(2).await;
    assert_eq!(farm.launches.len(), 4);
}

#[tokio::test]
async fn what_an_operator_wants_is_refused_as_well_with_the_sum() {
    let mut farm = Farm::start(&pool("x86", "max: 4", "a")).await;
    farm.limit_money("0.5");
    let spawn = model::intent::Request::Spawn {
        pool: "x86".parse().unwrap(),
        count: 1,
        keep: None,
    };
    let asked = farm.ask(&spawn).await;
    let over = farm.until_over(&asked.key).await;
    assert_eq!(over.state, IntentState::Refused);
    let words = "cloud fake cost 0 of 0.5 in the last 24 hours: nothing more is launched there";
    assert!(over.words.contains(words), "{}", over.words);
    assert_eq!(farm.launches, []);
}

#[tokio::test]
async fn an_adopted_machine_costs_what_its_type_does_in_its_market() {
    let mut farm = Farm::start(&pool("x86", "max: 2", "a")).await;
    farm.limit_money("9");
    for (id, offering) in [("i-spot", Some("a@z spot")), ("i-odd", None)] {
        farm.cloud.add(Instance {
            id: id.to_owned(),
            state: InstanceState::Running,
            address: Some("127.0.0.1".to_owned()),
            state_reason: None,
            offering: offering.map(|it| it.parse().unwrap()),
            tags: BTreeMap::new(),
        });
        let adopt = model::intent::Request::Adopt {
            instance: id.to_owned(),
            pool: "x86".parse().unwrap(),
            host_key: Some(SHOWN.to_owned()),
        };
        let asked = farm.ask(&adopt).await;
        farm.until_over(&asked.key).await;
    }
    farm.clock.advance(Duration::from_secs(300));
    let builders = farm.builders().await;
    let told: Vec<_> = builders
        .iter()
        .map(|it| it.offering().map(ToString::to_string))
        .collect();
    assert_eq!(told, [Some("a@z spot".to_owned()), None]);
    let price: Price = "0.25".parse().unwrap();
    let lived = Clock::Manual(farm.clock.clone())
        .now()
        .since(builders[0].created_at);
    let spent = farm.spent().await;
    assert_eq!(
        (spent.known, spent.unpriced),
        (price.for_seconds(lived.as_secs()), 1)
    );
    assert!(lived.as_secs() >= 300);
}
