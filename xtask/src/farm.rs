//! A farm for the demo and the benchmarks: `verdigris up` as a child process, spoken to as a user would.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde_json::Value;

use crate::{
    cache::Cache,
    http::Client,
    process::{Tool, last_lines},
    setup, workspace,
};

pub(crate) use crate::microdistro::CHROOT;

/// Where the micro-distribution's repository is in the cache.
pub(crate) const REPOSITORY: &str = "microdistro/current/repo";
/// How long a farm may take to start, and a build to end.
const PATIENCE: Duration = Duration::from_secs(300);

/// A running farm. Dropped, it is told to stop.
pub(crate) struct Farm {
    process: Child,
    pub(crate) directory: PathBuf,
    pub(crate) port: u16,
    copr_cli: PathBuf,
}

impl Farm {
    /// Builds the program and starts a farm with an empty directory: `builders` is the most it may rent, `idle` how many it holds ready.
    pub(crate) fn start(cache: &Cache, directory: &Path, builders: u32, idle: u32) -> Result<Self> {
        Self::start_program(&workspace::program()?, cache, directory, (builders, idle))
    }

    /// Starts a farm of a program that is built already.
    pub(crate) fn start_program(
        program: &Path,
        cache: &Cache,
        directory: &Path,
        numbers: (u32, u32),
    ) -> Result<Self> {
        Self::start_on(&cache.path(REPOSITORY), program, cache, directory, numbers)
    }

    /// Starts it with another repository in the place of the micro-distribution's.
    pub(crate) fn start_on(
        mirror: &Path,
        program: &Path,
        cache: &Cache,
        directory: &Path,
        (builders, idle): (u32, u32),
    ) -> Result<Self> {
        fs_err::create_dir_all(directory)?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let log = fs_err::File::create(directory.join("farm.log"))?.into_parts().0;
        let process = Command::new(program)
            .args(["up", "--directory"])
            .arg(directory.join("data"))
            .args([
                "--listen",
                &format!("127.0.0.1:{port}"),
                "--builders",
                &builders.to_string(),
                "--idle",
                &idle.to_string(),
            ])
            .arg("--image")
            .arg(cache.path("images/builder/current"))
            .args(["--mirror", &format!("microdistro={}", mirror.display())])
            .env_remove("USER")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("starting the farm")?;
        let copr_cli = setup::python_tool(cache, "copr-cli");
        let mut farm = Self {
            process,
            directory: directory.to_owned(),
            port,
            copr_cli,
        };
        farm.wait_until_up()?;
        Ok(farm)
    }

