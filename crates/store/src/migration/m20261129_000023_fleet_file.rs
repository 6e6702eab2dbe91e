//! The fleet file that is in force, and why the one that stands is not.

use sea_orm_migration::prelude::*;

use super::column::{maybe_number, maybe_text, number, text, uuid};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let file = Table::create()
            .table("fleet_file")
            .col(uuid("fleet").primary_key())
            .col(text("spec"))
            .col(number("put_at"))
            .col(maybe_number("problem_since"))
            .col(maybe_text("problem"))
            .take();
        manager.create_table(file).await
    }
}
