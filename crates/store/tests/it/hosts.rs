//! What is on record of fixed hosts.

use model::{
    BuilderState, LaunchHistory,
    intent::{Decision, IntentState, Request},
    plan::Host,
};
use store::{Builder, Change, HostRecord, NewBuilder, NewHost};

use crate::{
    farm::{Farm, assert_conflict, because, new_builder},
    support::at,
};

on_both_databases!(
    a_host_has_one_builder_at_a_time_and_others_before_and_after,
    what_is_known_of_a_host_is_that_of_its_place,
    whether_a_build_may_have_run_on_a_host_is_told_by_the_builder_that_its_baseline_is_of,
    a_host_that_fails_counts_for_itself_and_not_for_its_pool,
    a_host_is_out_of_service_until_it_is_taken_back,
);

const PLACE: &str = "192.0.2.7 22";

/// The wish for a builder that is made of a host.
fn of_host(name: &str) -> NewBuilder {
    NewBuilder {
        cloud: "hosts".to_owned(),
        host: Some(NewHost {
            name: name.to_owned(),
            address: "192.0.2.7".to_owned(),
        }),
        ..new_builder()
    }
}

impl Farm {
    async fn made_of(&self, host: &str, now: u64) -> Builder {
        let new = of_host(host);
        self.store.plan_builder(&self.lease, &new, at(now)).await.unwrap();
        self.builder(new.id).await
    }

    /// Moves a builder on, whose instance has its host's name.
    async fn moved(&self, builder: &Builder, to: BuilderState, now: u64) -> Builder {
        let change = Change {
            instance_id: builder.host.clone(),
            ..because("a test")
        };
        let moved = self.store.transition(&self.lease, builder, to, &change, at(now));
        moved.await.unwrap()
    }

    /// What a plan sees of a host.
    async fn host_of_view(&self, name: &str) -> Option<Host> {
        let view = self.store.fleet_snapshot(self.lease.fleet, at(0)).await.unwrap();
        view.hosts.get(name).cloned()
    }

    async fn record(&self, name: &str, place: &str) -> HostRecord {
        self.store.host(&self.lease, name, place).await.unwrap()
    }
}

async fn a_host_has_one_builder_at_a_time_and_others_before_and_after(farm: Farm) {
    let first = farm.made_of("rack-1", 1).await;
    assert_eq!(
        (first.host.as_deref(), first.address.as_deref()),
        (Some("rack-1"), Some("192.0.2.7"))
    );
    let again = farm
        .store
        .plan_builder(&farm.lease, &of_host("rack-1"), at(2))
        .await;
    assert!(
        again.as_ref().unwrap_err().to_string().contains("host rack-1"),
        "{again:?}"
    );
    assert_conflict(again);
    farm.made_of("rack-2", 2).await;

    let launching = farm.launch(&first).await;
    let pending = farm.moved(&launching, BuilderState::Pending, 4).await;
    let ending = farm.moved(&pending, BuilderState::Terminating, 5).await;
    farm.moved(&ending, BuilderState::Terminated, 6).await;
    let second = farm.made_of("rack-1", 7).await;
    let launching = farm.launch(&second).await;
    let pending = farm.moved(&launching, BuilderState::Pending, 9).await;
    let found = farm.store.builder_by_instance("rack-1").await.unwrap().unwrap();
    assert_eq!(found.id, pending.id, "the one that has it now");
}

async fn what_is_known_of_a_host_is_that_of_its_place(farm: Farm) {
    assert_eq!(farm.record("rack-1", PLACE).await, HostRecord::default());
    let builder = farm.made_of("rack-1", 1).await;
    let (store, lease) = (&farm.store, &farm.lease);
    let kept = store.keep_host_key(lease, (builder.id, "rack-1"), "ssh-ed25519 AAAA", at(2));
    kept.await.unwrap();
    store
        .keep_host_baseline(lease, "rack-1", Some((builder.id, "{\"files\":1}")))
        .await
        .unwrap();
    let known = HostRecord {
        host_key: Some("ssh-ed25519 AAAA".to_owned()),
        baseline: Some("{\"files\":1}".to_owned()),
        may_have_built: false,
    };
    assert_eq!(farm.record("rack-1", PLACE).await, known);
    let row = farm.builder(builder.id).await;
    assert_eq!(row.host_key.as_deref(), Some("ssh-ed25519 AAAA"));
    store.keep_host_baseline(lease, "rack-1", None).await.unwrap();
    assert_eq!(farm.record("rack-1", PLACE).await.baseline, None);
    // With another port it is another machine, and then the first one is another again.
    assert_eq!(
        farm.record("rack-1", "192.0.2.7 2222").await,
        HostRecord::default()
    );
    assert_eq!(farm.record("rack-1", PLACE).await, HostRecord::default());
}

