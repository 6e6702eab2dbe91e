//! Machines at addresses that others had before.

use model::Blame;
use store::Outcome;

use super::*;

impl Farm {
    /// A machine with that host key has an address from now on.
    fn lives_there(&self, address: &str, host_key: &str) {
        let key = HostKey::parse(host_key).unwrap();
        let mut residents = self.machines.4.lock().unwrap_or_else(PoisonError::into_inner);
        residents.insert(address.to_owned(), key);
    }

    /// No stranger has an address any more: whoever is looked for lives there.
    fn is_free_again(&self, address: &str) {
        let mut residents = self.machines.4.lock().unwrap_or_else(PoisonError::into_inner);
        residents.remove(address);
    }

    /// The cloud takes a spot machine back.
    fn take_back(&self, instance: &str) {
        let all = self.cloud.instances();
        let taken = all.into_iter().find(|it| it.id == instance).unwrap();
        self.cloud.add(Instance {
            state: InstanceState::Terminated,
            state_reason: Some("Server.SpotInstanceTermination: no capacity".to_owned()),
            ..taken
        });
    }

    /// The worker of a build gives it up, since its builder cannot be reached.
    async fn lost(&self, build: BuildId, why: &str) {
        let now = Clock::Manual(self.clock.clone()).now();
        let store = &self.controller.context.store;
        let attempts = store.attempts_of(build).await.unwrap();
        let outcome = Outcome::Failed {
            blame: Blame::Infrastructure,
            reason: why.to_owned(),
            evidence: None,
            is_suspect: false,
            result_directory: None,
        };
        let epoch = attempts.last().unwrap().epoch.unwrap();
        store
            .finish_attempt(epoch, "worker", &outcome, now)
            .await
            .unwrap();
    }
}

/// How a job finds out that the machine which it is to run on is gone, and another answers at its address.
#[derive(Clone, Copy, Debug)]
enum Loss {
    /// No worker has taken the job up yet.
    BeforeItBegan,
    /// Its worker is refused by the other machine's host key, before the cloud says anything.
    ToItsWorker,
    /// The cloud says that the machine has ended, before its worker says anything.
    ByTheCloud,
}

/// The address of a spot machine that was taken back became that of another one, and two builders were one machine.
#[tokio::test]
async fn story_20_a_job_whose_machines_address_is_anothers_is_queued_again_and_the_other_is_one_builder() {
    const ADDRESS: &str = "127.0.0.1";
    for loss in [Loss::BeforeItBegan, Loss::ToItsWorker, Loss::ByTheCloud] {
        let mut farm = Farm::start(&pool("x86", "max: 1", "a")).await;
        let alice = alice(&farm).await;
        let build = alice.submit(&farm).await;
        until_assigned(&mut farm, build).await;
        let first = farm.builders().await.remove(0);
        assert_eq!(first.address.as_deref(), Some(ADDRESS));
        if !matches!(loss, Loss::BeforeItBegan) {
            farm.take_up(build, Duration::from_secs(3600)).await;
        }
        // The machine is taken back, and a stranger has its address at once.
        farm.lives_there(ADDRESS, SHOWN);
        let endpoint = Endpoint::new(ADDRESS, first.port, "root");
        let pinned = HostKey::parse(first.host_key.as_deref().unwrap()).unwrap();
        let opened = farm
            .machines
            .open(&endpoint, &pinned, Duration::from_secs(1))
            .await;
        let refusal = opened.err().expect("a connection to a stranger").to_string();
        assert!(refusal.contains("shows the host key"), "{refusal}");
        if let Loss::ToItsWorker = loss {
            farm.lost(build, &refusal).await;
            farm.settle().await;
        } else {
            farm.take_back(first.instance_id.as_deref().unwrap());
            // A cloud is looked at every five seconds while it is built there.
            farm.pass(6).await;
        }
        let store = farm.controller.context.store.clone();
        let attempts = store.attempts_of(build).await.unwrap();
        let again = attempts.last().unwrap();
        assert_eq!(again.state, AttemptState::Waiting, "{loss:?}: {attempts:?}");
        assert!(
            attempts.iter().all(|it| it.state != AttemptState::Running),
            "{loss:?}: {attempts:?}"
        );
        // The next machine of ours gets the same address, and is the only builder there.
        farm.until("the next one boots", |states, _| {
            states == [BuilderState::Pending]
        })
        .await;
        let second = farm.builders().await.remove(0);
        farm.is_free_again(ADDRESS);
        until_assigned(&mut farm, build).await;
        let here = farm.builders().await;
        assert_eq!(here.len(), 1, "{loss:?}: {here:?}");
        assert_eq!(
            (here[0].id, here[0].address.as_deref()),
            (second.id, Some(ADDRESS))
        );
        assert_eq!(run(&mut farm, build, &good()).await, second.id);
        let all = store.builders(Some(NOW)).await.unwrap();
        let lost = all.iter().find(|it| it.id == first.id).unwrap();
        assert_eq!(lost.state, BuilderState::Terminated, "{loss:?}: {lost:?}");
    }
}

/// The same before it was ever a builder: a stranger has its address when it boots.
#[tokio::test]
async fn story_20_a_machine_that_answers_at_the_address_of_another_is_no_builder() {
    let mut farm = Farm::start(&pool("x86", "max: 2, idle: 1", "a")).await;
    farm.machines_answer(Answers::WithAnotherKey);
    farm.settle().await;
    farm.run_instances();
    farm.until("it is ended", |_, cloud| cloud.terminated().len() == 1)
        .await;
    assert!(farm.seconds() < 5, "it is not asked again: {} s", farm.seconds());
    let all = farm.controller.context.store.builders(Some(NOW)).await.unwrap();
    assert!(all.iter().all(|it| it.ready_at.is_none()), "{all:?}");
    farm.machines_answer(Answers::Well);
    farm.until_ready(1).await;
}
