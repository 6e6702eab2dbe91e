//! The host key that a machine was given in its user data counts until it has made one of its own, whatever is interrupted meanwhile.

use super::*;

/// Where a machine may leave a controller without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Silence {
    BeforeItMakesAKey,
    AfterIt,
    BeforeItReplacesTheKey,
    AfterThat,
    WhenItIsConnectedToAgain,
}

/// What goes wrong with the key of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// It has no program to make a key.
    MakesNone,
    /// Its sshd goes on with the key that it has.
    Deaf,
    /// sshd reads it, and the answer is an error all the same.
    Lost,
}

/// The keys of all machines. They have one address, and are told apart by their keys.
#[derive(Debug, Default)]
pub(super) struct Shown(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    machines: Vec<Keys>,
    silence: Option<Silence>,
    fault: Option<Fault>,
}

#[derive(Debug)]
struct Keys {
    /// At first the one that it is first asked to prove.
    shown: HostKey,
    /// All that it had or made before, and that it made last.
    others: Vec<HostKey>,
    made: Option<HostKey>,
    /// How many it has made.
    count: usize,
}

impl Shown {
    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn silent(&self, here: Silence) {
        if self.with(|state| state.silence == Some(here)) {
            std::future::pending::<()>().await;
        }
    }

    /// Which machine it is that has this key, if it shows that.
    pub(super) async fn prove(&self, endpoint: &Endpoint, expected: &HostKey) -> Result<usize, shell::Error> {
        let (index, shown, count) = self.with(|state| {
            let is_it = |keys: &Keys| keys.shown == *expected || keys.others.contains(expected);
            let index = state.machines.iter().position(is_it).unwrap_or_else(|| {
                state.machines.push(Keys {
                    shown: expected.clone(),
                    others: Vec::new(),
                    made: None,
                    count: 0,
                });
                state.machines.len() - 1
            });
            let keys = &state.machines[index];
            (index, keys.shown.clone(), keys.count)
        });
        if count > 0 {
            self.silent(Silence::WhenItIsConnectedToAgain).await;
        }
        if shown == *expected {
            return Ok(index);
        }
        Err(shell::Error::HostKeyMismatch {
            endpoint: endpoint.to_string(),
            expected: expected.fingerprint().to_owned(),
            got: shown.fingerprint().to_owned(),
        })
    }

    pub(super) async fn make(&self, machine: usize) -> Result<HostKey, String> {
        self.silent(Silence::BeforeItMakesAKey).await;
        if self.with(|state| state.fault == Some(Fault::MakesNone)) {
            return Err("ssh-keygen: not found".to_owned());
        }
        let made = ClientKey::generate("made").unwrap().host_key().unwrap();
        self.with(|state| {
            let keys = &mut state.machines[machine];
            keys.others.push(made.clone());
            keys.made = Some(made.clone());
            keys.count += 1;
        });
        self.silent(Silence::AfterIt).await;
        Ok(made)
    }

    pub(super) async fn replace(&self, machine: usize, made: &HostKey) -> Result<(), String> {
        self.silent(Silence::BeforeItReplacesTheKey).await;
        let fault = self.with(|state| {
            let keys = &mut state.machines[machine];
            assert_eq!(keys.made.as_ref(), Some(made), "the one that was made last");
            if state.fault != Some(Fault::Deaf) {
                keys.others.push(keys.shown.clone());
                keys.shown = made.clone();
            }
            state.fault
        });
        self.silent(Silence::AfterThat).await;
        match fault {
            Some(Fault::Lost) => Err("the connection ended".to_owned()),
            _ => Ok(()),
        }
    }

    /// What the only machine shows, and how many keys it has made.
    fn only(&self) -> (String, usize) {
        self.with(|state| {
            let keys = &state.machines[0];
            (keys.shown.to_string(), keys.count)
        })
    }
}

impl Farm {
    fn keys(&self) -> &Shown {
        &self.machines.3
    }

    /// A pool with one machine, which boots and does not answer yet.
    async fn with_one_that_boots() -> (Self, Builder) {
        let mut farm = Self::start(&pool("x86", "max: 1, idle: 1", "a")).await;
        farm.machines_answer(Answers::Never);
        farm.settle().await;
        farm.run_instances();
        farm.until("it boots", |states, _| states == [BuilderState::Booting])
            .await;
        let builder = farm.builders().await.remove(0);
        assert!(builder.host_key_is_given && builder.host_key_secret.is_none());
        (farm, builder)
    }

    /// The reasons of all that happened. A machine may be gone for good, and its row say that, before a test looks.
    pub(super) async fn all_reasons(&self) -> Vec<String> {
        let store = &self.controller.context.store;
        let events = store
            .events(store::EventFilter::default(), u64::MAX)
            .await
            .unwrap();
        events.into_iter().map(|it| it.reason).collect()
    }

    /// What the cloud was given for its only machine.
    fn user_data(&self) -> String {
        self.cloud.asked().remove(0).user_data
    }
}

