//! Running other programs, with errors that say which command failed, where, and what it printed last.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail};

/// How many of a failed program's last lines an error repeats.
const TAIL: usize = 15;

/// One program to run. Its standard input is closed: nothing here may wait for a person, but `sudo`, which asks on the terminal.
#[derive(Debug)]
pub(crate) struct Tool {
    command: Command,
}

impl Tool {
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program);
        command.stdin(Stdio::null()).env("PATH", search_path());
        Self { command }
    }

    /// A program that needs the administrator: through `sudo` when the caller is somebody else.
    pub(crate) fn as_root(program: &str) -> Self {
        Self::elevated(program, is_root())
    }

    fn elevated(program: &str, is_root: bool) -> Self {
        if is_root {
            Self::new(program)
        } else {
            Self::new("sudo").arg(program)
        }
    }

    /// A program in mount and process namespaces of its own, in which the caller is root: in truth, or in a user
    /// namespace over the caller's range of subordinate ids.
    pub(crate) fn in_namespace(program: &str) -> Self {
        Self::unshared(program, is_root())
    }

    fn unshared(program: &str, is_root: bool) -> Self {
        let user: &[&str] = if is_root {
            &[]
        } else {
            &["--user", "--map-root-user", "--map-auto"]
        };
        let mount = ["--mount", "--propagation", "private"];
        Self::new("unshare")
            .args(user)
            .args(mount)
            .args(["--pid", "--fork", "--kill-child", "--"])
            .arg(program)
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    pub(crate) fn args<I>(mut self, args: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<OsStr>,
    {
        self.command.args(args);
        self
    }

    /// Gives it a file as its standard input.
    pub(crate) fn input(mut self, file: &Path) -> Result<Self> {
        self.command.stdin(fs_err::File::open(file)?.into_parts().0);
        Ok(self)
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn dir(mut self, dir: &Path) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// The command as one could type it.
    pub(crate) fn shown(&self) -> String {
        let words = std::iter::once(self.command.get_program()).chain(self.command.get_args());
        words.map(quoted).collect::<Vec<_>>().join(" ")
    }

    /// Runs it with the caller's standard output and error.
    pub(crate) fn show(mut self) -> Result<()> {
        let shown = self.shown();
        let status = self
            .command
            .status()
            .with_context(|| not_started(&self.command))?;
        ended(&shown, status, "")
    }

    /// Like [`Tool::show`], but a failure is the status and no error.
    pub(crate) fn status(mut self) -> Result<ExitStatus> {
        self.command.status().with_context(|| not_started(&self.command))
    }

    /// Runs it and returns what it printed to standard output.
    pub(crate) fn output(mut self) -> Result<String> {
        let shown = self.shown();
        let output = self
            .command
            .output()
            .with_context(|| not_started(&self.command))?;
        ended(&shown, output.status, &String::from_utf8_lossy(&output.stderr))?;
        String::from_utf8(output.stdout)
            .with_context(|| format!("`{shown}` printed something that is no UTF-8"))
    }

    /// Whether it starts and ends well; what it prints is dropped.
    pub(crate) fn succeeds(mut self) -> bool {
        let status = self.command.stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    }

    /// Runs it, appends both its outputs to `log`, and shows each line to `watch` as it comes.
    pub(crate) fn watch(mut self, log: &Path, mut watch: impl FnMut(&str)) -> Result<()> {
        let shown = self.shown();
        let mut file = fs_err::OpenOptions::new().create(true).append(true).open(log)?;
        let (reader, writer) = std::io::pipe().context("no pipe")?;
        self.command
            .stdout(writer.try_clone().context("no pipe")?)
            .stderr(writer);
        let mut child = self.command.spawn().with_context(|| not_started(&self.command))?;
        // The command keeps the pipe's ends for writing: only without them does the reader see the end.
        drop(self.command);
        let mut last = std::collections::VecDeque::new();
        for line in BufReader::new(reader).split(b'\n') {
            let line = String::from_utf8_lossy(&line.context("reading a program's output")?).into_owned();
            writeln!(file, "{line}")?;
            watch(&line);
            last.push_back(line);
            if last.len() > TAIL {
                last.pop_front();
            }
        }
        let status = child.wait().with_context(|| format!("waiting for `{shown}`"))?;
        let tail = last.into_iter().collect::<Vec<_>>().join("\n");
        ended(&shown, status, &tail).with_context(|| format!("the whole output is in {}", log.display()))
    }

    /// Runs it with both outputs appended to `log`.
    pub(crate) fn log(self, log: &Path) -> Result<()> {
        self.watch(log, |_| {})
    }
}

/// Whether the caller is the administrator.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Where programs are looked for. Debian keeps sbin out of a user's PATH, where `chroot` is, and much that `dnf` calls.
fn search_path() -> OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/sbin:/sbin");
    path
}

/// Where a program is, as the shell would find it.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&search_path())
        .map(|dir| dir.join(program))
        .find(|path| path.is_file())
}

fn not_started(command: &Command) -> String {
    let program = command.get_program().to_string_lossy();
    format!("{program} does not start; `cargo xtask setup` installs what is missing")
}

fn ended(shown: &str, status: ExitStatus, printed: &str) -> Result<()> {
    if status.success() {
        return Ok(());
    }
    let tail = last_lines(printed, TAIL).join("\n    ");
    let shown = shorten(shown);
    if tail.is_empty() {
        bail!("`{shown}` ended with {status}")
    } else {
        bail!("`{shown}` ended with {status}:\n    {tail}")
    }
}

/// The last lines of a text, as many as are asked for.
pub(crate) fn last_lines(text: &str, most: usize) -> Vec<&str> {
    let mut lines = text.trim_end().lines().rev().take(most).collect::<Vec<_>>();
    lines.reverse();
    lines
}

/// The beginning of a command line that is too long to read.
fn shorten(shown: &str) -> String {
    const MOST: usize = 300;
    if shown.chars().count() <= MOST {
        return shown.to_owned();
    }
    let head = shown.chars().take(MOST).collect::<String>();
    format!("{head} ...")
}

fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=+,@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
pub(crate) mod tests;
