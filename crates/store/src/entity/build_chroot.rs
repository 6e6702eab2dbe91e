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
    pub blame: Option<String>,
    pub reason: Option<String>,
    pub evidence: Option<String>,
    pub attempts: i64,
    /// As in its build, so that the last build of a package in each chroot is found by one index.
    pub package: Option<i64>,
    pub directory: String,
    /// As in its build, so that the builds of a repository are found by one index.
    pub project: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
