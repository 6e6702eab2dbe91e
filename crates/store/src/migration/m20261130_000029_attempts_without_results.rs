//! An index of the attempts that a worker began and that left nothing among the results: those that go on, and few others. Whoever
//! tells of them looks nowhere else.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let index = Index::create()
            .name("attempts_without_results")
            .table("attempt")
            .col("state")
            .col("id")
            .col("ended_at")
            .and_where(Expr::col("result_directory").is_null())
            .and_where(Expr::col("started_at").is_not_null())
            .take();
        manager.create_index(index).await
    }
}
