//! Machines that are always there: made builders, cleaned before the next one, and given back.

use model::intent::{IntentState, Request};
use store::FleetView;

use super::{
    reuse::{Packager, good, run, until_assigned},
    *,
};

/// A pool of so many spare hosts: a, and b, whose key the file says.
fn rack(idle: u32) -> String {
    format!(
        "  rack:\n    labels: [\"arch:x86_64\"]\n    provision: base\n    size: {{max: 2, idle: {idle}}}\n    hosts:\n      \
         - {{name: a, address: 127.0.0.2}}\n      - {{name: b, address: 127.0.0.3, port: 2222, host_key: \"{SHOWN}\"}}\n"
    )
}

impl Farm {
    async fn view(&self) -> FleetView {
        let context = &self.controller.context;
        let view = context
            .store
            .fleet_snapshot(context.fleet.fleet, Clock::Manual(self.clock.clone()).now());
        view.await.unwrap()
    }

    /// Why a host is out of service.
    async fn out(&self, host: &str) -> Option<String> {
        let view = self.view().await;
        Some(view.hosts.get(host)?.out.as_ref()?.why.clone())
    }

    /// The hosts that are ready builders.
    async fn ready_hosts(&self) -> Vec<String> {
        let builders = self.builders().await;
        let ready = builders.iter().filter(|it| it.state == BuilderState::Ready);
        ready.filter_map(|it| it.host.clone()).collect()
    }
}

