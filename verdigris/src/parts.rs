//! Puts the roles together from settings: what each process is made of, and no more than it may have.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, bail};
use cloud::{Cloud, Ec2, Ec2Settings, HostCloud};
use model::{
    PoolName,
    condition::Leadership,
    fleet::{CloudSpec, Contradiction, CredentialsSource, FleetSpec, HOSTS, PoolSpec},
    nearest::did_you_mean,
};
use provisioner::Provisioner;
use repository::{KeyAlgorithm, Publisher};
use runtime::{
    CancellationToken, Settings,
    clock::{self, Clock},
    settings::SigningKeys,
};
use shell::ClientKey;
use store::Store;

use crate::{
    assets, holder, hosts,
    secrets::{AccessKey, Secrets},
};
use keys::{Keys, keys};

mod keys;

/// The cloud that runs in this process, if one does.
#[derive(Clone)]
pub(crate) struct Embedded {
    /// Its address.
    pub(crate) endpoint: String,
    /// The key it takes.
    pub(crate) access_key: AccessKey,
}

/// A file of the operator's that cannot be used as it is.
#[derive(Debug)]
pub(crate) struct BadConfig(pub(crate) String);

impl fmt::Display for BadConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadConfig {}

impl BadConfig {
    /// Whether that is what an error comes from.
    pub(crate) fn is_cause_of(error: &anyhow::Error) -> bool {
        error.chain().any(|cause| {
            let of_reading = cause.downcast_ref::<runtime::Error>();
            cause.is::<Self>() || of_reading.is_some_and(|it| !matches!(it, runtime::Error::Logging(_)))
        })
    }
}

/// Reads `fleet.yaml`.
pub(crate) fn fleet(settings: &Settings) -> anyhow::Result<FleetSpec> {
    let path = fleet_path(settings);
    if settings.fleet.file.is_some() && !path.exists() {
        bail!(BadConfig(format!(
            "there is no fleet file {} (`fleet.file`)",
            path.display()
        )));
    }
    if !path.exists() {
        bail!(BadConfig(format!(
            "there is no fleet file {}: `verdigris up` and `verdigris fleet init` write a first one, and `fleet.file` names one \
             elsewhere",
            path.display()
        )));
    }
    fleet_file(&path)
}

/// The fleet file that is in force: the one that stands, with those clouds of the one before that still have machines. It is the one
/// before where the one that stands cannot be used, or a controller that leads does not use it. Then also why it cannot, if the
/// database does not say so yet.
pub(crate) async fn fleet_in_force(
    settings: &Settings,
    store: &Store,
) -> anyhow::Result<(FleetSpec, Option<String>)> {
    let (id, complaint) = match fleet(settings) {
        Ok(fleet) => {
            let condition = store.fleet_condition(Some(fleet.fleet), clock::now()).await?;
            // Whoever leads next begins with the file as it stands.
            let is_led = matches!(condition.leadership, Leadership::Held { .. });
            if condition.file.is_none() || !is_led {
                let led_by = controller::to_lead_by(store, &fleet).await?;
                return Ok((led_by.unwrap_or(fleet), None));
            }
            (Some(fleet.fleet), None)
        }
        Err(error) => (None, Some(error)),
    };
    match (store.fleet_file(id).await?, complaint) {
        (Some(spec), complaint) => {
            let spec = serde_json::from_value(spec).context("the fleet file in the database")?;
            Ok((spec, complaint.map(|error| format!("{error:#}"))))
        }
        (None, Some(error)) => Err(error),
        (None, None) => Ok((fleet(settings)?, None)),
    }
}

/// A pool of a fleet, by the name that somebody gave.
pub(crate) fn pool<'a>(fleet: &'a FleetSpec, name: &str) -> anyhow::Result<(&'a PoolName, &'a PoolSpec)> {
    fleet
        .pools
        .iter()
        .find(|(known, _)| known.as_str() == name)
        .with_context(|| {
            let names: Vec<&str> = fleet.pools.keys().map(PoolName::as_str).collect();
            let hint = did_you_mean(name, &names);
            let end = if hint.is_empty() { "." } else { &hint };
            format!(
                "there is no pool `{name}` in the fleet file{end} There is: {}",
                names.join(", ")
            )
        })
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
    Ok(runtime::yaml::parse_and_check(
        &text,
        &name,
        |fleet: &FleetSpec| {
            let mut found = fleet.contradictions();
            found.extend(hosts::mistakes(fleet));
            found
        },
    )?)
}

