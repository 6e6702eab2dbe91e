//! Package files that attempts made.

use sea_orm::entity::prelude::*;
use uuid::Uuid;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "collected_package")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub attempt: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub file_name: String,
    pub sha256: String,
    pub size: i64,
    pub is_source: bool,
    pub name: String,
    pub epoch: i64,
    pub version: String,
    pub release: String,
    pub architecture: String,
    pub metadata_json: String,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
