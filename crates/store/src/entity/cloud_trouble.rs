//! Clouds that give no machines.

use sea_orm::entity::prelude::*;
use uuid::Uuid;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "cloud_trouble")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub fleet: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub cloud: String,
    pub since: i64,
    pub reason: String,
    pub detail: String,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
