//! The ends of the consoles of builders that never got ready.

use sea_orm_migration::prelude::*;

use super::column::{number, text, uuid};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let consoles = Table::create()
            .table("builder_console")
            .col(uuid("builder"))
            .col(number("read_at"))
            .col(text("text"))
            .primary_key(Index::create().col("builder"))
            .take();
        manager.create_table(consoles).await
    }
}
