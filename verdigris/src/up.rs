//! `verdigris up`: the whole farm in one process and one directory. The first start makes what is missing;
//! every later one goes on where the last stopped, however it stopped.

use std::{
    collections::BTreeMap,
    fs::{File, TryLockError},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use devcloud::{Cloud, CloudConfig, ImageConfig};
use model::{ChrootDefinition, OwnerName, chroot::BaseRepository};
use runtime::{Settings, Supervisor, clock};
use store::{Chroot, IssuedToken, Store};
use tracing::{error, info};
use uuid::Uuid;

use crate::{
    GUEST,
    cli::UpArguments,
    database,
    operator::{copr_section, first_operator},
    parts::{self, Embedded},
    roles, say,
    secrets::{Secrets, write_private},
};

/// The port of the cloud's gateway through which instances reach the farm.
const FARM_PORT_IN_CLOUD: u16 = 80;
/// The distribution that a farm without the outside world builds on.
const MICRODISTRO: &str = "microdistro";

/// Runs the farm until it is told to stop.
pub(crate) async fn up(arguments: UpArguments) -> anyhow::Result<()> {
    let directory = std::path::absolute(&arguments.directory)?;
    fs_err::create_dir_all(&directory)?;
    let settings = settings(&arguments, &directory)?;
    runtime::telemetry::start(&settings.log)?;
    // Held, unread, until the end.
    let _lock = lock(&directory)?;
    let secrets = Secrets::open(&settings.storage.secrets())?;
    let store = database::connect(&settings).await?;
    for applied in store.migrate().await? {
        info!("Applied the migration {applied}.");
    }
    let listener = roles::listen(&settings).await?;
    let image = ImageConfig::read(&arguments.image).with_context(|| {
        format!(
            "the machine image {}; `cargo xtask image` makes one",
            arguments.image.display()
        )
    })?;
    let operator = operator_name()?;
    let token = first_operator(&store, &operator).await?;
    first_chroot(&store, &settings.http.mirrors).await?;
    first_fleet_file(&directory, &arguments, &image.id)?;
    // From here on there are machines: whatever goes wrong, the cloud is shut down.
    let cloud = start_cloud(&directory, &settings, &secrets, image).await?;
    let supervisor = Supervisor::new();
    let ended = match start_roles(&supervisor, &settings, &secrets, &store, &cloud, listener) {
        Ok(()) => {
            greet(&directory, &settings, &operator, token.as_ref())?;
            roles::stop_at_signals(supervisor.stop_token())?;
            supervisor
                .wait(roles::GRACE)
                .await
                .map_err(|words| anyhow::anyhow!(words))
        }
        Err(error) => Err(error),
    };
    if let Err(error) = cloud.shutdown().await {
        error!("The embedded cloud did not stop cleanly: {error}");
    }
    info!("Stopped.");
    ended
}

/// The settings: `verdigris.toml` of the directory where there is one, and what the command line says.
fn settings(arguments: &UpArguments, directory: &Path) -> anyhow::Result<Settings> {
    let file = directory.join("verdigris.toml");
    let mut settings = Settings::load(file.is_file().then_some(file.as_path()))?;
    settings.storage.directory = directory.to_owned();
    settings.http.listen = arguments.listen;
    let in_directory = format!("sqlite://{}", directory.join("verdigris.db").display());
    if settings.database == runtime::settings::DatabaseSettings::default() {
        settings.database.url = in_directory;
    }
    settings.http.builder_url = Some(format!(
        "http://{}:{FARM_PORT_IN_CLOUD}",
        devcloud::hypervisor::GATEWAY
    ));
    for (name, mirror) in &arguments.mirrors {
        let path = fs_err::canonicalize(mirror).with_context(|| format!("--mirror {name}"))?;
        if !path.join("repodata").is_dir() {
            bail!(
                "--mirror {name}: {} is no repository: it has no `repodata`",
                mirror.display()
            );
        }
        settings.http.mirrors.insert(name.clone(), path);
    }
    settings.worker.name.get_or_insert_with(|| "up".to_owned());
    Ok(settings)
}

/// Two farms in one directory would fight over everything in it.
fn lock(directory: &Path) -> anyhow::Result<File> {
    let path = directory.join("lock");
    let file = File::create(&path).with_context(|| format!("making {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            bail!(
                "another `verdigris up` runs in {}; stop it first, or use --directory",
                directory.display()
            )
        }
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("locking {}", path.display())),
    }
}

/// Who started the farm; `admin` for root and for names that are none here.
fn operator_name() -> anyhow::Result<OwnerName> {
    let user = std::env::var("USER").ok().filter(|name| name != "root");
    match user.and_then(|name| name.parse().ok()) {
        Some(name) => Ok(name),
        None => Ok("admin".parse()?),
    }
}

