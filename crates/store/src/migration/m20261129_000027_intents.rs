//! What operators ask of the fleet by commands, and what they have said of builders and pools.

use sea_orm_migration::prelude::*;

use super::column::{maybe_number, maybe_text, number, text, uuid};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let intent = Table::create()
            .table("intent")
            .col(uuid("fleet"))
            .col(text("key"))
            .col(text("request"))
            .col(text("actor"))
            .col(text("state"))
            .col(text("words"))
            .col(text("builders"))
            .col(number("created_at"))
            .col(maybe_number("ended_at"))
            .primary_key(Index::create().col("fleet").col("key"))
            .take();
        manager.create_table(intent).await?;
        let open = Index::create()
            .name("open_intents")
            .table("intent")
            .col("fleet")
            .col("created_at")
            .and_where(Expr::col("ended_at").is_null())
            .take();
        let ended = Index::create()
            .name("ended_intents")
            .table("intent")
            .col("ended_at")
            .and_where(Expr::col("ended_at").is_not_null())
            .take();
        for index in [open, ended] {
            manager.create_index(index).await?;
        }
        for (table, mut column) in [
            ("builder", maybe_text("mark")),
            ("builder", maybe_text("mark_by")),
            ("builder", maybe_text("mark_why")),
            ("builder", maybe_number("mark_until")),
            ("pool", maybe_text("paused_by")),
            ("pool", maybe_text("paused_why")),
            ("pool", maybe_number("paused_until")),
        ] {
            let add = Table::alter().table(table).add_column(&mut column).take();
            manager.alter_table(add).await?;
        }
        Ok(())
    }
}
