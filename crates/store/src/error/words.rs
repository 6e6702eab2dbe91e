//! What a database, or the way to it, said: in words for operators, without those of the libraries in between.

use std::io::{Error as IoError, ErrorKind};

use sea_orm::{DbErr, RuntimeErr};

/// What is said for codes of SQLite (the first two) and of PostgreSQL.
const CODES: &[(&str, &str)] = &[
    (
        "26",
        "its file holds something else than a database of SQLite; bring it back from a backup, or name another",
    ),
    ("11", "its file is damaged; bring it back from a backup"),
    (
        "14",
        "its file cannot be opened; is it a file, and may this user read and write it and its directory?",
    ),
    ("28P01", "the server refuses the user or the password"),
    (
        "28000",
        "the server lets this user in from nowhere, or not from here",
    ),
    ("3D000", "the server has no database of that name"),
];

/// The words for an error.
pub(super) fn of(error: &DbErr) -> String {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error)) => of_driver(error),
        DbErr::ConnectionAcquire(_) => "no connection came free in time".to_owned(),
        other => other.to_string(),
    }
}

/// The words for an error of the driver.
pub(crate) fn of_driver(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error) => {
            let code = error.code().unwrap_or_default();
            let known = CODES.iter().find(|(known, _)| *known == code);
            known.map_or_else(|| error.message().to_owned(), |(_, words)| (*words).to_owned())
        }
        sqlx::Error::Io(error) => of_way(error),
        sqlx::Error::Configuration(cause) => {
            format!("its address is not understood: {}", innermost(cause.as_ref()))
        }
        sqlx::Error::PoolTimedOut => "it did not answer in time".to_owned(),
        sqlx::Error::PoolClosed => "the connections to it are closed".to_owned(),
        sqlx::Error::WorkerCrashed => "a thread of this program that asks it has ended".to_owned(),
        sqlx::Error::Tls(cause) => format!(
            "no encrypted connection can be made: {}",
            innermost(cause.as_ref())
        ),
        sqlx::Error::Protocol(said) => {
            format!("what answers there does not speak as PostgreSQL does: {said}")
        }
        other => other.to_string(),
    }
}

fn of_way(error: &IoError) -> String {
    match error.kind() {
        ErrorKind::ConnectionRefused => "nobody listens there: connection refused".to_owned(),
        ErrorKind::TimedOut => "it did not answer in time".to_owned(),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
            "there is no way to its host".to_owned()
        }
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof => {
            "it ended the connection".to_owned()
        }
        // The resolver's own error has no kind that would tell it from others.
        _ if error.to_string().contains("lookup address") => "its host's name has no address".to_owned(),
        _ => error.to_string(),
    }
}

/// What the first cause said: those above it only repeat it.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.last().map(ToString::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use crate::{DatabaseSettings, Error, Store};

    async fn said(url: String) -> Error {
        let settings = DatabaseSettings {
            url,
            max_connections: 2,
        };
        Store::connect(&settings).await.unwrap_err()
    }

    #[tokio::test]
    async fn what_cannot_be_connected_to_is_told_without_the_libraries_words() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        std::fs::write(at("noise"), [7; 8192]).unwrap();
        std::fs::create_dir(at("directory")).unwrap();
        for (url, expected) in [
            (
                format!("sqlite://{}", at("noise").display()),
                "cannot be read: its file holds something else than a database of SQLite",
            ),
            (
                format!("sqlite://{}", at("directory").display()),
                "its file cannot be opened",
            ),
            (
                "postgres://farm:secret@127.0.0.1:1/farm".to_owned(),
                "nobody listens there: connection refused",
            ),
            (
                "postgres://farm:secret@host.invalid/farm".to_owned(),
                "its host's name has no address",
            ),
        ] {
            let said = said(url.clone()).await.to_string();
            assert!(said.contains(expected), "{url}: {said}");
            for foreign in [
                "Connection Error",
                "error returned",
                "communicating",
                "code:",
                "os error",
                "secret",
            ] {
                assert!(!said.contains(foreign), "{foreign} in {said}");
            }
        }
    }
}
