//! Whether the database takes changes. Reads go on while the one that writes is stuck, so that a look at the data says nothing
//! of it.

use std::time::{Duration, Instant};

use sea_orm::ConnectionTrait as _;

use crate::{Result, Store};

/// How long a change may take until the database counts as stuck. Whoever writes holds others up for less.
const LIMIT: Duration = Duration::from_secs(3);
/// How long an outcome is believed, so that many who ask cost as much as one.
const BELIEVED: Duration = Duration::from_secs(2);

impl Store {
    /// Whether changes are possible, by a transaction that changes nothing, or by one that another has just tried.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Unavailable`] when somebody else writes for too long, or the database takes none.
    pub async fn check_writes(&self) -> Result<()> {
        let mut last = self.last_try().0.lock().await;
        if let Some((at, outcome)) = &*last
            && at.elapsed() < BELIEVED
        {
            return outcome.clone().map_or(Ok(()), Err);
        }
        let tried = self.write_within(LIMIT, |tx| async move {
            // It fails where the database is read-only, and waits where the table is locked.
            tx.execute_unprepared("UPDATE pool SET failures = failures WHERE name = ''")
                .await?;
            Ok(())
        });
        let outcome = tried.await;
        *last = Some((Instant::now(), outcome.clone().err()));
        outcome
    }
}
