//! The fleet file that is in force, and why the one that stands is not.

use sea_orm::entity::prelude::*;
use uuid::Uuid;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "fleet_file")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub fleet: Uuid,
    /// All that is in force, as JSON.
    pub spec: String,
    /// When it was written down.
    pub put_at: i64,
    /// Since when the file that stands is not in force.
    pub problem_since: Option<i64>,
    /// Why it is not.
    pub problem: Option<String>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
