//! What the documentation tells an operator to type is typed here, word for word.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use store::testing::PostgresServer;

use crate::{
    clouds::beside,
    farm::{CHROOT, Farm, PATIENCE, cached, dnf, eventually, free_port, text},
    packages::{GREETING, source_package},
};

/// The blocks of one language in a document, after the line that begins with `from`.
pub(crate) fn blocks(document: &str, language: &str, from: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../docs")
        .join(document);
    let text = format!("\n{}", fs::read_to_string(path).unwrap());
    let (_, rest) = text.split_once(&format!("\n{from}")).unwrap();
    let fence = format!("```{language}\n");
    let parts = rest.split(&fence).skip(1);
    parts
        .map(|part| part.split("```").next().unwrap().to_owned())
        .collect()
}

/// A shell with the programs under test, copr-cli, and these variables.
fn shell(script: &str, variables: &[(&str, &str)]) -> Command {
    let programs = PathBuf::from(env!("CARGO_BIN_EXE_verdigris"));
    let path = [
        programs.parent().unwrap().to_owned(),
        cached("venv/bin"),
        PathBuf::from(std::env::var_os("PATH").unwrap()),
    ];
    let path: Vec<String> = path.iter().map(|path| path.display().to_string()).collect();
    let mut command = Command::new("bash");
    command
        .args(["-e", "-c", script])
        .env("PATH", path.join(":"))
        .env("VERDIGRIS_LOG__FILTER", "info")
        .env_remove("USER")
        .envs(variables.iter().copied())
        .stdin(Stdio::null());
    command
}

fn run(script: &str, variables: &[(&str, &str)]) -> Output {
    let output = shell(script, variables).output().unwrap();
    assert!(
        output.status.success(),
        "{script}\n{}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    output
}

#[test]
fn a_farm_is_restored_in_another_directory_from_a_backup_as_documented() {
    let mut farm = Farm::start();
    farm.copr(&["create", "demo", "--chroot", CHROOT]);
    let build = farm.submit("demo", &source_package(farm.directory.path(), GREETING));
    farm.wait_for(build, &["succeeded"]);
    let seen = |farm: &Farm| {
        [
            "/api_3/build/1",
            "/api_3/project?ownername=admin&projectname=demo",
            "/api_3/package/list?ownername=admin&projectname=demo",
            "/api_3/build-chroot/list?build_id=1",
        ]
        .map(|path| farm.json(path).to_string())
    };
    let before = seen(&farm);
    let key = farm.get("/results/admin/demo/pubkey.gpg").unwrap();
    let blocks = blocks("operating.md", "sh", "## Backup and restore");
    let [stopped, running, _dump, restore, _undump] = blocks.as_slice() else {
        panic!("{blocks:?}");
    };
    let place = |farm: &Farm, name: &str| farm.path(name).display().to_string();
    let (first, alive, backup) = (
        place(&farm, "data"),
        place(&farm, "alive"),
        place(&farm, "backup"),
    );
    // While it runs, into a copy that is looked at below; then stopped.
    run(running, &[("FARM", &first), ("BACKUP", &alive)]);
    assert!(farm.stop(), "{}", farm.log());
    assert!(
        !farm.path("data/verdigris.db-wal").exists(),
        "the file is the whole database"
    );
    run(stopped, &[("FARM", &first), ("BACKUP", &backup)]);
    for copy in [format!("{alive}/verdigris.db"), alive.clone(), backup.clone()] {
        assert_private(Path::new(&copy));
    }
    let builds = Command::new("sqlite3")
        .args([&format!("{alive}/verdigris.db"), "SELECT count(*) FROM build"])
        .output()
        .unwrap();
    assert_eq!(text(&builds.stdout).trim(), "1");

    // The first place is lost.
    let mut second = farm.elsewhere();
    fs::rename(farm.path("data"), farm.path("lost")).unwrap();
    let (restore, _up) = restore.split_once("verdigris up").unwrap();
    let said = run(restore, &[("BACKUP", &backup), ("NEW", &place(&second, "data"))]);
    assert!(
        text(&said.stdout).contains("\nbuilders   good"),
        "{}",
        text(&said.stdout)
    );
    second.up();
    assert_eq!(seen(&second), before);
    assert_eq!(second.get("/results/admin/demo/pubkey.gpg").unwrap(), key);
    let installed = second.dnf("demo", &["install", "greeting"]);
    assert!(installed.status.success(), "{}", text(&installed.stderr));
    // Token, signing key and fleet are the ones before.
    let again = second.submit("demo", &source_package(second.directory.path(), GREETING));
    second.wait_for(again, &["succeeded"]);
    assert_eq!(second.get("/results/admin/demo/pubkey.gpg").unwrap(), key);
    let fleet = |path: PathBuf| fs::read_to_string(path).unwrap();
    assert_eq!(
        fleet(second.path("data/fleet.yaml")),
        fleet(farm.path("lost/fleet.yaml"))
    );
}

#[test]
fn every_fleet_file_that_the_documents_and_the_chart_show_is_good() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut shown = vec![blocks("fleet.md", "yaml", "# The fleet file").remove(0)];
    for values in ["README.md", "ci/minimal-values.yaml", "ci/large-values.yaml"] {
        let text = fs::read_to_string(root.join("charts/verdigris").join(values)).unwrap();
        let (_, fleet) = text.split_once("\nfleet:\n  yaml: |\n").unwrap();
        let lines = fleet.lines().map_while(|line| line.strip_prefix("    "));
        shown.push(lines.collect::<Vec<_>>().join("\n"));
    }
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("fleet.yaml");
    for text_of_file in shown {
        fs::write(&file, &text_of_file).unwrap();
        let checked = Command::new(env!("CARGO_BIN_EXE_verdigris"))
            .args(["config", "check", "--role", "controller"])
            .env("VERDIGRIS_FLEET__FILE", &file)
            .env("VERDIGRIS_STORAGE__DIRECTORY", place.path())
            .output()
            .unwrap();
        let said = text(&checked.stdout);
        // Whether its playbooks and keys are there is another matter.
        assert!(
            !said.contains("has mistakes") && said.contains("\nfleet "),
            "{said}\n{text_of_file}"
        );
    }
}

