//! Makes the tables of an empty database and fills them with builds that are over: run by `cargo xtask bench api`.

use std::error::Error;

use sea_orm::{ConnectOptions, ConnectionTrait as _, Database, DbBackend};
use store::{DatabaseSettings, Store};

#[path = "../../tests/it/many.rs"]
mod many;

use many::{Dialect, Many, statements};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, projects, builds] = arguments.as_slice() else {
        return Err("expected: DATABASE PROJECTS BUILDS".into());
    };
    let many = Many {
        projects: projects.parse()?,
        ended: builds.parse()?,
        made: 0,
        waiting: 0,
        builders: 0,
    };
    let settings = DatabaseSettings {
        url: url.clone(),
        max_connections: 1,
    };
    Store::connect(&settings).await?.migrate().await?;
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    let raw = Database::connect(options).await?;
    let dialect = Dialect {
        is_postgres: raw.get_database_backend() == DbBackend::Postgres,
        has_live_rows: raw
            .execute_unprepared("SELECT ended_at FROM builder LIMIT 0")
            .await
            .is_ok(),
        has_chroots_of_repositories: raw
            .execute_unprepared("SELECT project FROM build_chroot LIMIT 0")
            .await
            .is_ok(),
    };
    for statement in statements(dialect, many) {
        raw.execute_unprepared(&statement).await?;
    }
    raw.close().await?;
    Ok(())
}
