//! What operators may do with instances that have the fleet's tag and no builder: adopt them, or have them left alone.

use sea_orm_migration::prelude::*;

use super::column::{maybe_number, maybe_text, number, text, uuid};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // SQLite adds one column at a time.
        for mut column in [maybe_text("pool"), maybe_number("ending_since")] {
            let add = Table::alter().table("sighting").add_column(&mut column).take();
            manager.alter_table(add).await?;
        }
        let ignored = Table::create()
            .table("ignored_instance")
            .col(uuid("fleet"))
            .col(text("cloud"))
            .col(text("instance_id"))
            .col(text("ignored_by"))
            .col(text("why"))
            .col(number("since"))
            .primary_key(Index::create().col("fleet").col("cloud").col("instance_id"))
            .take();
        manager.create_table(ignored).await
    }
}