#[test]
fn the_roles_of_the_worked_example_are_those_of_the_reference() {
    let reference = blocks("operating.md", "sql", "## Three processes").concat();
    let example = blocks("processes.md", "sh", "The database").remove(0);
    for statement in reference.lines() {
        assert!(example.contains(statement), "{statement}");
    }
    assert!(reference.lines().count() >= 10, "{reference}");
}

/// Whatever holds a secret is its user's alone.
fn assert_private(path: &Path) {
    let mode = fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "{}: {mode:o}", path.display());
}

/// All documents of the repository, and what clients are told.
fn prose() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files: Vec<PathBuf> = fs::read_dir(root.join("docs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    let others = [
        "README.md",
        "ARCHITECTURE.md",
        "provision-files/builder/README.md",
        "charts/verdigris/README.md",
    ];
    files.extend(others.map(|name| root.join(name)));
    files.push(root.join("api/openapi.json"));
    files
        .into_iter()
        .map(|path| (path.clone(), fs::read_to_string(path).unwrap()))
        .collect()
}

#[test]
fn copr_spells_its_state_and_everything_else_is_cancelled() {
    for (path, text) in prose() {
        // What stands between backquotes, and in JSON between quotation marks of its own, is a state.
        let words: String = text.split('`').step_by(2).collect::<Vec<_>>().join(" ");
        let words = words.replace("\"canceled\"", "").to_lowercase();
        for american in ["canceled", "canceling", "cancelation"] {
            assert!(!words.contains(american), "{american} in {}", path.display());
        }
    }
}

#[test]
fn what_a_page_has_written_with_a_secret_in_it_is_its_users_alone() {
    let writes = [
        "> signing.passphrase",
        ".backup '",
        "pg_dump ",
        "cp -a ",
        "> copr.conf",
        "> cloud.toml",
    ];
    let mut found = 0;
    for (path, text) in prose() {
        // The blocks of one page may be one shell's, from top to bottom.
        let is_one_shell = path.ends_with("processes.md");
        let mut has_umask = false;
        for block in text.split("```").skip(1).step_by(2) {
            has_umask = block.contains("umask 077") || is_one_shell && has_umask;
            if writes.iter().any(|write| block.contains(write)) {
                found += 1;
                assert!(has_umask, "{}: {block}", path.display());
            }
        }
    }
    assert!(found >= 7, "{found}");
}

/// The shell's jobs, and what they started, end with the value.
struct Session(Child);

