//! The task that a builder is given, in the words of `provision-files/builder/README.md`.

use std::path::{Path, PathBuf};

use model::{AttemptId, ChrootName, Epoch};
use serde_json::{Value, json};
use store::{Allocation, StoredSource};

use crate::Context;

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
    let results = format!(
        "{}/results/{}/{}/{}/",
        context.builder_url, attempt.owner, attempt.directory, attempt.chroot
    );
    let mut repositories = vec![json!({
        "id": "verdigris_project",
        "name": format!("{}/{}", attempt.owner, attempt.directory),
        "baseurl": results,
        "gpgcheck": true,
        "gpgkey": format!("{}/results/{}/{}/pubkey.gpg", context.builder_url, attempt.owner, attempt.directory),
    })];
    let additional = attempt.additional_repos.iter().enumerate().map(|(index, url)| {
        json!({
            "id": format!("additional_{index}"), "name": format!("Additional repository {index}"),
            "baseurl": base_url(&context.builder_url, url, &attempt.chroot),
            "gpgcheck": false,
        })
    });
    repositories.extend(additional);
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
        "repositories": repositories,
        "macros": {
            "%copr_username": attempt.owner.as_str(),
            "%copr_projectname": attempt.project_name.as_str(),
            "%vendor": format!("Verdigris - {} {}", "project", attempt.project_name),
        },
        "enable_net": attempt.options.enable_net.unwrap_or(false),
        "isolation": isolation(attempt.options.isolation.as_deref()),
    })
}

/// An additional repository's address: `copr://owner/project` names another project of this farm, and `$chroot` is the
/// chroot's name. The other variables are dnf's own.
fn base_url(farm: &str, url: &str, chroot: &ChrootName) -> String {
    match url.strip_prefix("copr://") {
        Some(project) => format!("{farm}/results/{project}/{chroot}/"),
        None => url.replace("$chroot", chroot.as_str()),
    }
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
