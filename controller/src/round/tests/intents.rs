//! What operators ask for, taken up by the controller that leads.

use model::{
    BuilderId,
    intent::{Intent, IntentState, Request, Target},
    mark::MarkKind,
    quantity::Span,
};
use store::{
    BuildOptions, Event, EventFilter, NewProject, NewUpload, NewUser, ProjectSettings, StoredSource,
};

use super::*;
use IntentState::{Done, Nothing, Refused, Running};

const CHROOT: &str = "fedora-43-x86_64";

fn spawn(count: u32, keep: Option<u64>) -> Request {
    Request::Spawn {
        pool: "x86".parse().unwrap(),
        count,
        keep: keep.map(Span::seconds),
    }
}

fn terminate(builder: BuilderId, now: bool) -> Request {
    Request::Terminate {
        what: Target::Builders(vec![builder]),
        now,
        reason: "old".to_owned(),
    }
}

fn pool_x86() -> Target {
    Target::Pool("x86".parse().unwrap())
}

impl Farm {
    fn now(&self) -> model::Timestamp {
        Clock::Manual(self.clock.clone()).now()
    }

    /// Writes a request down as a command does; whether it is the first with this key.
    async fn ask_with(&self, request: &Request, key: &str) -> bool {
        let context = &self.controller.context;
        let asked = (request, key, "operator:root");
        let added = context.store.add_intent(context.fleet.fleet, asked, self.now());
        added.await.unwrap().1
    }

    /// Writes a request down that nobody has made before, and lets the controller take it up.
    pub(super) async fn ask(&mut self, request: &Request) -> Intent {
        let key = uuid::Uuid::now_v7().to_string();
        assert!(self.ask_with(request, &key).await);
        self.settle().await;
        self.intent(&key).await
    }

    async fn intent(&self, key: &str) -> Intent {
        let context = &self.controller.context;
        let found = context.store.intent(context.fleet.fleet, key).await;
        found.unwrap().unwrap()
    }

    /// Lets seconds pass until an intent is over.
    pub(super) async fn until_over(&mut self, key: &str) -> Intent {
        for _ in 0..600 {
            self.settle().await;
            self.run_instances();
            let intent = self.intent(key).await;
            if intent.state.is_final() {
                return intent;
            }
            self.clock.advance(Duration::from_secs(1));
        }
        panic!("never over: {:?}", self.intent(key).await);
    }

    pub(super) async fn first(&self) -> Builder {
        self.builders().await.remove(0)
    }

    /// Offers a chroot. Builders that were made before are outdated by that.
    async fn offer_chroot(&self) {
        let chroot = store::Chroot {
            name: CHROOT.parse().unwrap(),
            comment: String::new(),
            is_active: true,
            definition: model::ChrootDefinition::default(),
        };
        let store = &self.controller.context.store;
        store.create_chroots(&[chroot], NOW).await.unwrap();
    }

    /// Submits a build whose attempt the next round gives to a ready builder.
    async fn submit(&self) -> model::BuildId {
        let store = &self.controller.context.store;
        let user = NewUser {
            name: "alice".parse().unwrap(),
            is_operator: false,
        };
        let user = store.create_user(&user, NOW).await.unwrap();
        let project = NewProject {
            owner: user.name.clone(),
            name: "tools".parse().unwrap(),
            created_by: user.id,
            settings: ProjectSettings::default(),
            chroots: vec![CHROOT.parse().unwrap()],
        };
        let project = store.create_project(&project, NOW).await.unwrap();
        let upload = NewUpload {
            project: project.id,
            submitter: user.id,
            directory: "tools".parse().unwrap(),
            package: "hello".parse().unwrap(),
            version: "1.0-1".to_owned(),
            srpm: StoredSource {
                file_name: "hello-1.0-1.src.rpm".to_owned(),
                sha256: "cd".repeat(32),
                size: 4321,
            },
            chroots: vec![CHROOT.parse().unwrap()],
            skipped: Vec::new(),
            options: BuildOptions::default(),
        };
        store.submit_upload(&upload, self.now()).await.unwrap().id
    }

    /// The one builder is at work; the number of its allocation.
    async fn busy(&mut self) -> (model::BuildId, model::Epoch) {
        self.offer_chroot().await;
        let build = self.submit().await;
        self.until_ready_or_reserved().await;
        let store = self.controller.context.store.clone();
        let offered = store.offered_allocations(8).await.unwrap();
        let epoch = offered[0].epoch;
        let end = self.now().plus(Duration::from_secs(100_000));
        store
            .accept_allocation(epoch, "worker-1", end, self.now())
            .await
            .unwrap();
        (build, epoch)
    }

