//! The end of the connections.

use std::time::Duration;

use super::{Store, within};
use crate::error::{Result, translate};

/// How long it may take.
const LIMIT: Duration = Duration::from_secs(5);

impl Store {
    /// Ends all connections. With the last one that any process has, what SQLite has in its write-ahead log goes into the
    /// database's file, and the log goes away: the file alone is the whole database. Whatever uses a clone of this store
    /// afterwards fails.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`](crate::Error::Unavailable) when a statement still runs; the log stays beside the file then, and
    /// nothing is lost.
    pub async fn close(&self) -> Result<()> {
        let close = async {
            self.inner.reads.close().await?;
            self.inner.versions.close().await?;
            self.inner.reader.close_by_ref().await?;
            self.inner.writer.close_by_ref().await
        };
        within(LIMIT, self.name(), async {
            close.await.map_err(|error| translate(error, self.name()))
        })
        .await
    }
}
