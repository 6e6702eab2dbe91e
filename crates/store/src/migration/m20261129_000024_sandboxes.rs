//! Whose builds a builder has run, and until when it may run more of theirs.

use sea_orm_migration::prelude::*;

use super::column::{maybe_number, maybe_text, number};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let columns = [
            ("attempt", maybe_text("sandbox")),
            ("builder", maybe_text("sandbox")),
            ("builder", number("uses").default(0).take()),
            ("builder", maybe_number("reusable_until")),
            ("builder", maybe_text("baseline")),
        ];
        for (table, mut column) in columns {
            let add = Table::alter().table(table).add_column(&mut column).take();
            manager.alter_table(add).await?;
        }
        // Those of now were made to be used once.
        let statement = "UPDATE builder SET uses = 1 WHERE state IN ('busy', 'cleaning', 'held')";
        manager.get_connection().execute_unprepared(statement).await?;
        Ok(())
    }
}
