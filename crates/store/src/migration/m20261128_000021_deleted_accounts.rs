//! When an account was deleted. Its row stays, since builds and deleted projects refer to it.

use sea_orm_migration::prelude::*;

use super::column::maybe_number;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut column = maybe_number("deleted_at");
        let add = Table::alter().table("account").add_column(&mut column).take();
        manager.alter_table(add).await
    }
}
