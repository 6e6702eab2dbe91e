//! What consoles tell: the host keys of machines that make them themselves, and why others never got ready.

use model::{fleet::HostKeySource, quantity::Span};
use store::{EventFilter, Page};

use super::*;

const BEGIN: &str = "-----BEGIN SSH HOST KEY KEYS-----";
const END: &str = "-----END SSH HOST KEY KEYS-----";

/// A pool whose machines make their host keys themselves.
fn own_keys(size: &str) -> String {
    let pool = pool("x86", size, "a");
    let with_source = pool.replace("provision: base\n", "provision: base\n    host_key: console\n");
    assert_ne!(pool, with_source);
    with_source
}

fn throttled() -> cloud::Error {
    cloud::Error::Throttled {
        code: "RequestLimitExceeded".to_owned(),
    }
}

impl Farm {
    /// The farm with a first machine that runs and has so long to boot; its id. It does not answer SSH.
    async fn with_a_machine(pools: &str, boot: u64) -> (Self, String) {
        let mut farm = Self::start(pools).await;
        let mut context = Context::clone(&farm.controller.context);
        let mut spec = FleetSpec::clone(&context.fleet);
        spec.provision.get_mut("base").unwrap().timeouts.boot = Some(Span::seconds(boot));
        context.fleet = Arc::new(spec);
        farm.controller.context = Arc::new(context);
        farm.machines_answer(Answers::Never);
        farm.settle().await;
        farm.run_instances();
        farm.clock.advance(Duration::from_secs(1));
        farm.settle().await;
        assert_eq!(farm.states().await, [BuilderState::Booting]);
        let instance = farm.cloud.instances()[0].id.clone();
        (farm, instance)
    }

    /// Until an instance's builder has come so far.
    async fn until_it_is(&mut self, instance: &str, state: BuilderState) {
        for _ in 0..600 {
            if self.builder_of(instance).await.state == state {
                return;
            }
            self.pass(1).await;
        }
        panic!("never {state}: {:?}", self.builder_of(instance).await);
    }

    /// What is kept of an instance's console.
    async fn kept(&self, instance: &str) -> Option<String> {
        let id = self.builder_of(instance).await.id;
        let console = self.controller.context.store.console_of(id).await.unwrap();
        console.map(|console| console.text)
    }

    /// Why an instance was to end.
    async fn why_ended(&self, instance: &str) -> String {
        let filter = EventFilter {
            builder: Some(self.builder_of(instance).await.id),
            ..EventFilter::default()
        };
        let store = &self.controller.context.store;
        let events = store.events(filter, Page::LONGEST).await.unwrap();
        let ended = events
            .into_iter()
            .find(|event| event.new_state.as_deref() == Some("terminating"));
        ended.unwrap().reason
    }

    /// How often an instance's console was asked for.
    fn times_read(&self, instance: &str) -> usize {
        let read = self.cloud.read_consoles();
        read.iter().filter(|id| *id == instance).count()
    }

    /// The builder that an instance was, or is.
    async fn builder_of(&self, instance: &str) -> Builder {
        let found = self.controller.context.store.builder_by_instance(instance).await;
        found.unwrap().unwrap()
    }
}

#[tokio::test]
async fn a_machine_that_makes_its_host_key_itself_is_pinned_to_what_its_console_shows() {
    let (mut farm, instance) = Farm::with_a_machine(&own_keys("max: 3, idle: 1"), 300).await;
    let request = farm.cloud.asked().remove(0);
    assert!(!request.user_data.contains("ssh_keys"), "{}", request.user_data);
    assert!(request.user_data.contains("ssh_authorized_keys"));
    // It answers SSH, and is not asked for its key there: whoever is at that address would be believed.
    farm.machines_answer(Answers::Well);
    for console in [
        Ok(String::new()),
        Err(throttled()),
        Err(unclear()),
        Ok("[    0.000000] Linux\r\n".to_owned()),
        Ok(format!("{BEGIN}\r\n{SHOWN} root@ip\r\n")),
    ] {
        farm.cloud.show_console(&instance, console.clone());
        let before = farm.cloud.read_consoles().len();
        for _ in 0..20 {
            if farm.cloud.read_consoles().len() == before {
                farm.pass(1).await;
            }
        }
        assert!(farm.cloud.read_consoles().len() > before, "{console:?}");
        let builder = farm.builder_of(&instance).await;
        assert_eq!(
            (builder.state, builder.host_key),
            (BuilderState::Booting, None),
            "{console:?}"
        );
    }
    // The key is on record before anybody connects, and whoever comes next need not ask for it.
    farm.machines_answer(Answers::Never);
    farm.cloud
        .show_console(&instance, Ok(format!("{BEGIN}\r\n{SHOWN} root@ip\r\n{END}\r\n")));
    while farm.builder_of(&instance).await.host_key.is_none() {
        farm.pass(1).await;
    }
    let read = farm.cloud.read_consoles().len();
    farm.controller.steps.stop().await;
    farm.controller = Controller::new(Context::clone(&farm.controller.context));
    farm.machines_answer(Answers::Well);
    farm.until_ready(1).await;
    let builder = farm.builder_of(&instance).await;
    assert_eq!(
        (builder.state, builder.host_key.as_deref()),
        (BuilderState::Ready, Some(SHOWN))
    );
    assert_eq!(farm.cloud.read_consoles().len(), read);
    assert_eq!(farm.cloud.instances().len(), 1);
}

