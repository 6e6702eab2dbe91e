//! What can go wrong between the farm and its database, sorted by what a caller does about it.

use sea_orm::{DbErr, RuntimeErr, SqlErr};

pub(crate) mod words;

/// The answer of every operation on the store.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation on the store did not happen. Whatever the variant, nothing was changed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no such thing.
    #[error("there is no {what}")]
    NotFound {
        /// The kind and the id or name.
        what: String,
    },
    /// Somebody else was faster, or the thing is no longer in the state that the operation starts from, or
    /// the name is taken. Look again and decide anew.
    #[error("conflict: {what}")]
    Conflict {
        /// What was found instead.
        what: String,
    },
    /// The controller's lease is another's by now: stop acting at once.
    #[error("the lease of fleet {fleet} with epoch {epoch} is lost")]
    LeaseLost {
        fleet: model::FleetId,
        /// The epoch that was valid once.
        epoch: i64,
    },
    /// The database cannot be reached, or did not answer in time. Try again later.
    #[error("the database {database} is unavailable: {why}")]
    Unavailable {
        /// Its address without the password.
        database: String,
        /// What happened.
        why: String,
    },
    /// There is no room left where the database is. An operator has to make some; what needs no room goes on.
    #[error("the database {database} has no room left: {why}")]
    NoSpace {
        /// Its address without the password.
        database: String,
        /// What it said.
        why: String,
    },
    /// A row holds what no version of this program writes. An operator has to look at it.
    #[error("corrupt row in table {table}, id {id}: {why}")]
    Corrupt {
        table: &'static str,
        /// The row's key.
        id: String,
        /// The column and its value.
        why: String,
    },
    /// The request makes no sense, whatever the database holds.
    #[error("{why}")]
    Invalid {
        /// Which part, and why.
        why: String,
    },
    /// The schema is not the one that this program knows: migrate, or run a newer program.
    #[error("the schema of the database {database} does not fit: {why}")]
    Schema {
        /// Its address without the password.
        database: String,
        /// What differs.
        why: String,
    },
    /// The role that this process logs in with may not do what it has to. An operator has to give it the right.
    #[error("the database {database} forbids it: {why}")]
    Forbidden {
        /// Its address without the password.
        database: String,
        /// What the role lacks, and where it is known, the statements that give it.
        why: String,
    },
    /// The database refused a statement for a reason that this program does not expect: a fault of ours.
    #[error("the database {database} refused a statement: {why}")]
    Refused {
        /// Its address without the password.
        database: String,
        /// What it said.
        why: String,
    },
    /// The database's file is damaged, or is none. An operator has to bring one back.
    #[error("the database {database} cannot be read: {why}")]
    Broken {
        /// Its address.
        database: String,
        /// What is wrong, and what helps.
        why: String,
    },
}

impl Error {
    /// Whether the same may work later, when the database is there again or has room.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::NoSpace { .. })
    }

    /// Whether something is wrong with what was to be changed, while the database is as it should be: the same may be done to others.
    #[must_use]
    pub const fn is_of_one_row(&self) -> bool {
        matches!(self, Self::Corrupt { .. } | Self::Invalid { .. })
    }

    pub(crate) fn not_found(what: impl Into<String>) -> Self {
        Self::NotFound { what: what.into() }
    }

    pub(crate) fn conflict(what: impl Into<String>) -> Self {
        Self::Conflict { what: what.into() }
    }

    pub(crate) fn invalid(why: impl Into<String>) -> Self {
        Self::Invalid { why: why.into() }
    }

    pub(crate) fn corrupt(table: &'static str, id: impl ToString, why: impl ToString) -> Self {
        Self::Corrupt {
            table,
            id: id.to_string(),
            why: why.to_string(),
        }
    }
}

/// What a transaction's body fails with: an answer for the caller, or the database's own error, which
/// decides whether the transaction is tried again.
#[derive(Debug)]
pub(crate) enum TxError {
    /// For the caller as it is.
    Answer(Error),
    /// From the database.
    Database(DbErr),
}

impl From<Error> for TxError {
    fn from(error: Error) -> Self {
        Self::Answer(error)
    }
}

impl From<DbErr> for TxError {
    fn from(error: DbErr) -> Self {
        Self::Database(error)
    }
}

/// What SQLite's codes have in common with the extended ones, of which there are several for each.
fn primary(code: &str) -> Option<u32> {
    // PostgreSQL's have five places, and its digits alone are none of SQLite's.
    (code.len() < 5)
        .then(|| code.parse::<u32>().ok())
        .flatten()
        .map(|code| code & 0xff)
}

/// Whether the database asks for the whole transaction again: serialization failures, deadlocks and lost
/// races for SQLite's one write lock. Nothing of the transaction has happened then.
pub(crate) fn is_worth_a_retry(error: &DbErr) -> bool {
    // PostgreSQL: serialization_failure, deadlock_detected. SQLite: BUSY, LOCKED.
    code(error).is_some_and(|code| {
        matches!(code.as_str(), "40001" | "40P01") || matches!(primary(&code), Some(5 | 6))
    })
}

/// The error for the caller.
pub(crate) fn translate(error: DbErr, database: &str) -> Error {
    if let Some(SqlErr::UniqueConstraintViolation(why)) = error.sql_err() {
        return Error::conflict(why);
    }
    if let Some(SqlErr::ForeignKeyConstraintViolation(why)) = error.sql_err() {
        return Error::conflict(format!("what it refers to does not exist: {why}"));
    }
    // PostgreSQL: disk_full. SQLite: FULL.
    if code(&error).is_some_and(|code| code == "53100" || primary(&code) == Some(13)) {
        return Error::NoSpace {
            database: database.to_owned(),
            why: words::of(&error),
        };
    }
    // SQLite: CORRUPT, NOTADB.
    if code(&error).is_some_and(|code| matches!(primary(&code), Some(11 | 26))) {
        return Error::Broken {
            database: database.to_owned(),
            why: words::of(&error),
        };
    }
    // PostgreSQL: insufficient_privilege.
    if code(&error).as_deref() == Some("42501") {
        return Error::Forbidden {
            database: database.to_owned(),
            why: words::of(&error),
        };
    }
    if is_unavailable(&error) || is_worth_a_retry(&error) {
        return Error::Unavailable {
            database: database.to_owned(),
            why: words::of(&error),
        };
    }
    Error::Refused {
        database: database.to_owned(),
        why: words::of(&error),
    }
}

fn runtime(error: &DbErr) -> Option<&sqlx::Error> {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error)) => Some(error),
        _ => None,
    }
}

fn code(error: &DbErr) -> Option<String> {
    match runtime(error)? {
        sqlx::Error::Database(error) => error.code().map(std::borrow::Cow::into_owned),
        _ => None,
    }
}

fn is_unavailable(error: &DbErr) -> bool {
    if matches!(error, DbErr::ConnectionAcquire(_) | DbErr::Conn(_)) {
        return true;
    }
    match runtime(error) {
        Some(sqlx::Error::Database(_)) => code(error).is_some_and(|code| {
            // Classes 08 (connection), 53 (resources), 57 (operator intervention, which includes a statement
            // that ran out of time), 25P03 (idle in a transaction) and lock_not_available; SQLite:
            // interrupted, I/O, cannot open.
            ["08", "53", "57"]
                .iter()
                .any(|class| code.len() == 5 && code.starts_with(class))
                || matches!(code.as_str(), "55P03" | "25P03")
                || matches!(primary(&code), Some(9 | 10 | 14))
        }),
        Some(
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed,
        ) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
