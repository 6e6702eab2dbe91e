//! How long a controller that starts beside thousands of machines takes until it acts: run by `cargo xtask bench fleet`.
//!
//! The machines are devcloud's, listed over HTTP page by page, and none of them is a process; the builders are rows of a real
//! database. One build waits for which a pool has room: its launch shows that the controller knows everything that lives, since it
//! launches nothing before that. Prints a database, a name and milliseconds.
#![expect(clippy::print_stdout, reason = "it is a program that tells figures")]

use std::{
    collections::BTreeMap,
    error::Error,
    net::Ipv4Addr,
    ops::RangeInclusive,
    path::Path,
    process::Command,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use cloud::{Ec2, Ec2Settings, FLEET_TAG};
use controller::{Context, Controller, OverSsh};
use devcloud::{
    Cloud, CloudConfig, ImageConfig, Profile,
    config::Capacity,
    ledger::{self, InstanceState, MetadataOptions, ShutdownBehavior},
    testing::FakeMachines,
};
use model::fleet::FleetSpec;
use provisioner::Provisioner;
use runtime::{CancellationToken, clock::Clock};
use shell::ClientKey;
use store::{DatabaseSettings, Store, testing::PostgresServer};

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

const KEY: (&str, &str) = ("AKIDBENCH", "secret");
const IMAGE: &str = "std";
const PATIENCE: Duration = Duration::from_secs(300);

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [builders] = arguments.as_slice() else {
        return Err("expected: BUILDERS".into());
    };
    let count: u32 = builders.parse()?;
    let directory = tempfile::tempdir()?;
    let server = PostgresServer::start()?;
    for (database, url) in [
        (
            "SQLite",
            format!("sqlite://{}", directory.path().join("farm").display()),
        ),
        ("PostgreSQL", server.new_database()?),
    ] {
        // Only the crate `store` may speak to a database: its own program fills it.
        let filler = std::env::current_exe()?.with_file_name("fleet");
        let filled = Command::new(filler).args(["busy", &url, builders]).output()?;
        if !filled.status.success() {
            return Err(String::from_utf8_lossy(&filled.stderr).into_owned().into());
        }
        let state = directory.path().join(database);
        let fleet = fleet(count)?;
        let cloud = full_cloud(&state, &fleet, count).await?;
        let begun = Instant::now();
        let listed = ec2(&cloud)?;
        let listed = cloud::Cloud::list(&listed, fleet.fleet).await?;
        println!("{database} list {}", begun.elapsed().as_secs_f64() * 1e3);
        if listed.len() != usize::try_from(count)? {
            return Err(format!("{} of {count} machines are listed", listed.len()).into());
        }
        let took = restart(&url, fleet, &cloud, count).await?;
        println!("{database} adopt {}", took.as_secs_f64() * 1e3);
        cloud.shutdown().await?;
    }
    Ok(())
}

/// A pool that is full, and one that has room for another machine.
fn fleet(count: u32) -> Result<FleetSpec> {
    let pool = |max| {
        format!(
            "{{labels: [\"arch:x86_64\"], image: std, provision: base, size: {{max: {max}}}, \
             offerings: [{{types: [c7i.large]}}]}}"
        )
    };
    let text = format!(
        "schema: 1\nfleet: f0000000-0000-0000-0000-000000000001\nname: bench\n\
         clouds: {{dev: {{kind: ec2, region: dev-1, credentials: {{source: environment}}}}}}\n\
         images: {{std: {{cloud: dev, id: {}}}}}\nprovision: {{base: {{}}}}\n\
         pools:\n  small: {}\n  spare: {}\n",
        Profile::AWS.image_id(IMAGE),
        pool(count),
        pool(1)
    );
    Ok(runtime::yaml::parse(&text, "fleet.yaml")?)
}

/// A cloud in which that many machines run, with the fleet's tag and the ids that the builders have.
async fn full_cloud(state: &Path, fleet: &FleetSpec, count: u32) -> Result<Cloud> {
    std::fs::create_dir_all(state)?;
    let mut config = CloudConfig::new(state, KEY.0, KEY.1);
    config.capacity = Capacity {
        max_instances: count.saturating_mul(2),
        instances: count.saturating_mul(2),
    };
    config.images.push(ImageConfig {
        id: String::new(),
        name: IMAGE.to_owned(),
        description: IMAGE.to_owned(),
        architecture: "x86_64".to_owned(),
        layers: vec![state.to_owned()],
        keeps_volume: false,
    });
    let cloud = Cloud::start_with(config, FakeMachines::new()).await?;
    let tag = BTreeMap::from([(FLEET_TAG.to_owned(), fleet.fleet.to_string())]);
    let group = cloud.ledger().snapshot().security_groups.keys().next().cloned();
    // A cloud that found them at its start would start every one again.
    let committed = cloud.ledger().commit(move |all| {
        for number in numbers(count) {
            let one = instance(number, group.clone());
            all.tags.insert(one.id.clone(), tag.clone());
            all.instances.insert(one.id.clone(), Arc::new(one));
        }
        all.sequence = u64::from(*numbers(count).end());
        Ok::<_, devcloud::Error>(())
    });
    committed.await?;
    Ok(cloud)
}

