//! Repositories on disk: complete, signed, numbered states, and one atomic step from each to the next.
//!
//! Below the results root lies exactly Copr's layout:
//!
//! ```text
//! OWNER/DIRECTORY/pubkey.gpg
//! OWNER/DIRECTORY/CHROOT/00000123-PACKAGE/*.rpm ...
//! OWNER/DIRECTORY/CHROOT/repodata -> .snapshots/00000007
//! OWNER/DIRECTORY/CHROOT/.snapshots/00000007/repomd.xml, repomd.xml.asc, DIGEST-primary.xml.gz ...
//! ```
//!
//! A snapshot is written beside the others, synced, renamed to its number, and only then does the link
//! `repodata` move, by one rename. A crash leaves the old state or the new one; what it leaves unfinished has a
//! name that begins with a dot and is swept by the next publication.
//!
//! A client reads `repomd.xml` and then the files that it names, and between the two the link may have moved.
//! So a snapshot also holds, as hard links, the metadata files of the states before it, as long as those are kept:
//! their names are digests, so they never collide. (`repomd.xml` and its signature remain two files: a client
//! that asks for both in the instant of the switch can get one of each, and asks again.)
//!
//! All steps that change a repository hold its lock, across processes too.

mod layout;
mod lock;
mod results;
mod snapshot;

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use model::Timestamp;
use sha2::{Digest, Sha256};

pub use layout::{BuildDirectory, RepositoryId};
pub use results::{STAGING, TRASH};
pub use snapshot::Snapshot;

use crate::{
    Error, PackageMetadata, Result, SigningKey, disk,
    metadata::{Repodata, write_repodata},
};
use lock::Lock;
use snapshot::{LINK, SNAPSHOTS, read_all};

/// How long snapshots stay that are no longer live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// How many of the newest snapshots stay, whatever their age.
    pub keep: usize,
    /// How long a snapshot stays after another has taken its place.
    pub grace: Duration,
    /// The most snapshots: beyond these the oldest go even before that, since each may be as large as the repository's metadata.
    pub most: usize,
}

impl Default for Retention {
    /// Five snapshots, and a day, but no more than 64.
    fn default() -> Self {
        Self {
            keep: 5,
            grace: Duration::from_secs(24 * 60 * 60),
            most: MAX_CARRIED,
        }
    }
}

/// The most earlier snapshots whose files are linked into a new one, however many are kept.
const MAX_CARRIED: usize = 64;

/// Writes below one results root.
#[derive(Clone, Debug)]
pub struct Publisher {
    root: PathBuf,
}

impl Publisher {
    /// A publisher for the results below `root`, which exists and is on one file system.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The results root.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The directory of a repository: what its `baseurl` shows.
    #[must_use]
    pub fn directory(&self, repository: &RepositoryId) -> PathBuf {
        self.root.join(repository.relative())
    }

    /// Writes a project directory's `pubkey.gpg`, if it is not there with the same content.
    ///
    /// # Errors
    /// The disk fails.
    pub fn write_public_key(&self, repository: &RepositoryId, key: &SigningKey) -> Result<()> {
        let armored = key.public_armored()?;
        // `dnf5` looks in the directory of the project, the classic file names the directory itself.
        for directory in [
            repository.relative_project_directory(),
            repository.relative_main_directory(),
        ] {
            let directory = self.root.join(directory);
            fs_err::create_dir_all(&directory)?;
            let path = directory.join("pubkey.gpg");
            match fs_err::read(&path) {
                Ok(present) if present == armored.as_bytes() => {}
                _ => disk::replace_file(&path, armored.as_bytes())?,
            }
        }
        Ok(())
    }

    /// Makes a repository: empty, valid, signed, with the number 0. One that exists stays as it is.
    ///
    /// # Errors
    /// The disk or the key fails; calling again goes on.
    pub fn create_repository(
        &self,
        repository: &RepositoryId,
        key: &SigningKey,
        now: Timestamp,
    ) -> Result<Snapshot> {
        self.write_public_key(repository, key)?;
        let directory = self.directory(repository);
        fs_err::create_dir_all(directory.join(SNAPSHOTS))?;
        self.sync_parents(repository)?;
        let _lock = Lock::take(&directory)?;
        match snapshot::live(&directory)? {
            Some(live) => Ok(live),
            None => switch_to_new(
                repository,
                &directory,
                &Publication {
                    packages: &[],
                    key,
                    number: 0,
                    now,
                },
            ),
        }
    }

    /// Makes `packages`, and no others, the content of a repository.
    ///
    /// `number` is above that of every earlier snapshot; the same call again, after a crash or a lost answer,
    /// gives the same snapshot. The packages' files are in their places already ([`Publisher::place_results`]).
    ///
    /// # Errors
    /// [`Error::NoRepository`] before [`Publisher::create_repository`], [`Error::NumberTaken`] when the number
    /// belongs to other content, [`Error::DuplicatePackage`]; after any error the old state is live.
    pub fn publish(
        &self,
        repository: &RepositoryId,
        packages: &[PackageMetadata],
        key: &SigningKey,
        number: u64,
        now: Timestamp,
    ) -> Result<Snapshot> {
        let directory = self.existing(repository)?;
        let _lock = Lock::take(&directory)?;
        sweep(&directory)?;
        let snapshot = switch_to_new(
            repository,
            &directory,
            &Publication {
                packages,
                key,
                number,
                now,
            },
        )?;
        tracing::info!(%repository, number, packages = packages.len(), "Published a snapshot.");
        Ok(snapshot)
    }

