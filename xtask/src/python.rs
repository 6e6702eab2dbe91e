//! Python environments, with exact versions of all their packages.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::cache::write_atomically;
use crate::process::Tool;

/// Debian's own Python: another that comes first in PATH may lack the module that makes environments.
pub(crate) const PYTHON: &str = "/usr/bin/python3";

/// An environment that has to be there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Environment<'a> {
    pub(crate) place: &'a Path,
    /// `name==version` on each line; lines that begin with `#` are comments.
    pub(crate) requirements: &'a str,
}

impl<'a> Environment<'a> {
    /// Its program of this name.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.place.join("bin").join(name)
    }

    /// Whether all packages are there with their versions, by the directories that describe them.
    pub(crate) fn is_complete(&self) -> bool {
        let Ok(places) = fs_err::read_dir(self.place.join("lib")) else {
            return false;
        };
        let installed: BTreeSet<String> = places
            .flatten()
            .filter_map(|python| fs_err::read_dir(python.path().join("site-packages")).ok())
            .flat_map(|packages| packages.flatten())
            .map(|package| package.file_name().to_string_lossy().to_lowercase())
            .collect();
        self.program("python3").exists()
            && self
                .packages()
                .all(|(name, version)| installed.contains(&description(name, version)))
    }

    /// Makes it, or brings it up to date; what pip says goes to `log` and to `watch`.
    pub(crate) fn install(&self, log: &Path, watch: impl FnMut(&str)) -> Result<()> {
        // One that works is brought up to date in place: somebody may be running programs out of it.
        let pip = Tool::new(self.program("python3")).args(["-m", "pip", "--version"]);
        if !pip.succeeds() {
            if self.place.exists() {
                fs_err::remove_dir_all(self.place)?;
            }
            Tool::new(PYTHON).args(["-m", "venv"]).arg(self.place).log(log)?;
        }
        let requirements = self.place.with_extension("requirements.txt");
        write_atomically(&requirements, self.requirements.as_bytes())?;
        Tool::new(self.program("python3"))
            .args(["-m", "pip", "install", "--progress-bar=off", "--requirement"])
            .arg(&requirements)
            .watch(log, watch)
    }

    /// Names and versions of all packages.
    fn packages(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let lines = self.requirements.lines().filter(|line| !line.starts_with('#'));
        lines.filter_map(|line| line.split_once("=="))
    }
}

/// The name of the directory in which pip describes a package.
fn description(name: &str, version: &str) -> String {
    let name = name.to_lowercase().replace(['-', '.'], "_");
    format!("{name}-{version}.dist-info")
}

#[cfg(test)]
mod tests;
