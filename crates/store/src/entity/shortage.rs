//! What clouds said lately that they have no more of.

use sea_orm::entity::prelude::*;
use uuid::Uuid;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "shortage")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub fleet: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub cloud: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub what: String,
    pub noted_at: i64,
    pub until: i64,
    pub strikes: i64,
    pub why: String,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
