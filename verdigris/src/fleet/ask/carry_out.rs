//! An intent that is on record is carried out by the controller that leads; where none does, by this command itself.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use controller::{Context, Controller};
use model::{
    condition::Leadership,
    fleet::FleetSpec,
    intent::{Intent, IntentState},
};
use runtime::{CancellationToken, Settings, clock};
use store::{Process, Store};

use crate::{
    fleet::forsaken::refuse_forsaken_machines,
    parts::{self, BadConfig},
    secrets::Secrets,
    signals::stop_at_signals,
};

/// How long the controller that leads is waited for to take an intent up, where its end is not waited for. It looks at least
/// every `controller.lease.renew`.
const TAKEN_UP_WITHIN: Duration = Duration::from_secs(10);
/// How often it is looked what has become of an intent.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How much is done for an intent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// How long it is waited for, or worked on where there is no controller.
    pub(super) limit: Duration,
    /// Whether its end is waited for, and not only that it is taken up.
    pub(super) waits: bool,
    /// Whether this process logs already.
    pub(super) is_logging: bool,
}

/// Waits for what becomes of an intent, or brings it about where no controller leads; how it stands then, and whether its end was
/// waited for or worked on in vain.
pub(super) async fn carry_out(
    settings: &Settings,
    store: &Store,
    fleet: &FleetSpec,
    mut intent: Intent,
    patience: Patience,
) -> anyhow::Result<(Intent, bool)> {
    let (begun, limit) = (Instant::now(), patience.limit);
    // Ctrl-C ends the waiting, and the leading; the intent stays on record.
    let stop = CancellationToken::new();
    stop_at_signals(stop.clone())?;
    let mut is_logging = patience.is_logging;
    let mut has_led = false;
    while !intent.state.is_final() && !stop.is_cancelled() {
        let waited = begun.elapsed();
        if waited >= limit {
            break;
        }
        if is_led(store, fleet).await? {
            let is_taken_up = intent.state != IntentState::New || waited >= TAKEN_UP_WITHIN;
            has_led = false;
            if is_taken_up && !patience.waits {
                break;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        } else {
            if !is_logging {
                // Only who does the work has something to log.
                runtime::telemetry::start(&settings.log)?;
                is_logging = true;
            }
            has_led = true;
            lead(
                settings,
                store,
                &intent.key,
                (limit.saturating_sub(waited), &stop),
            )
            .await?;
        }
        let found = store.intent(fleet.fleet, &intent.key).await?;
        intent = found.with_context(|| format!("intent {} is gone from the database", intent.key))?;
    }
    // Without a controller nobody works on it any more when this command ends, also if there was no time to lead.
    let is_too_late =
        !intent.state.is_final() && (patience.waits || has_led || !is_led(store, fleet).await?);
    Ok((intent, is_too_late))
}

async fn is_led(store: &Store, fleet: &FleetSpec) -> anyhow::Result<bool> {
    let condition = store.fleet_condition(Some(fleet.fleet), clock::now()).await?;
    Ok(matches!(condition.leadership, Leadership::Held { .. }))
}

/// Refuses what nobody could carry out now, neither a controller that leads nor this process. It is asked before an intent is on
/// record: what was refused is not to be done later, by whoever leads then.
pub(super) async fn refuse_where_nobody_can_lead(
    settings: &Settings,
    store: &Store,
    fleet: &FleetSpec,
) -> anyhow::Result<()> {
    if !is_led(store, fleet).await? {
        able_to_lead(settings, store).await?;
    }
    Ok(())
}

/// What a controller begins with, and that it may.
async fn able_to_lead(settings: &Settings, store: &Store) -> anyhow::Result<Context> {
    let secrets = Secrets::open(&settings.storage.secrets())?;
    let context = parts::controller(settings, &secrets, store, None).map_err(|error| {
        let why = format!("no controller leads, and this command cannot do its work: {error:#}");
        anyhow::Error::new(BadConfig(why))
    })?;
    refuse_forsaken_machines(store, &context.fleet, clock::now()).await?;
    store
        .check_rights(Process::Controller)
        .await
        .map_err(crate::database::plainly)?;
    Ok(context)
}

/// Leads the fleet until the intent is over or the time is.
async fn lead(
    settings: &Settings,
    store: &Store,
    key: &str,
    (limit, told): (Duration, &CancellationToken),
) -> anyhow::Result<()> {
    let context = able_to_lead(settings, store).await?;
    let stop = told.child_token();
    let leading = Box::pin(Controller::new(context).run_for(key, stop.clone()));
    let in_time = async {
        tokio::time::sleep(limit).await;
        stop.cancel();
        // What was begun is ended by the leading itself.
        std::future::pending::<()>().await;
    };
    let led = tokio::select! {
        led = leading => led,
        () = in_time => false,
    };
    if !led {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}
