//! The machine that an image is made of: a builder of the pool, launched, held and ended by the same intents as an operator's, so that
//! it is on record, counts, and ends whatever becomes of this process.

use std::{
    convert::Infallible,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use model::{
    BuilderId, BuilderState, PoolName,
    fleet::{FleetSpec, HoldSpec},
    intent::{Intent, IntentState, Request, Target},
    quantity::Span,
};
use runtime::{Settings, clock};
use store::{Builder, Store};
use tracing::{info, warn};

use crate::fleet::{planned, see_through, write_down};

/// For whom the machine is held.
const OWNER: &str = "image bake";
/// Why, for its history.
const REASON: &str = "an image is made of it";
/// How often it is looked whether the machine is on record.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How much longer than this command may take the machine is held, so that the end of the hold is nobody's but a killed one's.
const HELD_LONGER: Duration = Duration::from_secs(60);
/// How long the end of the machine is waited for.
const END_WITHIN: Duration = Duration::from_secs(300);

/// How a machine is got, and got rid of.
pub(super) struct Machines<'a> {
    pub(super) settings: &'a Settings,
    pub(super) store: &'a Store,
    pub(super) fleet: &'a FleetSpec,
    pub(super) pool: &'a PoolName,
    /// What tells this command from every other.
    pub(super) slot: &'a str,
    /// When this command began, and how long it may take.
    pub(super) begun: Instant,
    pub(super) limit: Duration,
}

