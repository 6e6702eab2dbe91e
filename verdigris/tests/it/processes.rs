//! The farm as several processes with one database, with devcloud as another that knows nothing of them.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
    time::Instant,
};

use store::testing::PostgresServer;

use crate::{
    clouds::{Running, beside, ledger},
    documentation::blocks,
    farm::{CHROOT, PATIENCE, cached, dnf, eventually, free_port, get, text, verdigris},
    packages::{SLOW, source_package},
};

pub(crate) struct Processes {
    pub(crate) directory: tempfile::TempDir,
    api_port: u16,
    pub(crate) cloud_port: u16,
}

impl Processes {
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write_settings(&self, database: &str, image: &str) {
        let directory = self.directory.path().display();
        let mirror = cached("microdistro/current/repo").canonicalize().unwrap();
        let settings = format!(
            "[database]\nurl = \"{database}\"\n[http]\nlisten = \"127.0.0.1:{}\"\n\
             builder_url = \"http://10.88.0.1:80\"\nmirrors = {{ microdistro = \"{}\" }}\n\
             [storage]\ndirectory = \"{directory}/data\"\n[fleet]\nfile = \"{directory}/fleet.yaml\"\n\
             [worker]\nname = \"worker-1\"\n",
            self.api_port,
            mirror.display()
        );
        fs::write(self.path("verdigris.toml"), settings).unwrap();
        let port = devcloud::config::default_ssh_port();
        let fleet = format!(
            r#"
schema: 1
fleet: 019a0000-0000-7000-8000-000000000002
name: processes
controller:
  tick: {{min: 150ms, max: 1s}}
clouds:
  devcloud:
    kind: ec2
    region: dev-1
    endpoint: http://127.0.0.1:{cloud}
    credentials: {{source: environment}}
images:
  builder: {{cloud: devcloud, id: {image}}}
provision:
  base: {{connect: {{port: {port}}}}}
pools:
  x86:
    labels: ["arch:x86_64"]
    image: builder
    provision: base
    size: {{max: 2, idle: 1}}
    offerings: [{{types: [c7i.xlarge]}}]
"#,
            cloud = self.cloud_port
        );
        fs::write(self.path("fleet.yaml"), fleet).unwrap();
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = verdigris();
        command
            .args(arguments)
            .arg("--config")
            .arg(self.path("verdigris.toml"));
        command
            .env("AWS_ACCESS_KEY_ID", "KEY")
            .env("AWS_SECRET_ACCESS_KEY", "secret-of-the-test");
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    pub(crate) fn spawn(&self, role: &str) -> Running {
        self.spawn_as(role, role)
    }

    /// The same, with a log of its own.
    pub(crate) fn spawn_as(&self, role: &str, name: &str) -> Running {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path(&format!("{name}.log")))
            .unwrap();
        Running(
            self.command(&[role])
                .stdout(Stdio::null())
                .stderr(log)
                .spawn()
                .unwrap(),
        )
    }

    /// Waits for the state of the only build.
    fn wait_for(&self, wanted: &str) {
        self.wait_for_build(1, wanted);
    }

    /// Waits for the state of a build.
    pub(crate) fn wait_for_build(&self, build: i64, wanted: &str) {
        let mut state = String::new();
        let started = Instant::now();
        eventually(&format!("the build is {wanted}, or over"), || {
            assert!(
                started.elapsed() < PATIENCE,
                "build {build} is {state}: {}",
                self.logs()
            );
            let (_, body) = get(self.api_port, &format!("/api_3/build/{build}")).unwrap();
            let body: serde_json::Value = serde_json::from_str(&body).unwrap();
            body["state"].as_str().unwrap().clone_into(&mut state);
            [wanted, "succeeded", "failed"].contains(&state.as_str())
        });
        assert_eq!(state, wanted, "{}", self.logs());
    }

    pub(crate) fn wait_for_api(&self) {
        eventually("the api answers", || {
            get(self.api_port, "/health").is_some_and(|(status, _)| status == 200)
        });
    }

    /// Makes a project and submits the only build.
    fn submit_slow_package(&self) {
        self.copr(&["create", "demo", "--chroot", CHROOT]);
        let package = source_package(self.directory.path(), SLOW);
        self.copr(&["build", "--nowait", "demo", package.to_str().unwrap()]);
    }

