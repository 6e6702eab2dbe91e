//! The keys that projects sign with. A project has none when it is made: the first signer that needs it makes
//! it, so that the web process never holds one.

use model::{ProjectId, Timestamp};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, EntityTrait as _, QueryFilter as _, QuerySelect as _, Statement,
    sea_query::OnConflict,
};

use super::projects::live;
use crate::{
    LockedKey,
    database::Store,
    entity::{project, signing_key},
    error::{Error, Result},
};

impl Store {
    /// The key of a project, if it has one already. For signers only.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when there is no such project.
    pub async fn signing_key(&self, project: ProjectId) -> Result<Option<LockedKey>> {
        let row = self
            .read(|tx| async move {
                live(&tx, project).await?;
                Ok(signing_key::Entity::find_by_id(project.0).one(&*tx).await?)
            })
            .await?;
        Ok(row.map(|row| LockedKey {
            fingerprint: row.fingerprint,
            public_key: row.public_key,
            secret_key: row.secret_key,
        }))
    }

    /// Gives a project its key, unless another signer was faster; answers the key that it has then. For
    /// signers only.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when there is no such project.
    pub async fn keep_signing_key(
        &self,
        project: ProjectId,
        key: &LockedKey,
        now: Timestamp,
    ) -> Result<LockedKey> {
        let row = self
            .write(|tx| async move {
                // Locked, so that a deletion at the same time does not leave the key behind.
                let found = project::Entity::find_by_id(project.0)
                    .filter(project::Column::DeletedAt.is_null())
                    .lock_shared()
                    .one(&*tx)
                    .await?;
                found.ok_or_else(|| Error::not_found(format!("project {project}")))?;
                signing_key::Entity::insert(signing_key::ActiveModel {
                    project: Set(project.0),
                    fingerprint: Set(key.fingerprint.clone()),
                    public_key: Set(key.public_key.clone()),
                    secret_key: Set(key.secret_key.clone()),
                    created_at: Set(now.as_micros()),
                })
                .on_conflict(
                    OnConflict::column(signing_key::Column::Project)
                        .do_nothing()
                        .to_owned(),
                )
                .exec_without_returning(&*tx)
                .await?;
                let kept = signing_key::Entity::find_by_id(project.0).one(&*tx).await?;
                kept.ok_or_else(|| Error::corrupt("signing_key", project, "it was not kept").into())
            })
            .await?;
        Ok(LockedKey {
            fingerprint: row.fingerprint,
            public_key: row.public_key,
            secret_key: row.secret_key,
        })
    }

    /// The fingerprint of a project's key, for people to compare. `None` before its first signature.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`].
    pub async fn key_fingerprint(&self, project: ProjectId) -> Result<Option<String>> {
        let statement = Statement::from_sql_and_values(
            self.backend(),
            "SELECT fingerprint FROM signing_key WHERE project = $1",
            [project.0.into()],
        );
        self.read_text(&statement).await
    }
}
