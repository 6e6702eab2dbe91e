//! Calls to clouds for machines.

use sea_orm::entity::prelude::*;
use uuid::Uuid;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "launch_attempt")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub builder: Uuid,
    pub offering: String,
    pub params_hash: String,
    pub asked_at: i64,
    pub answered_at: Option<i64>,
    pub outcome: Option<String>,
    pub instance_id: Option<String>,
    pub answer: Option<String>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
