//! A build's chroot knows its project, so that what belongs into a repository is found by one index: what was built in the same
//! directory for other chroots is not walked through.

use sea_orm::ConnectionTrait as _;
use sea_orm_migration::prelude::*;

use super::column::number;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut project = number("project").default(0).take();
        let add = Table::alter()
            .table("build_chroot")
            .add_column(&mut project)
            .take();
        manager.alter_table(add).await?;
        let fill = "UPDATE build_chroot SET
            project = (SELECT build.project FROM build WHERE build.id = build_chroot.build)";
        manager.get_connection().execute_unprepared(fill).await?;
        let index = Index::create()
            .name("chroots_of_repository")
            .table("build_chroot")
            .col("project")
            .col("directory")
            .col("chroot")
            .col("build")
            .take();
        manager.create_index(index).await
    }
}
