//! Which snapshots of a repository there are: the rows follow what is on the disk.

use std::collections::{BTreeMap, BTreeSet};

use model::Timestamp;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, EntityTrait as _, QueryFilter as _, QueryOrder as _,
};

use super::repositories::repository_label;
use crate::{
    PublishedSnapshot, RepositoryKey, SnapshotRecord,
    convert::{Row, to_number},
    database::{Store, Tx},
    entity::snapshot,
    error::{Result, TxError},
};

fn of_repository(
    RepositoryKey {
        project,
        directory,
        chroot,
    }: RepositoryKey<'_>,
) -> Condition {
    Condition::all()
        .add(snapshot::Column::Project.eq(project.0))
        .add(snapshot::Column::Directory.eq(directory.as_str()))
        .add(snapshot::Column::Chroot.eq(chroot.as_str()))
}

/// The row of a snapshot.
pub(super) fn snapshot_row(
    RepositoryKey {
        project,
        directory,
        chroot,
    }: RepositoryKey<'_>,
    record: &SnapshotRecord,
    at: Timestamp,
) -> Result<snapshot::ActiveModel> {
    Ok(snapshot::ActiveModel {
        project: Set(project.0),
        directory: Set(directory.to_string()),
        chroot: Set(chroot.to_string()),
        number: Set(to_number("number", record.number)?),
        revision: Set(record.revision.clone()),
        repomd_sha256: Set(record.repomd_sha256.clone()),
        at: Set(at.as_micros()),
    })
}

async fn rows(tx: &Tx, key: RepositoryKey<'_>) -> Result<Vec<snapshot::Model>, TxError> {
    let query = snapshot::Entity::find().filter(of_repository(key));
    Ok(query.order_by_asc(snapshot::Column::Number).all(&**tx).await?)
}

impl Store {
    /// The snapshots of a repository, oldest first.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Unavailable`], [`crate::Error::Corrupt`].
    pub async fn snapshots(&self, key: RepositoryKey<'_>) -> Result<Vec<PublishedSnapshot>> {
        let rows = self.read(|tx| async move { rows(&tx, key).await }).await?;
        rows.into_iter()
            .map(|row| {
                let label = repository_label(key);
                Ok(PublishedSnapshot {
                    record: SnapshotRecord {
                        number: Row::new("snapshot", &label).number("number", row.number)?,
                        revision: row.revision,
                        repomd_sha256: row.repomd_sha256,
                    },
                    at: Timestamp::from_micros(row.at),
                })
            })
            .collect()
    }

    /// Makes the rows of a repository's snapshots those that are on the disk: pruned ones go, and one whose publication was
    /// killed after its switch comes. Rows above the highest on the disk stay: they are of a publication that came after
    /// whoever calls this looked.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Unavailable`], [`crate::Error::Invalid`] for a number that is too big.
    pub async fn keep_snapshots(&self, key: RepositoryKey<'_>, on_disk: &[PublishedSnapshot]) -> Result<()> {
        let mut wanted = BTreeMap::new();
        for one in on_disk {
            wanted.insert(to_number("number", one.record.number)?, one);
        }
        let Some(highest) = wanted.keys().next_back().copied() else {
            return Ok(());
        };
        let wanted = &wanted;
        let differs = self
            .read(|tx| async move {
                let rows = rows(&tx, key).await?;
                let present: BTreeSet<i64> = rows.iter().map(|row| row.number).collect();
                let gone = present
                    .range(..=highest)
                    .any(|number| !wanted.contains_key(number));
                Ok(gone || wanted.keys().any(|number| !present.contains(number)))
            })
            .await?;
        if !differs {
            return Ok(());
        }
        self.write(|tx| async move {
            snapshot::Entity::delete_many()
                .filter(of_repository(key))
                .filter(snapshot::Column::Number.lte(highest))
                .filter(snapshot::Column::Number.is_not_in(wanted.keys().copied()))
                .exec(&*tx)
                .await?;
            let present = rows(&tx, key).await?;
            let present: BTreeSet<i64> = present.iter().map(|row| row.number).collect();
            let missing = wanted.iter().filter(|(number, _)| !present.contains(number));
            let missing: Vec<snapshot::ActiveModel> = missing
                .map(|(_, one)| snapshot_row(key, &one.record, one.at))
                .collect::<Result<_>>()?;
            if !missing.is_empty() {
                snapshot::Entity::insert_many(missing)
                    .exec_without_returning(&*tx)
                    .await?;
            }
            Ok(())
        })
        .await
    }
}
