//! Takes off the disk what nothing refers to any more: sources and live logs of deleted builds, results of deleted projects,
//! and what interrupted collections and removals left. Whatever is young is left alone, since a file is there before the
//! row that refers to it. One file that cannot be removed keeps no other from it.

use std::{
    io,
    panic::AssertUnwindSafe,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::FutureExt as _;
use model::AttemptId;
use runtime::{CancellationToken, supervisor::error_chain};
use tracing::{error, info, warn};
use uuid::Uuid;

use crate::{
    context::Context,
    error::{Error, blocking},
    log,
    prune::prune_all,
};

/// How often it is done, and how old something has to be.
const EVERY: Duration = Duration::from_secs(3600);
const GRACE: Duration = Duration::from_secs(3600);
/// An attempt may be collected for so long; its staging directory is used until then.
const GRACE_OF_STAGING: Duration = Duration::from_secs(2 * 24 * 3600);

/// Sweeps now and then until told to stop.
pub(crate) async fn run(context: Arc<Context>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        match AssertUnwindSafe(sweep(&context, &stop)).catch_unwind().await {
            Ok(Ok(0)) => {}
            Ok(Ok(count)) => info!("Removed {count} files and directories that nothing refers to any more."),
            Ok(Err(error)) => warn!("Cannot look for what nothing refers to: {}", error_chain(&error)),
            Err(_) => error!("A fault of this program: the sweep of the disk panicked."),
        }
        if let Err(error) = prune_all(&context, &stop).await {
            warn!("Cannot look for superseded snapshots: {}", error_chain(&error));
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// Removes what is old enough; how many things that were. Everything is listed before the database is asked: what is not
/// there then was deleted, and is not just about to be written down.
async fn sweep(context: &Context, stop: &CancellationToken) -> Result<usize, Error> {
    let results = context.publisher.root().to_owned();
    let (sources, logs, root) = (context.sources.clone(), log::attempts(&results), results.clone());
    let listed = move || Ok((stored_sources(&sources), children(&logs), directories(&root)));
    let (sources, logs, directories) = blocking(listed).await?;
    let projects = context.store.project_names().await?;
    // Beside a database that knows nothing, by a mistake in the settings or after a loss, all would seem to be nobody's.
    if projects.is_empty() {
        return Ok(0);
    }
    let deleted = context.store.deleted_project_names().await?;

    let digests: Vec<String> = sources.iter().filter_map(|path| name_of(path)).collect();
    let used = context.store.used_sources(&digests).await?;
    let unused = |path: &PathBuf| name_of(path).is_some_and(|digest| !used.contains(&digest));
    let mut old: Vec<PathBuf> = sources.into_iter().filter(unused).collect();

    let id_of = |path: &PathBuf| Some(AttemptId(Uuid::try_parse(&name_of(path)?).ok()?));
    let ids: Vec<AttemptId> = logs.iter().filter_map(id_of).collect();
    let existing = context.store.existing_attempts(&ids).await?;
    let is_gone = |path: &PathBuf| id_of(path).is_some_and(|id| !existing.contains(&id));
    old.extend(logs.into_iter().filter(is_gone));

    // Only of a project that is known to be deleted: one that is not known at all may be missing in an older database.
    let is_deleted = |path: &PathBuf| project_of(path).is_some_and(|project| deleted.contains(&project));
    old.extend(directories.into_iter().filter(is_deleted));

    let stop = stop.clone();
    blocking(move || {
        old.extend(children(&results.join(repository::TRASH)));
        let staged = staging(&results);
        Ok(remove(&old, GRACE, &stop) + remove(&staged, GRACE_OF_STAGING, &stop))
    })
    .await
}

/// The directories of projects, `OWNER/DIRECTORY`.
fn directories(results: &Path) -> Vec<PathBuf> {
    let is_plain = |path: &PathBuf| name_of(path).is_some_and(|name| !name.starts_with('.'));
    let owners = children(results).into_iter().filter(is_plain);
    owners.flat_map(|owner| children(&owner)).collect()
}

/// The owner and the project of a directory; of `demo:custom:x` it is `demo`.
fn project_of(directory: &Path) -> Option<(String, String)> {
    let name = name_of(directory)?;
    let project = name.split(':').next()?;
    Some((name_of(directory.parent()?)?, project.to_owned()))
}

/// `XX/DIGEST` below the sources.
fn stored_sources(root: &Path) -> Vec<PathBuf> {
    let is_start = |path: &PathBuf| name_of(path).is_some_and(|name| name.len() == 2);
    let starts = children(root).into_iter().filter(is_start);
    starts.flat_map(|start| children(&start)).collect()
}

/// What is staged in each repository, `OWNER/DIRECTORY/CHROOT/.staging/BUILD`.
fn staging(results: &Path) -> Vec<PathBuf> {
    let repositories = directories(results).into_iter().flat_map(|path| children(&path));
    let stagings = repositories.map(|path| path.join(repository::STAGING));
    stagings.flat_map(|path| children(&path)).collect()
}

/// The entries of a directory; none of one that is not there or cannot be read.
fn children(directory: &Path) -> Vec<PathBuf> {
    match std::fs::read_dir(directory) {
        Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
        Err(error) if [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory].contains(&error.kind()) => {
            Vec::new()
        }
        Err(error) => {
            warn!("Cannot read {}: {error}", directory.display());
            Vec::new()
        }
    }
}

fn name_of(path: &Path) -> Option<String> {
    path.file_name()?.to_str().map(str::to_owned)
}

/// Removes those that are old enough, and directories that became empty, until told to stop; how many it were.
fn remove(paths: &[PathBuf], grace: Duration, stop: &CancellationToken) -> usize {
    let mut count: usize = 0;
    for path in paths {
        if stop.is_cancelled() {
            break;
        }
        // Asked last of all: a source that is submitted once more is young from then on.
        if age(path).is_none_or(|age| age < grace) {
            continue;
        }
        let removed = if path.is_dir() {
            std::fs::remove_dir_all(path)
        } else {
            std::fs::remove_file(path)
        };
        match removed {
            Ok(()) => count = count.saturating_add(1),
            Err(error) => warn!("Cannot remove {}: {error}", path.display()),
        }
        if let Some(parent) = path.parent() {
            // One that is not empty stays.
            std::fs::remove_dir(parent).ok();
        }
    }
    count
}

fn age(path: &Path) -> Option<Duration> {
    let changed = std::fs::symlink_metadata(path).ok()?.modified().ok()?;
    SystemTime::now().duration_since(changed).ok()
}

#[cfg(test)]
mod tests;
