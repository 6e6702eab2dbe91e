//! The cache directory: what takes long to make and is the same every time. Each thing in it is made in a scratch directory beside its place, under
//! a lock, and moved there whole, so that a reader sees all of it or nothing. Deleting the cache is always safe.

use std::ffi::OsString;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::process::{Tool, is_root};
use crate::progress::say;

/// The cache directory of this user.
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    root: PathBuf,
}

impl Cache {
    /// The one that the environment names, made where it is missing.
    pub(crate) fn locate() -> Result<Self> {
        let root = place(|name| std::env::var_os(name))
            .context("no place for the cache: set HOME or VERDIGRIS_CACHE")?;
        Self::at(&root)
    }

    /// The cache in a directory, which is made where it is missing.
    pub(crate) fn at(root: &Path) -> Result<Self> {
        fs_err::create_dir_all(root)?;
        let root = fs_err::canonicalize(root)?;
        Ok(Self { root })
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// Waits until nobody else on this machine makes the thing of this name; held until dropped.
    pub(crate) fn lock(&self, name: &str) -> Result<Lock> {
        let dir = self.path("locks");
        fs_err::create_dir_all(&dir)?;
        let path = dir.join(format!("{name}.lock"));
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path);
        let file = file.with_context(|| format!("opening {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                say(format!("    another run is making the {name}; waiting for it"));
                file.lock()
                    .with_context(|| format!("locking {}", path.display()))?;
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("locking {}", path.display()));
            }
        }
        Ok(Lock { _file: file })
    }
}

/// `$VERDIGRIS_CACHE`, else `verdigris` in `$XDG_CACHE_HOME` or in `~/.cache`.
fn place(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let set = |name: &str| {
        variable(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    set("VERDIGRIS_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|dir| dir.join("verdigris")))
        .or_else(|| set("HOME").map(|dir| dir.join(".cache/verdigris")))
}

/// The right to make one thing of the cache; the kernel takes it back when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// A directory to make something in, removed with all it holds unless it is moved to its place.
#[derive(Debug)]
pub(crate) struct Scratch {
    path: PathBuf,
    kept: bool,
}

impl Scratch {
    /// An empty directory beside the places that its content is to move to. What earlier, interrupted runs left there is removed: the caller holds the lock.
    pub(crate) fn beside(parent: &Path) -> Result<Self> {
        fs_err::create_dir_all(parent)?;
        for entry in fs_err::read_dir(parent)? {
            let path = entry?.path();
            if path
                .file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(".new-"))
            {
                remove_tree(&path)?;
            }
        }
        let path = parent.join(format!(".new-{}", std::process::id()));
        fs_err::create_dir(&path)?;
        Ok(Self { path, kept: false })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves it where it is, for a person to look at; the next scratch directory beside it removes it.
    pub(crate) fn leave(mut self) -> PathBuf {
        self.kept = true;
        self.path.clone()
    }

    /// Moves the whole directory to its place, which must be free.
    pub(crate) fn keep_as(mut self, place: &Path) -> Result<()> {
        fs_err::rename(&self.path, place)?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.kept
            && self.path.exists()
            && let Err(error) = remove_tree(&self.path)
        {
            say(format!(
                "    {} could not be removed: {error:#}",
                self.path.display()
            ));
        }
    }
}

/// Removes a directory, also one whose files belong to the caller's subordinate ids.
pub(crate) fn remove_tree(path: &Path) -> Result<()> {
    if is_root() {
        fs_err::remove_dir_all(path)?;
    } else {
        Tool::in_namespace("rm").args(["-rf", "--"]).arg(path).output()?;
    }
    Ok(())
}

/// Points the link at `target` in one step.
fn switch_link(link: &Path, target: &str) -> Result<()> {
    let parent = link.parent().context("a link without a directory")?;
    let name = link
        .file_name()
        .context("a link without a name")?
        .to_string_lossy()
        .into_owned();
    let temporary = parent.join(format!(".{name}.new"));
    if temporary.is_symlink() {
        fs_err::remove_file(&temporary)?;
    }
    fs_err::os::unix::fs::symlink(target, &temporary)?;
    fs_err::rename(&temporary, link)?;
    Ok(())
}

/// Makes a directory the current one: the link leads to it, and of the others beside it only the one before is kept.
pub(crate) fn make_current(link: &Path, target: &str) -> Result<()> {
    if fs_err::read_link(link).is_ok_and(|known| known == Path::new(target)) {
        return Ok(());
    }
    switch_link(link, target)?;
    let place = link.with_file_name(target);
    match (place.parent(), place.file_name()) {
        (Some(store), Some(name)) => prune(store, "", &name.to_string_lossy()),
        _ => Ok(()),
    }
}

/// Removes all directories of `parent` whose names begin with `prefix`, but `current` and the newest other one: who still uses the one before keeps it.
pub(crate) fn prune(parent: &Path, prefix: &str, current: &str) -> Result<()> {
    let mut others = Vec::new();
    for entry in fs_err::read_dir(parent)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let ours = name.starts_with(prefix) && !name.starts_with('.') && name != current;
        if ours && entry.file_type()?.is_dir() {
            others.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    others.sort();
    others.pop();
    for (_, path) in others {
        remove_tree(&path)?;
    }
    Ok(())
}

/// Writes a file so that readers see the old text or the new one, and nothing between.
pub(crate) fn write_atomically(path: &Path, text: &[u8]) -> Result<()> {
    let parent = path.parent().context("a file without a directory")?;
    fs_err::create_dir_all(parent)?;
    let mut file = tempfile::NamedTempFile::new_in(parent)?;
    std::io::Write::write_all(&mut file, text)?;
    file.as_file().sync_all()?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    file.as_file().set_permissions(mode)?;
    file.persist(path)
        .with_context(|| format!("writing {}", path.display()))?;
    Ok(())
}

/// The SHA-256 digest of some bytes, in hexadecimal.
pub(crate) fn sha256(bytes: impl AsRef<[u8]>) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// The first 16 digits of it, for names of directories.
pub(crate) fn short_digest(bytes: impl AsRef<[u8]>) -> String {
    sha256(bytes).chars().take(16).collect()
}

/// The SHA-256 digest of a file, in hexadecimal.
pub(crate) fn sha256_file(path: &Path) -> Result<String> {
    let mut file = fs_err::File::open(path)?;
    let mut hasher = Sha256::new();
    std::io::copy(&mut file, &mut hasher)?;
    Ok(hex::encode(hasher.finalize()))
}

#[cfg(test)]
mod tests;
