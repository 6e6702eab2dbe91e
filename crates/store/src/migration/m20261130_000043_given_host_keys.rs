//! Which host keys were given in user data, and are to be replaced by those that their machines make. Machines that boot while this
//! is carried out get another key like those that are launched from now on; an adopted one has no launch.

use sea_orm_migration::prelude::*;

use super::column::{boolean, maybe_text};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in [
            boolean("host_key_given").default(false).take(),
            maybe_text("host_key_next"),
        ] {
            let with = Table::alter().table("builder").add_column(column).take();
            manager.alter_table(with).await?;
        }
        let launched = Query::select().column("builder").from("launch_attempt").take();
        let given = Query::update()
            .table("builder")
            .value("host_key_given", true)
            .and_where(Expr::col("state").is_in(["launching", "resolving", "pending", "booting"]))
            .and_where(Expr::col("host").is_null())
            .and_where(Expr::col("host_key").is_not_null())
            .and_where(Expr::col("id").in_subquery(launched))
            .take();
        manager.execute(given).await
    }
}
