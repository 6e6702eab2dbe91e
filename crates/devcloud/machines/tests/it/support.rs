//! A cloud of machines for one test: an image, a metadata service, and counts of what is left on the host.

use std::{
    ffi::OsString,
    fs,
    net::{Ipv4Addr, SocketAddrV4},
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};

use devcloud_machines::{
    hypervisor::{Error, Hypervisor, HypervisorConfig, METADATA},
    machine::MachineSpec,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::host::{cache, make_key, require_machines};

/// How long anything that happens inside machines may take on a busy host.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A hypervisor with a metadata service, in a directory of its own.
pub(crate) struct Farm {
    pub(crate) hypervisor: Hypervisor,
    pub(crate) directory: tempfile::TempDir,
    pub(crate) key: PathBuf,
    services: Vec<JoinHandle<()>>,
}

impl Drop for Farm {
    fn drop(&mut self) {
        for service in &self.services {
            service.abort();
        }
    }
}

impl Farm {
    /// A hypervisor whose machines get a fresh login key, and this user data.
    pub(crate) async fn start(user_data: impl Into<String>) -> Self {
        Self::start_with(user_data, |_| ()).await
    }

    /// The same with other settings.
    pub(crate) async fn start_with(
        user_data: impl Into<String>,
        change: impl FnOnce(&mut HypervisorConfig),
    ) -> Self {
        require_machines();
        let directory = tempfile::tempdir().unwrap();
        let key = make_key(directory.path(), "login");
        let mut config = hypervisor_config(directory.path());
        change(&mut config);
        let hypervisor = Hypervisor::start(config).await.unwrap();
        let mut farm = Self {
            hypervisor,
            directory,
            key,
            services: Vec::new(),
        };
        farm.serve_metadata(user_data.into()).await;
        farm
    }

    /// The same cloud again, after its hypervisor has ended.
    pub(crate) async fn restart(&mut self) {
        self.hypervisor = start(self.directory.path()).await;
        self.serve_metadata(String::new()).await;
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    async fn serve_metadata(&mut self, user_data: String) {
        let listener = self
            .hypervisor
            .listen(SocketAddrV4::new(METADATA, 80))
            .await
            .unwrap();
        let public = fs::read_to_string(self.key.with_extension("pub")).unwrap();
        self.services.push(tokio::spawn(serve_metadata(
            listener,
            Arc::new((public, user_data)),
        )));
    }

    /// Ends the metadata service.
    pub(crate) async fn end_metadata(&mut self) {
        for service in self.services.drain(..) {
            service.abort();
            // It was cancelled, as asked.
            service.await.ok();
        }
    }

    /// The `number`th machine's specification.
    pub(crate) fn spec(&self, number: u16) -> MachineSpec {
        spec(number)
    }

    /// Starts a machine and waits until its sshd greets.
    pub(crate) async fn run(&self, number: u16) -> MachineSpec {
        let spec = self.spec(number);
        self.hypervisor.run(&spec).await.unwrap();
        self.banner(&spec).await;
        spec
    }

    /// Waits for sshd's greeting.
    pub(crate) async fn banner(&self, spec: &MachineSpec) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Ok(greeting) = greeting(&self.hypervisor, spec.private_address).await {
                assert!(
                    greeting.starts_with(b"SSH-2.0-"),
                    "{:?}",
                    String::from_utf8_lossy(&greeting)
                );
                return;
            }
            if Instant::now() > deadline {
                panic!("no sshd in {}: {}", spec.instance_id, self.console(spec).await);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) async fn console(&self, spec: &MachineSpec) -> String {
        let bytes = self
            .hypervisor
            .console_output(&spec.instance_id, 65536)
            .await
            .unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until the console has a text, and gives the console.
    pub(crate) async fn console_with(&self, spec: &MachineSpec, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let console = self.console(spec).await;
            if console.contains(text) {
                return console;
            }
            assert!(Instant::now() < deadline, "no {text:?} on the console: {console}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// A port on the host's loopback that leads to a machine's port 22 for as long as the farm lives.
    pub(crate) async fn forward(&mut self, spec: &MachineSpec) -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (hypervisor, address) = (self.hypervisor.clone(), spec.private_address);
        self.services.push(tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let target = SocketAddrV4::new(address, 22);
                let Ok(mut far) = hypervisor.connect(target, Duration::from_secs(5)).await else {
                    continue;
                };
                tokio::spawn(async move { tokio::io::copy_bidirectional(&mut near, &mut far).await });
            }
        }));
        port
    }

    /// Runs a command in a machine with the real client; gives what it printed.
    pub(crate) async fn ssh(&self, port: u16, command: &str) -> Result<String, String> {
        let output = tokio::process::Command::new("ssh")
            .arg("-i")
            .arg(&self.key)
            .args(["-p", &port.to_string()])
            .args("-F none -o BatchMode=yes -o LogLevel=ERROR".split(' '))
            .args("-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null".split(' '))
            .args(["-o", "ConnectTimeout=20", "root@127.0.0.1", command])
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(PATIENCE, output)
            .await
            .expect("ssh ends")
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            Ok(text)
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }
}

/// The `number`th machine's specification.
pub(crate) fn spec(number: u16) -> MachineSpec {
    let [high, low] = (number + 9).to_be_bytes();
    MachineSpec {
        instance_id: format!("i-{number:017x}"),
        private_address: Ipv4Addr::new(10, 88, high, low),
        layers: image(),
        host_name: format!("machine-{number}"),
        memory_bytes: Some(512 * 1024 * 1024),
        other_host_key: false,
        host_key_changes: false,
    }
}

/// Starts a hypervisor whose state is below `directory`.
pub(crate) async fn start(directory: &Path) -> Hypervisor {
    try_start(directory).await.unwrap()
}

pub(crate) async fn try_start(directory: &Path) -> Result<Hypervisor, Error> {
    Hypervisor::start(hypervisor_config(directory)).await
}

fn hypervisor_config(directory: &Path) -> HypervisorConfig {
    HypervisorConfig {
        state_dir: directory.join("state"),
        helper: vec![OsString::from(env!("CARGO_BIN_EXE_guest-of-tests"))],
        cloud_id: cloud_id(directory),
        outside: false,
    }
}

/// A cloud's name that no other test has: from its temporary directory's.
pub(crate) fn cloud_id(directory: &Path) -> String {
    let name = directory.file_name().unwrap().to_string_lossy();
    format!(
        "t-{}",
        hex(name.trim_start_matches('.').as_bytes())
            .chars()
            .take(28)
            .collect::<String>()
    )
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().rev().map(|byte| format!("{byte:02x}")).collect()
}

/// What sshd, or whoever listens, says first.
pub(crate) async fn greeting(hypervisor: &Hypervisor, address: Ipv4Addr) -> Result<Vec<u8>, String> {
    let target = SocketAddrV4::new(address, 22);
    let mut stream = hypervisor
        .connect(target, Duration::from_secs(1))
        .await
        .map_err(|error| error.to_string())?;
    let mut buffer = [0; 64];
    match tokio::time::timeout(Duration::from_secs(5), stream.read(&mut buffer)).await {
        Ok(Ok(0)) => Err("closed".to_owned()),
        Ok(Ok(length)) => Ok(buffer[..length].to_vec()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("silence".to_owned()),
    }
}

/// The service that init asks: version 2 only, as Amazon's with `HttpTokens=required`.
async fn serve_metadata(listener: TcpListener, served: Arc<(String, String)>) {
    while let Ok((stream, _)) = listener.accept().await {
        let served = Arc::clone(&served);
        tokio::spawn(async move { answer(stream, &served.0, &served.1).await.ok() });
    }
}

async fn answer(mut stream: TcpStream, public: &str, user_data: &str) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.windows(4).any(|four| four == b"\r\n\r\n") {
        if stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    let line = request.lines().next().unwrap_or_default();
    let (status, body) =
        if line.starts_with("PUT /latest/api/token ") && request.contains("token-ttl-seconds: ") {
            ("200 OK", "sesame")
        } else if !request.contains("X-aws-ec2-metadata-token: sesame\r\n") {
            ("401 Unauthorized", "")
        } else if line.starts_with("GET /latest/meta-data/public-keys/0/openssh-key ") {
            ("200 OK", public)
        } else if line.starts_with("GET /latest/user-data ") && !user_data.is_empty() {
            ("200 OK", user_data)
        } else {
            ("404 Not Found", "")
        };
    let answer = format!(
        "HTTP/1.0 {status}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

/// The layers of the smallest image in the cache.
fn image() -> Vec<PathBuf> {
    ["images/test-minimal", "images/builder/current"]
        .iter()
        .find_map(|name| layers(&cache().join(name)))
        .expect("an image is in the cache: run `cargo xtask image`")
}

fn layers(image: &Path) -> Option<Vec<PathBuf>> {
    let image = image.canonicalize().ok()?;
    let text = fs::read_to_string(image.join("image.json")).ok()?;
    let description: serde_json::Value = serde_json::from_str(&text).ok()?;
    description["layers"]
        .as_array()?
        .iter()
        .map(|name| Some(image.join(name.as_str()?)))
        .collect()
}

/// Waits until a question is answered with nothing, and fails with what is left.
pub(crate) async fn until_none<T: std::fmt::Debug>(what: &str, mut left: impl FnMut() -> Vec<T>) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = left();
        if found.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "{what} left: {found:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
