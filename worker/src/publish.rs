//! Making results visible: one publication at a time for each project directory and chroot, with as many
//! builds in it as there are. One that fails is tried again; it never turns a built package into a failed
//! build.

use std::{sync::Arc, time::Duration};

use model::{ChrootName, DirectoryName};
use repository::{PackageMetadata, RepositoryId};
use runtime::{CancellationToken, clock, supervisor::chain};
use store::{Project, Publication, SnapshotRecord};
use tracing::{info, warn};

use crate::{Error, Parts, blocking, signer::signing_key};

const LOOK_EVERY: Duration = Duration::from_millis(150);
/// How many repositories one round takes on.
const MOST_AT_ONCE: u64 = 16;

/// Publishes what there is to publish until told to stop.
pub(crate) async fn run(parts: Arc<Parts>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        match parts.store.publishable(MOST_AT_ONCE, clock::now()).await {
            Ok(repositories) => {
                for (project, directory, chroot) in repositories {
                    publish(&parts, &project, &directory, &chroot).await;
                }
            }
            Err(error) => warn!("Cannot look for publications: {}", chain(&error)),
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

async fn publish(parts: &Parts, project: &Project, directory: &DirectoryName, chroot: &ChrootName) {
    let place = format!("{}/{directory}/{chroot}", project.owner);
    let begun = parts
        .store
        .begin_publication(project.id, directory, chroot, &parts.name, clock::now())
        .await;
    let publication = match begun {
        Ok(Some(publication)) => publication,
        Ok(None) => return,
        Err(error) => return warn!("Cannot begin a publication of {place}: {}", chain(&error)),
    };
    let id = RepositoryId {
        owner: project.owner.clone(),
        directory: directory.clone(),
        chroot: chroot.clone(),
    };
    match write(parts, project, id, &publication).await {
        Ok(record) => {
            let finished = parts.store.finish_publication(
                (project.id, directory, chroot),
                &record,
                &parts.name,
                &publication.attempts,
                clock::now(),
            );
            match finished.await {
                Ok(()) => info!(
                    "Published {place} number {} with {} packages.",
                    record.number,
                    publication.packages.len()
                ),
                Err(error) => warn!("The publication of {place} was not recorded: {}", chain(&error)),
            }
        }
        Err(error) => {
            let words = chain(&error);
            warn!("The publication of {place} failed: {words}");
            let failed = parts.store.fail_publication(
                (project.id, directory, chroot),
                publication.number,
                &parts.name,
                &words,
                clock::now(),
            );
            if let Err(error) = failed.await {
                warn!(
                    "A failed publication of {place} was not recorded: {}",
                    chain(&error)
                );
            }
        }
    }
}

/// Writes the new snapshot and switches to it.
async fn write(
    parts: &Parts,
    project: &Project,
    id: RepositoryId,
    publication: &Publication,
) -> Result<SnapshotRecord, Error> {
    let metadata = publication
        .packages
        .iter()
        .map(|package| {
            serde_json::from_str(&package.metadata_json)
                .map_err(|cause| Error::Lost(format!("the metadata of {}: {cause}", package.file_name)))
        })
        .collect::<Result<Vec<PackageMetadata>, Error>>()?;
    let key = signing_key(parts, project.id).await?;
    let (publisher, number) = (parts.publisher.clone(), publication.number);
    blocking(move || {
        // The first time this makes the directories, the key's file and an empty repository.
        publisher.create_repository(&id, &key, clock::now())?;
        let snapshot = publisher.publish(&id, &metadata, &key, number, clock::now())?;
        publisher.prune(&id, &repository::Retention::default(), clock::now())?;
        Ok(SnapshotRecord {
            number,
            revision: snapshot.revision.to_string(),
            repomd_sha256: snapshot.repomd_sha256,
        })
    })
    .await
}
