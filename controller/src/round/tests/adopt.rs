//! Instances that become builders because an operator says so, and strays that are left alone.

use cloud::BUILDER_TAG;
use model::intent::{IntentState, Request};

use super::*;
use IntentState::{Done, Failed, Nothing, Refused, Running};

const THEIRS: &str = "flt_00000000000000000000000000000004";

fn adopt(instance: &str, host_key: Option<&str>) -> Request {
    Request::Adopt {
        instance: instance.to_owned(),
        pool: "x86".parse().unwrap(),
        host_key: host_key.map(str::to_owned),
    }
}

fn ignore(instance: &str) -> Request {
    Request::Ignore {
        instance: instance.to_owned(),
        reason: "evidence".to_owned(),
    }
}

impl Farm {
    /// Asks for it, and waits for what comes of it.
    pub(super) async fn outcome(&mut self, request: &Request) -> model::intent::Intent {
        let asked = self.ask(request).await;
        self.until_over(&asked.key).await
    }

    fn ours(&self) -> String {
        self.controller.context.fleet.fleet.to_string()
    }

    fn instance(&self, id: &str) -> Instance {
        let mut all = self.cloud.instances().into_iter();
        all.find(|instance| instance.id == id).unwrap()
    }

    /// A machine of the farm's whose builder was given up as gone, and which is there all the same; its id.
    async fn forgotten_machine(&mut self) -> String {
        let spawn = Request::Spawn {
            pool: "x86".parse().unwrap(),
            count: 1,
            keep: None,
        };
        let asked = self.ask(&spawn).await;
        self.until_over(&asked.key).await;
        let id = self.cloud.instances()[0].id.clone();
        self.cloud.hide(&id, true);
        self.cloud.protect(&id, Some(refused("OperationNotPermitted")));
        for _ in 0..40 {
            self.clock.advance(Duration::from_secs(30));
            self.settle().await;
        }
        assert_eq!(self.states().await, [], "it is believed gone");
        self.cloud.hide(&id, false);
        self.cloud.protect(&id, None);
        id
    }
}

#[tokio::test]
async fn a_machine_that_somebody_lends_becomes_a_builder_and_goes_as_builders_go() {
    let mut farm = Farm::start(&pool("x86", "max: 2", "a")).await;
    farm.add_stranger("i-lent", InstanceState::Running, None);
    let asked = farm.ask(&adopt("i-lent", Some(SHOWN))).await;
    assert_eq!(asked.builders.len(), 1, "{asked:?}");
    let done = farm.until_over(&asked.key).await;
    let words = format!("instance i-lent is builder {}, and got ready", asked.builders[0]);
    assert_eq!((done.state, done.words), (Done, words));
    let builder = farm.first().await;
    assert_eq!(builder.id, asked.builders[0]);
    assert_eq!(
        (builder.state, builder.host_key.as_deref()),
        (BuilderState::Ready, Some(SHOWN))
    );
    assert!(builder.is_adopted());
    // By its tags it is ours as well: whoever loses the row finds it.
    let tagged = farm.instance("i-lent");
    assert!(tagged.belongs_to(farm.controller.context.fleet.fleet));
    assert_eq!(tagged.builder(), Some(builder.id));
    assert_eq!(farm.launches, []);
    farm.pass(640).await;
    assert_eq!(farm.states().await, []);
    assert_eq!(farm.cloud.terminated()[0], "i-lent");
}

#[tokio::test]
async fn a_stray_that_the_farm_launched_proves_the_key_that_it_was_given_then() {
    let mut farm = Farm::start(&pool("x86", "max: 2", "a")).await;
    let id = farm.forgotten_machine().await;
    let before = farm.instance(&id).builder().unwrap();
    let asked = farm.ask(&adopt(&id, None)).await;
    let done = farm.until_over(&asked.key).await;
    assert_eq!(done.state, Done, "{done:?}");
    let builder = farm.first().await;
    let store = &farm.controller.context.store;
    let old = store.builder(before).await.unwrap().unwrap();
    assert!(old.host_key.is_some() && old.host_key == builder.host_key);
    assert_eq!(farm.instance(&id).tags[BUILDER_TAG], builder.id.to_string());
    assert_ne!(before, builder.id);
    let told = farm.cloud.terminated().len();
    farm.pass(200).await;
    assert_eq!(farm.states().await, [BuilderState::Ready]);
    assert_eq!(farm.cloud.terminated().len(), told, "it is no stray any more");
}

