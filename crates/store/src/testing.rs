//! What tests of databases need, here and in other crates: a disk that is soon full, and a PostgreSQL server with its own
//! data directory, on a free port of loopback, with no socket elsewhere, gone with the value. Everything here blocks; it is for
//! tests only.
//!
//! PostgreSQL refuses to run as root, so that root runs it as `postgres`, or as `nobody` where there is no
//! such user.

use std::{
    fs::File,
    io,
    net::TcpListener,
    os::unix::{fs::chown, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread::sleep,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;

pub use crate::database::seam::{Fate, Seam};
pub use small_disk::SmallDisk;

mod small_disk;

/// How long the server may take to answer.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How often a port is chosen anew, when another program took it meanwhile.
const TRIES: u32 = 5;
const USER: &str = "verdigris";
/// What has to be in one place: a distribution may link only some of them into `PATH`.
const PROGRAMS: [&str; 4] = ["initdb", "postgres", "createdb", "psql"];

/// Why there is no server, or no disk.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// PostgreSQL is not installed.
    #[error("PostgreSQL's programs are not installed: run `cargo xtask setup`")]
    NotInstalled,
    /// A program of PostgreSQL failed.
    #[error("`{program}` failed: {output}")]
    Failed {
        program: String,
        /// What it wrote.
        output: String,
    },
    /// The server does not serve in time.
    #[error("PostgreSQL was not ready in time; it wrote: {output}")]
    NotReady {
        /// Its log.
        output: String,
    },
    /// The system refused something.
    #[error("cannot {what}")]
    System {
        /// What was tried, as a verb and its object.
        what: &'static str,
        #[source]
        source: io::Error,
    },
}

/// A PostgreSQL server.
#[derive(Debug)]
pub struct PostgresServer {
    directory: TempDir,
    programs: PathBuf,
    port: u16,
    child: Option<Child>,
    databases: AtomicU32,
}

fn system(what: &'static str) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::System { what, source }
}

/// Where PostgreSQL's programs are: together somewhere in `PATH`, or in the newest of Debian's places.
fn programs() -> Result<PathBuf, Error> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .collect();
    places.sort_by_key(|place| std::cmp::Reverse(version(place)));
    std::env::split_paths(&path)
        .chain(places)
        .find(|place| PROGRAMS.iter().all(|program| place.join(program).is_file()))
        .ok_or(Error::NotInstalled)
}

/// 15 of `/usr/lib/postgresql/15/bin`.
fn version(place: &Path) -> Option<u32> {
    place.parent()?.file_name()?.to_str()?.parse().ok()
}

/// The user and group to run as, when this is root.
fn other_user() -> Option<(u32, u32)> {
    if !geteuid().is_root() {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let postgres = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let is_it = fields.next() == Some("postgres");
        let (user, group) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
        is_it.then_some((user, group))
    });
    Some(postgres.unwrap_or((65_534, 65_534)))
}

fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    // Where the user may be; what the environment says must not reach the server.
    command
        .current_dir("/")
        .env_clear()
        .env("LC_ALL", "C")
        .stdin(Stdio::null());
    if let Some((user, group)) = other_user() {
        command.uid(user).gid(group);
    }
    command
}

