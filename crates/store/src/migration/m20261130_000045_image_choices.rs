//! Which image of its cloud is used for an image of the fleet file that says only which ones match, and why the last question gave none.

use sea_orm_migration::prelude::*;

use super::column::{maybe_number, maybe_text, number, text, uuid};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let choices = Table::create()
            .table("image_choice")
            .col(uuid("fleet"))
            .col(text("image"))
            .col(text("cloud"))
            .col(text("asked"))
            .col(maybe_text("image_id"))
            .col(maybe_text("image_name"))
            .col(maybe_number("created"))
            .col(maybe_number("chosen_at"))
            .col(maybe_text("failure"))
            .col(number("asked_at"))
            .primary_key(Index::create().col("fleet").col("image"))
            .take();
        manager.create_table(choices).await
    }
}
