//! What clouds cost. For how long machines were there that ended is kept by the hour, so that nobody walks through ended builders to
//! learn it.

use std::time::Duration;

use model::{
    BuilderState, FleetId, Timestamp,
    budget::{Budget, Ended, by_hours, costs::MachineTime, counts_since, kept_since},
    fleet::FleetSpec,
};
use sea_orm::{ColumnTrait as _, Condition, ConnectionTrait as _, Statement, Value};
use uuid::Uuid;

use super::{
    builders::{builders_of, is_live},
    fleet_files::in_force,
    json::{self, Text, ask, functions},
};
use crate::{
    Builder,
    convert::{Row, readable},
    database::{Store, Tx},
    entity::builder,
    error::{Result, TxError},
};

/// Adds to what is on record, with the rows between both.
const ADD: [&str; 2] = [
    "INSERT INTO machine_hours (fleet, hour, cloud, pool, offering, machines, micros) VALUES ",
    " ON CONFLICT (fleet, hour, cloud, pool, offering) DO UPDATE SET
        machines = machine_hours.machines + excluded.machines, micros = machine_hours.micros + excluded.micros",
];
/// How many hours one statement adds to: one machine may have been there for thousands.
const HOURS_AT_ONCE: usize = 200;
/// Takes away what is kept no longer.
const FORGET: &str = "DELETE FROM machine_hours WHERE fleet = $1 AND hour < $2";

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
    let hours: Vec<_> = parts.into_iter().enumerate().collect();
    for some in hours.chunks(HOURS_AT_ONCE) {
        let mut values: Vec<Value> = Vec::new();
        let mut rows = Vec::new();
        for (place, (hour, time)) in some {
            let first = values.len();
            values.extend([
                fleet.0.into(),
                hour.as_micros().into(),
                builder.cloud.clone().into(),
                builder.pool.to_string().into(),
                offering.clone().into(),
                i64::from(*place == last).into(),
                i64::try_from(time.as_micros()).unwrap_or(i64::MAX).into(),
            ]);
            let numbers = (first..values.len()).map(|number| format!("${}", number + 1));
            rows.push(format!("({})", numbers.collect::<Vec<_>>().join(", ")));
        }
        let [before, after] = ADD;
        let sql = format!("{before}{}{after}", rows.join(", "));
        tx.execute_raw(Statement::from_sql_and_values(backend, sql, values))
            .await?;
    }
    let old = [fleet.0.into(), kept_since(now).as_micros().into()];
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
            FROM machine_hours WHERE fleet = $1 AND hour >= $2 GROUP BY cloud, offering ORDER BY cloud, offering
         ) AS sums",
        json.group, json.array
    );
    let values = [fleet.0.into(), counts_since(now).as_micros().into()];
    let found = ask(tx, Statement::from_sql_and_values(backend, sql, values)).await?;
    let rows: Vec<(Text<'_>, Text<'_>, i64, i64)> = json::rows("machine_hours", found.as_deref())?;
    let ended = rows.into_iter().map(|(cloud, offering, machines, micros)| {
        let name = &*cloud;
        let of_row = Row::new("machine_hours", &name);
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

/// For how long machines of a fleet were there that ended, in each hour from one on, the earliest first. What cannot be read is left
/// out.
async fn ended_times(tx: &Tx, fleet: FleetId, since: Timestamp) -> Result<Vec<MachineTime>, TxError> {
    let backend = tx.get_database_backend();
    let json = functions(backend);
    let sql = format!(
        "SELECT CAST({}({}(hour, cloud, pool, offering, micros)) AS TEXT) FROM (
            SELECT hour, cloud, pool, offering, micros FROM machine_hours
            WHERE fleet = $1 AND hour >= $2 ORDER BY hour, cloud, pool, offering
         ) AS hours",
        json.group, json.array
    );
    let values = [fleet.0.into(), since.as_micros().into()];
    let found = ask(tx, Statement::from_sql_and_values(backend, sql, values)).await?;
    let rows: Vec<(i64, Text<'_>, Text<'_>, Text<'_>, i64)> = json::rows("machine_hours", found.as_deref())?;
    let times = rows.into_iter().map(|(hour, cloud, pool, offering, micros)| {
        let name = &*cloud;
        let of_row = Row::new("machine_hours", &name);
        Ok(MachineTime {
            hour: Timestamp::from_micros(hour),
            pool: of_row.parse_maybe("pool", Some(&*pool).filter(|it| !it.is_empty()))?,
            offering: of_row.parse_maybe("offering", Some(&*offering).filter(|it| !it.is_empty()))?,
            time: Duration::from_micros(of_row.number("micros", micros)?),
            cloud: name.to_owned(),
        })
    });
    Ok(readable(times).collect())
}

impl Store {
    /// For how long rented machines of a fleet were there since the beginning of an hour: those that ended, of the last 90 days, and
    /// those that live, up to now.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`](crate::Error::Unavailable). What cannot be read is left out.
    pub async fn machine_times(
        &self,
        fleet: FleetId,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<MachineTime>> {
        self.read(|tx| async move {
            let of_fleet = Condition::all()
                .add(is_live())
                .add(builder::Column::Fleet.eq(fleet.0));
            let live = builders_of(&tx, of_fleet).await?;
            let mut times = ended_times(&tx, fleet, since).await?;
            times.extend(live.iter().flat_map(|builder| builder.rental().times(since, now)));
            Ok(times)
        })
        .await
    }
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
