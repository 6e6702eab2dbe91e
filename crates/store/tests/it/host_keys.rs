//! The host keys that machines make: those that consoles tell, and those that take the place of given ones.

use model::BuilderState;
use store::{Builder, EventFilter, FleetCache, NewLaunch};

use crate::{
    farm::{Farm, assert_conflict, assert_invalid, new_launch, the_one_winner},
    support::at,
};

on_both_databases!(
    the_key_that_a_console_shows_is_kept_once_for_the_builder_that_was_looked_at,
    who_follows_a_fleet_sees_the_key_that_a_console_has_shown,
    a_given_key_counts_until_the_one_that_the_machine_made_was_seen,
    a_key_that_nobody_gave_is_not_replaced,
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

impl Farm {
    /// A builder whose machine boots with the key of its user data.
    async fn given(&self) -> Builder {
        let mut builder = self.planned_builder().await;
        let launch = new_launch();
        let begun = self
            .store
            .begin_launch(&self.lease, &builder, &launch, at(60), at(2));
        builder = begun.await.unwrap();
        assert!(builder.host_key_is_given);
        for to in [BuilderState::Pending, BuilderState::Booting] {
            builder = self.go(&builder, to).await;
        }
        builder
    }
}

async fn a_given_key_counts_until_the_one_that_the_machine_made_was_seen(farm: Farm) {
    let builder = farm.given().await;
    let given = builder.host_key.clone();
    let (store, lease) = (&farm.store, &farm.lease);
    // There is nothing to end yet.
    assert_invalid(store.end_key_change(lease, &builder, at(4)).await);
    assert_invalid(
        store
            .begin_key_change(lease, &builder, "ssh-ed25519 A\0", at(4))
            .await,
    );
    let answers = [
        store.begin_key_change(lease, &builder, KEY, at(5)).await,
        store
            .begin_key_change(lease, &builder, "ssh-ed25519 CCCC", at(5))
            .await,
    ];
    let begun = the_one_winner(answers.into());
    assert_eq!(
        (
            &begun.host_key,
            begun.host_key_next.as_deref(),
            begun.host_key_is_given
        ),
        (&given, Some(KEY), true),
        "both count"
    );
    // Whoever is interrupted has it make one anew; who decided on the one before comes too late.
    let again = store
        .begin_key_change(lease, &begun, "ssh-ed25519 DDDD", at(6))
        .await
        .unwrap();
    assert_conflict(store.end_key_change(lease, &begun, at(6)).await);
    let mixed = Builder {
        host_key_next: Some(KEY.to_owned()),
        ..again.clone()
    };
    assert_conflict(store.end_key_change(lease, &mixed, at(6)).await);
    let ended = store.end_key_change(lease, &again, at(7)).await.unwrap();
    assert_eq!(
        (
            ended.host_key.as_deref(),
            &ended.host_key_next,
            ended.host_key_is_given
        ),
        (Some("ssh-ed25519 DDDD"), &None, false),
        "only that one counts"
    );
    assert_eq!(farm.builder(ended.id).await, ended);
    assert_conflict(store.begin_key_change(lease, &ended, KEY, at(8)).await);
    let moved = farm.go(&ended, BuilderState::Provisioning).await;
    assert_eq!(moved.host_key, ended.host_key);
}

async fn a_key_that_nobody_gave_is_not_replaced(farm: Farm) {
    let builder = farm.keyless().await;
    let (store, lease) = (&farm.store, &farm.lease);
    assert!(!builder.host_key_is_given);
    let builder = store
        .keep_key_of_console(lease, &builder, KEY, at(5))
        .await
        .unwrap();
    assert_conflict(
        store
            .begin_key_change(lease, &builder, "ssh-ed25519 AAAA", at(6))
            .await,
    );
    assert_eq!(farm.builder(builder.id).await, builder);
}