    /// Runs copr-cli.
    pub(crate) fn copr(&self, arguments: &[&str]) {
        let output = Command::new(cached("venv/bin/copr-cli"))
            .arg("--config")
            .arg(self.path("copr.conf"))
            .args(arguments)
            .env("HOME", self.directory.path())
            .output()
            .unwrap();
        let said = text(&output.stderr);
        assert!(output.status.success(), "{said}\n{}", self.logs());
    }

    /// Asks something of the fleet that is to come about, or is so already; the answer.
    pub(crate) fn ask(&self, arguments: &[&str]) -> serde_json::Value {
        self.answer(arguments, &[Some(0), Some(3)])
    }

    /// Asks something of the fleet that a controller takes up, and may have done already when this is told.
    pub(crate) fn ask_for(&self, arguments: &[&str]) -> serde_json::Value {
        self.answer(arguments, &[Some(0), Some(2), Some(3)])
    }

    fn answer(&self, arguments: &[&str], codes: &[Option<i32>]) -> serde_json::Value {
        self.answer_of(self.command(&[&["fleet"], arguments].concat()), codes)
    }

    fn answer_of(&self, mut command: Command, codes: &[Option<i32>]) -> serde_json::Value {
        let output = command.output().unwrap();
        let (said, told) = (text(&output.stdout), text(&output.stderr));
        let code = output.status.code();
        assert!(
            codes.contains(&code),
            "{command:?}: {said}{told}\n{}",
            self.logs()
        );
        serde_json::from_str(&said).unwrap()
    }

    /// Runs a command line of the crontab as cron does, with the settings in the environment, and with what is said besides; the
    /// answer of one that came about.
    fn cron(&self, line: &str, besides: &[&str]) -> serde_json::Value {
        let arguments = line.strip_prefix("verdigris ").unwrap().split_whitespace();
        let mut command = verdigris();
        command.args(arguments).args(besides);
        command
            .env("VERDIGRIS_CONFIG", self.path("verdigris.toml"))
            .env("AWS_ACCESS_KEY_ID", "KEY")
            .env("AWS_SECRET_ACCESS_KEY", "secret-of-the-test");
        self.answer_of(command, &[Some(0), Some(3)])
    }

    /// How the fleet stands.
    pub(crate) fn status(&self) -> serde_json::Value {
        let status = self.run(&["fleet", "status", "--json"]);
        serde_json::from_str(&status).unwrap()
    }

    /// The states of the builders that live.
    pub(crate) fn states(&self) -> Vec<String> {
        let status = self.status();
        let builders = status["builders"].as_array().unwrap();
        let state = |builder: &serde_json::Value| builder["state"].as_str().unwrap().to_owned();
        builders.iter().map(state).collect()
    }

    pub(crate) fn log(&self, name: &str) -> String {
        fs::read_to_string(self.path(&format!("{name}.log"))).unwrap_or_default()
    }

    pub(crate) fn logs(&self) -> String {
        let roles = ["devcloud", "api", "controller", "worker"];
        roles.map(|role| self.log(role)).join("\n----\n")
    }
}

/// A farm with devcloud running and a database with a user and a chroot, and no process of the farm's own.
pub(crate) fn prepared(database: &str) -> (Processes, Running) {
    let farm = Processes {
        directory: tempfile::tempdir().unwrap(),
        api_port: free_port(),
        cloud_port: free_port(),
    };
    let image = cached("images/builder/current").canonicalize().unwrap();
    let log = fs::File::create(farm.path("devcloud.log")).unwrap();
    let cloud = Command::new(beside("devcloud"))
        .arg("serve")
        .arg("--state")
        .arg(farm.path("cloud"))
        .arg("--image")
        .arg(&image)
        .args(["--listen", &format!("127.0.0.1:{}", farm.cloud_port)])
        .args(["--access-key", "KEY", "--secret-key", "secret-of-the-test"])
        .args(["--forward", &format!("80=127.0.0.1:{}", farm.api_port)])
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    let cloud = Running(cloud);
    let id = devcloud::ImageConfig::read(&image).unwrap().id;
    farm.write_settings(database, &id);
    farm.run(&["migrate"]);
    let section = farm.run(&["user", "create", "admin", "--operator"]);
    fs::write(farm.path("copr.conf"), section).unwrap();
    let mirror = "base={farm}/mirrors/microdistro/";
    farm.run(&[
        "chroot",
        "create",
        CHROOT,
        "--repository",
        mirror,
        "--buildroot-package",
        "microdistro-buildroot",
    ]);
    (farm, cloud)
}

