//! Indexes for what was looked for by walking: builds of one directory of a project, and deleted projects whose rows are to be
//! pruned. An index of the names of all projects, deleted ones too, goes: SQLite walked through it for lists of those that are
//! there, which have an index of their own.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut all_names = Index::drop();
        all_names.name("projects_of_name").table("project");
        manager.drop_index(all_names).await?;
        let of_directory = Index::create()
            .name("builds_of_directory")
            .table("build")
            .col("project")
            .col("directory")
            .col("id")
            .take();
        manager.create_index(of_directory).await?;
        let cleared = Index::create()
            .name("cleared_projects")
            .table("project")
            .col("cleared_at")
            .and_where(Expr::col("cleared_at").is_not_null())
            .take();
        manager.create_index(cleared).await
    }
}
