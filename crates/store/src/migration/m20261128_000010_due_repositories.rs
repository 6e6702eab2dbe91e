//! Since when a repository waits to be published, and an index over those that do: the oldest wish first, whatever number of
//! repositories is up to date.

use sea_orm_migration::prelude::*;

use super::column::number;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut wanted_at = number("wanted_at");
        wanted_at.default(0);
        let add = Table::alter()
            .table("repository")
            .add_column(&mut wanted_at)
            .take();
        manager.alter_table(add).await?;
        let due = Index::create()
            .name("due_repositories")
            .table("repository")
            .col("wanted_at")
            .and_where(Expr::col("published").lt(Expr::col("wanted")))
            .take();
        manager.create_index(due).await
    }
}
