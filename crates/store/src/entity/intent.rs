//! What operators ask of the fleet by commands.

use sea_orm::entity::prelude::*;
use uuid::Uuid;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "intent")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub fleet: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: String,
    /// All that is asked for, as JSON.
    pub request: String,
    pub actor: String,
    pub state: String,
    /// What has become of it.
    pub words: String,
    /// The ids of the builders that it is about, as a JSON list.
    pub builders: String,
    pub created_at: i64,
    /// Set when nothing more follows from it; later than now while it keeps builders.
    pub ended_at: Option<i64>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
