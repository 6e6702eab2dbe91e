//! What a repository shall hold: read in pages, each a short transaction of its own, since a repository may hold tens of
//! thousands of packages and nobody shall wait for one who reads them.
//!
//! All of its builds are read, also where one of them is new: the metadata of a repository are one set of files with all packages
//! in them, written anew by each publication. Only metadata that are written incrementally will need the new ones alone.

use std::collections::BTreeMap;

use model::AttemptId;
use sea_orm::{
    ColumnTrait as _, Condition, EntityTrait as _, JoinType, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
};
use uuid::Uuid;

use super::{builds::built_package, joins::attempt_to_build_chroot};
use crate::{
    Publication, PublishedPackage, RepositoryKey,
    convert::{Row, readable},
    database::{Store, Tx},
    entity::{attempt, build_chroot, collected_package},
    error::{Error, Result, TxError},
};

/// How many attempts and how many packages one transaction reads.
const ATTEMPTS_AT_ONCE: u64 = 500;
const PACKAGES_AT_ONCE: u64 = 1000;

/// An attempt whose results belong into a repository.
struct Visible {
    id: Uuid,
    build: i64,
    waits: bool,
    result_directory: String,
}

/// Those of the builds after `last`, by ascending number, and the number to go on after. Of one build there is one at most. Found
/// from the repository's own rows of chroots: a directory may hold tens of thousands of builds that were built for other chroots.
async fn visible_attempts(
    tx: &Tx,
    RepositoryKey {
        project,
        directory,
        chroot,
    }: RepositoryKey<'_>,
    last: i64,
) -> Result<(Vec<Visible>, Option<i64>), TxError> {
    use model::AttemptState::{Publishing, Succeeded};
    let rows: Vec<(Uuid, i64, String, Option<String>)> = attempt::Entity::find()
        .select_only()
        .columns([
            attempt::Column::Id,
            attempt::Column::Build,
            attempt::Column::State,
            attempt::Column::ResultDirectory,
        ])
        .join(JoinType::InnerJoin, attempt_to_build_chroot())
        .filter(build_chroot::Column::Project.eq(project.0))
        .filter(build_chroot::Column::Directory.eq(directory.as_str()))
        .filter(build_chroot::Column::Chroot.eq(chroot.as_str()))
        .filter(build_chroot::Column::Build.gt(last))
        .filter(attempt::Column::State.is_in([Publishing.as_str(), Succeeded.as_str()]))
        .order_by_asc(build_chroot::Column::Build)
        .limit(ATTEMPTS_AT_ONCE)
        .into_tuple()
        .all(&**tx)
        .await?;
    let is_full = rows.len() as u64 >= ATTEMPTS_AT_ONCE;
    let next = rows.last().filter(|_| is_full).map(|row| row.1);
    let found = rows.into_iter().map(|(id, build, state, result_directory)| {
        let result_directory = result_directory.ok_or_else(|| {
            let why = "column result_directory: it is not set";
            Error::corrupt("attempt", AttemptId(id), why)
        })?;
        Ok(Visible {
            id,
            build,
            waits: state == Publishing.as_str(),
            result_directory,
        })
    });
    Ok((readable(found).collect(), next))
}

/// Packages of these attempts, after the one that was read last.
async fn packages_of(
    tx: &Tx,
    attempts: &[Uuid],
    after: Option<&(Uuid, String)>,
) -> Result<Vec<collected_package::Model>, TxError> {
    let (attempt, file_name) = (
        collected_package::Column::Attempt,
        collected_package::Column::FileName,
    );
    let mut query = collected_package::Entity::find().filter(attempt.is_in(attempts.iter().copied()));
    if let Some((last, name)) = after {
        let same = Condition::all()
            .add(attempt.eq(*last))
            .add(file_name.gt(name.as_str()));
        query = query.filter(Condition::any().add(attempt.gt(*last)).add(same));
    }
    Ok(query
        .order_by_asc(attempt)
        .order_by_asc(file_name)
        .limit(PACKAGES_AT_ONCE)
        .all(&**tx)
        .await?)
}

fn published(row: collected_package::Model, of: &Visible) -> Result<PublishedPackage> {
    let id = AttemptId(of.id);
    Ok(PublishedPackage {
        attempt: id,
        result_directory: of.result_directory.clone(),
        file_name: row.file_name.clone(),
        sha256: row.sha256.clone(),
        size: Row::new("collected_package", &id).number("size", row.size)?,
        is_source: row.is_source,
        metadata_json: row.metadata_json.clone(),
        package: built_package(row),
    })
}

impl Store {
    /// What a publication that was begun shall make visible: everything that is stored for its repository by now. Results
    /// that come while this reads may be in it or not; those that are not wait for the next publication. A row that cannot
    /// be read is left out, and its attempt goes on waiting.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`].
    pub async fn publication(&self, key: RepositoryKey<'_>, number: u64) -> Result<Publication> {
        let mut publication = Publication {
            number,
            attempts: Vec::new(),
            packages: Vec::new(),
        };
        let mut last = Some(i64::MIN);
        while let Some(after) = last {
            let (page, next) = self
                .read(|tx| async move { visible_attempts(&tx, key, after).await })
                .await?;
            let waiting = page.iter().filter(|attempt| attempt.waits);
            publication
                .attempts
                .extend(waiting.map(|attempt| AttemptId(attempt.id)));
            publication.packages.extend(self.packages_of(&page).await?);
            last = next;
        }
        Ok(publication)
    }

    /// The packages of some attempts, in the order of their builds and names.
    async fn packages_of(&self, attempts: &[Visible]) -> Result<Vec<PublishedPackage>> {
        let ids: Vec<Uuid> = attempts.iter().map(|attempt| attempt.id).collect();
        let by_id: BTreeMap<Uuid, &Visible> = attempts.iter().map(|attempt| (attempt.id, attempt)).collect();
        let mut found: Vec<(i64, PublishedPackage)> = Vec::new();
        let mut last: Option<(Uuid, String)> = None;
        loop {
            let (ids, after) = (&ids, last.as_ref());
            let rows = self
                .read(|tx| async move { packages_of(&tx, ids, after).await })
                .await?;
            last = rows.last().map(|row| (row.attempt, row.file_name.clone()));
            let is_full = rows.len() as u64 >= PACKAGES_AT_ONCE;
            found.extend(readable(rows.into_iter().filter_map(|row| {
                let attempt = by_id.get(&row.attempt)?;
                Some(published(row, attempt).map(|package| (attempt.build, package)))
            })));
            if !is_full {
                break;
            }
        }
        found.sort_by(|(one, a), (other, b)| (one, &a.file_name).cmp(&(other, &b.file_name)));
        Ok(found.into_iter().map(|(_, package)| package).collect())
    }
}