#[test]
fn api_controller_and_worker_build_a_package_as_three_processes_on_postgresql() {
    let server = PostgresServer::start().unwrap();
    let (farm, _cloud) = prepared(&server.new_database().unwrap());
    let _api = farm.spawn("api");
    let roles = [farm.spawn("controller"), farm.spawn("worker")];
    farm.wait_for_api();
    farm.submit_slow_package();
    farm.wait_for("running");
    // Both die in the middle of it; the build goes on, and others of their kind find it.
    drop(roles);
    let _roles = [farm.spawn("controller"), farm.spawn("worker")];
    farm.wait_for("succeeded");

    let url = format!("http://127.0.0.1:{}", farm.api_port);
    let installed = dnf(farm.directory.path(), &url, "demo", &["install", "slow"]);
    assert!(installed.status.success(), "{}", text(&installed.stderr));
    let done = fs::read_to_string(farm.path("root/usr/share/slow/done")).unwrap();
    assert_eq!(done, "done\n");
}

#[test]
fn the_crontab_drives_a_farm_that_has_no_controller_on_postgresql() {
    let server = PostgresServer::start().unwrap();
    cron_alone_drives_a_farm(&server.new_database().unwrap());
}

#[test]
fn the_crontab_drives_a_farm_that_has_no_controller_on_sqlite() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("farm.sqlite");
    cron_alone_drives_a_farm(&format!("sqlite://{}", file.display()));
}

/// The commands of the documentation's crontab, word for word.
fn crontab() -> Vec<String> {
    let blocks = blocks("fleet.md", "", "A crontab of a farm without a controller.");
    let lines = blocks[0].lines().filter_map(|line| {
        let (_, command) = line.split_once(" farm ")?;
        let (command, _) = command.split_once(" >>")?;
        Some(command.trim().to_owned())
    });
    lines.collect()
}

fn cron_alone_drives_a_farm(database: &str) {
    let commands = crontab();
    let [reconcile, spawn, drain] = commands.as_slice() else {
        panic!("{commands:?}");
    };
    let (farm, _cloud) = prepared(database);
    let fleet = fs::read_to_string(farm.path("fleet.yaml")).unwrap();
    fs::write(farm.path("fleet.yaml"), fleet.replace("max: 2,", "max: 3,")).unwrap();
    let _roles = [farm.spawn("api"), farm.spawn("worker")];
    farm.wait_for_api();
    let spawned = farm.cron(spawn, &[]);
    let own = spawned["builders"].as_array().unwrap().len();
    assert!(own > 0, "{spawned}");
    let passed = farm.cron(reconcile, &[]);
    assert_eq!(
        farm.states(),
        vec!["ready"; own + 1],
        "one is the pool's own: {passed}"
    );
    farm.submit_slow_package();
    // Also in the same minute it is a pass of its own.
    farm.cron(reconcile, &[]);
    farm.wait_for("succeeded");
    let drained = farm.cron(drain, &[]);
    assert_eq!(drained["state"], "done", "{drained}");
    let rest = farm.ask(&["reconcile", "--timeout", "300s"]);
    assert_eq!(farm.states(), [""; 0], "{rest}");
    let status = farm.run(&["fleet", "status"]);
    assert!(status.contains("is drained by its operators"), "{status}");
    // The cloud's own books say the same: nothing runs that the farm has forgotten.
    let made = ledger(farm.directory.path());
    assert!(made.len() >= 2, "{made:?}");
    let left: Vec<_> = made.iter().filter(|(_, state)| state != "terminated").collect();
    assert!(left.is_empty(), "{left:?} of {made:?}");
}
