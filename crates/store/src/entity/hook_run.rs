//! Hooks: one row for each hook of each builder that has come to its turn.

use sea_orm::entity::prelude::*;
use uuid::Uuid;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "hook_run")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub fleet: Uuid,
    pub builder: Uuid,
    pub hook: String,
    pub place: i64,
    /// What the fleet file said of it, as JSON.
    pub spec: String,
    pub state: String,
    pub attempt: i64,
    pub due_at: i64,
    pub started_at: Option<i64>,
    /// Set when nothing more comes of it.
    pub ended_at: Option<i64>,
    /// Set as long as the last try that ended is one that failed.
    pub failed_at: Option<i64>,
    pub outcome: Option<String>,
    pub tail: Option<String>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
