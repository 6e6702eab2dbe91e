//! What is wrong with clouds, what clouds answered to launches, which orphans they refuse to end, and which attempts do not
//! count.

use sea_orm_migration::prelude::*;

use super::column::{boolean, maybe_text, number, text, uuid};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let trouble = Table::create()
            .table("cloud_trouble")
            .col(uuid("fleet"))
            .col(text("cloud"))
            .col(number("since"))
            .col(text("reason"))
            .col(text("detail"))
            .primary_key(Index::create().col("fleet").col("cloud"))
            .take();
        manager.create_table(trouble).await?;
        for (table, mut column) in [
            ("launch_attempt", maybe_text("answer")),
            ("sighting", maybe_text("refusal")),
            ("attempt", boolean("excused").default(false).take()),
        ] {
            let add = Table::alter().table(table).add_column(&mut column).take();
            manager.alter_table(add).await?;
        }
        Ok(())
    }
}
