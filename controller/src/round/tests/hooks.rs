//! Hooks, by a runner that does what the test says.

use model::{
    BuilderId,
    hook::End,
    intent::{Request, Target},
};
use store::{EventFilter, HookRun, HookState};

use super::*;
use crate::hooks::{HookRunner, Order, Tried};

mod taken_over;

/// What a program does.
#[derive(Clone, Copy, Debug)]
pub(super) enum Does {
    Ends(i32),
    Hangs,
}

/// A try that was begun: when, in seconds from the beginning, of what, and with which words.
#[derive(Clone, Debug)]
struct Ran {
    at: u64,
    program: String,
    key: String,
    told: Value,
}

/// Programs end well where nothing else is said of them.
#[derive(Debug, Default)]
pub(super) struct FakePrograms {
    does: Mutex<BTreeMap<String, Does>>,
    ran: Mutex<Vec<Ran>>,
}

impl FakePrograms {
    pub(super) fn set(&self, program: &str, does: Does) {
        self.does.lock().unwrap().insert(program.to_owned(), does);
    }

    fn ran(&self) -> Vec<Ran> {
        self.ran.lock().unwrap().clone()
    }

    /// The tries of one program.
    fn ran_of(&self, program: &str) -> Vec<Ran> {
        let all = self.ran();
        all.into_iter().filter(|it| it.program == program).collect()
    }
}

#[async_trait]
impl HookRunner for FakePrograms {
    async fn run(&self, order: &Order, clock: &Clock) -> Tried {
        let program = order.command[0].clone();
        let key = order
            .environment
            .iter()
            .find(|(name, _)| *name == "VERDIGRIS_ATTEMPT");
        self.ran.lock().unwrap().push(Ran {
            at: clock.now().since(NOW).as_secs(),
            program: program.clone(),
            key: key.unwrap().1.clone(),
            told: serde_json::from_str(&order.input).unwrap(),
        });
        let does = self.does.lock().unwrap().get(&program).copied();
        let end = match does.unwrap_or(Does::Ends(0)) {
            Does::Ends(code) => End::Exit(code),
            Does::Hangs => {
                clock.within(order.limit, std::future::pending::<()>()).await;
                End::Late(order.limit)
            }
        };
        Tried {
            end,
            tail: format!("{program} said this"),
        }
    }
}

/// A farm whose pool has so many idle builders, and these hooks.
async fn farm(idle: u32, hooks: &str) -> (Farm, Arc<FakePrograms>) {
    let pools = pool("x86", &format!("max: 4, idle: {idle}"), "a");
    let mut farm = Farm::start(&format!("{pools}hooks:\n{hooks}")).await;
    let programs = Arc::new(FakePrograms::default());
    let context = Context::clone(&farm.controller.context);
    let runner = Arc::clone(&programs) as Arc<dyn HookRunner>;
    farm.controller = Controller::new(context).with_hooks_by(runner);
    (farm, programs)
}

impl Farm {
    async fn runs(&self, id: BuilderId) -> Vec<HookRun> {
        self.controller.context.store.hooks_of(id).await.unwrap()
    }

    async fn hook_states(&self, id: BuilderId) -> Vec<HookState> {
        self.runs(id).await.iter().map(|run| run.state).collect()
    }

    async fn state(&self, id: BuilderId) -> BuilderState {
        let found = self.controller.context.store.builder(id).await.unwrap();
        found.unwrap().state
    }

    /// Has the first builder end; which.
    async fn end_one(&mut self) -> BuilderId {
        let id = self.builders().await[0].id;
        let request = Request::Terminate {
            what: Target::Builders(vec![id]),
            now: false,
            reason: "the test wants it".to_owned(),
        };
        self.ask(&request).await;
        id
    }

