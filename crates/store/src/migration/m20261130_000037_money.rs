//! For how long machines were there that ended, by the hour, and what adopted ones are of: both for what clouds cost. What ended
//! before is not counted. And the failures of hooks by their fleets, so that one fleet's do not hide another's.

use sea_orm_migration::prelude::*;

use super::column::{maybe_text, number, text, uuid};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut offering = maybe_text("offering");
        let add = Table::alter().table("builder").add_column(&mut offering).take();
        manager.alter_table(add).await?;
        let ended = Table::create()
            .table("ended_machines")
            .col(uuid("fleet"))
            .col(number("hour"))
            .col(text("cloud"))
            .col(text("offering"))
            .col(number("machines"))
            .col(number("micros"))
            .primary_key(
                Index::create()
                    .col("fleet")
                    .col("hour")
                    .col("cloud")
                    .col("offering"),
            )
            .take();
        manager.create_table(ended).await?;
        let drop = Index::drop()
            .name("failed_hook_runs")
            .table("hook_run")
            .to_owned();
        manager.drop_index(drop).await?;
        let failed = Index::create()
            .name("failed_hook_runs")
            .table("hook_run")
            .col("fleet")
            .col("failed_at")
            .and_where(Expr::col("failed_at").is_not_null())
            .take();
        manager.create_index(failed).await
    }
}
