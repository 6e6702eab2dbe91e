//! RPM repositories, and who publishes them. One is out of date while `published` is below `wanted`.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "repository")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub project: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub directory: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub chroot: String,
    pub wanted: i64,
    pub published: i64,
    pub next_number: i64,
    pub lease_worker: Option<String>,
    pub lease_number: Option<i64>,
    pub lease_wanted: Option<i64>,
    pub lease_at: Option<i64>,
    pub failures: i64,
    pub failure: Option<String>,
    pub not_before: Option<i64>,
    /// When the oldest wish that no publication has taken up was made.
    pub wanted_at: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
