//! An older commit, checked out beside this one for as long as something is built there.

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::process::Tool;

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
    built
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
