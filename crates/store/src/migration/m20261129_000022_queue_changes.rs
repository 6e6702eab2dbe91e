//! Which attempts came to the queue or left it lately, written by triggers, so that nobody who changes an attempt can forget it.

use sea_orm::{ConnectionTrait as _, DbBackend};
use sea_orm_migration::prelude::*;

use super::column::{identity, maybe_number, number, uuid};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

/// The transaction is known on PostgreSQL only, where rows appear in another order than that of their ids.
const ON_POSTGRES: [&str; 4] = [
    "CREATE FUNCTION note_queue_change() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE changed uuid;
    BEGIN
        IF TG_OP = 'DELETE' THEN changed := OLD.id; ELSE changed := NEW.id; END IF;
        INSERT INTO queue_change (attempt, changed_at, transaction_id) VALUES (
            changed,
            CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT),
            CAST(CAST(pg_current_xact_id() AS TEXT) AS BIGINT)
        );
        RETURN NULL;
    END $$",
    "CREATE TRIGGER queue_change_by_insert AFTER INSERT ON attempt FOR EACH ROW
        WHEN (NEW.state = 'waiting') EXECUTE FUNCTION note_queue_change()",
    "CREATE TRIGGER queue_change_by_update AFTER UPDATE OF state, ended_at ON attempt FOR EACH ROW
        WHEN (OLD.state = 'waiting' OR NEW.state = 'waiting') EXECUTE FUNCTION note_queue_change()",
    "CREATE TRIGGER queue_change_by_delete AFTER DELETE ON attempt FOR EACH ROW
        WHEN (OLD.state = 'waiting') EXECUTE FUNCTION note_queue_change()",
];

const ON_SQLITE: [&str; 3] = [
    "CREATE TRIGGER queue_change_by_insert AFTER INSERT ON attempt WHEN NEW.state = 'waiting' BEGIN
        INSERT INTO queue_change (attempt, changed_at)
        VALUES (NEW.id, CAST(unixepoch('subsec') * 1000000 AS INTEGER));
    END",
    "CREATE TRIGGER queue_change_by_update AFTER UPDATE OF state, ended_at ON attempt
    WHEN OLD.state = 'waiting' OR NEW.state = 'waiting' BEGIN
        INSERT INTO queue_change (attempt, changed_at)
        VALUES (NEW.id, CAST(unixepoch('subsec') * 1000000 AS INTEGER));
    END",
    "CREATE TRIGGER queue_change_by_delete AFTER DELETE ON attempt WHEN OLD.state = 'waiting' BEGIN
        INSERT INTO queue_change (attempt, changed_at)
        VALUES (OLD.id, CAST(unixepoch('subsec') * 1000000 AS INTEGER));
    END",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("queue_change")
            .col(identity("id"))
            .col(uuid("attempt"))
            .col(number("changed_at"))
            .col(maybe_number("transaction_id"))
            .take();
        manager.create_table(table).await?;
        let is_postgres = manager.get_database_backend() == DbBackend::Postgres;
        let by_time = ("queue_changes_by_time", "changed_at");
        let by_transaction = is_postgres.then_some(("queue_changes_by_transaction", "transaction_id"));
        for (name, column) in by_transaction.into_iter().chain([by_time]) {
            let index = Index::create()
                .table("queue_change")
                .name(name)
                .col(column)
                .take();
            manager.create_index(index).await?;
        }
        let triggers: &[&str] = if is_postgres { &ON_POSTGRES } else { &ON_SQLITE };
        for statement in triggers {
            manager.get_connection().execute_unprepared(statement).await?;
        }
        Ok(())
    }
}
