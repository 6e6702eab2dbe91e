//! The end of the connections.

use std::time::Duration;

use sea_orm::{ConnectionTrait as _, DbBackend};

use super::{Store, within};
use crate::error::{Result, translate};

/// How long it may take.
const LIMIT: Duration = Duration::from_secs(5);

impl Store {
    /// Ends all connections. What SQLite has in its write-ahead log goes into the database's file first, so that the file alone
    /// is the whole database when no other process has it open. Whatever uses a clone of this store afterwards fails.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when somebody else reads or writes for too long; the log stays beside the file then, and nothing
    /// is lost.
    pub async fn close(&self) -> Result<()> {
        let close = async {
            let inner = &self.inner;
            inner.reader.close_by_ref().await?;
            if self.backend() == DbBackend::Sqlite {
                inner
                    .writer
                    .execute_unprepared("PRAGMA wal_checkpoint(TRUNCATE)")
                    .await?;
            }
            inner.writer.close_by_ref().await
        };
        within(LIMIT, self.name(), async {
            close.await.map_err(|error| translate(error, self.name()))
        })
        .await
    }
}
