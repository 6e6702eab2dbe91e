//! The log of an attempt, as far as it has come: a file that grows, addressed by offset. The API serves it
//! while it grows, so its place is a convention between the two.

use std::{
    fs::File,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use model::AttemptId;

use crate::error::{Error, blocking};

/// The log's name, here and among the results.
pub(crate) const LIVE_LOG: &str = "builder-live.log";

/// Where live logs are, below the root of all results.
pub(crate) fn attempts(results: &Path) -> PathBuf {
    results.join(".attempts")
}

/// Where the live log of an attempt is.
pub(crate) fn directory(results: &Path, attempt: AttemptId) -> PathBuf {
    attempts(results).join(attempt.0.simple().to_string())
}

/// The growing log. Each piece is written at its own offset, never simply at the end: a piece that a full disk cut short is
/// written again over what there is of it, and a worker that does not know yet that another has taken over writes the same
/// bytes at the same place. So the file is at every moment the beginning of the builder's log, and nothing in it is there
/// twice.
#[derive(Debug)]
pub(crate) struct LiveLog {
    path: PathBuf,
    file: Arc<File>,
    size: u64,
    limit: u64,
}

impl LiveLog {
    /// Opens the log where the last worker left it.
    pub(crate) async fn open(results: &Path, attempt: AttemptId, limit: u64) -> Result<Self, Error> {
        let directory = directory(results, attempt);
        let path = directory.join(LIVE_LOG);
        blocking(move || {
            let failed = |source| Error::File {
                what: format!("opening the log {}", path.display()),
                source,
            };
            std::fs::create_dir_all(&directory).map_err(failed)?;
            let file = File::options()
                .create(true)
                .truncate(false)
                .write(true)
                .open(&path)
                .map_err(failed)?;
            let size = file.metadata().map_err(failed)?.len();
            Ok(Self {
                path: path.clone(),
                file: Arc::new(file),
                size,
                limit,
            })
        })
        .await
    }

    /// How many bytes are on disk.
    pub(crate) const fn size(&self) -> u64 {
        self.size
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Adds what has come. More than the limit is refused: the builder was told of it as well.
    pub(crate) async fn append(&mut self, bytes: Vec<u8>) -> Result<(), Error> {
        let added = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let after = self.size.saturating_add(added);
        if after > self.limit.saturating_add(1 << 20) {
            return Err(Error::Refused(format!(
                "the log is larger than {} bytes",
                self.limit
            )));
        }
        let (file, offset) = (Arc::clone(&self.file), self.size);
        let what = format!("writing the log {}", self.path.display());
        blocking(move || {
            file.write_all_at(&bytes, offset)
                .map_err(|source| Error::File { what, source })
        })
        .await?;
        self.size = after;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use model::AttemptId;
    use uuid::Uuid;

    use super::LiveLog;
    use crate::error::Error;

    #[tokio::test]
    async fn two_workers_that_write_one_log_leave_it_neither_doubled_nor_torn() {
        let results = tempfile::tempdir().unwrap();
        let attempt = AttemptId(Uuid::now_v7());
        let open = || LiveLog::open(results.path(), attempt, 1 << 20);
        let mut first = open().await.unwrap();
        first.append(b"one\ntw".to_vec()).await.unwrap();
        // It was cut off from the database, and goes on with its builder beside the one that took over.
        let mut second = open().await.unwrap();
        assert_eq!(second.size(), 6);
        first.append(b"o\nthree\n".to_vec()).await.unwrap();
        second.append(b"o\n".to_vec()).await.unwrap();
        second.append(b"three\nfour\n".to_vec()).await.unwrap();
        let found = std::fs::read_to_string(second.path()).unwrap();
        assert_eq!(found, "one\ntwo\nthree\nfour\n");
    }

    #[tokio::test]
    async fn a_log_beyond_its_limit_is_refused() {
        let results = tempfile::tempdir().unwrap();
        let attempt = AttemptId(Uuid::now_v7());
        let mut log = LiveLog::open(results.path(), attempt, 10).await.unwrap();
        log.append(vec![b'x'; 1 << 20]).await.unwrap();
        let refused = log.append(b"a line that is too long".to_vec()).await.unwrap_err();
        assert!(
            matches!(&refused, Error::Refused(why) if why.contains("10 bytes")),
            "{refused}"
        );
        assert_eq!(log.size(), 1 << 20);
    }
}
