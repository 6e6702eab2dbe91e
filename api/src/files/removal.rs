//! Taking results off the disk once the database no longer knows them. What fails here is logged and left:
//! the rows are gone, so that nothing links to the files any more.

use std::{io, path::PathBuf};

use model::ChrootName;
use repository::{BuildDirectory, Publisher, RepositoryId, TRASH};
use store::{Build, BuiltPackage, Project};

use crate::state::ApiState;

/// Removes all directories of a deleted project.
pub(crate) async fn remove_project_results(state: &ApiState, project: &Project) {
    let root = state.settings().results_root.clone();
    let (owner, name) = (project.owner.to_string(), project.name.to_string());
    let outcome = tokio::task::spawn_blocking(move || {
        let owned = root.join(owner);
        let entries = match fs_err::read_dir(&owned) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let trash = root.join(TRASH).join(uuid::Uuid::now_v7().simple().to_string());
        fs_err::create_dir_all(&trash)?;
        for entry in entries {
            let entry = entry?;
            let directory = entry.file_name();
            let is_ours = directory
                .to_str()
                .is_some_and(|text| text.split(':').next() == Some(name.as_str()));
            if is_ours {
                fs_err::rename(entry.path(), trash.join(&directory))?;
            }
        }
        fs_err::remove_dir_all(&trash)
    })
    .await;
    match outcome {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::warn!(project = project.id.0, %error, "The results of a deleted project could not all be removed.");
        }
        Err(error) => tracing::error!(project = project.id.0, %error, "Removing results ended early."),
    }
}

/// Removes the logs and other results of a deleted build from the chroots in which it made no packages. Where
/// it made some, the repository still names them until it is published anew: those files are the publisher's.
pub(crate) async fn remove_packageless_results(
    state: &ApiState,
    build: &Build,
    packages: &[(ChrootName, Vec<BuiltPackage>)],
) {
    let Some(package) = build.package.clone() else {
        return;
    };
    let with_packages = |name: &ChrootName| {
        packages
            .iter()
            .any(|(chroot, made)| chroot == name && !made.is_empty())
    };
    let repositories: Vec<RepositoryId> = build
        .chroots
        .iter()
        .filter(|chroot| !with_packages(&chroot.name))
        .map(|chroot| RepositoryId {
            owner: build.owner.clone(),
            directory: build.directory.clone(),
            chroot: chroot.name.clone(),
        })
        .collect();
    let directory = BuildDirectory {
        build: build.id,
        package,
    };
    let root: PathBuf = state.settings().results_root.clone();
    let outcome = tokio::task::spawn_blocking(move || {
        let publisher = Publisher::new(root);
        repositories
            .iter()
            .try_for_each(|repository| publisher.remove_build(repository, &directory))
    })
    .await;
    match outcome {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::warn!(build = build.id.0, %error, "The results of a deleted build could not all be removed.");
        }
        Err(error) => tracing::error!(build = build.id.0, %error, "Removing results ended early."),
    }
}
