//! What a controller remembers of its builders from one round to the next.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use model::{BuilderId, FleetId};
use sea_orm::{ColumnTrait as _, Condition, ConnectionTrait as _, DbBackend, Statement};
use serde_json::Value;
use uuid::Uuid;

use super::{
    builders::builders_of,
    json::{self, ask, functions},
};
use crate::{
    Builder,
    database::Tx,
    entity::builder,
    error::{Result, TxError},
};

/// How many rows one statement reads by their ids.
const ROWS_AT_ONCE: usize = 500;

/// The builders as they were at the last look, oldest first.
#[derive(Debug, Default)]
pub(super) struct BuilderCache {
    /// The stamps, as the database listed them.
    listed: String,
    stamps: HashMap<BuilderId, Value>,
    builders: Arc<Vec<Builder>>,
}

/// A builder, and what tells that its row is another than before.
type Stamp = (Uuid, Value);

/// What is new since the last look.
pub(super) enum Look {
    Unchanged,
    Changed {
        listed: String,
        stamps: Vec<Stamp>,
        /// Those whose rows were asked for.
        asked: HashSet<BuilderId>,
        /// What the rows held; one that cannot be read is not among them.
        changed: Vec<Builder>,
    },
}

/// The stamps of the builders of a fleet that live, as one text.
///
/// PostgreSQL names the transaction that wrote a row (`xmin`; documentation of PostgreSQL 16, 5.5). SQLite has nothing like it:
/// there the version counts the moves, in whose transactions launches begin and are answered; what is added to a reason, a cordon,
/// a mark and the host key that a fixed host shows first are no moves. The other columns change only with the version, unless something else than the farm writes them.
async fn list(tx: &Tx, fleet: FleetId) -> Result<String, TxError> {
    let backend = tx.get_database_backend();
    let json = functions(backend);
    let id = json::id(backend, "id");
    let stamp = match backend {
        DbBackend::Postgres => "CAST(CAST(xmin AS TEXT) AS BIGINT)",
        _ => {
            "json_array(version, cordoned, reason, host_key, state, pool, instance_id, deadline, mark, mark_by, mark_why, mark_until, mark_lasts)"
        }
    };
    let sql = format!(
        "SELECT CAST({}({}({id}, {stamp})) AS TEXT) FROM builder WHERE ended_at IS NULL AND fleet = $1",
        json.group, json.array
    );
    let statement = Statement::from_sql_and_values(backend, sql, [fleet.0.into()]);
    Ok(ask(tx, statement).await?.unwrap_or_default())
}

impl BuilderCache {
    /// What is new in the database.
    pub(super) async fn look(&self, tx: &Tx, fleet: FleetId) -> Result<Look, TxError> {
        let listed = list(tx, fleet).await?;
        if listed == self.listed {
            return Ok(Look::Unchanged);
        }
        let stamps: Vec<Stamp> = json::rows(
            "builder",
            Some(&listed).filter(|text| !text.is_empty()).map(String::as_str),
        )?;
        let is_new = |(id, stamp): &&Stamp| self.stamps.get(&BuilderId(*id)) != Some(stamp);
        let mut new: Vec<Uuid> = stamps.iter().filter(is_new).map(|(id, _)| *id).collect();
        new.sort_unstable();
        let mut changed = Vec::with_capacity(new.len());
        for some in new.chunks(ROWS_AT_ONCE) {
            let is_one = builder::Column::Id.is_in(some.iter().copied());
            changed.extend(builders_of(tx, Condition::all().add(is_one)).await?);
        }
        Ok(Look::Changed {
            listed,
            stamps,
            asked: new.into_iter().map(BuilderId).collect(),
            changed,
        })
    }

    /// Takes up what is new.
    pub(super) fn update(&mut self, look: Look) -> Arc<Vec<Builder>> {
        if let Look::Changed {
            listed,
            stamps,
            asked,
            changed,
        } = look
        {
            self.stamps = stamps
                .into_iter()
                .map(|(id, stamp)| (BuilderId(id), stamp))
                .collect();
            let builders = Arc::make_mut(&mut self.builders);
            builders.retain(|builder| self.stamps.contains_key(&builder.id) && !asked.contains(&builder.id));
            builders.extend(changed);
            builders.sort_by_key(|builder| (builder.created_at, builder.id));
            self.listed = listed;
        }
        Arc::clone(&self.builders)
    }
}
