//! Runs of hooks: each is on record before its program is started.

use sea_orm_migration::prelude::*;

use super::column::{maybe_number, maybe_text, number, text, uuid};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let run = Table::create()
            .table("hook_run")
            .col(uuid("id").primary_key().take())
            .col(uuid("fleet"))
            .col(uuid("builder"))
            .col(text("hook"))
            .col(number("place"))
            .col(text("spec"))
            .col(text("state"))
            .col(number("attempt"))
            .col(number("due_at"))
            .col(maybe_number("started_at"))
            .col(maybe_number("ended_at"))
            .col(maybe_number("failed_at"))
            .col(maybe_text("outcome"))
            .col(maybe_text("tail"))
            .take();
        manager.create_table(run).await?;
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }
}

fn indexes() -> [IndexCreateStatement; 3] {
    [
        Index::create()
            .name("one_run_of_hook")
            .table("hook_run")
            .col("builder")
            .col("hook")
            .col("place")
            .unique()
            .take(),
        Index::create()
            .name("open_hook_runs")
            .table("hook_run")
            .col("fleet")
            .and_where(Expr::col("ended_at").is_null())
            .take(),
        Index::create()
            .name("failed_hook_runs")
            .table("hook_run")
            .col("failed_at")
            .and_where(Expr::col("failed_at").is_not_null())
            .take(),
    ]
}
