//! What a controller remembers of its builders from one round to the next.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use model::{BuilderId, FleetId};
use sea_orm::{ColumnTrait as _, Condition, ConnectionTrait as _, Statement};
use serde::Deserialize;
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
    stamps: HashMap<BuilderId, Stamp>,
    builders: Arc<Vec<Builder>>,
}

/// What tells that a builder's row is another, or those of its launches: the version counts the moves, in whose transactions
/// launches begin and are answered; what is added to a reason, a cordon and a mark are no moves. The rest changes only with the version,
/// unless something else than the farm writes it.
#[derive(Debug, PartialEq, Deserialize)]
pub(super) struct Stamp {
    id: Uuid,
    version: i64,
    /// A number on SQLite.
    cordoned: serde_json::Value,
    reason: Option<String>,
    state: String,
    pool: String,
    instance_id: Option<String>,
    deadline: Option<i64>,
    mark: Option<String>,
    mark_by: Option<String>,
    mark_why: Option<String>,
    mark_until: Option<i64>,
}

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
async fn list(tx: &Tx, fleet: FleetId) -> Result<String, TxError> {
    let backend = tx.get_database_backend();
    let json = functions(backend);
    let id = json::id(backend, "id");
    let sql = format!(
        "SELECT CAST({}({}({id}, version, cordoned, reason, state, pool, instance_id, deadline,
            mark, mark_by, mark_why, mark_until)) AS TEXT)
         FROM builder WHERE ended_at IS NULL AND fleet = $1",
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
        let is_new = |stamp: &&Stamp| self.stamps.get(&BuilderId(stamp.id)) != Some(*stamp);
        let mut new: Vec<Uuid> = stamps.iter().filter(is_new).map(|stamp| stamp.id).collect();
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
                .map(|stamp| (BuilderId(stamp.id), stamp))
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
