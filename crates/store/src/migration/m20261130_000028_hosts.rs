//! Fixed hosts: what is known of each, and which builder is one. An instance may be another builder's after one has ended.

use sea_orm_migration::prelude::*;

use super::column::{maybe_number, maybe_text, number, text, uuid};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let host = Table::create()
            .table("host")
            .col(uuid("fleet"))
            .col(text("name"))
            .col(text("place"))
            .col(maybe_text("host_key"))
            .col(maybe_text("baseline"))
            .col(number("failures"))
            .col(maybe_number("last_failure"))
            .col(maybe_text("last_reason"))
            .col(maybe_number("out_since"))
            .col(maybe_text("out_why"))
            .primary_key(Index::create().col("fleet").col("name"))
            .take();
        manager.create_table(host).await?;
        let mut column = maybe_text("host");
        let add = Table::alter().table("builder").add_column(&mut column).take();
        manager.alter_table(add).await?;
        let mut drop = Index::drop();
        drop.name("one_builder_of_instance").table("builder");
        manager.drop_index(drop).await?;
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }
}

fn indexes() -> [IndexCreateStatement; 3] {
    let live = || Expr::col("ended_at").is_null();
    [
        Index::create()
            .name("builders_of_instance")
            .table("builder")
            .col("instance_id")
            .and_where(Expr::col("instance_id").is_not_null())
            .take(),
        Index::create()
            .name("one_live_builder_of_instance")
            .table("builder")
            .col("cloud")
            .col("instance_id")
            .unique()
            .and_where(Expr::col("instance_id").is_not_null())
            .and_where(live())
            .take(),
        Index::create()
            .name("one_live_builder_of_host")
            .table("builder")
            .col("fleet")
            .col("host")
            .unique()
            .and_where(Expr::col("host").is_not_null())
            .and_where(live())
            .take(),
    ]
}
