//! Machines that we have, had, or meant to have.

use sea_orm::entity::prelude::*;
use uuid::Uuid;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "builder")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub fleet: Uuid,
    pub pool: String,
    pub state: String,
    pub version: i64,
    pub cloud: String,
    pub instance_id: Option<String>,
    pub address: Option<String>,
    pub port: i32,
    pub host_key: Option<String>,
    pub host_key_secret: Option<String>,
    pub image: String,
    pub spec_hash: String,
    pub cordoned: bool,
    pub reason: Option<String>,
    pub entered_at: i64,
    pub deadline: Option<i64>,
    pub created_at: i64,
    pub ready_at: Option<i64>,
    /// Set as long as it is terminated or abandoned.
    pub ended_at: Option<i64>,
    /// Whose builds it has run.
    pub sandbox: Option<String>,
    pub uses: i64,
    /// Set while it may be used again after its present use.
    pub reusable_until: Option<i64>,
    /// What it was like before its first build.
    pub baseline: Option<String>,
    /// What an operator has said of it, who, why and until when.
    pub mark: Option<String>,
    pub mark_by: Option<String>,
    pub mark_why: Option<String>,
    pub mark_until: Option<i64>,
    /// How long a hold lasts, in milliseconds.
    pub mark_lasts: Option<i64>,
    /// The fixed host that it is.
    pub host: Option<String>,
    /// What its machine was of when it was adopted.
    pub offering: Option<String>,
    /// Whether its host key was in its machine's user data.
    pub host_key_given: bool,
    /// The one that its machine has made instead, and may show already.
    pub host_key_next: Option<String>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
