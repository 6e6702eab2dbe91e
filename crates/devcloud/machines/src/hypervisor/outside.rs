//! The way from the machines' network to the outside, for clouds that were asked to have one: slirp4netns, a process that
//! translates what machines send into connections of its own, as a home router does.
//!
//! It needs no rights on the host and leaves nothing there, so it is the same with root and without. What listens on the
//! host's loopback only is not reached through it.

use std::{fs::File, path::Path, process::Stdio, time::Duration};

use tokio::{
    io::AsyncReadExt as _,
    process::{Child, ChildStdin, Command},
    sync::watch,
    task::JoinHandle,
    time::timeout,
};

use super::{Error, NETWORK_BITS, OUTSIDE_DEVICE, launch::io_error};

/// How long it may take to be ready.
const PATIENCE: Duration = Duration::from_secs(20);

/// What slirp4netns says, in the state directory.
const LOG: &str = "outside.log";

/// The open way. It closes when this is dropped, also by the death of this process.
pub(super) struct Outside {
    alive: ChildStdin,
    watch: JoinHandle<()>,
}

impl Outside {
    /// Opens the way for the network namespace of a process.
    pub(super) async fn open(
        state_dir: &Path,
        process: u32,
        hypervisor_closed: watch::Receiver<bool>,
    ) -> Result<Self, Error> {
        let path = state_dir.join(LOG);
        let log = File::create(&path).map_err(io_error(&format!("make {}", path.display())))?;
        // It ends when its standard input closes, and writes to the third descriptor when it is ready: to the standard
        // output it writes more than that.
        let mut child = Command::new("sh")
            .args(["-c", "exec slirp4netns \"$@\" 3>&1 >&2", "sh"])
            .args(["--exit-fd=0", "--ready-fd=3"])
            .args(["--disable-host-loopback", "--enable-sandbox"])
            .arg(format!("--cidr=10.88.0.0/{NETWORK_BITS}"))
            .args([&process.to_string(), OUTSIDE_DEVICE])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::from(log))
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(io_error("start slirp4netns"))?;
        let alive = child.stdin.take();
        let ready = async {
            let mut mark = [0_u8; 1];
            match &mut child.stdout {
                Some(output) => output.read_exact(&mut mark).await.is_ok(),
                None => false,
            }
        };
        match (timeout(PATIENCE, ready).await, alive) {
            (Ok(true), Some(alive)) => {
                let watch = tokio::spawn(watch_over(child, hypervisor_closed));
                Ok(Self { alive, watch })
            }
            (Ok(_), _) => {
                let said = std::fs::read(&path).unwrap_or_default();
                let said = String::from_utf8_lossy(&said).trim().replace('\n', "; ");
                Err(Error::Unavailable {
                    reason: format!("the public network cannot be opened with slirp4netns: {said}"),
                })
            }
            (Err(_), _) => Err(Error::Timeout {
                what: "start of slirp4netns".to_owned(),
            }),
        }
    }
}

impl Outside {
    /// Closes the way and waits until nothing is left of it.
    pub(super) async fn close(self) {
        drop(self.alive);
        if !matches!(timeout(PATIENCE, self.watch).await, Ok(Ok(()))) {
            tracing::error!("slirp4netns did not end.");
        }
    }
}

/// Says so when the way closes while there are machines.
async fn watch_over(mut child: Child, mut hypervisor_closed: watch::Receiver<bool>) {
    let ended = child.wait().await;
    // An error says that the hypervisor's handle is gone, which is an end too, and so is its process's, a moment later.
    let closed = hypervisor_closed.wait_for(|closed| *closed);
    if timeout(Duration::from_secs(2), closed).await.is_err() {
        tracing::error!(
            ?ended,
            "slirp4netns has ended: machines do not reach the outside any more."
        );
    }
}
