//! What consoles told of builders.

use model::BuilderId;
use model::BuilderState;
use store::{Builder, Console, EventFilter, FleetCache, NewLaunch};

use crate::{
    farm::{
        Farm, assert_conflict, assert_invalid, assert_lease_lost, assert_not_found, new_launch,
        the_one_winner,
    },
    support::at,
};

on_both_databases!(
    the_key_that_a_console_shows_is_kept_once_for_the_builder_that_was_looked_at,
    who_follows_a_fleet_sees_the_key_that_a_console_has_shown,
    what_a_builders_console_said_last_is_kept_and_told_as_an_event,
);

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICDNVBxjmQX78BrfIgqbj0FE9SsUS0dPRjVCilne3tVV";

impl Farm {
    /// A builder whose machine boots and makes its host key itself.
    async fn keyless(&self) -> Builder {
        let planned = self.planned_builder().await;
        let launch = NewLaunch {
            host_key_public: None,
            host_key_secret: None,
            ..new_launch()
        };
        let begun = self
            .store
            .begin_launch(&self.lease, &planned, &launch, at(60), at(2));
        let mut builder = begun.await.unwrap();
        assert_eq!((&builder.host_key, &builder.host_key_secret), (&None, &None));
        for to in [BuilderState::Pending, BuilderState::Booting] {
            builder = self.go(&builder, to).await;
        }
        builder
    }
}

async fn the_key_that_a_console_shows_is_kept_once_for_the_builder_that_was_looked_at(farm: Farm) {
    let builder = farm.keyless().await;
    let keep = |looked_at: Builder, key: &'static str| {
        let (store, lease) = (&farm.store, &farm.lease);
        async move { store.keep_key_of_console(lease, &looked_at, key, at(5)).await }
    };
    let old = Builder {
        version: builder.version - 1,
        ..builder.clone()
    };
    assert_conflict(keep(old, KEY).await);
    let elsewhere = Builder {
        state: BuilderState::Pending,
        ..builder.clone()
    };
    assert_conflict(keep(elsewhere, KEY).await);
    assert_invalid(keep(builder.clone(), "ssh-ed25519 A\0").await);
    assert_eq!(farm.builder(builder.id).await, builder);

    let answers = [keep(builder.clone(), KEY).await, keep(builder.clone(), KEY).await];
    let kept = the_one_winner(answers.into());
    assert_eq!(kept.host_key.as_deref(), Some(KEY));
    assert_eq!(farm.builder(builder.id).await, kept);
    // Not even who has seen that takes another key.
    assert_conflict(keep(kept.clone(), "ssh-ed25519 AAAA").await);
    // It is another row than the one that was decided on.
    let change = crate::farm::because("a test");
    let moved = farm
        .store
        .transition(&farm.lease, &builder, BuilderState::Provisioning, &change, at(6));
    assert_conflict(moved.await);
    let moved = farm.go(&kept, BuilderState::Provisioning).await;
    assert_eq!(moved.host_key.as_deref(), Some(KEY));
    let filter = EventFilter {
        builder: Some(builder.id),
        ..EventFilter::default()
    };
    let told = farm.events(filter).await;
    let words = format!("its host key is {KEY} from now on: its console shows it");
    assert_eq!(told.iter().filter(|event| event.reason == words).count(), 1);
}

async fn who_follows_a_fleet_sees_the_key_that_a_console_has_shown(farm: Farm) {
    let builder = farm.keyless().await;
    let mut cache = FleetCache::default();
    let (store, fleet) = (&farm.store, farm.lease.fleet);
    let seen = store.look_at_builders(fleet, &mut cache).await.unwrap();
    assert_eq!(seen.iter().map(|it| &it.host_key).collect::<Vec<_>>(), [&None]);
    store
        .keep_key_of_console(&farm.lease, &builder, KEY, at(5))
        .await
        .unwrap();
    let seen = store.look_at_builders(fleet, &mut cache).await.unwrap();
    assert_eq!(seen[0].host_key.as_deref(), Some(KEY));
}

async fn what_a_builders_console_said_last_is_kept_and_told_as_an_event(farm: Farm) {
    let [id, other] = [farm.keyless().await.id, farm.planned_builder().await.id];
    let console = |second: u64, text: &str| Console {
        at: at(second),
        text: text.to_owned(),
    };
    let keep =
        async |id: BuilderId, console: &Console| farm.store.keep_console(&farm.lease, id, console).await;
    assert_eq!(farm.store.console_of(id).await.unwrap(), None);
    assert_invalid(keep(id, &console(7, "a\0")).await);
    assert_not_found(keep(BuilderId(uuid::Uuid::nil()), &console(7, "a")).await);
    keep(id, &console(8, "")).await.unwrap();
    let last = console(9, "Kernel panic\nžluť");
    keep(id, &last).await.unwrap();
    assert_eq!(farm.store.console_of(id).await.unwrap(), Some(last.clone()));
    assert_eq!(farm.store.console_of(other).await.unwrap(), None);
    let filter = EventFilter {
        builder: Some(id),
        ..EventFilter::default()
    };
    let told: Vec<_> = farm
        .events(filter)
        .await
        .into_iter()
        .map(|event| event.reason)
        .collect();
    let words = [
        "its console was read before its end, and is empty",
        "its console was read before its end: 19 bytes of it are kept",
    ];
    assert!(told.ends_with(&words.map(str::to_owned)), "{told:?}");
    let old = store::Lease {
        epoch: farm.lease.epoch - 1,
        ..farm.lease
    };
    assert_lease_lost(farm.store.keep_console(&old, id, &last).await);
}
