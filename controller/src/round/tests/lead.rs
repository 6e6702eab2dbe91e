//! Controllers that lead in turn. The clock jumps to the next wake only while the one that leads rests, so that no lease ends
//! because the machine is slow.

use model::condition::Leadership;
use store::{HookState, Lease};
use tokio::sync::watch;

use super::{
    hooks::{Does, FakePrograms},
    *,
};
use crate::{Files, News};

const TTL: Duration = Duration::from_secs(60);
/// How long a controller rests while something is under way, and while nothing is.
const TICK: Duration = Duration::from_millis(200);
const RENEW: Duration = Duration::from_secs(5);

/// What the test does to a controller's world while it leads.
struct World {
    store: Store,
    fleet: model::FleetId,
    cloud: Arc<FakeCloud>,
    clock: ManualClock,
    stop: runtime::CancellationToken,
}

/// A farm with one idle builder whose controller does not lead yet.
async fn farm() -> (Farm, World) {
    let mut farm = Farm::start(&pool("x86", "max: 3, idle: 1", "a")).await;
    let mut context = Context::clone(&farm.controller.context);
    let mut fleet = FleetSpec::clone(&context.fleet);
    let text = "tick: {min: 200ms, max: 30s}\nlease: {ttl: 60s, renew: 5s}\n";
    fleet.controller = runtime::yaml::parse(text, "controller").unwrap();
    context.fleet = Arc::new(fleet);
    let world = World {
        store: context.store.clone(),
        fleet: context.fleet.fleet,
        cloud: Arc::clone(&farm.cloud),
        clock: farm.clock.clone(),
        stop: runtime::CancellationToken::new(),
    };
    world.store.release_lease(&farm.lease, NOW).await.unwrap();
    farm.controller = Controller::new(context);
    (farm, world)
}

impl Farm {
    /// Takes the lease, and leads until something in the script or after it ends that.
    async fn lead_beside(&mut self, world: &World, script: impl Future<Output = ()>) {
        let (mut waits_since, mut is_told) = (None, false);
        let led = Box::pin(self.controller.take_and_lead(&mut waits_since, &world.stop));
        let beside = async {
            script.await;
            is_told = true;
            loop {
                world.rest().await;
            }
        };
        let both = async {
            tokio::select! {
                () = led => {}
                () = beside => {}
            }
        };
        let ended = tokio::time::timeout(Duration::from_secs(120), both).await;
        ended.expect("the leading ends after its script");
        assert!(is_told, "not before");
        assert_eq!(waits_since, None, "it led");
        assert_eq!(self.clock.sleepers(), 0, "nothing that it began goes on");
    }

    /// Takes the lease, and leads until the one builder is ready; then it is told to stop.
    async fn lead_until_ready(&mut self, world: &World) {
        let script = async {
            world.until_ready().await;
            world.stop.cancel();
        };
        self.lead_beside(world, script).await;
    }
}

impl World {
    fn clock(&self) -> Clock {
        Clock::Manual(self.clock.clone())
    }

    /// Lets time pass until something is so.
    async fn until(&self, is_so: impl AsyncFn() -> bool) {
        while !is_so().await {
            self.rest().await;
        }
    }

    async fn until_ready(&self) {
        self.until(async || self.count(BuilderState::Ready).await == 1)
            .await;
    }

