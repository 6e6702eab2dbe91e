//! The database, opened as the settings say.

use std::{fs::Metadata, os::unix::fs::OpenOptionsExt as _, path::Path};

use anyhow::{Context as _, bail};
use runtime::Settings;
use rustix::fs::Access;
use store::{DatabaseSettings, Store};
use tracing::warn;

use crate::{options::Config, say};
pub(crate) use time::kept;

mod time;

/// `verdigris migrate`.
pub(crate) async fn migrate(config: &Config) -> anyhow::Result<()> {
    let settings = Settings::load(config.config.as_deref())?;
    let store = make(&settings).await?;
    let applied = migrated(&store).await;
    close(&store).await;
    let applied = applied?;
    if applied.is_empty() {
        say("The database has this program's schema already.");
    }
    for name in applied {
        say(&format!("applied {name}"));
    }
    Ok(())
}

async fn migrated(store: &Store) -> anyhow::Result<Vec<String>> {
    store.check_may_migrate().await.map_err(plainly)?;
    store.migrate().await.context("migrating the database")
}

/// Connects, and makes a SQLite database where there is none; the schema is whatever it is.
pub(crate) async fn make(settings: &Settings) -> anyhow::Result<Store> {
    if let Some(file) = sqlite_file(&settings.database_url()) {
        check_parent(&file, settings)?;
    }
    make_private(&settings.database_url());
    connect(settings).await
}

/// Refuses a file of SQLite that cannot be made where it is to be.
fn check_parent(file: &str, settings: &Settings) -> anyhow::Result<()> {
    let parent = Path::new(file).parent().unwrap_or(Path::new("/"));
    let parent = if parent.as_os_str().is_empty() {
        Path::new(".")
    } else {
        parent
    };
    anyhow::ensure!(
        parent.is_dir(),
        "there is no directory {} for the database ({})",
        parent.display(),
        named_by(settings)
    );
    rustix::fs::access(parent, Access::WRITE_OK | Access::EXEC_OK).with_context(|| {
        let (parent, setting) = (parent.display(), named_by(settings));
        format!("the database cannot be written in {parent} ({setting})")
    })
}

/// Looks at a database that [`make`] is going to use, and makes nothing; `None` when it is to be made. The directory of the
/// farm is made before it.
pub(crate) async fn look_before_making(settings: &Settings) -> anyhow::Result<Option<Store>> {
    if let Some(file) = sqlite_file(&settings.database_url()) {
        if Path::new(&file).parent() != Some(settings.storage.directory.as_path()) {
            check_parent(&file, settings)?;
        }
        if std::fs::metadata(&file).map_or(0, |found| found.len()) == 0 {
            return Ok(None);
        }
    }
    look(settings).await.map(Some)
}

/// The setting that says where the database is.
fn named_by(settings: &Settings) -> &'static str {
    if settings.database.url.is_some() {
        "`database.url`"
    } else {
        "`storage.directory`; is `--config` missing?"
    }
}

fn connecting(settings: &Settings) -> &'static str {
    if settings.database.url.is_some() {
        "connecting to the database (`database.url`)"
    } else {
        "connecting to the database"
    }
}

/// Refuses a SQLite database that is not there: nothing but [`make`] makes one.
fn check_that_it_is_there(settings: &Settings) -> anyhow::Result<()> {
    if let Some(file) = sqlite_file(&settings.database_url()) {
        let size = std::fs::metadata(&file).as_ref().map(Metadata::len).ok();
        anyhow::ensure!(
            size.is_some_and(|size| size > 0),
            "there is no database at {file} ({}); `verdigris up` or `verdigris migrate` makes one",
            named_by(settings)
        );
    }
    Ok(())
}

fn address(settings: &Settings) -> DatabaseSettings {
    DatabaseSettings {
        url: settings.database_url(),
        max_connections: settings.database.max_connections,
    }
}

/// Connects; from here on the process's time is the database's.
async fn connect(settings: &Settings) -> anyhow::Result<Store> {
    let connected = async {
        let store = Store::connect(&address(settings)).await?;
        time::read(&store).await?;
        Ok::<_, store::Error>(store)
    };
    connected.await.with_context(|| connecting(settings))
}

/// Connects to look at a database that is there, whatever its schema; nothing is written.
pub(crate) async fn look(settings: &Settings) -> anyhow::Result<Store> {
    check_that_it_is_there(settings)?;
    let connected = Store::connect_to_look(&address(settings)).await;
    connected.with_context(|| connecting(settings))
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
    check_that_it_is_there(settings)?;
    let store = connect(settings).await?;
    let checked = check_schema(&store).await;
    if checked.is_err() {
        close(&store).await;
    }
    checked.map(|()| store)
}

/// Whether all migrations were applied.
pub(crate) async fn check_schema(store: &Store) -> anyhow::Result<()> {
    let pending = store.pending_migrations().await.map_err(plainly)?;
    match pending.len() {
        0 => Ok(()),
        1 => bail!("1 migration is due; run `verdigris migrate`"),
        more => bail!("{more} migrations are due; run `verdigris migrate`"),
    }
}

/// Does something with the database, and leaves it whole in its file.
pub(crate) async fn with<T>(
    settings: &Settings,
    work: impl AsyncFnOnce(Store) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let store = open(settings).await?;
    let outcome = kept(&store, work(store.clone())).await;
    close(&store).await;
    outcome
}

/// Ends the connections. What cannot be ended is no reason to fail: nothing is lost by it.
pub(crate) async fn close(store: &Store) {
    if let Err(error) = store.close().await {
        warn!("The connections to the database did not end well: {error}");
    }
}

/// What an operator is told of a refusal, without the word for its kind.
pub(crate) fn plainly(error: store::Error) -> anyhow::Error {
    match error {
        store::Error::Conflict { what } => anyhow::anyhow!(what),
        store::Error::Forbidden { why, .. } => anyhow::anyhow!(why),
        other => other.into(),
    }
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
