//! How long snapshots stay: by age and by number, on the disk and in the database alike.

use std::sync::Arc;

use repository::{RepositoryId, Retention, Snapshot};
use runtime::{CancellationToken, clock, supervisor::error_chain};
use store::{PublishedSnapshot, RepositoryPlace, SnapshotRecord};
use tracing::warn;

use crate::{
    context::Context,
    error::{Error, blocking},
};

/// How many repositories are asked for at once.
const REPOSITORIES_AT_ONCE: u64 = 500;

/// A snapshot as the database has it.
pub(crate) fn record(snapshot: &Snapshot) -> SnapshotRecord {
    SnapshotRecord {
        number: snapshot.number,
        revision: snapshot.revision.to_string(),
        repomd_sha256: snapshot.repomd_sha256.clone(),
    }
}

/// Where a repository is on the disk.
pub(crate) fn repository_id(place: &RepositoryPlace) -> RepositoryId {
    RepositoryId {
        owner: place.owner.clone(),
        directory: place.directory.clone(),
        chroot: place.chroot.clone(),
    }
}

/// Removes snapshots of a repository that are superseded for long enough or too many, and makes the rows of its snapshots
/// those that are on the disk.
pub(crate) async fn prune(context: &Context, place: &RepositoryPlace) -> Result<(), Error> {
    let (publisher, id) = (Arc::clone(&context.publisher), repository_id(place));
    let kept = blocking(move || {
        // Without one that is due, nothing is locked and nothing synced.
        if publisher.snapshots(&id)?.len() > Retention::default().keep {
            publisher.prune(&id, &Retention::default(), clock::now())?;
        }
        Ok(publisher.snapshots(&id)?)
    })
    .await?;
    let on_disk: Vec<PublishedSnapshot> = kept
        .iter()
        .map(|snapshot| PublishedSnapshot {
            record: record(snapshot),
            at: snapshot.created,
        })
        .collect();
    Ok(context.store.keep_snapshots(place.key(), &on_disk).await?)
}

/// Does so for every repository that was ever published: also for those that nothing has been published in since a busy day.
pub(crate) async fn prune_all(context: &Context, stop: &CancellationToken) -> Result<(), Error> {
    let mut last: Option<RepositoryPlace> = None;
    loop {
        let after = last.as_ref().map(RepositoryPlace::key);
        let page = context
            .store
            .published_repositories(after, REPOSITORIES_AT_ONCE)
            .await?;
        for place in &page {
            if stop.is_cancelled() {
                return Ok(());
            }
            if let Err(error) = prune(context, place).await {
                let id = repository_id(place);
                warn!("Superseded snapshots are left in {id}: {}", error_chain(&error));
            }
        }
        match page.into_iter().next_back() {
            Some(place) => last = Some(place),
            None => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
