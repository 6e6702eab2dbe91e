//! What consoles told of builders.

use model::BuilderState;
use store::{Builder, EventFilter, FleetCache, NewLaunch};

use crate::{
    farm::{Farm, assert_conflict, assert_invalid, new_launch, the_one_winner},
    support::at,
};

on_both_databases!(
    the_key_that_a_console_shows_is_kept_once_for_the_builder_that_was_looked_at,
    who_follows_a_fleet_sees_the_key_that_a_console_has_shown,
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