/// What is wrong in the fleet file, each with its line.
pub(crate) fn in_fleet_file(settings: &Settings, found: &[Contradiction]) -> Vec<String> {
    let path = fleet_path(settings);
    // It was read a moment ago. If it cannot be any more, there is no line.
    let text = runtime::yaml::read(&path).unwrap_or_default();
    let name = path.display().to_string();
    let with_place = |it: &Contradiction| runtime::yaml::mistake_at(&text, &name, it);
    found.iter().map(with_place).collect()
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
        request_timeout: http.request_timeout.get(),
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
    let mut context = planner(settings, secrets.builder_key()?, store, fleet(settings)?)?;
    context.clouds = clouds(&context.fleet, embedded)?;
    let of_process = embedded.cloned();
    context.clients = controller::Clients::new(move |_, spec| {
        let client = ec2(spec, of_process.as_ref()).map_err(|error| format!("{error:#}"))?;
        Ok(Arc::new(client) as Arc<dyn Cloud>)
    });
    if embedded.is_some() {
        context.holder = holder::of_farm(&host_name(), &settings.storage.directory)?;
    }
    Ok(context)
}

/// The clients of a fleet's clouds.
fn clouds(
    fleet: &FleetSpec,
    embedded: Option<&Embedded>,
) -> anyhow::Result<BTreeMap<String, Arc<dyn Cloud>>> {
    let mut clouds: BTreeMap<String, Arc<dyn Cloud>> = BTreeMap::new();
    for (name, spec) in &fleet.clouds {
        let client = ec2(spec, embedded).with_context(|| format!("clouds.{name}"))?;
        clouds.insert(name.clone(), Arc::new(client));
    }
    // Also without any in the file: builders of hosts that it named before are still to be given back.
    clouds.insert(HOSTS.to_owned(), Arc::new(HostCloud::new(fleet)));
    Ok(clouds)
}

/// The files that a controller works by, as they stand now.
pub(crate) fn files(
    settings: &Settings,
    key: &Arc<ClientKey>,
    embedded: Option<&Embedded>,
) -> anyhow::Result<controller::Files> {
    let fleet = fleet(settings)?;
    let clouds = clouds(&fleet, embedded)?;
    let provisioner = Arc::new(provisioner(settings, &fleet)?);
    let reach = controller::OverSsh {
        key: Arc::clone(key),
        provisioner: Arc::clone(&provisioner),
    };
    Ok(controller::Files {
        fleet: Arc::new(fleet),
        clouds,
        provisioner,
        reach: Arc::new(reach),
    })
}

/// A controller without clouds, which can only plan; for that, any key will do.
pub(crate) fn planner(
    settings: &Settings,
    key: ClientKey,
    store: &Store,
    fleet: FleetSpec,
) -> anyhow::Result<controller::Context> {
    let (key, provisioner) = (Arc::new(key), Arc::new(provisioner(settings, &fleet)?));
    let reach = controller::OverSsh {
        key: Arc::clone(&key),
        provisioner: Arc::clone(&provisioner),
    };
    Ok(controller::Context {
        store: store.clone(),
        fleet: Arc::new(fleet),
        clouds: BTreeMap::new(),
        clients: controller::Clients::default(),
        calls: controller::Calls::default(),
        term: controller::Term::default(),
        provisioner,
        reach: Arc::new(reach),
        key,
        clock: Clock::System,
        quiesce: CancellationToken::new(),
        builder_url: settings.http.builder_url(),
        holder: holder::of_process(&host_name()),
    })
}

/// What makes machines builders.
pub(crate) fn provisioner(settings: &Settings, fleet: &FleetSpec) -> anyhow::Result<Provisioner> {
    assets::provisioner(&settings.fleet, fleet.own_playbooks().as_ref())
}

/// A client of a cloud.
pub(crate) fn ec2(spec: &CloudSpec, embedded: Option<&Embedded>) -> anyhow::Result<Ec2> {
    let keys = keys(spec, embedded)?;
    let endpoint = match (spec.credentials.source, embedded) {
        (CredentialsSource::Embedded, Some(embedded)) => Some(embedded.endpoint.clone()),
        _ => spec.endpoint.clone(),
    };
    let key = match keys {
        Keys::OfRole(role) => return Ok(Ec2::of_role(&spec.region, endpoint.as_deref(), role)),
        Keys::Given(key) => key,
    };
    Ok(Ec2::new(&Ec2Settings {
        region: spec.region.clone(),
        endpoint,
        access_key: key.access_key,
        secret_key: key.secret_key,
        session_token: key.session_token,
    }))
}

fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("the path {}", path.display()))
}

/// This machine's name.
pub(crate) fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
