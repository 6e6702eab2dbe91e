//! The database's clock.

use model::Timestamp;
use sea_orm::{ConnectionTrait as _, DbBackend, DbErr, Statement};

use super::{OPERATION_LIMIT, Store};
use crate::error::Result;

/// The time of day, not that of a transaction's beginning, in microseconds since 1970.
const MICROS: &str = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)";

impl Store {
    /// What the clock of the database's server shows; `None` on SQLite, which has no server: its clock is that of the machine on
    /// which all of its processes are.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`](crate::Error::Unavailable) when the database does not answer.
    pub async fn time(&self) -> Result<Option<Timestamp>> {
        if self.backend() != DbBackend::Postgres {
            return Ok(None);
        }
        self.repeat(OPERATION_LIMIT, || async {
            let statement = Statement::from_string(DbBackend::Postgres, MICROS);
            let row = self.inner.reader.query_one_raw(statement).await?;
            let row = row.ok_or_else(|| DbErr::RecordNotFound("the time".to_owned()))?;
            Ok(Some(Timestamp::from_micros(row.try_get_by_index(0)?)))
        })
        .await
    }
}
