//! The log of an attempt, as far as it has come: a file that grows, addressed by offset. The API serves it
//! while it grows, so its place is a convention between the two.

use std::path::{Path, PathBuf};

use model::AttemptId;
use tokio::{
    fs::{self, File, OpenOptions},
    io::AsyncWriteExt as _,
};

use crate::Error;

/// Where live logs are, below the root of all results.
pub(crate) fn attempts(results: &Path) -> PathBuf {
    results.join(".attempts")
}

/// Where the live log of an attempt is.
pub(crate) fn directory(results: &Path, attempt: AttemptId) -> PathBuf {
    attempts(results).join(attempt.0.simple().to_string())
}

/// The growing log.
#[derive(Debug)]
pub(crate) struct LiveLog {
    path: PathBuf,
    file: File,
    size: u64,
    limit: u64,
}

impl LiveLog {
    /// Opens the log where the last worker left it.
    pub(crate) async fn open(results: &Path, attempt: AttemptId, limit: u64) -> Result<Self, Error> {
        let directory = directory(results, attempt);
        let path = directory.join("builder-live.log");
        let failed = |source| Error::File {
            what: format!("opening the log {}", path.display()),
            source,
        };
        fs::create_dir_all(&directory).await.map_err(failed)?;
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .await
            .map_err(failed)?;
        let size = file.metadata().await.map_err(failed)?.len();
        Ok(Self {
            path: path.clone(),
            file,
            size,
            limit,
        })
    }

    /// How many bytes are on disk.
    pub(crate) const fn size(&self) -> u64 {
        self.size
    }

    /// Adds what has come. More than the limit is refused: the builder was told of it as well.
    pub(crate) async fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let added = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if self.size.saturating_add(added) > self.limit.saturating_add(1 << 20) {
            return Err(Error::Refused(format!(
                "the log is larger than {} bytes",
                self.limit
            )));
        }
        let failed = |source| Error::File {
            what: format!("writing the log {}", self.path.display()),
            source,
        };
        self.file.write_all(bytes).await.map_err(failed)?;
        self.file.flush().await.map_err(failed)?;
        self.size = self.size.saturating_add(added);
        Ok(())
    }
}
