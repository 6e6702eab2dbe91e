//! For how long machines were there in each hour, by their pools, too, so that it can be told what each pool cost. What was kept before
//! has no pool.

use sea_orm_migration::prelude::*;

use super::column::{number, text, uuid};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let hours = Table::create()
            .table("machine_hours")
            .col(uuid("fleet"))
            .col(number("hour"))
            .col(text("cloud"))
            .col(text("pool"))
            .col(text("offering"))
            .col(number("machines"))
            .col(number("micros"))
            .primary_key(
                Index::create()
                    .col("fleet")
                    .col("hour")
                    .col("cloud")
                    .col("pool")
                    .col("offering"),
            )
            .take();
        manager.create_table(hours).await?;
        let keep = "INSERT INTO machine_hours (fleet, hour, cloud, pool, offering, machines, micros)
            SELECT fleet, hour, cloud, '', offering, machines, micros FROM ended_machines";
        manager.get_connection().execute_unprepared(keep).await?;
        let old = Table::drop().table("ended_machines").take();
        manager.drop_table(old).await
    }
}