async fn whether_a_build_may_have_run_on_a_host_is_told_by_the_builder_that_its_baseline_is_of(farm: Farm) {
    let (store, lease) = (&farm.store, &farm.lease);
    farm.record("rack-1", PLACE).await;
    let keep = async |baseline| {
        let kept = store.keep_host_baseline(lease, "rack-1", baseline);
        kept.await.unwrap();
        farm.record("rack-1", PLACE).await.may_have_built
    };
    let builder = farm.ready_builder().await;
    assert!(!keep(Some((builder.id, "{}"))).await, "nobody has used it");
    let build = farm.submit().await.id;
    let attempt = farm.open_attempt(build).await;
    let epoch = store
        .assign(lease, attempt.id, &builder, at(60), at(3))
        .await
        .unwrap();
    assert!(!keep(Some((builder.id, "{}"))).await, "no worker has come");
    farm.accept(epoch).await;
    assert!(farm.record("rack-1", PLACE).await.may_have_built);
    farm.finish(epoch, &crate::farm::CANCELED).await;
    assert!(farm.record("rack-1", PLACE).await.may_have_built);
    assert!(!keep(None).await, "it was cleaned");
    let gone = model::BuilderId(uuid::Uuid::now_v7());
    assert!(keep(Some((gone, "{}"))).await, "nobody knows what ran there");
}

async fn a_host_that_fails_counts_for_itself_and_not_for_its_pool(farm: Farm) {
    farm.record("rack-1", PLACE).await;
    for (number, failures) in [(10, 1), (20, 2)] {
        let builder = farm.made_of("rack-1", number).await;
        let launching = farm.launch(&builder).await;
        let pending = farm.moved(&launching, BuilderState::Pending, number + 2).await;
        let ending = farm.moved(&pending, BuilderState::Terminating, number + 3).await;
        let history = farm.host_of_view("rack-1").await.unwrap().history;
        let expected = LaunchHistory {
            failures,
            last_failure: Some(at(number + 3)),
            last_reason: Some("a test".to_owned()),
        };
        assert_eq!(history, expected);
        farm.moved(&ending, BuilderState::Terminated, number + 4).await;
    }
    let view = farm.store.fleet_snapshot(farm.lease.fleet, at(0)).await.unwrap();
    assert!(view.histories.values().all(|history| history.failures == 0));
    let builder = farm.made_of("rack-1", 30).await;
    let mut builder = farm.launch(&builder).await;
    let ways = [
        BuilderState::Pending,
        BuilderState::Booting,
        BuilderState::Provisioning,
        BuilderState::Checking,
        BuilderState::Ready,
    ];
    for (to, now) in ways.into_iter().zip(32..) {
        builder = farm.moved(&builder, to, now).await;
    }
    assert_eq!(farm.host_of_view("rack-1").await.unwrap().history.failures, 0);
}

async fn a_host_is_out_of_service_until_it_is_taken_back(farm: Farm) {
    assert_eq!(farm.host_of_view("rack-1").await, None);
    farm.record("rack-1", PLACE).await;
    let (store, lease) = (&farm.store, &farm.lease);
    let builder = farm.made_of("rack-1", 1).await;
    let kept = store.keep_host_key(lease, (builder.id, "rack-1"), "ssh-ed25519 AAAA", at(2));
    kept.await.unwrap();
    store
        .keep_host_baseline(lease, "rack-1", Some((builder.id, "{}")))
        .await
        .unwrap();
    store
        .take_host_out(lease, "rack-1", "users: eve: is new", at(3))
        .await
        .unwrap();
    let out = farm.host_of_view("rack-1").await.unwrap().out.unwrap();
    assert_eq!((out.since, out.why.as_str()), (at(3), "users: eve: is new"));

    let request = Request::Readmit {
        host: "rack-1".to_owned(),
    };
    let asked = (&request, "release/1", "operator:root");
    let (intent, _) = store.add_intent(lease.fleet, asked, at(4)).await.unwrap();
    let done = Decision {
        readmitted: Some("rack-1".to_owned()),
        ..Decision::of(IntentState::Done, "it is in service again")
    };
    store.settle_intent(lease, &intent, &done, at(5)).await.unwrap();
    let as_new = Host {
        place: PLACE.to_owned(),
        ..Host::default()
    };
    assert_eq!(farm.host_of_view("rack-1").await.unwrap(), as_new);
    let known = farm.record("rack-1", PLACE).await;
    assert_eq!(known.baseline, None, "as it is now");
    assert_eq!(known.host_key.as_deref(), Some("ssh-ed25519 AAAA"));
}