async fn first_chroot(store: &Store, mirrors: &BTreeMap<String, PathBuf>) -> anyhow::Result<()> {
    if !mirrors.contains_key(MICRODISTRO) || !store.chroots().await?.is_empty() {
        return Ok(());
    }
    let base = BaseRepository {
        id: "base".to_owned(),
        baseurl: format!("{{farm}}/mirrors/{MICRODISTRO}/"),
        gpgkey: None,
    };
    let chroot = Chroot {
        name: "microdistro-1-x86_64".parse()?,
        comment: "A small distribution made of Debian packages".to_owned(),
        is_active: true,
        definition: ChrootDefinition {
            repositories: vec![base],
            buildroot_packages: vec!["microdistro-buildroot".to_owned()],
            macros: BTreeMap::new(),
        },
    };
    store.create_chroot(&chroot, clock::now()).await?;
    info!("Made the chroot {}.", chroot.name);
    Ok(())
}

/// A fleet of one pool on the embedded cloud; from then on the operator's to change.
fn first_fleet_file(directory: &Path, arguments: &UpArguments, image: &str) -> anyhow::Result<()> {
    let path = directory.join("fleet.yaml");
    if path.exists() {
        return Ok(());
    }
    let text = format!(
        "# The fleet of this farm: one pool of builders on the cloud that runs inside `verdigris up`.\n\
         # See docs/fleet.md for what may be written here; `verdigris fleet plan` shows what it leads to.\n\
         schema: 1\n\
         fleet: {fleet}\n\
         name: up\n\n\
         controller:\n  tick: {{min: 150ms, max: 1s}}\n\n\
         clouds:\n  devcloud:\n    kind: ec2\n    region: dev-1\n    credentials: {{source: embedded}}\n\n\
         images:\n  builder: {{cloud: devcloud, id: {image}}}\n\n\
         provision:\n  builder:\n    connect: {{user: root, port: {port}}}\n\n\
         pools:\n  local:\n    labels: [\"arch:x86_64\"]\n    image: builder\n    provision: builder\n    \
         size: {{min: 0, max: {max}, idle: {idle}}}\n    offerings:\n      - types: [c7i.xlarge]\n",
        fleet = Uuid::now_v7(),
        port = devcloud::config::default_ssh_port(),
        max = arguments.builders,
        idle = arguments.idle.min(arguments.builders),
    );
    fs_err::write(&path, text)?;
    parts::fleet_file(&path)?;
    info!("Wrote {}.", path.display());
    Ok(())
}

async fn start_cloud(
    directory: &Path,
    settings: &Settings,
    secrets: &Secrets,
    image: ImageConfig,
) -> anyhow::Result<Cloud> {
    let key = secrets.access_key()?;
    let mut config = CloudConfig::new(directory.join("devcloud"), &key.access_key, &key.secret_key);
    config.images = vec![image];
    config.helper = vec!["/proc/self/exe".into(), GUEST.into()];
    config.forwards = vec![devcloud::Forward {
        port: FARM_PORT_IN_CLOUD,
        target: settings.http.listen,
    }];
    Cloud::start(config).await.context("starting the embedded cloud")
}

fn start_roles(
    supervisor: &Supervisor,
    settings: &Settings,
    secrets: &Secrets,
    store: &Store,
    cloud: &Cloud,
    listener: tokio::net::TcpListener,
) -> anyhow::Result<()> {
    let embedded = Embedded {
        endpoint: cloud.endpoint(),
        access_key: secrets.access_key()?,
    };
    let stop = supervisor.stop_token();
    let state = api::ApiState::new(store.clone(), parts::api(settings)?, stop.clone())?;
    let worker = worker::Worker::new(parts::worker(settings, secrets, store)?);
    let controller = parts::controller(settings, secrets, store, Some(&embedded))?;
    supervisor.spawn("api", api::serve(listener, state));
    supervisor.spawn("worker", worker.run(stop.clone()));
    supervisor.spawn("controller", controller::Controller::new(controller).run(stop));
    Ok(())
}

/// Says where the farm is and how to use it. The token is shown once, and kept in a file for the operator.
fn greet(
    directory: &Path,
    settings: &Settings,
    operator: &OwnerName,
    token: Option<&IssuedToken>,
) -> anyhow::Result<()> {
    let url = settings.http.public_url();
    let file = directory.join("copr.conf");
    if let Some(token) = token {
        let section = copr_section(operator, token, &url);
        write_private(&file, &format!("{section}\n"))?;
        say(&format!(
            "\nThe operator of this farm is {operator}. For copr-cli, in {} already:\n",
            file.display()
        ));
        say(&section);
    }
    say(&format!(
        "\nThe farm is up: {url}\n  copr-cli --config {} create demo --chroot microdistro-1-x86_64\n  \
         copr-cli --config {} build demo PACKAGE.src.rpm\n  dnf copr enable --hub {url} {operator}/demo \
         microdistro-1-x86_64\nCtrl-C stops it; the next `verdigris up` goes on.\n",
        file.display(),
        file.display()
    ));
    Ok(())
}
