//! Indexes that hold only what has not ended, so that a round costs the same whatever lies in the history, and what they need
//! in the rows themselves: an attempt knows for whom it waits and why, a builder when it ended. Besides: a full index for every
//! foreign key, since a database looks for the children of each row that is deleted.

use sea_orm_migration::prelude::*;

use super::column::{boolean, maybe_number, maybe_text, text};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let columns = [
            ("attempt", text("owner").default("").take()),
            ("attempt", boolean("is_background").default(false).take()),
            ("attempt", maybe_text("waiting_reason")),
            ("builder", maybe_number("ended_at")),
            ("build_chroot", maybe_number("package")),
            ("build_chroot", text("directory").default("").take()),
            ("project", maybe_number("cleared_at")),
        ];
        for (table, mut column) in columns {
            let add = Table::alter().table(table).add_column(&mut column).take();
            manager.alter_table(add).await?;
        }
        // The place in the queue is computed when somebody asks; the reason is the attempt's.
        for column in ["waiting_reason", "queue_position"] {
            let drop = Table::alter().table("build_chroot").drop_column(column).take();
            manager.alter_table(drop).await?;
        }
        for statement in [
            "UPDATE attempt SET
                owner = (SELECT project.owner FROM build JOIN project ON project.id = build.project
                         WHERE build.id = attempt.build),
                is_background = (SELECT build.is_background FROM build WHERE build.id = attempt.build)",
            "UPDATE builder SET ended_at = entered_at WHERE state IN ('terminated', 'abandoned')",
            "UPDATE build_chroot SET
                package = (SELECT build.package FROM build WHERE build.id = build_chroot.build),
                directory = (SELECT build.directory FROM build WHERE build.id = build_chroot.build)",
            "UPDATE project SET cleared_at = deleted_at WHERE deleted_at IS NOT NULL",
        ] {
            manager.get_connection().execute_unprepared(statement).await?;
        }
        for (table, index) in [
            ("attempt", "open_attempts"),
            ("builder", "builders_in_state"),
            ("builder", "due_builders"),
            ("allocation", "allocations_in_state"),
        ] {
            manager
                .drop_index(Index::drop().table(table).name(index).to_owned())
                .await?;
        }
        for index in of_live_rows()
            .into_iter()
            .chain(of_lists())
            .chain(of_foreign_keys())
        {
            manager.create_index(index).await?;
        }
        Ok(())
    }
}

fn index(name: &'static str, table: &'static str, columns: &[&'static str]) -> IndexCreateStatement {
    let mut index = Index::create().name(name).table(table).take();
    for column in columns {
        index.col(*column);
    }
    index
}

fn of_live_rows() -> Vec<IndexCreateStatement> {
    let is_live = || Expr::col("ended_at").is_null();
    vec![
        // All that the order of service needs.
        index(
            "open_attempts",
            "attempt",
            &["state", "owner", "is_background", "queued_at", "id", "build"],
        )
        .and_where(is_live())
        .take(),
        index("live_builders", "builder", &["created_at", "id"])
            .and_where(is_live())
            .take(),
        index("ended_builders", "builder", &["ended_at", "id"])
            .and_where(Expr::col("ended_at").is_not_null())
            .take(),
        index("open_allocations", "allocation", &["state", "epoch"])
            .and_where(is_live())
            .take(),
        index("repositories_in_publication", "repository", &["lease_worker"])
            .and_where(Expr::col("lease_worker").is_not_null())
            .take(),
        index("projects_to_clear", "project", &["deleted_at", "id"])
            .and_where(Expr::col("deleted_at").is_not_null())
            .and_where(Expr::col("cleared_at").is_null())
            .take(),
    ]
}

fn of_lists() -> Vec<IndexCreateStatement> {
    vec![
        index("builds_of_project_in_state", "build", &["project", "state", "id"]),
        index("builds_of_package_in_state", "build", &["package", "state", "id"]),
        index(
            "chroots_of_package",
            "build_chroot",
            &["package", "directory", "chroot", "build"],
        ),
        index("packages_in_order", "package", &["project", "id"]),
        index("projects_of_name", "project", &["owner", "name"]),
    ]
}

fn of_foreign_keys() -> Vec<IndexCreateStatement> {
    vec![
        index("allocations_of_attempt", "allocation", &["attempt"]),
        index("allocations_of_builder", "allocation", &["builder"]),
        index("builds_of_submitter", "build", &["submitter"]),
        index("projects_of_maker", "project", &["created_by"]),
        index("projects_of_chroot", "project_chroot", &["chroot"]),
    ]
}