    /// Goes on to the next wake, unless a round or a renewal is under way.
    async fn rest(&self) {
        let step = self.clock.next_wake().unwrap_or_default();
        if self.clock.sleepers() >= 2 && self.is_renewed_until(step).await {
            self.clock.advance(step);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    /// Whether the lease is renewed as often as it is to be, also when the clock has gone on by so much. While a renewal waits
    /// for the database, its time limit sleeps beside the pause of the rounds: that looks like rest.
    async fn is_renewed_until(&self, step: Duration) -> bool {
        let then = self.clock().now().plus(step).plus(TTL - RENEW * 2);
        match self.store.fleet_condition(Some(self.fleet), then).await {
            Ok(condition) => matches!(condition.leadership, Leadership::Held { .. }),
            // Nobody renews in a database that is closed.
            Err(_) => true,
        }
    }

    /// How many builders are in a state, after instances that are being made have begun to run.
    async fn count(&self, state: BuilderState) -> usize {
        for instance in self.cloud.instances() {
            if instance.state == InstanceState::Pending {
                self.cloud.set_state(&instance.id, InstanceState::Running);
            }
        }
        let builders = self.store.builders(None).await.unwrap();
        builders.iter().filter(|builder| builder.state == state).count()
    }

    /// Another controller takes the lease, as it could if that of the first had ended.
    async fn take_over(&self) -> Lease {
        let later = self.clock().now().plus(TTL * 2);
        let taken = self.store.acquire_lease(self.fleet, "other", TTL, later).await;
        taken.unwrap().expect("the lease is over")
    }
}

#[tokio::test]
async fn a_controller_asks_no_cloud_while_another_leads_and_leads_when_that_is_gone() {
    let (mut farm, world) = farm().await;
    let lease = world.take_over().await;
    let mut waits_since = None;
    for _ in 0..10 {
        Box::pin(farm.controller.take_and_lead(&mut waits_since, &world.stop)).await;
        world.clock.advance(RENEW);
    }
    assert_eq!(waits_since, Some(NOW), "since the first try");
    assert_eq!(world.cloud.calls(), 0);
    assert_eq!(world.store.builders(None).await.unwrap(), []);
    let released = world.store.release_lease(&lease, world.clock().now()).await;
    released.unwrap();
    farm.lead_until_ready(&world).await;
    assert_eq!(world.cloud.instances().len(), 1);
    let now = world.clock().now();
    let next = world.store.acquire_lease(world.fleet, "next", TTL, now).await;
    assert!(next.unwrap().is_some(), "who ends lets the next one lead at once");
}

#[tokio::test]
async fn a_lease_that_is_lost_in_the_middle_ends_all_that_its_controller_does_until_it_leads_again() {
    let (mut farm, world) = farm().await;
    farm.machines_answer(Answers::Never);
    let taken = Mutex::new(None);
    let script = async {
        world
            .until(async || world.count(BuilderState::Booting).await == 1)
            .await;
        // The machine is being connected to, again and again: that is asleep beside the leading and its lease.
        world.until(async || world.clock.sleepers() > 2).await;
        let lease = world.take_over().await;
        *taken.lock().unwrap() = Some(lease);
    };
    farm.lead_beside(&world, script).await;
    let calls = world.cloud.calls();
    let since = world.clock().elapsed();
    let mut waits_since = None;
    Box::pin(farm.controller.take_and_lead(&mut waits_since, &world.stop)).await;
    assert_eq!(waits_since, Some(NOW.plus(since)));
    assert_eq!(world.cloud.calls(), calls, "it acts no more");
    assert_eq!(world.count(BuilderState::Booting).await, 1);

    let lease = taken.into_inner().unwrap().unwrap();
    let released = world.store.release_lease(&lease, world.clock().now()).await;
    released.unwrap();
    farm.machines_answer(Answers::Well);
    farm.lead_until_ready(&world).await;
    assert_eq!(world.cloud.instances().len(), 1, "it goes on where it was");
}

/// The region of a cloud in the file was changed while another led, and that one launched a machine where the file led then.
#[tokio::test]
async fn a_controller_whose_file_leads_to_the_machines_no_more_does_not_lead_until_it_is_mended() {
    let (mut farm, mut world) = farm().await;
    farm.lead_until_ready(&world).await;
    world.stop = runtime::CancellationToken::new();
    let good = Arc::clone(&farm.controller.context.fleet);
    let files = |fleet: &FleetSpec, farm: &Farm| Files {
        fleet: Arc::new(fleet.clone()),
        clouds: farm.controller.context.clouds.clone(),
        provisioner: Arc::clone(&farm.controller.context.provisioner),
        reach: Arc::clone(&farm.controller.context.reach),
    };
    let mut moved = FleetSpec::clone(&good);
    moved.clouds.get_mut("fake").unwrap().region = "elsewhere".to_owned();
    let mut context = Context::clone(&farm.controller.context);
    context.fleet = Arc::new(moved.clone());
    let (sender, news) = watch::channel(News::default());
    farm.controller = Controller::new(context).following(news);
    let calls = world.cloud.calls();
    let epoch = async || {
        let lease = world.take_over().await;
        world
            .store
            .release_lease(&lease, world.clock().now())
            .await
            .unwrap();
        lease.epoch
    };
    let before = epoch().await;
    for _ in 0..3 {
        let mut waits_since = None;
        Box::pin(farm.controller.take_and_lead(&mut waits_since, &world.stop)).await;
        let condition = world
            .store
            .fleet_condition(Some(world.fleet), world.clock().now())
            .await;
        let condition = condition.unwrap();
        assert!(!matches!(condition.leadership, Leadership::Held { .. }));
        let words = condition.file.unwrap().words;
        assert!(
            words.starts_with("clouds.fake.region was `r` and is `elsewhere`, and 1 machine"),
            "{words}"
        );
        let in_force = world.store.fleet_file(Some(world.fleet)).await.unwrap().unwrap();
        assert_eq!(in_force["clouds"]["fake"]["region"], "r");
    }
    assert_eq!(
        epoch().await,
        // It grows when a lease is taken and when it is given back.
        before + 4,
        "the lease is not taken again for the same words"
    );
    assert_eq!(world.cloud.calls(), calls);
    assert_eq!(world.count(BuilderState::Ready).await, 1);
    // It was mended meanwhile, after it had lost its pool for a while: only the last file counts, from the first round on.
    let mut without_pool = FleetSpec::clone(&good);
    without_pool.pools.clear();
    for fleet in [&without_pool, &*good] {
        sender.send_modify(|news| news.note(Ok(files(fleet, &farm))));
    }
    let is_taken_up = async || {
        let now = world.clock().now();
        let condition = world.store.fleet_condition(Some(world.fleet), now).await;
        condition.unwrap().file.is_none()
    };
    let script = async {
        world.until(is_taken_up).await;
        world.until_ready().await;
        world.stop.cancel();
    };
    farm.lead_beside(&world, script).await;
    assert_eq!(world.cloud.terminated(), [""; 0]);
}

/// The region was changed while nothing ran, and the one that led took it up and launched a machine there.
#[tokio::test]
async fn a_controller_that_stood_by_leads_by_the_file_that_was_changed_meanwhile() {
    let (mut farm, mut world) = farm().await;
    let mut old = Context::clone(&farm.controller.context);
    farm.lead_until_ready(&world).await;
    world.stop = runtime::CancellationToken::new();
    let changed = Files {
        fleet: Arc::clone(&old.fleet),
        clouds: old.clouds.clone(),
        provisioner: Arc::clone(&old.provisioner),
        reach: Arc::clone(&old.reach),
    };
    let mut before = FleetSpec::clone(&old.fleet);
    before.clouds.get_mut("fake").unwrap().region = "before".to_owned();
    old.fleet = Arc::new(before);
    let (sender, news) = watch::channel(News::default());
    farm.controller = Controller::new(old).following(news);
    sender.send_modify(|news| news.note(Ok(changed)));
    // What stands there by now is a mistake: the last good one counts, and the mistake is told of.
    sender.send_modify(|news| news.note(Err("fleet.yaml:3:9: a tab".to_owned())));
    let is_told = async || {
        let now = world.clock().now();
        let condition = world.store.fleet_condition(Some(world.fleet), now).await;
        condition
            .unwrap()
            .file
            .is_some_and(|file| file.words == "fleet.yaml:3:9: a tab")
    };
    let script = async {
        world.until(is_told).await;
        world.until_ready().await;
        world.stop.cancel();
    };
    farm.lead_beside(&world, script).await;
    assert_eq!(farm.controller.context.fleet.clouds["fake"].region, "r");
    assert_eq!(world.cloud.terminated(), [""; 0]);
}

#[tokio::test]
async fn a_notification_begins_a_round_at_once() {
    let (mut farm, world) = farm().await;
    let script = async {
        world.until_ready().await;
        // All is as wanted: the next round is seconds away.
        world
            .until(async || world.clock.next_wake().is_some_and(|next| next > TICK))
            .await;
        let ready = world.store.builders(None).await.unwrap()[0].id;
        let before = world.clock().elapsed();
        let cordoned = world
            .store
            .set_cordon(ready, true, "user:ops", world.clock().now());
        cordoned.await.unwrap();
        let is_replaced = async || world.store.builders(None).await.unwrap().len() == 2;
        while !is_replaced().await {
            if world.clock.next_wake().is_some_and(|next| next <= PAUSE_AT_MOST) {
                world.clock.advance(PAUSE_AT_MOST);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let waited = world.clock().elapsed() - before;
        assert!(waited <= PAUSE_AT_MOST * 3, "{} ms", waited.as_millis());
        world.stop.cancel();
    };
    farm.lead_beside(&world, script).await;
}

/// What happens within this is thought about together.
const PAUSE_AT_MOST: Duration = Duration::from_millis(10);

#[tokio::test]
async fn a_controller_whose_database_is_away_stops_acting_before_another_may_lead() {
    let (mut farm, world) = farm().await;
    let closed = Mutex::new(Duration::ZERO);
    let script = async {
        world.until_ready().await;
        world.store.close().await.unwrap();
        *closed.lock().unwrap() = world.clock().elapsed();
    };
    farm.lead_beside(&world, script).await;
    // The last renewal was up to five seconds before that, and it lasts for two thirds of a minute.
    let led_on = world.clock().elapsed() - closed.into_inner().unwrap();
    let seconds = led_on.as_secs();
    assert!((34..=39).contains(&seconds), "{seconds} s");
    // It cannot lead, and says nothing of another that does.
    let mut waits_since = None;
    Box::pin(farm.controller.take_and_lead(&mut waits_since, &world.stop)).await;
    assert_eq!(waits_since, None);
}

#[tokio::test]
async fn a_controller_that_is_told_to_end_does_so_whether_it_leads_or_waits() {
    for is_led_by_another in [true, false] {
        let (farm, world) = farm().await;
        if is_led_by_another {
            world.take_over().await;
        }
        let running = tokio::spawn(farm.controller.run(world.stop.clone()));
        let least = if is_led_by_another { 1 } else { 2 };
        while world.clock.sleepers() < least {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(world.cloud.calls() == 0, is_led_by_another);
        world.stop.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(60), running).await;
        ended.expect("it ends").unwrap().unwrap();
        assert_eq!(world.clock.sleepers(), 0);
    }
}

/// Who leads for one intent only does what is due on the way, and gives the lease back.
#[tokio::test]
async fn who_leads_for_one_intent_ends_with_it_and_another_may_lead_at_once() {
    let (mut farm, world) = farm().await;
    let request = model::intent::Request::Spawn {
        pool: "x86".parse().unwrap(),
        count: 1,
        keep: None,
    };
    let asked = (&request, "k", "operator");
    world.store.add_intent(world.fleet, asked, NOW).await.unwrap();
    let context = Context::clone(&farm.controller.context);
    let leading = Box::pin(Controller::new(context.clone()).run_for("k", world.stop.clone()));
    let time_passes = async {
        loop {
            world.count(BuilderState::Ready).await;
            world.rest().await;
        }
    };
    let both = async {
        tokio::select! {
            led = leading => led,
            () = time_passes => unreachable!("time does not end"),
        }
    };
    let led = tokio::time::timeout(Duration::from_secs(120), both).await;
    assert!(led.expect("it ends with its intent"));
    let done = world.store.intent(world.fleet, "k").await.unwrap().unwrap();
    assert_eq!(done.state, model::intent::IntentState::Done);
    assert_eq!(world.clock.sleepers(), 0, "nothing that it began goes on");
    assert!(
        world.cloud.instances().len() == 2,
        "the idle one of the pool was due besides"
    );

    let lease = world.take_over().await;
    let another = Controller::new(context);
    assert!(
        !Box::pin(another.run_for("k", world.stop.clone())).await,
        "another leads"
    );
    let released = world.store.release_lease(&lease, world.clock().now()).await;
    released.unwrap();
    farm.controller.forget_everything().await;
}

/// Nobody may lead after it for a long time: what was told the fleet is not left in the middle.
#[tokio::test]
async fn who_leads_for_one_intent_waits_for_the_hooks_that_it_began() {
    let (mut farm, world) = farm().await;
    Box::pin(farm.lead_until_ready(&world)).await;
    let mut context = Context::clone(&farm.controller.context);
    let mut fleet = FleetSpec::clone(&context.fleet);
    let hooks = serde_json::json!({"after_terminate": [{"cmd": ["/bye"], "timeout": "9s"}]});
    fleet.hooks = serde_json::from_value(hooks).unwrap();
    context.fleet = Arc::new(fleet);
    let programs = Arc::new(FakePrograms::default());
    programs.set("/bye", Does::Hangs);
    let builder = world.store.builders(None).await.unwrap()[0].id;
    let request = model::intent::Request::Terminate {
        what: model::intent::Target::Builders(vec![builder]),
        now: false,
        reason: "the test wants it".to_owned(),
    };
    let asked = (&request, "k", "operator");
    let added = world.store.add_intent(world.fleet, asked, world.clock().now());
    added.await.unwrap();
    let mut controller = Controller::new(context);
    controller.hooks = Hooks::new(world.clock(), programs);
    let stop = runtime::CancellationToken::new();
    let leading = Box::pin(controller.run_for("k", stop.clone()));
    let time_passes = async {
        loop {
            world.count(BuilderState::Ready).await;
            world.rest().await;
        }
    };
    let both = async {
        tokio::select! {
            led = leading => led,
            () = time_passes => unreachable!("time does not end"),
        }
    };
    let led = tokio::time::timeout(Duration::from_secs(120), both).await;
    assert!(led.expect("it ends with its intent"));
    let done = world.store.intent(world.fleet, "k").await.unwrap().unwrap();
    assert_eq!(done.state, model::intent::IntentState::Done);
    let run = world.store.hooks_of(builder).await.unwrap().remove(0);
    assert_eq!((run.state, run.attempt), (HookState::Failed, 1), "{run:?}");
}
