//! The peer: the list of builds served by Flask, SQLAlchemy and gunicorn, in a Python environment of their own.

use std::{
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use super::server::Server;
use crate::{
    cache::{Cache, write_atomically},
    process::Tool,
    progress::Step,
};

const PROGRAM: &str = include_str!("peer.py");
/// Every package with its version.
const REQUIREMENTS: &str = include_str!("peer-requirements.txt");
/// Says which packages are installed; written last.
const INSTALLED: &str = "installed.txt";
/// Debian's own Python, as for the other environment.
const PYTHON: &str = "/usr/bin/python3";

/// As many workers as processors, which is what the farm's server has, each with so many threads: only workers with threads keep
/// connections.
const THREADS: &str = "4";
const PATIENCE: Duration = Duration::from_secs(60);

/// Makes the environment, where it is missing or another one.
pub(super) fn install(cache: &Cache, install: bool) -> Result<()> {
    let _lock = cache.lock("bench-api-peer")?;
    let venv = cache.path("bench-api-peer");
    let mark = venv.join(INSTALLED);
    if fs_err::read_to_string(&mark).is_ok_and(|installed| installed == REQUIREMENTS) {
        return Ok(());
    }
    if !install {
        bail!("the peer's Python environment is missing; the same without --no-install makes it");
    }
    let step = Step::start("Python environment with Flask, SQLAlchemy and gunicorn");
    if venv.exists() {
        fs_err::remove_dir_all(&venv)?;
    }
    let log = cache.path("bench-api-peer.log");
    Tool::new(PYTHON).args(["-m", "venv"]).arg(&venv).log(&log)?;
    let requirements = venv.join("requirements.txt");
    write_atomically(&requirements, REQUIREMENTS.as_bytes())?;
    Tool::new(venv.join("bin/python3"))
        .args(["-m", "pip", "install", "--progress-bar=off", "--requirement"])
        .arg(&requirements)
        .log(&log)?;
    write_atomically(&mark, REQUIREMENTS.as_bytes())?;
    step.done(venv.display().to_string());
    Ok(())
}

/// Starts it over a database; the addresses in its answers begin with `public_url`.
pub(super) fn start(cache: &Cache, directory: &Path, database: &Path, public_url: &str) -> Result<Server> {
    fs_err::write(directory.join("peer.py"), PROGRAM)?;
    // Somebody else could take the port meanwhile; then it is not there in time, and says why.
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let log = fs_err::File::create(directory.join("peer.log"))?.into_parts().0;
    let workers = std::thread::available_parallelism()?.to_string();
    let mut command = Command::new(cache.path("bench-api-peer/bin/gunicorn"));
    command
        .args([
            "--worker-class",
            "gthread",
            "--workers",
            &workers,
            "--threads",
            THREADS,
        ])
        .args([
            "--keep-alive",
            "60",
            "--no-control-socket",
            "--bind",
            &address,
            "peer:app",
        ])
        .current_dir(directory)
        .env("DATABASE", database)
        .env("PUBLIC_URL", public_url)
        .stdout(Stdio::null())
        .stderr(log);
    let server = Server::spawn(command, address)?;
    let begun = Instant::now();
    while TcpStream::connect(&server.address).is_err() {
        if begun.elapsed() > PATIENCE {
            let log = fs_err::read_to_string(directory.join("peer.log"))?;
            return Err(anyhow::anyhow!(log)).context("the peer does not serve");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(server)
}
