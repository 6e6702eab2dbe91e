//! Tries of build chroots.

use sea_orm::entity::prelude::*;
use uuid::Uuid;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "attempt")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub build: i64,
    pub chroot: String,
    pub number: i64,
    pub state: String,
    pub epoch: Option<i64>,
    pub builder: Option<Uuid>,
    pub blame: Option<String>,
    pub reason: Option<String>,
    pub evidence: Option<String>,
    pub result_directory: Option<String>,
    pub log_bytes: i64,
    pub cancel_requested: bool,
    pub queued_at: i64,
    /// The project's owner, who shares the fleet with others. Here, so that the order of service needs no other table.
    pub owner: String,
    pub is_background: bool,
    pub waiting_reason: Option<String>,
    pub started_at: Option<i64>,
    pub ended_at: Option<i64>,
    pub excused: bool,
    /// Whose builds may find what it leaves on a builder; unknown without a submitter.
    pub sandbox: Option<String>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
