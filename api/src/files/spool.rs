//! From bytes of a stranger to a source package in its place: written to the spool with limits, synced, read,
//! renamed. Whatever stops half-way leaves nothing behind: a file in the spool removes itself when it is
//! dropped, and the lock that it holds while it is written tells the next start what is left of a crash.

use std::{
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use fs_err::{File, OpenOptions, os::unix::fs::OpenOptionsExt as _};
use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};
use store::StoredSource;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};

use crate::{
    files::disk,
    http::{arguments::too_large, error::ApiError},
    state::ApiState,
};

/// How the names of our files in the spool begin.
const PREFIX: &str = "upload-";

/// Bytes that are copied at a time.
const CHUNK: usize = 256 << 10;

/// How many bytes are written between two looks at the free space.
const CHECK_EVERY: u64 = 64 << 20;

/// A file in the spool. Dropping it removes it, unless it was renamed.
pub(crate) struct Spooled {
    path: PathBuf,
    /// Keeps the lock.
    file: Option<tokio::fs::File>,
    size: u64,
}

impl Drop for Spooled {
    fn drop(&mut self) {
        match fs_err::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, "A file in the spool directory could not be removed; the next start will.");
            }
            _ => {}
        }
    }
}

/// Removes what earlier processes left in the spool; files that are being written are locked and stay.
pub(crate) fn sweep(spool: &Path) -> io::Result<usize> {
    let mut removed = 0;
    for entry in fs_err::read_dir(spool)? {
        let entry = entry?;
        let is_ours = entry
            .file_name()
            .to_str()
            .is_some_and(|name| name.starts_with(PREFIX));
        if !is_ours || !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        match remove_if_left(&entry.path()) {
            Ok(true) => removed += 1,
            Ok(false) => {}
            // Another process has just taken it into its place, or refused it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(removed)
}

/// Removes a file that nobody writes; whether it did.
fn remove_if_left(path: &Path) -> io::Result<bool> {
    let file = File::open(path)?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Ok(false);
    }
    fs_err::remove_file(path)?;
    Ok(true)
}

/// Refuses an upload of this many bytes when the disk has no room for it.
pub(crate) fn check_room(state: &ApiState, wanted: u64) -> Result<(), ApiError> {
    let settings = state.settings();
    let free = disk::free_bytes(&settings.spool_dir)
        .map_err(|error| ApiError::Internal(format!("cannot read the free space of the spool: {error}")))?;
    if free < settings.min_free_bytes.saturating_add(wanted) {
        tracing::warn!(
            free,
            wanted,
            "An upload was refused: there is not enough free disk."
        );
        return Err(no_room());
    }
    Ok(())
}

fn no_room() -> ApiError {
    ApiError::OutOfSpace(
        "There is not enough free disk space on the server for this upload. Nothing was stored; the operators of \
         the farm have to make room."
            .to_owned(),
    )
}

fn disk_error(error: &io::Error) -> ApiError {
    if matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    ) {
        return no_room();
    }
    ApiError::Internal(format!("cannot write to the spool: {error}"))
}

