//! What clouds cost. For how long machines were there that ended is kept by the hour, so that nobody walks through ended builders to
//! learn it.

use model::{
    BuilderState, FleetId, Timestamp,
    budget::{Budget, Ended, by_hours, counts_since},
    fleet::FleetSpec,
};
use sea_orm::{ColumnTrait as _, Condition, ConnectionTrait as _, Statement};
use uuid::Uuid;

use super::{
    builders::{builders_of, is_live},
    fleet_files::in_force,
    json::{self, Text, ask, functions},
};
use crate::{
    Builder,
    convert::{Row, readable},
    database::Tx,
    entity::builder,
    error::TxError,
};

/// Adds to what is on record.
const ADD: &str = "INSERT INTO ended_machines (fleet, hour, cloud, offering, machines, micros) VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (fleet, hour, cloud, offering) DO UPDATE SET
        machines = ended_machines.machines + excluded.machines, micros = ended_machines.micros + excluded.micros";
/// Takes away what does not count any more.
const FORGET: &str = "DELETE FROM ended_machines WHERE fleet = $1 AND hour < $2";

/// Notes how long a builder's machine was there, where there was one and this move ends it. In the hour of its end it counts as a
/// machine, in those before with its time only.
pub(super) async fn note_end(
    tx: &Tx,
    fleet: FleetId,
    builder: &Builder,
    to: BuilderState,
    now: Timestamp,
) -> Result<(), TxError> {
    let Some(since) = builder
        .rented_since()
        .filter(|_| to.is_final() && builder.instance_id.is_some())
    else {
        return Ok(());
    };
    let backend = tx.get_database_backend();
    let offering = builder.offering().map(ToString::to_string).unwrap_or_default();
    let parts = by_hours(since, now);
    let last = parts.len().saturating_sub(1);
    for (place, (hour, time)) in parts.into_iter().enumerate() {
        let values = [
            fleet.0.into(),
            hour.as_micros().into(),
            builder.cloud.clone().into(),
            offering.clone().into(),
            i64::from(place == last).into(),
            i64::try_from(time.as_micros()).unwrap_or(i64::MAX).into(),
        ];
        tx.execute_raw(Statement::from_sql_and_values(backend, ADD, values))
            .await?;
    }
    let old = [fleet.0.into(), counts_since(now).as_micros().into()];
    tx.execute_raw(Statement::from_sql_and_values(backend, FORGET, old))
        .await?;
    Ok(())
}

/// The machines of a fleet that ended, as far as they count. What cannot be read is left out.
pub(super) async fn ended_machines(tx: &Tx, fleet: FleetId, now: Timestamp) -> Result<Vec<Ended>, TxError> {
    let backend = tx.get_database_backend();
    let json = functions(backend);
    let sql = format!(
        "SELECT CAST({}({}(cloud, offering, machines, micros)) AS TEXT) FROM (
            SELECT cloud, offering, CAST(sum(machines) AS BIGINT) AS machines, CAST(sum(micros) AS BIGINT) AS micros
            FROM ended_machines WHERE fleet = $1 AND hour >= $2 GROUP BY cloud, offering ORDER BY cloud, offering
         ) AS sums",
        json.group, json.array
    );
    let values = [fleet.0.into(), counts_since(now).as_micros().into()];
    let found = ask(tx, Statement::from_sql_and_values(backend, sql, values)).await?;
    let rows: Vec<(Text<'_>, Text<'_>, i64, i64)> = json::rows("ended_machines", found.as_deref())?;
    let ended = rows.into_iter().map(|(cloud, offering, machines, micros)| {
        let name = &*cloud;
        let of_row = Row::new("ended_machines", &name);
        let micros: u64 = of_row.number("micros", micros)?;
        Ok(Ended {
            offering: of_row.parse_maybe("offering", Some(&*offering).filter(|it| !it.is_empty()))?,
            machines: of_row.number("machines", machines)?,
            seconds: micros.div_ceil(1_000_000),
            cloud: name.to_owned(),
        })
    });
    Ok(readable(ended).collect())
}

/// What may be spent in clouds of some fleets, and is, by the files that are in force. Of a fleet whose file says nothing of money
/// nothing is read.
pub(super) async fn budgets(tx: &Tx, fleets: &[Uuid], now: Timestamp) -> Result<Vec<Budget>, TxError> {
    let mut found = Vec::new();
    for fleet in fleets {
        let file = in_force(tx, FleetId(*fleet)).await?;
        let is_limited = |it: &FleetSpec| it.clouds.values().any(|cloud| cloud.limits.money.is_some());
        let Some(file) = file.filter(is_limited) else {
            continue;
        };
        let of_fleet = Condition::all()
            .add(is_live())
            .add(builder::Column::Fleet.eq(*fleet));
        let live = builders_of(tx, of_fleet).await?;
        let ended = ended_machines(tx, FleetId(*fleet), now).await?;
        let budgets = file.budgets(live.iter().map(Builder::rental), &ended, now);
        found.extend(budgets.into_values());
    }
    Ok(found)
}
