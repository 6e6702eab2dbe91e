//! An instance of a cloud is one live builder's. A fixed host is none of a cloud's: its name, which stands in the place of an id, is
//! its fleet's own, and that it has one builder at a time is told by the index on fleet and host.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut drop = Index::drop();
        drop.name("one_live_builder_of_instance").table("builder");
        manager.drop_index(drop).await?;
        let index = Index::create()
            .name("one_live_builder_of_instance")
            .table("builder")
            .col("cloud")
            .col("instance_id")
            .unique()
            .and_where(Expr::col("instance_id").is_not_null())
            .and_where(Expr::col("ended_at").is_null())
            .and_where(Expr::col("host").is_null())
            .take();
        manager.create_index(index).await
    }
}
