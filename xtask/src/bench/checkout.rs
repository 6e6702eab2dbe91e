//! An older commit, checked out beside this one for as long as something is built there.

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::{process::Tool, workspace};

/// Checks `commit` out below `place`, has it built, and takes it away again.
pub(super) fn of<T>(
    root: &Path,
    place: &Path,
    commit: &str,
    build: impl FnOnce(&Path) -> Result<T>,
) -> Result<T> {
    let checkout = place.join("older");
    let git = || Tool::new("git").dir(root);
    git()
        .args(["worktree", "add", "--quiet", "--detach"])
        .arg(&checkout)
        .arg(commit)
        .output()
        .with_context(|| format!("a checkout of {commit}"))?;
    let built = build(&checkout);
    git()
        .args(["worktree", "remove", "--force"])
        .arg(&checkout)
        .output()?;
    forget()?;
    built
}

/// Has what was compiled of the workspace's own packages compiled anew: they have the same names to cargo in both checkouts, and
/// it goes by the times of files, so that what was compiled there would pass for what is here.
fn forget() -> Result<()> {
    let packages = workspace::read()?.packages;
    let names = packages.iter().flat_map(|package| ["-p", package.name.as_str()]);
    workspace::cargo()?
        .args(["clean", "--quiet", "--release"])
        .args(names)
        .show()
        .context("what the older commit left does not go away")
}

/// Builds example programs of a checkout in release, and copies them into a directory of their own: what is built next from
/// another checkout takes their places.
pub(super) fn examples(checkout: &Path, names: &[&str], copies: &Path) -> Result<()> {
    let target = workspace::read()?.target_directory;
    // The whole workspace's features, so that what it depends on is compiled once for all benchmarks.
    let mut build = workspace::cargo()?
        .dir(checkout)
        .args(["build", "--release", "--quiet", "--workspace"])
        .args(["--features", "store/testing"])
        .arg("--target-dir")
        .arg(&target);
    for name in names {
        build = build.args(["--example", name]);
    }
    build.show()?;
    fs_err::create_dir_all(copies)?;
    for name in names {
        fs_err::copy(target.join("release/examples").join(name), copies.join(name))?;
    }
    Ok(())
}

/// Copies files to the same places in a checkout.
pub(super) fn copy(root: &Path, checkout: &Path, files: &[&str]) -> Result<()> {
    for file in files {
        let to = checkout.join(file);
        if let Some(directory) = to.parent() {
            fs_err::create_dir_all(directory)?;
        }
        fs_err::copy(root.join(file), to)?;
    }
    Ok(())
}