fn run(command: &mut Command) -> Result<(), Error> {
    let output = command.output().map_err(system("run a program of PostgreSQL"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::Failed {
        program: command.get_program().to_string_lossy().into_owned(),
        output: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

impl PostgresServer {
    /// Makes a server and waits until it answers.
    ///
    /// # Errors
    ///
    /// [`Error::NotInstalled`], or what the system said.
    pub fn start() -> Result<Self, Error> {
        let programs = programs()?;
        let directory = tempfile::Builder::new()
            .prefix("verdigris-postgres-")
            .tempdir()
            .map_err(system("make a temporary directory"))?;
        if let Some((user, group)) = other_user() {
            chown(directory.path(), Some(user), Some(group)).map_err(system("give a directory away"))?;
        }
        run(command(&programs.join("initdb"))
            .args([
                "--no-sync",
                "--no-instructions",
                "--encoding=UTF8",
                "--auth=trust",
                "--username",
                USER,
                "-D",
            ])
            .arg(directory.path().join("data")))?;
        let mut server = Self {
            directory,
            programs,
            port: 0,
            child: None,
            databases: AtomicU32::new(0),
        };
        let mut tries = 0;
        loop {
            server.port = free_port()?;
            match server.restart() {
                Ok(()) => return Ok(server),
                // It ended at once, as it does when another program has taken the port meanwhile.
                Err(Error::Failed { .. }) if tries < TRIES => tries += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Starts the server again after [`PostgresServer::stop`], on the same port with the same data.
    ///
    /// # Errors
    ///
    /// When it does not answer in time, with what it wrote.
    pub fn restart(&mut self) -> Result<(), Error> {
        self.stop();
        let log_path = self.directory.path().join("log");
        let log = File::create(&log_path).map_err(system("make the server's log"))?;
        let errors = log.try_clone().map_err(system("make the server's log"))?;
        let mut command = command(&self.programs.join("postgres"));
        command.arg("-D").arg(self.directory.path().join("data"));
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string()]);
        for setting in [
            "unix_socket_directories=",
            "fsync=off",
            "synchronous_commit=off",
            "full_page_writes=off",
            "max_connections=200",
        ] {
            command.args(["-c", setting]);
        }
        let child = command
            .stdout(log)
            .stderr(errors)
            .spawn()
            .map_err(system("start PostgreSQL"))?;
        self.child = Some(child);
        let began = Instant::now();
        loop {
            // What our own server writes: an answer at the port could be another program's.
            if self.says_ready() {
                return Ok(());
            }
            let has_ended = self
                .child
                .as_mut()
                .is_none_or(|child| !matches!(child.try_wait(), Ok(None)));
            let is_late = began.elapsed() > START_LIMIT;
            if has_ended || is_late {
                self.stop();
                let output = std::fs::read_to_string(&log_path).unwrap_or_default();
                return Err(if is_late {
                    Error::NotReady { output }
                } else {
                    Error::Failed {
                        program: "postgres".to_owned(),
                        output,
                    }
                });
            }
            sleep(Duration::from_millis(10));
        }
    }

    /// Whether the last line of `postmaster.pid` is the word that the server serves.
    fn says_ready(&self) -> bool {
        let path = self.directory.path().join("data/postmaster.pid");
        let state = std::fs::read_to_string(path).unwrap_or_default();
        state
            .lines()
            .last()
            .is_some_and(|line| line.trim_end() == "ready")
    }

    /// Stops the server at once, connections or not; its data stay.
    pub fn stop(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        // It may have ended by itself, in which case there is nobody to tell.
        pid.and_then(|pid| kill_process(pid, Signal::INT).ok());
        child.wait().ok();
    }

    /// The address of a new, empty database.
    ///
    /// # Errors
    ///
    /// When the server refuses to make it.
    pub fn new_database(&self) -> Result<String, Error> {
        let name = format!("farm_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        run(self.client("createdb").args(["-T", "template0", &name]))?;
        Ok(format!("postgres://{USER}@127.0.0.1:{}/{name}", self.port))
    }

    /// Runs statements in a database, as its owner, until one fails.
    ///
    /// # Errors
    ///
    /// With what the server said.
    pub fn execute(&self, database: &str, statements: &str) -> Result<(), Error> {
        let mut command = command(&self.programs.join("psql"));
        command.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", database]);
        run(command.args(["-c", statements]))
    }

    fn client(&self, program: &str) -> Command {
        let mut command = command(&self.programs.join(program));
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", USER]);
        command
    }
}

fn free_port() -> Result<u16, Error> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(system("find a free port"))?;
    Ok(listener.local_addr().map_err(system("find a free port"))?.port())
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.stop();
    }
}
