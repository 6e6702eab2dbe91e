//! Files that are locked for as long as a process lives, so that there is one of it at a time on a machine. The kernel
//! takes the lock back however the process ends.

use std::{
    fs::{File, OpenOptions, TryLockError},
    path::Path,
};

use anyhow::{Context as _, bail};

/// The file that a farm in one process holds in its directory.
pub(crate) const OF_FARM: &str = "lock";
/// What stands in a lock's file, before the number of its process, when that process begins nothing new any more.
const STOPPING: &str = "stopping ";

/// Locks a file, which is made when it is not there. Held until the value is dropped.
///
/// # Errors
/// `refusal` when another process holds it.
pub(crate) fn lock(path: &Path, refusal: &str) -> anyhow::Result<File> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path);
    let file = file.with_context(|| format!("making {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => {
            // What it says is of a process that has ended.
            file.set_len(0)
                .with_context(|| format!("writing {}", path.display()))?;
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => bail!("{refusal}"),
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("locking {}", path.display())),
    }
}

/// Says to other processes that the one which holds the lock begins nothing new any more: this one.
pub(crate) fn say_stopping(path: &Path) -> std::io::Result<()> {
    std::fs::write(path, format!("{STOPPING}{}\n", std::process::id()))
}

/// Whether a process holds the lock and has said so. What one that was killed said counts for nothing, whoever has its number
/// now.
pub(crate) fn is_stopping(path: &Path) -> bool {
    let Ok(file) = File::open(path) else {
        return false;
    };
    let said = std::fs::read_to_string(path).unwrap_or_default();
    said.starts_with(STOPPING) && matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}

#[cfg(test)]
mod tests {
    use super::{is_stopping, lock, say_stopping};

    #[test]
    fn a_second_holder_is_refused_until_the_first_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let first = lock(&path, "taken").unwrap();
        assert_eq!(lock(&path, "taken").unwrap_err().to_string(), "taken");
        drop(first);
        assert!(lock(&path, "taken").is_ok());
    }

    #[test]
    fn that_the_holder_stops_is_known_until_it_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        assert!(!is_stopping(&path));
        let first = lock(&path, "taken").unwrap();
        assert!(!is_stopping(&path));
        say_stopping(&path).unwrap();
        assert!(lock(&path, "taken").is_err());
        assert!(is_stopping(&path), "who is refused leaves the word there");
        drop(first);
        let next = lock(&path, "taken").unwrap();
        assert!(!is_stopping(&path));
        drop(next);
        std::fs::write(&path, format!("stopping {}\n", std::process::id())).unwrap();
        assert!(
            !is_stopping(&path),
            "it was killed, and another process has its number"
        );
    }
}
