//! Rights of attempts to builders; the id is the fencing epoch.

use sea_orm::entity::prelude::*;
use uuid::Uuid;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "allocation")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub epoch: i64,
    pub builder: Uuid,
    pub attempt: Uuid,
    pub state: String,
    pub worker: Option<String>,
    pub offered_at: i64,
    pub renewed_at: i64,
    pub ended_at: Option<i64>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
