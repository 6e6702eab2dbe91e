//! Starting the hypervisor process: its command line with and without root, the lock of the state directory,
//! and the words for what can be missing on a host.

use std::{
    ffi::OsString,
    fs::{File, OpenOptions},
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use rustix::fs::{FlockOperation, flock};
use tokio::{
    net::UnixStream,
    process::Command,
    time::{Instant, timeout},
};

use super::{
    Error, Failure, HypervisorConfig, cgroup,
    protocol::{Greeting, Welcome},
    replies::receive,
};

/// How long the hypervisor process may take to bring its network up.
const START_PATIENCE: Duration = Duration::from_secs(20);

/// How long a predecessor may take to end with all its machines.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);

/// The log of the hypervisor process, in the state directory.
const LOG: &str = "hypervisor.log";

/// The directories of the state directory.
pub(crate) const DISKS: &str = "disks";
pub(crate) const CONSOLES: &str = "console";
pub(crate) const TRASH: &str = "trash";
pub(crate) const IMAGES: &str = "images";

/// A checked configuration.
pub(super) struct Plan {
    pub(super) state_dir: PathBuf,
    pub(super) rootless: bool,
    program: PathBuf,
    arguments: Vec<String>,
    cloud_id: String,
    pub(super) outside: bool,
}

impl Plan {
    /// Checks the configuration and makes the directories.
    pub(super) fn new(config: &HypervisorConfig) -> Result<Self, Error> {
        let refuse = |field, reason: &str| Error::InvalidConfig {
            field,
            reason: reason.to_owned(),
        };
        let grammar = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if config.cloud_id.is_empty() || config.cloud_id.len() > 32 || !config.cloud_id.bytes().all(grammar) {
            return Err(refuse("cloud_id", "it has 1 to 32 of a-z, 0-9 and `-`"));
        }
        let (program, arguments) = config
            .helper
            .split_first()
            .ok_or_else(|| refuse("helper", "it names no program"))?;
        let arguments = arguments
            .iter()
            .map(|argument| argument.to_str().map(str::to_owned))
            .collect::<Option<Vec<String>>>()
            .ok_or_else(|| refuse("helper", "an argument is not UTF-8"))?;
        // Behind `unshare` the link would lead to unshare itself.
        let program = if program == "/proc/self/exe" {
            std::env::current_exe().map_err(io_error("find this program's file"))?
        } else {
            PathBuf::from(program)
        };
        for directory in [DISKS, CONSOLES, TRASH, IMAGES] {
            let path = config.state_dir.join(directory);
            std::fs::create_dir_all(&path).map_err(io_error(&format!("make {}", path.display())))?;
        }
        let state_dir = config
            .state_dir
            .canonicalize()
            .map_err(io_error(&format!("resolve {}", config.state_dir.display())))?;
        if state_dir
            .to_str()
            .is_none_or(|text| text.contains([',', ':', '\\']))
        {
            return Err(refuse(
                "state_dir",
                "a path with `,`, `:` or `\\` cannot be in a mount's options",
            ));
        }
        if state_dir.starts_with("/run") {
            return Err(refuse(
                "state_dir",
                "/run is hidden from machines; choose a directory on a disk",
            ));
        }
        let rootless = !rustix::process::geteuid().is_root();
        Ok(Self {
            state_dir,
            rootless,
            program,
            arguments,
            cloud_id: config.cloud_id.clone(),
            outside: config.outside,
        })
    }

    /// What the hypervisor process is told first.
    pub(super) fn greeting(&self) -> Greeting {
        Greeting {
            state_dir: self.state_dir.clone(),
            cloud_id: self.cloud_id.clone(),
            outside: self.outside,
            rootless: self.rootless,
            helper_arguments: self.arguments.clone(),
        }
    }

    /// The command that makes the namespaces and starts the hypervisor in them.
    ///
    /// Standard input is the control socket. Standard output is the lock: the file stays locked until the last
    /// holder, the `unshare` that waits for the process namespace, has ended, and with it every machine.
    pub(super) fn command(&self, control: OwnedFd, lock: File) -> Result<Command, Error> {
        let log_path = self.state_dir.join(LOG);
        let log = File::create(&log_path).map_err(io_error(&format!("make {}", log_path.display())))?;
        let mut command = Command::new("unshare");
        if self.rootless {
            command.args(["--user", "--map-root-user", "--map-auto"]);
        }
        command
            .args([
                "--net",
                "--mount",
                "--pid",
                "--fork",
                "--kill-child",
                "--propagation",
                "private",
                "--",
            ])
            .arg(&self.program)
            .args(&self.arguments)
            .arg("hypervisor")
            .env_clear()
            .env("PATH", tool_path())
            .current_dir("/")
            .stdin(Stdio::from(control))
            .stdout(Stdio::from(lock))
            .stderr(Stdio::from(log))
            // A terminal's interrupt is for this process, which ends its machines in order.
            .process_group(0)
            .kill_on_drop(true);
        if let Some(filter) = std::env::var_os("RUST_LOG") {
            command.env("RUST_LOG", filter);
        }
        Ok(command)
    }

    /// Takes the lock of the state directory, waiting for a predecessor that is ending.
    pub(super) async fn lock(&self) -> Result<File, Error> {
        let path = self.state_dir.join("hypervisor.lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(io_error(&format!("open {}", path.display())))?;
        let deadline = Instant::now() + LOCK_PATIENCE;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(file),
                Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    return Err(Error::InUse {
                        path: self.state_dir.clone(),
                    });
                }
                Err(errno) => return Err(io_error(&format!("lock {}", path.display()))(errno.into())),
            }
        }
    }

    /// Waits for the hypervisor process's first words.
    pub(super) async fn welcomed(&self, socket: &UnixStream) -> Result<Welcome, Error> {
        match timeout(START_PATIENCE, receive::<Result<Welcome, Failure>>(socket)).await {
            Ok(Ok(Some((Ok(welcome), _)))) => Ok(welcome),
            Ok(Ok(Some((Err(failure), _)))) => Err(Error::Unavailable {
                reason: Error::from(failure).to_string(),
            }),
            Ok(_) => Err(self.explain()),
            Err(_) => Err(Error::Timeout {
                what: "start of the hypervisor process".to_owned(),
            }),
        }
    }

    /// Why the hypervisor process ended before it said a word.
    fn explain(&self) -> Error {
        let said = std::fs::read(self.state_dir.join(LOG)).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let lines: Vec<&str> = said.lines().rev().take(3).collect();
        let last = lines.into_iter().rev().collect::<Vec<_>>().join("; ");
        let advice = if self.rootless {
            ". Without root, machines need user namespaces: install `uidmap`, give this user a range in \
             /etc/subuid and /etc/subgid, and see that user namespaces are allowed \
             (sysctl user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns)"
        } else {
            ". Machines need util-linux 2.38 or newer, iproute2, and a host or container that may make \
             network, mount and process namespaces"
        };
        Error::Unavailable {
            reason: format!("{last}{advice}"),
        }
    }
}

/// The search path with the places of administrators' tools, which an ordinary user's may lack.
fn tool_path() -> OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    if !path.is_empty() {
        path.push(":");
    }
    path.push("/usr/sbin:/usr/bin:/sbin:/bin");
    path
}

/// Wraps a system error with what was being done.
pub(super) fn io_error(what: &str) -> impl FnOnce(io::Error) -> Error {
    let what = what.to_owned();
    move |source| Error::Io { what, source }
}

/// The path of a machine's console log. It is outside the disk, which is removed when the machine is terminated.
pub(crate) fn console_path(state_dir: &Path, id: &str) -> PathBuf {
    state_dir.join(CONSOLES).join(format!("{id}.log"))
}

/// Removes the control groups that this cloud left, and those of other clouds that were killed if asked for, on a
/// thread that may wait.
pub(super) async fn sweep(cloud_id: &str, others_too: bool) {
    let cloud_id = cloud_id.to_owned();
    let work = move || {
        cgroup::sweep(&cloud_id);
        if others_too {
            cgroup::sweep_abandoned();
        }
    };
    if let Err(error) = tokio::task::spawn_blocking(work).await {
        tracing::error!(%error, "The sweep of control groups failed.");
    }
}

#[cfg(test)]
mod tests;
