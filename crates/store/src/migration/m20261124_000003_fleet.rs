//! The controller's lease, pools, builders, launches, allocations and sightings.

use sea_orm_migration::prelude::*;

use super::column::{boolean, identity, maybe_number, maybe_text, number, one_of, text, uuid};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

const BUILDER_STATES: [&str; 16] = [
    "planned",
    "launching",
    "resolving",
    "pending",
    "booting",
    "provisioning",
    "checking",
    "ready",
    "reserved",
    "busy",
    "cleaning",
    "held",
    "draining",
    "terminating",
    "terminated",
    "abandoned",
];
const ALLOCATION_STATES: [&str; 4] = ["offered", "accepted", "finished", "fenced"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [
            fleet_lease(),
            pool_version(),
            pool(),
            builder(),
            launch_attempt(),
            allocation(),
            sighting(),
        ] {
            manager.create_table(table).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }
}

fn fleet_lease() -> TableCreateStatement {
    Table::create()
        .table("fleet_lease")
        .col(uuid("fleet").primary_key())
        .col(text("holder"))
        .col(number("epoch"))
        .col(number("expires_at"))
        .take()
}

fn pool_version() -> TableCreateStatement {
    Table::create()
        .table("pool_version")
        .col(text("pool"))
        .col(text("hash"))
        .col(text("spec"))
        .col(number("created_at"))
        .primary_key(Index::create().col("pool").col("hash"))
        .take()
}

fn pool() -> TableCreateStatement {
    Table::create()
        .table("pool")
        .col(text("name").primary_key())
        .col(maybe_text("current_hash"))
        .col(number("failures"))
        .col(maybe_number("last_failure"))
        .foreign_key(
            ForeignKey::create()
                .from("pool", ("name", "current_hash"))
                .to("pool_version", ("pool", "hash")),
        )
        .take()
}

fn builder() -> TableCreateStatement {
    Table::create()
        .table("builder")
        .col(uuid("id").primary_key())
        .col(uuid("fleet"))
        .col(text("pool"))
        .col(text("state"))
        .col(number("version"))
        .col(text("cloud"))
        .col(maybe_text("instance_id"))
        .col(maybe_text("address"))
        .col(ColumnDef::new("port").integer().not_null())
        .col(maybe_text("host_key"))
        .col(maybe_text("host_key_secret"))
        .col(text("image"))
        .col(text("spec_hash"))
        .col(boolean("cordoned"))
        .col(maybe_text("reason"))
        .col(number("entered_at"))
        .col(maybe_number("deadline"))
        .col(number("created_at"))
        .col(maybe_number("ready_at"))
        .check(one_of("state", &BUILDER_STATES))
        .check(Expr::col("port").between(1, 65_535))
        .take()
}

fn launch_attempt() -> TableCreateStatement {
    Table::create()
        .table("launch_attempt")
        .col(uuid("id").primary_key())
        .col(uuid("builder"))
        .col(text("offering"))
        .col(text("params_hash"))
        .col(number("asked_at"))
        .col(maybe_number("answered_at"))
        .col(maybe_text("outcome"))
        .col(maybe_text("instance_id"))
        .foreign_key(
            ForeignKey::create()
                .from("launch_attempt", "builder")
                .to("builder", "id"),
        )
        .take()
}

fn allocation() -> TableCreateStatement {
    Table::create()
        .table("allocation")
        .col(identity("epoch"))
        .col(uuid("builder"))
        .col(uuid("attempt"))
        .col(text("state"))
        .col(maybe_text("worker"))
        .col(number("offered_at"))
        .col(number("renewed_at"))
        .col(maybe_number("ended_at"))
        .foreign_key(
            ForeignKey::create()
                .from("allocation", "builder")
                .to("builder", "id"),
        )
        .foreign_key(
            ForeignKey::create()
                .from("allocation", "attempt")
                .to("attempt", "id")
                .on_delete(ForeignKeyAction::Cascade),
        )
        .check(one_of("state", &ALLOCATION_STATES))
        .take()
}

fn sighting() -> TableCreateStatement {
    Table::create()
        .table("sighting")
        .col(text("cloud"))
        .col(text("instance_id"))
        .col(text("state"))
        .col(number("first_at"))
        .col(number("last_at"))
        .col(number("times_seen"))
        .col(boolean("is_present"))
        .primary_key(Index::create().col("cloud").col("instance_id"))
        .take()
}

fn indexes() -> Vec<IndexCreateStatement> {
    let open = || Expr::col("ended_at").is_null();
    vec![
        Index::create()
            .name("one_builder_of_instance")
            .table("builder")
            .col("instance_id")
            .unique()
            .and_where(Expr::col("instance_id").is_not_null())
            .take(),
        Index::create()
            .name("due_builders")
            .table("builder")
            .col("deadline")
            .and_where(Expr::col("deadline").is_not_null())
            .take(),
        Index::create()
            .name("builders_in_state")
            .table("builder")
            .col("fleet")
            .col("state")
            .take(),
        Index::create()
            .name("launches_of_builder")
            .table("launch_attempt")
            .col("builder")
            .take(),
        Index::create()
            .name("one_open_allocation_of_builder")
            .table("allocation")
            .col("builder")
            .unique()
            .and_where(open())
            .take(),
        Index::create()
            .name("one_open_allocation_of_attempt")
            .table("allocation")
            .col("attempt")
            .unique()
            .and_where(open())
            .take(),
        Index::create()
            .name("allocations_in_state")
            .table("allocation")
            .col("state")
            .col("epoch")
            .take(),
    ]
}
