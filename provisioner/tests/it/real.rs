//! The real ansible-playbook, of the version that `cargo xtask setup` installs.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Where `cargo xtask setup` puts Python programs.
pub(crate) fn program() -> PathBuf {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let cache = variable("VERDIGRIS_CACHE")
        .or_else(|| variable("XDG_CACHE_HOME").map(|cache| cache.join("verdigris")))
        .or_else(|| variable("HOME").map(|home| home.join(".cache/verdigris")))
        .expect("HOME is set");
    let program = cache.join("venv/bin/ansible-playbook");
    let hint = "run `cargo xtask setup` (pip install 'ansible-core==2.19.*' into a venv there)";
    assert!(program.exists(), "this test needs {}: {hint}", program.display());
    program
}

/// Runs a playbook with these arguments and with settings of its own, which it writes below `scratch`.
pub(crate) fn ansible_playbook(scratch: &Path, arguments: &[&str], playbook: &Path) -> Output {
    let settings = scratch.join("ansible.cfg");
    std::fs::write(&settings, "[defaults]\n").expect("a file");
    Command::new(program())
        .args(arguments)
        .args(["-e", "ansible_python_interpreter=/usr/bin/python3"])
        .arg(playbook)
        .env("ANSIBLE_CONFIG", settings)
        .env("ANSIBLE_HOST_KEY_CHECKING", "False")
        .env("ANSIBLE_PIPELINING", "True")
        .env("ANSIBLE_DEPRECATION_WARNINGS", "False")
        .env("ANSIBLE_LOCAL_TEMP", scratch)
        .env("ANSIBLE_HOME", scratch)
        .env("ANSIBLE_SSH_CONTROL_PATH_DIR", scratch)
        .env(
            "ANSIBLE_SSH_ARGS",
            // One connection for all tasks of a run, which ends soon after it.
            "-F /dev/null -o UserKnownHostsFile=/dev/null -o ControlMaster=auto -o ControlPersist=5s",
        )
        .env("ANSIBLE_NOCOLOR", "1")
        .env("LC_ALL", "C.UTF-8")
        .output()
        .expect("ansible-playbook starts")
}
