//! A farm of the test's own: `verdigris up` in a temporary directory, on a free port.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

/// The chroot that tests build in.
pub(crate) const CHROOT: &str = "microdistro-1-x86_64";
/// How long anything may take on a busy machine before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// A running farm. Dropped, it is told to stop, and killed when it does not.
pub(crate) struct Farm {
    pub(crate) directory: TempDir,
    pub(crate) port: u16,
    process: Option<Child>,
}

/// Where `cargo xtask setup`, `image` and `microdistro` put what tests need.
pub(crate) fn cache() -> PathBuf {
    let from = |name: &str| std::env::var_os(name).map(PathBuf::from);
    from("VERDIGRIS_CACHE")
        .or_else(|| from("XDG_CACHE_HOME").map(|path| path.join("verdigris")))
        .or_else(|| from("HOME").map(|path| path.join(".cache/verdigris")))
        .expect("HOME is set")
}

/// A path in the cache that must be there.
pub(crate) fn cached(path: &str) -> PathBuf {
    let path = cache().join(path);
    assert!(
        path.exists(),
        "{} is missing: run `cargo xtask test` or `setup`, `image`, `microdistro`",
        path.display()
    );
    path
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// The program under test.
pub(crate) fn verdigris() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_verdigris"));
    command
        .env_remove("USER")
        .env("VERDIGRIS_LOG__FILTER", "info")
        .stdin(Stdio::null());
    command
}

impl Farm {
    /// Starts a farm and waits until it answers.
    pub(crate) fn start() -> Self {
        Self::start_with(|_| String::new())
    }

    /// Starts a farm whose `verdigris.toml` says what `settings` answers for its directory.
    pub(crate) fn start_with(settings: impl FnOnce(&Path) -> String) -> Self {
        let mut farm = Self {
            directory: tempfile::tempdir().unwrap(),
            port: free_port(),
            process: None,
        };
        let text = settings(&farm.path("data"));
        if !text.is_empty() {
            fs::create_dir(farm.path("data")).unwrap();
            fs::write(farm.path("data/verdigris.toml"), text).unwrap();
        }
        farm.up();
        farm
    }

