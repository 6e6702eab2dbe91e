//! The results of builds: from a staging directory to their final place in one step.

use std::{
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use fs_err::File;
use model::Epoch;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::{BuildDirectory, Publisher, RepositoryId};
use crate::{Error, Manifest, Result, disk};

/// Where files are collected before they are placed, in each repository; on the same file system as the results.
pub const STAGING: &str = ".staging";
/// Where directories are moved before they are emptied, below the results' root, so that they vanish from their addresses at
/// once.
pub const TRASH: &str = ".trash";

impl Publisher {
    /// Makes an empty directory in which the files of one build are collected, checked and signed under one
    /// allocation. What earlier tries left is gone; one that still goes on under an older allocation, which a
    /// worker may not have noticed yet, has its place taken away and fails.
    ///
    /// # Errors
    /// The disk fails, or the files of a later allocation are there: then this one is over.
    pub fn stage(&self, repository: &RepositoryId, build: &BuildDirectory, epoch: Epoch) -> Result<PathBuf> {
        let all = self.directory(repository).join(STAGING).join(build.to_string());
        if let Ok(entries) = fs_err::read_dir(&all) {
            let names = entries.flatten().map(|entry| entry.file_name());
            let mut epochs = names.filter_map(|name| name.to_str()?.parse::<i64>().ok());
            if let Some(later) = epochs.find(|later| *later > epoch.0) {
                let why = format!("allocation {later}, which is later than {epoch}, collects {build}");
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, why).into());
            }
        }
        disk::remove_any(&all)?;
        let staging = all.join(epoch.to_string());
        fs_err::create_dir_all(&staging)?;
        Ok(staging)
    }

    /// Makes an empty directory for files of one build, for one who is in nobody's way: whoever collects for the build under an
    /// allocation, or beside others as this does, keeps its own.
    ///
    /// # Errors
    /// The disk fails.
    pub fn stage_aside(&self, repository: &RepositoryId, build: &BuildDirectory) -> Result<PathBuf> {
        let staging = self.directory(repository).join(STAGING);
        fs_err::create_dir_all(&staging)?;
        // As any directory is made: it becomes the build's own, which others read.
        let made = tempfile::Builder::new()
            .prefix(&format!("{build}."))
            .permissions(std::fs::Permissions::from_mode(0o777))
            .tempdir_in(&staging)?;
        Ok(made.keep())
    }

    /// The final directory of a build.
    #[must_use]
    pub fn build_directory(&self, repository: &RepositoryId, build: &BuildDirectory) -> PathBuf {
        self.directory(repository).join(build.to_string())
    }

    /// Moves the collected files of a build into its final directory, all at once.
    ///
    /// The staged directory must hold exactly the regular files of the manifest. Sizes and digests are not
    /// compared again: they were when the files came in, and signing has changed the packages since. An earlier directory of the same build is replaced, in the same step.
    ///
    /// # Errors
    /// [`Error::ResultFile`] names a file that is missing, additional, or not a regular file; nothing is moved.
    pub fn place_results(
        &self,
        repository: &RepositoryId,
        build: &BuildDirectory,
        staged: &Path,
        manifest: &Manifest,
    ) -> Result<PathBuf> {
        self.place(&self.build_directory(repository, build), staged, manifest)
    }

    /// Removes all of a repository, published and not: what a deleted project left to one of the same name.
    ///
    /// # Errors
    /// The disk fails.
    pub fn discard(&self, repository: &RepositoryId) -> Result<()> {
        disk::remove_any(&self.directory(repository))
    }

    /// Removes the files of a build; that they are gone already is fine. The repository must have been published
    /// without them before.
    ///
    /// # Errors
    /// The disk fails.
    pub fn remove_build(&self, repository: &RepositoryId, build: &BuildDirectory) -> Result<()> {
        disk::remove_any(&self.build_directory(repository, build))
    }

    /// The builds whose files are there, in no order.
    ///
    /// # Errors
    /// The disk fails.
    pub fn builds(&self, repository: &RepositoryId) -> Result<Vec<BuildDirectory>> {
        let mut found = Vec::new();
        for entry in fs_err::read_dir(self.directory(repository))? {
            found.extend(entry?.file_name().to_str().and_then(|name| name.parse().ok()));
        }
        Ok(found)
    }

    fn place(&self, target: &Path, staged: &Path, manifest: &Manifest) -> Result<PathBuf> {
        check_staged(staged, manifest)?;
        let Some(parent) = target.parent() else {
            return Err(io::Error::other(format!("`{}` has no directory", target.display())).into());
        };
        fs_err::create_dir_all(parent)?;
        if fs_err::symlink_metadata(target).is_ok() {
            // The two change places, so that there is a complete directory at every moment.
            renameat_with(CWD, staged, CWD, target, RenameFlags::EXCHANGE).map_err(|error| {
                io::Error::new(
                    error.kind(),
                    format!("cannot replace `{}`: {error}", target.display()),
                )
            })?;
            disk::remove_any(staged)?;
        } else {
            fs_err::rename(staged, target)?;
        }
        disk::sync_directory(parent)?;
        Ok(target.to_owned())
    }
}

/// Compares a staged directory with its manifest, and makes its files durable.
fn check_staged(staged: &Path, manifest: &Manifest) -> Result<()> {
    let mut missing = manifest.names();
    for entry in fs_err::read_dir(staged)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let fault = |why: &str| Error::ResultFile {
            name: crate::error::shortened(&name),
            why: why.to_owned(),
        };
        if !missing.remove(name.as_ref()) {
            return Err(fault("it is not in the manifest"));
        }
        let file: File = match disk::open_regular(&entry.path()) {
            Ok(file) => file,
            Err(Error::NotARegularFile { .. }) => return Err(fault("it is not a regular file")),
            Err(error) => return Err(error),
        };
        file.sync_all()?;
    }
    if let Some(name) = missing.first() {
        return Err(Error::ResultFile {
            name: (*name).to_owned(),
            why: "it was not received".to_owned(),
        });
    }
    disk::sync_directory(staged)
}
