//! Which images of clouds are used for those of the fleet file that say only which ones match.

use sea_orm::entity::prelude::*;
use uuid::Uuid;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "image_choice")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub fleet: Uuid,
    /// Its name in the fleet file.
    #[sea_orm(primary_key, auto_increment = false)]
    pub image: String,
    pub cloud: String,
    /// What the cloud was asked for and where it is: JSON with the file's `select`, and the `place` of the cloud. Rows of older
    /// programs have the `select` alone.
    pub asked: String,
    /// None where nothing ever matched.
    pub image_id: Option<String>,
    pub image_name: Option<String>,
    pub created: Option<i64>,
    pub chosen_at: Option<i64>,
    /// Why the last question gave no image; none where it gave one.
    pub failure: Option<String>,
    pub asked_at: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
