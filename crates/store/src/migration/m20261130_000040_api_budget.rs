//! How many calls may be made to clouds, for all processes of the farm together.

use sea_orm_migration::prelude::*;

use super::column::{maybe_number, number, text, uuid};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let budget = Table::create()
            .table("api_budget")
            .col(uuid("fleet"))
            .col(text("cloud"))
            .col(text("class"))
            .col(number("tokens"))
            .col(number("refilled_at"))
            .col(number("pace"))
            .col(maybe_number("slowed_at"))
            .col(number("taken"))
            .col(number("waited"))
            .col(number("throttled"))
            .primary_key(Index::create().col("fleet").col("cloud").col("class"))
            .take();
        manager.create_table(budget).await
    }
}
