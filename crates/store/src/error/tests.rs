//! What each answer of a database means for whoever asked.

use std::{borrow::Cow, error::Error as StdError, fmt, io, sync::Arc};

use sqlx::error::{DatabaseError, ErrorKind};

use super::*;

/// A database's refusal with a code.
#[derive(Debug)]
struct Code(Option<&'static str>);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl StdError for Code {}

impl DatabaseError for Code {
    fn message(&self) -> &str {
        "no"
    }

    fn code(&self) -> Option<Cow<'_, str>> {
        self.0.map(Cow::Borrowed)
    }

    fn as_error(&self) -> &(dyn StdError + Send + Sync + 'static) {
        self
    }

    fn as_error_mut(&mut self) -> &mut (dyn StdError + Send + Sync + 'static) {
        self
    }

    fn into_error(self: Box<Self>) -> Box<dyn StdError + Send + Sync + 'static> {
        self
    }

    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}

fn of(error: sqlx::Error) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(Arc::new(error)))
}

fn refusal(code: Option<&'static str>) -> DbErr {
    of(sqlx::Error::Database(Box::new(Code(code))))
}

/// The variant, in a word.
fn kind(error: DbErr) -> &'static str {
    match translate(error, "farm.db") {
        Error::Unavailable { database, .. } if database == "farm.db" => "unavailable",
        Error::NoSpace { database, .. } if database == "farm.db" => "no space",
        Error::Broken { database, .. } if database == "farm.db" => "broken",
        Error::Forbidden { database, .. } if database == "farm.db" => "forbidden",
        Error::Refused { database, .. } if database == "farm.db" => "refused",
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_code_of_either_database_says_what_a_caller_does_about_it() {
    // (code, what it is, whether the transaction is tried again first)
    for (code, expected, is_retried) in [
        // SQLite: BUSY and LOCKED, also as extended codes (BUSY_SNAPSHOT, LOCKED_SHAREDCACHE).
        ("5", "unavailable", true),
        ("517", "unavailable", true),
        ("6", "unavailable", true),
        ("262", "unavailable", true),
        // INTERRUPT, IOERR with one of its many extended codes, CANTOPEN.
        ("9", "unavailable", false),
        ("10", "unavailable", false),
        ("4874", "unavailable", false),
        ("14", "unavailable", false),
        // FULL; CORRUPT, CORRUPT_INDEX, NOTADB.
        ("13", "no space", false),
        ("11", "broken", false),
        ("779", "broken", false),
        ("26", "broken", false),
        // ERROR, READONLY, MISMATCH: a statement that is wrong, or a file that may not be written.
        ("1", "refused", false),
        ("8", "refused", false),
        ("20", "refused", false),
        // PostgreSQL: serialization_failure, deadlock_detected.
        ("40001", "unavailable", true),
        ("40P01", "unavailable", true),
        // connection_failure, too_many_connections, out_of_memory, query_canceled, admin_shutdown, cannot_connect_now.
        ("08006", "unavailable", false),
        ("53300", "unavailable", false),
        ("53200", "unavailable", false),
        ("57014", "unavailable", false),
        ("57P01", "unavailable", false),
        ("57P03", "unavailable", false),
        // lock_not_available, idle_in_transaction_session_timeout.
        ("55P03", "unavailable", false),
        ("25P03", "unavailable", false),
        // disk_full is none of its class; insufficient_privilege.
        ("53100", "no space", false),
        ("42501", "forbidden", false),
        // syntax_error, undefined_table, invalid_text_representation, object_in_use, read_only_sql_transaction.
        ("42601", "refused", false),
        ("42P01", "refused", false),
        ("22P02", "refused", false),
        ("55006", "refused", false),
        ("25006", "refused", false),
        // character_not_in_repertoire, string_data_length_mismatch, trim_error: as numbers, their last bytes would be SQLite's
        // BUSY, IOERR and CORRUPT.
        ("22021", "refused", false),
        ("22026", "refused", false),
        ("22027", "refused", false),
        // What neither of them says.
        ("", "refused", false),
        ("5x", "refused", false),
    ] {
        assert_eq!(kind(refusal(Some(code))), expected, "{code}");
        assert_eq!(is_worth_a_retry(&refusal(Some(code))), is_retried, "{code}");
    }
    assert_eq!(kind(refusal(None)), "refused");
    assert!(!is_worth_a_retry(&refusal(None)));
}

#[test]
fn a_connection_that_is_lost_or_not_had_may_come_back_and_a_fault_of_ours_does_not() {
    let lost = || io::Error::from(io::ErrorKind::ConnectionReset);
    for (error, expected) in [
        (of(sqlx::Error::Io(lost())), "unavailable"),
        (of(sqlx::Error::Tls("no certificate".into())), "unavailable"),
        (
            of(sqlx::Error::Protocol("an odd message".to_owned())),
            "unavailable",
        ),
        (of(sqlx::Error::PoolTimedOut), "unavailable"),
        (of(sqlx::Error::PoolClosed), "unavailable"),
        (of(sqlx::Error::WorkerCrashed), "unavailable"),
        (of(sqlx::Error::RowNotFound), "refused"),
        (of(sqlx::Error::ColumnNotFound("epoch".to_owned())), "refused"),
        // Whatever keeps a connection from being made.
        (DbErr::Conn(RuntimeErr::Internal("no".to_owned())), "unavailable"),
        (DbErr::Exec(RuntimeErr::Internal("no".to_owned())), "refused"),
        (DbErr::Custom("no".to_owned()), "refused"),
    ] {
        let words = error.to_string();
        assert!(!is_worth_a_retry(&error), "{words}");
        assert_eq!(kind(error), expected, "{words}");
    }
}

#[test]
fn only_what_comes_back_by_itself_or_gets_room_is_tried_later() {
    let (database, why) = (|| "farm.db".to_owned(), || "no".to_owned());
    for (error, expected) in [
        (
            Error::Unavailable {
                database: database(),
                why: why(),
            },
            true,
        ),
        (
            Error::NoSpace {
                database: database(),
                why: why(),
            },
            true,
        ),
        (
            Error::Forbidden {
                database: database(),
                why: why(),
            },
            false,
        ),
        (
            Error::Refused {
                database: database(),
                why: why(),
            },
            false,
        ),
        (
            Error::Broken {
                database: database(),
                why: why(),
            },
            false,
        ),
        (
            Error::Schema {
                database: database(),
                why: why(),
            },
            false,
        ),
        (Error::conflict("a name"), false),
        (Error::not_found("a name"), false),
        (Error::invalid("a name"), false),
        (Error::corrupt("attempt", 7, "state: odd"), false),
    ] {
        assert_eq!(error.is_temporary(), expected, "{error}");
    }
    let corrupt = Error::corrupt("attempt", 7, "state: odd").to_string();
    assert_eq!(corrupt, "corrupt row in table attempt, id 7: state: odd");
}
