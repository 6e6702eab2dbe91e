//! Publications as a worker makes them, without a disk.

use model::{ChrootName, DirectoryName, ProjectId};
use store::{Error, Publication};

use crate::{
    farm::{Farm, WORKER, chroot, collected, record},
    support::at,
};

pub(crate) struct Key {
    pub(crate) project: ProjectId,
    pub(crate) directory: DirectoryName,
    pub(crate) chroot: ChrootName,
}

impl Key {
    pub(crate) fn of(farm: &Farm, name: &str) -> Self {
        Self {
            project: farm.project.id,
            directory: farm.directory(),
            chroot: chroot(name),
        }
    }

    pub(crate) fn get(&self) -> store::RepositoryKey<'_> {
        store::RepositoryKey {
            project: self.project,
            directory: &self.directory,
            chroot: &self.chroot,
        }
    }
}

pub(crate) async fn try_begin(farm: &Farm, key: &Key, worker: &str, now: u64) -> Option<Publication> {
    let number = farm
        .store
        .begin_publication(key.get(), worker, at(now))
        .await
        .unwrap()?;
    Some(farm.store.publication(key.get(), number).await.unwrap())
}

pub(crate) async fn begin(farm: &Farm, key: &Key, now: u64) -> Publication {
    try_begin(farm, key, WORKER, now).await.unwrap()
}

pub(crate) async fn finish(farm: &Farm, key: &Key, publication: &Publication, now: u64) -> Result<(), Error> {
    let record = record(publication.number);
    farm.store
        .finish_publication(key.get(), &record, WORKER, &publication.attempts, at(now))
        .await
}

pub(crate) async fn is_due(farm: &Farm, key: &Key, now: u64) -> bool {
    let due = farm.store.publishable(100, at(now)).await.unwrap();
    due.iter().any(|place| place.key() == key.get())
}

/// Has a repository wanted anew at a moment: a build's results are stored then.
pub(crate) async fn wish(farm: &Farm, key: &Key, now: u64) {
    let id = farm.submit_for(&[key.chroot.as_str()]).await.id;
    let epoch = farm.begin(id).await;
    farm.store
        .finish_attempt(epoch, WORKER, &collected(id), at(now))
        .await
        .unwrap();
}
