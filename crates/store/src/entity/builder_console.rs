//! The ends of the consoles of builders that never got ready. They are long: what reads builders does not read them.

use sea_orm::entity::prelude::*;
use uuid::Uuid;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "builder_console")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub builder: Uuid,
    pub read_at: i64,
    pub text: String,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
