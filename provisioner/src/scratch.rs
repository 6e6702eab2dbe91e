//! Folders in the directory for temporary files. Each goes with its run; what a run left that was killed goes with a later one.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

use tempfile::TempDir;

use crate::error::Error;

/// How the name of each begins.
const PREFIX: &str = "verdigris-play-";
/// The file in it that is locked while the run goes on.
const LOCK: &str = "lock";
/// From what age on a folder that nobody has locked is one that a run left: a new one is not locked yet.
const LEFT_AFTER: Duration = Duration::from_secs(60);
/// How long nobody looks again for what was left: many machines are provisioned at once, and other programs have files there.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// The folder of one run, for its user alone. In it is a file `lock`, beside what the run puts there.
pub(crate) struct Scratch {
    directory: TempDir,
    _lock: fs::File,
}

impl Scratch {
    /// Makes it.
    ///
    /// # Errors
    /// [`Error::File`].
    pub(crate) fn new() -> Result<Self, Error> {
        let places = std::env::temp_dir();
        if is_time_to_look(Instant::now()) {
            sweep(&places, SystemTime::now());
        }
        let made = || {
            let directory = tempfile::Builder::new()
                .prefix(PREFIX)
                .permissions(Permissions::from_mode(0o700))
                .tempdir_in(&places)?;
            let lock = fs::File::create_new(directory.path().join(LOCK))?;
            lock.try_lock()?;
            io::Result::Ok(Self {
                directory,
                _lock: lock,
            })
        };
        made().map_err(|cause| Error::File {
            path: places.clone(),
            why: "no directory for what a playbook is given can be made",
            cause,
        })
    }

    /// Where the folder itself is.
    pub(crate) fn root(&self) -> &Path {
        self.directory.path()
    }

    /// The path of a file or folder in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

fn is_time_to_look(now: Instant) -> bool {
    static LOOKED: Mutex<Option<Instant>> = Mutex::new(None);
    let Ok(mut looked) = LOOKED.lock() else {
        return true;
    };
    let is_time = looked.is_none_or(|then| now.duration_since(then) >= LOOK_EVERY);
    if is_time {
        *looked = Some(now);
    }
    is_time
}

/// Takes away what runs of this user left that were killed: a private key may be in it.
fn sweep(places: &Path, now: SystemTime) {
    let ours = rustix::process::geteuid().as_raw();
    for entry in fs::read_dir(places).into_iter().flatten().flatten() {
        // Of the entry itself: a link leads elsewhere.
        let is_named_so = entry.file_name().to_string_lossy().starts_with(PREFIX);
        let Some(found) = is_named_so.then(|| entry.metadata().ok()).flatten() else {
            continue;
        };
        let age = found.modified().ok();
        let age = age.and_then(|made| now.duration_since(made).ok());
        let is_old = age.is_some_and(|age| age >= LEFT_AFTER);
        if found.is_dir() && found.uid() == ours && is_old && is_left(&entry.path()) {
            // What cannot be taken away now is tried again by a later run.
            fs::remove_dir_all(entry.path()).ok();
        }
    }
}

/// Whether no run has a folder: it is not locked, or was left before there was a lock.
fn is_left(folder: &Path) -> bool {
    match fs::File::open(folder.join(LOCK)) {
        Ok(lock) => lock.try_lock().is_ok(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

#[cfg(test)]
mod tests;
