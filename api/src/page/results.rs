//! `/results/...`: packages, repositories and logs, as files and as lists.
//!
//! What is on disk is served as it is. Two things are not on disk where they are served: the log of an attempt
//! that runs, whose address is the one it has when it ended, and uploaded sources, which lie by digest.

use std::{fs::File, io, path::PathBuf};

use model::{BuildId, ChrootName};
use poem::{Request, Response, http::StatusCode};
use store::Build;

use super::{
    Pages,
    index::{self, Entry, Listing},
    redirect,
};
use crate::{
    files::{
        beneath::open_beneath,
        log::{self, LOG},
        spool,
        static_file::{self, Caching},
    },
    http::{address, error::ApiError},
    state::ApiState,
    view,
};

/// The name of the directory of sources, beside those of chroots.
const SOURCES: &str = "srpm-builds";

/// The one hidden directory that may be seen, below a chroot: states of a repository, by number.
const SNAPSHOTS: &str = ".snapshots";

fn nothing() -> ApiError {
    ApiError::NotFound("There is no such result.".to_owned())
}

/// What was found at an address.
enum Found {
    File {
        file: File,
        name: String,
        caching: Caching,
    },
    Directory(Listing),
}

pub(crate) async fn show(
    state: &ApiState,
    pages: &Pages,
    request: &Request,
    names: &[&str],
    ends_in_slash: bool,
) -> Result<Response, ApiError> {
    let hidden = |(place, name): (usize, &&str)| name.starts_with('.') && !(place == 3 && *name == SNAPSHOTS);
    if names.is_empty() || names.iter().enumerate().any(hidden) {
        return Err(nothing());
    }
    let found = match names {
        [owner, directory, SOURCES, build, rest @ ..] => {
            source(state, (owner, directory), build, rest).await?
        }
        _ => stored_or_live(state, names, index::wanted_page(request).ok_or_else(nothing)?).await?,
    };
    match found {
        Found::File { .. } if ends_in_slash => Err(nothing()),
        Found::File { file, name, caching } => {
            static_file::respond(request, file, static_file::content_type(&name), caching).await
        }
        Found::Directory(_) if !ends_in_slash => {
            // The name alone is not enough for browsers when it holds a colon, so the whole path is given.
            let path: Vec<String> = names.iter().map(|name| address::encode(name)).collect();
            Ok(redirect(
                StatusCode::MOVED_PERMANENTLY,
                &format!("/results/{}/", path.join("/")),
            ))
        }
        Found::Directory(listing) => index::show(pages, names, &listing),
    }
}

/// A file of a distribution that is served to builders. There are no lists: dnf needs none.
pub(crate) async fn mirrored(
    state: &ApiState,
    request: &Request,
    mirror: &str,
    names: &[&str],
    ends_in_slash: bool,
) -> Result<Response, ApiError> {
    let nothing = || ApiError::NotFound("There is nothing at this address.".to_owned());
    let root = state
        .settings()
        .mirrors
        .get(mirror)
        .cloned()
        .ok_or_else(nothing)?;
    if ends_in_slash || names.iter().any(|name| name.starts_with('.')) {
        return Err(nothing());
    }
    match stored(root, names, 1).await? {
        Some(Found::File { file, name, caching }) => {
            static_file::respond(request, file, static_file::content_type(&name), caching).await
        }
        _ => Err(nothing()),
    }
}

async fn stored_or_live(state: &ApiState, names: &[&str], page: usize) -> Result<Found, ApiError> {
    let stored = stored(state.settings().results_root.clone(), names, page).await?;
    match (names, stored) {
        ([owner, directory, chroot, build, LOG], None) => {
            let place = (*owner, *directory, *chroot, *build);
            let file = live_log(state, place).await?.ok_or_else(nothing)?;
            Ok(Found::File {
                file,
                name: LOG.to_owned(),
                caching: Caching::Never,
            })
        }
        ([owner, directory, chroot, build], stored) => {
            let live = match &stored {
                Some(Found::File { .. }) => None,
                _ => live_log(state, (owner, directory, chroot, build)).await?,
            };
            with_log(stored, live)
        }
        (_, stored) => stored.ok_or_else(nothing),
    }
}

/// The list of a build's directory, with the live log in it where the log is not stored yet.
fn with_log(stored: Option<Found>, live: Option<File>) -> Result<Found, ApiError> {
    let mut listing = match stored {
        Some(Found::Directory(listing)) => listing,
        Some(file) => return Ok(file),
        None if live.is_none() => return Err(nothing()),
        None => Listing::of(Vec::new()),
    };
    if let Some(log) = live
        && listing.entries.iter().all(|entry| entry.name != LOG)
    {
        listing.entries.push(log_entry(&log)?);
    }
    Ok(Found::Directory(listing))
}

