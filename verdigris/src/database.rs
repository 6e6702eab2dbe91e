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
    let path = url.strip_prefix("sqlite://").unwrap_or_default();
    let path = path.replace("%3F", "?").replace("%25", "%");
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).open(path).ok();
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
