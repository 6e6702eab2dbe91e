//! How long `builder.yml` takes by our runner and by the real `ansible-playbook`, on fresh throwaway hosts: run by
//! `cargo xtask bench provision`. Needs root, as the hosts do.
#![expect(clippy::print_stdout, reason = "it is a program that tells figures")]
#![expect(
    clippy::expect_used,
    reason = "the hosts are those of the tests, and fail as they do"
)]
#![expect(
    clippy::panic,
    reason = "the hosts are those of the tests, and fail as they do"
)]

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use provisioner::{Ansible, Mode, PlaybookRunner, Provisioner, Request};
use serde_json::{Map, Value, json};

#[path = "../../tests/it/throwaway.rs"]
#[expect(dead_code, reason = "the tests use the rest of it")]
mod throwaway;

use throwaway::Throwaway;

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

/// How long one play may take, also on a machine that does other things as well.
const PATIENCE: Duration = Duration::from_secs(1800);

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [runs, program] = arguments.as_slice() else {
        return Err("expected: provision RUNS ANSIBLE-PLAYBOOK".into());
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let ours = Arc::new(Provisioner::load(
        &root.join("playbooks"),
        &root.join("provision-files"),
    )?);
    let theirs = Ansible::new(Arc::clone(&ours), Some(program))?;
    // By turns, so that what else the machine does meets both.
    for _ in 0..runs.parse()? {
        measure("ours", ours.as_ref()).await?;
        measure("ansible", &theirs).await?;
    }
    Ok(())
}

/// Makes a fresh host a builder, and plays again on it, when nothing is left to change. Prints a line for each.
async fn measure(name: &str, runner: &dyn PlaybookRunner) -> Result<()> {
    let host = Throwaway::start();
    let vars = variables();
    for case in ["fresh", "again"] {
        let request = Request {
            playbook: "builder.yml",
            vars: &vars,
            mode: Mode::Apply,
            limit: PATIENCE,
            part: None,
            progress: None,
        };
        let begun = Instant::now();
        let report = runner.play(&host.target(), &request).await?;
        let seconds = begun.elapsed().as_secs_f64();
        let line = json!({
            "runner": name, "case": case, "seconds": seconds, "tasks": report.tasks.len(), "changed": report.changed(),
        });
        println!("{line}");
    }
    Ok(())
}

/// What a pool with two chroots gives its builders.
fn variables() -> Map<String, Value> {
    let chroot = |name: &str| {
        json!({
            "name": name, "os": "bench", "release": "1", "arch": "x86_64",
            "base": [{ "id": "base", "name": "base", "baseurl": "http://127.0.0.1/repo", "gpgcheck": false, "gpgkey": null }],
            "buildroot_packages": ["buildroot"], "macros": {},
        })
    };
    let chroots = [chroot("bench-1-x86_64"), chroot("bench-2-x86_64")];
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti bench";
    throwaway::object(json!({
        "fleet": "bench", "pool": "bench", "builder": "bdr-1", "ssh_keys": [key], "chroots": chroots,
    }))
}
