//! Files that are locked for as long as a process lives, so that there is one of it at a time on a machine. The kernel
//! takes the lock back however the process ends.

use std::{
    fs::{File, TryLockError},
    path::Path,
};

use anyhow::{Context as _, bail};

/// Locks a file, which is made when it is not there. Held until the value is dropped.
///
/// # Errors
/// `refusal` when another process holds it.
pub(crate) fn lock(path: &Path, refusal: &str) -> anyhow::Result<File> {
    let file = File::create(path).with_context(|| format!("making {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => bail!("{refusal}"),
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("locking {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::lock;

    #[test]
    fn a_second_holder_is_refused_until_the_first_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let first = lock(&path, "taken").unwrap();
        assert_eq!(lock(&path, "taken").unwrap_err().to_string(), "taken");
        drop(first);
        assert!(lock(&path, "taken").is_ok());
    }
}
