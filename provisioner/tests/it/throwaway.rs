//! A host that can be made a builder without harm: an overlay over `/` in namespaces of its own, with an sshd.
//!
//! It has its own network too, so that its firewall is its own; a thread here forwards a port of ours to its sshd.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use provisioner::{Error, Mode, Provisioner, Report, Target};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use shell::{ClientKey, Connection, Endpoint, HostKey, Timeouts};
use tempfile::TempDir;

/// How long a playbook of a test may take.
pub(crate) const LONG: Duration = Duration::from_secs(120);

const START: &str = r#"set -eu
at=$1
mount -t tmpfs -o size=2g,mode=755 test "$at/space"
mkdir "$at/space/upper" "$at/space/work" "$at/space/root"
root=$at/space/root
mount -t overlay overlay -o "lowerdir=/,upperdir=$at/space/upper,workdir=$at/space/work" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=755 run "$root/run"
mount -t tmpfs -o mode=1777 tmp "$root/tmp"
rm -rf "$root/root/.ssh" "$root/etc/verdigris" "$root/usr/libexec/verdigris" "$root/var/lib/verdigris" "$root"/etc/ssh/*
rm -f "$root/root/.bashrc" "$root/root/.profile" "$root/root/.bash_profile"
# A build's overlays cannot lie on an overlay.
mkdir -p "$root/var/lib/verdigris"
mount -t tmpfs -o mode=755 state "$root/var/lib/verdigris"
mkdir -p "$root/run/sshd" "$root/etc/ssh" "$root/etc/test"
cp "$at/host_key" "$root/etc/ssh/ssh_host_ed25519_key"
cp "$at/authorized_keys" "$root/etc/test/authorized_keys"
chmod 600 "$root/etc/ssh/ssh_host_ed25519_key" "$root/etc/test/authorized_keys"
cat >"$root/etc/ssh/sshd_config" <<END
ListenAddress 127.0.0.1:22
HostKey /etc/ssh/ssh_host_ed25519_key
AuthorizedKeysFile /etc/test/authorized_keys .ssh/authorized_keys
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
PermitRootLogin yes
Subsystem sftp internal-sftp
END
ip link set lo up
exec chroot "$root" /usr/sbin/sshd -D -e
"#;

pub(crate) struct Throwaway {
    child: Child,
    init: i32,
    pub(crate) endpoint: Endpoint,
    host_key: HostKey,
    key: ClientKey,
    closed: Arc<AtomicBool>,
    directory: TempDir,
}

impl Throwaway {
    pub(crate) fn start() -> Self {
        for (program, package) in [
            ("/usr/sbin/sshd", "openssh-server"),
            ("/usr/sbin/nft", "nftables"),
            ("/usr/bin/ip", "iproute2"),
        ] {
            let hint = "run `cargo xtask setup`, or apt-get install";
            assert!(
                Path::new(program).exists(),
                "these tests need {program}: {hint} {package}"
            );
        }
        assert!(
            rustix::process::geteuid().is_root(),
            "these tests need root: their hosts are mounts and namespaces"
        );
        let directory = TempDir::new().expect("a temporary directory");
        let at = directory.path();
        let (host, key) = (new_key(), new_key());
        fs::create_dir(at.join("space")).expect("a directory");
        fs::write(at.join("host_key"), host.private_openssh().expect("text")).expect("a file");
        fs::write(
            at.join("authorized_keys"),
            format!("{}\n", key.public_openssh().expect("text")),
        )
        .expect("a file");
        let log = fs::File::create(at.join("log")).expect("a log file");
        let child = Command::new("unshare")
            .args([
                "--mount",
                "--pid",
                "--net",
                "--uts",
                "--ipc",
                "--fork",
                "--kill-child",
                "sh",
                "-c",
                START,
                "sh",
            ])
            .arg(at)
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("unshare starts");
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("its number").port();
        let mut host = Self {
            child,
            init: 0,
            endpoint: Endpoint::new("127.0.0.1", port, "root"),
            host_key: host.host_key().expect("a key"),
            key,
            closed: Arc::new(AtomicBool::new(false)),
            directory,
        };
        host.wait_for_sshd();
        let (init, closed) = (host.init, Arc::clone(&host.closed));
        thread::spawn(move || forward(&listener, init, &closed));
        host
    }

    fn wait_for_sshd(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            self.init = child_of(self.child.id()).unwrap_or(0);
            if self.init != 0 && enter_and_connect(self.init).is_ok() {
                return;
            }
            let ended = self.child.try_wait().expect("the state of the host");
            let log = fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "the host does not start: {ended:?} {log}"
            );
            thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) async fn connect(&self) -> Connection {
        Connection::open(&self.endpoint, &self.key, &self.host_key, Timeouts::default())
            .await
            .expect("a connection")
    }

    /// The host as runners of playbooks are given it.
    pub(crate) fn target(&self) -> Target {
        Target {
            endpoint: self.endpoint.clone(),
            host_key: self.host_key.clone(),
            key: self.key.clone(),
            connection: None,
        }
    }

    /// Where the host's file of that absolute path is for us.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.init))
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        fs::write(self.path(path), text).unwrap_or_else(|error| panic!("{path}: {error}"));
    }

    pub(crate) fn mode(&self, path: &str) -> u32 {
        let metadata =
            fs::symlink_metadata(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        metadata.permissions().mode() & 0o7777
    }

    /// The private key, for programs other than ours.
    pub(crate) fn key_file(&self) -> PathBuf {
        let path = self.directory.path().join("client_key");
        fs::write(&path, self.key.private_openssh().expect("text")).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("its mode");
        path
    }

    /// Everything below these paths: kind, mode, owner and content.
    pub(crate) fn snapshot(&self, paths: &[&str]) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        for path in paths {
            self.look(path, &mut found);
        }
        found
    }

    fn look(&self, path: &str, found: &mut BTreeMap<String, String>) {
        let real = self.path(path);
        let Ok(metadata) = fs::symlink_metadata(&real) else {
            return;
        };
        let content = if metadata.is_file() {
            hex::encode(Sha256::digest(fs::read(&real).expect("its content")))
        } else if metadata.is_symlink() {
            fs::read_link(&real).expect("its target").display().to_string()
        } else {
            String::new()
        };
        let text = format!(
            "{:o} {}:{} {content}",
            metadata.mode(),
            metadata.uid(),
            metadata.gid()
        );
        found.insert(path.to_owned(), text);
        if metadata.is_dir() {
            for entry in fs::read_dir(&real).expect("its entries") {
                let name = entry.expect("an entry").file_name();
                self.look(&format!("{path}/{}", name.to_str().expect("a plain name")), found);
            }
        }
    }

    /// Runs a playbook given as text.
    pub(crate) async fn play(&self, text: &str, vars: Value, mode: Mode) -> Result<Report, Error> {
        let connection = self.connect().await;
        load_text(text)?
            .run(&connection, "p.yml", &object(vars), mode, LONG)
            .await
    }

    /// Runs a playbook given as the text of its tasks; it must succeed.
    pub(crate) async fn tasks(&self, tasks: &str) -> Report {
        self.play(&play_of(tasks), Value::Object(Map::new()), Mode::Apply)
            .await
            .unwrap_or_else(|error| panic!("{error}"))
    }
}

impl Drop for Throwaway {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Release);
        TcpStream::connect(("127.0.0.1", self.endpoint.port)).ok(); // Wakes the forwarder, which then ends.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn new_key() -> ClientKey {
    ClientKey::generate("test").expect("a key")
}

pub(crate) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(entries) => entries,
        other => panic!("{other} is no object"),
    }
}

/// A play with these tasks, which begin in the first column.
pub(crate) fn play_of(tasks: &str) -> String {
    let tasks: String = tasks.lines().map(|line| format!("    {line}\n")).collect();
    format!("- name: P\n  hosts: all\n  gather_facts: false\n  tasks:\n{tasks}")
}

pub(crate) fn load_text(text: &str) -> Result<Provisioner, Error> {
    let (playbooks, files) = (
        TempDir::new().expect("a directory"),
        TempDir::new().expect("a directory"),
    );
    fs::write(playbooks.path().join("p.yml"), text).expect("a playbook");
    Provisioner::load(playbooks.path(), files.path())
}

/// The first process inside: the only child of `unshare`, once it has become sshd.
fn child_of(parent: u32) -> Option<i32> {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).ok()?;
    let child: i32 = children.split_whitespace().next()?.parse().ok()?;
    let name = fs::read_to_string(format!("/proc/{child}/comm")).ok()?;
    (name.trim() == "sshd").then_some(child)
}

/// A connection to the host's sshd, made by a thread that enters its network for it.
fn enter_and_connect(init: i32) -> io::Result<TcpStream> {
    let entering = thread::spawn(move || {
        let namespace = fs::File::open(format!("/proc/{init}/ns/net"))?;
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
        TcpStream::connect(("127.0.0.1", 22))
    });
    entering.join().expect("the thread ends")
}

fn forward(listener: &TcpListener, init: i32, closed: &AtomicBool) {
    while let Ok((outside, _)) = listener.accept() {
        if closed.load(Ordering::Acquire) {
            return;
        }
        let Ok(inside) = enter_and_connect(init) else {
            continue;
        };
        let (outside_too, inside_too) = (
            outside.try_clone().expect("a socket"),
            inside.try_clone().expect("a socket"),
        );
        outside.set_nodelay(true).expect("an option");
        inside.set_nodelay(true).expect("an option");
        thread::spawn(move || pass(outside, inside));
        thread::spawn(move || pass(inside_too, outside_too));
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream) {
    io::copy(&mut from, &mut to).ok(); // The end of either side is the end of the connection.
    to.shutdown(Shutdown::Write).ok();
}
