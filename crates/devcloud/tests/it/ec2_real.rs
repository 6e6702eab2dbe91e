//! The cloud with real machines: boto3 launches, a real ssh logs in, `kill -9` is survived, nothing is left.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use devcloud::{
    Cloud, CloudConfig, Forward, ImageConfig,
    ledger::{InstanceState, State},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines},
    net::TcpListener,
    process::{Child, ChildStdout, Command},
};

use crate::support::{ACCESS_KEY, SECRET_KEY, boto3, cache, config, free_port, reaches, until};

const DEVCLOUD: &str = env!("CARGO_BIN_EXE_devcloud");

struct Harness {
    directory: tempfile::TempDir,
    config: CloudConfig,
    image: String,
    image_directory: PathBuf,
    key: PathBuf,
}

impl Harness {
    async fn new() -> Self {
        let user = Command::new("id").arg("-u").output().await.unwrap();
        assert_eq!(
            user.stdout, b"0\n",
            "this test makes namespaces and cgroups: run it as root"
        );
        let image_directory = cache().join("images/test-minimal");
        assert!(
            image_directory.exists(),
            "the image {} is missing: run `cargo xtask setup`",
            image_directory.display()
        );
        let directory = tempfile::tempdir().unwrap();
        let key = directory.path().join("login");
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(&key)
            .status()
            .await
            .expect("ssh-keygen is needed: run `cargo xtask setup`");
        assert!(made.success());
        let mut config = config(directory.path());
        config.helper = vec![DEVCLOUD.into(), "guest".into()];
        let image = ImageConfig::read(&image_directory).unwrap();
        let id = image.id.clone();
        config.images.push(image);
        Self {
            directory,
            config,
            image: id,
            image_directory,
            key,
        }
    }

    /// Launches with boto3 and the key of this harness, with user data that leaves a proof.
    async fn launch(&self, endpoint: &str, count: &str) -> Vec<String> {
        let public = self.key.with_extension("pub");
        let arguments = ["launch_with_key", count, public.to_str().unwrap()];
        let printed = boto3(endpoint, &self.image, &arguments).await;
        printed.split_whitespace().map(str::to_owned).collect()
    }

