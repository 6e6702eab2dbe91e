//! Instances with a fleet's tag that no builder had when its controller saw them. Clouds of two fleets may have one name.

use sea_orm::entity::prelude::*;
use uuid::Uuid;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sighting")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub fleet: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub cloud: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub instance_id: String,
    pub state: String,
    pub first_at: i64,
    pub last_at: i64,
    pub times_seen: i64,
    pub is_present: bool,
    pub refusal: Option<String>,
    /// The pool that its tag names.
    pub pool: Option<String>,
    /// Since when the cloud is being told to end it.
    pub ending_since: Option<i64>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