    fn wait_until_up(&mut self) -> Result<()> {
        let started = Instant::now();
        while !self.get("/health").is_ok_and(|(status, _)| status == 200) {
            let ended = self.process.try_wait()?;
            if ended.is_some() || started.elapsed() > PATIENCE {
                bail!(
                    "the farm did not start: {}",
                    fs_err::read_to_string(self.directory.join("farm.log"))?
                );
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// copr-cli's configuration, as the farm wrote it.
    pub(crate) fn configuration(&self) -> PathBuf {
        self.directory.join("data/copr.conf")
    }

    /// Runs copr-cli; what it prints.
    pub(crate) fn copr_cli(&self, arguments: &[&str]) -> Result<String> {
        Tool::new(&self.copr_cli)
            .arg("--config")
            .arg(self.configuration())
            .args(arguments)
            .env("HOME", &self.directory)
            .output()
    }

    /// Submits a source package; the build's number.
    pub(crate) fn submit(&self, project: &str, package: &Path) -> Result<i64> {
        let said = self.copr_cli(&["build", "--nowait", project, &package.display().to_string()])?;
        build_number(&said).with_context(|| format!("copr-cli names no build: {said}"))
    }

    /// One GET; status and body.
    pub(crate) fn get(&self, path: &str) -> Result<(u16, String)> {
        self.get_with(path, "")
    }

    /// One GET with more header lines, each with its end of line.
    fn get_with(&self, path: &str, headers: &str) -> Result<(u16, String)> {
        let mut client = Client::connect(&format!("127.0.0.1:{}", self.port))?;
        let (status, body) = client.ask(path, headers)?;
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }

    /// A GET whose answer is JSON.
    pub(crate) fn json(&self, path: &str) -> Result<Value> {
        read_json(path, self.get(path)?)
    }

    /// All that happened in the farm, oldest first; `filter` is what else the query says, as in `&build=1`.
    pub(crate) fn events(&self, filter: &str) -> Result<Vec<Value>> {
        let mut events: Vec<Value> = Vec::new();
        loop {
            let last = events
                .last()
                .and_then(|event| event.get("id")?.as_i64())
                .unwrap_or(0);
            let answer = self.json_for_operators(&format!("/api/events?limit=1000&after={last}{filter}"))?;
            match answer.as_array() {
                Some(more) if !more.is_empty() => events.extend_from_slice(more),
                _ => return Ok(events),
            }
        }
    }

    /// A GET as the operator whose answer is JSON.
    pub(crate) fn json_for_operators(&self, path: &str) -> Result<Value> {
        let header = authorization(&fs_err::read_to_string(self.configuration())?);
        read_json(path, self.get_with(path, &header)?)
    }

    /// Runs a shell script as root on a builder that is ready, with a file as its standard input; what it prints.
    pub(crate) fn on_a_ready_builder(&self, script: &str, input: &Path) -> Result<String> {
        let builders = self.json_for_operators("/api/builders")?;
        let address = ready_builder(&builders).context("no builder is ready")?;
        let fleet = fs_err::read_to_string(self.directory.join("data/fleet.yaml"))?;
        let port = ssh_port(&fleet).context("fleet.yaml names no port")?;
        self.ssh(address, port).arg(script).input(input)?.output()
    }

    fn ssh(&self, address: &str, port: u16) -> Tool {
        let options = [
            "BatchMode=yes",
            "StrictHostKeyChecking=no",
            "LogLevel=ERROR",
            "UserKnownHostsFile=/dev/null",
        ];
        Tool::new("ssh")
            .args(options.iter().flat_map(|option| ["-o", option]))
            .arg("-i")
            .arg(self.directory.join("data/secrets/builders.ed25519"))
            .args(["-p", &port.to_string(), &format!("root@{address}")])
    }

    /// dnf on a scratch root beside the farm's directory, with a project's repository, both signature checks on, and
    /// the distribution it builds on.
    pub(crate) fn dnf(&self, cache: &Cache, project: &str, arguments: &[&str]) -> Result<()> {
        let base = cache.path(REPOSITORY).canonicalize()?;
        let results = format!("{}/results/admin/{project}", self.url());
        let config = dnf_configuration(&self.directory.join("dnf-cache"), &base, &results);
        let file = self.directory.join("dnf.conf");
        fs_err::write(&file, config)?;
        Tool::in_namespace("dnf")
            .args(["-y", "-q", "--releasever=1", "-c"])
            .arg(file)
            .arg(format!("--installroot={}", self.root().display()))
            .args(arguments)
            .env("HOME", &self.directory)
            .show()
    }

    /// The scratch root that dnf installs into.
    pub(crate) fn root(&self) -> PathBuf {
        self.directory.join("root")
    }

    /// Waits for a build's end, handing on each new line of its log; the state it ended in.
    pub(crate) fn follow(&self, build: i64, package: &str, mut show: impl FnMut(&str)) -> Result<String> {
        let log = format!("/results/admin/demo/{CHROOT}/{build:08}-{package}/builder-live.log");
        let started = Instant::now();
        let mut shown = 0;
        loop {
            let state = self.state(build)?;
            // 404 before there is a log, 416 when there is nothing new in it.
            if let (206, fresh) = self.get_with(&log, &format!("Range: bytes={shown}-\r\n"))? {
                let whole = whole_lines(&fresh);
                whole.lines().for_each(&mut show);
                shown += whole.len();
            }
            if is_over(&state) {
                return Ok(state);
            }
            if started.elapsed() > PATIENCE {
                bail!("build {build} is still {state} after {} s", PATIENCE.as_secs());
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// The state of a build.
    pub(crate) fn state(&self, build: i64) -> Result<String> {
        let found = self.json(&format!("/api_3/build/{build}"))?;
        Ok(found
            .get("state")
            .and_then(Value::as_str)
            .unwrap_or("unknown")
            .to_owned())
    }

    /// Waits until the farm ends, as Ctrl-C makes it.
    pub(crate) fn wait(&mut self) -> Result<()> {
        self.process.wait().map(drop).context("waiting for the farm")
    }

    /// What the farm wrote last.
    pub(crate) fn last_words(&self) -> String {
        let log = fs_err::read_to_string(self.directory.join("farm.log")).unwrap_or_default();
        last_lines(&log, 20).join("\n")
    }
}

impl Drop for Farm {
    fn drop(&mut self) {
        let pid = self.process.id().to_string();
        if self.process.try_wait().is_ok_and(|ended| ended.is_none()) {
            Tool::new("kill").args(["-INT", &pid]).succeeds();
            self.process.wait().ok(); // There is nobody left to tell.
        }
    }
}

/// The number of the build that copr-cli says it made.
fn build_number(said: &str) -> Option<i64> {
    let mut numbers = said
        .lines()
        .filter_map(|line| line.strip_prefix("Created builds: "));
    numbers.next()?.trim().parse().ok()
}

/// The header with the login and the token of copr-cli's configuration.
fn authorization(configuration: &str) -> String {
    let setting = |name: &str| {
        let mut settings = configuration.lines().filter_map(|line| line.split_once('='));
        let found = settings.find(|(key, _)| key.trim() == name);
        found.map_or("", |(_, value)| value.trim())
    };
    let credentials = BASE64.encode(format!("{}:{}", setting("login"), setting("token")));
    format!("Authorization: Basic {credentials}\r\n")
}

/// The address of the first builder that is ready.
fn ready_builder(builders: &Value) -> Option<&str> {
    builders.as_array()?.iter().find_map(|builder| {
        let text = |name: &str| builder.get(name).and_then(Value::as_str);
        text("address").filter(|_| text("state") == Some("ready"))
    })
}

/// The port for SSH in the fleet's description.
fn ssh_port(fleet: &str) -> Option<u16> {
    let (_, rest) = fleet.split_once("port: ")?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next();
    digits?.parse().ok()
}

/// dnf's configuration: the distribution, and a project's repository with both signature checks on.
fn dnf_configuration(cache: &Path, base: &Path, results: &str) -> String {
    format!(
        "[main]\nreposdir=/dev/null\nplugins=0\ncachedir={0}\nlogdir={0}\ninstall_weak_deps=0\n\
         [base]\nname=base\nbaseurl=file://{1}\ngpgcheck=0\n\
         [farm]\nname=farm\nbaseurl={results}/{CHROOT}/\ngpgcheck=1\nrepo_gpgcheck=1\ngpgkey={results}/pubkey.gpg\n",
        cache.display(),
        base.display()
    )
}

/// Whether a build of this state has ended.
pub(crate) fn is_over(state: &str) -> bool {
    ["succeeded", "failed", "canceled", "skipped"].contains(&state)
}

/// The text up to its last end of line.
fn whole_lines(text: &str) -> &str {
    text.rfind('\n')
        .and_then(|end| text.get(..=end))
        .unwrap_or_default()
}

fn read_json(path: &str, (status, body): (u16, String)) -> Result<Value> {
    if status != 200 {
        bail!("{path} answers {status}: {body}");
    }
    serde_json::from_str(&body).with_context(|| format!("{path} answers no JSON"))
}

#[cfg(test)]
mod tests;
