//! Packages, builds, build chroots, attempts and what they made.

use sea_orm_migration::prelude::*;

use super::column::{boolean, identity, maybe_number, maybe_text, maybe_uuid, number, one_of, text, uuid};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

const BUILD_STATES: [&str; 10] = [
    "importing",
    "waiting",
    "pending",
    "starting",
    "running",
    "succeeded",
    "failed",
    "canceled",
    "skipped",
    "forked",
];
const ATTEMPT_STATES: [&str; 9] = [
    "waiting",
    "assigned",
    "running",
    "publishing",
    "succeeded",
    "failed",
    "skipped",
    "canceled",
    "lost",
];
const OPEN_ATTEMPT_STATES: [&str; 4] = ["waiting", "assigned", "running", "publishing"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [package(), build(), build_chroot(), attempt(), collected_package()] {
            manager.create_table(table).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }
}

fn package() -> TableCreateStatement {
    Table::create()
        .table("package")
        .col(identity("id"))
        .col(number("project"))
        .col(text("name"))
        .foreign_key(
            ForeignKey::create()
                .from("package", "project")
                .to("project", "id"),
        )
        .take()
}

fn build() -> TableCreateStatement {
    Table::create()
        .table("build")
        .col(identity("id"))
        .col(number("project"))
        .col(text("directory"))
        .col(maybe_number("package"))
        .col(maybe_text("version"))
        .col(maybe_number("submitter"))
        .col(text("source_file"))
        .col(text("source_sha256"))
        .col(number("source_size"))
        .col(text("source_state"))
        .col(boolean("canceled"))
        .col(boolean("is_background"))
        .col(text("options"))
        .col(text("state"))
        .col(number("submitted_at"))
        .foreign_key(ForeignKey::create().from("build", "project").to("project", "id"))
        .foreign_key(ForeignKey::create().from("build", "package").to("package", "id"))
        .foreign_key(
            ForeignKey::create()
                .from("build", "submitter")
                .to("account", "id"),
        )
        .check(one_of("state", &BUILD_STATES))
        .check(one_of("source_state", &BUILD_STATES))
        .take()
}

fn build_chroot() -> TableCreateStatement {
    Table::create()
        .table("build_chroot")
        .col(number("build"))
        .col(text("chroot"))
        .col(text("state"))
        .col(maybe_number("started_at"))
        .col(maybe_number("ended_at"))
        .col(maybe_text("result_directory"))
        .col(maybe_text("waiting_reason"))
        .col(maybe_number("queue_position"))
        .col(maybe_text("blame"))
        .col(maybe_text("reason"))
        .col(maybe_text("evidence"))
        .col(number("attempts"))
        .primary_key(Index::create().col("build").col("chroot"))
        .foreign_key(
            ForeignKey::create()
                .from("build_chroot", "build")
                .to("build", "id")
                .on_delete(ForeignKeyAction::Cascade),
        )
        .check(one_of("state", &BUILD_STATES))
        .take()
}

fn attempt() -> TableCreateStatement {
    Table::create()
        .table("attempt")
        .col(uuid("id").primary_key())
        .col(number("build"))
        .col(text("chroot"))
        .col(number("number"))
        .col(text("state"))
        .col(maybe_number("epoch"))
        .col(maybe_uuid("builder"))
        .col(maybe_text("blame"))
        .col(maybe_text("reason"))
        .col(maybe_text("evidence"))
        .col(maybe_text("result_directory"))
        .col(number("log_bytes"))
        .col(boolean("cancel_requested"))
        .col(number("queued_at"))
        .col(maybe_number("started_at"))
        .col(maybe_number("ended_at"))
        .foreign_key(
            ForeignKey::create()
                .from("attempt", ("build", "chroot"))
                .to("build_chroot", ("build", "chroot"))
                .on_delete(ForeignKeyAction::Cascade),
        )
        .check(one_of("state", &ATTEMPT_STATES))
        .take()
}

fn collected_package() -> TableCreateStatement {
    Table::create()
        .table("collected_package")
        .col(uuid("attempt"))
        .col(text("file_name"))
        .col(text("sha256"))
        .col(number("size"))
        .col(boolean("is_source"))
        .col(text("name"))
        .col(number("epoch"))
        .col(text("version"))
        .col(text("release"))
        .col(text("architecture"))
        .col(text("metadata_json"))
        .primary_key(Index::create().col("attempt").col("file_name"))
        .foreign_key(
            ForeignKey::create()
                .from("collected_package", "attempt")
                .to("attempt", "id")
                .on_delete(ForeignKeyAction::Cascade),
        )
        .take()
}

fn indexes() -> Vec<IndexCreateStatement> {
    vec![
        Index::create()
            .name("package_of_project")
            .table("package")
            .col("project")
            .col("name")
            .unique()
            .take(),
        Index::create()
            .name("builds_of_project")
            .table("build")
            .col("project")
            .col("id")
            .take(),
        Index::create()
            .name("builds_of_package")
            .table("build")
            .col("package")
            .col("id")
            .take(),
        Index::create()
            .name("builds_in_state")
            .table("build")
            .col("state")
            .col("id")
            .take(),
        Index::create()
            .name("nth_attempt_of_chroot")
            .table("attempt")
            .col("build")
            .col("chroot")
            .col("number")
            .unique()
            .take(),
        Index::create()
            .name("one_open_attempt_of_chroot")
            .table("attempt")
            .col("build")
            .col("chroot")
            .unique()
            .and_where(one_of("state", &OPEN_ATTEMPT_STATES))
            .take(),
        Index::create()
            .name("open_attempts")
            .table("attempt")
            .col("state")
            .col("queued_at")
            .col("id")
            .and_where(one_of("state", &OPEN_ATTEMPT_STATES))
            .take(),
    ]
}