/// The builders' numbers in the filled database: the first is that of the build which waits.
fn numbers(count: u32) -> RangeInclusive<u32> {
    2..=count.saturating_add(1)
}

fn instance(number: u32, group: Option<String>) -> ledger::Instance {
    let [_, _, high, low] = number.to_be_bytes();
    ledger::Instance {
        id: format!("i-{number}"),
        sequence: u64::from(number),
        reservation_id: format!("r-{number}"),
        launch_index: 0,
        image_id: Profile::AWS.image_id(IMAGE),
        architecture: "x86_64".to_owned(),
        layers: Vec::new(),
        instance_type: "c7i.large".to_owned(),
        key_name: None,
        public_key: None,
        user_data: None,
        client_token: None,
        group_ids: group.into_iter().collect(),
        zone: "dev-1a".to_owned(),
        spot: false,
        metadata: MetadataOptions {
            tokens_required: true,
            hop_limit: 1,
            enabled: true,
        },
        shutdown_behavior: ShutdownBehavior::Terminate,
        termination_protected: false,
        stop_protected: false,
        private_address: Ipv4Addr::new(10, 88, high, low),
        public_address: Ipv4Addr::new(127, 88, high, low),
        root_volume_id: format!("vol-{number}"),
        keeps_volume: false,
        launch_time: SystemTime::UNIX_EPOCH.into(),
        state: InstanceState::Running,
        has_disk: true,
        reboot_requested: false,
        // Nobody connects, and so many listeners are not what is measured.
        without_ssh: true,
        faults: ledger::InstanceFaults::default(),
        state_reason: None,
        terminated_at: None,
        history: Vec::new(),
    }
}

fn ec2(cloud: &Cloud) -> Result<Ec2> {
    Ok(Ec2::new(&Ec2Settings {
        region: "dev-1".to_owned(),
        endpoint: Some(cloud.endpoint()),
        access_key: KEY.0.to_owned(),
        secret_key: KEY.1.to_owned(),
        session_token: None,
    }))
}

/// From the start of a controller to its first launch.
async fn restart(url: &str, fleet: FleetSpec, cloud: &Cloud, count: u32) -> Result<Duration> {
    let settings = DatabaseSettings {
        url: url.to_owned(),
        max_connections: 4,
    };
    let store = Store::connect(&settings).await?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let provisioner = Arc::new(Provisioner::load(
        &root.join("playbooks"),
        &root.join("provision-files"),
    )?);
    let key = Arc::new(ClientKey::generate("bench")?);
    let reach = OverSsh {
        key: Arc::clone(&key),
        provisioner: Arc::clone(&provisioner),
    };
    let context = Context {
        store: store.clone(),
        clouds: BTreeMap::from([("dev".to_owned(), Arc::new(ec2(cloud)?) as Arc<dyn cloud::Cloud>)]),
        clients: controller::Clients::default(),
        calls: controller::Calls::default(),
        term: controller::Term::default(),
        fleet: Arc::new(fleet),
        provisioner,
        reach: Arc::new(reach),
        key,
        builder_url: "http://farm".to_owned(),
        holder: "bench".to_owned(),
        clock: Clock::System,
        quiesce: CancellationToken::new(),
    };
    let stop = CancellationToken::new();
    let begun = Instant::now();
    let running = tokio::spawn(Controller::new(context).run(stop.clone()));
    let is_launched = async {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        while cloud.ledger().instances().len() <= count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        begun.elapsed()
    };
    let took = tokio::time::timeout(PATIENCE, is_launched).await;
    stop.cancel();
    running.await??;
    let all = cloud.ledger().instances();
    let ended = all.iter().filter(|one| {
        one.sequence <= u64::from(*numbers(count).end()) && one.state != InstanceState::Running
    });
    match ended.count() {
        0 => {}
        lost => return Err(format!("{lost} machines were ended").into()),
    }
    Ok(took.map_err(|_| "nothing was launched")?)
}
