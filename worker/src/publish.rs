//! Making results visible: one publication at a time for each project directory and chroot, with as many
//! builds in it as there are. One that fails is tried again; it never turns a built package into a failed
//! build.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use model::{AttemptId, BuildId};
use repository::{PackageMetadata, Publisher, RepositoryId};
use runtime::{Backoff, CancellationToken, clock, supervisor::error_chain};
use store::{Publication, RepositoryKey, RepositoryPlace, SnapshotRecord};
use tokio::{
    task::{JoinError, JoinSet},
    time::Instant,
};
use tracing::{error, info, warn};

use crate::{
    context::Context,
    error::{Error, blocking},
    prune::{prune, record, repository_id},
    signer::signing_key,
};

const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How many repositories are looked for, and how many are published at once.
const MOST_AT_ONCE: u64 = 16;
const MOST_AT_ONCE_HERE: usize = 4;
/// How often a publication shows that it goes on; its lease lasts a minute.
const RENEW_EVERY: Duration = Duration::from_secs(10);
/// How long a repository is left alone whose failure could not even be written down.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Publishes what there is to publish until told to stop; what is being written then is finished first.
pub(crate) async fn run(context: Arc<Context>, stop: CancellationToken) {
    let mut running = JoinSet::new();
    let mut queue = Queue::default();
    let mut notifications = context.store.notifications();
    let mut is_new = true;
    while !stop.is_cancelled() {
        // What a worker of this name was publishing when it was killed would otherwise wait for its lease's end.
        if is_new {
            match context.store.give_up_publications(&context.name).await {
                Ok(()) => is_new = false,
                Err(error) => warn!("Cannot give up earlier publications: {}", error_chain(&error)),
            }
        }
        if !is_new && running.len() < MOST_AT_ONCE_HERE {
            match context.store.publishable(MOST_AT_ONCE, clock::now()).await {
                Ok(due) => {
                    for place in queue.choose(
                        due,
                        MOST_AT_ONCE_HERE.saturating_sub(running.len()),
                        Instant::now(),
                    ) {
                        let context = Arc::clone(&context);
                        running.spawn(async move {
                            let is_done = publish(&context, &place).await;
                            (repository_id(&place), is_done)
                        });
                    }
                }
                Err(error) => warn!("Cannot look for publications: {}", error_chain(&error)),
            }
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = notifications.next() => {}
            Some(ended) = running.join_next() => queue.ended(ended, Instant::now()),
        }
    }
    while let Some(ended) = running.join_next().await {
        queue.ended(ended, Instant::now());
    }
}

/// Which repositories are published here, and which are left alone for a while since their last publication failed: the
/// database knows of most failures, but not of one that it had no part in.
#[derive(Default)]
struct Queue {
    running: BTreeSet<RepositoryId>,
    pauses: BTreeMap<RepositoryId, (Backoff, Instant)>,
}

impl Queue {
    /// The first of those that are due and neither under way here nor in a pause; they are under way from then on.
    fn choose(&mut self, due: Vec<RepositoryPlace>, most: usize, now: Instant) -> Vec<RepositoryPlace> {
        let mut chosen = Vec::new();
        for place in due {
            let id = repository_id(&place);
            let rests = self.pauses.get(&id).is_some_and(|(_, until)| *until > now);
            if chosen.len() < most && !rests && self.running.insert(id) {
                chosen.push(place);
            }
        }
        chosen
    }

    /// Of a publication that was lost the lease ends by itself; another follows then.
    fn ended(&mut self, ended: Result<(RepositoryId, bool), JoinError>, now: Instant) {
        match ended {
            Ok((id, is_done)) => {
                self.running.remove(&id);
                if is_done {
                    self.pauses.remove(&id);
                    return;
                }
                let (pauses, until) = self
                    .pauses
                    .entry(id)
                    .or_insert_with(|| (Backoff::new(FIRST_PAUSE, LONGEST_PAUSE), now));
                *until = now + pauses.pause();
            }
            Err(cause) => {
                error!("A fault of this program: a publication was lost: {cause}");
                // Which one it was is not told. Two of one repository do no harm: one of them gets its lease.
                self.running.clear();
            }
        }
    }
}

/// Publishes one repository, if it is still due; whether its database and disk did all that was asked of them.
pub(crate) async fn publish(context: &Context, place: &RepositoryPlace) -> bool {
    let (key, id) = (place.key(), &repository_id(place));
    let begun = context
        .store
        .begin_publication(key, &context.name, clock::now())
        .await;
    let number = match begun {
        Ok(Some(number)) => number,
        Ok(None) => return true,
        Err(error) => {
            warn!("Cannot begin a publication of {id}: {}", error_chain(&error));
            return false;
        }
    };
    let written = tokio::select! {
        written = write(context, place, number) => written,
        lost = keep_lease(context, key, number) => Err(lost.into()),
    };
    let finished = match written {
        Ok(written) => finish(context, key, &written).await.map(|()| written),
        Err(error) => Err(error),
    };
    match finished {
        Ok(written) => {
            info!(
                "Published {id} number {number} with {} packages.",
                written.named.len()
            );
            if let Err(error) = tidy_up(context, place, &written).await {
                warn!("What {id} no longer needs is left there: {}", error_chain(&error));
            }
            true
        }
        Err(error) => {
            warn!("The publication of {id} failed: {}", error_chain(&error));
            if let Err(error) = give_up(context, key, number, &error).await {
                warn!(
                    "That a publication of {id} failed was not recorded: {}",
                    error_chain(&error)
                );
                return false;
            }
            true
        }
    }
}

