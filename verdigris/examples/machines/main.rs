//! How long one controller's runner of playbooks takes for many machines at once: run by `cargo xtask bench provision`.
//!
//! The machines are devcloud's, each with its own sshd. Prints a line of JSON for each round: `steps` counts tasks on all machines.
//! Needs root, as the machines do.
#![expect(clippy::print_stdout, reason = "it is a program that tells figures")]
#![expect(clippy::print_stderr, reason = "it is a program that tells what went wrong")]

use std::{
    error::Error,
    path::Path,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use cloud::{Cloud as _, Ec2, Ec2Settings, LaunchRequest};
use devcloud::{
    Cloud, CloudConfig, ImageConfig, Profile,
    config::Capacity,
    ledger::{self, InstanceState},
};
use model::{BuilderId, FleetId, LaunchId};
use provisioner::{Mode, PlaybookRunner, Provisioner, Request, Target};
use serde_json::{Map, Value, json};
use shell::{ClientKey, Connection, Endpoint, Timeouts};
use tokio::task::JoinSet;
use uuid::Uuid;

type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

const KEY: (&str, &str) = ("AKIDBENCH", "secret");
/// Ends everything that hangs.
const PATIENCE: Duration = Duration::from_secs(600);
/// Rounds over the same machines: in the first every step changes them, later none does.
const ROUNDS: [&str; 2] = ["fresh", "again"];

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    // The same program is the first process of every machine.
    if arguments.next().is_some_and(|first| first == "guest") {
        return devcloud::guest::main(arguments.collect());
    }
    let measured = tokio::runtime::Runtime::new()
        .map_err(Into::into)
        .and_then(|runtime| runtime.block_on(measure()));
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("machines: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn measure() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [count, image] = arguments.as_slice() else {
        return Err("expected: machines COUNT IMAGE-DIRECTORY".into());
    };
    let directory = tempfile::tempdir()?;
    let (image, count) = (ImageConfig::read(Path::new(image))?, count.parse()?);
    let id = Profile::AWS.image_id(&image.name);
    let cloud = start(directory.path(), image, count).await?;
    let plays = play_on_all(&cloud, directory.path(), &id, count);
    let measured = tokio::time::timeout(PATIENCE, plays).await;
    // The machines end with the cloud, whatever came of the plays.
    cloud.shutdown().await?;
    measured.map_err(|_| "it did not end within ten minutes")?
}

async fn start(directory: &Path, image: ImageConfig, count: u32) -> Result<Cloud> {
    let mut config = CloudConfig::new(directory.join("cloud"), KEY.0, KEY.1);
    config.images.push(image);
    config.public_network = 86;
    config.ssh_port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    config.capacity = Capacity {
        max_instances: count,
        instances: count,
    };
    Ok(Cloud::start(config).await?)
}

/// The machines boot, and each is logged into once, before time is taken: booting is devcloud's work.
async fn play_on_all(cloud: &Cloud, directory: &Path, image: &str, count: u32) -> Result<()> {
    let (host, farm) = (ClientKey::generate("machine")?, ClientKey::generate("farm")?);
    launch(cloud, image, &user_data(&host, &farm)?, count).await?;
    let mut targets = Vec::new();
    for machine in running(cloud, count).await? {
        let endpoint = Endpoint::new(machine.public_address.to_string(), cloud.ssh_port(), "root");
        let target = Target {
            endpoint,
            host_key: host.host_key()?,
            key: farm.clone(),
            connection: None,
        };
        let_in(&target).await?;
        targets.push(Arc::new(target));
    }
    let runner = Arc::new(runner(directory)?);
    let key = ClientKey::generate("visitor")?.public_openssh()?;
    for round in ROUNDS {
        let begun = Instant::now();
        let (mut steps, mut changed) = (0, 0);
        let mut plays = JoinSet::new();
        for (number, target) in targets.iter().enumerate() {
            let (runner, target, key) = (Arc::clone(&runner), Arc::clone(target), key.trim().to_owned());
            plays.spawn(async move { play(runner.as_ref(), &target, variables(number, &key)).await });
        }
        while let Some(played) = plays.join_next().await {
            let (tasks, changes) = played??;
            steps += tasks;
            changed += changes;
        }
        let seconds = begun.elapsed().as_secs_f64();
        let line = json!({
            "round": round, "seconds": seconds, "machines": targets.len(), "steps": steps, "changed": changed,
        });
        println!("{line}");
    }
    Ok(())
}