    /// Lets seconds pass until a builder and all its hooks have ended.
    async fn until_all_ended(&mut self, id: BuilderId) {
        for _ in 0..900 {
            self.settle().await;
            self.run_instances();
            let are_over = self.runs(id).await.iter().all(|run| run.ended_at.is_some());
            if self.state(id).await.is_final() && are_over {
                return;
            }
            self.clock.advance(Duration::from_secs(1));
        }
        panic!("never over: {:?}", self.runs(id).await);
    }

    /// That all five are done, and told as events of the builder.
    async fn assert_done(&self, id: BuilderId) {
        assert_eq!(self.hook_states(id).await, [HookState::Done; 5]);
        let of_builder = EventFilter {
            builder: Some(id),
            ..EventFilter::default()
        };
        let events = self
            .controller
            .context
            .store
            .events(of_builder, 100)
            .await
            .unwrap();
        let told: Vec<&str> = events
            .iter()
            .filter(|it| it.detail.as_ref().is_some_and(|it| it["state"] == "done"))
            .map(|it| it.reason.as_str())
            .collect();
        assert_eq!((told.len(), told[4]), (5, "hook after_terminate: /5 now: done"));
    }
}

const ALL_FIVE: &str = "  before_spawn: [{cmd: [/1]}]\n  after_spawn: [{cmd: [/2]}]\n  after_ready: [{cmd: [/3]}]\n  \
    before_terminate: [{cmd: [/4]}]\n  after_terminate: [{cmd: [/5, now]}]\n";

