//! The peer: the list of builds served by Flask, SQLAlchemy and gunicorn, in a Python environment of their own.

use std::{
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use super::server::Server;
use crate::{cache::Cache, progress::Step, python::Environment};

const PROGRAM: &str = include_str!("peer.py");
/// Every package with its version.
const REQUIREMENTS: &str = include_str!("peer-requirements.txt");
/// As many workers as processors, which is what the farm's server has, each with so many threads: only workers with threads keep
/// connections.
const THREADS: &str = "4";
const PATIENCE: Duration = Duration::from_secs(60);

/// Makes the environment, where it is missing or another one.
pub(super) fn install(cache: &Cache, install: bool) -> Result<()> {
    let _lock = cache.lock("bench-api-peer")?;
    let environment = Environment {
        place: &cache.path("bench-api-peer"),
        requirements: REQUIREMENTS,
    };
    if environment.is_complete() {
        return Ok(());
    }
    if !install {
        bail!("the peer's Python environment is missing; the same without --no-install makes it");
    }
    let step = Step::start("Python environment with Flask, SQLAlchemy and gunicorn");
    environment.install(&cache.path("bench-api-peer.log"), |_| {})?;
    step.done(environment.place.display().to_string());
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
    let threads = ["--worker-class", "gthread", "--threads", THREADS];
    command
        .args(threads)
        .args(["--workers", &workers, "--keep-alive", "60"])
        .args(["--no-control-socket", "--bind", &address, "peer:app"])
        .current_dir(directory)
        .env("DATABASE", database)
        .env("PUBLIC_URL", public_url)
        .stdout(Stdio::null())
        .stderr(log);
    let mut server = Server::spawn(command, address)?;
    let begun = Instant::now();
    while TcpStream::connect(&server.address).is_err() {
        if server.has_ended()? || begun.elapsed() > PATIENCE {
            let log = fs_err::read_to_string(directory.join("peer.log"))?;
            return Err(anyhow::anyhow!(log)).context("the peer does not serve");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(server)
}

#[cfg(test)]
mod tests {
    use super::{PATIENCE, install, start};
    use crate::{cache::Cache, process::tests::program};

    /// Says how it was started, and serves nothing but its port.
    const GUNICORN: &str = "#!/usr/bin/python3
import os, socket, sys
host, port = sys.argv[sys.argv.index('--bind') + 1].split(':')
print(*sys.argv[1:], os.environ['DATABASE'], os.environ['PUBLIC_URL'], os.path.exists('peer.py'), file=sys.stderr, flush=True)
listener = socket.create_server((host, int(port)))
while True:
    listener.accept()
";

    #[test]
    fn the_peer_is_there_when_it_takes_connections() {
        let place = tempfile::tempdir().unwrap();
        let cache = Cache::at(&place.path().join("cache")).unwrap();
        program(&cache.path("bench-api-peer/bin/gunicorn"), GUNICORN);
        let database = place.path().join("data.sqlite");
        let server = start(&cache, place.path(), &database, "http://farm").unwrap();
        let log = fs_err::read_to_string(place.path().join("peer.log")).unwrap();
        assert!(
            log.starts_with("--worker-class gthread --threads 4 --workers "),
            "{log}"
        );
        let (address, database) = (&server.address, database.display());
        let end = format!("--no-control-socket --bind {address} peer:app {database} http://farm True\n");
        assert!(log.ends_with(&end), "{log}");
    }

    #[test]
    fn a_peer_that_ends_at_once_says_why() {
        let place = tempfile::tempdir().unwrap();
        let cache = Cache::at(&place.path().join("cache")).unwrap();
        program(
            &cache.path("bench-api-peer/bin/gunicorn"),
            "#!/bin/sh\necho no module >&2; exit 3\n",
        );
        let begun = std::time::Instant::now();
        let error = start(&cache, place.path(), place.path(), "http://farm")
            .err()
            .unwrap();
        assert_eq!(format!("{error:#}"), "the peer does not serve: no module\n");
        assert!(begun.elapsed() < PATIENCE, "nobody waits for it");
    }

    #[test]
    fn nothing_is_installed_unasked() {
        let place = tempfile::tempdir().unwrap();
        let cache = Cache::at(place.path()).unwrap();
        let error = install(&cache, false).unwrap_err().to_string();
        assert!(error.contains("without --no-install"), "{error}");
        assert!(!cache.path("bench-api-peer").exists());
    }
}
