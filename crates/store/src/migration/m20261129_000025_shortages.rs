//! What clouds said lately that they have no more of.

use sea_orm_migration::prelude::*;

use super::column::{number, text, uuid};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let shortage = Table::create()
            .table("shortage")
            .col(uuid("fleet"))
            .col(text("cloud"))
            .col(text("what"))
            .col(number("noted_at"))
            .col(number("until"))
            .col(number("strikes"))
            .col(text("why"))
            .primary_key(Index::create().col("fleet").col("cloud").col("what"))
            .take();
        manager.create_table(shortage).await
    }
}
