//! Fixed hosts: machines that are always there.

use sea_orm::entity::prelude::*;
use uuid::Uuid;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "host")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub fleet: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    /// Where it was reached when all the rest was found out.
    pub place: String,
    pub host_key: Option<String>,
    /// Set as long as builds may have run there that nothing was cleaned after.
    pub baseline: Option<String>,
    /// The builder that it is of; none where that is not known.
    pub baseline_of: Option<Uuid>,
    pub failures: i64,
    pub last_failure: Option<i64>,
    pub last_reason: Option<String>,
    /// Set as long as it is out of service.
    pub out_since: Option<i64>,
    pub out_why: Option<String>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
