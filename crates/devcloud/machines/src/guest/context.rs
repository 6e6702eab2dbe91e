//! What every operation on machines needs to know and to call.

use std::{
    os::fd::OwnedFd,
    path::PathBuf,
    process::{Command, Stdio},
    thread,
};

use crate::hypervisor::{
    cgroup::Hierarchies,
    protocol::{self, Reply},
};

/// This program, by a name that stays while its file is replaced.
pub(super) const PROGRAM: &str = "/run/verdigris-devcloud";

/// What every operation needs to know.
pub(super) struct Context {
    pub(super) state_dir: PathBuf,
    pub(super) rootless: bool,
    pub(super) helper_arguments: Vec<String>,
    pub(super) hierarchies: Hierarchies,
    /// Whether there is a way to the outside.
    pub(super) outside: bool,
    /// Where answers and events go.
    pub(super) control: OwnedFd,
}

impl Context {
    /// Tells the other side. It may be gone; then this process ends soon, too.
    pub(super) fn tell(&self, reply: &Reply, descriptor: Option<&OwnedFd>) {
        if let Err(error) = protocol::send(&self.control, reply, descriptor) {
            tracing::warn!(%error, "An answer could not be sent.");
        }
    }
}

/// Removes a directory with all that is in it, on a thread: it can be gigabytes, and of a depth made to hurt,
/// which `rm` is up to.
pub(super) fn discard(path: PathBuf) {
    let work = move || {
        let output = Command::new("rm")
            .args(["-rf", "--"])
            .arg(&path)
            .stdin(Stdio::null())
            .output();
        match output {
            Ok(output) if output.status.success() => {}
            Ok(output) => {
                let reason = String::from_utf8_lossy(&output.stderr);
                let line = reason.lines().next().unwrap_or_default();
                tracing::warn!(path = %path.display(), line, "A terminated machine's disk could not be removed.");
            }
            Err(error) => tracing::warn!(%error, "`rm` cannot be run."),
        }
    };
    if let Err(error) = thread::Builder::new().spawn(work) {
        tracing::warn!(%error, "A terminated machine's disk stays until the next start.");
    }
}
