//! An index by which it is found whether any build still needs a source.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let index = Index::create()
            .name("builds_of_source")
            .table("build")
            .col("source_sha256")
            .take();
        manager.create_index(index).await
    }
}