/// Makes a file of ours in the spool, locked. A process that starts in the moment between both steps takes the file for one that
/// was left, and removes it: then there is another.
fn create(spool: &Path) -> io::Result<(PathBuf, File)> {
    loop {
        let path = spool.join(format!("{PREFIX}{}", uuid::Uuid::now_v7().simple()));
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o640)
            .open(&path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) if file.metadata()?.nlink() > 0 => return Ok((path, file)),
            Ok(()) | Err(Errno::WOULDBLOCK) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Writes a part of a form to the spool and syncs it. `expected` is how many bytes the client has promised for
/// the whole form, if it did: what cannot fit is refused before anything is written.
pub(crate) async fn receive(
    state: &ApiState,
    reader: impl AsyncRead,
    expected: u64,
) -> Result<Spooled, ApiError> {
    check_room(state, expected)?;
    let limit = state.settings().max_upload_bytes;
    let (path, file) = create(&state.settings().spool_dir).map_err(|error| disk_error(&error))?;
    let file = tokio::fs::File::from_std(file.into_parts().0);
    let mut spooled = Spooled {
        path,
        file: Some(file),
        size: 0,
    };
    let mut reader = std::pin::pin!(reader);
    let mut buffer = vec![0; CHUNK];
    let mut next_check = CHECK_EVERY;
    loop {
        let count = reader
            .read(&mut buffer)
            .await
            .map_err(|_| ApiError::Invalid("The upload broke off.".to_owned()))?;
        let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else {
            break;
        };
        spooled.size = spooled
            .size
            .saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        if spooled.size > limit {
            return Err(too_large(limit));
        }
        if spooled.size >= next_check {
            check_room(state, expected.saturating_sub(spooled.size))?;
            next_check = spooled.size.saturating_add(CHECK_EVERY);
        }
        if let Some(file) = spooled.file.as_mut() {
            file.write_all(bytes).await.map_err(|error| disk_error(&error))?;
        }
    }
    if let Some(file) = spooled.file.as_mut() {
        file.flush().await.map_err(|error| disk_error(&error))?;
        file.sync_all().await.map_err(|error| disk_error(&error))?;
    }
    Ok(spooled)
}

/// A source package that was read and found good.
pub(crate) struct CheckedSource {
    pub(crate) spooled: Spooled,
    pub(crate) header: repository::SourcePackage,
    pub(crate) stored: StoredSource,
}

/// The name that an uploaded file has at its user's. It is only shown: a source is stored under the name that its
/// header gives it, and that keeps to the grammar of file names.
pub(crate) fn check_file_name(name: Option<&str>) -> Result<String, ApiError> {
    let name = name.unwrap_or_default();
    let refuse = |why: &str| {
        let shown: String = name.chars().take(80).flat_map(char::escape_debug).collect();
        Err(ApiError::Invalid(format!("pkgs: the file name '{shown}' {why}")))
    };
    if name.is_empty() {
        return Err(ApiError::Invalid("pkgs: the part has no file name.".to_owned()));
    }
    if name.contains(['/', '\\', '\0']) || name.contains("..") || name.starts_with('.') || name.len() > 255 {
        return refuse("must be a plain name, without slashes, two dots in a row or a dot at its start.");
    }
    if name.chars().any(char::is_control) {
        return refuse("holds control characters.");
    }
    if !name.ends_with(".src.rpm") && !name.ends_with(".nosrc.rpm") {
        return refuse("does not end in .src.rpm or .nosrc.rpm; this server builds source packages only.");
    }
    Ok(name.to_owned())
}

/// Reads the header of an upload and checks its digests.
pub(crate) async fn inspect(spooled: Spooled, file_name: &str) -> Result<CheckedSource, ApiError> {
    let path = spooled.path.clone();
    let read = tokio::task::spawn_blocking(move || repository::read_source_rpm(&path))
        .await
        .map_err(|error| ApiError::Internal(format!("reading a source package: {error}")))?;
    let header = match read {
        Ok(header) => header,
        Err(error) if error.is_bad_package() => {
            // The texts name the file in the spool; the user knows it by another name.
            let text = error
                .to_string()
                .replace(&spooled.path.display().to_string(), file_name);
            return Err(ApiError::Invalid(format!("pkgs: {text}.")));
        }
        Err(error) => return Err(ApiError::Internal(crate::http::error::with_causes(&error))),
    };
    let stored = StoredSource {
        file_name: header.file_name(),
        sha256: header.sha256.clone(),
        size: header.size,
    };
    Ok(CheckedSource {
        spooled,
        header,
        stored,
    })
}

/// Where a source lies.
pub(crate) fn source_path(root: &Path, source: &StoredSource) -> PathBuf {
    let start = source.sha256.get(..2).unwrap_or("00");
    root.join(start).join(&source.sha256).join(&source.file_name)
}

/// Renames a source into its place, unless the same bytes are there already.
pub(crate) async fn place(root: &Path, spooled: Spooled, source: &StoredSource) -> Result<(), ApiError> {
    let target = source_path(root, source);
    let size = source.size;
    tokio::task::spawn_blocking(move || place_blocking(&spooled.path, &target, size))
        .await
        .map_err(|error| ApiError::Internal(format!("placing a source package: {error}")))?
        .map_err(|error| disk_error(&error))
}

fn place_blocking(from: &Path, target: &Path, size: u64) -> io::Result<()> {
    let is_there = fs_err::symlink_metadata(target).is_ok_and(|found| found.is_file() && found.len() == size);
    let directory = target
        .parent()
        .ok_or_else(|| io::Error::other("a source without a directory"))?;
    if is_there {
        // It may have been left by a build that was deleted. Sources without a build are removed when they are an hour old, and
        // the row of this one is written only after this.
        return File::open(directory)?.set_modified(std::time::SystemTime::now());
    }
    fs_err::create_dir_all(directory)?;
    fs_err::rename(from, target)?;
    for directory in directory.ancestors().take(3) {
        File::open(directory)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::{PREFIX, check_file_name, create, sweep};

    #[test]
    fn only_plain_names_of_source_packages_are_taken() {
        assert_eq!(
            check_file_name(Some("hello-1.0-1.src.rpm")).unwrap(),
            "hello-1.0-1.src.rpm"
        );
        for bad in [
            "../x.src.rpm",
            "a/b.src.rpm",
            "a\\b.src.rpm",
            "x..src.rpm",
            ".x.src.rpm",
            "x.spec",
            "",
            "a\nb.src.rpm",
        ] {
            assert!(check_file_name(Some(bad)).is_err(), "{bad}");
        }
        assert!(check_file_name(None).is_err());
    }

    #[test]
    fn starts_in_the_moment_in_which_uploads_begin_remove_none_of_them() {
        let spool = tempfile::tempdir().unwrap();
        let stop = AtomicBool::new(false);
        let are_there = std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        sweep(spool.path()).unwrap();
                    }
                });
            }
            let mut are_there = true;
            for _ in 0..500 {
                let (path, file) = create(spool.path()).unwrap();
                are_there &= path.exists();
                std::fs::remove_file(path).ok();
                drop(file);
            }
            stop.store(true, Ordering::Relaxed);
            are_there
        });
        assert!(are_there, "a file was removed that was being written");
    }

    #[test]
    fn a_start_removes_what_a_crash_left_but_not_what_is_being_written() {
        let spool = tempfile::tempdir().unwrap();
        std::fs::write(spool.path().join(format!("{PREFIX}left")), "x").unwrap();
        std::fs::write(spool.path().join("notes.txt"), "x").unwrap();
        let live = std::fs::File::create(spool.path().join(format!("{PREFIX}live"))).unwrap();
        rustix::fs::flock(&live, rustix::fs::FlockOperation::LockExclusive).unwrap();
        assert_eq!(sweep(spool.path()).unwrap(), 1);
        let mut left: Vec<_> = std::fs::read_dir(spool.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        left.sort();
        assert_eq!(left, ["notes.txt", "upload-live"]);
    }
}