#[tokio::test]
async fn a_console_is_asked_for_ever_more_rarely_and_many_machines_share_the_calls() {
    let mut farm = Farm::start(&own_keys("max: 40, idle: 40")).await;
    farm.settle().await;
    farm.run_instances();
    let mut asked = Vec::new();
    for _ in 0..18 {
        let before = farm.cloud.read_consoles().len();
        farm.pass(1).await;
        asked.push(farm.cloud.read_consoles().len() - before);
    }
    // Five a second, and the first at once.
    assert!(asked.iter().all(|count| *count <= 6), "{asked:?}");
    let of_one = farm.cloud.instances()[0].id.clone();
    let of_one = farm
        .cloud
        .read_consoles()
        .iter()
        .filter(|id| **id == of_one)
        .count();
    assert!((2..=8).contains(&of_one), "{of_one}: {asked:?}");
    let machines: std::collections::BTreeSet<_> = farm.cloud.read_consoles().into_iter().collect();
    assert_eq!(machines.len(), 40, "none is left out: {asked:?}");
}

#[tokio::test]
async fn a_machine_with_another_key_than_its_console_shows_is_ended() {
    let (mut farm, instance) = Farm::with_a_machine(&own_keys("max: 3, idle: 1"), 20).await;
    farm.machines_answer(Answers::WithAnotherKey);
    farm.cloud
        .show_console(&instance, Ok(format!("{BEGIN}\n{SHOWN}\n{END}\n")));
    farm.until("it is ended", |_, cloud| !cloud.terminated().is_empty())
        .await;
    let reason = farm.why_ended(&instance).await;
    let expected = HostKey::parse(SHOWN).unwrap();
    assert!(
        reason.contains(&format!("expected {}", expected.fingerprint())),
        "{reason}"
    );
}

#[tokio::test]
async fn a_machine_whose_console_shows_no_key_in_time_is_given_up_with_the_reason() {
    for (console, why) in [
        (Ok(String::new()), "it is empty"),
        (
            Ok("login: ".to_owned()),
            "it has no block of host keys, such as cloud-init prints",
        ),
        (Ok(format!("{BEGIN}\n{SHOWN}")), "its block of host keys is cut"),
        (
            Ok(format!("{BEGIN}\nssh-rsa AAAA\n{END}\n")),
            "its block of host keys holds none that can be used, only ssh-rsa",
        ),
        (
            Err(throttled()),
            "it could not be read: the cloud asks for fewer calls (RequestLimitExceeded)",
        ),
    ] {
        let (mut farm, instance) = Farm::with_a_machine(&own_keys("max: 3, idle: 1"), 20).await;
        farm.machines_answer(Answers::Well);
        farm.cloud.show_console(&instance, console);
        farm.until("it is ended", |_, cloud| !cloud.terminated().is_empty())
            .await;
        let reason = farm.why_ended(&instance).await;
        let expected = format!("the console of {instance} showed no host key within 19 s: {why}");
        assert_eq!(reason, expected);
    }
}

#[tokio::test]
async fn a_pool_whose_consoles_show_no_keys_is_held_back() {
    let mut farm = Farm::start(&own_keys("max: 3, idle: 1")).await;
    farm.until("three were given up", |_, cloud| {
        for instance in cloud.instances() {
            if instance.state == InstanceState::Pending {
                cloud.set_state(&instance.id, InstanceState::Running);
            }
        }
        let ended = cloud.instances().into_iter();
        ended.filter(|it| it.state == InstanceState::Terminated).count() == 3
    })
    .await;
    farm.settle().await;
    let troubles = farm.troubles().await.join("\n");
    assert!(
        troubles.contains("its last 3 builders never got ready")
            && troubles.contains("showed no host key within"),
        "{troubles}"
    );
}