#[tokio::test]
async fn hosts_become_builders_with_the_keys_of_the_file_or_those_that_they_show_first() {
    let mut farm = Farm::start(&rack(2)).await;
    farm.until_ready(2).await;
    let builders = farm.builders().await;
    let told: Vec<_> = builders
        .iter()
        .map(|it| {
            (
                it.instance_id.as_deref().unwrap(),
                it.address.as_deref().unwrap(),
                it.port,
                it.cloud.as_str(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [("a", "127.0.0.2", 22, "hosts"), ("b", "127.0.0.3", 2222, "hosts")]
    );
    let keys: Vec<_> = builders
        .iter()
        .map(|it| it.host_key.as_deref().unwrap())
        .collect();
    assert_eq!(keys, [SHOWN, SHOWN]);
    assert!(builders.iter().all(|it| it.host_key_secret.is_none()));
    assert!(farm.cloud.asked().is_empty());
    let store = &farm.controller.context.store;
    let known = store.host(&farm.lease, "a", "127.0.0.2 22").await.unwrap();
    assert_eq!(known.host_key.as_deref(), Some(SHOWN));
    // Elsewhere it is another machine.
    let unknown = store.host(&farm.lease, "a", "127.0.0.9 22").await.unwrap();
    assert_eq!(unknown, store::HostRecord::default());
}

#[tokio::test]
async fn a_host_is_cleaned_and_used_again_by_anybody() {
    let mut farm = Farm::start(&rack(0)).await;
    let store = farm.controller.context.store.clone();
    let mut ran_on = Vec::new();
    for owner in ["alice", "bob"] {
        let packager = Packager::new(&store, owner).await;
        let build = packager.submit(&farm).await;
        until_assigned(&mut farm, build).await;
        let builder = run(&mut farm, build, &good()).await;
        let row = store.builder(builder).await.unwrap().unwrap();
        ran_on.push((builder, row.host));
        farm.until("it is given back", |states, _| states.is_empty())
            .await;
    }
    let (first, second) = (&ran_on[0], &ran_on[1]);
    assert_ne!(first.0, second.0, "a builder of its own");
    assert_eq!((first.1.as_deref(), second.1.as_deref()), (Some("a"), Some("a")));
    let ended = store.builder(second.0).await.unwrap().unwrap();
    assert_eq!(ended.reason.as_deref(), Some("a is given back"));
    assert!(farm.cloud.asked().is_empty() && farm.cloud.terminated().is_empty());
}

#[tokio::test]
async fn a_host_that_stays_dirty_is_out_of_service_until_an_operator_says_otherwise() {
    let mut farm = Farm::start(&rack(0)).await;
    let store = farm.controller.context.store.clone();
    let alice = Packager::new(&store, "alice").await;
    let build = alice.submit(&farm).await;
    until_assigned(&mut farm, build).await;
    run(&mut farm, build, &good()).await;
    farm.until("it is given back", |states, _| states.is_empty())
        .await;
    farm.machines_answer(Answers::Dirtily);
    let next = alice.submit(&farm).await;
    until_assigned(&mut farm, next).await;
    let out = farm.out("a").await.unwrap();
    assert_eq!(
        out,
        "it is not as it was before its first build: users: eve: is new"
    );
    let attempts = store.attempts_of(next).await.unwrap();
    let other = store
        .builder(attempts[0].builder.unwrap())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(other.host.as_deref(), Some("b"), "no build had run there");

    farm.machines_answer(Answers::Well);
    farm.pass(300).await;
    assert!(farm.out("a").await.is_some(), "time does not clean it");
    let readmit = Request::Readmit { host: "a".to_owned() };
    let asked = farm.ask(&readmit).await;
    assert_eq!(asked.state, IntentState::Done, "{}", asked.words);
    assert_eq!(farm.out("a").await, None);
    assert_eq!(farm.ask(&readmit).await.state, IntentState::Nothing);
}

#[tokio::test]
async fn a_host_that_was_started_again_is_used_on_if_no_build_ran_there_and_only_then() {
    let mut farm = Farm::start(&rack(2)).await;
    farm.until_ready(2).await;
    let before: Vec<_> = farm.builders().await.iter().map(|it| it.id).collect();
    // Both are idle, and are found out: other builders are made of them.
    farm.machines_answer(Answers::Restarted);
    farm.pass(73).await;
    farm.machines_answer(Answers::Well);
    farm.until_ready(2).await;
    let after = farm.builders().await;
    assert!(after.iter().all(|it| !before.contains(&it.id)), "{after:?}");
    for host in ["a", "b"] {
        assert_eq!(farm.out(host).await, None);
    }

    // On one of them a build runs before that.
    let store = farm.controller.context.store.clone();
    let alice = Packager::new(&store, "alice").await;
    let build = alice.submit(&farm).await;
    until_assigned(&mut farm, build).await;
    let builder = run(&mut farm, build, &good()).await;
    let used = store.builder(builder).await.unwrap().unwrap().host.unwrap();
    farm.machines_answer(Answers::Restarted);
    farm.pass(73).await;
    let out = farm.out(&used).await.unwrap_or_default();
    assert!(
        out.starts_with("it is not as it was before its first build: boot: boot: has changed"),
        "{out}"
    );
    let other = if used == "a" { "b" } else { "a" };
    assert_eq!(farm.out(other).await, None);
}

#[tokio::test]
async fn a_host_that_cannot_be_cleaned_is_tried_again_and_never_used_dirty() {
    let mut farm = Farm::start(&rack(0)).await;
    let store = farm.controller.context.store.clone();
    let alice = Packager::new(&store, "alice").await;
    // Both have run builds.
    for _ in 0..2 {
        let (one, other) = (alice.submit(&farm).await, alice.submit(&farm).await);
        until_assigned(&mut farm, one).await;
        until_assigned(&mut farm, other).await;
        run(&mut farm, one, &good()).await;
        run(&mut farm, other, &good()).await;
        farm.until("they are given back", |states, _| states.is_empty())
            .await;
    }
    farm.machines_answer(Answers::Badly);
    let build = alice.submit(&farm).await;
    farm.pass(30).await;
    let all = store.builders(Some(NOW)).await.unwrap();
    let words = "it could not be cleaned after earlier builds: the disk is full";
    let reason = |it: &Builder| it.reason.clone().unwrap_or_default();
    assert!(all.iter().any(|it| reason(it).contains("given back")));
    assert!(farm.ready_hosts().await.is_empty());
    let history = &farm.view().await.hosts["a"].history;
    assert_eq!(history.last_reason.as_deref(), Some(words));
    assert_eq!(farm.out("a").await, None, "nothing was found on it");
    farm.machines_answer(Answers::Well);
    until_assigned(&mut farm, build).await;
}

#[tokio::test]
async fn a_host_that_shows_another_key_is_left_alone_and_the_other_goes_on() {
    let mut farm = Farm::start(&rack(2)).await;
    farm.until_ready(2).await;
    let first = farm.builders().await[0].id;
    farm.machines_answer(Answers::WithAnotherKey);
    let store = farm.controller.context.store.clone();
    let terminate = Request::Terminate {
        what: model::intent::Target::Builders(vec![first]),
        now: false,
        reason: String::new(),
    };
    farm.ask(&terminate).await;
    farm.pass(30).await;
    assert_eq!(farm.ready_hosts().await, ["b"]);
    let history = farm.view().await.hosts["a"].history.clone();
    assert!(history.failures >= 3, "{history:?}");
    let reason = history.last_reason.unwrap_or_default();
    assert!(reason.contains("shows the host key"), "{reason}");
    let known = store.host(&farm.lease, "a", "127.0.0.2 22").await.unwrap();
    assert_eq!(known.host_key.as_deref(), Some(SHOWN), "the first one");
    // Another machine has its name now, at another address: nothing is known of that one.
    farm.machines_answer(Answers::Well);
    let mut context = Context::clone(&farm.controller.context);
    context.fleet = Arc::new(fleet(&rack(2).replace("127.0.0.2", "127.0.0.9")));
    let hosts = Arc::new(HostCloud::new(&context.fleet));
    context.clouds.insert("hosts".to_owned(), hosts);
    farm.controller = Controller::new(context);
    farm.pass(3).await;
    assert_eq!(farm.ready_hosts().await, ["b", "a"]);
}
