//! An older commit, checked out beside this one for as long as something is built there.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::{
    process::Tool,
    progress::{Step, say},
    workspace,
};

/// What every benchmark beside an older commit is told.
#[derive(Debug, clap::Args)]
pub(super) struct Beside {
    /// The commit beside which it is measured.
    #[arg(long, default_value = "f726b6b")]
    older: String,
    /// Measure this commit alone.
    #[arg(long, conflicts_with = "older")]
    alone: bool,
}

impl Beside {
    fn commit(&self) -> Option<&str> {
        (!self.alone).then_some(self.older.as_str())
    }
}

/// Measuring programs that are built here and in a checkout of an older commit.
pub(super) struct Programs {
    /// The examples that they are.
    pub(super) names: &'static [&'static str],
    /// What they are made of, also in the older commit.
    pub(super) files: &'static [&'static str],
    /// The file that differs in the older commit, and its text there.
    pub(super) era: (&'static str, &'static str),
}

impl Programs {
    /// Builds them below `place`: their directory, and the commit and directory of the older ones. A commit in which they cannot be
    /// built is left out.
    pub(super) fn build(
        &self,
        place: &Path,
        beside: &Beside,
    ) -> Result<(PathBuf, Option<(String, PathBuf)>)> {
        let root = workspace::root()?;
        let step = Step::start("the measuring programs");
        let own = place.join("own");
        examples(&root, self.names, &own)?;
        step.done("built, in release");
        let Some(commit) = beside.commit() else {
            return Ok((own, None));
        };
        let step = Step::start(format!("the same at {commit}"));
        let older = place.join("older-programs");
        let built = at(&root, place, commit, |checkout| {
            self.lay_out(&root, checkout)?;
            examples(checkout, self.names, &older)
        });
        forget()?;
        Ok(match built {
            Ok(()) => {
                step.done("built, in release");
                (own, Some((commit.to_owned(), older)))
            }
            Err(error) => {
                say(format!("    not measured at {commit}: {error:#}"));
                (own, None)
            }
        })
    }

    /// Copies the files to the same places in an older checkout.
    fn lay_out(&self, root: &Path, checkout: &Path) -> Result<()> {
        let (era, text) = self.era;
        for file in self.files.iter().chain([&era]) {
            let to = checkout.join(file);
            if let Some(directory) = to.parent() {
                fs_err::create_dir_all(directory)?;
            }
            if *file == era {
                fs_err::write(to, text)?;
            } else {
                fs_err::copy(root.join(file), to)?;
            }
        }
        Ok(())
    }
}

/// Checks `commit` out below `place`, has it built, and takes it away again.
fn at<T>(root: &Path, place: &Path, commit: &str, build: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
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

#[cfg(test)]
mod tests;
