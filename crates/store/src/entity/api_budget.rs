//! How many calls may be made to clouds: one row for each cloud and class of calls.

use sea_orm::entity::prelude::*;
use uuid::Uuid;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "api_budget")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub fleet: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub cloud: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub class: String,
    /// What was left at `refilled_at`, in millionths of a call.
    pub tokens: i64,
    pub refilled_at: i64,
    /// The part of the rate at `slowed_at`, in millionths.
    pub pace: i64,
    /// When the cloud asked for fewer calls, for the last time.
    pub slowed_at: Option<i64>,
    /// How many calls were taken since the beginning.
    pub taken: i64,
    /// How often there was none.
    pub waited: i64,
    /// How often the cloud asked for fewer.
    pub throttled: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