    /// A place for the same farm on another disk, where nothing is yet.
    pub(crate) fn elsewhere(&self) -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            port: self.port,
            process: None,
        }
    }

    /// Starts the farm's process in the same directory as before.
    pub(crate) fn up(&mut self) {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path("farm.log"))
            .unwrap();
        let mut command = verdigris();
        command.arg("up").arg("--directory").arg(self.path("data"));
        // What the first start was told, every later one knows.
        if !self.path("data/fleet.yaml").exists() {
            let mirror = cached("microdistro/current/repo");
            command
                .args(["--listen", &format!("127.0.0.1:{}", self.port)])
                .args(["--builders", "3", "--idle", "1", "--image"])
                .arg(cached("images/builder/current"))
                .args(["--mirror", &format!("microdistro={}", mirror.display())]);
        }
        let child = command
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.process = Some(child);
        let started = Instant::now();
        // Any answer will do: a farm that is not well says so, and a test may want to hear it.
        while self.get("/health").is_none() {
            let ended = self.process.as_mut().and_then(|child| child.try_wait().unwrap());
            assert!(ended.is_none(), "the farm ended: {}", self.log());
            assert!(
                started.elapsed() < PATIENCE,
                "the farm does not answer: {}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Ends the farm as a power cut does.
    pub(crate) fn kill(&mut self) {
        let mut child = self.process.take().expect("the farm runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What the farm said so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("farm.log")).unwrap_or_default()
    }

    /// Ends the farm as Ctrl-C does; answers whether it ended well.
    pub(crate) fn stop(&mut self) -> bool {
        self.signal("INT");
        self.ends_within(Duration::from_secs(60))
    }

    /// Sends the farm's process a signal, if it runs.
    pub(crate) fn signal(&mut self, name: &str) {
        let Some(child) = &mut self.process else { return };
        if child.try_wait().unwrap().is_none() {
            let signalled = Command::new("kill")
                .args([format!("-{name}"), child.id().to_string()])
                .status()
                .unwrap();
            assert!(signalled.success());
        }
    }

    /// Waits until the farm's process has ended; whether it ended well, and by itself.
    pub(crate) fn ends_within(&mut self, limit: Duration) -> bool {
        let Some(mut child) = self.process.take() else {
            return true;
        };
        let started = Instant::now();
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status.success();
            }
            if started.elapsed() > limit {
                child.kill().unwrap();
                child.wait().unwrap();
                return false;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// One GET, without credentials; `None` when nothing listens.
    pub(crate) fn get(&self, path: &str) -> Option<(u16, String)> {
        get(self.port, path)
    }

    /// A GET whose answer is JSON.
    pub(crate) fn json(&self, path: &str) -> Value {
        let (status, body) = self.get(path).expect("the farm answers");
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    /// One of the operator's commands, which must succeed; what it prints.
    pub(crate) fn operate(&self, arguments: &[&str]) -> String {
        let output = verdigris()
            .args(arguments)
            .arg("--config")
            .arg(self.path("data/verdigris.toml"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// One of the operator's commands, which must fail; what it says.
    pub(crate) fn refused(&self, arguments: &[&str]) -> String {
        let output = verdigris()
            .args(arguments)
            .arg("--config")
            .arg(self.path("data/verdigris.toml"))
            .output()
            .unwrap();
        assert!(
            !output.status.success(),
            "{arguments:?}: {}",
            text(&output.stdout)
        );
        text(&output.stderr)
    }

    /// What `verdigris fleet status` says.
    pub(crate) fn fleet_status(&self) -> Value {
        serde_json::from_str(&self.operate(&["fleet", "status", "--json"])).unwrap()
    }

    /// copr-cli, unmodified, as the operator.
    pub(crate) fn copr_cli(&self, arguments: &[&str]) -> Output {
        Command::new(cached("venv/bin/copr-cli"))
            .arg("--config")
            .arg(self.path("data/copr.conf"))
            .args(arguments)
            .env("HOME", self.directory.path())
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// copr-cli, which must succeed; its output.
    pub(crate) fn copr(&self, arguments: &[&str]) -> String {
        let output = self.copr_cli(arguments);
        let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
        assert!(
            output.status.success(),
            "copr-cli {arguments:?}: {said}\n{}",
            self.log()
        );
        text(&output.stdout)
    }

    /// Submits a source package and answers the build's number.
    pub(crate) fn submit(&self, project: &str, package: &Path) -> i64 {
        let said = self.copr(&["build", "--nowait", project, package.to_str().unwrap()]);
        let number = said
            .lines()
            .find_map(|line| line.strip_prefix("Created builds: "))
            .expect("a build's number");
        number.trim().parse().unwrap()
    }

    pub(crate) fn state(&self, build: i64) -> String {
        self.json(&format!("/api_3/build/{build}"))["state"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Waits for a build's state.
    pub(crate) fn wait_for(&self, build: i64, wanted: &[&str]) -> String {
        self.wait_within(PATIENCE, build, wanted)
    }

    /// The same for what has a time of its own.
    pub(crate) fn wait_within(&self, patience: Duration, build: i64, wanted: &[&str]) -> String {
        let started = Instant::now();
        loop {
            let state = self.state(build);
            if wanted.contains(&state.as_str()) {
                return state;
            }
            let is_final = ["succeeded", "failed", "canceled", "skipped"].contains(&state.as_str());
            let late = started.elapsed() > patience;
            if is_final || late {
                panic!(
                    "build {build} is {state}, wanted {wanted:?}\n{}\n{}",
                    self.why(build),
                    self.log()
                );
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// All that the farm knows about a build's attempts.
    pub(crate) fn why(&self, build: i64) -> String {
        self.get(&format!("/api/builds/{build}/attempts"))
            .map(|(_, body)| body)
            .unwrap_or_default()
    }

    /// dnf with this project's repository and the base distribution, both checks on, on a scratch root.
    pub(crate) fn dnf(&self, project: &str, arguments: &[&str]) -> Output {
        dnf(self.directory.path(), &self.url(), project, arguments)
    }

    /// dnf with the projects that its plugin for Copr has enabled, and with that plugin.
    pub(crate) fn dnf_as_enabled(&self, arguments: &[&str]) -> Output {
        let [repositories, plugins] = ["repos.d", "plugins"].map(|name| self.path(name));
        for directory in [&repositories, &plugins.join("copr.d")] {
            fs::create_dir_all(directory).unwrap();
        }
        // The plugin's package brings one: without any file of settings it forgets what `--hub` says.
        fs::write(plugins.join("copr.conf"), "[main]\n").unwrap();
        let settings = format!(
            "reposdir={}\nplugins=1\npluginconfpath={}",
            repositories.display(),
            plugins.display()
        );
        dnf_with(self.directory.path(), &settings, "", arguments)
    }
}

impl Drop for Farm {
    fn drop(&mut self) {
        // Whatever is built is not waited for.
        self.signal("TERM");
        self.ends_within(Duration::from_secs(60));
    }
}

/// Waits until something is so.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < PATIENCE, "it never came: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// One GET by hand, so that nothing follows a redirect or repairs an answer.
pub(crate) fn get(port: u16, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n").ok()?;
    let mut reader = BufReader::new(stream);
    let mut status = String::new();
    reader.read_line(&mut status).ok()?;
    let status = status.split(' ').nth(1)?.parse().ok()?;
    let mut answer = String::new();
    reader.read_to_string(&mut answer).ok()?;
    let body = answer
        .split_once("\r\n\r\n")
        .map(|(_, body)| body.to_owned())
        .unwrap_or_default();
    Some((status, body))
}

/// dnf with a project's repository and the base distribution, both checks on, on a scratch root in `place`.
pub(crate) fn dnf(place: &Path, farm: &str, project: &str, arguments: &[&str]) -> Output {
    let results = format!("{farm}/results/admin/{project}");
    let repository = format!(
        "[farm]\nname=farm\nbaseurl={results}/{CHROOT}/\ngpgcheck=1\nrepo_gpgcheck=1\n\
         gpgkey={results}/pubkey.gpg\nmetadata_expire=0\n"
    );
    dnf_with(place, "reposdir=/dev/null\nplugins=0", &repository, arguments)
}

fn dnf_with(place: &Path, settings: &str, repository: &str, arguments: &[&str]) -> Output {
    let config = format!(
        "[main]\n{settings}\ncachedir={cache}\nlogdir={cache}\ninstall_weak_deps=0\n\
         [base]\nname=base\nbaseurl=file://{base}\ngpgcheck=0\n{repository}",
        cache = place.join("dnf-cache").display(),
        base = cached("microdistro/current/repo")
            .canonicalize()
            .unwrap()
            .display(),
    );
    fs::write(place.join("dnf.conf"), config).unwrap();
    Command::new("dnf")
        .args(["-y", "-q", "--releasever=1", "--setopt=persistdir=/var/lib/dnf"])
        .arg("-c")
        .arg(place.join("dnf.conf"))
        .arg(format!("--installroot={}", place.join("root").display()))
        .args(arguments)
        .env("HOME", place)
        .output()
        .unwrap()
}