#[tokio::test]
async fn a_machine_serves_with_a_host_key_of_its_own_and_the_one_of_its_user_data_counts_no_more() {
    let (mut farm, booting) = Farm::with_one_that_boots().await;
    let given = booting.host_key.unwrap();
    let data = given.split(' ').nth(1).unwrap().trim();
    assert!(farm.user_data().contains(data), "{}", farm.user_data());
    farm.machines_answer(Answers::Well);
    farm.until_ready(1).await;
    let ready = farm.builders().await.remove(0);
    let (shown, made) = farm.keys().only();
    assert_eq!((ready.host_key.as_deref(), made), (Some(shown.as_str()), 1));
    assert!(!shown.contains(data));
    assert_eq!((ready.host_key_is_given, ready.host_key_next), (false, None));
    assert_eq!(farm.played(), ["builder.yml", "check.yml"], "with the new one");
    // It is asked with that key from now on.
    farm.pass(200).await;
    assert_eq!(farm.states().await, [BuilderState::Ready]);
}

#[tokio::test]
async fn a_controller_that_is_killed_while_a_key_is_replaced_is_followed_by_one_that_finds_the_machine() {
    // Whether the machine shows the new key when it ends, and how many the machine makes in all.
    for (silence, has_next, is_shown, made) in [
        (Silence::BeforeItMakesAKey, false, false, 1),
        (Silence::AfterIt, false, false, 2),
        (Silence::BeforeItReplacesTheKey, true, false, 2),
        (Silence::AfterThat, true, true, 1),
        (Silence::WhenItIsConnectedToAgain, true, true, 1),
    ] {
        let (mut farm, booting) = Farm::with_one_that_boots().await;
        farm.controller.steps.stop().await;
        farm.machines_answer(Answers::Well);
        farm.keys().with(|state| state.silence = Some(silence));
        let step = farm.step_of(&farm.lease, booting.clone());
        let killed = tokio::time::timeout(Duration::from_millis(300), step).await;
        assert!(killed.is_err(), "{silence:?}: {killed:?}");
        let left = farm.builders().await.remove(0);
        assert_eq!(
            (left.state, &left.host_key),
            (BuilderState::Booting, &booting.host_key)
        );
        assert_eq!(left.host_key_next.is_some(), has_next, "{silence:?}");
        let shown = farm.keys().only().0;
        let expected = if is_shown {
            &left.host_key_next
        } else {
            &left.host_key
        };
        let expected = HostKey::parse(expected.as_deref().unwrap()).unwrap().to_string();
        assert_eq!(shown, expected, "{silence:?}");

        farm.keys().with(|state| state.silence = None);
        farm.until_ready(1).await;
        let ready = farm.builders().await.remove(0);
        let (shown, count) = farm.keys().only();
        assert_eq!(
            (ready.id, ready.host_key),
            (booting.id, Some(shown)),
            "{silence:?}"
        );
        assert_eq!(
            (count, ready.host_key_next, ready.host_key_is_given),
            (made, None, false),
            "{silence:?}"
        );
    }
}

#[tokio::test]
async fn a_machine_that_goes_on_with_the_given_key_is_given_up_and_its_pool_has_failed() {
    for (fault, words) in [
        (Fault::MakesNone, "ssh-keygen: not found"),
        (Fault::Deaf, "its sshd did not show the new one within 20 s"),
    ] {
        let text = pool("x86", "max: 1, idle: 1", "a");
        let mut farm = Farm::start(&text).await;
        farm.keys().with(|state| state.fault = Some(fault));
        farm.settle().await;
        farm.run_instances();
        farm.until("it is ended", |_, cloud| !cloud.terminated().is_empty())
            .await;
        assert_eq!(farm.failures().await, 1, "{fault:?}");
        assert_eq!(farm.played(), [""; 0], "{fault:?}");
        let reasons = farm.all_reasons().await;
        let begin = "it does not replace the host key that its user data holds: ";
        let told = |it: &String| it.contains(begin) && it.contains(words);
        assert!(reasons.iter().any(told), "{fault:?}: {reasons:?}");
    }
}

#[tokio::test]
async fn a_machine_whose_answer_was_lost_is_known_by_the_key_that_it_shows() {
    let (mut farm, _) = Farm::with_one_that_boots().await;
    farm.machines_answer(Answers::Well);
    farm.keys().with(|state| state.fault = Some(Fault::Lost));
    farm.until_ready(1).await;
    assert_eq!(farm.keys().only().1, 1);
}

#[tokio::test]
async fn a_machine_that_shows_neither_key_is_ended() {
    let (mut farm, booting) = Farm::with_one_that_boots().await;
    let store = &farm.controller.context.store;
    let lease = farm.lease;
    let next = ClientKey::generate("next")
        .unwrap()
        .host_key()
        .unwrap()
        .to_string();
    store
        .begin_key_change(&lease, &booting, &next, NOW)
        .await
        .unwrap();
    let other = ClientKey::generate("other").unwrap().host_key().unwrap();
    let [given, next] = [booting.host_key.unwrap(), next].map(|it| HostKey::parse(&it).unwrap());
    let keys = Keys {
        shown: other,
        others: vec![given, next],
        made: None,
        count: 0,
    };
    farm.keys().with(|state| state.machines.push(keys));
    farm.machines_answer(Answers::Well);
    farm.until("it is ended", |_, cloud| !cloud.terminated().is_empty())
        .await;
    assert_eq!(farm.played(), [""; 0]);
}