impl Session {
    /// Sends the whole session a signal.
    fn signal(&self, name: &str) {
        Command::new("kill")
            .args([format!("-{name}"), "--".to_owned(), format!("-{}", self.0.id())])
            .status()
            .ok(); // It may have ended by itself.
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.signal("TERM");
        let started = std::time::Instant::now();
        while started.elapsed() < PATIENCE && self.0.try_wait().is_ok_and(|ended| ended.is_none()) {
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        self.signal("KILL");
        self.0.wait().ok(); // It has ended.
    }
}

/// What the page has its reader fill in, for a test.
fn variables(place: &Path, database: &str) -> Vec<(&'static str, String)> {
    let path = |path: &str| cached(path).canonicalize().unwrap().display().to_string();
    let address = database.split_once('@').unwrap().1.split_once('/').unwrap().0;
    vec![
        ("FARM", place.join("farm").display().to_string()),
        ("IMAGE", path("images/builder/current")),
        ("DISTRIBUTION", path("microdistro/current/repo")),
        ("PACKAGE", source_package(place, GREETING).display().to_string()),
        ("POSTGRES", format!("psql -q {database}")),
        ("SERVER", address.to_owned()),
        ("API", format!("127.0.0.1:{}", free_port())),
        ("CLOUD", format!("127.0.0.1:{}", free_port())),
    ]
}

#[test]
fn the_three_processes_run_as_their_page_says_with_roles_of_their_own() {
    let server = PostgresServer::start().unwrap();
    let database = server.new_database().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path();
    let farm = place.join("farm");
    let values = variables(place, &database);
    let mut variables: Vec<(&str, &str)> = values
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let value = |name: &str| values.iter().find(|(known, _)| *known == name).unwrap().1.clone();
    assert!(beside("devcloud").exists());
    let blocks = blocks("processes.md", "sh", "# Three processes");
    let first = format!("\n{}", blocks[0]);
    for (name, _) in &variables {
        assert!(first.contains(&format!("\n{name}=")), "{name}");
    }
    let home = place.display().to_string();
    variables.push(("HOME", &home));
    // All but the end, which comes when the test is done.
    let (end, rest) = blocks[1..].split_last().unwrap();
    let script = format!(
        "{}\ntouch done\nwhile [ ! -e stop ]; do sleep 0.1; done\n{end}\ntouch ended",
        rest.concat()
    );
    let log = fs::File::create(place.join("session.log")).unwrap();
    let mut command = shell(&script, &variables);
    // A group of its own, so that its jobs can be told to end.
    command
        .process_group(0)
        .stdout(log.try_clone().unwrap())
        .stderr(log);
    let mut session = Session(command.spawn().unwrap());
    eventually("the package is built", || {
        let ended = session.0.try_wait().unwrap();
        assert!(ended.is_none(), "{}", logs(place));
        farm.join("done").exists()
    });
    let url = format!("http://{}", value("API"));
    let installed = dnf(place, &url, "demo", &["install", "greeting"]);
    assert!(
        installed.status.success(),
        "{}{}",
        text(&installed.stderr),
        logs(place)
    );

    let owner = database.replace("/farm_0", "/farm");
    let address = value("SERVER");
    a_role_that_lacks_a_right_is_told_the_statement(&server, &owner, &farm, &address);
    an_image_that_the_cloud_has_not_is_found(&farm, &address);
    a_dump_is_restored(&address, &farm, &server, &owner);
    for name in ["cloud.toml", "copr.conf", "farm.dump", "data"] {
        assert_private(&farm.join(name));
    }
    fs::write(farm.join("stop"), "").unwrap();
    eventually("the session ends", || session.0.try_wait().unwrap().is_some());
    assert!(farm.join("ended").exists(), "{}", logs(place));
    let log = fs::read_to_string(farm.join("worker.log")).unwrap();
    assert!(log.contains("Stopped."), "{log}");
}

/// What the session and its processes said.
fn logs(place: &Path) -> String {
    let files = [
        "session.log",
        "farm/api.log",
        "farm/controller.log",
        "farm/worker.log",
        "farm/devcloud.log",
    ];
    files
        .map(|name| fs::read_to_string(place.join(name)).unwrap_or_default())
        .join("\n----\n")
}

/// `verdigris` with a role's database; whether it succeeded, and what it said.
fn as_role(farm: &Path, url: &str, arguments: &[&str]) -> (bool, String) {
    let output = crate::farm::verdigris()
        .args(arguments)
        .env("VERDIGRIS_CONFIG", farm.join("verdigris.toml"))
        .env("VERDIGRIS_DATABASE__URL", url)
        .env("VERDIGRIS_HTTP__LISTEN", "127.0.0.1:0")
        .output()
        .unwrap();
    let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
    (output.status.success(), said)
}

fn a_role_that_lacks_a_right_is_told_the_statement(
    server: &PostgresServer,
    owner: &str,
    farm: &Path,
    address: &str,
) {
    let api = format!("postgres://farm_api:api-password@{address}/farm");
    let (is_good, said) = as_role(farm, &api, &["config", "check"]);
    assert!(
        is_good && said.contains("its role may run: controller, api"),
        "{said}"
    );
    let (is_good, said) = as_role(farm, &api, &["config", "check", "--role", "worker"]);
    assert!(!is_good && !said.contains("migration"), "{said}");
    // What it may do already is not asked for.
    assert!(
        said.contains("GRANT SELECT, INSERT, UPDATE ON public.signing_key TO farm_api;"),
        "{said}"
    );

    server
        .execute(owner, "REVOKE SELECT ON seaql_migrations FROM farm_api")
        .unwrap();
    server
        .execute(owner, "REVOKE UPDATE ON build FROM farm_api")
        .unwrap();
    for arguments in [
        &["api"] as &[&str],
        &["config", "check", "--role", "api"],
        &["user", "list"],
    ] {
        let (is_good, said) = as_role(farm, &api, arguments);
        assert!(!is_good, "{arguments:?} {said}");
        assert!(
            said.contains("GRANT SELECT ON public.seaql_migrations TO farm_api;"),
            "{arguments:?} {said}"
        );
        assert!(!said.contains("due"), "{arguments:?} {said}");
    }
    server
        .execute(owner, "GRANT SELECT ON seaql_migrations TO farm_api")
        .unwrap();
    let (is_good, said) = as_role(farm, &api, &["api"]);
    assert!(
        !is_good && said.contains("GRANT UPDATE ON public.build TO farm_api;"),
        "{said}"
    );
    server
        .execute(owner, "GRANT UPDATE ON build TO farm_api")
        .unwrap();
    let (is_good, said) = as_role(farm, &api, &["config", "check", "--role", "api"]);
    assert!(is_good, "{said}");
}

fn an_image_that_the_cloud_has_not_is_found(farm: &Path, address: &str) {
    let file = farm.join("fleet.yaml");
    let before = fs::read_to_string(&file).unwrap();
    let id = before
        .lines()
        .find_map(|line| line.split_once("id: ami-"))
        .unwrap()
        .1;
    fs::write(
        &file,
        before.replace(&format!("ami-{id}"), "ami-00000000000000000}"),
    )
    .unwrap();
    let url = format!("postgres://farm_controller:controller-password@{address}/farm");
    let (is_good, said) = as_role(farm, &url, &["config", "check", "--role", "controller"]);
    fs::write(&file, &before).unwrap();
    assert!(!is_good, "{said}");
    let expected = "images.builder.id: the cloud devcloud has no image ami-00000000000000000";
    assert!(said.contains(expected), "{said}");
    let keys = farm.join("cloud.toml");
    fs::rename(&keys, farm.join("elsewhere.toml")).unwrap();
    let (is_good, said) = as_role(farm, &url, &["config", "check", "--role", "controller"]);
    fs::rename(farm.join("elsewhere.toml"), &keys).unwrap();
    assert!(
        !is_good
            && said.contains(&format!(
                "credentials.path: cannot read {}: there is no such file",
                keys.display()
            )),
        "{said}"
    );
}

fn a_dump_is_restored(address: &str, farm: &Path, server: &PostgresServer, owner: &str) {
    let blocks = blocks("operating.md", "sh", "## Backup and restore");
    let (dump, restore) = (&blocks[2], &blocks[4]);
    let backup = farm.display().to_string();
    let of = |database: &str| format!("postgres://farm:owner-password@{address}/{database}");
    run(dump, &[("BACKUP", &backup), ("DATABASE", &of("farm"))]);
    server
        .execute(owner, "CREATE DATABASE restored OWNER farm")
        .unwrap();
    run(restore, &[("BACKUP", &backup), ("DATABASE", &of("restored"))]);
    let api = format!("postgres://farm_api:api-password@{address}/restored");
    let (is_good, said) = as_role(farm, &api, &["config", "check", "--role", "api"]);
    assert!(is_good, "the rights of the roles came along: {said}");
    let (_, said) = as_role(farm, &api, &["user", "list"]);
    assert!(said.contains("\nadmin  operator  until "), "{said}");
}