/// A snapshot that is live.
struct Written {
    record: SnapshotRecord,
    /// The attempts that waited for it and whose packages are in it.
    attempts: Vec<AttemptId>,
    /// The directories of the builds that it names.
    named: BTreeSet<String>,
}

async fn finish(context: &Context, key: RepositoryKey<'_>, written: &Written) -> Result<(), Error> {
    let (record, attempts) = (&written.record, &written.attempts);
    let finished = context
        .store
        .finish_publication(key, record, &context.name, attempts, clock::now());
    Ok(finished.await?)
}

/// Gives the lease back, so that the next try need not wait until it ends, and has it wait its pause.
async fn give_up(
    context: &Context,
    key: RepositoryKey<'_>,
    number: u64,
    why: &Error,
) -> Result<(), store::Error> {
    if let Error::Repository(repository::Error::NumberTaken { highest, .. }) = why {
        // An older database was put beside newer results: it goes on after the highest number there.
        context.store.number_publications_after(key, *highest).await?;
    }
    let why = error_chain(why);
    let failed = context
        .store
        .fail_publication(key, number, &context.name, &why, clock::now());
    match failed.await {
        // It is another's by now, or its project is gone.
        Err(store::Error::Conflict { .. }) => Ok(()),
        other => other,
    }
}

/// Shows that the publication goes on, until it is no longer ours.
async fn keep_lease(context: &Context, key: RepositoryKey<'_>, number: u64) -> store::Error {
    loop {
        tokio::time::sleep(RENEW_EVERY).await;
        let renewed = context
            .store
            .renew_publication(key, number, &context.name, clock::now())
            .await;
        match renewed {
            Ok(()) => {}
            Err(error @ store::Error::Conflict { .. }) => return error,
            Err(error) => warn!("Cannot renew a publication: {}", error_chain(&error)),
        }
    }
}

/// Writes the new snapshot and switches to it.
async fn write(context: &Context, place: &RepositoryPlace, number: u64) -> Result<Written, Error> {
    let is_first = !context.store.is_published(place.key()).await?;
    let signing = signing_key(context, place.project).await?;
    let publication = context.store.publication(place.key(), number).await?;
    let (publisher, id) = (Arc::clone(&context.publisher), repository_id(place));
    blocking(move || {
        let (attempts, named, metadata) = readable(publication);
        let now = clock::now();
        if is_first {
            publisher.discard(&id)?;
        }
        if !is_whole(&publisher, &id) {
            // The first time this makes the directories, the key's file and an empty repository.
            publisher.create_repository(&id, &signing, now)?;
        }
        let snapshot = publisher.publish(&id, &metadata, &signing, number, now)?;
        Ok(Written {
            record: record(&snapshot),
            attempts,
            named,
        })
    })
    .await
}

/// Whether a repository and its key's file are there.
fn is_whole(publisher: &Publisher, id: &RepositoryId) -> bool {
    let key = publisher.directory(id).parent().map(|it| it.join("pubkey.gpg"));
    key.is_some_and(|path| path.is_file()) && publisher.live(id).is_ok()
}

/// What a publication can be made of: the attempts that it finishes, the directories of its builds, and its metadata. A
/// package whose metadata cannot be read is left out, and its attempt goes on waiting: the others are not kept from their
/// users by it.
fn readable(publication: Publication) -> (Vec<AttemptId>, BTreeSet<String>, Vec<PackageMetadata>) {
    let mut metadata = Vec::with_capacity(publication.packages.len());
    let (mut named, mut broken) = (BTreeSet::new(), BTreeSet::new());
    for package in publication.packages {
        match serde_json::from_str::<PackageMetadata>(&package.metadata_json) {
            Ok(described) => metadata.push(described),
            Err(cause) => {
                error!(
                    "The metadata of {} of attempt {} cannot be read, so that it is left out: {cause}",
                    package.file_name, package.attempt
                );
                broken.insert(package.attempt);
            }
        }
        named.insert(package.result_directory);
    }
    let mut attempts = publication.attempts;
    attempts.retain(|attempt| !broken.contains(attempt));
    (attempts, named, metadata)
}

/// After a publication: removes snapshots that are superseded for long enough, and the files of deleted builds, now that no
/// metadata names them. What stays behind goes with the next publication: also builds that were deleted while this one was
/// written, which names them still.
async fn tidy_up(context: &Context, place: &RepositoryPlace, written: &Written) -> Result<(), Error> {
    prune(context, place).await?;
    let (publisher, id) = (Arc::clone(&context.publisher), repository_id(place));
    let mut builds = blocking(move || Ok(publisher.builds(&id)?)).await?;
    builds.retain(|build| !written.named.contains(&build.to_string()));
    let ids: Vec<BuildId> = builds.iter().map(|build| build.build).collect();
    let existing = context.store.existing_builds(&ids).await?;
    let (publisher, id) = (Arc::clone(&context.publisher), repository_id(place));
    blocking(move || {
        for build in builds.iter().filter(|build| !existing.contains(&build.build)) {
            publisher.remove_build(&id, build)?;
        }
        Ok(())
    })
    .await
}

#[cfg(test)]
mod tests;
