//! Signing keys get a table of their own, so that on PostgreSQL the role of the web process can be kept out of it.

use sea_orm_migration::prelude::*;

use super::column::{number, text};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(signing_key()).await?;
        let columns = ["fingerprint", "public_key", "secret_key", "created_at"];
        // A deleted project has lost its secret key already: an empty text is none.
        let kept = Query::select()
            .column("id")
            .column("key_fingerprint")
            .columns(["public_key", "secret_key", "created_at"])
            .from("project")
            .and_where(Expr::col("secret_key").ne(""))
            .take();
        let mut insert = Query::insert();
        insert
            .into_table("signing_key")
            .columns(["project"].into_iter().chain(columns));
        insert
            .select_from(kept)
            .map_err(|error| DbErr::Migration(error.to_string()))?;
        manager.execute(insert).await?;
        for column in ["key_fingerprint", "public_key", "secret_key"] {
            let drop = Table::alter().table("project").drop_column(column).take();
            manager.alter_table(drop).await?;
        }
        Ok(())
    }
}

fn signing_key() -> TableCreateStatement {
    Table::create()
        .table("signing_key")
        .col(number("project").primary_key())
        .col(text("fingerprint"))
        .col(text("public_key"))
        .col(text("secret_key"))
        .col(number("created_at"))
        .foreign_key(
            ForeignKey::create()
                .from("signing_key", "project")
                .to("project", "id"),
        )
        .take()
}
