//! Pools and sightings are a fleet's: two fleets of one database may have pools, and clouds, of one name. Before this, each of them
//! took the other's pauses and failed launches for its own, and forgot what the other had seen of stray machines.
//!
//! What there is of pools becomes that of each fleet that has builders, and of the one that was led last, since it was all of
//! theirs. Sightings are made anew within a minute.

use sea_orm::{ConnectionTrait as _, DbBackend};
use sea_orm_migration::prelude::*;

use super::column::{boolean, maybe_number, maybe_text, number, text, uuid};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

/// The columns that a pool had.
const OF_POOL: &str =
    "name, current_hash, failures, last_failure, last_reason, paused_by, paused_why, paused_until";
/// Those columns of each pool that is no fleet's yet, for each of the fleets.
const FOR_EACH: &str = "FROM pool CROSS JOIN (
        SELECT fleet FROM builder WHERE ended_at IS NULL
        UNION SELECT fleet FROM (SELECT fleet FROM fleet_lease ORDER BY expires_at DESC LIMIT 1) AS latest
    ) AS owner";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if manager.get_database_backend() == DbBackend::Postgres {
            return in_place(manager).await;
        }
        make_anew(manager).await
    }
}

/// On PostgreSQL, where a table that is made anew would lack what other roles may do with it.
async fn in_place(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    for statement in [
        "ALTER TABLE pool DROP CONSTRAINT pool_pkey",
        "ALTER TABLE pool ADD COLUMN fleet uuid",
        &format!(
            "INSERT INTO pool (fleet, {OF_POOL}) SELECT owner.fleet, {OF_POOL} {FOR_EACH} WHERE pool.fleet IS NULL"
        ),
        "DELETE FROM pool WHERE fleet IS NULL",
        "ALTER TABLE pool ALTER COLUMN fleet SET NOT NULL",
        "ALTER TABLE pool ADD PRIMARY KEY (name, fleet)",
        "DELETE FROM sighting",
        "ALTER TABLE sighting DROP CONSTRAINT sighting_pkey",
        "ALTER TABLE sighting ADD COLUMN fleet uuid NOT NULL",
        "ALTER TABLE sighting ADD PRIMARY KEY (fleet, cloud, instance_id)",
    ] {
        manager.get_connection().execute_unprepared(statement).await?;
    }
    Ok(())
}

/// On SQLite, which changes no key.
async fn make_anew(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let pool = Table::create()
        .table("pool_of_fleet")
        .col(uuid("fleet"))
        .col(text("name"))
        .col(maybe_text("current_hash"))
        .col(number("failures"))
        .col(maybe_number("last_failure"))
        .col(maybe_text("last_reason"))
        .col(maybe_text("paused_by"))
        .col(maybe_text("paused_why"))
        .col(maybe_number("paused_until"))
        .primary_key(Index::create().col("name").col("fleet"))
        .foreign_key(
            ForeignKey::create()
                .from("pool_of_fleet", ("name", "current_hash"))
                .to("pool_version", ("pool", "hash")),
        )
        .take();
    manager.create_table(pool).await?;
    for statement in [
        &format!("INSERT INTO pool_of_fleet (fleet, {OF_POOL}) SELECT owner.fleet, {OF_POOL} {FOR_EACH}"),
        "DROP TABLE pool",
        "ALTER TABLE pool_of_fleet RENAME TO pool",
        "DROP TABLE sighting",
    ] {
        manager.get_connection().execute_unprepared(statement).await?;
    }
    let sighting = Table::create()
        .table("sighting")
        .col(uuid("fleet"))
        .col(text("cloud"))
        .col(text("instance_id"))
        .col(text("state"))
        .col(number("first_at"))
        .col(number("last_at"))
        .col(number("times_seen"))
        .col(boolean("is_present"))
        .col(maybe_text("refusal"))
        .primary_key(Index::create().col("fleet").col("cloud").col("instance_id"))
        .take();
    manager.create_table(sighting).await
}