impl Machines<'_> {
    /// A builder that has run no build and is held; nobody else gets it.
    ///
    /// # Errors
    /// When the pool gives none in time. What there is of it then has been told to end.
    pub(super) async fn held(&self) -> anyhow::Result<Builder> {
        let spawned = self.spawned().await?;
        let got = async {
            let id = self.ready(&spawned)?;
            self.hold(id).await
        };
        match got.await {
            Ok(builder) => Ok(builder),
            Err(error) => {
                self.end_all(&spawned.builders).await;
                Err(error)
            }
        }
    }

    /// How much of the time is left.
    pub(super) fn left(&self) -> Duration {
        self.limit.saturating_sub(self.begun.elapsed())
    }

    /// How long a machine is kept from others: for what is left of the time and a little more, as far as its pool allows.
    fn lasts(&self) -> Span {
        let known = self.fleet.pools.get(self.pool);
        let most = known.map_or_else(HoldSpec::default, |pool| pool.hold).max;
        Span::seconds(self.left().saturating_add(HELD_LONGER).as_secs()).min(most)
    }

    /// Asks for one builder more. As soon as it is on record, and long before it is ready, no build goes to it any more.
    async fn spawned(&self) -> anyhow::Result<Intent> {
        let request = Request::Spawn {
            pool: self.pool.clone(),
            count: 1,
            keep: None,
        };
        let intent = write_down(self.store, self.fleet, (&request, self.slot)).await?;
        let key = intent.key.clone();
        let spawned = tokio::select! {
            spawned = see_through(self.settings, self.store, self.fleet, (intent, self.left())) => spawned,
            cordoned = self.cordon(&key) => match cordoned {
                Ok(never) => match never {},
                Err(error) => Err(error),
            },
        };
        match spawned {
            Ok(intent) => Ok(intent),
            Err(error) => {
                if let Ok(Some(intent)) = self.store.intent(self.fleet.fleet, &key).await {
                    self.end_all(&intent.builders).await;
                }
                Err(error)
            }
        }
    }

    /// Waits until a builder is on record for an intent, and has no build go to it.
    async fn cordon(&self, key: &str) -> anyhow::Result<Infallible> {
        loop {
            let found = self.store.intent(self.fleet.fleet, key).await?;
            if let Some(id) = found.and_then(|intent| intent.builders.first().copied()) {
                info!("Builder {id} is launched for the image.");
                let request = Request::Cordon {
                    builder: id,
                    reason: REASON.to_owned(),
                    lasts: Some(self.lasts()),
                };
                write_down(self.store, self.fleet, (&request, self.slot)).await?;
                return std::future::pending().await;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// The builder that was asked for, if it got ready.
    fn ready(&self, spawned: &Intent) -> anyhow::Result<BuilderId> {
        let pool = self.pool;
        match (spawned.state, spawned.builders.first()) {
            (IntentState::Done, Some(id)) => Ok(*id),
            (state, _) if state.is_final() => bail!("pool {pool} gives no builder: {}", spawned.words),
            (_, Some(id)) => bail!("builder {id} was not ready in time: {}", spawned.words),
            (_, None) => bail!(
                "pool {pool} gave no builder in time: {}. The wish stays on record: one that it gives later goes as others do",
                spawned.words
            ),
        }
    }

    async fn hold(&self, id: BuilderId) -> anyhow::Result<Builder> {
        let request = Request::Hold {
            builder: id,
            reason: REASON.to_owned(),
            lasts: Some(self.lasts()),
            owner: Some(OWNER.to_owned()),
        };
        let intent = write_down(self.store, self.fleet, (&request, self.slot)).await?;
        let held = see_through(self.settings, self.store, self.fleet, (intent, self.left())).await?;
        ensure!(
            held.state == IntentState::Done,
            "builder {id} is not held: {}",
            held.words
        );
        let builder = self.store.builder(id).await?;
        let builder = builder.with_context(|| format!("builder {id} is gone from the database"))?;
        self.check(&builder).await?;
        Ok(builder)
    }

    /// Whether a builder is as it was made, and made as this command would have it made.
    async fn check(&self, builder: &Builder) -> anyhow::Result<()> {
        let id = builder.id;
        ensure!(
            builder.state == BuilderState::Held,
            "builder {id} is {} and not held any more",
            builder.state
        );
        ensure!(
            builder.uses == 0 && builder.sandbox.is_none(),
            "a build ran on builder {id} before it was held: begin again"
        );
        let view = self.store.fleet_snapshot(self.fleet.fleet, clock::now()).await?;
        let (snapshot, _) = planned(self.settings, self.store, self.fleet, &view)?;
        let is_so = snapshot
            .builders
            .iter()
            .any(|it| it.id == id && it.drift.is_none());
        ensure!(
            is_so,
            "builder {id} was made from another image, or by other playbooks, files or chroots than this command finds: they were \
             changed meanwhile, or the controller has others"
        );
        Ok(())
    }

    /// Ends a machine that was held, and waits for its end; whether it came.
    pub(super) async fn release(&self, id: BuilderId) -> bool {
        let request = Request::Release { builder: id };
        self.see(&request).await
    }

    /// Ends what was launched and is not held.
    async fn end_all(&self, ids: &[BuilderId]) {
        if !ids.is_empty() {
            let request = Request::Terminate {
                what: Target::Builders(ids.to_vec()),
                now: true,
                reason: "no image is made of it".to_owned(),
            };
            self.see(&request).await;
        }
    }

    /// Brings the end of a machine about, which has to be asked for also where something is in the way.
    async fn see(&self, request: &Request) -> bool {
        let asked = async {
            let intent = write_down(self.store, self.fleet, (request, self.slot)).await?;
            see_through(self.settings, self.store, self.fleet, (intent, END_WITHIN)).await
        };
        match asked.await {
            Ok(intent) if intent.state.is_final() => true,
            Ok(intent) => {
                warn!("The machine has not ended yet: {}.", intent.words);
                false
            }
            Err(error) => {
                warn!("The end of the machine could not be asked for, so it ends with its hold: {error:#}");
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use model::Timestamp;
    use store::DatabaseSettings;
    use uuid::Uuid;

    use super::*;
    use crate::fleet::testing::fleet;

    /// A database without a controller, and with nobody who could be one.
    async fn with<T>(work: impl AsyncFnOnce(&Machines<'_>) -> T) -> T {
        let directory = tempfile::tempdir().unwrap();
        let settings = DatabaseSettings {
            url: format!("sqlite://{}/farm.db", directory.path().display()),
            max_connections: 2,
        };
        let store = Store::connect(&settings).await.unwrap();
        store.migrate().await.unwrap();
        let (settings, fleet) = (
            Settings::default(),
            fleet(&[("x86", "arch:x86_64", [0, 3, 0], 0)]),
        );
        let pool = "x86".parse().unwrap();
        let machines = Machines {
            settings: &settings,
            store: &store,
            fleet: &fleet,
            pool: &pool,
            slot: "bake-1",
            begun: Instant::now(),
            limit: Duration::from_secs(60),
        };
        work(&machines).await
    }

    fn spawned(state: IntentState, builders: &[u128]) -> Intent {
        Intent {
            key: "spawn/bake-1/00".to_owned(),
            request: Request::Reconcile,
            actor: "operator".to_owned(),
            state,
            words: "pool x86 is at its maximum of 3".to_owned(),
            builders: builders
                .iter()
                .map(|id| BuilderId(Uuid::from_u128(*id)))
                .collect(),
            created_at: Timestamp::from_micros(0),
        }
    }

    #[tokio::test]
    async fn only_a_builder_that_got_ready_will_do_and_the_words_say_what_is_in_the_way() {
        with(async |machines| {
            for (state, builders, expected) in [
                (IntentState::Done, &[7][..], Ok(())),
                (IntentState::Refused, &[], Err("pool x86 gives no builder: pool x86 is at its maximum of 3")),
                (IntentState::Failed, &[7], Err("pool x86 gives no builder: pool x86 is at its maximum of 3")),
                (
                    IntentState::Running,
                    &[7],
                    Err("builder bdr_00000000000000000000000000000007 was not ready in time: pool x86 is at its maximum of 3"),
                ),
                (IntentState::Running, &[], Err("pool x86 gave no builder in time: pool x86 is at its maximum of 3. The wish")),
            ] {
                let found = machines.ready(&spawned(state, builders));
                match (found, expected) {
                    (Ok(id), Ok(())) => assert_eq!(id, BuilderId(Uuid::from_u128(7))),
                    (Err(error), Err(words)) => assert!(error.to_string().starts_with(words), "{error}"),
                    (found, _) => panic!("{state}: {found:?}"),
                }
            }
        })
        .await;
    }
}
