//! The roles as processes of their own: they meet in the database and in the directory of results.

use std::{sync::Arc, time::Duration};

use runtime::{Settings, Supervisor, clock};
use store::{Process, Store};
use tokio::net::TcpListener;
use tracing::info;

use crate::{
    database, fleet,
    follow::{Source, follow},
    lock::lock,
    options::Config,
    parts,
    secrets::Secrets,
    signals::stop_at_signals,
};

/// How long tasks may take to finish when the process is told to stop.
pub(crate) const GRACE: Duration = Duration::from_secs(20);

/// Reads the settings and starts logging.
pub(crate) fn settings(config: &Config) -> anyhow::Result<Settings> {
    let settings = Settings::load(config.config.as_deref())?;
    runtime::telemetry::start(&settings.log)?;
    Ok(settings)
}

async fn wait(supervisor: Supervisor) -> anyhow::Result<()> {
    stop_at_signals(supervisor.stop_token())?;
    let ended = supervisor.wait(GRACE).await;
    info!("Stopped.");
    ended.map_err(|words| anyhow::anyhow!(words))
}

/// Runs a process of the farm on its database, for which it needs rights.
async fn run(
    settings: &Settings,
    process: Process,
    work: impl AsyncFnOnce(Store) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    database::with(settings, async |store| {
        store.check_rights(process).await.map_err(database::plainly)?;
        work(store).await
    })
    .await
}

/// `verdigris api`.
pub(crate) async fn api(config: &Config) -> anyhow::Result<()> {
    let settings = settings(config)?;
    run(&settings, Process::Api, async |store| {
        let supervisor = Supervisor::new();
        let listener = listen(&settings).await?;
        let mut settings = settings.clone();
        // With port 0 it is another.
        settings.http.listen = listener.local_addr()?;
        let state = api::ApiState::new(store, parts::api(&settings)?, supervisor.stop_token())?;
        info!(
            "Serving {} on {}.",
            settings.http.public_url(),
            listener.local_addr()?
        );
        supervisor.spawn("api", api::serve(listener, state));
        wait(supervisor).await
    })
    .await
}

/// `verdigris controller`.
pub(crate) async fn controller(config: &Config) -> anyhow::Result<()> {
    let settings = settings(config)?;
    let secrets = Secrets::open(&settings.storage.secrets())?;
    run(&settings, Process::Controller, async |store| {
        let context = parts::controller(&settings, &secrets, &store, None)?;
        fleet::refuse_forsaken_machines(&store, &context.fleet, clock::now()).await?;
        let supervisor = Supervisor::new();
        let source = Source {
            settings: settings.clone(),
            key: Arc::clone(&context.key),
            embedded: None,
        };
        let controller = follow(controller::Controller::new(context), source, &supervisor)?;
        probes(&settings, &store, &supervisor).await?;
        supervisor.spawn("controller", controller.run(supervisor.stop_token()));
        wait(supervisor).await
    })
    .await
}

/// `verdigris worker`.
pub(crate) async fn worker(config: &Config) -> anyhow::Result<()> {
    let settings = settings(config)?;
    let secrets = Secrets::open(&settings.storage.secrets())?;
    // By its name a worker takes its attempts up again: two of one name would take them from each other.
    let name = parts::worker_name(&settings)?;
    let _lock = lock(
        &settings.storage.directory.join(format!("worker-{name}.lock")),
        &format!("another worker named {name} runs on this machine; set `worker.name`"),
    )?;
    run(&settings, Process::Worker, async |store| {
        let worker = worker::Worker::new(parts::worker(&settings, &secrets, &store)?);
        let supervisor = Supervisor::new();
        probes(&settings, &store, &supervisor).await?;
        supervisor.spawn("worker", worker.run(supervisor.stop_token()));
        wait(supervisor).await
    })
    .await
}

/// Answers probes where the settings say so, for a role that serves nothing else.
async fn probes(settings: &Settings, store: &Store, supervisor: &Supervisor) -> anyhow::Result<()> {
    use anyhow::Context as _;
    let Some(address) = settings.health.listen else {
        return Ok(());
    };
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("listening on {address} (`health.listen`)"))?;
    let stop = supervisor.stop_token();
    supervisor.spawn("probes", api::serve_probes(listener, store.clone(), stop));
    Ok(())
}

/// The listener of the HTTP service.
pub(crate) async fn listen(settings: &Settings) -> anyhow::Result<TcpListener> {
    use anyhow::Context as _;
    let address = settings.http.listen;
    TcpListener::bind(address)
        .await
        .with_context(|| format!("listening on {address} (`http.listen`)"))
}