    async fn until_ready_or_reserved(&mut self) {
        for _ in 0..600 {
            self.settle().await;
            self.run_instances();
            if self.states().await == [BuilderState::Reserved] {
                return;
            }
            self.clock.advance(Duration::from_secs(1));
        }
        panic!("never given away: {:?}", self.builders().await);
    }

    async fn end_of_attempt(&self, epoch: model::Epoch) {
        let outcome = store::Outcome::Canceled {
            result_directory: None,
        };
        let store = &self.controller.context.store;
        let ended = store.finish_attempt(epoch, "worker-1", &outcome, self.now());
        ended.await.unwrap();
    }

    async fn told(&self, builder: BuilderId) -> Vec<Event> {
        let filter = EventFilter {
            builder: Some(builder),
            ..EventFilter::default()
        };
        self.controller.context.store.events(filter, 500).await.unwrap()
    }
}

#[tokio::test]
async fn builders_that_an_operator_asks_for_are_launched_and_go_when_nobody_needs_them() {
    let mut farm = Farm::start(&pool("x86", "max: 5", "a")).await;
    let asked = farm.ask(&spawn(2, None)).await;
    assert_eq!((asked.state, farm.launches.len()), (Running, 2));
    assert!(
        farm.told(asked.builders[0]).await[0]
            .reason
            .contains("operator:root asked for 2 builders"),
        "its history says who wanted it"
    );
    let done = farm.until_over(&asked.key).await;
    assert_eq!(
        (done.state, done.words.as_str()),
        (Done, "2 builders of pool x86 got ready")
    );
    assert_eq!(done.builders.len(), 2);
    farm.pass(300).await;
    assert_eq!(farm.states().await, [BuilderState::Ready; 2]);
    farm.pass(320).await;
    assert_eq!(farm.states().await, []);
    assert_eq!(farm.launches.len(), 2, "and nothing comes in their place");
}

#[tokio::test]
async fn builders_that_are_asked_for_for_a_time_are_kept_for_it() {
    let mut farm = Farm::start(&pool("x86", "max: 5", "a")).await;
    let asked = farm.ask(&spawn(1, Some(900))).await;
    assert_eq!(farm.until_over(&asked.key).await.state, Done);
    farm.clock.advance(Duration::from_secs(700));
    farm.settle().await;
    assert_eq!(
        farm.states().await,
        [BuilderState::Ready],
        "idle for longer than ten minutes"
    );
    farm.clock.advance(Duration::from_secs(200));
    farm.settle().await;
    farm.pass(2).await;
    assert_eq!(farm.states().await, []);
}

#[tokio::test]
async fn a_pool_without_room_refuses_what_it_has_no_room_for() {
    let mut farm = Farm::start(&pool("x86", "max: 2, idle: 1", "a")).await;
    let asked = farm.ask(&spawn(3, None)).await;
    let words = "1 of 3 builders launched, 1 still under way: pool x86 is at its maximum of 2";
    assert_eq!((asked.state, asked.words.as_str()), (Running, words));
    assert_eq!(farm.launches.len(), 2);
    let over = farm.until_over(&asked.key).await;
    let words = "1 of 3 builders launched: pool x86 is at its maximum of 2";
    assert_eq!((over.state, over.words.as_str()), (Refused, words));
    assert_eq!(
        farm.states().await,
        [BuilderState::Ready; 2],
        "none is left half launched"
    );
    let again = farm.ask(&spawn(1, None)).await;
    assert_eq!(
        (again.state, again.words.as_str()),
        (Refused, "pool x86 is at its maximum of 2")
    );
    farm.until_ready(2).await;
}

#[tokio::test]
async fn two_commands_with_one_key_launch_once() {
    let mut farm = Farm::start(&pool("x86", "max: 5", "a")).await;
    assert!(farm.ask_with(&spawn(1, None), "k").await);
    assert!(!farm.ask_with(&spawn(1, None), "k").await);
    farm.settle().await;
    let done = farm.until_over("k").await;
    assert!(!farm.ask_with(&spawn(1, None), "k").await);
    farm.pass(10).await;
    assert_eq!((farm.intent("k").await, farm.launches.len()), (done, 1));
}

#[tokio::test]
async fn an_intent_goes_on_where_a_controller_was_lost() {
    let mut farm = Farm::start(&pool("x86", "max: 5", "a")).await;
    farm.machines_answer(Answers::Never);
    let asked = farm.ask(&spawn(1, None)).await;
    let context = Context::clone(&farm.controller.context);
    farm.controller = Controller::new(context);
    farm.machines_answer(Answers::Well);
    assert_eq!(farm.until_over(&asked.key).await.state, Done);
    assert_eq!(farm.launches.len(), 1, "what was launched for it is known");
}

