//! `verdigris up`: the whole farm in one process and one directory. The first start makes what is missing;
//! every later one goes on where the last stopped, however it stopped.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use devcloud::{Cloud, CloudConfig, ImageConfig};
use model::{ChrootDefinition, ChrootName, OwnerName, chroot::BaseRepository};
use runtime::{CancellationToken, Settings, Supervisor, clock, supervisor::error_chain};
use store::{Chroot, NewUser, Store};
use tracing::{error, info, warn};
use uuid::Uuid;

use crate::{
    GUEST, chroot,
    credentials::CoprConf,
    database, embedded,
    fleet::refuse_forsaken_machines,
    follow::{Source, follow},
    lock::{OF_FARM, lock},
    options::UpArguments,
    parts::{self, Embedded},
    roles, say,
    secrets::Secrets,
    user::TOKEN_LIFETIME,
};

mod before;
mod settings;
mod stop;

/// The distribution that a farm without the outside world builds on.
const MICRODISTRO: &str = "microdistro";

/// How many builders a new farm may have, and how many it holds ready.
const DEFAULT_BUILDERS: u32 = 4;
const DEFAULT_IDLE: u32 = 2;

/// Runs the farm until it is told to stop.
pub(crate) async fn up(arguments: UpArguments) -> anyhow::Result<()> {
    let directory = settings::place(&arguments.directory)?;
    let file = directory.join(OF_FARM);
    let refusal = format!(
        "another `verdigris up` runs in {}; stop it first, or use --directory",
        directory.display()
    );
    // Held, unread, until the end: two farms in one directory would fight over everything in it.
    let is_known = file.exists();
    let mut held = if is_known {
        Some(lock(&file, &refusal)?)
    } else {
        None
    };
    let mut settings = settings::settings(&arguments, &directory)?;
    let image = before::refuse(&settings).await?;
    let listener = roles::listen(&settings).await?;
    // With port 0 it is another.
    settings.http.listen = listener.local_addr()?;
    // All that its operator said is good: from here on something is made.
    fs_err::create_dir_all(&directory)?;
    if !is_known {
        held = Some(lock(&file, &refusal)?);
    }
    settings::make(&directory)?;
    runtime::telemetry::start(&settings.log)?;
    let store = database::make(&settings).await?;
    let start = Start {
        arguments,
        directory,
        settings,
        image,
        listener,
    };
    let ended = database::kept(&store, run(start, &store)).await;
    drop(held);
    // Whatever happened, the database's file is whole.
    database::close(&store).await;
    info!("Stopped.");
    ended
}

/// What a start was told, checked.
struct Start {
    arguments: UpArguments,
    directory: PathBuf,
    settings: Settings,
    image: ImageConfig,
    listener: tokio::net::TcpListener,
}

async fn run(start: Start, store: &Store) -> anyhow::Result<()> {
    let Start {
        arguments,
        directory,
        settings,
        image,
        listener,
    } = start;
    let (arguments, directory) = (&arguments, directory.as_path());
    let secrets = Secrets::open(&settings.storage.secrets())?;
    for applied in store.migrate().await? {
        info!("Applied the migration {applied}.");
    }
    let conf = CoprConf::in_directory(directory);
    let operator = operator_name(&conf)?;
    keep_credentials(store, &operator, &conf, &settings).await?;
    first_chroot(store, &settings.http.mirrors).await?;
    first_fleet_file(&settings, arguments, &image.id)?;
    let fleet = parts::fleet(&settings)?;
    refuse_forsaken_machines(store, &fleet, clock::now()).await?;
    settings::keep(arguments, directory)?;
    let useless = chroot::useless(store, &settings, true, Some(&fleet)).await?;
    for words in useless.wrong.iter().chain(&useless.unsure) {
        warn!("{words}");
    }
    let offered = store.chroots().await?.into_iter().find(|chroot| chroot.is_active);
    let offered = offered.map(|chroot| chroot.name);
    stop::recover(store, &fleet).await?;
    // From here on there are machines: whatever goes wrong, the cloud is shut down.
    let cloud = start_cloud(directory, &settings, &secrets, image).await?;
    let supervisor = Supervisor::new();
    let started =
        start_roles(&supervisor, &settings, &secrets, store, &cloud, listener).and_then(|quiesce| {
            let lock = directory.join(OF_FARM);
            stop::stop_at_signals(supervisor.stop_token(), quiesce, store.clone(), lock)
        });
    let ended = match started {
        Ok(()) => {
            greet(directory, &settings, &operator, &conf, offered.as_ref());
            tokio::select! {
                ended = supervisor.wait(roles::GRACE) => ended.map_err(|words| anyhow::anyhow!(words)),
                lost = cloud.failed() => Err(anyhow::Error::from(lost).context("the embedded cloud")),
            }
        }
        Err(error) => Err(error),
    };
    if let Err(error) = cloud.shutdown().await {
        error!("The embedded cloud did not stop cleanly: {error}");
    }
    ended
}