    /// Runs a command by ssh at the public address, trying for a minute to get in.
    async fn ssh(&self, address: &str, command: &str) -> String {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let run = Command::new("ssh")
                .arg("-i")
                .arg(&self.key)
                .args(["-F", "none", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"])
                .args([
                    "-o",
                    "StrictHostKeyChecking=no",
                    "-o",
                    "UserKnownHostsFile=/dev/null",
                ])
                .args(["-o", "ConnectTimeout=10", "-p", &self.config.ssh_port.to_string()])
                .args([&format!("root@{address}"), command])
                .stdin(Stdio::null())
                .kill_on_drop(true)
                .output();
            let output = tokio::time::timeout(Duration::from_secs(60), run)
                .await
                .unwrap()
                .unwrap();
            if output.status.success() {
                return String::from_utf8(output.stdout).unwrap();
            }
            let errors = String::from_utf8_lossy(&output.stderr);
            // 255 is ssh's own failure: the machine's sshd is not up yet.
            assert_eq!(output.status.code(), Some(255), "`{command}` failed: {errors}");
            assert!(Instant::now() < deadline, "no login within a minute: {errors}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn state(&self) -> State {
        let text = fs_err::read(self.config.state_dir.join("ledger.json")).unwrap();
        serde_json::from_slice(&text).unwrap()
    }

    /// Processes and mounts of the host that name the state directory, and the cloud's cgroups.
    fn left_over(&self) -> Vec<String> {
        let place = self.directory.path().to_str().unwrap();
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            // Processes that end while we look cannot be read.
            let Ok(line) = std::fs::read(entry.path().join("cmdline")) else {
                continue;
            };
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            if line.contains(place) {
                found.push(format!("process {}: {line}", entry.file_name().display()));
            }
            let mounts = std::fs::read_to_string(entry.path().join("mounts")).unwrap_or_default();
            if mounts.contains(place) {
                found.push(format!("mount seen by process {}", entry.file_name().display()));
            }
        }
        let name = format!("verdigris-devcloud-vd-{}", self.state().owner_id);
        for tree in ["", "unified", "memory", "pids", "cpu"] {
            let path = Path::new("/sys/fs/cgroup").join(tree).join(&name);
            if path.exists() {
                found.push(format!("cgroup {}", path.display()));
            }
        }
        found
    }

    async fn nothing_is_left(&self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let left = self.left_over();
            if left.is_empty() {
                return;
            }
            assert!(Instant::now() < deadline, "left over: {left:#?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn disks(&self) -> Vec<String> {
        let machines = self.config.state_dir.join("machines");
        let all = walk(&machines);
        let names = all.iter().filter_map(|path| path.file_name()?.to_str());
        let mut ids: Vec<String> = names
            .filter(|name| name.starts_with("i-"))
            .map(str::to_owned)
            .collect();
        ids.sort();
        ids.dedup();
        ids
    }
}

/// Directories below `path`, two levels deep.
fn walk(path: &Path) -> Vec<PathBuf> {
    let below = |path: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        entries
            .map(|entry| entry.path())
            .filter(|path| path.is_dir())
            .collect()
    };
    let first = below(path);
    let second: Vec<PathBuf> = first.iter().flat_map(|path| below(path)).collect();
    first.into_iter().chain(second).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_instance_is_launched_logged_into_stopped_started_and_gone_without_a_trace() {
    let mut harness = Harness::new().await;
    let host = TcpListener::bind("127.0.0.1:0").await.unwrap();
    harness.config.forwards.push(Forward {
        port: 8080,
        target: host.local_addr().unwrap(),
    });
    let cloud = Cloud::start(harness.config.clone()).await.unwrap();
    let ids = harness.launch(&cloud.endpoint(), "1").await;
    let id = ids[0].as_str();
    let instance = cloud.ledger().snapshot().instances[id].clone();
    let address = instance.public_address.to_string();

    let name = harness.ssh(&address, "hostname").await;
    assert_eq!(
        name.trim(),
        format!("ip-{}", instance.private_address.to_string().replace('.', "-"))
    );
    let wait = "until [ -e /root/proof ]; do sleep 0.05; done; cat /root/proof; echo kept > /root/kept";
    assert_eq!(harness.ssh(&address, wait).await, "from user data\n");
    let ask = "exec 3<>/dev/tcp/169.254.169.254/80; \
               printf 'GET /latest/meta-data/instance-id HTTP/1.0\\r\\n\\r\\n' >&3; tail -n1 <&3";
    assert_eq!(
        harness.ssh(&address, &format!("bash -c \"{ask}\"")).await.trim(),
        id
    );

    let served = tokio::spawn(async move {
        let (mut connection, _) = host.accept().await.unwrap();
        connection.write_all(b"from the host\n").await.unwrap();
    });
    let read = harness
        .ssh(&address, "bash -c 'cat < /dev/tcp/10.88.0.1/8080'")
        .await;
    assert_eq!(read, "from the host\n");
    served.await.unwrap();

    boto3(&cloud.endpoint(), &harness.image, &["console_has_host_key", id]).await;
    boto3(&cloud.endpoint(), &harness.image, &["stop", id]).await;
    boto3(&cloud.endpoint(), &harness.image, &["start", id]).await;
    assert_eq!(harness.ssh(&address, "cat /root/kept").await, "kept\n");
    boto3(&cloud.endpoint(), &harness.image, &["terminate_all"]).await;
    reaches(&cloud, id, InstanceState::Terminated).await;
    assert_eq!(harness.disks(), Vec::<String>::new());
    cloud.shutdown().await.unwrap();
    harness.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_power_off_from_inside_terminates_when_that_was_asked_for() {
    let harness = Harness::new().await;
    let cloud = Cloud::start(harness.config.clone()).await.unwrap();
    let ids = harness.launch(&cloud.endpoint(), "1").await;
    let address = cloud.ledger().snapshot().instances[&ids[0]]
        .public_address
        .to_string();
    harness
        .ssh(
            &address,
            "nohup sh -c 'sleep 0.2; kill -TERM 1' > /dev/null 2>&1 &",
        )
        .await;
    reaches(&cloud, &ids[0], InstanceState::Terminated).await;
    let reason = cloud.ledger().snapshot().instances[&ids[0]]
        .state_reason
        .clone()
        .unwrap();
    assert_eq!(reason.code, "Client.InstanceInitiatedShutdown");
    cloud.shutdown().await.unwrap();
    harness.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partitioned_instance_is_silent_and_a_healed_one_answers_again() {
    let harness = Harness::new().await;
    let cloud = Cloud::start(harness.config.clone()).await.unwrap();
    let ids = harness.launch(&cloud.endpoint(), "1").await;
    let public = cloud.ledger().snapshot().instances[&ids[0]].public_address;
    harness.ssh(&public.to_string(), "true").await;
    boto3(
        &cloud.endpoint(),
        &harness.image,
        &["make_fault", "partition", &ids[0]],
    )
    .await;
    let mut connection = tokio::net::TcpStream::connect((public, cloud.ssh_port()))
        .await
        .unwrap();
    let greeting = tokio::time::timeout(Duration::from_secs(2), connection.read_u8()).await;
    assert!(!matches!(greeting, Ok(Ok(_))), "a partitioned machine greets");
    boto3(
        &cloud.endpoint(),
        &harness.image,
        &["make_fault", "heal", &ids[0]],
    )
    .await;
    harness.ssh(&public.to_string(), "true").await;
    cloud.shutdown().await.unwrap();
    harness.nothing_is_left().await;
}

/// `devcloud serve` as a process of its own.
struct Served {
    process: Child,
    endpoint: String,
    _output: Lines<BufReader<ChildStdout>>,
}

impl Served {
    async fn start(harness: &Harness, port: u16) -> Self {
        let config = &harness.config;
        let mut process = Command::new(DEVCLOUD)
            .args(["serve", "--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY])
            .args([
                "--listen",
                &format!("127.0.0.1:{port}"),
                "--ssh-port",
                &config.ssh_port.to_string(),
            ])
            .args(["--public-network", &config.public_network.to_string()])
            .arg("--state")
            .arg(&config.state_dir)
            .arg("--image")
            .arg(&harness.image_directory)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let first = tokio::time::timeout(Duration::from_secs(60), lines.next_line()).await;
        let first = first
            .expect("the cloud starts within a minute")
            .unwrap()
            .expect("the cloud starts");
        let endpoint = first.strip_prefix("devcloud listens at ").unwrap().to_owned();
        Self {
            process,
            endpoint,
            _output: lines,
        }
    }

    async fn kill(mut self) {
        self.process.start_kill().unwrap();
        self.process.wait().await.unwrap();
    }

    async fn interrupt(mut self) {
        let id = self.process.id().unwrap().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &id])
                .status()
                .await
                .unwrap()
                .success()
        );
        let ended = tokio::time::timeout(Duration::from_secs(60), self.process.wait()).await;
        assert!(ended.expect("the cloud ends within a minute").unwrap().success());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_kill_9_the_next_start_has_what_the_ledger_lists_and_nothing_else() {
    let harness = Harness::new().await;
    let port = free_port();
    let served = Served::start(&harness, port).await;
    let ids = harness.launch(&served.endpoint, "2").await;
    let before = harness.state();
    let address = before.instances[&ids[0]].public_address.to_string();
    harness.ssh(&address, "echo kept > /root/kept; sync").await;
    served.kill().await;

    let served = Served::start(&harness, port).await;
    let running = || {
        let state = harness.state();
        ids.iter()
            .all(|id| state.instances[id].state == InstanceState::Running)
    };
    until("both instances run again", running).await;
    let after = harness.state();
    assert_eq!(
        after.instances[&ids[0]].public_address,
        before.instances[&ids[0]].public_address
    );
    assert_eq!(harness.ssh(&address, "cat /root/kept").await, "kept\n");
    let mut expected = ids.clone();
    expected.sort();
    assert_eq!(harness.disks(), expected);

    boto3(&served.endpoint, &harness.image, &["terminate_all"]).await;
    // Killed in the middle of the termination: the next start ends it.
    served.kill().await;
    let served = Served::start(&harness, port).await;
    let terminated = || {
        harness
            .state()
            .instances
            .values()
            .all(|one| one.state == InstanceState::Terminated)
    };
    until("both instances are terminated", terminated).await;
    assert_eq!(harness.disks(), Vec::<String>::new());
    served.interrupt().await;
    harness.nothing_is_left().await;
}
