//! The database, opened as the settings say.

use anyhow::{Context as _, bail};
use runtime::Settings;
use store::{DatabaseSettings, Store};

/// Connects; the schema is whatever it is.
pub(crate) async fn connect(settings: &Settings) -> anyhow::Result<Store> {
    let database = DatabaseSettings {
        url: settings.database.url.clone(),
        max_connections: settings.database.max_connections,
    };
    Store::connect(&database)
        .await
        .context("connecting to the database")
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
