//! Accounts, chroots, projects, their repositories, and events.

use sea_orm_migration::prelude::*;

use super::column::{boolean, identity, maybe_number, maybe_text, maybe_uuid, number, text};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [
            account(),
            chroot(),
            project(),
            project_chroot(),
            repository(),
            snapshot(),
            event(),
        ] {
            manager.create_table(table).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }
}

fn account() -> TableCreateStatement {
    Table::create()
        .table("account")
        .col(identity("id"))
        .col(text("name").unique_key())
        .col(boolean("is_operator"))
        .col(number("created_at"))
        .col(maybe_text("token_login").unique_key())
        .col(maybe_text("token_hash"))
        .col(maybe_number("token_expires_at"))
        .take()
}

fn chroot() -> TableCreateStatement {
    Table::create()
        .table("chroot")
        .col(text("name").primary_key())
        .col(text("comment"))
        .col(boolean("is_active"))
        .col(text("definition"))
        .col(number("created_at"))
        .col(number("updated_at"))
        .take()
}

fn project() -> TableCreateStatement {
    Table::create()
        .table("project")
        .col(identity("id"))
        .col(text("owner"))
        .col(text("name"))
        .col(number("created_by"))
        .col(text("settings"))
        .col(text("search"))
        .col(text("key_fingerprint"))
        .col(text("public_key"))
        .col(text("secret_key"))
        .col(number("created_at"))
        .col(maybe_number("deleted_at"))
        .foreign_key(
            ForeignKey::create()
                .from("project", "created_by")
                .to("account", "id"),
        )
        .take()
}

fn project_chroot() -> TableCreateStatement {
    Table::create()
        .table("project_chroot")
        .col(number("project"))
        .col(text("chroot"))
        .primary_key(Index::create().col("project").col("chroot"))
        .foreign_key(
            ForeignKey::create()
                .from("project_chroot", "project")
                .to("project", "id"),
        )
        .foreign_key(
            ForeignKey::create()
                .from("project_chroot", "chroot")
                .to("chroot", "name"),
        )
        .take()
}

fn repository() -> TableCreateStatement {
    Table::create()
        .table("repository")
        .col(number("project"))
        .col(text("directory"))
        .col(text("chroot"))
        .col(number("wanted"))
        .col(number("published"))
        .col(number("next_number"))
        .col(maybe_text("lease_worker"))
        .col(maybe_number("lease_number"))
        .col(maybe_number("lease_wanted"))
        .col(maybe_number("lease_at"))
        .col(number("failures"))
        .col(maybe_text("failure"))
        .col(maybe_number("not_before"))
        .primary_key(Index::create().col("project").col("directory").col("chroot"))
        .foreign_key(
            ForeignKey::create()
                .from("repository", "project")
                .to("project", "id"),
        )
        .check(Expr::col("published").lte(Expr::col("wanted")))
        .take()
}

fn snapshot() -> TableCreateStatement {
    Table::create()
        .table("snapshot")
        .col(number("project"))
        .col(text("directory"))
        .col(text("chroot"))
        .col(number("number"))
        .col(text("revision"))
        .col(text("repomd_sha256"))
        .col(number("at"))
        .primary_key(
            Index::create()
                .col("project")
                .col("directory")
                .col("chroot")
                .col("number"),
        )
        .foreign_key(
            ForeignKey::create()
                .from("snapshot", ("project", "directory", "chroot"))
                .to("repository", ("project", "directory", "chroot"))
                .on_delete(ForeignKeyAction::Cascade),
        )
        .take()
}

fn event() -> TableCreateStatement {
    // Without foreign keys: events outlive what they tell of.
    Table::create()
        .table("event")
        .col(identity("id"))
        .col(number("at"))
        .col(text("actor"))
        .col(text("subject_kind"))
        .col(text("subject_id"))
        .col(maybe_text("old_state"))
        .col(maybe_text("new_state"))
        .col(text("reason"))
        .col(maybe_text("detail"))
        .col(maybe_number("build"))
        .col(maybe_uuid("builder"))
        .take()
}

fn indexes() -> Vec<IndexCreateStatement> {
    vec![
        Index::create()
            .name("one_live_project_of_a_name")
            .table("project")
            .col("owner")
            .col("name")
            .unique()
            .and_where(Expr::col("deleted_at").is_null())
            .take(),
        Index::create()
            .name("repositories_out_of_date")
            .table("repository")
            .col("not_before")
            .and_where(Expr::col("published").lt(Expr::col("wanted")))
            .take(),
        Index::create()
            .name("events_of_build")
            .table("event")
            .col("build")
            .col("id")
            .take(),
        Index::create()
            .name("events_of_builder")
            .table("event")
            .col("builder")
            .col("id")
            .take(),
    ]
}
