//! Failures of other fleets, as the reference tells them (`reference/fleet.md` 3.1), by their numbers there: what brought them
//! about happens here, and what they cost does not. Each was seen to fail with its guard taken out of the code (where two are named
//! that are enough, with both):
//!
//! | Story | Its guard |
//! |---|---|
//! | 1 | `step::next`: a launch that was interrupted is asked about again (`Resolving`), and is not given up |
//! | 2 | `sight::is_absence_believed`: three looks in a minute, and not the first |
//! | 4 | `observe::sort_out_orphans` and `Store::orphans`, each of them enough: what a row has by now is no orphan |
//! | 5 | `Instance::belongs_to`: the value of the tag counts, and not that there is one |
//! | 8 | `Store::assign_all`: state and version are compared, and a builder has one open allocation; each of them is enough |
//! | 9 | `Store::transition`: the same for a builder that is drained |
//! | 11 | `Seen::lacks`: only who was asked for by id is absent; `sight::absent`: nothing ends `Busy` but its worker's silence |
//! | 13 | `plan`: launches that are under way count towards the maximum |
//! | 20 | `prepare::connect`: another host key is a stranger's; `sight::seen`: a machine that ended is lost in each state |
//! | 25 | `plan::grow`: nobody waits for a builder that was refused a machine; `LaunchHistory::held_until`; each of them is enough |

use std::collections::BTreeSet;

use cloud::{BUILDER_TAG, LAUNCH_TAG};
use model::{AttemptState, BuildId, FleetId};

use super::{
    reuse::{Packager, good, run, until_assigned},
    *,
};
use crate::observe;

mod addresses;
mod kills;
mod passes;

/// A user of a farm that is just started, with a project.
async fn alice(farm: &Farm) -> Packager {
    let store = farm.controller.context.store.clone();
    Packager::new(&store, "alice").await
}

impl Farm {
    /// Another program takes over: what the one before remembered is gone, and what it wrote is there.
    async fn start_anew(&mut self) {
        self.controller.steps.stop().await;
        self.controller = Controller::new(Context::clone(&self.controller.context));
    }

    /// The instances that cost money.
    fn running(&self) -> BTreeSet<String> {
        let all = self.cloud.instances().into_iter();
        let running = all.filter(|it| it.state != InstanceState::Terminated);
        running.map(|it| it.id).collect()
    }

    /// The instances that builders have which are not ended.
    async fn had(&self) -> BTreeSet<String> {
        let builders = self.builders().await;
        builders.into_iter().filter_map(|it| it.instance_id).collect()
    }

    /// Lets a worker take up a build's attempt, with signs of life for so long.
    async fn take_up(&self, build: BuildId, lasts: Duration) {
        let now = Clock::Manual(self.clock.clone()).now();
        let store = &self.controller.context.store;
        let attempts = store.attempts_of(build).await.unwrap();
        let epoch = attempts.last().unwrap().epoch.unwrap();
        let taken = store.accept_allocation(epoch, "worker", now.plus(lasts), now);
        taken.await.unwrap();
    }

    /// Until the builders are in these states.
    async fn until_states(&mut self, wanted: &[BuilderState]) {
        for _ in 0..60 {
            self.settle().await;
            self.run_instances();
            let mut states = self.states().await;
            states.sort_unstable_by_key(|state| wanted.iter().position(|it| it == state));
            if states == wanted {
                return;
            }
            self.clock.advance(Duration::from_secs(1));
        }
        panic!("never {wanted:?}: {:?}", self.builders().await);
    }

    /// A sign of life of the worker that builds these, for a minute.
    async fn heartbeat(&self, builds: &[BuildId]) {
        let now = Clock::Manual(self.clock.clone()).now();
        let store = &self.controller.context.store;
        let mut sizes = BTreeMap::new();
        for build in builds {
            let attempts = store.attempts_of(*build).await.unwrap();
            sizes.insert(attempts.last().unwrap().epoch.unwrap(), 1);
        }
        let until = now.plus(Duration::from_secs(60));
        let renewed = store.renew_allocations("worker", &sizes, until, now);
        assert_eq!(renewed.await.unwrap().len(), builds.len());
    }