#[tokio::test]
async fn what_is_not_to_be_a_builder_is_refused_with_the_reason_and_stays_as_it_is() {
    let mut farm = Farm::start(&pool("x86", "max: 1", "a")).await;
    farm.add_stranger("i-theirs", InstanceState::Running, Some(THEIRS));
    farm.add_stranger("i-stopped", InstanceState::Stopped, None);
    farm.add_stranger("i-keyless", InstanceState::Running, None);
    farm.add_stranger("i-fine", InstanceState::Pending, None);
    for (instance, key, words) in [
        (
            "i-theirs",
            Some(SHOWN),
            format!("instance i-theirs belongs to another fleet: its tag says {THEIRS}"),
        ),
        (
            "i-stopped",
            Some(SHOWN),
            "instance i-stopped is stopped: only one that runs, or is about to, is adopted".to_owned(),
        ),
        (
            "i-none",
            Some(SHOWN),
            "cloud fake knows no instance i-none".to_owned(),
        ),
    ] {
        let asked = farm.outcome(&adopt(instance, key)).await;
        assert_eq!((asked.state, asked.words), (Refused, words));
    }
    let keyless = farm.outcome(&adopt("i-keyless", None)).await;
    assert_eq!(keyless.state, Refused);
    assert!(
        keyless
            .words
            .contains("no host key of instance i-keyless is known"),
        "{keyless:?}"
    );
    assert_eq!(farm.states().await, []);
    assert_eq!(
        farm.instance("i-theirs").fleet(),
        Some(THEIRS),
        "nothing is tagged"
    );

    // Of two that are asked for at once the pool has room for one, and each is a builder once.
    let one = farm.ask(&adopt("i-fine", Some(SHOWN))).await;
    let two = farm.ask(&adopt("i-fine", Some(SHOWN))).await;
    assert_eq!((one.state, two.state), (Running, Running));
    let two = farm.until_over(&two.key).await;
    let full = "pool x86 is at its maximum of 1";
    assert_eq!((two.state, two.words.as_str()), (Refused, full), "{two:?}");
    assert_eq!(farm.until_over(&one.key).await.state, Done);
    assert_eq!(farm.states().await.len(), 1);
}

#[tokio::test]
async fn of_two_who_want_one_instance_the_second_is_told_whose_it_is() {
    let mut farm = Farm::start(&pool("x86", "max: 5", "a")).await;
    farm.add_stranger("i-lent", InstanceState::Running, None);
    let fleet = farm.controller.context.fleet.fleet;
    for key in ["one", "two"] {
        let asked = (&adopt("i-lent", Some(SHOWN)), key, "operator:root");
        farm.controller
            .context
            .store
            .add_intent(fleet, asked, NOW)
            .await
            .unwrap();
    }
    let (one, two) = (farm.until_over("one").await, farm.until_over("two").await);
    assert_eq!(one.state, Done, "{one:?}");
    let words = format!("instance i-lent is builder {} already", one.builders[0]);
    assert_eq!((two.state, two.words), (Nothing, words));
    assert_eq!(farm.states().await, [BuilderState::Ready]);
}

#[tokio::test]
async fn a_machine_that_does_not_become_a_builder_is_ended_and_is_no_failure_of_the_pool() {
    let mut farm = Farm::start(&pool("x86", "max: 2", "a")).await;
    farm.machines_answer(Answers::Never);
    for id in ["i-1", "i-2", "i-3"] {
        farm.add_stranger(id, InstanceState::Running, None);
        let asked = farm.ask(&adopt(id, Some(SHOWN))).await;
        let over = farm.until_over(&asked.key).await;
        assert_eq!(over.state, Failed, "{over:?}");
        assert!(
            over.words
                .starts_with(&format!("instance {id} never got ready: SSH did not answer")),
            "{over:?}"
        );
    }
    farm.pass(5).await;
    assert_eq!(farm.states().await, []);
    assert_eq!(
        farm.troubles().await,
        [""; 0],
        "three failed launches would hold it back"
    );
}

