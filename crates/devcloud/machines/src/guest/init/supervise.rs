//! The long part of the first process: sshd is kept alive, the user data's script is started, orphans are
//! collected, and signals and the hypervisor can ask for the end.

use std::{
    io,
    os::fd::OwnedFd,
    path::PathBuf,
    process::{Command, ExitCode, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process_group, wait};
use tokio::{
    io::Interest,
    signal::unix::{SignalKind, signal},
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{Console, ssh};
use crate::hypervisor::protocol::{self, InitRequest, REBOOT_STATUS};

/// How long processes have to end by themselves. The hypervisor's own patience is a little longer.
const POLITE_PATIENCE: Duration = Duration::from_millis(800);

/// The longest pause between two starts of sshd.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// A daemon that has run this long is started again without a pause.
const STEADY: Duration = Duration::from_secs(10);

/// Why the machine ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    PowerOff,
    Reboot,
}

/// Runs the machine until its end.
pub(super) fn run(control: OwnedFd, script: Option<PathBuf>, console: Console) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return super::complain(format_args!("the machine cannot wait for events: {error}")),
    };
    match runtime.block_on(supervise(control, script, console)) {
        Ok(End::PowerOff) => ExitCode::SUCCESS,
        Ok(End::Reboot) => ExitCode::from(u8::try_from(REBOOT_STATUS).unwrap_or(u8::MAX)),
        Err(error) => super::complain(format_args!("the machine cannot wait for events: {error}")),
    }
}

/// sshd and the script, by process number.
struct Children {
    console: Console,
    daemon: Option<u32>,
    daemon_started: Instant,
    pause: Duration,
    script: Option<u32>,
}

async fn supervise(control: OwnedFd, script: Option<PathBuf>, console: Console) -> io::Result<End> {
    let control = protocol::watched(control)?;
    let mut child = signal(SignalKind::child())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut children = Children {
        console,
        daemon: None,
        daemon_started: Instant::now(),
        pause: Duration::from_millis(50),
        script: None,
    };
    // Before the script: what it does is not in the way of a login, and a login may look at it.
    let mut restart = children.start_daemon();
    if let Some(path) = script {
        children.start_script(&path);
    }
    // Those that ended before their signal was listened for.
    restart = children.collect().or(restart);
    let end = loop {
        tokio::select! {
            _ = child.recv() => restart = children.collect().or(restart),
            _ = terminate.recv() => break End::PowerOff,
            _ = interrupt.recv() => break End::Reboot,
            request = control.async_io(Interest::READABLE, || protocol::receive::<InitRequest>(&control)) => {
                match request {
                    // A closed socket: the hypervisor has ended, and this process is about to.
                    Ok(Some((InitRequest::PowerOff, _)) | None) => break End::PowerOff,
                    Err(error) => return Err(error),
                }
            }
            () = sleep_until(restart.unwrap_or_else(Instant::now)), if restart.is_some() => {
                restart = children.start_daemon();
            }
        }
    };
    console.say(if end == End::Reboot {
        "reboots"
    } else {
        "powers off"
    });
    end_all().await;
    Ok(end)
}

impl Children {
    /// Starts sshd; gives the time to try again if it cannot be started.
    fn start_daemon(&mut self) -> Option<Instant> {
        self.daemon_started = Instant::now();
        match ssh::daemon().spawn() {
            Ok(child) => {
                self.daemon = Some(child.id());
                None
            }
            Err(error) => {
                self.console.say(&format!("sshd cannot be started: {error}"));
                Some(self.next_start())
            }
        }
    }

    fn start_script(&mut self, path: &PathBuf) {
        let started = Command::new(path)
            .env_clear()
            .env("PATH", ssh::PATH)
            .env("HOME", "/root")
            .current_dir("/")
            .stdin(Stdio::null())
            .spawn();
        match started {
            Ok(child) => self.script = Some(child.id()),
            Err(error) => self
                .console
                .say(&format!("the user data's script cannot be started: {error}")),
        }
    }

    /// Collects every process that has ended; gives the time to start sshd again if it was among them.
    fn collect(&mut self) -> Option<Instant> {
        let mut restart = None;
        // An error says that there is no process left to wait for.
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            let pid = u32::try_from(pid.as_raw_pid()).ok();
            if pid.is_some() && pid == self.daemon {
                self.daemon = None;
                self.console.say(&format!("sshd ended with {}", describe(status)));
                restart = Some(self.next_start());
            } else if pid.is_some() && pid == self.script {
                self.script = None;
                self.console
                    .say(&format!("the user data's script ended with {}", describe(status)));
            }
        }
        restart
    }

    fn next_start(&mut self) -> Instant {
        self.pause = if self.daemon_started.elapsed() > STEADY {
            Duration::from_millis(50)
        } else {
            (self.pause * 2).min(PAUSE_MAX)
        };
        Instant::now() + self.pause
    }
}

fn describe(status: WaitStatus) -> String {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(status), _) => format!("status {status}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => format!("{status:?}"),
    }
}

/// Asks every other process of the machine to end, and waits a moment. The kernel ends the rest with this one.
async fn end_all() {
    // To group 1 means to everyone but this process. An error says that there is nobody.
    kill_process_group(Pid::INIT, Signal::TERM).ok();
    let all_ended = async {
        while wait(WaitOptions::NOHANG).is_ok() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    // Too long is fine, too.
    timeout(POLITE_PATIENCE, all_ended).await.ok();
}

#[cfg(test)]
mod tests {
    use rustix::process::waitpid;

    use super::*;

    #[test]
    #[expect(
        clippy::zombie_processes,
        reason = "it is waited for by its number, as init waits"
    )]
    fn an_end_is_told_with_its_status_or_its_signal() {
        for (script, told) in [
            ("exit 0", "status 0"),
            ("exit 3", "status 3"),
            ("exit 255", "status 255"),
            ("kill -9 $$", "signal 9"),
            ("kill -TERM $$", "signal 15"),
        ] {
            let child = Command::new("sh").args(["-c", script]).spawn().unwrap();
            let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
            let (_, status) = waitpid(pid, WaitOptions::empty()).unwrap().unwrap();
            assert_eq!(describe(status), told, "{script}");
        }
    }

    #[tokio::test]
    async fn a_daemon_that_ends_at_once_is_started_ever_more_rarely_and_a_steady_one_at_once() {
        let mut children = Children {
            console: Console,
            daemon: None,
            daemon_started: Instant::now(),
            pause: Duration::from_millis(50),
            script: None,
        };
        let mut pauses = Vec::new();
        for _ in 0..9 {
            children.next_start();
            pauses.push(children.pause.as_millis());
        }
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000]);
        children.daemon_started = Instant::now() - (STEADY + Duration::from_secs(1));
        let again = children.next_start();
        assert_eq!(children.pause, Duration::from_millis(50));
        assert!(again <= Instant::now() + Duration::from_millis(50));
    }
}
