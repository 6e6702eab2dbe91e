//! Where the checkout and cargo's target directory are, and which crates there are.

use std::{
    io::IsTerminal as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::{
    process::Tool,
    progress::{Tally, say},
};

/// How often it is said how far cargo is, where no terminal shows it.
const PACE: Duration = Duration::from_secs(30);
/// How much of a compiler's complaints is shown.
const MOST_LINES: usize = 200;

/// What cargo says of the workspace.
#[derive(Debug, Deserialize)]
pub(crate) struct Workspace {
    pub(crate) packages: Vec<Package>,
    pub(crate) target_directory: PathBuf,
}

/// One crate of ours.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) manifest_path: PathBuf,
    pub(crate) dependencies: Vec<Dependency>,
}

/// One thing that a crate imports.
#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    /// The package's own name, also where the manifest gives it another.
    pub(crate) name: String,
    /// `dev`, `build`, or nothing.
    pub(crate) kind: Option<String>,
    /// Set for a crate of this workspace.
    pub(crate) path: Option<PathBuf>,
}

/// The checkout that this program was compiled in.
pub(crate) fn root() -> Result<PathBuf> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest
        .parent()
        .map(Path::to_owned)
        .context("xtask is not inside a workspace")
}

/// `cargo` in the checkout: the one that runs this program, where there is one.
pub(crate) fn cargo() -> Result<Tool> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    Ok(Tool::new(program).dir(&root()?))
}

/// Asks cargo; no registry is needed.
pub(crate) fn read() -> Result<Workspace> {
    let text = cargo()?
        .args(["metadata", "--no-deps", "--format-version=1", "--offline"])
        .output()?;
    serde_json::from_str(&text).context("cargo metadata printed what this program does not understand")
}

/// Compiles. On a terminal cargo shows how far it is; elsewhere its hundreds of lines go into a file beside what it makes.
pub(crate) fn compile(command: Tool) -> Result<()> {
    if std::io::stderr().is_terminal() {
        return command.show();
    }
    compile_into(command, &read()?.target_directory.join("xtask-compile.log"))
}

fn compile_into(command: Tool, log: &Path) -> Result<()> {
    if log.exists() {
        fs_err::remove_file(log)?;
    }
    let mut tally = Tally::new("packages compiled, or being compiled", PACE);
    let compiled = command.watch(log, |line| {
        if line.trim_start().starts_with("Compiling ") {
            tally.one_more();
        }
    });
    if compiled.is_err() {
        say(mistakes(&fs_err::read_to_string(log)?));
    }
    compiled
}

/// What a compiler said from its first mistake on, as much as somebody reads.
fn mistakes(output: &str) -> String {
    let lines = output.lines().skip_while(|line| !line.starts_with("error"));
    lines.take(MOST_LINES).collect::<Vec<_>>().join("\n")
}

/// Builds the workspace and returns the path of the farm's program. The whole workspace, always: building one crate alone
/// resolves other features, and the cloud's client then compiles once more for eight gigabytes and minutes.
pub(crate) fn program() -> Result<PathBuf> {
    let build = compile(cargo()?.args(["build", "--workspace"]));
    build.context("the farm does not compile")?;
    Ok(read()?.target_directory.join("debug/verdigris"))
}

/// The farm's program as operators run it.
pub(crate) fn release_program() -> Result<PathBuf> {
    let build = compile(cargo()?.args(["build", "--release", "--workspace", "--bin", "verdigris"]));
    build.context("the farm does not compile")?;
    Ok(read()?.target_directory.join("release/verdigris"))
}

#[cfg(test)]
mod tests;