#[tokio::test]
async fn a_machine_is_looked_for_its_key_where_it_was_launched_without_whatever_the_file_says_by_now() {
    let (mut farm, instance) = Farm::with_a_machine(&own_keys("max: 3, idle: 1"), 20).await;
    let mut context = Context::clone(&farm.controller.context);
    context.fleet = Arc::new(fleet(&pool("x86", "max: 3, idle: 1", "a")));
    assert!(
        context
            .fleet
            .pools
            .values()
            .all(|pool| pool.host_key == HostKeySource::UserData)
    );
    farm.controller.context = Arc::new(context);
    farm.machines_answer(Answers::Well);
    farm.cloud
        .show_console(&instance, Ok(format!("{BEGIN}\n{SHOWN}\n{END}\n")));
    farm.until_ready(1).await;
    assert_eq!(farm.cloud.instances().len(), 1);
    assert_eq!(farm.builder_of(&instance).await.host_key.as_deref(), Some(SHOWN));
}

#[tokio::test]
async fn the_console_of_a_machine_that_never_got_ready_is_kept_before_it_ends() {
    for answers in [Answers::Never, Answers::WithAnotherKey, Answers::Badly] {
        let (mut farm, instance) = Farm::with_a_machine(&pool("x86", "max: 3, idle: 1", "a"), 20).await;
        let console = "boot\r\n\u{1b}[31mno route\u{1b}[0m\r\n\0login: ";
        farm.cloud.show_console(&instance, Ok(console.to_owned()));
        farm.machines_answer(answers);
        farm.until_it_is(&instance, BuilderState::Terminated).await;
        let kept = farm.kept(&instance).await;
        assert_eq!(kept.as_deref(), Some("boot\nno route\nlogin:"), "{answers:?}");
        assert_eq!(farm.times_read(&instance), 1, "{answers:?}");
    }
}

#[tokio::test]
async fn nobodys_console_is_read_that_got_ready() {
    let mut farm = Farm::start(&pool("x86", "max: 3, idle: 1", "a")).await;
    farm.until_ready(1).await;
    let instance = farm.cloud.instances()[0].id.clone();
    farm.cloud.set_state(&instance, InstanceState::Stopped);
    farm.until_it_is(&instance, BuilderState::Terminated).await;
    assert_eq!(
        (farm.times_read(&instance), farm.kept(&instance).await),
        (0, None)
    );
}

#[tokio::test]
async fn no_console_holds_up_the_end_of_a_machine() {
    // One that is never told, and two that are refused.
    for refusal in [None, Some(throttled()), Some(refused("OperationNotPermitted"))] {
        let (mut farm, instance) = Farm::with_a_machine(&pool("x86", "max: 3, idle: 1", "a"), 20).await;
        match &refusal {
            None => farm.cloud.silence_console(&instance),
            Some(error) => farm.cloud.show_console(&instance, Err(error.clone())),
        }
        farm.machines_answer(Answers::WithAnotherKey);
        while farm.times_read(&instance) == 0 {
            farm.pass(1).await;
        }
        let limit = if refusal.is_none() { 2 } else { 0 };
        for second in 0..=limit {
            let is_told = farm.cloud.terminated().contains(&instance);
            assert_eq!(is_told, second == limit, "{refusal:?} after {second} s");
            farm.pass(1).await;
        }
        farm.until_it_is(&instance, BuilderState::Terminated).await;
        assert_eq!(
            (farm.times_read(&instance), farm.kept(&instance).await),
            (1, None),
            "{refusal:?}"
        );
    }
}

#[tokio::test]
async fn no_console_is_asked_for_of_a_cloud_that_is_away() {
    let (mut farm, instance) = Farm::with_a_machine(&pool("x86", "max: 3, idle: 1", "a"), 300).await;
    farm.cloud.set_away(Some(unreachable()));
    farm.pass(40).await;
    farm.machines_answer(Answers::WithAnotherKey);
    farm.until_it_is(&instance, BuilderState::Terminating).await;
    farm.cloud.show_console(&instance, Ok("login:".to_owned()));
    farm.pass(5).await;
    let calls = farm.cloud.calls();
    farm.cloud.set_away(None);
    farm.until_it_is(&instance, BuilderState::Terminated).await;
    assert!(farm.cloud.calls() > calls);
    assert_eq!(farm.times_read(&instance), 0);
    // Its end was asked for although the cloud was away.
    assert!(farm.cloud.terminated().contains(&instance));
}
