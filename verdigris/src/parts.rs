//! Puts the roles together from settings: what each process is made of, and no more than it may have.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, bail};
use cloud::{Cloud, Ec2, Ec2Settings};
use model::fleet::{CloudSpec, Contradiction, CredentialsSource, FleetSpec};
use provisioner::Provisioner;
use repository::{KeyAlgorithm, Publisher};
use runtime::{CancellationToken, Settings, clock::Clock, settings::SigningKeys};
use serde::Deserialize;
use shell::ClientKey;
use store::Store;

use crate::{
    assets,
    secrets::{AccessKey, Secrets},
};

/// The cloud that runs in this process, if one does.
#[derive(Clone)]
pub(crate) struct Embedded {
    /// Its address.
    pub(crate) endpoint: String,
    /// The key it takes.
    pub(crate) access_key: AccessKey,
}

/// Reads `fleet.yaml`.
pub(crate) fn fleet(settings: &Settings) -> anyhow::Result<FleetSpec> {
    let path = fleet_path(settings);
    if settings.fleet.file.is_some() && !path.exists() {
        bail!("there is no fleet file {} (`fleet.file`)", path.display());
    }
    if !path.exists() {
        bail!(
            "there is no fleet file {}: `verdigris up` writes a first one, and `fleet.file` names one elsewhere",
            path.display()
        );
    }
    fleet_file(&path)
}

/// Where `fleet.yaml` is.
pub(crate) fn fleet_path(settings: &Settings) -> PathBuf {
    let in_directory = || settings.storage.directory.join("fleet.yaml");
    settings.fleet.file.clone().unwrap_or_else(in_directory)
}

/// Reads a fleet file and checks it against itself.
pub(crate) fn fleet_file(path: &Path) -> anyhow::Result<FleetSpec> {
    let text = runtime::yaml::read(path)?;
    let name = path.display().to_string();
    let fleet: FleetSpec = runtime::yaml::parse(&text, &name)?;
    let found = fleet.contradictions();
    if !found.is_empty() {
        return Err(runtime::Error::Mistakes {
            path: name.clone(),
            mistakes: with_places(&text, &name, &found),
        }
        .into());
    }
    Ok(fleet)
}

/// What is wrong in the fleet file, each with its line.
pub(crate) fn in_fleet_file(settings: &Settings, found: &[Contradiction]) -> Vec<String> {
    let path = fleet_path(settings);
    // It was read a moment ago. If it cannot be any more, there is no line.
    let text = runtime::yaml::read(&path).unwrap_or_default();
    with_places(&text, &path.display().to_string(), found)
}

fn with_places(text: &str, name: &str, found: &[Contradiction]) -> Vec<String> {
    found
        .iter()
        .map(|it| runtime::yaml::mistake_at(text, name, &it.path, &it.words))
        .collect()
}

/// The HTTP role.
pub(crate) fn api(settings: &Settings) -> anyhow::Result<api::ApiSettings> {
    Ok(api::ApiSettings {
        results_root: absolute(&settings.storage.results())?,
        spool_dir: absolute(&settings.storage.sources())?.join(".spool"),
        source_root: absolute(&settings.storage.sources())?,
        mirrors: settings.http.mirrors.clone(),
        max_upload_bytes: settings.http.max_upload.bytes(),
        min_free_bytes: settings.storage.min_free.bytes(),
        token_lifetime: api::DEFAULT_TOKEN_LIFETIME,
        limits: limits(&settings.http),
        public_url: settings.http.public_url(),
    })
}

/// What clients of the HTTP role may take.
fn limits(http: &runtime::settings::HttpSettings) -> api::Limits {
    api::Limits {
        connections: http.max_connections,
        connections_per_client: http.max_connections_per_client,
        trusted_proxies: http.trusted_proxies.iter().map(|network| network.get()).collect(),
        head_timeout: http.head_timeout.get(),
        body_timeout: http.body_timeout.get(),
        min_rate: http.min_rate.bytes(),
        log_streams: http.max_log_streams,
        log_streams_per_client: http.max_log_streams_per_client,
    }
}

/// The worker's role.
pub(crate) fn worker(
    settings: &Settings,
    secrets: &Secrets,
    store: &Store,
) -> anyhow::Result<worker::Context> {
    let results = absolute(&settings.storage.results())?;
    fs_err::create_dir_all(&results)?;
    Ok(worker::Context {
        store: store.clone(),
        publisher: Arc::new(Publisher::new(results)),
        sources: absolute(&settings.storage.sources())?,
        sessions: Arc::new(worker::SshSessions::new(secrets.builder_key()?)),
        passphrase: Arc::new(secrets.passphrase()?),
        unlocked: worker::UnlockedKeys::default(),
        key_algorithm: match settings.worker.signing_keys {
            SigningKeys::Ed25519 => KeyAlgorithm::Ed25519,
            SigningKeys::Rsa4096 => KeyAlgorithm::Rsa4096,
        },
        host_name: repository::repo_file::host_of(&settings.http.public_url()),
        builder_url: settings.http.builder_url(),
        name: worker_name(settings)?,
        parallel: settings.worker.parallel.max(1),
        limits: worker::Limits {
            log_bytes: settings.worker.max_log.bytes(),
            result_bytes: settings.worker.max_results.bytes(),
            result_files: 10_000,
            min_free_bytes: settings.storage.min_free.bytes(),
        },
        keep_history: settings.database.keep_history.get(),
    })
}

