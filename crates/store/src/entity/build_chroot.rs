//! Chroots of builds.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "build_chroot")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub build: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub chroot: String,
    pub state: String,
    pub started_at: Option<i64>,
    pub ended_at: Option<i64>,
    pub result_directory: Option<String>,
    pub waiting_reason: Option<String>,
    pub queue_position: Option<i64>,
    pub blame: Option<String>,
    pub reason: Option<String>,
    pub evidence: Option<String>,
    pub attempts: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