fn log_entry(log: &File) -> Result<Entry, ApiError> {
    let failed = |error: io::Error| ApiError::Internal(format!("cannot look at a log: {error}"));
    let metadata = log.metadata().map_err(failed)?;
    let since = metadata
        .modified()
        .map_err(failed)?
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    Ok(Entry {
        name: LOG.to_owned(),
        is_directory: false,
        size: metadata.len(),
        modified: model::Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(0)),
    })
}

/// What is on disk.
async fn stored(root: PathBuf, names: &[&str], page: usize) -> Result<Option<Found>, ApiError> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let looked = tokio::task::spawn_blocking(move || {
        let file = match open_beneath(&root, &names) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let kind = file.metadata()?.file_type();
        if kind.is_dir() {
            return index::read(&file, page).map(|listing| listing.map(Found::Directory));
        }
        let name = names.last().cloned().unwrap_or_default();
        let caching = Caching::of(&name);
        Ok(kind.is_file().then_some(Found::File { file, name, caching }))
    });
    looked
        .await
        .map_err(|error| ApiError::Internal(format!("looking for a result: {error}")))?
        .map_err(|error| ApiError::Internal(format!("cannot look for a result: {error}")))
}

/// The number in front of a build's directory: 12 of `00000012-hello`.
fn build_number(directory: &str) -> Option<BuildId> {
    let digits = directory.split_once('-').map_or(directory, |(digits, _)| digits);
    let is_number = digits.len() >= 8 && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten().map(BuildId)
}

async fn find(
    state: &ApiState,
    owner: &str,
    directory: &str,
    build: &str,
) -> Result<Option<Build>, ApiError> {
    let Some(id) = build_number(build) else {
        return Ok(None);
    };
    let build = state.store().build(id).await?;
    Ok(build.filter(|build| build.owner.as_str() == owner && build.directory.as_str() == directory))
}

/// The log of the latest attempt that has one.
async fn live_log(state: &ApiState, place: (&str, &str, &str, &str)) -> Result<Option<File>, ApiError> {
    let (owner, directory, chroot, name) = place;
    let Some(build) = find(state, owner, directory, name).await? else {
        return Ok(None);
    };
    let Ok(wanted) = chroot.parse::<ChrootName>() else {
        return Ok(None);
    };
    let is_its_directory = build.chroots.iter().any(|chroot| {
        chroot.name == wanted && view::result_directory(&build, chroot).as_deref() == Some(name)
    });
    if !is_its_directory {
        return Ok(None);
    }
    let attempts = state.store().attempts_of(build.id).await?;
    let ids: Vec<_> = attempts
        .iter()
        .rev()
        .filter(|attempt| attempt.chroot == wanted)
        .map(|attempt| attempt.id)
        .collect();
    let root = state.settings().results_root.clone();
    tokio::task::spawn_blocking(move || {
        ids.into_iter()
            .find_map(|id| open_beneath(&root, &log::live_path(id)).ok())
    })
    .await
    .map_err(|error| ApiError::Internal(format!("looking for a log: {error}")))
}

/// An uploaded source, or the list that has only it.
async fn source(
    state: &ApiState,
    project: (&str, &str),
    name: &str,
    rest: &[&str],
) -> Result<Found, ApiError> {
    let (owner, directory) = project;
    let build = find(state, owner, directory, name).await?.ok_or_else(nothing)?;
    let path = spool::source_path(&state.settings().source_root, &build.source);
    let file = tokio::task::spawn_blocking(move || fs_err::File::open(path).map(|file| file.into_parts().0))
        .await
        .map_err(|error| ApiError::Internal(format!("looking for a source: {error}")))?
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => nothing(),
            _ => ApiError::Internal(format!("cannot open a source: {error}")),
        })?;
    match rest {
        [] => Ok(Found::Directory(Listing::of(vec![Entry {
            name: build.source.file_name.clone(),
            is_directory: false,
            size: build.source.size,
            modified: build.submitted_at,
        }]))),
        [wanted] if *wanted == build.source.file_name => Ok(Found::File {
            file,
            name: build.source.file_name.clone(),
            caching: Caching::Hour,
        }),
        _ => Err(nothing()),
    }
}

#[cfg(test)]
mod tests {
    use super::build_number;

    #[test]
    fn a_build_is_known_by_the_number_of_its_directory() {
        assert_eq!(build_number("00000012-hello").map(|id| id.0), Some(12));
        assert_eq!(build_number("00000012").map(|id| id.0), Some(12));
        assert_eq!(build_number("123456789-x-y").map(|id| id.0), Some(123_456_789));
        for bad in ["12-hello", "0000001a-x", "-x", "", "99999999999999999999-x"] {
            assert_eq!(build_number(bad), None, "{bad}");
        }
    }
}
