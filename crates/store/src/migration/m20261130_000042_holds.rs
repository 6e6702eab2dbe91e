//! How long a builder is held, from the moment on at which it is.

use sea_orm_migration::prelude::*;

use super::column::maybe_number;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut column = maybe_number("mark_lasts");
        let add = Table::alter().table("builder").add_column(&mut column).take();
        manager.alter_table(add).await
    }
}
