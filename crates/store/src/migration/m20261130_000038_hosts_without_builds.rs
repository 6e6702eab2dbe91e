//! Which builder the baseline of a fixed host is of, so that it can be told whether a build has run there since.

use sea_orm_migration::prelude::*;

use super::column::maybe_uuid;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut column = maybe_uuid("baseline_of");
        let add = Table::alter().table("host").add_column(&mut column).take();
        manager.alter_table(add).await
    }
}
