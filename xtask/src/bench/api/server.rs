//! Servers that are measured: child processes, ended when they are dropped.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};

use crate::process::Tool;

/// A server that answers.
pub(super) struct Server {
    child: Child,
    pub(super) address: String,
}

impl Server {
    /// Starts the farm's HTTP side; its first line is its address.
    pub(super) fn farm(program: &Path, database: &str, directory: &Path) -> Result<Self> {
        fs_err::create_dir_all(directory)?;
        let mut command = Command::new(program);
        command.arg(database).arg(directory).stdout(Stdio::piped());
        let mut server = Self::spawn(command, String::new())?;
        let output = server.child.stdout.take().context("no output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let address = line.trim();
        anyhow::ensure!(!address.is_empty(), "{} ended at once", program.display());
        address.clone_into(&mut server.address);
        Ok(server)
    }

    /// Starts a server that will serve at an address.
    pub(super) fn spawn(mut command: Command, address: String) -> Result<Self> {
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("{program} does not start"))?;
        Ok(Self { child, address })
    }

    /// Whether it has ended by itself.
    pub(super) fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// The seconds of CPU time that it and its children have had.
    pub(super) fn cpu(&self) -> Result<f64> {
        let own = self.child.id();
        let children = fs_err::read_to_string(format!("/proc/{own}/task/{own}/children"))?;
        let mut ticks = 0;
        for process in children.split_whitespace().chain([own.to_string().as_str()]) {
            let stat = fs_err::read_to_string(format!("/proc/{process}/stat"))?;
            ticks += ticks_of(&stat).with_context(|| format!("/proc/{process}/stat is odd"))?;
        }
        let in_a_second: f64 = Tool::new("getconf").arg("CLK_TCK").output()?.trim().parse()?;
        #[expect(clippy::cast_precision_loss, reason = "figures for people")]
        Ok(ticks as f64 / in_a_second)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        // It may have ended by itself.
        pid.and_then(|pid| kill_process(pid, Signal::TERM).ok());
        self.child.wait().ok();
    }
}

/// Those of a process in user and in kernel mode, the 14th and the 15th field. The second is a name in parentheses, which may hold anything.
fn ticks_of(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<u64>().ok();
    Some(next()? + next()?)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::{Server, ticks_of};

    #[test]
    fn the_ticks_of_a_process_are_found_behind_its_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194304 100 0 0 0 41 1 5 6 20 0 1 0 100 1 1";
        assert_eq!(ticks_of(stat), Some(42));
        assert_eq!(ticks_of("7 (a) S 1"), None);
        assert_eq!(ticks_of(""), None);
    }

    #[test]
    fn the_time_of_children_counts() {
        // The child ends with its parent, also where this test fails.
        let busy = "while kill -0 $PPID; do :; done 2>/dev/null";
        let mut command = Command::new("sh");
        command.args(["-c", "sh -c \"$1\" & wait", "sh", busy]);
        let server = Server::spawn(command, String::new()).expect("a shell");
        let begun = std::time::Instant::now();
        while server.cpu().expect("its time") < 0.05 {
            assert!(begun.elapsed().as_secs() < 60, "a busy child has no time");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    #[test]
    fn a_server_is_known_to_have_ended() {
        let mut server = Server::spawn(Command::new("true"), String::new()).expect("a program");
        while !server.has_ended().expect("whether it ended") {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let mut command = Command::new("sleep");
        command.arg("60");
        let mut server = Server::spawn(command, String::new()).expect("a server");
        assert!(!server.has_ended().expect("whether it ended"));
    }
}