#[tokio::test]
async fn builders_that_never_get_ready_make_an_intent_fail() {
    let mut farm = Farm::start(&pool("x86", "max: 5", "a")).await;
    farm.machines_answer(Answers::Badly);
    let asked = farm.ask(&spawn(1, None)).await;
    let failed = farm.until_over(&asked.key).await;
    assert_eq!(failed.state, IntentState::Failed);
    assert!(
        failed.words.starts_with("1 of 1 builder never got ready: "),
        "{}",
        failed.words
    );
}

#[tokio::test]
async fn a_builder_that_is_terminated_ends_and_is_no_failure_of_its_pool() {
    for is_ready in [true, false] {
        let mut farm = Farm::start(&pool("x86", "max: 5, idle: 1", "a")).await;
        if is_ready {
            farm.until_ready(1).await;
        } else {
            farm.machines_answer(Answers::Never);
            farm.settle().await;
            farm.run_instances();
            farm.pass(1).await;
            assert_eq!(farm.states().await, [BuilderState::Booting]);
        }
        let builder = farm.first().await;
        let asked = farm.ask(&terminate(builder.id, false)).await;
        assert_eq!(asked.builders, [builder.id]);
        let done = farm.until_over(&asked.key).await;
        assert_eq!((done.state, done.words.as_str()), (Done, "1 builder gone"));
        let (told, instance) = (farm.cloud.terminated(), builder.instance_id.unwrap());
        assert!(
            !told.is_empty() && told.iter().all(|id| *id == instance),
            "{told:?}"
        );
        let view = farm.controller.view().await.unwrap();
        let failures = view.histories.values().map(|it| it.failures).sum::<u32>();
        assert_eq!(failures, 0);
        let again = farm.ask(&terminate(builder.id, false)).await;
        assert_eq!(again.state, Nothing);
    }
}

#[tokio::test]
async fn a_builder_at_work_ends_after_its_attempt_unless_it_is_to_end_now() {
    let mut farm = Farm::start(&pool("x86", "max: 1", "a")).await;
    let (build, epoch) = farm.busy().await;
    let builder = farm.first().await.id;
    let asked = farm.ask(&terminate(builder, false)).await;
    farm.pass(60).await;
    let waiting = farm.intent(&asked.key).await;
    let words = "1 of 1 builder not gone yet, 1 of them at work";
    assert_eq!((waiting.state, waiting.words.as_str()), (Running, words));
    assert_eq!(farm.states().await, [BuilderState::Busy]);
    farm.end_of_attempt(epoch).await;
    assert_eq!(farm.until_over(&asked.key).await.state, Done);
    let attempts = farm.controller.context.store.attempts_of(build).await.unwrap();
    assert_eq!(attempts.len(), 1, "it had its time");

    let mut farm = Farm::start(&pool("x86", "max: 1", "a")).await;
    let (build, _) = farm.busy().await;
    let builder = farm.first().await.id;
    let gentle = farm.ask(&terminate(builder, false)).await;
    let now = farm.ask(&terminate(builder, true)).await;
    assert_ne!(farm.states().await, [BuilderState::Busy]);
    assert_eq!(farm.until_over(&now.key).await.state, Done);
    assert_eq!(farm.until_over(&gentle.key).await.state, Done);
    let attempts = farm.controller.context.store.attempts_of(build).await.unwrap();
    assert_eq!(attempts.len(), 2, "another is made in its place");
    assert_eq!(attempts[0].blame, None, "and it counts as no try");
}

#[tokio::test]
async fn a_cordon_keeps_attempts_away_until_its_time_is_over() {
    let mut farm = Farm::start(&pool("x86", "max: 1, idle: 1", "a")).await;
    farm.offer_chroot().await;
    farm.until_ready(1).await;
    let builder = farm.first().await.id;
    let cordon = Request::Cordon {
        builder,
        reason: "a bad disk".to_owned(),
        lasts: Some(Span::seconds(60)),
    };
    assert_eq!(farm.ask(&cordon).await.state, Done);
    farm.submit().await;
    farm.pass(59).await;
    assert_eq!(farm.states().await, [BuilderState::Ready]);
    farm.pass(1).await;
    assert_eq!(farm.states().await, [BuilderState::Reserved]);
    let told: Vec<_> = farm
        .told(builder)
        .await
        .into_iter()
        .map(|it| (it.actor, it.reason))
        .collect();
    for (actor, reason) in [
        ("operator:root", "cordoned by operator:root until 2027-01-15T08:"),
        ("controller", "no longer cordoned"),
    ] {
        let is_told = told
            .iter()
            .any(|(by, why)| by == actor && why.starts_with(reason));
        assert!(is_told, "{actor} {reason}: {told:?}");
    }
}