    async fn state_of(&self, build: BuildId) -> AttemptState {
        let attempts = self.controller.context.store.attempts_of(build).await;
        attempts.unwrap().last().unwrap().state
    }
}

/// A look at a cloud in which no machine is known.
fn look_of(farm: &Farm, cloud: Arc<dyn cloud::Cloud>) -> observe::Look {
    observe::Look {
        name: "fake".to_owned(),
        cloud,
        fleet: farm.controller.context.fleet.fleet,
        is_certain: false,
        known: Vec::new(),
        orphans: Vec::new(),
        count: None,
        asks_dialect: false,
        wanted: Vec::new(),
        owners: BTreeMap::new(),
    }
}

/// A program died right after a launch, and the next one believed a cloud that did not show the machine yet: it went on running.
#[tokio::test]
async fn story_2_a_machine_that_its_cloud_does_not_show_yet_is_still_its_builders() {
    let mut farm = Farm::start(&pool("x86", "max: 4, idle: 1", "a")).await;
    farm.cloud.fail_next_launch(LaunchFailure::After(unclear()));
    farm.settle().await;
    let id = farm.cloud.instances()[0].id.clone();
    farm.cloud.hide(&id, true);
    farm.start_anew().await;
    // EC2 may take a minute until it shows what it has made.
    farm.pass(45).await;
    assert_eq!(farm.builders().await.len(), 1, "no other one instead");
    farm.cloud.hide(&id, false);
    farm.until_ready(1).await;
    assert_eq!(farm.running(), farm.had().await);
    assert_eq!(farm.running().len(), 1);
}

/// A cleaner compared the cloud's list with an older one of its own, and ended machines that had come in between.
#[tokio::test]
async fn story_4_a_machine_that_is_younger_than_what_is_known_of_the_fleet_is_no_orphan() {
    let mut farm = Farm::start(&pool("x86", "max: 4, idle: 1", "a")).await;
    farm.until_ready(1).await;
    let cloud = Arc::clone(&farm.cloud) as Arc<dyn cloud::Cloud>;
    let look = || observe::look(look_of(&farm, Arc::clone(&cloud)));
    let seen = look().await.unwrap();
    let later = look().await.unwrap();
    let context = Arc::clone(&farm.controller.context);
    let mut absences = observe::Absences::default();
    // What was known before the machine was launched: nothing. The row is there by the time the list is thought about.
    for seen in [seen, later] {
        observe::conclude(&context, &farm.lease, &seen, &[], &mut absences)
            .await
            .unwrap();
        farm.clock.advance(Duration::from_secs(300));
    }
    let orphans = context.store.orphans(context.fleet.fleet, None).await.unwrap();
    assert_eq!(orphans, []);
    farm.pass(300).await;
    assert_eq!(farm.cloud.terminated(), [""; 0]);
}