/// Each was told whom it is about, under its own key, and nothing that it must not know.
fn assert_told(ran: &[Ran]) {
    for it in ran {
        let told = &it.told;
        assert_eq!((&told["pool"], &told["cloud"]), (&"x86".into(), &"fake".into()));
        assert_eq!(
            (&told["attempt"], &told["key"]),
            (&1.into(), &it.key.as_str().into())
        );
        let text = told.to_string();
        assert!(
            !text.contains("PRIVATE") && !text.contains("ssh-ed25519"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn all_five_run_once_for_a_builder_in_the_order_of_its_life_and_are_told_of_it() {
    let (mut farm, programs) = farm(1, ALL_FIVE).await;
    farm.until_ready(1).await;
    let id = farm.end_one().await;
    farm.until_all_ended(id).await;
    let name = id.to_string();
    let ran: Vec<Ran> = programs
        .ran()
        .into_iter()
        .filter(|it| it.told["builder"] == name.as_str())
        .collect();
    let of = |key: &str| ran.iter().map(|it| it.told[key].clone()).collect::<Vec<Value>>();
    assert_eq!(
        of("hook"),
        [
            "before_spawn",
            "after_spawn",
            "after_ready",
            "before_terminate",
            "after_terminate"
        ]
    );
    assert_eq!(
        of("state"),
        ["planned", "pending", "ready", "draining", "terminated"]
    );
    let instance = &ran[1].told["instance"];
    assert!(
        instance.as_str().is_some_and(|id| id.starts_with("i-")),
        "{instance}"
    );
    assert!(of("instance")[2..].iter().all(|it| it == instance), "{ran:?}");
    assert_eq!(of("address")[..2], [Value::Null, Value::Null]);
    assert_eq!(of("address")[2..], ["127.0.0.1", "127.0.0.1", "127.0.0.1"]);
    assert_eq!(
        of("type"),
        [Value::Null, "a".into(), "a".into(), "a".into(), "a".into()]
    );
    assert_told(&ran);
    farm.assert_done(id).await;
    farm.pass(120).await;
    let again = programs
        .ran()
        .into_iter()
        .filter(|it| it.told["builder"] == name.as_str());
    assert_eq!(again.count(), 5, "none runs again");
}

#[tokio::test]
async fn a_hook_that_hangs_delays_the_end_of_its_machine_by_its_time_and_nothing_else() {
    let (mut farm, programs) = farm(2, "  before_terminate: [{cmd: [/slow], timeout: 5s}]\n").await;
    programs.set("/slow", Does::Hangs);
    farm.until_ready(2).await;
    let id = farm.end_one().await;
    farm.pass(4).await;
    assert_eq!(farm.state(id).await, BuilderState::Draining);
    assert_eq!(farm.cloud.terminated().len(), 0);
    // The other goes on, and one is launched in its place.
    assert!(farm.cloud.instances().len() > 2);
    farm.pass(1).await;
    farm.settle().await;
    assert_eq!(farm.cloud.terminated().len(), 1, "{:?}", farm.runs(id).await);
    let run = farm.runs(id).await.remove(0);
    assert_eq!((run.state, run.attempt), (HookState::Failed, 1));
    assert_eq!(run.outcome.as_deref(), Some("killed after 5 s, its time"));
    assert_eq!(run.tail.as_deref(), Some("/slow said this"));
}

#[tokio::test]
async fn however_many_hang_and_are_to_be_tried_again_a_machine_ends_after_half_a_minute() {
    let hooks = "  before_terminate: [{cmd: [/a], timeout: 20s}, {cmd: [/b], timeout: 20s}, {cmd: [/c]}]\n";
    let again = "  before_terminate: [{cmd: [/a], timeout: 1s, on_failure: retry, attempts: 100}]\n";
    for (hooks, last) in [(hooks, "/b"), (again, "/a")] {
        let (mut farm, programs) = farm(1, hooks).await;
        programs.set("/a", Does::Hangs);
        programs.set("/b", Does::Hangs);
        farm.until_ready(1).await;
        let id = farm.end_one().await;
        farm.pass(29).await;
        assert_eq!(farm.cloud.terminated().len(), 0, "{last}");
        farm.pass(1).await;
        farm.settle().await;
        assert_eq!(
            farm.cloud.terminated().len(),
            1,
            "{last}: {:?}",
            farm.runs(id).await
        );
        assert_eq!(programs.ran().last().unwrap().program, last);
        farm.until_all_ended(id).await;
        assert!(farm.runs(id).await.iter().all(|run| run.state != HookState::Done));
    }
}

#[tokio::test]
async fn what_hangs_after_a_builder_is_ready_is_ended_when_that_drains() {
    let hooks =
        "  after_ready: [{cmd: [/slow], timeout: 5m}, {cmd: [/next]}]\n  before_terminate: [{cmd: [/out]}]\n";
    let (mut farm, programs) = farm(1, hooks).await;
    programs.set("/slow", Does::Hangs);
    farm.until_ready(1).await;
    assert_eq!(programs.ran_of("/slow").len(), 1);
    let id = farm.end_one().await;
    farm.settle().await;
    assert_eq!(farm.cloud.terminated().len(), 1, "at once");
    assert_eq!(farm.controller.hooks.under_way(), 0, "its program is ended");
    assert_eq!(
        farm.hook_states(id).await,
        [HookState::Late, HookState::Late, HookState::Done]
    );
    assert_eq!(
        (programs.ran_of("/next").len(), programs.ran_of("/out").len()),
        (0, 1)
    );
    let words = farm.runs(id).await[0].outcome.clone();
    assert_eq!(words.as_deref(), Some("it was ended: its time was over"));
}

#[tokio::test]
async fn a_hook_that_fails_is_tried_again_as_often_as_the_file_says_and_asks_for_it_itself_by_75() {
    let hooks = "  after_terminate: [{cmd: [/bill], on_failure: retry, attempts: 3}, {cmd: [/busy], attempts: 2}, {cmd: [/no]}]\n";
    let (mut farm, programs) = farm(1, hooks).await;
    for (program, code) in [("/bill", 1), ("/busy", 75), ("/no", 1)] {
        programs.set(program, Does::Ends(code));
    }
    farm.until_ready(1).await;
    let id = farm.end_one().await;
    farm.until_all_ended(id).await;
    let first = programs.ran_of("/bill")[0].at;
    let at =
        |program: &str| -> Vec<u64> { programs.ran_of(program).iter().map(|it| it.at - first).collect() };
    assert_eq!(at("/bill"), [0, 10, 30]);
    assert_eq!(at("/busy"), [30, 40], "one after another");
    assert_eq!(at("/no"), [40]);
    assert_eq!(farm.hook_states(id).await, [HookState::Failed; 3]);
    let mut keys: Vec<String> = programs.ran().into_iter().map(|it| it.key).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 6, "each try has its own");
    let store = &farm.controller.context.store;
    let fleet = farm.controller.context.fleet.fleet;
    let failed = store.failed_hooks(fleet, NOW).await.unwrap();
    assert_eq!(failed.len(), 3);
    let words = failed
        .iter()
        .find(|it| it.spec.cmd == ["/bill"])
        .unwrap()
        .outcome
        .clone();
    assert_eq!(words.as_deref(), Some("exit code 1, at the last of 3 tries"));
}

#[tokio::test]
async fn a_try_that_was_under_way_when_its_controller_ended_is_made_again_under_its_key() {
    let (mut farm, programs) = farm(1, "  after_ready: [{cmd: [/add], timeout: 1m}]\n").await;
    programs.set("/add", Does::Hangs);
    farm.until_ready(1).await;
    let id = farm.builders().await[0].id;
    assert_eq!(farm.hook_states(id).await, [HookState::Running]);
    farm.controller.forget_everything().await;
    assert_eq!(
        farm.hook_states(id).await,
        [HookState::Running],
        "as a kill leaves it"
    );
    programs.set("/add", Does::Ends(75));
    farm.settle().await;
    farm.pass(12).await;
    programs.set("/add", Does::Ends(0));
    farm.pass(30).await;
    let keys: Vec<String> = programs.ran_of("/add").into_iter().map(|it| it.key).collect();
    let [one, two, three, four] = &keys[..] else {
        panic!("{keys:?}");
    };
    assert_eq!(one, two, "the same try");
    assert!(two != three && three != four, "{keys:?}");
    assert_eq!(farm.hook_states(id).await, [HookState::Done]);
    let attempts: Vec<Value> = programs
        .ran_of("/add")
        .iter()
        .map(|it| it.told["attempt"].clone())
        .collect();
    assert_eq!(attempts, [1, 1, 2, 3]);
    assert_eq!(farm.runs(id).await[0].failed_at, None, "it went well at last");
}

#[tokio::test]
async fn no_machine_is_asked_for_before_a_hook_that_has_to_go_well_and_its_pool_is_held_back() {
    let hooks = "  before_spawn: [{cmd: [/budget], on_failure: retry, attempts: 2}, {cmd: [/next]}]\n  after_terminate: [{cmd: [/bye]}]\n";
    let (mut farm, programs) = farm(1, hooks).await;
    programs.set("/budget", Does::Ends(1));
    farm.settle().await;
    assert_eq!(
        farm.states().await,
        [BuilderState::Planned],
        "it waits for the next try"
    );
    let id = farm.builders().await[0].id;
    farm.until_all_ended(id).await;
    let builder = farm.controller.context.store.builder(id).await.unwrap().unwrap();
    assert_eq!(builder.state, BuilderState::Abandoned);
    assert!(programs.ran_of("/next").is_empty(), "nor is the next hook begun");
    let why = "no machine is asked for: hook before_spawn: /budget: exit code 1, at the last of 2 tries";
    assert_eq!(builder.reason.as_deref(), Some(why));
    farm.pass(20).await;
    assert_eq!(farm.launches, []);
    assert_eq!(
        programs.ran_of("/budget").len(),
        6,
        "three builders, and then none for half a minute"
    );
    assert_eq!(
        programs.ran_of("/bye").len(),
        3,
        "who was told of the beginning is told of the end"
    );
    let troubles = farm.troubles().await.join("\n");
    assert!(
        troubles.contains("x86 is held back") && troubles.contains("/budget"),
        "{troubles}"
    );

    programs.set("/budget", Does::Ends(0));
    farm.until_ready(1).await;
}

#[tokio::test]
async fn what_may_fail_before_a_launch_delays_it_by_its_time_and_forbids_nothing() {
    let hooks = "  before_spawn: [{cmd: [/slow], timeout: 7s}, {cmd: [/no]}]\n";
    let (mut farm, programs) = farm(1, hooks).await;
    programs.set("/slow", Does::Hangs);
    programs.set("/no", Does::Ends(1));
    farm.pass(6).await;
    assert_eq!(farm.launches, []);
    farm.pass(2).await;
    assert_eq!(farm.launches.len(), 1);
    farm.until_ready(1).await;
    assert_eq!(
        (programs.ran_of("/slow").len(), programs.ran_of("/no").len()),
        (1, 1)
    );
}

#[tokio::test]
async fn a_machine_that_does_not_answer_is_ended_without_the_hooks_that_need_it() {
    let hooks = "  before_terminate: [{cmd: [/drain], skip_if: unreachable}, {cmd: [/out]}]\n";
    for (answers, drained, state) in [
        (Answers::Well, 1, HookState::Done),
        (Answers::Never, 0, HookState::Skipped),
        (Answers::WithAnotherKey, 0, HookState::Skipped),
    ] {
        let (mut farm, programs) = farm(1, hooks).await;
        farm.until_ready(1).await;
        farm.machines_answer(answers);
        let id = farm.end_one().await;
        farm.settle().await;
        assert_eq!(farm.cloud.terminated().len(), 1, "{answers:?}");
        assert_eq!(
            farm.hook_states(id).await,
            [state, HookState::Done],
            "{answers:?}"
        );
        assert_eq!(programs.ran_of("/drain").len(), drained, "{answers:?}");
        let failed = farm.runs(id).await[0].failed_at;
        assert_eq!(failed, None, "to be left out is no failure");
    }
}

#[tokio::test]
async fn a_machine_that_is_gone_does_not_cut_its_hooks_short() {
    let (mut farm, programs) = farm(1, "  before_terminate: [{cmd: [/out], timeout: 9s}]\n").await;
    programs.set("/out", Does::Hangs);
    farm.until_ready(1).await;
    let builder = farm.builders().await.remove(0);
    let instance = builder.instance_id.unwrap();
    farm.cloud.set_state(&instance, InstanceState::Terminated);
    farm.until("it drains", |states, _| states.contains(&BuilderState::Draining))
        .await;
    farm.pass(8).await;
    assert_eq!(farm.state(builder.id).await, BuilderState::Draining);
    farm.until_all_ended(builder.id).await;
    let run = farm.runs(builder.id).await.remove(0);
    assert_eq!(run.outcome.as_deref(), Some("killed after 9 s, its time"));
}

#[tokio::test]
async fn hooks_of_a_farm_that_has_many_builders_run_side_by_side_and_only_so_many() {
    let pools = pool("x86", "max: 90, idle: 80", "a");
    let hooks = "hooks:\n  after_ready: [{cmd: [/slow], timeout: 1m}]\n  before_terminate: [{cmd: [/out]}]\n";
    let mut farm = Farm::start(&format!("{pools}{hooks}")).await;
    let programs = Arc::new(FakePrograms::default());
    let clock = Clock::Manual(farm.clock.clone());
    farm.controller.hooks = Hooks::new(clock, Arc::clone(&programs) as Arc<dyn HookRunner>);
    programs.set("/slow", Does::Hangs);
    farm.until_ready(80).await;
    assert_eq!(programs.ran_of("/slow").len(), 32);
    // Those that hang keep no machine from its end.
    let last = farm.builders().await[79].id;
    let request = Request::Terminate {
        what: Target::Builders(vec![last]),
        now: false,
        reason: "the test wants it".to_owned(),
    };
    farm.ask(&request).await;
    farm.settle().await;
    assert_eq!(
        (programs.ran_of("/out").len(), farm.cloud.terminated().len()),
        (1, 1)
    );
    farm.pass(61).await;
    assert!(
        programs.ran_of("/slow").len() > 60,
        "{}",
        programs.ran_of("/slow").len()
    );
}
