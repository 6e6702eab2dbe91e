//! The fleet file, as the controller that leads works by it.

use model::{FleetId, Timestamp, condition::FileProblem, fleet::FleetSpec};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    sea_query::OnConflict,
};

use super::{events::Entry, leases::check_lease};
use crate::{
    Lease,
    convert::{Row, reason},
    database::{Store, Tx},
    entity::fleet_file,
    error::{Result, TxError},
};

/// The row of a fleet, or of the one that was written to last.
async fn row(tx: &Tx, fleet: Option<FleetId>) -> Result<Option<fleet_file::Model>, TxError> {
    let mut found = fleet_file::Entity::find().order_by_desc(fleet_file::Column::PutAt);
    if let Some(fleet) = fleet {
        found = found.filter(fleet_file::Column::Fleet.eq(fleet.0));
    }
    Ok(found.one(&**tx).await?)
}

/// Why the file of a fleet, or of any, is not in force as it stands.
pub(super) async fn problem(tx: &Tx, fleet: Option<FleetId>) -> Result<Option<FileProblem>, TxError> {
    let row = row(tx, fleet).await?;
    Ok(row.and_then(|row| {
        Some(FileProblem {
            since: Timestamp::from_micros(row.problem_since?),
            words: row.problem?,
        })
    }))
}

/// The file of a fleet that is in force; `None` where no controller has led yet, or where an older one wrote it down in a way that this
/// program cannot read.
pub(super) async fn in_force(tx: &Tx, fleet: FleetId) -> Result<Option<FleetSpec>, TxError> {
    let row = row(tx, Some(fleet)).await?;
    Ok(row.and_then(|row| serde_json::from_str(&row.spec).ok()))
}

impl Store {
    /// The fleet file that is in force, as JSON: that of a fleet, or the one that was written down last. `None` where no
    /// controller has led yet.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`](crate::Error::Unavailable), [`Error::Corrupt`](crate::Error::Corrupt).
    pub async fn fleet_file(&self, fleet: Option<FleetId>) -> Result<Option<serde_json::Value>> {
        self.read(|tx| async move {
            let Some(row) = row(&tx, fleet).await? else {
                return Ok(None);
            };
            let of_row = Row::new("fleet_file", &row.fleet);
            Ok(Some(of_row.json("spec", &row.spec)?))
        })
        .await
    }

    /// Writes down which fleet file is in force, and why the one that stands is not (`None` when it is). A problem that is told
    /// again in the same words keeps the moment at which it began.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseLost`](crate::Error::LeaseLost).
    pub async fn record_fleet_file(
        &self,
        lease: &Lease,
        spec: &serde_json::Value,
        problem: Option<&str>,
        now: Timestamp,
    ) -> Result<()> {
        self.write(|tx| async move {
            check_lease(&tx, lease).await?;
            let before = row(&tx, Some(lease.fleet)).await?;
            let (known, known_since) = before.map_or((None, None), |row| (row.problem, row.problem_since));
            let problem = problem.map(reason);
            let since = if problem == known {
                known_since
            } else {
                problem.as_ref().map(|_| now.as_micros())
            };
            fleet_file::Entity::insert(fleet_file::ActiveModel {
                fleet: Set(lease.fleet.0),
                spec: Set(spec.to_string()),
                put_at: Set(now.as_micros()),
                problem_since: Set(since),
                problem: Set(problem.clone()),
            })
            .on_conflict(
                OnConflict::column(fleet_file::Column::Fleet)
                    .update_columns([
                        fleet_file::Column::Spec,
                        fleet_file::Column::PutAt,
                        fleet_file::Column::ProblemSince,
                        fleet_file::Column::Problem,
                    ])
                    .to_owned(),
            )
            .exec_without_returning(&*tx)
            .await?;
            if problem != known {
                let told = problem.as_deref().unwrap_or("it is in force as it stands");
                Entry::new("fleet_file", lease.fleet, "controller", told).write(&tx, now);
            }
            Ok(())
        })
        .await
    }
}