    /// The snapshot that clients see.
    ///
    /// # Errors
    /// [`Error::NoRepository`], or the disk fails.
    pub fn live(&self, repository: &RepositoryId) -> Result<Snapshot> {
        let directory = self.existing(repository)?;
        snapshot::live(&directory)?.ok_or_else(|| no_repository(repository))
    }

    /// All snapshots that are kept, the oldest first.
    ///
    /// # Errors
    /// [`Error::NoRepository`], or the disk fails.
    pub fn snapshots(&self, repository: &RepositoryId) -> Result<Vec<Snapshot>> {
        read_all(&self.existing(repository)?)
    }

    /// Makes an earlier snapshot live again. Packages that were removed since are not brought back.
    ///
    /// # Errors
    /// [`Error::NoSuchSnapshot`]; the live state is then as it was.
    pub fn rollback(&self, repository: &RepositoryId, number: u64) -> Result<Snapshot> {
        let directory = self.existing(repository)?;
        let _lock = Lock::take(&directory)?;
        let all = read_all(&directory)?;
        let wanted = all.iter().find(|snapshot| snapshot.number == number).cloned();
        let wanted = wanted.ok_or_else(|| Error::NoSuchSnapshot {
            repository: repository.to_string(),
            number,
        })?;
        let target = snapshot::path(&directory, number);
        carry_files(&directory, &all, &target)?;
        disk::sync_directory(&target)?;
        switch(&directory, number)?;
        tracing::info!(%repository, number, "Rolled back to a snapshot.");
        Ok(wanted)
    }

    /// Removes snapshots that are neither live, nor among the newest, nor superseded just now, and the oldest of too many.
    /// Gives their numbers.
    ///
    /// # Errors
    /// [`Error::NoRepository`], or the disk fails; calling again goes on.
    pub fn prune(
        &self,
        repository: &RepositoryId,
        retention: &Retention,
        now: Timestamp,
    ) -> Result<Vec<u64>> {
        let directory = self.existing(repository)?;
        let _lock = Lock::take(&directory)?;
        sweep(&directory)?;
        let live = snapshot::live(&directory)?.map(|snapshot| snapshot.number);
        let all = read_all(&directory)?;
        let protected = all.len().saturating_sub(retention.keep);
        let surplus = all.len().saturating_sub(retention.most.max(retention.keep));
        let mut removed = Vec::new();
        for (position, (snapshot, next)) in all.iter().zip(all.iter().skip(1)).enumerate() {
            let is_old = now.since(next.created) >= retention.grace || position < surplus;
            if position >= protected || !is_old || Some(snapshot.number) == live {
                continue;
            }
            // Renamed first: a half removed snapshot must never look like one.
            let gone = directory
                .join(SNAPSHOTS)
                .join(format!(".removed-{}", snapshot.number));
            fs_err::rename(snapshot::path(&directory, snapshot.number), &gone)?;
            disk::remove_any(&gone)?;
            removed.push(snapshot.number);
        }
        if let Some(live) = live {
            drop_carried(&directory, live)?;
        }
        disk::sync_directory(&directory.join(SNAPSHOTS))?;
        Ok(removed)
    }

    fn existing(&self, repository: &RepositoryId) -> Result<PathBuf> {
        let directory = self.directory(repository);
        if directory.join(SNAPSHOTS).is_dir() {
            Ok(directory)
        } else {
            Err(no_repository(repository))
        }
    }

    /// Makes the names of a new repository durable, up to the root.
    fn sync_parents(&self, repository: &RepositoryId) -> Result<()> {
        let relative = repository.relative();
        for part in relative.ancestors() {
            disk::sync_directory(&self.root.join(part))?;
        }
        Ok(())
    }
}

fn no_repository(repository: &RepositoryId) -> Error {
    Error::NoRepository {
        repository: repository.to_string(),
    }
}

/// What is to be published.
struct Publication<'a> {
    packages: &'a [PackageMetadata],
    key: &'a SigningKey,
    number: u64,
    now: Timestamp,
}

