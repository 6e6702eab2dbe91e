//! The database, opened as the settings say.

use std::os::unix::fs::OpenOptionsExt as _;

use anyhow::{Context as _, bail};
use runtime::Settings;
use store::{DatabaseSettings, Store};

/// Connects; the schema is whatever it is.
pub(crate) async fn connect(settings: &Settings) -> anyhow::Result<Store> {
    let database = DatabaseSettings {
        url: settings.database_url(),
        max_connections: settings.database.max_connections,
    };
    make_private(&database.url);
    Store::connect(&database)
        .await
        .context("connecting to the database")
}

/// Makes the file of a SQLite database, which holds machines' and signing keys, for its user alone; what SQLite puts beside it
/// has the same mode. What fails here is told better by the connection.
fn make_private(url: &str) {
    let mut options = std::fs::OpenOptions::new();
    if let Some(path) = sqlite_file(url) {
        options.write(true).create_new(true).mode(0o600).open(path).ok();
    }
}

/// The file that the address of a SQLite database names; what follows a `?` are parameters.
fn sqlite_file(url: &str) -> Option<String> {
    let rest = url.strip_prefix("sqlite://")?;
    let path = rest.split_once('?').map_or(rest, |(path, _)| path);
    Some(path.replace("%3F", "?").replace("%25", "%"))
}

/// Connects to a database that has this program's schema.
pub(crate) async fn open(settings: &Settings) -> anyhow::Result<Store> {
    let store = connect(settings).await?;
    let pending = store.pending_migrations().await?;
    if !pending.is_empty() {
        bail!(
            "the database lacks {} migrations; run `verdigris migrate`",
            pending.len()
        );
    }
    Ok(store)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::{make_private, sqlite_file};

    #[test]
    fn the_file_of_a_database_is_named_without_its_parameters() {
        for (url, file) in [
            ("sqlite:///srv/farm.sqlite", Some("/srv/farm.sqlite")),
            (
                "sqlite:///srv/farm.sqlite?mode=rwc&cache=private",
                Some("/srv/farm.sqlite"),
            ),
            (
                "sqlite:///srv/what%3F 100%25.sqlite?mode=rwc",
                Some("/srv/what? 100%.sqlite"),
            ),
            ("postgres://farm@db/farm?sslmode=require", None),
        ] {
            assert_eq!(sqlite_file(url).as_deref(), file, "{url}");
        }
    }

    #[test]
    fn a_new_database_is_for_its_user_alone_and_nothing_else_is_made() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("farm.sqlite");
        make_private(&format!("sqlite://{}?mode=rwc", file.display()));
        assert_eq!(
            std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o600
        );
        make_private("postgres://farm@db/farm");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
