//! This machine in place of another: commands run here, in a folder that vanishes with the test, and with programs of the
//! test's own before the system's. No root and no sshd is needed.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use shell::{Command, Endpoint, Exit, Output, RunOptions};
use tempfile::TempDir;

use crate::error::Error;
use crate::host::Remote;
use crate::playbook::Playbook;
use crate::report::{Mode, Report};
use crate::runner::Run;
use crate::target::Request;
use crate::value::Map;

const LONG: Duration = Duration::from_secs(60);

/// A folder for files, and one for programs.
pub(crate) struct Here {
    folder: TempDir,
    endpoint: Endpoint,
}

impl Here {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().expect("a folder");
        for name in ["files", "programs"] {
            fs::create_dir(folder.path().join(name)).expect("a folder");
        }
        Self {
            folder,
            endpoint: Endpoint::new("here", 22, "root"),
        }
    }

    /// Puts a program of this name, in `sh`, before the system's. `$CALLS` is a file that it may write to.
    pub(crate) fn program(&self, name: &str, text: &str) {
        let path = self.folder.path().join("programs").join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("a program");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("its mode");
    }

    /// A program that only writes down how it was called.
    pub(crate) fn recorder(&self, name: &str) {
        self.program(name, "echo \"${0##*/} $*\" >>\"$CALLS\"");
    }

    /// The lines that programs wrote to `$CALLS` since the last time.
    pub(crate) fn calls(&self) -> Vec<String> {
        let path = self.folder.path().join("calls");
        let text = fs::read_to_string(&path).unwrap_or_default();
        fs::remove_file(path).ok(); // It is there only if a program was called.
        text.lines().map(str::to_owned).collect()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("files").join(name)
    }

    /// The text with `~/` for the folder of files.
    fn full(&self, text: &str) -> String {
        text.replace("~/", &self.path("").display().to_string())
    }

    /// The text with the folder of files as `~`.
    pub(crate) fn short(&self, text: &str) -> String {
        text.replace(self.path("").display().to_string().trim_end_matches('/'), "~")
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("a file");
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub(crate) fn mode(&self, name: &str) -> u32 {
        let metadata =
            fs::symlink_metadata(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        metadata.permissions().mode() & 0o7777
    }

    /// Everything in the folder of files, with modes, targets and contents.
    pub(crate) fn snapshot(&self) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        look(&self.path(""), "", &mut found);
        found
    }

    /// Runs a play of these tasks, in which `~/` is the folder of files.
    pub(crate) async fn play(&self, tasks: &str, mode: Mode) -> Result<Report, Error> {
        play(self, &self.full(tasks), mode).await
    }

    /// What tasks that must succeed say they changed.
    pub(crate) async fn changes(&self, tasks: &str, mode: Mode) -> Vec<String> {
        let report = self.play(tasks, mode).await;
        let report = report.unwrap_or_else(|error| panic!("{tasks}\n{error}"));
        let changes = report.tasks.iter().flat_map(|task| &task.changes);
        changes.map(|change| self.short(change)).collect()
    }

    /// Each task by what it says it changes: check mode says it and touches nothing, the first run does it, and a second
    /// run finds nothing to do.
    pub(crate) async fn check(&self, cases: &[(&str, &[&str])]) {
        for (task, expected) in cases {
            let before = self.snapshot();
            assert_eq!(
                self.changes(task, Mode::Check).await,
                *expected,
                "check mode of {task}"
            );
            assert_eq!(self.snapshot(), before, "check mode of {task}");
            assert_eq!(self.changes(task, Mode::Apply).await, *expected, "{task}");
            let again = self.changes(task, Mode::Apply).await;
            assert!(again.is_empty(), "a second run of {task} changed {again:?}");
        }
    }

    /// Why tasks fail, without the place.
    pub(crate) async fn failure(&self, tasks: &str) -> String {
        match self.play(tasks, Mode::Apply).await {
            Err(Error::TaskFailed(failure)) => {
                let text = format!("{}\n{}", failure.message, failure.stderr);
                self.short(text.trim_end())
            }
            other => panic!("{tasks}\n{other:?}"),
        }
    }
}

/// Runs a play of these tasks, which begin in the first column, on any machine.
pub(crate) async fn play(remote: &dyn Remote, tasks: &str, mode: Mode) -> Result<Report, Error> {
    let tasks: String = tasks.lines().map(|line| format!("    {line}\n")).collect();
    play_whole(
        remote,
        &format!("- name: P\n  hosts: all\n  gather_facts: false\n  tasks:\n{tasks}"),
        mode,
        LONG,
    )
    .await
}

/// Runs a whole playbook.
pub(crate) async fn play_whole(
    remote: &dyn Remote,
    text: &str,
    mode: Mode,
    limit: Duration,
) -> Result<Report, Error> {
    let playbook = Playbook::parse_open("p.yml", text);
    let playbook = playbook.unwrap_or_else(|mistakes| panic!("{text}\n{mistakes:?}"));
    run_with(remote, &playbook, Map::new(), mode, limit).await
}

/// Runs a playbook that was read, with variables given.
pub(crate) async fn run_with(
    remote: &dyn Remote,
    playbook: &Playbook,
    given: Map,
    mode: Mode,
    limit: Duration,
) -> Result<Report, Error> {
    let request = Request {
        playbook: &playbook.file,
        vars: &serde_json::Map::new(),
        mode,
        limit,
        part: None,
        progress: None,
    };
    Run::new(remote, playbook, given, &request).run().await
}

fn look(folder: &Path, prefix: &str, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let entry = entry.expect("an entry");
        let (path, name) = (entry.path(), format!("{prefix}{}", entry.file_name().display()));
        let metadata = fs::symlink_metadata(&path).expect("metadata");
        let content = if metadata.is_symlink() {
            fs::read_link(&path).expect("a target").display().to_string()
        } else if metadata.is_file() {
            String::from_utf8_lossy(&fs::read(&path).expect("a content")).into_owned()
        } else {
            look(&path, &format!("{name}/"), found);
            String::new()
        };
        let modified = metadata.modified().expect("a time");
        let mode = metadata.permissions().mode();
        found.insert(name, format!("{mode:o} {modified:?} {content}"));
    }
}

#[async_trait]
impl Remote for Here {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    async fn run(&self, command: &Command, input: Vec<u8>, _: RunOptions) -> Result<Output, shell::Error> {
        let text = command.to_shell_text()?;
        let programs = self.folder.path().join("programs");
        let system = std::env::var("PATH").expect("a path of programs");
        let stdin = self.folder.path().join("input");
        fs::write(&stdin, input).expect("the input");
        let output = std::process::Command::new("/bin/sh")
            .args(["-c", &text])
            .env("PATH", format!("{}:{system}", programs.display()))
            .env("CALLS", self.folder.path().join("calls"))
            .current_dir(self.path(""))
            .stdin(Stdio::from(fs::File::open(stdin).expect("the input")))
            .output()
            .expect("sh starts");
        let code = output.status.code().and_then(|code| u32::try_from(code).ok());
        Ok(Output {
            exit: code.map_or_else(|| Exit::Signal("unknown".to_owned()), Exit::Code),
            stdout: output.stdout,
            stderr: output.stderr,
            truncated: false,
        })
    }
}
