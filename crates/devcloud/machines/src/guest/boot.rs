//! Starting and ending one machine: its processes, its network and its control groups, all or nothing.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom},
    os::fd::OwnedFd,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::Duration,
};

use rustix::{
    net::sockopt::{Timeout, set_socket_timeout},
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};

use super::{
    context::{Context, PROGRAM},
    network,
};
use crate::{
    hypervisor::{
        Failure, OUTSIDE_NAMES,
        cgroup::{Groups, Limits},
        launch::console_path,
        protocol::{self, InitConfig, InitReport, InitRequest},
    },
    machine::MachineSpec,
};

/// How long a machine's first process may take to stand on its own root.
const ROOT_PATIENCE: Duration = Duration::from_secs(20);

/// How long a machine's processes may take to end politely.
const POLITE_PATIENCE: Duration = Duration::from_secs(1);

/// How long killed processes may take to vanish; longer is a process stuck in the kernel.
const KILL_PATIENCE: Duration = Duration::from_secs(10);

/// How many processes and threads a machine may have: far more than a build wants, and few enough that one machine does
/// not take them all from the host, whose usual number is 32768.
const PROCESSES_MAX: u32 = 4096;

/// A console that has grown beyond this is begun anew at the next start of its machine.
const CONSOLE_MAX: u64 = 1024 * 1024;

/// A running machine.
pub(super) struct Running {
    /// The machine's first process: its end is the end of all of them.
    init: OwnedFd,
    control: OwnedFd,
    pub(super) groups: Groups,
    pub(super) ended: Arc<Ended>,
    pub(super) link_up: bool,
}

/// Told when the last process of a machine has ended.
#[derive(Default)]
pub(super) struct Ended {
    status: Mutex<Option<ExitStatus>>,
    changed: Condvar,
}

impl Ended {
    /// Notes the end.
    pub(super) fn set(&self, status: ExitStatus) {
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = Some(status);
        self.changed.notify_all();
    }

    /// Waits for the end, and says whether it came.
    fn wait(&self, patience: Duration) -> bool {
        let status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        let (status, _) = self
            .changed
            .wait_timeout_while(status, patience, |status| status.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        status.is_some()
    }
}

/// Starts a machine on its disk. The child is to be waited for, and its end noted in [`Running::ended`].
pub(super) fn boot(
    context: &Context,
    spec: &MachineSpec,
    disk: &Path,
    link_up: bool,
) -> Result<(Running, Child), Failure> {
    let groups = context.hierarchies.make_machine(
        &spec.instance_id,
        Limits {
            memory_bytes: spec.memory_bytes,
            processes: Some(PROCESSES_MAX),
        },
    );
    let started = network::attach(&spec.instance_id, spec.private_address, link_up, context.outside)
        .and_then(|()| start(context, spec, disk, &groups));
    match started {
        Ok((init, control, child)) => {
            let ended = Arc::new(Ended::default());
            Ok((
                Running {
                    init,
                    control,
                    groups,
                    ended,
                    link_up,
                },
                child,
            ))
        }
        Err(failure) => {
            release(spec, &groups);
            Err(failure)
        }
    }
}

/// Removes what surrounds a machine's processes, once they have ended.
pub(super) fn release(spec: &MachineSpec, groups: &Groups) {
    network::detach(&spec.instance_id, spec.private_address);
    groups.remove();
}

impl Running {
    /// Ends every process of the machine and waits until none is left.
    pub(super) fn end(&self, id: &str, politely: bool) -> Result<(), Failure> {
        if politely
            && protocol::send(&self.control, &InitRequest::PowerOff, None).is_ok()
            && self.ended.wait(POLITE_PATIENCE)
        {
            return Ok(());
        }
        match pidfd_send_signal(&self.init, Signal::KILL) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(errno) => return Err(Failure::step(format!("end the processes of {id}"), errno)),
        }
        // The kernel kills frozen processes too, but their parent, which has to collect them, is frozen as well.
        if let Err(error) = self.groups.thaw() {
            tracing::warn!(id, %error, "A killed machine could not be thawed.");
        }
        if self.ended.wait(KILL_PATIENCE) {
            return Ok(());
        }
        Err(Failure::Timeout {
            what: format!("the end of every process of {id}"),
        })
    }
}

