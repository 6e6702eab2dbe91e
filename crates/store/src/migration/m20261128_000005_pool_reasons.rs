//! Why the last builder of a pool was given up, so that a pool that is braked can say it.

use sea_orm_migration::prelude::*;

use super::column::maybe_text;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut reason = maybe_text("last_reason");
        let add = Table::alter().table("pool").add_column(&mut reason).take();
        manager.alter_table(add).await
    }
}
