//! Making results visible: one publication at a time for each project directory and chroot, with as many
//! builds in it as there are. One that fails is tried again; it never turns a built package into a failed
//! build.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use model::{BuildId, ChrootName, DirectoryName};
use repository::{PackageMetadata, RepositoryId};
use runtime::{CancellationToken, clock, supervisor::chain};
use store::{Project, Publication, RepositoryKey, SnapshotRecord};
use tokio::task::{JoinError, JoinSet};
use tracing::{error, info, warn};

use crate::{Error, Parts, blocking, signer::signing_key};

const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How many repositories are looked for, and how many are published at once.
const MOST_AT_ONCE: u64 = 16;
const MOST_AT_ONCE_HERE: usize = 4;
/// How often a publication shows that it goes on; its lease lasts a minute.
const RENEW_EVERY: Duration = Duration::from_secs(10);

/// Publishes what there is to publish until told to stop; what is being written then is finished first.
pub(crate) async fn run(parts: Arc<Parts>, stop: CancellationToken) {
    let mut running = JoinSet::new();
    let mut news = parts.store.news();
    let mut is_new = true;
    while !stop.is_cancelled() {
        // What a worker of this name was publishing when it was killed would otherwise wait for its lease's end.
        if is_new {
            match parts.store.give_up_publications(&parts.name).await {
                Ok(()) => is_new = false,
                Err(error) => warn!("Cannot give up earlier publications: {}", chain(&error)),
            }
        }
        match parts.store.publishable(MOST_AT_ONCE, clock::now()).await {
            Ok(repositories) => {
                for (project, directory, chroot) in repositories {
                    if running.len() < MOST_AT_ONCE_HERE && !is_new {
                        let parts = Arc::clone(&parts);
                        running.spawn(async move { publish(&parts, &project, &directory, &chroot).await });
                    }
                }
            }
            Err(error) => warn!("Cannot look for publications: {}", chain(&error)),
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = news.next() => {}
            Some(ended) = running.join_next() => report(ended),
        }
    }
    while let Some(ended) = running.join_next().await {
        report(ended);
    }
}

/// Its lease ends by itself; another publication follows then.
fn report(ended: Result<(), JoinError>) {
    if let Err(cause) = ended {
        error!("A fault of this program: a publication was lost: {cause}");
    }
}

async fn publish(parts: &Parts, project: &Project, directory: &DirectoryName, chroot: &ChrootName) {
    let place = format!("{}/{directory}/{chroot}", project.owner);
    let key = (project.id, directory, chroot);
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
    let written = tokio::select! {
        written = write(parts, project, id.clone(), &publication) => written,
        lost = keep_lease(parts, key, publication.number) => Err(lost.into()),
    };
    let now = clock::now();
    let recorded = match written {
        Ok(record) => {
            let (packages, attempts) = (publication.packages.len(), &publication.attempts);
            let finished = parts
                .store
                .finish_publication(key, &record, &parts.name, attempts, now);
            let finished = finished.await;
            if finished.is_ok() {
                info!(
                    "Published {place} number {} with {packages} packages.",
                    record.number
                );
                if let Err(error) = remove_deleted(parts, id, &publication).await {
                    warn!("Files of deleted builds are left in {place}: {}", chain(&error));
                }
            }
            finished
        }
        Err(error) => {
            let words = chain(&error);
            warn!("The publication of {place} failed: {words}");
            if let Error::Repository(repository::Error::NumberTaken { highest, .. }) = error {
                skip_numbers(parts, key, highest).await;
            }
            let failed = parts
                .store
                .fail_publication(key, publication.number, &parts.name, &words, now);
            failed.await
        }
    };
    if let Err(error) = recorded {
        warn!(
            "What became of a publication of {place} was not recorded: {}",
            chain(&error)
        );
    }
}

/// An older database was put beside newer results: it goes on after the highest number there.
async fn skip_numbers(parts: &Parts, key: RepositoryKey<'_>, highest: u64) {
    if let Err(error) = parts.store.number_publications_after(key, highest).await {
        warn!("Cannot number publications after {highest}: {}", chain(&error));
    }
}

/// Takes the files of deleted builds off the disk, now that no metadata names them. What stays behind goes with the
/// next publication: also builds that were deleted while this one was written, which names them still.
async fn remove_deleted(parts: &Parts, id: RepositoryId, written: &Publication) -> Result<(), Error> {
    let (publisher, repository) = (Arc::clone(&parts.publisher), id.clone());
    let mut builds = blocking(move || Ok(publisher.builds(&repository)?)).await?;
    let packages = written.packages.iter();
    let named: BTreeSet<&str> = packages
        .map(|package| package.result_directory.as_str())
        .collect();
    builds.retain(|build| !named.contains(build.to_string().as_str()));
    let ids: Vec<BuildId> = builds.iter().map(|build| build.build).collect();
    let existing = parts.store.existing_builds(&ids).await?;
    let publisher = Arc::clone(&parts.publisher);
    blocking(move || {
        for build in builds.iter().filter(|build| !existing.contains(&build.build)) {
            publisher.remove_build(&id, build)?;
        }
        Ok(())
    })
    .await
}

/// Shows that the publication goes on, until it is no longer ours.
async fn keep_lease(parts: &Parts, key: RepositoryKey<'_>, number: u64) -> store::Error {
    loop {
        tokio::time::sleep(RENEW_EVERY).await;
        let renewed = parts
            .store
            .renew_publication(key, number, &parts.name, clock::now())
            .await;
        match renewed {
            Ok(()) => {}
            Err(error @ store::Error::Conflict { .. }) => return error,
            Err(error) => warn!("Cannot renew a publication: {}", chain(&error)),
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
    let place = (project.id, &id.directory, &id.chroot);
    let is_first = !parts.store.is_published(place).await?;
    let key = signing_key(parts, project.id).await?;
    let (publisher, number) = (parts.publisher.clone(), publication.number);
    blocking(move || {
        if is_first {
            publisher.discard(&id)?;
        }
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
