//! An OpenSSH server of its own for a test: free port, own keys, temporary directory.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use shell::{ClientKey, Connection, Endpoint, HostKey, Timeouts};
use tempfile::TempDir;

/// Limits short enough for tests of a dead peer and long enough for a busy machine.
pub(crate) const QUICK: Timeouts = Timeouts {
    handshake: Duration::from_secs(20),
    channel: Duration::from_secs(15),
    keepalive_interval: Duration::from_millis(400),
    keepalive_misses: 2,
};

pub(crate) struct Sshd {
    child: Child,
    pub(crate) endpoint: Endpoint,
    pub(crate) host_key: HostKey,
    pub(crate) key: ClientKey,
    directory: TempDir,
}

impl Sshd {
    /// Starts a server with the usual settings.
    pub(crate) fn start() -> Self {
        Self::start_with("")
    }

    /// Starts a server with further lines of configuration.
    pub(crate) fn start_with(lines: &str) -> Self {
        assert!(
            Path::new("/usr/sbin/sshd").exists(),
            "these tests need OpenSSH's server: run `cargo xtask setup` (apt-get install openssh-server)"
        );
        // Debian's sshd refuses to start without its directory for privilege separation.
        fs::create_dir_all("/run/sshd").expect("/run/sshd (the tests run as root)");
        let directory = TempDir::new().expect("a temporary directory");
        let at = directory.path().to_owned();
        let host = ClientKey::generate("").expect("a host key");
        let key = ClientKey::generate("test").expect("a client key");
        write(
            &at.join("host_key"),
            &host.private_openssh().expect("text"),
            0o600,
        );
        write(
            &at.join("authorized_keys"),
            &key.public_openssh().expect("text"),
            0o600,
        );
        let port = free_port();
        // Debian's bash reads ~/.bashrc under sshd unless it is told that it is not the outermost shell.
        let configuration = format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {0}/host_key\nAuthorizedKeysFile {0}/authorized_keys\n\
             PidFile none\nUsePAM no\nStrictModes no\nPasswordAuthentication no\nPermitRootLogin yes\n\
             MaxStartups 100\nSetEnv SHLVL=1\n{lines}\n",
            at.display()
        );
        write(&at.join("sshd_config"), &configuration, 0o600);
        let log = fs::File::create(at.join("log")).expect("a log file");
        let child = Process::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f"])
            .arg(at.join("sshd_config"))
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("sshd starts");
        let endpoint = Endpoint::new("127.0.0.1", port, "root");
        let host_key = host.host_key().expect("a public key");
        let mut server = Self {
            child,
            endpoint,
            host_key,
            key,
            directory,
        };
        server.wait_until_it_listens();
        server
    }

    fn wait_until_it_listens(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", self.endpoint.port)).is_err() {
            let ended = self.child.try_wait().expect("the state of sshd");
            let log = fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "sshd does not listen: {ended:?} {log}"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Connects as the server's owner would.
    pub(crate) async fn connect(&self) -> Connection {
        self.connect_with(Timeouts::default()).await
    }

    pub(crate) async fn connect_with(&self, timeouts: Timeouts) -> Connection {
        Connection::open(&self.endpoint, &self.key, &self.host_key, timeouts)
            .await
            .expect("a connection")
    }

    /// A path in the server's temporary directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The processes of open connections: children of the listening one.
    pub(crate) fn sessions(&self) -> Vec<Pid> {
        let parent = i32::try_from(self.child.id()).expect("a process id");
        children_of(parent)
            .into_iter()
            .filter_map(Pid::from_raw)
            .collect()
    }

    /// Sends a signal to every connection's process.
    pub(crate) fn signal_sessions(&self, signal: Signal) {
        let sessions = self.sessions();
        assert!(!sessions.is_empty(), "no connection is open");
        for pid in sessions {
            kill_process(pid, signal).expect("the session's process is there");
        }
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        for pid in self.sessions() {
            kill_process(pid, Signal::KILL).ok(); // It may have ended by itself.
        }
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn children_of(parent: i32) -> Vec<i32> {
    let processes = fs::read_dir("/proc").expect("/proc");
    let ids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    ids.filter(|id| parent_of(*id) == Some(parent)).collect()
}

fn parent_of(id: i32) -> Option<i32> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let (_, after_name) = text.rsplit_once(") ")?;
    after_name.split(' ').nth(1)?.parse().ok()
}

fn write(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).expect("a file");
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("its mode");
}

/// A port nobody listens on now.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("its number").port()
}
