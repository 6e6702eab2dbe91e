//! The real `ansible-playbook` as a runner: for playbooks that use more of Ansible than ours knows.
//!
//! It is a process of its own with limits of time and output. It is given the playbooks as they were loaded, an inventory
//! of one machine, and settings of its own; `events.py` makes it tell what becomes of each task. It gets the private key in
//! a file that goes with the run, and the host key as the only one that is known.

mod events;
mod folder;
mod process;

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use tokio::process::Command;
use tokio::time::{Instant, timeout};

use crate::error::{Error, TaskFailure};
use crate::provisioner::Provisioner;
use crate::report::Report;
use crate::target::{PlaybookRunner, Request, Target};

use events::{Events, Failed, one_line};
use folder::Folder;
use process::Ended;

/// The program, where nothing names another.
const PROGRAM: &str = "ansible-playbook";
/// Our part of it.
const EVENTS: &str = include_str!("ansible/events.py");
/// How long a connection may take to end.
const FAREWELL: Duration = Duration::from_secs(5);

/// Runs playbooks by the real `ansible-playbook`.
pub struct Ansible {
    provisioner: Arc<Provisioner>,
    program: PathBuf,
}

impl Ansible {
    /// With the playbooks and files of a provisioner, and the program that `command` names: a path, or a name to be found in
    /// PATH. Without it, `ansible-playbook`.
    ///
    /// # Errors
    /// [`Error::Ansible`] if there is no such program.
    pub fn new(provisioner: Arc<Provisioner>, command: Option<&str>) -> Result<Self, Error> {
        Ok(Self {
            provisioner,
            program: Self::find(command)?,
        })
    }

    /// Where the program is, which needs `ssh` beside it.
    ///
    /// # Errors
    /// [`Error::Ansible`] with what is missing.
    pub fn find(command: Option<&str>) -> Result<PathBuf, Error> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let name = command.unwrap_or(PROGRAM);
        let program = program(name, &path).ok_or_else(|| {
            Error::Ansible(match name.contains('/') {
                true => format!("{name} is no program that can be run"),
                false => format!(
                    "there is no program {name} in PATH: install ansible-core, or name the program by `ansible: {{command: …}}`"
                ),
            })
        })?;
        if self::program("ssh", &path).is_none() {
            let words = format!("there is no program ssh in PATH, which {name} needs");
            return Err(Error::Ansible(words));
        }
        Ok(program)
    }

    /// What a run came to.
    fn judge(&self, ended: Ended, events: Events, run: &Run<'_>) -> Result<Report, Error> {
        let place = events.place.clone().unwrap_or_else(|| "no task yet".to_owned());
        let report = Report {
            playbook: run.request.playbook.to_owned(),
            host: run.target.endpoint.to_string(),
            mode: run.request.mode,
            tasks: events.tasks,
            duration: run.begun.elapsed(),
        };
        let (status, errors) = match ended {
            Ended::Late => {
                return Err(Error::Deadline {
                    place,
                    limit: run.request.limit,
                });
            }
            Ended::Talkative => {
                let words = format!("{place}: {PROGRAM} was ended, since it wrote too much");
                return Err(Error::Ansible(words));
            }
            Ended::Exit(status, errors) => (status, errors),
        };
        if let (Some(play), true) = (&events.not_for_us, status.success()) {
            let playbook = run.request.playbook;
            return Err(Error::Ansible(format!(
                "{playbook}: play {play:?} is for no machine here: its `hosts` has to be `all`"
            )));
        }
        if status.success() {
            return Ok(report);
        }
        match events.failed {
            Some(failed) if failed.is_unreachable => Err(unreachable(failed, run.target, report.tasks.len())),
            Some(failed) => Err(Error::TaskFailed(Box::new(TaskFailure {
                message: failed.words(),
                place: failed.place,
                module: failed.module.into(),
                status: failed.status,
                stderr: String::new(),
                report,
            }))),
            None => {
                let folder = format!("{}/", run.playbooks);
                let words = one_line(&errors.replace(&folder, ""));
                let playbook = run.request.playbook;
                Err(Error::Ansible(format!(
                    "{playbook} was not played: {PROGRAM} ended with {status}: {words}"
                )))
            }
        }
    }
}

