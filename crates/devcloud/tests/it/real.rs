//! What tests of real machines share: a cloud in a directory of its own, as a value or as a process, a real ssh, and
//! a look at what is left on the host.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use devcloud::{CloudConfig, ImageConfig, ledger::State};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

use crate::{
    host::{cache, make_key, require_machines},
    support::{ACCESS_KEY, SECRET_KEY, boto3, config, until},
};

pub(crate) const DEVCLOUD: &str = env!("CARGO_BIN_EXE_devcloud");

/// A cloud of real machines.
pub(crate) struct Harness {
    pub(crate) directory: tempfile::TempDir,
    /// What has to live as long.
    pub(crate) more_directories: Vec<tempfile::TempDir>,
    pub(crate) config: CloudConfig,
    pub(crate) image: String,
    pub(crate) image_directory: PathBuf,
    pub(crate) key: PathBuf,
    /// The command that is `devcloud`, with what goes before it.
    pub(crate) devcloud: Vec<OsString>,
    /// The host keys that ssh insists on; any will do without.
    pub(crate) known_hosts: Option<PathBuf>,
}

impl Harness {
    pub(crate) async fn new() -> Self {
        require_machines();
        let image_directory = cache().join("images/test-minimal");
        assert!(
            image_directory.exists(),
            "the image {} is missing: run `cargo xtask setup`",
            image_directory.display()
        );
        let directory = tempfile::tempdir().unwrap();
        let key = make_key(directory.path(), "login");
        let mut config = config(directory.path());
        config.helper = vec![DEVCLOUD.into(), "guest".into()];
        let image = ImageConfig::read(&image_directory).unwrap();
        let id = image.id.clone();
        config.images.push(image);
        Self {
            directory,
            more_directories: Vec::new(),
            config,
            image: id,
            image_directory,
            key,
            devcloud: vec![DEVCLOUD.into()],
            known_hosts: None,
        }
    }

    /// Launches with boto3 and the key of this harness, with user data that leaves a proof.
    pub(crate) async fn launch(&self, endpoint: &str, count: &str) -> Vec<String> {
        let public = self.key.with_extension("pub");
        let arguments = ["launch_with_key", count, public.to_str().unwrap()];
        let printed = boto3(endpoint, &self.image, &arguments).await;
        printed.split_whitespace().map(str::to_owned).collect()
    }

    /// Runs a command by ssh at the public address, trying for a minute to get in.
    pub(crate) async fn ssh(&self, address: &str, command: &str) -> String {
        let deadline = Instant::now() + Duration::from_secs(60);
        let checked = match &self.known_hosts {
            Some(file) => format!(
                "StrictHostKeyChecking=yes -oUserKnownHostsFile={}",
                file.display()
            ),
            None => "StrictHostKeyChecking=no -oUserKnownHostsFile=/dev/null".to_owned(),
        };
        loop {
            let run = Command::new("ssh")
                .arg("-i")
                .arg(&self.key)
                .args(["-F", "none", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"])
                .args(format!("-o{checked}").split(' '))
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

    pub(crate) fn state(&self) -> State {
        let text = fs_err::read(self.config.state_dir.join("ledger.json")).unwrap();
        serde_json::from_slice(&text).unwrap()
    }

    /// Processes and mounts of the host that name the state directory, and the cloud's cgroups.
    pub(crate) fn left_over(&self) -> Vec<String> {
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
        let name = format!("verdigris-devcloud.vd-{}", self.state().owner_id);
        for tree in ["", "unified", "memory", "pids", "cpu"] {
            let path = Path::new("/sys/fs/cgroup").join(tree).join(&name);
            if path.exists() {
                found.push(format!("cgroup {}", path.display()));
            }
        }
        found
    }

    pub(crate) async fn trash_is_emptied(&self) {
        let trash = self.config.state_dir.join("machines/trash");
        until("the files of the disks are gone", || {
            std::fs::read_dir(&trash).is_ok_and(|mut entries| entries.next().is_none())
        })
        .await;
    }

    pub(crate) async fn nothing_is_left(&self) {
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

    /// The disks that instances have, by id. One that was taken from its instance is in the trash until its files are
    /// removed, which nobody waits for.
    pub(crate) fn disks(&self) -> Vec<String> {
        let machines = self.config.state_dir.join("machines");
        let trash = machines.join("trash");
        let all = walk(&machines);
        let kept = all.iter().filter(|path| !path.starts_with(&trash));
        let names = kept.filter_map(|path| path.file_name()?.to_str());
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

/// `devcloud serve` as a process of its own.
pub(crate) struct Served {
    pub(crate) process: Child,
    pub(crate) endpoint: String,
    _output: Lines<BufReader<ChildStdout>>,
}

impl Served {
    pub(crate) async fn start(harness: &Harness, port: u16) -> Self {
        let config = &harness.config;
        let (program, before) = harness.devcloud.split_first().unwrap();
        let mut process = Command::new(program)
            .args(before)
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

    pub(crate) async fn kill(mut self) {
        self.process.start_kill().unwrap();
        self.process.wait().await.unwrap();
    }

    pub(crate) async fn interrupt(mut self) {
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
