//! The task that a builder is given, in the words of `provision-files/builder/README.md`.

use std::path::{Path, PathBuf};

use model::{AttemptId, ChrootName, DirectoryName, Epoch, OwnerName, RepositoryAddress};
use serde_json::{Value, json};
use store::{Allocation, StoredSource};

use crate::context::Context;

/// The version of the task's format.
const SCHEMA_VERSION: u32 = 1;

/// The attempt's id as builders write it.
pub(crate) fn attempt_text(attempt: AttemptId) -> String {
    attempt.0.hyphenated().to_string()
}

/// Where an uploaded source is: `ab/<sha256>/<file name>`. The API put it there.
pub(crate) fn source_path(sources: &Path, source: &StoredSource) -> PathBuf {
    let prefix: String = source.sha256.chars().take(2).collect();
    sources.join(prefix).join(&source.sha256).join(&source.file_name)
}

/// The task for an allocation.
pub(crate) fn task(context: &Context, allocation: &Allocation) -> Value {
    let attempt = &allocation.attempt;
    let Epoch(epoch) = allocation.epoch;
    json!({
        "schema_version": SCHEMA_VERSION,
        "attempt": attempt_text(attempt.id),
        "epoch": epoch,
        "build": attempt.build,
        "project": {"owner": attempt.owner, "name": attempt.directory},
        "chroot": attempt.chroot,
        "source": {
            "file": attempt.source.file_name, "sha256": attempt.source.sha256, "size": attempt.source.size,
        },
        "timeout_seconds": attempt.options.timeout_seconds,
        "limits": {
            "log_bytes": context.limits.log_bytes,
            "result_bytes": context.limits.result_bytes,
            "result_files": context.limits.result_files,
        },
        "repositories": repositories(
            &format!("{}/results", context.builder_url),
            (&attempt.owner, &attempt.directory, &attempt.chroot),
            &attempt.additional_repos,
        ),
        "macros": {
            "%copr_username": attempt.owner.as_str(),
            "%copr_projectname": attempt.project_name.as_str(),
            "%vendor": format!("Verdigris - {} {}", "project", attempt.project_name),
        },
        "enable_net": attempt.options.enable_net.unwrap_or(false),
        "isolation": isolation(attempt.options.isolation.as_deref()),
    })
}

/// The repositories of an attempt beside its chroot's own: the project's, that of its directory if it is built in another
/// one, and those that the project names. `results` is the address of the farm's results.
fn repositories(
    results: &str,
    (owner, directory, chroot): (&OwnerName, &DirectoryName, &ChrootName),
    additional: &[String],
) -> Vec<Value> {
    let ids = ["verdigris_project", "verdigris_directory"];
    let own = ids
        .into_iter()
        .zip(directories(directory))
        .map(|(id, directory)| {
            let place = format!("{results}/{owner}/{directory}");
            json!({
                "id": id, "name": format!("{owner}/{directory}"), "gpgcheck": true,
                "baseurl": format!("{place}/{chroot}/"), "gpgkey": format!("{place}/pubkey.gpg"),
            })
        });
    let additional = additional.iter().enumerate().map(|(index, text)| {
        // What is stored was taken by the api; were it not, the builder would refuse it with its reason.
        let (base, priority) = match RepositoryAddress::parse(text) {
            Ok(address) => (address.base(results, chroot), address.priority),
            Err(_) => (text.clone(), None),
        };
        json!({
            // Under this name builders speak of it to its user.
            "id": additional_id(index), "name": text,
            "baseurl": base, "gpgcheck": false, "priority": priority,
        })
    });
    own.chain(additional).collect()
}

/// The id of a repository that a project names, by its place among them.
pub(crate) fn additional_id(index: usize) -> String {
    format!("additional_{index}")
}

/// The directories whose packages a build in a directory sees: the project's own, then that one.
pub(crate) fn directories(directory: &DirectoryName) -> Vec<DirectoryName> {
    let mut found = vec![directory.main()];
    if found.first() != Some(directory) {
        found.push(directory.clone());
    }
    found
}

/// Mock's isolation as builders know it: Copr's clients have a word more, for "as it was".
fn isolation(option: Option<&str>) -> &str {
    match option {
        Some(word @ ("simple" | "nspawn")) => word,
        _ => "default",
    }
}

#[cfg(test)]
mod tests;