fn switch_to_new(
    repository: &RepositoryId,
    directory: &Path,
    publication: &Publication<'_>,
) -> Result<Snapshot> {
    let packages = newest_first(publication.packages);
    let content = content_digest(repository, &packages)?;
    let all = read_all(directory)?;
    let live = snapshot::live(directory)?;
    let highest = all.iter().map(|snapshot| snapshot.number).max().unwrap_or(0);
    let taken = || Error::NumberTaken {
        repository: repository.to_string(),
        number: publication.number,
        highest,
    };
    if let Some(same) = all.iter().find(|snapshot| snapshot.number == publication.number) {
        if same.content != content {
            return Err(taken());
        }
        // Written completely by an earlier call that did not live to see it.
        switch(directory, same.number)?;
        return Ok(same.clone());
    }
    if publication.number < highest {
        return Err(taken());
    }
    // Clients compare revisions, so one is never lower than the one before, even if the clock was set back.
    let seconds = u64::try_from(publication.now.as_seconds()).unwrap_or(0);
    let before = all.iter().chain(&live).map(|snapshot| snapshot.revision).max();
    let revision = before.map_or(seconds, |before| seconds.max(before.saturating_add(1)));

    let temporary = directory
        .join(SNAPSHOTS)
        .join(format!(".new-{}", publication.number));
    disk::remove_any(&temporary)?;
    fs_err::create_dir(&temporary)?;
    let Repodata { files, repomd } =
        write_repodata(&temporary, &packages, revision, publication.now.as_seconds())?;
    let signature = publication.key.sign_armored(repomd.as_bytes(), publication.now)?;
    disk::write_synced(&temporary.join("repomd.xml.asc"), signature.as_bytes())?;
    disk::write_synced(
        &temporary.join("repomd.xml.key"),
        publication.key.public_armored()?.as_bytes(),
    )?;
    let snapshot = Snapshot {
        number: publication.number,
        revision,
        created: publication.now,
        repomd_sha256: hex::encode(Sha256::digest(repomd.as_bytes())),
        packages: packages.len(),
        content,
        files,
    };
    snapshot::write(&temporary, &snapshot)?;
    carry_files(directory, &all, &temporary)?;
    disk::sync_directory(&temporary)?;
    fs_err::rename(&temporary, snapshot::path(directory, snapshot.number))?;
    disk::sync_directory(&directory.join(SNAPSHOTS))?;
    switch(directory, snapshot.number)?;
    Ok(snapshot)
}

/// The packages in the order of the metadata: the newest build first. Of packages with one name, version and release
/// dnf (libsolv) installs the one that stands first.
fn newest_first(packages: &[PackageMetadata]) -> Vec<&PackageMetadata> {
    let build = |package: &PackageMetadata| {
        let directory = package.href.split('/').next().unwrap_or_default();
        directory
            .parse::<BuildDirectory>()
            .ok()
            .map(|directory| directory.build)
    };
    let mut sorted: Vec<&PackageMetadata> = packages.iter().collect();
    sorted.sort_by_cached_key(|package| (std::cmp::Reverse(build(package)), package.href.clone()));
    sorted
}

/// A digest of which packages lie where, to know a repeated call again.
fn content_digest(repository: &RepositoryId, packages: &[&PackageMetadata]) -> Result<String> {
    let mut digest = Sha256::new();
    let mut seen = BTreeSet::new();
    for package in packages {
        if !seen.insert(&package.href) {
            return Err(Error::DuplicatePackage {
                repository: repository.to_string(),
                href: package.href.clone(),
            });
        }
        for part in [&package.pkgid, &package.href, &package.primary] {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
    }
    Ok(hex::encode(digest.finalize()))
}

/// Lends the metadata files of earlier states to a new one.
fn carry_files(directory: &Path, all: &[Snapshot], target: &Path) -> Result<()> {
    for snapshot in all.iter().rev().take(MAX_CARRIED) {
        let source = snapshot::path(directory, snapshot.number);
        for name in &snapshot.files {
            match fs_err::hard_link(source.join(name), target.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
                _ => {}
            }
        }
    }
    Ok(())
}

/// Takes files of pruned states out of the live one.
fn drop_carried(directory: &Path, live: u64) -> Result<()> {
    let all = read_all(directory)?;
    let wanted: BTreeSet<&str> = all
        .iter()
        .flat_map(|snapshot| &snapshot.files)
        .map(String::as_str)
        .collect();
    let target = snapshot::path(directory, live);
    for entry in fs_err::read_dir(&target)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_metadata = name
            .to_str()
            .is_some_and(|name| name.ends_with(".xml.gz") && !wanted.contains(name));
        if is_metadata {
            disk::remove_any(&entry.path())?;
        }
    }
    Ok(())
}

/// The atomic step: points `repodata` at a snapshot.
fn switch(directory: &Path, number: u64) -> Result<()> {
    let temporary = directory.join(".repodata.new");
    disk::remove_any(&temporary)?;
    fs_err::os::unix::fs::symlink(Path::new(SNAPSHOTS).join(snapshot::name(number)), &temporary)?;
    fs_err::rename(&temporary, directory.join(LINK))?;
    disk::sync_directory(directory)
}

/// Removes what an interrupted call left behind.
fn sweep(directory: &Path) -> Result<()> {
    disk::remove_any(&directory.join(".repodata.new"))?;
    for entry in fs_err::read_dir(directory.join(SNAPSHOTS))? {
        let entry = entry?;
        let name = entry.file_name();
        let left_over = name
            .to_str()
            .is_some_and(|name| name.starts_with(".new-") || name.starts_with(".removed-"));
        if left_over {
            tracing::warn!(path = %entry.path().display(), "Removing what an interrupted publication left behind.");
            disk::remove_any(&entry.path())?;
        }
    }
    Ok(())
}