/// One controller ended the machines of another, since it only asked whether there was a tag.
#[tokio::test]
async fn story_5_a_machine_with_the_tag_of_another_fleet_is_left_alone() {
    let mut farm = Farm::start(&pool("x86", "max: 4", "a")).await;
    let ours = farm.controller.context.fleet.fleet;
    let stranger = |id: &str, fleet: &str| Instance {
        id: id.to_owned(),
        state: InstanceState::Running,
        address: Some("192.0.2.9".to_owned()),
        state_reason: None,
        offering: None,
        tags: [
            (FLEET_TAG, fleet),
            (BUILDER_TAG, "bdr_00000000000000000000000000000001"),
            (LAUNCH_TAG, "lch_00000000000000000000000000000002"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into(),
    };
    let theirs = FleetId(uuid::Uuid::from_u128(9)).to_string();
    farm.cloud.add(stranger("i-theirs", &theirs));
    farm.cloud.add(stranger("i-near", &format!("{ours}0")));
    farm.cloud.add(stranger("i-empty", ""));
    farm.cloud.add(stranger("i-ours", &ours.to_string()));
    farm.pass(400).await;
    let ended: BTreeSet<String> = farm.cloud.terminated().into_iter().collect();
    assert_eq!(ended, BTreeSet::from(["i-ours".to_owned()]));
}

/// Two requests got the same machine: the second was decided on what was known before the first.
#[tokio::test]
async fn story_8_a_plan_that_was_made_before_another_was_carried_out_gives_no_builder_away_twice() {
    let mut farm = Farm::start(&pool("x86", "max: 1, idle: 1", "a")).await;
    let alice = alice(&farm).await;
    farm.until_ready(1).await;
    let builds = [alice.submit(&farm).await, alice.submit(&farm).await];
    let view = farm.controller.view().await.unwrap();
    let context = Arc::clone(&farm.controller.context);
    let plan = model::plan(&crate::snapshot(&context, &view));
    // The same builder for the other attempt: what a second planner would have found.
    let mut other = plan.clone();
    let second = view.queue.get(1).unwrap().id;
    for action in &mut other.actions {
        if let Action::Assign { attempt, .. } = action {
            *attempt = second;
        }
    }
    farm.controller.commit(&farm.lease, &view, &plan).await.unwrap();
    farm.controller.commit(&farm.lease, &view, &other).await.unwrap();
    let states = [farm.state_of(builds[0]).await, farm.state_of(builds[1]).await];
    assert_eq!(states, [AttemptState::Assigned, AttemptState::Waiting]);
}

/// A scaler saw an idle machine, a job began there, and the scaler ended it.
#[tokio::test]
async fn story_9_a_builder_that_was_idle_when_the_plan_was_made_and_builds_by_now_is_not_drained() {
    let mut farm = Farm::start(&pool("x86", "max: 1, idle: 1", "a")).await;
    let alice = alice(&farm).await;
    farm.until_ready(1).await;
    let mut context = Context::clone(&farm.controller.context);
    context.fleet = Arc::new(fleet(&pool("x86", "max: 1", "a")));
    farm.clock.advance(Duration::from_secs(3600));
    let view = farm.controller.view().await.unwrap();
    let drain = model::plan(&crate::snapshot(&context, &view));
    assert!(matches!(drain.actions[..], [Action::Drain { .. }]), "{drain:?}");
    let build = alice.submit(&farm).await;
    until_assigned(&mut farm, build).await;
    farm.controller.commit(&farm.lease, &view, &drain).await.unwrap();
    assert_eq!(farm.states().await, [BuilderState::Reserved]);
    run(&mut farm, build, &good()).await;
    assert_eq!(farm.cloud.terminated(), [""; 0], "until its build was over");
}

/// A scan that took twenty minutes ended machines that had come while it went on, by what was known at its beginning: most of them
/// built already.
#[tokio::test]
async fn story_11_machines_that_came_while_a_list_was_read_for_twenty_minutes_go_on() {
    let mut farm = Farm::start(&pool("x86", "max: 8, idle: 2", "a")).await;
    let alice = alice(&farm).await;
    let context = Arc::clone(&farm.controller.context);
    // Scans of a fleet that has no machine yet, none of which has ended.
    let mut scans = Vec::new();
    for _ in 0..7 {
        let cloud = Arc::clone(&farm.cloud) as Arc<dyn cloud::Cloud>;
        scans.push(observe::look(look_of(&farm, cloud)).await.unwrap());
    }
    farm.until_ready(2).await;
    let builds = [alice.submit(&farm).await, alice.submit(&farm).await];
    for build in builds {
        until_assigned(&mut farm, build).await;
        farm.take_up(build, Duration::from_secs(60)).await;
    }
    let wanted = [
        BuilderState::Busy,
        BuilderState::Busy,
        BuilderState::Ready,
        BuilderState::Ready,
    ];
    farm.until_states(&wanted).await;
    let before = farm.had().await;
    let mut absences = observe::Absences::default();
    for half_minute in 0..40 {
        farm.clock.advance(Duration::from_secs(30));
        farm.heartbeat(&builds).await;
        farm.settle().await;
        // In the last six minutes what they found comes in, one each minute: as long as an absence has to last to be believed.
        if half_minute >= 27 && half_minute % 2 == 1 {
            let seen = &scans[(half_minute - 27) / 2];
            let builders = farm.builders().await;
            observe::conclude(&context, &farm.lease, seen, &builders, &mut absences)
                .await
                .unwrap();
        }
    }
    farm.until_states(&wanted).await;
    assert_eq!(farm.had().await, before, "the same ones");
    assert_eq!(farm.cloud.terminated(), [""; 0]);
    for build in builds {
        assert_eq!(farm.state_of(build).await, AttemptState::Running);
    }
    // Where no worker is heard any more, that is what ends them.
    farm.pass(61).await;
    assert_ne!(farm.had().await, before);
}

/// The same while no answer shows them at all, and their workers are heard.
#[tokio::test]
async fn story_11_builders_at_work_go_on_though_no_answer_shows_them_for_an_hour() {
    let mut farm = Farm::start(&pool("x86", "max: 8", "a")).await;
    let alice = alice(&farm).await;
    let mut builds = Vec::new();
    for _ in 0..4 {
        builds.push(alice.submit(&farm).await);
    }
    for build in &builds {
        until_assigned(&mut farm, *build).await;
        farm.take_up(*build, Duration::from_secs(7200)).await;
    }
    for instance in farm.cloud.instances() {
        farm.cloud.hide(&instance.id, true);
    }
    for _ in 0..40 {
        farm.clock.advance(Duration::from_secs(90));
        farm.settle().await;
    }
    assert_eq!(farm.states().await, [BuilderState::Busy; 4]);
    assert_eq!(farm.cloud.terminated(), [""; 0]);
}

/// A hundred builds brought six hundred machines: launches that were under way did not count.
#[tokio::test]
async fn story_13_a_pool_has_never_more_machines_than_its_maximum_however_many_wait() {
    let mut farm = Farm::start(&pool("x86", "max: 10, idle: 2", "a, b")).await;
    let alice = alice(&farm).await;
    for number in 0..100_u32 {
        alice.submit(&farm).await;
        // Some launches are refused, some are made and not answered.
        match number % 9 {
            0 => farm
                .cloud
                .fail_next_launch(LaunchFailure::Before(refused("InsufficientInstanceCapacity"))),
            1 => farm.cloud.fail_next_launch(LaunchFailure::After(unclear())),
            _ => {}
        }
    }
    for _ in 0..60 {
        farm.settle().await;
        farm.run_instances();
        let (running, counted) = (farm.running().len(), farm.builders().await.len());
        assert!(running <= 10 && counted <= 10, "{running} run, {counted} count");
        farm.clock.advance(Duration::from_secs(7));
    }
}

/// A pool that fails stood first in the list and took each turn, and one that works was never asked.
#[tokio::test]
async fn story_25_a_pool_that_gets_no_machines_leaves_its_turn_to_the_next_within_half_a_minute() {
    let first = pool("first", "max: 9", "a").replace("    image:", "    priority: 10\n    image:");
    let mut farm = Farm::start(&format!("{first}{}", pool("second", "max: 9", "b"))).await;
    let alice = alice(&farm).await;
    farm.cloud
        .refuse_type("a", Some(refused("InsufficientInstanceCapacity")));
    let build = alice.submit(&farm).await;
    let begun = farm.seconds();
    while !farm.launches.iter().any(|(_, of)| of == "b") {
        farm.pass(1).await;
        assert!(farm.seconds() - begun <= 30, "{:?}", farm.launches);
    }
    until_assigned(&mut farm, build).await;
    let builders = farm.builders().await;
    let its = builders
        .iter()
        .find(|it| it.state == BuilderState::Reserved)
        .unwrap();
    assert_eq!(its.pool.as_str(), "second");
}