#[tokio::test]
async fn what_is_being_ended_is_not_adopted_until_the_cloud_refuses_to_end_it() {
    let mut farm = Farm::start(&pool("x86", "max: 2", "a")).await;
    let ours = farm.ours();
    farm.add_stranger("i-stray", InstanceState::Running, Some(&ours));
    farm.settle().await;
    let store = farm.controller.context.store.clone();
    // As a controller leaves it that was killed when it had written down that the cloud is told.
    store
        .note_ends(&farm.lease, "fake", &["i-stray"], NOW)
        .await
        .unwrap();
    for request in [adopt("i-stray", Some(SHOWN)), ignore("i-stray")] {
        let asked = farm.ask(&request).await;
        assert_eq!(
            (asked.state, asked.words.as_str()),
            (Refused, "instance i-stray is being ended already")
        );
    }
    farm.cloud
        .protect("i-stray", Some(refused("OperationNotPermitted")));
    farm.pass(180).await;
    assert!(!farm.cloud.terminated().is_empty(), "it was told to, and refused");
    let asked = farm.ask(&adopt("i-stray", Some(SHOWN))).await;
    assert_eq!(asked.state, Running, "{asked:?}");
    assert_eq!(farm.until_over(&asked.key).await.state, Done);
}

#[tokio::test]
async fn a_stray_that_is_ignored_is_never_ended_before_it_is_released() {
    let mut farm = Farm::start(&pool("x86", "max: 2", "a")).await;
    let ours = farm.ours();
    farm.add_stranger("i-kept", InstanceState::Running, Some(&ours));
    farm.add_stranger("i-other", InstanceState::Running, Some(&ours));
    farm.settle().await;
    let asked = farm.ask(&ignore("i-kept")).await;
    assert_eq!(
        (asked.state, asked.words.as_str()),
        (Done, "instance i-kept is ignored by operator:root: evidence")
    );
    farm.pass(200).await;
    assert_eq!(farm.cloud.terminated(), ["i-other"]);
    // A list that left it out does not bring the end nearer, nor does another controller.
    farm.cloud.hide("i-kept", true);
    farm.pass(40).await;
    farm.cloud.hide("i-kept", false);
    farm.controller.forget_everything().await;
    farm.pass(200).await;
    assert_eq!(farm.cloud.terminated(), ["i-other"]);
    let disown = Request::Disown {
        instance: "i-kept".to_owned(),
    };
    assert_eq!(farm.ask(&disown).await.state, Done);
    farm.pass(60).await;
    assert_eq!(farm.cloud.terminated(), ["i-other", "i-kept"]);
}

#[tokio::test]
async fn another_controller_goes_on_with_an_adoption_where_the_first_was_killed() {
    let mut farm = Farm::start(&pool("x86", "max: 2", "a")).await;
    farm.add_stranger("i-lent", InstanceState::Pending, None);
    farm.cloud.refuse_to_tag(Some(refused("UnauthorizedOperation")));
    let asked = farm.ask(&adopt("i-lent", Some(SHOWN))).await;
    assert_eq!((asked.state, asked.builders.len()), (Running, 1));
    farm.controller.forget_everything().await;
    let done = farm.until_over(&asked.key).await;
    assert_eq!((done.state, done.builders), (Done, asked.builders.clone()));
    assert_eq!(
        farm.instance("i-lent").fleet(),
        None,
        "it is a builder by its row alone"
    );
    farm.cloud.refuse_to_tag(None);
    farm.pass(95).await;
    assert_eq!(farm.instance("i-lent").builder(), Some(asked.builders[0]));
    assert_eq!(farm.states().await, [BuilderState::Ready]);
}

#[tokio::test]
async fn the_machines_of_others_are_counted_anew_when_one_of_them_is_ours_now() {
    let mut farm = Farm::start(&pool("x86", "max: 3, idle: 3", "a")).await;
    farm.limit(2, model::fleet::CloudProfile::Aws);
    farm.add_stranger("i-lent", InstanceState::Running, None);
    farm.until_ready(1).await;
    let asked = farm.ask(&adopt("i-lent", Some(SHOWN))).await;
    assert_eq!(farm.until_over(&asked.key).await.state, Done);
    farm.pass(31).await;
    assert_eq!(farm.cloud.counts(), 2);
    farm.until_ready(2).await;
}
