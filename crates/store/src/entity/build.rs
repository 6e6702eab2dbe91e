//! Builds. `state` is derived, and stored only to be searched for.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "build")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub project: i64,
    pub directory: String,
    pub package: Option<i64>,
    pub version: Option<String>,
    pub submitter: Option<i64>,
    pub source_file: String,
    pub source_sha256: String,
    pub source_size: i64,
    pub source_state: String,
    pub canceled: bool,
    pub is_background: bool,
    pub options: String,
    pub state: String,
    pub submitted_at: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
