//! The lock of one repository, across processes.

use std::{
    fs::TryLockError,
    io,
    path::Path,
    time::{Duration, Instant},
};

use fs_err::File;

use super::snapshot::SNAPSHOTS;
use crate::Result;

/// How long the lock of a repository is waited for, and how often it is tried: longer than a large repository is written.
const LOCK_LIMIT: Duration = Duration::from_secs(120);
const LOCK_POLL: Duration = Duration::from_millis(20);

/// The exclusive right to change one repository.
pub(super) struct Lock(#[expect(dead_code, reason = "closing the file gives the lock back")] File);

impl Lock {
    /// Waits for whoever has it, but not without end: a process that was stopped, or a file server that does not answer, would
    /// keep a thread for ever.
    pub(super) fn take(directory: &Path) -> Result<Self> {
        Self::take_within(directory, LOCK_LIMIT)
    }

    fn take_within(directory: &Path, limit: Duration) -> Result<Self> {
        let path = directory.join(SNAPSHOTS).join(".lock");
        let file = File::create(&path)?;
        let started = Instant::now();
        loop {
            match file.file().try_lock() {
                Ok(()) => return Ok(Self(file)),
                Err(TryLockError::WouldBlock) if started.elapsed() < limit => {
                    std::thread::sleep(LOCK_POLL);
                }
                Err(TryLockError::WouldBlock) => {
                    let limit = limit.as_secs();
                    let why = format!("another process has held `{}` for {limit} s", path.display());
                    return Err(io::Error::new(io::ErrorKind::WouldBlock, why).into());
                }
                Err(TryLockError::Error(error)) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Lock, SNAPSHOTS};
    use crate::Error;

    #[test]
    fn a_lock_that_another_holds_is_waited_for_with_a_limit() {
        let root = tempfile::tempdir().unwrap();
        fs_err::create_dir(root.path().join(SNAPSHOTS)).unwrap();
        let held = Lock::take(root.path()).unwrap();
        let refused = Lock::take_within(root.path(), Duration::ZERO).err().unwrap();
        assert!(
            matches!(&refused, Error::Io(error) if error.kind() == std::io::ErrorKind::WouldBlock),
            "{refused}"
        );
        assert!(refused.to_string().contains(".lock"), "{refused}");
        drop(held);
        Lock::take_within(root.path(), Duration::ZERO).unwrap();
    }
}
