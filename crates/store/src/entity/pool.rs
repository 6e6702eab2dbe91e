//! Pools and how their last launches went. Fleets of one database may have pools of one name, which are not the same pool.

use sea_orm::entity::prelude::*;
use uuid::Uuid;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "pool")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub fleet: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    pub current_hash: Option<String>,
    pub failures: i64,
    pub last_failure: Option<i64>,
    pub last_reason: Option<String>,
    /// Who lets it launch nothing, why and until when.
    pub paused_by: Option<String>,
    pub paused_why: Option<String>,
    pub paused_until: Option<i64>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