/// One run, for what is said of it.
struct Run<'a> {
    target: &'a Target,
    request: &'a Request<'a>,
    playbooks: String,
    begun: Instant,
}

#[async_trait]
impl PlaybookRunner for Ansible {
    async fn play(&self, target: &Target, request: &Request<'_>) -> Result<Report, Error> {
        let begun = Instant::now();
        let folder = Folder::new()?;
        let mut vars = request.vars.clone();
        let staged = self
            .provisioner
            .stage_for_ansible(request, &folder.path("staged"))?;
        if let Some(staged) = staged {
            vars.insert("staged".to_owned(), Value::from(staged.display().to_string()));
        }
        folder.fill(self.provisioner.files(), target, &vars)?;
        let run = Run {
            target,
            request,
            playbooks: folder.playbooks().display().to_string(),
            begun,
        };
        let mut events = Events::of(&run.playbooks);
        let mut take = |line: &str| {
            if let (Some(task), Some(progress)) = (events.take(line), request.progress) {
                progress(task);
            }
        };
        let command = folder.command(&self.program, request);
        let ended = process::run(command, begun + request.limit, &mut take).await;
        end_connections(&folder.sockets()).await;
        let ended = ended.map_err(|cause| Error::File {
            path: self.program.clone(),
            why: "it cannot be run",
            cause,
        })?;
        self.judge(ended, events, &run)
    }
}

/// A program by its name in PATH, or by its path.
fn program(name: &str, path: &OsStr) -> Option<PathBuf> {
    let is_program = |path: &Path| {
        let found = path.metadata();
        found.is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    if name.contains('/') {
        let path = std::path::absolute(name).ok()?;
        return Some(path).filter(|path| is_program(path));
    }
    std::env::split_paths(path)
        .map(|folder| folder.join(name))
        .find(|path| is_program(path))
}

/// Ends the connections that ssh keeps for the next task. One that does not listen ends by itself after a while.
async fn end_connections(sockets: &Path) {
    let Ok(entries) = std::fs::read_dir(sockets) else {
        return;
    };
    for socket in entries.flatten() {
        let mut command = Command::new("ssh");
        command
            .args(["-F", "/dev/null", "-O", "exit", "-o"])
            .arg(format!("ControlPath={}", socket.path().display()))
            .arg("machine")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        if !matches!(timeout(FAREWELL, command.status()).await, Ok(Ok(status)) if status.success()) {
            tracing::debug!(socket = %socket.path().display(), "A connection of Ansible's did not end when told.");
        }
    }
}

/// Why the machine was not reached, as ssh says it.
fn unreachable(failed: Failed, target: &Target, tasks: usize) -> Error {
    let endpoint = target.endpoint.to_string();
    let said = failed.message.as_str();
    let cause = if said.contains("Host key verification failed")
        || said.contains("HOST IDENTIFICATION HAS CHANGED")
    {
        shell::Error::HostKeyMismatch {
            endpoint,
            expected: target.host_key.fingerprint().to_owned(),
            got: fingerprint(said).unwrap_or("of another machine").to_owned(),
        }
    } else if said.contains("Permission denied (") {
        shell::Error::AuthenticationRefused {
            endpoint,
            fingerprint: target.key.fingerprint(),
        }
    } else {
        shell::Error::Unreachable {
            endpoint,
            stage: "the connection by ssh",
            cause: one_line(said).into(),
        }
    };
    if tasks <= 1 {
        return Error::Unreachable(cause);
    }
    Error::Connection {
        place: failed.place,
        cause,
    }
}

/// The fingerprint that a text names.
fn fingerprint(text: &str) -> Option<&str> {
    let is_end = |c: char| !(c.is_ascii_alphanumeric() || "+/:".contains(c));
    let mut words = text.split(is_end);
    words.find(|word| word.starts_with("SHA256:"))
}

#[cfg(test)]
mod tests;
