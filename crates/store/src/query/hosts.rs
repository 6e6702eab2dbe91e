//! Fixed hosts: what outlives the builders that are made of them.

use std::collections::BTreeMap;

use model::{
    BuilderId, FleetId, LaunchHistory, Timestamp,
    plan::{Host, OutOfService},
};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, EntityTrait as _, QueryFilter as _, QuerySelect as _,
    sea_query::OnConflict,
};
use uuid::Uuid;

use super::{events::Entry, leases::check_lease};
use crate::{
    HostRecord, Lease,
    convert::{Row, moment, readable, reason},
    database::{Store, Tx},
    entity::{builder, host},
    error::{Error, Result, TxError},
};

/// What a plan needs of a row: its key and its baseline are long.
type Part = (
    String,
    String,
    i64,
    Option<i64>,
    Option<String>,
    Option<i64>,
    Option<String>,
);

/// What is on record of a fleet's hosts.
pub(super) async fn hosts(tx: &Tx, fleet: FleetId) -> Result<BTreeMap<String, Host>, TxError> {
    use host::Column;
    let rows: Vec<Part> = host::Entity::find()
        .select_only()
        .columns([
            Column::Name,
            Column::Place,
            Column::Failures,
            Column::LastFailure,
            Column::LastReason,
            Column::OutSince,
            Column::OutWhy,
        ])
        .filter(Column::Fleet.eq(fleet.0))
        .into_tuple()
        .all(&**tx)
        .await?;
    let hosts = rows
        .into_iter()
        .map(|(name, place, failures, last_failure, last_reason, since, why)| {
            let history = LaunchHistory {
                failures: Row::new("host", &name).number("failures", failures)?,
                last_failure: moment(last_failure),
                last_reason,
            };
            let out = moment(since).map(|since| OutOfService {
                since,
                why: why.unwrap_or_default(),
            });
            Ok((name, Host { place, history, out }))
        });
    Ok(readable(hosts).collect())
}

/// How the launches of one host went.
pub(super) async fn host_history(
    tx: &Tx,
    fleet: FleetId,
    name: &str,
) -> Result<Option<LaunchHistory>, TxError> {
    let row = host::Entity::find_by_id((fleet.0, name.to_owned()))
        .lock_exclusive()
        .one(&**tx)
        .await?;
    let history = row.map(|row| {
        Ok::<_, Error>(LaunchHistory {
            failures: Row::new("host", &row.name).number("failures", row.failures)?,
            last_failure: moment(row.last_failure),
            last_reason: row.last_reason,
        })
    });
    Ok(history.transpose()?)
}

/// Remembers how the launches of one host went; nothing of a host that nobody knows.
pub(super) async fn set_host_history(
    tx: &Tx,
    fleet: FleetId,
    name: &str,
    history: LaunchHistory,
) -> Result<(), TxError> {
    let columns = host::ActiveModel {
        failures: Set(i64::from(history.failures)),
        last_failure: Set(history.last_failure.map(Timestamp::as_micros)),
        last_reason: Set(history.last_reason),
        ..Default::default()
    };
    change(tx, fleet, name, columns).await
}

/// Takes a host into service again, as if nothing were known of it but its key.
pub(super) async fn readmit(
    tx: &Tx,
    fleet: FleetId,
    name: &str,
    (actor, now): (&str, Timestamp),
) -> Result<(), TxError> {
    let columns = host::ActiveModel {
        baseline: Set(None),
        baseline_of: Set(None),
        failures: Set(0),
        last_failure: Set(None),
        last_reason: Set(None),
        out_since: Set(None),
        out_why: Set(None),
        ..Default::default()
    };
    change(tx, fleet, name, columns).await?;
    Entry::new("host", name, actor, "it is in service again").write(tx, now);
    Ok(())
}

/// Whether a build may have run on a builder. One that is not known any more counts as used.
async fn may_have_built(tx: &Tx, id: Option<Uuid>) -> Result<bool, TxError> {
    let Some(id) = id else { return Ok(true) };
    let row = builder::Entity::find_by_id(id).one(&**tx).await?;
    Ok(row.is_none_or(|row| row.uses > 0))
}