/// Starts the machine's processes and waits until the first one has its root.
fn start(
    context: &Context,
    spec: &MachineSpec,
    disk: &Path,
    groups: &Groups,
) -> Result<(OwnedFd, OwnedFd, Child), Failure> {
    let failure = |error: io::Error| Failure::step(format!("start {}", spec.instance_id), error);
    let (ours, theirs) = protocol::pair().map_err(failure)?;
    let mut child = spawn(context, spec, groups, theirs).map_err(failure)?;
    let met = meet(context, spec, disk, &ours).and_then(|()| {
        first_process(&child).map_err(|error| Failure::step("find the first process of the machine", error))
    });
    match met {
        Ok(init) => Ok((init, ours, child)),
        Err(failure) => {
            end_halfway(&mut child);
            Err(failure)
        }
    }
}

/// Starts the chain of programs that ends in the machine's first process.
fn spawn(context: &Context, spec: &MachineSpec, groups: &Groups, control: OwnedFd) -> io::Result<Child> {
    let path = console_path(&context.state_dir, &spec.instance_id);
    let grown = fs::metadata(&path).is_ok_and(|metadata| metadata.len() > CONSOLE_MAX);
    let console = OpenOptions::new()
        .create(true)
        .append(!grown)
        .write(true)
        .truncate(grown)
        .open(&path)?;
    Command::new(PROGRAM)
        .args(&context.helper_arguments)
        .arg("enter")
        .arg(network::namespace_file(&spec.instance_id))
        .args(groups.entries())
        .args([
            "--",
            "unshare",
            "--fork",
            "--pid",
            "--mount",
            "--uts",
            "--ipc",
            "--kill-child",
            "--",
        ])
        .arg(PROGRAM)
        .args(&context.helper_arguments)
        .arg("init")
        .stdin(Stdio::from(control))
        .stdout(Stdio::from(console.try_clone()?))
        .stderr(Stdio::from(console))
        .spawn()
}

/// Tells the first process what it is, and hears whether it has its root.
fn meet(context: &Context, spec: &MachineSpec, disk: &Path, control: &OwnedFd) -> Result<(), Failure> {
    let what = || format!("start {}", spec.instance_id);
    let config = InitConfig {
        instance_id: spec.instance_id.clone(),
        host_name: spec.host_name.clone(),
        private_address: spec.private_address,
        layers: spec.layers.clone(),
        disk: disk.to_owned(),
        rootless: context.rootless,
        name_server: context.outside.then_some(OUTSIDE_NAMES),
        other_host_key: spec.other_host_key,
        host_key_changes: spec.host_key_changes,
    };
    protocol::send(control, &config, None).map_err(|error| Failure::step(what(), error))?;
    set_socket_timeout(control, Timeout::Recv, Some(ROOT_PATIENCE))
        .map_err(|errno| Failure::step(what(), errno))?;
    match protocol::receive::<InitReport>(control) {
        Ok(Some((InitReport::Ready, _))) => Ok(()),
        Ok(Some((InitReport::Failed { what, reason }, _))) => Err(Failure::Failed { what, reason }),
        Ok(None) => Err(Failure::step(
            what(),
            last_words(&console_path(&context.state_dir, &spec.instance_id)),
        )),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(Failure::Timeout { what: what() }),
        Err(error) => Err(Failure::step(what(), error)),
    }
}

/// The machine's first process: the one child of `unshare`, which the hypervisor started.
fn first_process(child: &Child) -> io::Result<OwnedFd> {
    let pid = child_of(child)?.ok_or_else(|| io::Error::other("it is not there"))?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

fn child_of(child: &Child) -> io::Result<Option<Pid>> {
    let parent = child.id();
    let text = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"))?;
    Ok(text
        .split_whitespace()
        .next()
        .and_then(|word| word.parse().ok())
        .and_then(Pid::from_raw))
}

/// Ends a machine that did not come up.
fn end_halfway(child: &mut Child) {
    // The first process before `unshare`, which then has seen it out; alone, if there is none yet.
    if let Ok(init) = first_process(child) {
        pidfd_send_signal(&init, Signal::KILL).ok();
    } else if let Err(error) = child.kill() {
        tracing::warn!(%error, "The beginnings of a machine could not be ended.");
    }
    if let Err(error) = child.wait() {
        tracing::warn!(%error, "The beginnings of a machine could not be waited for.");
    }
}

/// The last line of a console, for the reason of a failed start.
fn last_words(console: &Path) -> String {
    let mut text = Vec::new();
    let read = fs::File::open(console).and_then(|mut file| {
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(1024)))?;
        file.take(1024).read_to_end(&mut text)
    });
    let text = String::from_utf8_lossy(&text);
    match (read, text.trim_end().lines().next_back()) {
        (Ok(_), Some(line)) => line.to_owned(),
        _ => "its first process ended without a word".to_owned(),
    }
}

#[cfg(test)]
mod tests;
