//! The demo's packages: spec files of ours over tarballs that their authors released. The tarballs come out of Debian's
//! source packages, which hold them unchanged, and are checked against the digests that `source.toml` names.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::{
    apt,
    cache::{Cache, Scratch, sha256_file},
    process::Tool,
    progress::Step,
    workspace,
};

/// `source.toml` of an example.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Source {
    debian_source: String,
    version: String,
    tarball: String,
    source: String,
    sha256: String,
}

/// The source package of an example; made when it is not in the cache, or when its spec file changed.
pub(crate) fn source_package(cache: &Cache, name: &str) -> Result<PathBuf> {
    let folder = workspace::root()?.join("examples").join(name);
    let spec = folder.join(format!("{name}.spec"));
    let digest: String = sha256_file(&spec)?.chars().take(12).collect();
    let place = cache.path("srpms").join(format!("{name}-{digest}"));
    if !place.is_dir() {
        let _lock = cache.lock("srpms")?;
        let step = Step::start(format!("source package of {name}"));
        fs_err::create_dir_all(cache.path("srpms"))?;
        let made = Scratch::beside(&cache.path("srpms"))?;
        let sources = made.path().join("SOURCES");
        fs_err::create_dir_all(&sources)?;
        if folder.join("source.toml").is_file() {
            tarball(cache, &folder.join("source.toml"), &sources)?;
        }
        Tool::new("rpmbuild")
            .args(["-bs", "--nodeps", "--define"])
            .arg(format!("_topdir {}", made.path().display()))
            .arg(&spec)
            .log(&made.path().join("rpmbuild.log"))?;
        made.keep_as(&place)?;
        step.done("made");
    }
    let mut packages = fs_err::read_dir(place.join("SRPMS"))?;
    let package = packages
        .next()
        .with_context(|| format!("{} is empty", place.display()))??;
    Ok(package.path())
}

/// Fetches the tarball that a `source.toml` names.
fn tarball(cache: &Cache, description: &Path, sources: &Path) -> Result<()> {
    let text = fs_err::read_to_string(description)?;
    let source: Source = toml::from_str(&text).with_context(|| description.display().to_string())?;
    let kept = cache.path("sources").join(&source.tarball);
    if !kept.is_file() {
        let work = cache.path("sources/apt");
        fs_err::create_dir_all(&work)?;
        let log = cache.path("sources/apt.log");
        apt::download_source(&work, &cache.path("sources"), &source.debian_source, &log)
            .with_context(|| format!("fetching {} {}", source.debian_source, source.version))?;
    }
    take(&source, &kept, sources).with_context(|| description.display().to_string())
}

/// Copies the tarball that was fetched to where rpmbuild looks for it, if it is the one that is meant.
fn take(source: &Source, kept: &Path, sources: &Path) -> Result<()> {
    if !kept.is_file() {
        bail!(
            "Debian's source package {} no longer holds {}: name a newer release",
            source.debian_source,
            source.tarball
        );
    }
    let found = sha256_file(kept)?;
    if found != source.sha256 {
        bail!("{} has the digest {found}, and another is wanted", kept.display());
    }
    fs_err::copy(kept, sources.join(&source.source))?;
    Ok(())
}

#[cfg(test)]
mod tests;
