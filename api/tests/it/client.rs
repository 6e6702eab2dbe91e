//! The real copr-cli against a farm whose builds are driven by hand.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Arc,
};

use crate::{
    drive,
    farm::{CHROOT, Farm, OTHER_CHROOT, Served},
    rpms,
};

/// Where `cargo xtask setup` puts what the tests run.
pub(crate) fn cache() -> PathBuf {
    std::env::var_os("VERDIGRIS_CACHE")
        .map(PathBuf::from)
        .unwrap_or_else(|| {
            PathBuf::from(std::env::var_os("HOME").expect("HOME is not set")).join(".cache/verdigris")
        })
}

fn program() -> PathBuf {
    let program = cache().join("venv/bin/copr-cli");
    assert!(
        program.exists(),
        "{} is missing: run `cargo xtask setup`",
        program.display()
    );
    program
}

struct Cli {
    program: PathBuf,
    directory: tempfile::TempDir,
}

impl Cli {
    fn new(served: &Served) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let alice = &served.farm.alice;
        let config = format!(
            "[copr-cli]\nusername = alice\nlogin = {}\ntoken = {}\ncopr_url = http://{}\nencrypted = False\n",
            alice.login, alice.token, served.address
        );
        std::fs::write(directory.path().join("config"), config).unwrap();
        Self {
            program: program(),
            directory,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The path of a good source package.
    fn source(&self) -> String {
        let path = self.path(&rpms::source().name);
        std::fs::write(&path, &rpms::source().bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }

    async fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(&self.program);
        command
            .arg("--config")
            .arg(self.path("config"))
            .args(arguments)
            .current_dir(self.directory.path());
        tokio::task::spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap()
    }

    /// What it prints when it succeeds.
    async fn good(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "{arguments:?}: {text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        text
    }

    /// What it prints when it fails with this status.
    async fn bad(&self, status: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {text}");
        text
    }
}

/// What the builder and the worker leave of a build.
fn write_results(farm: &Arc<Farm>, build: i64) {
    let directory = farm
        .path("results/alice/demo")
        .join(CHROOT)
        .join(format!("{build:08}-hello"));
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join("builder-live.log"), "built\n").unwrap();
    std::fs::write(directory.join("hello-1.0-1.noarch.rpm"), &rpms::binary().bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copr_cli_works_unchanged() {
    let served = Served::start().await;
    let farm = &served.farm;
    let cli = Cli::new(&served);
    make_a_project(&cli, &served).await;
    submit(&cli).await;

    let attempt = drive::run(&farm.store, 1).await;
    assert_eq!(cli.good(&["status", "1"]).await, "running\n");
    write_results(farm, 1);
    drive::succeed(&farm.store, &attempt).await;
    let watched = cli.good(&["watch-build", "1"]).await;
    assert!(watched.contains("Build 1: succeeded"), "{watched}");
    download(&cli).await;

    cancel(&cli).await;
    look_around(&cli).await;
    cli.good(&["delete-build", "2"]).await;
    assert_eq!(cli.good(&["list-builds", "demo"]).await, "1\thello\tsucceeded\n");
    cli.good(&["regenerate-repos", "demo"]).await;
    cli.good(&["delete", "demo"]).await;
    let gone = cli.bad(1, &["get", "demo"]).await;
    assert!(gone.contains("Project alice/demo does not exist."), "{gone}");
    served.stop().await;
}

async fn make_a_project(cli: &Cli, served: &Served) {
    assert_eq!(cli.good(&["whoami"]).await, "alice\n");
    let chroots = cli.good(&["list-chroots"]).await;
    assert!(chroots.contains(CHROOT), "{chroots}");
    let created = cli
        .good(&["create", "demo", "--chroot", CHROOT, "--description", "a demo"])
        .await;
    let page = format!("http://{}/coprs/alice/demo/", served.address);
    assert!(created.contains(&page), "{created}");
    let again = cli.bad(1, &["create", "demo", "--chroot", CHROOT]).await;
    assert!(
        again.contains("You already have a project named 'demo'."),
        "{again}"
    );
    let unknown = cli.bad(1, &["create", "other", "--chroot", "x"]).await;
    assert!(
        unknown.contains("'x' is not a valid choice for this field."),
        "{unknown}"
    );
    let listed = cli.good(&["list"]).await;
    assert!(listed.contains("Name: demo"), "{listed}");
    let shown = cli.good(&["get", "alice/demo"]).await;
    let repository = format!("http://{}/results/alice/demo/{CHROOT}/", served.address);
    assert!(shown.contains(&format!("{CHROOT}: {repository}")), "{shown}");
    cli.good(&["modify", "demo", "--description", "changed"]).await;
    let changed = cli.good(&["get", "demo"]).await;
    assert!(changed.contains("Description: changed"), "{changed}");
    let chroot = cli.good(&["get-chroot", &format!("demo/{CHROOT}")]).await;
    assert!(
        chroot.contains(&format!("\"mock_chroot\": \"{CHROOT}\"")),
        "{chroot}"
    );
    let config = cli.good(&["mock-config", "demo", CHROOT]).await;
    assert!(
        config.contains("config_opts['root']") && config.contains(&repository),
        "{config}"
    );
}

async fn submit(cli: &Cli) {
    let srpm = cli.source();
    let built = cli
        .good(&["build", "demo", "--nowait", "--timeout", "3600", &srpm])
        .await;
    assert!(built.contains("Created builds: 1"), "{built}");
    assert_eq!(cli.good(&["status", "1"]).await, "pending\n");
    let not_rpm = cli.path("text.src.rpm");
    std::fs::write(&not_rpm, "no package").unwrap();
    let refused = cli
        .bad(1, &["build", "demo", "--nowait", not_rpm.to_str().unwrap()])
        .await;
    assert!(refused.contains("is not an RPM package"), "{refused}");
}

async fn cancel(cli: &Cli) {
    let srpm = cli.source();
    cli.good(&["build", "demo", "--nowait", &srpm]).await;
    assert_eq!(cli.good(&["cancel", "2"]).await, "canceled\n");
    let again = cli.bad(1, &["cancel", "2"]).await;
    assert!(again.contains("already ended"), "{again}");
    cli.bad(4, &["watch-build", "2"]).await;
}

async fn look_around(cli: &Cli) {
    assert_eq!(
        cli.good(&["list-builds", "demo"]).await,
        "2\thello\tcanceled\n1\thello\tsucceeded\n"
    );
    let monitor = cli
        .good(&["monitor", "demo", "--fields", "name,chroot,state,url_build_log"])
        .await;
    assert!(
        monitor.contains("\"canceled\"") && monitor.contains("builder-live.log"),
        "{monitor}"
    );
    assert_eq!(cli.good(&["list-package-names", "demo"]).await, "hello\n");
    let packages = cli.good(&["list-packages", "demo", "--with-all-builds"]).await;
    assert!(packages.contains("\"hello\""), "{packages}");
}

async fn download(cli: &Cli) {
    let to = cli.path("downloaded");
    cli.good(&["download-build", "1", "--dest", to.to_str().unwrap()])
        .await;
    let files = |directory: &Path| {
        let mut names: Vec<String> = std::fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    // The client means to leave out `index.html` and quotes its pattern once too often.
    let names = files(&to.join(CHROOT));
    assert_eq!(
        names,
        ["builder-live.log", "hello-1.0-1.noarch.rpm", "index.html"]
    );
    let downloaded = std::fs::read(to.join(CHROOT).join("hello-1.0-1.noarch.rpm")).unwrap();
    assert_eq!(downloaded, rpms::binary().bytes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_token_is_told_by_copr_cli() {
    let served = Served::start().await;
    let cli = Cli::new(&served);
    let config = std::fs::read_to_string(cli.path("config"))
        .unwrap()
        .replace("token = vdg_", "token = xyz_");
    std::fs::write(cli.path("config"), config).unwrap();
    let told = cli.bad(1, &["create", "demo", "--chroot", CHROOT]).await;
    assert!(told.contains("Login invalid/expired. Please visit"), "{told}");
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packit_finds_in_a_project_what_it_asked_for_and_edits_only_what_differs() {
    let served = Served::start().await;
    let cli = Cli::new(&served);
    let (source, config) = (cli.source(), cli.path("config").display().to_string());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/packit.py");
    let output = Command::new(cache().join("venv/bin/python3"))
        .args([script, &config, "demo", &source, CHROOT, OTHER_CHROOT])
        .output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    served.stop().await;
}