/// What cloud-init is given: a host key, and who is let in.
fn user_data(host: &ClientKey, farm: &ClientKey) -> Result<String> {
    let keys = json!({ "ed25519_private": host.private_openssh()?, "ed25519_public": host.public_openssh()?.trim() });
    let text = json!({
        "disable_root": false, "ssh_keys": keys, "ssh_authorized_keys": [farm.public_openssh()?.trim()],
    });
    Ok(format!("#cloud-config\n{text}\n"))
}

async fn launch(cloud: &Cloud, image: &str, user_data: &str, count: u32) -> Result<()> {
    let client = Ec2::new(&Ec2Settings {
        region: "dev-1".to_owned(),
        endpoint: Some(cloud.endpoint()),
        access_key: KEY.0.to_owned(),
        secret_key: KEY.1.to_owned(),
        session_token: None,
    });
    for number in 0..count {
        let id = Uuid::from_u128(u128::from(number));
        let request = LaunchRequest {
            launch: LaunchId(id),
            builder: BuilderId(id),
            fleet: FleetId(Uuid::nil()),
            pool: "bench".parse()?,
            image: image.to_owned(),
            offering: "t3.nano".parse()?,
            volumes: Vec::new(),
            security_groups: Vec::new(),
            user_data: user_data.to_owned(),
            metadata_options: true,
            limit: PATIENCE,
        };
        client.launch(&request).await?;
    }
    Ok(())
}

async fn running(cloud: &Cloud, count: u32) -> Result<Vec<Arc<ledger::Instance>>> {
    loop {
        let all = cloud.ledger().instances();
        let is_lost = |one: &&Arc<ledger::Instance>| {
            !matches!(one.state, InstanceState::Pending | InstanceState::Running)
        };
        if let Some(lost) = all.iter().find(is_lost) {
            return Err(format!("machine {} is {}", lost.id, lost.state.name()).into());
        }
        let is_up = |one: &&Arc<ledger::Instance>| one.state == InstanceState::Running;
        if all.iter().filter(is_up).count() >= usize::try_from(count)? {
            return Ok(all);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Returns when a machine lets the farm in.
async fn let_in(target: &Target) -> Result<()> {
    let open = || {
        Connection::open(
            &target.endpoint,
            &target.key,
            &target.host_key,
            Timeouts::default(),
        )
    };
    for _ in 0..600 {
        match open().await {
            Ok(connection) => {
                connection.close().await;
                return Ok(());
            }
            Err(shell::Error::Unreachable { .. }) => tokio::time::sleep(Duration::from_millis(100)).await,
            Err(error) => return Err(error.into()),
        }
    }
    Err(format!("{} does not answer", target.endpoint.host).into())
}

fn runner(directory: &Path) -> Result<Provisioner> {
    let (playbooks, files) = (directory.join("playbooks"), directory.join("files"));
    fs_err::create_dir(&playbooks)?;
    fs_err::create_dir(&files)?;
    fs_err::write(playbooks.join("steps.yml"), include_str!("steps.yml"))?;
    fs_err::write(files.join("limits.conf.hbs"), include_str!("limits.conf.hbs"))?;
    Ok(Provisioner::load(&playbooks, &files)?)
}

fn variables(number: usize, key: &str) -> Map<String, Value> {
    let given = [
        ("machine", json!(number)),
        ("files", json!(1024)),
        ("key", json!(key)),
    ];
    given
        .map(|(name, value)| (name.to_owned(), value))
        .into_iter()
        .collect()
}

/// How many steps were done on one machine, and how many of them changed it.
async fn play(
    runner: &dyn PlaybookRunner,
    target: &Target,
    vars: Map<String, Value>,
) -> Result<(usize, usize)> {
    let request = Request {
        playbook: "steps.yml",
        vars: &vars,
        mode: Mode::Apply,
        limit: PATIENCE,
        part: None,
        progress: None,
    };
    let report = runner.play(target, &request).await?;
    Ok((report.tasks.len(), report.changed()))
}
