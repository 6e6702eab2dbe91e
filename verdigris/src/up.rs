//! `verdigris up`: the whole farm in one process and one directory. The first start makes what is missing;
//! every later one goes on where the last stopped, however it stopped.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use devcloud::{Cloud, CloudConfig, ImageConfig};
use model::{ChrootDefinition, OwnerName, chroot::BaseRepository, fleet::CredentialsSource};
use runtime::{CancellationToken, Settings, Supervisor, clock};
use store::{Chroot, Store};
use tracing::{error, info, warn};
use uuid::Uuid;

use crate::{
    GUEST, database,
    fleet::refuse_forsaken_machines,
    lock::lock,
    operator::{self, copr_section, operator_with_token},
    options::UpArguments,
    parts::{self, Embedded},
    roles, say,
    secrets::{Secrets, write_private},
};

mod settings;
mod stop;

/// The port of the cloud's gateway through which instances reach the farm.
const FARM_PORT_IN_CLOUD: u16 = 80;
/// The distribution that a farm without the outside world builds on.
const MICRODISTRO: &str = "microdistro";

/// How many builders a new farm may have, and how many it holds ready.
const DEFAULT_BUILDERS: u32 = 4;
const DEFAULT_IDLE: u32 = 2;

/// Runs the farm until it is told to stop.
pub(crate) async fn up(arguments: UpArguments) -> anyhow::Result<()> {
    fs_err::create_dir_all(&arguments.directory)?;
    // One place has one name, whatever way leads to it.
    let directory = fs_err::canonicalize(&arguments.directory)?;
    // Held, unread, until the end: two farms in one directory would fight over everything in it.
    let _lock = lock(
        &directory.join("lock"),
        &format!(
            "another `verdigris up` runs in {}; stop it first, or use --directory",
            directory.display()
        ),
    )?;
    let mut settings = settings::settings(&arguments, &directory)?;
    runtime::telemetry::start(&settings.log)?;
    let secrets = Secrets::open(&settings.storage.secrets())?;
    let store = database::connect(&settings).await?;
    for applied in store.migrate().await? {
        info!("Applied the migration {applied}.");
    }
    let listener = roles::listen(&settings).await?;
    // With port 0 it is another.
    settings.http.listen = listener.local_addr()?;
    let image = image(&settings)?;
    let operator = operator_name(&directory)?;
    let token = keep_credentials(&store, &operator, &directory, &settings).await?;
    first_chroot(&store, &settings.http.mirrors).await?;
    first_fleet_file(&directory, &arguments, &image.id)?;
    check_image(&settings, &image.id)?;
    let fleet = parts::fleet(&settings)?;
    refuse_forsaken_machines(&store, &fleet).await?;
    settings::keep(&arguments, &directory)?;
    for missing in operator::missing_mirrors(&store, &settings).await? {
        warn!("{missing}");
    }
    stop::recover(&store, &fleet).await?;
    // From here on there are machines: whatever goes wrong, the cloud is shut down.
    let cloud = start_cloud(&directory, &settings, &secrets, image).await?;
    let supervisor = Supervisor::new();
    let started = start_roles(&supervisor, &settings, &secrets, &store, &cloud, listener)
        .and_then(|quiesce| stop::stop_at_signals(supervisor.stop_token(), quiesce, store.clone()));
    let ended = match started {
        Ok(()) => {
            greet(&directory, &settings, &operator, token.as_deref());
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
    info!("Stopped.");
    ended
}

/// Whose section for copr-cli there is; without one who starts the farm, `admin` for root and for names that are none here.
fn operator_name(directory: &Path) -> anyhow::Result<OwnerName> {
    let section = std::fs::read_to_string(credentials_file(directory)).unwrap_or_default();
    let mut settings = section.lines().filter_map(|line| line.split_once('='));
    if let Some((_, name)) = settings.find(|(key, _)| key.trim() == "username") {
        return Ok(name.trim().parse()?);
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

/// The machine image of the embedded cloud.
fn image(settings: &Settings) -> anyhow::Result<ImageConfig> {
    let advice = "`cargo xtask image` makes one";
    let Some(path) = &settings.devcloud.image else {
        bail!("the cloud of this farm has no machine image yet: name it once with --image DIR; {advice}");
    };
    ImageConfig::read(path).with_context(|| format!("the machine image {}; {advice}", path.display()))
}

/// A new image has a new id, which the operator's file has to name: builders would be asked for in vain otherwise.
fn check_image(settings: &Settings, image: &str) -> anyhow::Result<()> {
    let fleet = parts::fleet(settings)?;
    for (name, spec) in &fleet.images {
        let is_here = fleet
            .clouds
            .get(&spec.cloud)
            .is_some_and(|cloud| cloud.credentials.source == CredentialsSource::Embedded);
        if is_here && spec.id != image {
            bail!(
                "fleet.yaml: images.{name}.id is {}, but the machine image of the embedded cloud is {image}: write that there",
                spec.id
            );
        }
    }
    Ok(())
}

/// A fleet of one pool on the embedded cloud; from then on the operator's to change.
fn first_fleet_file(directory: &Path, arguments: &UpArguments, image: &str) -> anyhow::Result<()> {
    let path = directory.join("fleet.yaml");
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
         controller:\n  tick: {{min: 500ms, max: 5s}}\n\n\
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
        port: FARM_PORT_IN_CLOUD,
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
    let state = api::ApiState::new(store.clone(), parts::api(settings)?, stop.clone())?;
    let worker = worker::Worker::new(parts::worker(settings, secrets, store)?);
    let controller = parts::controller(settings, secrets, store, Some(&embedded))?;
    let quiesce = controller.quiesce.clone();
    supervisor.spawn("api", api::serve(listener, state));
    supervisor.spawn("worker", worker.run(stop.clone()));
    supervisor.spawn("controller", controller::Controller::new(controller).run(stop));
    Ok(quiesce)
}

/// Where copr-cli's section for the operator is kept.
fn credentials_file(directory: &Path) -> PathBuf {
    directory.join("copr.conf")
}

/// Makes the operator, and writes a section for copr-cli where there is none; the section then. Done before anything
/// else can fail, since a token is shown once.
async fn keep_credentials(
    store: &Store,
    operator: &OwnerName,
    directory: &Path,
    settings: &Settings,
) -> anyhow::Result<Option<String>> {
    let file = credentials_file(directory);
    let url = settings.http.public_url();
    let Some(token) = operator_with_token(store, operator, file.exists()).await? else {
        move_to(&file, &url)?;
        return Ok(None);
    };
    let section = copr_section(operator, &token, &url);
    write_private(&file, &format!("{section}\n"))?;
    Ok(Some(section))
}

/// Has copr-cli's section name the farm's present address.
fn move_to(file: &Path, url: &str) -> anyhow::Result<()> {
    let text = fs_err::read_to_string(file)?;
    let wanted = format!("copr_url = {url}");
    let lines = text.lines().map(|line| {
        let is_address = line.split('=').next().is_some_and(|key| key.trim() == "copr_url");
        if is_address { wanted.as_str() } else { line }
    });
    let moved = lines.map(|line| format!("{line}\n")).collect::<String>();
    if moved != text {
        write_private(file, &moved)?;
    }
    Ok(())
}

/// Says where the farm is and how to use it; a new section for copr-cli is shown as well.
fn greet(directory: &Path, settings: &Settings, operator: &OwnerName, section: Option<&str>) {
    let url = settings.http.public_url();
    let file = credentials_file(directory);
    if let Some(section) = section {
        say(&format!(
            "\nThe operator of this farm is {operator}. For copr-cli, in {} already:\n",
            file.display()
        ));
        say(section);
    }
    if settings.http.listen.ip().is_unspecified() && settings.http.public_url.is_none() {
        warn!(
            "The farm listens on every address of this machine but is named {url}, which other machines cannot reach: \
             write http.public_url into verdigris.toml for them."
        );
    }
    say(&format!(
        "\nThe farm is up: {url}\n  copr-cli --config {file} create demo --chroot microdistro-1-x86_64\n  \
         copr-cli --config {file} build demo PACKAGE.src.rpm\n  dnf copr enable --hub {url} {operator}/demo \
         microdistro-1-x86_64\n  verdigris fleet status --config {config}\n\
         Ctrl-C stops it when what runs has ended, twice at once; the next `verdigris up` goes on.\n",
        file = file.display(),
        config = directory.join("verdigris.toml").display()
    ));
}
