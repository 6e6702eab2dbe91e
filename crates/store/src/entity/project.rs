//! Projects, those deleted included: their ids are never given out again.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "project")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub owner: String,
    pub name: String,
    pub created_by: i64,
    pub settings: String,
    pub search: String,
    pub created_at: i64,
    pub deleted_at: Option<i64>,
    /// When the last row of a deleted project was gone.
    pub cleared_at: Option<i64>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
