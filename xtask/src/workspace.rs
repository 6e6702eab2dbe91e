//! Where the checkout and cargo's target directory are, and which crates there are.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::process::Tool;

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

/// Builds the workspace and returns the path of the farm's program. The whole workspace, always: building one crate alone
/// resolves other features, and the cloud's client then compiles once more for eight gigabytes and minutes.
pub(crate) fn program() -> Result<PathBuf> {
    let build = cargo()?.args(["build", "--workspace"]).show();
    build.context("the farm does not compile")?;
    Ok(read()?.target_directory.join("debug/verdigris"))
}

/// The farm's program as operators run it.
pub(crate) fn release_program() -> Result<PathBuf> {
    let build = cargo()?
        .args(["build", "--release", "--workspace", "--bin", "verdigris"])
        .show();
    build.context("the farm does not compile")?;
    Ok(read()?.target_directory.join("release/verdigris"))
}
