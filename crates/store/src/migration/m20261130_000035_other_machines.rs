//! How many machines others have in the account of a cloud, which count for its limit as well.

use sea_orm_migration::prelude::*;

use super::column::{maybe_number, maybe_text, text, uuid};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let others = Table::create()
            .table("other_machines")
            .col(uuid("fleet"))
            .col(text("cloud"))
            .col(maybe_number("machines"))
            .col(maybe_number("counted_at"))
            .col(maybe_text("failure"))
            .primary_key(Index::create().col("fleet").col("cloud"))
            .take();
        manager.create_table(others).await
    }
}