/// The worker's name: the host's, where the settings give none.
pub(crate) fn worker_name(settings: &Settings) -> anyhow::Result<String> {
    let name = settings.worker.name.clone().unwrap_or_else(host_name);
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.len() > 64 || !name.chars().all(is_plain) {
        bail!("worker.name: `{name}` is not a name of at most 64 letters, digits, dots and dashes");
    }
    Ok(name)
}

/// The controller's role.
pub(crate) fn controller(
    settings: &Settings,
    secrets: &Secrets,
    store: &Store,
    embedded: Option<&Embedded>,
) -> anyhow::Result<controller::Context> {
    let mut context = planner(settings, secrets.builder_key()?, store)?;
    let mut clouds: BTreeMap<String, Arc<dyn Cloud>> = BTreeMap::new();
    for (name, spec) in &context.fleet.clouds {
        let client = ec2(spec, embedded).with_context(|| format!("clouds.{name}"))?;
        clouds.insert(name.clone(), Arc::new(client));
    }
    context.clouds = clouds;
    if embedded.is_some() {
        // It holds its directory's lock: one that comes is the one before, started again, and need not wait.
        context.holder = format!("{}:up", host_name());
    }
    Ok(context)
}

/// A controller without clouds, which can only plan; for that, any key will do.
pub(crate) fn planner(
    settings: &Settings,
    key: ClientKey,
    store: &Store,
) -> anyhow::Result<controller::Context> {
    let (key, provisioner) = (Arc::new(key), Arc::new(provisioner(settings)?));
    let reach = controller::OverSsh {
        key: Arc::clone(&key),
        provisioner: Arc::clone(&provisioner),
    };
    Ok(controller::Context {
        store: store.clone(),
        fleet: Arc::new(fleet(settings)?),
        clouds: BTreeMap::new(),
        provisioner,
        reach: Arc::new(reach),
        key,
        clock: Clock::System,
        quiesce: CancellationToken::new(),
        builder_url: settings.http.builder_url(),
        holder: format!("{}:{}", host_name(), std::process::id()),
    })
}

/// What makes machines builders.
pub(crate) fn provisioner(settings: &Settings) -> anyhow::Result<Provisioner> {
    let (playbooks, files) = assets::directories(&settings.fleet, &settings.storage.directory)?;
    Provisioner::load(&playbooks, &files).context("loading playbooks and provision-files")
}

/// A file with an access key.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CredentialsFile {
    access_key: String,
    secret_key: String,
}

/// The access key of a cloud: id and secret.
pub(crate) fn access_key(spec: &CloudSpec, embedded: Option<&Embedded>) -> anyhow::Result<AccessKey> {
    let variable = |name: &str| {
        std::env::var(name).with_context(|| {
            format!("credentials: {{source: environment}}: {name} is not set in the environment")
        })
    };
    match (spec.credentials.source, embedded) {
        (CredentialsSource::Environment, _) => Ok(AccessKey {
            access_key: variable("AWS_ACCESS_KEY_ID")?,
            secret_key: variable("AWS_SECRET_ACCESS_KEY")?,
        }),
        (CredentialsSource::File, _) => {
            let path = spec.credentials.path.as_deref().unwrap_or_default();
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("credentials.path: {path} cannot be read"))?;
            let found: CredentialsFile = runtime::settings::parse_toml(&text, path)?;
            Ok(AccessKey {
                access_key: found.access_key,
                secret_key: found.secret_key,
            })
        }
        (CredentialsSource::Embedded, Some(embedded)) => Ok(embedded.access_key.clone()),
        (CredentialsSource::Embedded, None) => {
            bail!("`credentials: {{source: embedded}}` works in `verdigris up` only");
        }
    }
}

/// A client of a cloud.
pub(crate) fn ec2(spec: &CloudSpec, embedded: Option<&Embedded>) -> anyhow::Result<Ec2> {
    let key = access_key(spec, embedded)?;
    let endpoint = match (spec.credentials.source, embedded) {
        (CredentialsSource::Embedded, Some(embedded)) => Some(embedded.endpoint.clone()),
        _ => spec.endpoint.clone(),
    };
    Ok(Ec2::new(&Ec2Settings {
        region: spec.region.clone(),
        endpoint,
        access_key: key.access_key,
        secret_key: key.secret_key,
    }))
}

fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("the path {}", path.display()))
}

/// This machine's name.
pub(crate) fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
