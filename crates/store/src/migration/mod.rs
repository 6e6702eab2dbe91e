//! The schema's history. A migration is frozen once it is merged: it is written with table builders only,
//! never with today's entities, so that it does the same for ever. Names begin with the day; the list is in
//! their order, which a test checks.

use std::{collections::BTreeSet, time::Duration};

use sea_orm::{ConnectionTrait, DbBackend, DbErr, EntityTrait as _};
use sea_orm_migration::{MigrationTrait, MigratorTrait};

use crate::{
    database::{Store, Tx},
    error::{Error, Result, TxError},
};

mod column;
mod m20261124_000001_projects;
mod m20261124_000002_builds;
mod m20261124_000003_fleet;
mod m20261127_000004_signing_keys;
mod m20261128_000005_pool_reasons;
mod m20261128_000006_builds_of_source;
mod m20261128_000007_live_rows;
mod m20261128_000010_due_repositories;
mod m20261128_000014_fleet_condition;
mod m20261128_000021_deleted_accounts;
mod m20261129_000022_queue_changes;
mod m20261129_000023_fleet_file;
mod m20261129_000024_sandboxes;
mod m20261129_000025_shortages;
mod m20261129_000026_indexes;
mod m20261129_000027_intents;
mod m20261130_000028_hosts;
mod m20261130_000029_attempts_without_results;
mod m20261130_000030_pools_of_fleets;
mod m20261130_000031_chroots_of_repositories;
mod m20261130_000032_hooks;
mod m20261130_000035_other_machines;
mod m20261130_000036_strays;
mod m20261130_000037_money;
mod m20261130_000038_hosts_without_builds;
mod m20261130_000039_consoles;
mod m20261130_000040_api_budget;
mod m20261130_000041_instances_of_clouds;
mod m20261130_000042_holds;
mod m20261130_000043_given_host_keys;
mod m20261130_000044_machine_hours;
mod m20261130_000045_image_choices;

/// How long a migration may take, waiting for another process that migrates included.
const LIMIT: Duration = Duration::from_secs(600);
/// The key of the lock on PostgreSQL: "verdigri" as a number.
const LOCK: i64 = 0x7665_7264_6967_7269;

struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261124_000001_projects::Migration),
            Box::new(m20261124_000002_builds::Migration),
            Box::new(m20261124_000003_fleet::Migration),
            Box::new(m20261127_000004_signing_keys::Migration),
            Box::new(m20261128_000005_pool_reasons::Migration),
            Box::new(m20261128_000006_builds_of_source::Migration),
            Box::new(m20261128_000007_live_rows::Migration),
            Box::new(m20261128_000010_due_repositories::Migration),
            Box::new(m20261128_000014_fleet_condition::Migration),
            Box::new(m20261128_000021_deleted_accounts::Migration),
            Box::new(m20261129_000022_queue_changes::Migration),
            Box::new(m20261129_000023_fleet_file::Migration),
            Box::new(m20261129_000024_sandboxes::Migration),
            Box::new(m20261129_000025_shortages::Migration),
            Box::new(m20261129_000026_indexes::Migration),
            Box::new(m20261129_000027_intents::Migration),
            Box::new(m20261130_000028_hosts::Migration),
            Box::new(m20261130_000029_attempts_without_results::Migration),
            Box::new(m20261130_000030_pools_of_fleets::Migration),
            Box::new(m20261130_000031_chroots_of_repositories::Migration),
            Box::new(m20261130_000032_hooks::Migration),
            Box::new(m20261130_000035_other_machines::Migration),
            Box::new(m20261130_000036_strays::Migration),
            Box::new(m20261130_000037_money::Migration),
            Box::new(m20261130_000038_hosts_without_builds::Migration),
            Box::new(m20261130_000039_consoles::Migration),
            Box::new(m20261130_000040_api_budget::Migration),
            Box::new(m20261130_000041_instances_of_clouds::Migration),
            Box::new(m20261130_000042_holds::Migration),
            Box::new(m20261130_000043_given_host_keys::Migration),
            Box::new(m20261130_000044_machine_hours::Migration),
            Box::new(m20261130_000045_image_choices::Migration),
        ]
    }
}

impl Store {
    /// Brings the schema up to date, and answers what was missing. Of several processes one does it and the
    /// others wait; either all of it happens or nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Schema`] when the database has been migrated by a newer program.
    pub async fn migrate(&self) -> Result<Vec<String>> {
        self.write_within(LIMIT, |tx| async move {
            if tx.get_database_backend() == DbBackend::Postgres {
                for statement in [
                    "SET LOCAL lock_timeout = '300s'".to_owned(),
                    "SET LOCAL statement_timeout = '300s'".to_owned(),
                    "SET LOCAL idle_in_transaction_session_timeout = '300s'".to_owned(),
                    format!("SELECT pg_advisory_xact_lock({LOCK})"),
                ] {
                    tx.execute_unprepared(&statement).await?;
                }
            }
            let pending = self.pending(&tx).await?;
            if !pending.is_empty() {
                Migrator::up(&*tx, None).await?;
            }
            Ok(pending)
        })
        .await
    }

    /// The names of the migrations that the database lacks.
    ///
    /// # Errors
    ///
    /// [`Error::Schema`] when the database has been migrated by a newer program.
    pub async fn pending_migrations(&self) -> Result<Vec<String>> {
        self.read(|tx| async move { self.pending(&tx).await }).await
    }

    /// Whether the database answers and has the schema that this program knows.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] or [`Error::Schema`].
    pub async fn check(&self) -> Result<()> {
        let pending = self.pending_migrations().await?;
        if pending.is_empty() {
            return Ok(());
        }
        Err(self.misfit(format!("these migrations are missing: {}", pending.join(", "))))
    }

    pub(crate) async fn pending(&self, tx: &Tx) -> Result<Vec<String>, TxError> {
        // A table that may not be read looks like one that is not there.
        self.check_that_migrations_are_readable(tx).await?;
        let applied = applied(tx).await?;
        let known: Vec<String> = Migrator::migrations()
            .iter()
            .map(|migration| migration.name().to_owned())
            .collect();
        let unknown: Vec<&str> = applied
            .iter()
            .filter(|name| !known.contains(name))
            .map(String::as_str)
            .collect();
        if !unknown.is_empty() {
            let why = format!("a newer program has migrated it: {}", unknown.join(", "));
            return Err(self.misfit(why).into());
        }
        Ok(known.into_iter().filter(|name| !applied.contains(name)).collect())
    }

    fn misfit(&self, why: String) -> Error {
        Error::Schema {
            database: self.name().to_owned(),
            why,
        }
    }
}

async fn applied(tx: &Tx) -> Result<BTreeSet<String>, DbErr> {
    let table = "seaql_migrations";
    if !sea_orm_migration::SchemaManager::new(&**tx)
        .has_table(table)
        .await?
    {
        return Ok(BTreeSet::new());
    }
    let rows = sea_orm_migration::seaql_migrations::Entity::find()
        .all(&**tx)
        .await?;
    Ok(rows.into_iter().map(|row| row.version).collect())
}

#[cfg(test)]
mod tests {
    use super::{Migrator, MigratorTrait as _};

    #[test]
    fn migrations_are_listed_in_the_order_of_their_names() {
        let names: Vec<String> = Migrator::migrations()
            .iter()
            .map(|m| m.name().to_owned())
            .collect();
        assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
    }
}