/// Whose section for copr-cli there is; without one who starts the farm, `admin` for root and for names that are none here.
fn operator_name(conf: &CoprConf) -> anyhow::Result<OwnerName> {
    if let Some(name) = conf.user() {
        return name
            .parse()
            .with_context(|| format!("{}: `username`", conf.path().display()));
    }
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
    let name = chroot.name.clone();
    store.create_chroots(&[chroot], clock::now()).await?;
    info!("Made the chroot {name}.");
    Ok(())
}

/// A fleet of one pool on the embedded cloud; from then on the operator's to change.
fn first_fleet_file(settings: &Settings, arguments: &UpArguments, image: &str) -> anyhow::Result<()> {
    let path = parts::fleet_path(settings);
    if path.exists() {
        if arguments.builders.is_some() || arguments.idle.is_some() {
            warn!(
                "--builders and --idle are for the first start; {} says it now.",
                path.display()
            );
        }
        return Ok(());
    }
    let builders = arguments.builders.unwrap_or(DEFAULT_BUILDERS);
    let text = format!(
        "# The fleet of this farm: one pool of builders on the cloud that runs inside `verdigris up`.\n\
         # See docs/fleet.md for what may be written here; `verdigris fleet plan` shows what it leads to.\n\
         schema: 1\n\
         fleet: {fleet}\n\
         name: up\n\n\
         controller:\n  tick: {{min: 200ms, max: 5s}}\n\n\
         clouds:\n  devcloud:\n    kind: ec2\n    region: dev-1\n    credentials: {{source: embedded}}\n\n\
         images:\n  builder: {{cloud: devcloud, id: {image}}}\n\n\
         provision:\n  builder:\n    connect: {{user: root, port: {port}}}\n\n\
         pools:\n  local:\n    labels: [\"arch:x86_64\"]\n    image: builder\n    provision: builder\n    \
         size: {{min: 0, max: {max}, idle: {idle}}}\n    offerings:\n      - types: [c7i.xlarge]\n",
        fleet = Uuid::now_v7(),
        port = devcloud::config::default_ssh_port(),
        max = builders,
        idle = arguments.idle.unwrap_or(DEFAULT_IDLE).min(builders),
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
    config.outside = settings.devcloud.public_network;
    config.forwards = vec![devcloud::Forward {
        port: embedded::FARM_PORT,
        target: settings.http.listen,
    }];
    let cloud = Cloud::start(config)
        .await
        .context("starting the embedded cloud")?;
    info!("The embedded cloud answers at {}.", cloud.endpoint());
    Ok(cloud)
}

fn start_roles(
    supervisor: &Supervisor,
    settings: &Settings,
    secrets: &Secrets,
    store: &Store,
    cloud: &Cloud,
    listener: tokio::net::TcpListener,
) -> anyhow::Result<CancellationToken> {
    let embedded = Embedded {
        endpoint: cloud.endpoint(),
        access_key: secrets.access_key()?,
    };
    let stop = supervisor.stop_token();
    let worker = worker::Worker::new(parts::worker(settings, secrets, store)?);
    let controller = parts::controller(settings, secrets, store, Some(&embedded))?;
    let quiesce = controller.quiesce.clone();
    let state = api::ApiState::new(store.clone(), parts::api(settings)?, stop.clone())?;
    let state = state.quiesced_by(quiesce.clone());
    supervisor.spawn("api", api::serve(listener, state));
    supervisor.spawn("worker", worker.run(stop.clone()));
    let source = Source {
        settings: settings.clone(),
        key: Arc::clone(&controller.key),
        embedded: Some(embedded),
    };
    let controller = follow(controller::Controller::new(controller), source, supervisor)?;
    supervisor.spawn("controller", controller.run(stop));
    Ok(quiesce)
}

/// Makes the operator, and writes a section for copr-cli where there is none. Done before anything else can fail, since a
/// token is known only once. It is never logged: it would be in every journal and every file that the log goes to.
async fn keep_credentials(
    store: &Store,
    operator: &OwnerName,
    conf: &CoprConf,
    settings: &Settings,
) -> anyhow::Result<()> {
    let url = settings.http.public_url();
    let known = store.user_by_name(operator).await?;
    if let Some(user) = &known
        && conf.exists()
    {
        if let Some(complaint) = conf.complaint(store, user).await? {
            let config = settings.storage.directory.join("verdigris.toml");
            warn!(
                "{complaint} `verdigris user token {operator} --config {}` writes a new one there.",
                config.display()
            );
        }
        return conf.move_to(&url);
    }
    let user = match known {
        Some(user) => {
            warn!(
                "{} is not there: {operator} gets a new token, and the one before ends.",
                conf.path().display()
            );
            user
        }
        None => {
            let new = NewUser {
                name: operator.clone(),
                is_operator: true,
            };
            let made = store.create_user(&new, clock::now()).await;
            made.map_err(|error| anyhow::anyhow!("making the operator {operator}: {}", error_chain(&error)))?
        }
    };
    let token = store.issue_token(user.id, TOKEN_LIFETIME, clock::now()).await?;
    conf.write(operator, &token, &url)?;
    info!(
        "Wrote a token of the operator {operator} into {}.",
        conf.path().display()
    );
    conf.move_to(&url)
}

/// Says where the farm is and how to use it, with a chroot that it offers.
fn greet(
    directory: &Path,
    settings: &Settings,
    operator: &OwnerName,
    conf: &CoprConf,
    chroot: Option<&ChrootName>,
) {
    let url = settings.http.public_url();
    if settings.http.listen.ip().is_unspecified() && settings.http.public_url.is_none() {
        warn!(
            "The farm listens on every address of this machine but is named {url}, which other machines cannot reach: \
             write http.public_url into verdigris.toml for them."
        );
    }
    let config = directory.join("verdigris.toml");
    let (file, config) = (conf.path().display(), config.display());
    let first_steps = match chroot {
        Some(chroot) => format!(
            "copr-cli --config {file} create demo --chroot {chroot}\n  \
             copr-cli --config {file} build demo PACKAGE.src.rpm\n  \
             dnf copr enable --hub {url} {operator}/demo {chroot}"
        ),
        None => format!(
            "There is no chroot to build in yet; `verdigris chroot create --help` says how to make one:\n  \
             verdigris chroot create NAME --repository ID=URL --buildroot-package NAME --config {config}"
        ),
    };
    say(&format!(
        "\nThe farm is up: {url}\nIts operator is {operator}; copr-cli finds login and token in {file}.\n  {first_steps}\n  \
         verdigris fleet status --config {config}\n\
         Ctrl-C stops it when what runs has ended, twice at once; the next `verdigris up` goes on.\n"
    ));
}
