//! Which images of clouds are used for those of the fleet file that say only which ones match. What was chosen stays when the next
//! question fails or finds nothing.

use model::{
    FleetId, Timestamp,
    fleet::{ChosenImage, CloudImage, CloudPlace, ImageChoice, ImageChoices, ImageQuestion, SelectSpec},
};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, EntityTrait as _, QueryFilter as _, sea_query::OnConflict,
};
use serde::{Deserialize, Serialize};

use super::leases::check_lease;
use crate::{
    Lease,
    convert::{readable, reason},
    database::{Store, Tx},
    entity::image_choice::{self, Column, Model},
    error::{Error, Result, TxError},
};

/// What column `asked` holds, as JSON.
#[derive(Debug, Deserialize, Serialize)]
#[serde(untagged)]
enum Asked {
    Somewhere {
        select: SelectSpec,
        place: CloudPlace,
    },
    /// Of programs that did not write down where they asked.
    Anywhere(SelectSpec),
}

impl Asked {
    fn of(question: &ImageQuestion) -> Self {
        let select = question.select.clone();
        match question.place.clone() {
            Some(place) => Self::Somewhere { select, place },
            None => Self::Anywhere(select),
        }
    }

    fn of_cloud(self, cloud: String) -> ImageQuestion {
        let (select, place) = match self {
            Self::Somewhere { select, place } => (select, Some(place)),
            Self::Anywhere(select) => (select, None),
        };
        ImageQuestion { cloud, place, select }
    }
}

fn choice(row: Model) -> Result<(String, ImageChoice)> {
    let corrupt = |why: String| Error::Corrupt {
        table: "image_choice",
        id: row.image.clone(),
        why,
    };
    let asked: Asked =
        serde_json::from_str(&row.asked).map_err(|cause| corrupt(format!("column asked: {cause}")))?;
    let chosen = row.image_id.map(|id| ChosenImage {
        id,
        name: row.image_name.unwrap_or_default(),
        created: row.created.map(Timestamp::from_micros),
        chosen_at: Timestamp::from_micros(row.chosen_at.unwrap_or_default()),
    });
    let choice = ImageChoice {
        asked: asked.of_cloud(row.cloud),
        chosen,
        failure: row.failure,
    };
    Ok((row.image, choice))
}

/// What was chosen for a fleet's images. What cannot be read is left out, as if nobody had ever asked.
pub(super) async fn image_choices(tx: &Tx, fleet: FleetId) -> Result<ImageChoices, TxError> {
    let rows = image_choice::Entity::find()
        .filter(Column::Fleet.eq(fleet.0))
        .all(&**tx)
        .await?;
    Ok(readable(rows.into_iter().map(choice)).collect())
}

impl Store {
    /// What was chosen for the images of a fleet's file, by their names there.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Unavailable`].
    pub async fn image_choices(&self, fleet: FleetId) -> Result<ImageChoices> {
        self.read(|tx| async move { image_choices(&tx, fleet).await })
            .await
    }

    /// Writes down which image is used for one of the fleet file from now on, or why the cloud gave none: then what was chosen for the
    /// same question stays. Whether another image is used than before.
    ///
    /// # Errors
    ///
    /// [`crate::Error::LeaseLost`].
    pub async fn record_image_choice(
        &self,
        lease: &Lease,
        image: &str,
        question: &ImageQuestion,
        answer: std::result::Result<&CloudImage, &str>,
        now: Timestamp,
    ) -> Result<bool> {
        self.write(|tx| async move {
            check_lease(&tx, lease).await?;
            let known = image_choice::Entity::find_by_id((lease.fleet.0, image.to_owned()))
                .one(&*tx)
                .await?;
            let known = known.and_then(|row| choice(row).ok()).map(|(_, choice)| choice);
            let same = known.filter(|it| question.asks_as(&it.asked));
            let before = same.and_then(|it| it.chosen);
            let is_new = answer.is_ok_and(|it| before.as_ref().map(|it| &it.id) != Some(&it.id));
            let chosen = match answer {
                Ok(found) if is_new => Some(ChosenImage {
                    id: found.id.clone(),
                    name: found.name.clone(),
                    created: found.created,
                    chosen_at: now,
                }),
                _ => before,
            };
            let asked = serde_json::to_string(&Asked::of(question));
            let chosen = chosen.as_ref();
            let mut on_conflict = OnConflict::columns([Column::Fleet, Column::Image]);
            on_conflict.update_columns([
                Column::Cloud,
                Column::Asked,
                Column::ImageId,
                Column::ImageName,
                Column::Created,
                Column::ChosenAt,
                Column::Failure,
                Column::AskedAt,
            ]);
            image_choice::Entity::insert(image_choice::ActiveModel {
                fleet: Set(lease.fleet.0),
                image: Set(image.to_owned()),
                cloud: Set(question.cloud.clone()),
                asked: Set(asked.unwrap_or_default()),
                image_id: Set(chosen.map(|it| it.id.clone())),
                image_name: Set(chosen.map(|it| it.name.clone())),
                created: Set(chosen.and_then(|it| it.created).map(Timestamp::as_micros)),
                chosen_at: Set(chosen.map(|it| it.chosen_at.as_micros())),
                failure: Set(answer.err().map(reason)),
                asked_at: Set(now.as_micros()),
            })
            .on_conflict(on_conflict)
            .exec_without_returning(&*tx)
            .await?;
            Ok(is_new)
        })
        .await
    }
}
