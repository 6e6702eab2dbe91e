//! What the real Ansible is given for one run: a folder of its own, which goes with the run. In it are the playbooks as they
//! were loaded, the private key, the host key and all settings, so that it reads nothing of the user's.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use tokio::process::Command;

use super::EVENTS;
use crate::error::Error;
use crate::folder::File;
use crate::report::Mode;
use crate::scratch::Scratch;
use crate::target::{Request, Target};

/// Seconds after which a connection without use ends by itself, should nobody end it.
const PERSIST: u32 = 15;

/// The folder of one run.
pub(super) struct Folder(Scratch);

impl Folder {
    /// Makes it, for its user alone.
    pub(super) fn new() -> Result<Self, Error> {
        Ok(Self(Scratch::new()?))
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path(name)
    }

    /// Where the playbooks are.
    pub(super) fn playbooks(&self) -> PathBuf {
        self.path("playbooks")
    }

    /// Where connections wait for the next task.
    pub(super) fn sockets(&self) -> PathBuf {
        self.path("ssh")
    }

    /// Writes all that one run needs.
    pub(super) fn fill(
        &self,
        files: &[File],
        target: &Target,
        vars: &Map<String, Value>,
    ) -> Result<(), Error> {
        let key = target.key.private_openssh().map_err(Error::Unreachable)?;
        let endpoint = &target.endpoint;
        let known = match endpoint.port {
            22 => format!("{} {}\n", endpoint.host, target.host_key),
            port => format!("[{}]:{port} {}\n", endpoint.host, target.host_key),
        };
        let machine = json!({
            "ansible_host": endpoint.host, "ansible_port": endpoint.port, "ansible_user": endpoint.user,
            "ansible_ssh_private_key_file": self.path("key"),
        });
        let inventory = json!({ "all": { "hosts": { &endpoint.host: machine } } });
        let texts = [
            ("ansible.cfg", "[defaults]\n".to_owned()),
            ("callback/verdigris.py", EVENTS.to_owned()),
            ("inventory.json", inventory.to_string()),
            ("key", key),
            ("known_hosts", known),
            ("vars.json", Value::Object(vars.clone()).to_string()),
        ];
        for (name, text) in texts {
            self.write(Path::new(name), text.as_bytes(), 0o600)?;
        }
        for file in files {
            let mode = if file.executable { 0o700 } else { 0o600 };
            self.write(&Path::new("playbooks").join(&file.path), &file.content, mode)?;
        }
        for name in ["home", "ssh", "tmp"] {
            self.made(Path::new(name), make_directory)?;
        }
        Ok(())
    }

    fn write(&self, name: &Path, content: &[u8], mode: u32) -> Result<(), Error> {
        self.made(name, |path| {
            path.parent().map_or(Ok(()), make_directory)?;
            let mut options = OpenOptions::new();
            let mut file = options.write(true).create_new(true).mode(mode).open(path)?;
            file.write_all(content)
        })
    }

    fn made(&self, name: &Path, make: impl FnOnce(&Path) -> io::Result<()>) -> Result<(), Error> {
        let path = self.0.root().join(name);
        make(&path).map_err(|cause| Error::File {
            path,
            why: "it cannot be written",
            cause,
        })
    }

    /// The command of the run, with an environment of its own.
    pub(super) fn command(&self, program: &Path, request: &Request<'_>) -> Command {
        let mut command = Command::new(program);
        let vars = format!("@{}", self.path("vars.json").display());
        command
            .arg("--inventory")
            .arg(self.path("inventory.json"))
            .args(["--extra-vars", &vars]);
        if let Some(tag) = request.part {
            command.args(["--tags", tag]);
        }
        if request.mode == Mode::Check {
            command.args(["--check", "--diff"]);
        }
        command
            .arg(self.playbooks().join(request.playbook))
            .current_dir(self.0.root())
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .envs(self.variables());
        command
    }

    fn variables(&self) -> Vec<(&'static str, String)> {
        let path = |name: &str| self.path(name).display().to_string();
        let ssh = format!(
            "-F /dev/null -o UserKnownHostsFile={} -o GlobalKnownHostsFile=/dev/null -o StrictHostKeyChecking=yes \
             -o UpdateHostKeys=no -o IdentitiesOnly=yes -o IdentityAgent=none -o ControlMaster=auto \
             -o ControlPersist={PERSIST}s",
            path("known_hosts")
        );
        vec![
            ("ANSIBLE_CALLBACK_PLUGINS", path("callback")),
            ("ANSIBLE_CONFIG", path("ansible.cfg")),
            ("ANSIBLE_DEPRECATION_WARNINGS", "False".to_owned()),
            ("ANSIBLE_FORKS", "1".to_owned()),
            ("ANSIBLE_HOME", path("home")),
            ("ANSIBLE_HOST_KEY_CHECKING", "True".to_owned()),
            ("ANSIBLE_LOCAL_TEMP", path("tmp")),
            ("ANSIBLE_NOCOLOR", "1".to_owned()),
            ("ANSIBLE_PIPELINING", "True".to_owned()),
            ("ANSIBLE_PYTHON_INTERPRETER", "auto_silent".to_owned()),
            ("ANSIBLE_SSH_ARGS", ssh),
            ("ANSIBLE_SSH_CONTROL_PATH_DIR", path("ssh")),
            ("ANSIBLE_STDOUT_CALLBACK", "verdigris".to_owned()),
            ("HOME", path("home")),
            ("LC_ALL", "C.UTF-8".to_owned()),
            ("PYTHONDONTWRITEBYTECODE", "1".to_owned()),
            ("TMPDIR", path("tmp")),
        ]
    }
}

fn make_directory(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(test)]
mod tests;