async fn change(tx: &Tx, fleet: FleetId, name: &str, columns: host::ActiveModel) -> Result<(), TxError> {
    host::Entity::update_many()
        .set(columns)
        .filter(host::Column::Fleet.eq(fleet.0))
        .filter(host::Column::Name.eq(name))
        .exec(&**tx)
        .await?;
    Ok(())
}

impl Store {
    /// What is on record of a fixed host. One that is reached elsewhere than before is another machine, of which nothing is known.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseLost`].
    pub async fn host(&self, lease: &Lease, name: &str, place: &str) -> Result<HostRecord> {
        self.write(|tx| async move {
            check_lease(&tx, lease).await?;
            let row = host::Entity::find_by_id((lease.fleet.0, name.to_owned()))
                .one(&*tx)
                .await?;
            if let Some(row) = row.filter(|row| row.place == place) {
                let may_have_built = row.baseline.is_some() && may_have_built(&tx, row.baseline_of).await?;
                return Ok(HostRecord {
                    host_key: row.host_key,
                    baseline: row.baseline,
                    may_have_built,
                });
            }
            let new = host::ActiveModel {
                fleet: Set(lease.fleet.0),
                name: Set(name.to_owned()),
                place: Set(place.to_owned()),
                host_key: Set(None),
                baseline: Set(None),
                baseline_of: Set(None),
                failures: Set(0),
                last_failure: Set(None),
                last_reason: Set(None),
                out_since: Set(None),
                out_why: Set(None),
            };
            use host::Column;
            let mut on_conflict = OnConflict::columns([Column::Fleet, Column::Name]);
            on_conflict.update_columns([
                Column::Place,
                Column::HostKey,
                Column::Baseline,
                Column::BaselineOf,
                Column::Failures,
                Column::LastFailure,
                Column::LastReason,
                Column::OutSince,
                Column::OutWhy,
            ]);
            host::Entity::insert(new)
                .on_conflict(on_conflict)
                .exec_without_returning(&*tx)
                .await?;
            Ok(HostRecord::default())
        })
        .await
    }

    /// Keeps the key that a host has shown first, for the host and for the builder that is made of it.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseLost`].
    pub async fn keep_host_key(
        &self,
        lease: &Lease,
        (builder, name): (BuilderId, &str),
        key: &str,
        now: Timestamp,
    ) -> Result<()> {
        self.write(|tx| async move {
            check_lease(&tx, lease).await?;
            builder::Entity::update_many()
                .set(builder::ActiveModel {
                    host_key: Set(Some(key.to_owned())),
                    ..Default::default()
                })
                .filter(builder::Column::Id.eq(builder.0))
                .exec(&*tx)
                .await?;
            let columns = host::ActiveModel {
                host_key: Set(Some(key.to_owned())),
                ..Default::default()
            };
            change(&tx, lease.fleet, name, columns).await?;
            let words = format!("its host key is {key} from now on: it has shown it first");
            Entry::new("host", name, "controller", &words).write(&tx, now);
            Ok(())
        })
        .await
    }

    /// Keeps what a host is like before builds run on a builder that is made of it; `None`: it has been cleaned after them.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseLost`].
    pub async fn keep_host_baseline(
        &self,
        lease: &Lease,
        name: &str,
        baseline: Option<(BuilderId, &str)>,
    ) -> Result<()> {
        self.write(|tx| async move {
            check_lease(&tx, lease).await?;
            let columns = host::ActiveModel {
                baseline: Set(baseline.map(|(_, text)| text.to_owned())),
                baseline_of: Set(baseline.map(|(builder, _)| builder.0)),
                ..Default::default()
            };
            change(&tx, lease.fleet, name, columns).await
        })
        .await
    }

    /// Takes a host out of service, until an operator says that it may serve again.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseLost`].
    pub async fn take_host_out(&self, lease: &Lease, name: &str, why: &str, now: Timestamp) -> Result<()> {
        self.write(|tx| async move {
            check_lease(&tx, lease).await?;
            let columns = host::ActiveModel {
                out_since: Set(Some(now.as_micros())),
                out_why: Set(Some(reason(why))),
                ..Default::default()
            };
            change(&tx, lease.fleet, name, columns).await?;
            let words = format!("out of service: {why}");
            Entry::new("host", name, "controller", &words).write(&tx, now);
            Ok(())
        })
        .await
    }
}
