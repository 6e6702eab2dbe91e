//! What happened.

use sea_orm::entity::prelude::*;
use uuid::Uuid;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "event")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub at: i64,
    pub actor: String,
    pub subject_kind: String,
    pub subject_id: String,
    pub old_state: Option<String>,
    pub new_state: Option<String>,
    pub reason: String,
    pub detail: Option<String>,
    pub build: Option<i64>,
    pub builder: Option<Uuid>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