#[tokio::test]
async fn a_pool_that_is_drained_ends_all_its_builders_and_launches_none_until_it_is_let() {
    let mut farm = Farm::start(&pool("x86", "max: 3, idle: 2", "a")).await;
    farm.until_ready(2).await;
    let drain = Request::Drain {
        what: pool_x86(),
        reason: "new network".to_owned(),
        lasts: None,
    };
    let asked = farm.ask(&drain).await;
    assert_eq!(farm.until_over(&asked.key).await.state, Done);
    farm.pass(60).await;
    assert_eq!((farm.states().await, farm.launches.len()), (vec![], 2));
    let refused = farm.ask(&spawn(1, None)).await;
    let words = "pool x86 is drained by its operators, by operator:root: new network";
    assert_eq!((refused.state, refused.words.as_str()), (Refused, words));
    let uncordon = Request::Uncordon { what: pool_x86() };
    assert_eq!(farm.ask(&uncordon).await.state, Done);
    farm.until_ready(2).await;
}

#[tokio::test]
async fn a_held_builder_counts_gets_nothing_and_ends_at_its_time() {
    let mut farm = Farm::start(&pool("x86", "max: 1, idle: 1", "a")).await;
    farm.offer_chroot().await;
    farm.until_ready(1).await;
    let builder = farm.first().await.id;
    let hold = |seconds| Request::Hold {
        builder,
        reason: "look".to_owned(),
        lasts: Some(Span::seconds(seconds)),
        owner: Some("alice".to_owned()),
    };
    let asked = farm.ask(&hold(30)).await;
    assert_eq!(farm.until_over(&asked.key).await.state, Done);
    assert_eq!(farm.states().await, [BuilderState::Held]);
    farm.submit().await;
    farm.pass(20).await;
    assert_eq!(
        farm.states().await,
        [BuilderState::Held],
        "it is the one builder of the pool"
    );
    let longer = farm.ask(&hold(60)).await;
    assert_eq!(longer.state, Done);
    farm.pass(55).await;
    assert_eq!(farm.states().await, [BuilderState::Held]);
    farm.pass(10).await;
    assert!(
        !farm.builders().await.iter().any(|it| it.id == builder),
        "its time was over"
    );
    assert_eq!(farm.launches.len(), 2, "and another serves who waits");
}

#[tokio::test]
async fn a_builder_at_work_is_held_after_it_and_released_to_its_end() {
    let mut farm = Farm::start(&pool("x86", "max: 1", "a")).await;
    let (_, epoch) = farm.busy().await;
    let builder = farm.first().await.id;
    let hold = Request::Hold {
        builder,
        reason: "look".to_owned(),
        lasts: Some(Span::seconds(600)),
        owner: None,
    };
    let asked = farm.ask(&hold).await;
    assert_eq!(
        (asked.state, farm.states().await),
        (Running, vec![BuilderState::Busy])
    );
    farm.end_of_attempt(epoch).await;
    assert_eq!(farm.until_over(&asked.key).await.state, Done);
    let mark = farm.first().await.mark.unwrap();
    assert_eq!((mark.kind, mark.by.as_str()), (MarkKind::Held, "operator:root"));
    let released = farm.ask(&Request::Release { builder }).await;
    assert_eq!(farm.until_over(&released.key).await.state, Done);
    assert_eq!(farm.states().await, []);
}

#[tokio::test]
async fn a_pass_is_over_when_every_cloud_was_asked_after_it_began() {
    let mut farm = Farm::start(&pool("x86", "max: 2, idle: 1", "a")).await;
    farm.until_ready(1).await;
    farm.pass(5).await;
    let before = farm.cloud.calls();
    let quiet = farm.ask(&Request::Reconcile).await;
    assert_eq!(quiet.state, Nothing, "{}", quiet.words);
    assert!(farm.cloud.calls() > before, "it was not due for half a minute");
    let first = farm.cloud.instances()[0].id.clone();
    farm.cloud.set_state(&first, InstanceState::Stopped);
    farm.clock.advance(Duration::from_secs(1));
    let asked = farm.ask(&Request::Reconcile).await;
    assert_eq!(asked.state, Done, "{}", asked.words);
    assert_eq!(farm.launches.len(), 2, "what had stopped is replaced at once");
}
