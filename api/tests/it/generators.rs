//! Clients that programs make out of the OpenAPI document: made without a warning, and used against a farm.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use model::{AttemptState, BuildId};
use store::Store;

use crate::{client::cache, drive, farm::Served, rpms};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
const FOLLOW: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients");

/// A program of the Python environment or of the Node.js packages, which finds Node.js.
fn program(path: PathBuf) -> Command {
    assert!(
        path.exists(),
        "{} is missing: run `cargo xtask setup`",
        path.display()
    );
    let mut command = Command::new(path);
    let others = std::env::var("PATH").unwrap_or_default();
    command
        .env("PATH", format!("{}:{others}", cache().join("venv/bin").display()))
        .env("NO_COLOR", "1");
    command
}

fn python(name: &str) -> Command {
    program(cache().join("venv/bin").join(name))
}

fn node(name: &str) -> Command {
    program(cache().join("node/node_modules/.bin").join(name))
}

fn text(output: &Output) -> String {
    let (out, error) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    format!("{out}{error}")
}

/// Runs it to its end, which has to be a success.
async fn good(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || {
        let output = command.output().unwrap();
        assert!(output.status.success(), "{command:?}: {}", text(&output));
        output
    })
    .await
    .unwrap()
}

async fn generated(command: Command) {
    let said = text(&good(command).await);
    let lower = said.to_lowercase();
    for bad in [
        "warn",
        "error",
        "omitted",
        "unable",
        "duplicate",
        "skipp",
        "deprecat",
    ] {
        assert!(!lower.contains(bad), "{said}");
    }
}

/// A place for the clients of the Node.js packages: they are found in a directory above.
fn node_directory() -> tempfile::TempDir {
    tempfile::Builder::new()
        .prefix("client-")
        .tempdir_in(cache().join("node"))
        .unwrap()
}

/// Plays builder and worker for the one build that is to come.
async fn build_it(store: &Store, results: &Path) {
    let id = loop {
        let builds = store.recent_builds(1).await.unwrap();
        if let Some(build) = builds.first() {
            break build.id;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let attempt = drive::run(store, id.0).await;
    let log = results.join(".attempts").join(attempt.id.0.simple().to_string());
    std::fs::create_dir_all(&log).unwrap();
    std::fs::write(log.join("builder-live.log"), "it says that it builds\n").unwrap();
    drive::succeed(store, &attempt).await;
    let ended = store.attempts_of(BuildId(id.0)).await.unwrap();
    assert_eq!(ended[0].state, AttemptState::Succeeded);
}

/// Runs a client to its end while the build that it waits for is made.
async fn follows(mut command: Command, served: &Served, at: &Path) {
    let farm = &served.farm;
    let source = at.join(&rpms::source().name);
    std::fs::write(&source, &rpms::source().bytes).unwrap();
    command
        .arg(format!("http://{}", served.address))
        .args([&farm.alice.login, &farm.alice.token])
        .arg(&source);
    let (store, results) = (farm.store.clone(), farm.path("results"));
    let building = tokio::spawn(async move { build_it(&store, &results).await });
    let output = good(command).await;
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "followed 1\n",
        "{}",
        text(&output)
    );
    building.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_of_openapi_python_client_creates_a_project_and_follows_a_build() {
    let directory = tempfile::tempdir().unwrap();
    let mut generator = python("openapi-python-client");
    generator
        .args([
            "generate",
            "--meta",
            "none",
            "--fail-on-warning",
            "--path",
            DOCUMENT,
            "--output-path",
        ])
        .arg(directory.path().join("farm_client"));
    generated(generator).await;
    let served = Served::start().await;
    let mut client = python("python3");
    client.arg(format!("{FOLLOW}/follow.py")).arg(directory.path());
    follows(client, &served, directory.path()).await;
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_of_openapi_typescript_creates_a_project_and_follows_a_build() {
    let directory = node_directory();
    let at = |name: &str| directory.path().join(name);
    let mut generator = node("openapi-typescript");
    generator.args([DOCUMENT, "--output"]).arg(at("farm.ts"));
    generated(generator).await;
    std::fs::copy(format!("{FOLLOW}/follow.ts"), at("follow.ts")).unwrap();
    std::fs::write(at("package.json"), r#"{"type": "module"}"#).unwrap();
    let mut checked = node("tsc");
    checked
        .args([
            "--noEmit",
            "--strict",
            "--noUncheckedIndexedAccess",
            "--skipLibCheck",
        ])
        .args([
            "--module",
            "nodenext",
            "--target",
            "es2023",
            "--lib",
            "es2023,dom",
        ])
        .args(["--allowImportingTsExtensions", "--types", "node", "follow.ts"])
        .current_dir(directory.path());
    good(checked).await;
    let served = Served::start().await;
    let mut client = python("node");
    client.arg("follow.ts").current_dir(directory.path());
    follows(client, &served, directory.path()).await;
    served.stop().await;
}

#[tokio::test]
async fn hey_api_makes_a_client_without_a_warning() {
    let directory = node_directory();
    let mut generator = node("openapi-ts");
    generator
        .args(["--no-log-file", "--input", DOCUMENT, "--output"])
        .arg(directory.path().join("client"))
        .current_dir(directory.path());
    generated(generator).await;
    let made = std::fs::read_to_string(directory.path().join("client/sdk.gen.ts")).unwrap();
    for operation in crate::openapi::operations(&crate::openapi::document()) {
        let name = camel_case(&operation.id);
        assert!(made.contains(&format!("export const {name} =")), "{name}");
    }
}

fn camel_case(id: &str) -> String {
    let mut words = id.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| {
        let (head, rest) = word.split_at(1);
        format!("{name}{}{rest}", head.to_uppercase())
    })
}
