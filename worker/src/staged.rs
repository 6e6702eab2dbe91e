//! Files of a build that are here and not in their place yet.

use std::path::{Path, PathBuf};

use model::Epoch;
use repository::{
    BuildDirectory, Manifest, RepositoryId,
    manifest::{ManifestEntry, ManifestLimits},
};
use store::Attempt;

use crate::{
    archive,
    context::Context,
    error::{Error, blocking},
    journal::{self, Journal},
    log::LIVE_LOG,
    packages::digest,
    ssh::ANSWER_LIMIT,
};

/// Files of a build in a directory of their own.
pub(crate) struct Staged {
    pub(crate) repository: RepositoryId,
    pub(crate) build: BuildDirectory,
    pub(crate) path: PathBuf,
    pub(crate) entries: Vec<ManifestEntry>,
}

impl Staged {
    /// An empty directory for whoever drives an attempt, under the number of the allocation.
    pub(crate) async fn make(context: &Context, attempt: &Attempt, epoch: Epoch) -> Result<Self, Error> {
        let (repository, build) = place_of(attempt)?;
        let publisher = context.publisher.clone();
        let (in_repository, of_build) = (repository.clone(), build.clone());
        let path = blocking(move || Ok(publisher.stage(&in_repository, &of_build, epoch)?)).await?;
        Ok(Self {
            repository,
            build,
            path,
            entries: Vec::new(),
        })
    }

    /// An empty directory for one who does not drive the attempt: whoever else collects for the build is not disturbed.
    pub(crate) async fn aside(context: &Context, attempt: &Attempt) -> Result<Self, Error> {
        let (repository, build) = place_of(attempt)?;
        let publisher = context.publisher.clone();
        let (in_repository, of_build) = (repository.clone(), build.clone());
        let path = blocking(move || Ok(publisher.stage_aside(&in_repository, &of_build)?)).await?;
        Ok(Self {
            repository,
            build,
            path,
            entries: Vec::new(),
        })
    }

    /// Adds what is there without the builder: the log as far as it was seen, or, where nothing was seen of it, what an earlier
    /// attempt left beside its account.
    pub(crate) async fn add_what_is_here(
        &mut self,
        context: &Context,
        log: Option<&Path>,
    ) -> Result<(), Error> {
        if let Some(log) = log {
            return self.copy(LIVE_LOG.to_owned(), log.to_owned()).await;
        }
        let placed = context.publisher.build_directory(&self.repository, &self.build);
        let names = match fs_err::read_dir(&placed) {
            Ok(entries) => entries
                .flatten()
                .filter_map(|entry| entry.file_name().into_string().ok())
                .filter(|name| !name.ends_with(".rpm") && !name.starts_with(journal::NAME))
                .collect(),
            Err(_) => Vec::new(),
        };
        for name in names {
            let from = placed.join(&name);
            self.copy(name, from).await?;
        }
        Ok(())
    }

    /// Adds a file that is here already.
    async fn copy(&mut self, name: String, from: PathBuf) -> Result<(), Error> {
        let path = self.path.join(&name);
        let entry = blocking(move || {
            fs_err::copy(&from, &path).map_err(|source| Error::File {
                what: format!("copying {} to {}", from.display(), path.display()),
                source,
            })?;
            let (size, sha256) = digest(&path)?;
            Ok(ManifestEntry { name, size, sha256 })
        });
        self.entries.push(entry.await?);
        Ok(())
    }

    /// Moves the files into their place, with the farm's own account among them; the name of the build's directory.
    pub(crate) async fn put(self, context: &Context, journal: &Journal) -> Result<String, Error> {
        let (publisher, account) = (context.publisher.clone(), journal.text());
        let (limits, directory) = (limits(context), self.build.to_string());
        blocking(move || {
            let manifest = Manifest::new(self.entries, &limits)?;
            let whole = archive::complete(&self.path, &manifest, &account)?;
            publisher.place_results(&self.repository, &self.build, &self.path, &whole)?;
            Ok(())
        })
        .await?;
        Ok(directory)
    }
}

/// What the files of one build may be together.
pub(crate) fn limits(context: &Context) -> ManifestLimits {
    ManifestLimits {
        files: context.limits.result_files,
        total_bytes: context.limits.result_bytes,
        manifest_bytes: ANSWER_LIMIT,
    }
}

/// Where the results of an attempt go. Its package is known: only its source phase could lack one.
fn place_of(attempt: &Attempt) -> Result<(RepositoryId, BuildDirectory), Error> {
    let Some(package) = &attempt.package else {
        return Err(Error::Lost(format!("attempt {} has no package", attempt.id)));
    };
    let repository = RepositoryId {
        owner: attempt.owner.clone(),
        directory: attempt.directory.clone(),
        chroot: attempt.chroot.clone(),
    };
    let build = BuildDirectory {
        build: attempt.build,
        package: package.clone(),
    };
    Ok((repository, build))
}
