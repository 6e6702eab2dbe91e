//! Intents: what operators ask of the fleet, each once for its key, and what has become of it.

use std::time::Duration;

use model::{
    BuilderId, FleetId, PoolName, Timestamp,
    intent::{Decision, Intent, IntentState, Made, Request},
};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use uuid::Uuid;

use super::{
    events::Entry,
    hosts::readmit,
    ignored::set_disregard,
    leases::check_lease,
    marks::{set_mark, set_pause},
};
use crate::{
    Lease,
    convert::{Row, check_text, or_conflict, readable, reason, to_json},
    database::{Store, Tx},
    entity::{builder, intent},
    error::{Error, Result, TxError},
};

/// The longest key, in bytes: databases bound the size of what is in an index.
const LONGEST_KEY: usize = 500;
/// Of how many builders one statement asks for the states; databases bound the number of parameters.
const BUILDERS_AT_ONCE: usize = 500;
/// By how much the clocks of those who ask and of those who lead may differ for [`Store::intents_since`].
const CLOCKS_DIFFER_BY: Duration = Duration::from_secs(60);

fn intent(row: intent::Model) -> Result<Intent> {
    let at = Row::new("intent", &row.key);
    Ok(Intent {
        request: at.json("request", &row.request)?,
        state: at.parse("state", &row.state)?,
        builders: at.json("builders", &row.builders)?,
        actor: row.actor,
        words: row.words,
        created_at: Timestamp::from_micros(row.created_at),
        key: row.key.clone(),
    })
}

async fn by_key(tx: &Tx, fleet: FleetId, key: &str) -> Result<Option<Intent>, TxError> {
    let row = intent::Entity::find_by_id((fleet.0, key.to_owned()))
        .one(&**tx)
        .await?;
    Ok(row.map(intent).transpose()?)
}

/// The intents of a fleet from which something follows, the oldest first.
pub(super) async fn open_intents(tx: &Tx, fleet: FleetId, now: Timestamp) -> Result<Vec<Intent>, TxError> {
    let mut rows = intent::Entity::find()
        .filter(intent::Column::Fleet.eq(fleet.0))
        .filter(intent::Column::EndedAt.is_null())
        .order_by_asc(intent::Column::CreatedAt)
        .all(&**tx)
        .await?;
    // For themselves, since no index holds both those that have ended and those that have not; and of every fleet, since SQLite
    // would look through all that a fleet ever asked for rather than through the few that end later.
    let keeping = intent::Entity::find()
        .filter(intent::Column::EndedAt.gt(now.as_micros()))
        .all(&**tx)
        .await?;
    rows.extend(keeping.into_iter().filter(|row| row.fleet == fleet.0));
    rows.sort_by(|one, other| (one.created_at, &one.key).cmp(&(other.created_at, &other.key)));
    Ok(readable(rows.into_iter().map(intent)).collect())
}

/// What has become of the builders that intents which are under way are about.
pub(super) async fn made_for(tx: &Tx, intents: &[Intent]) -> Result<Vec<Made>, TxError> {
    let running = intents.iter().filter(|it| it.state == IntentState::Running);
    let ids: Vec<Uuid> = running.flat_map(|it| it.builders.iter().map(|id| id.0)).collect();
    let mut made = Vec::with_capacity(ids.len());
    for some in ids.chunks(BUILDERS_AT_ONCE) {
        let rows: Vec<(Uuid, String, Option<i64>, Option<String>)> = builder::Entity::find()
            .select_only()
            .columns([
                builder::Column::Id,
                builder::Column::State,
                builder::Column::ReadyAt,
                builder::Column::Reason,
            ])
            .filter(builder::Column::Id.is_in(some.iter().copied()))
            .into_tuple()
            .all(&**tx)
            .await?;
        let found = rows.into_iter().map(|(id, state, ready_at, reason)| {
            let id = BuilderId(id);
            Ok(Made {
                id,
                state: Row::new("builder", &id).parse("state", &state)?,
                was_ready: ready_at.is_some(),
                reason,
            })
        });
        made.extend(readable(found));
    }
    Ok(made)
}

/// Notes that a builder is launched for an intent.
pub(super) async fn launched_for(
    tx: &Tx,
    (fleet, key): (FleetId, &str),
    id: BuilderId,
) -> Result<(), TxError> {
    let found = by_key(tx, fleet, key).await?;
    let mut builders = found
        .ok_or_else(|| Error::not_found(format!("intent {key}")))?
        .builders;
    builders.push(id);
    intent::Entity::update_many()
        .set(intent::ActiveModel {
            builders: Set(to_json("builders", &builders)?),
            ..Default::default()
        })
        .filter(intent::Column::Fleet.eq(fleet.0))
        .filter(intent::Column::Key.eq(key))
        .exec(&**tx)
        .await?;
    Ok(())
}

/// Ends what intents keep in a pool, now or once they are over: it is drained.
async fn keep_no_more(
    tx: &Tx,
    (fleet, pool): (FleetId, &PoolName),
    (actor, now): (&str, Timestamp),
) -> Result<(), TxError> {
    for found in open_intents(tx, fleet, now).await? {
        let Some(request) = found.without_keeping(pool) else {
            continue;
        };
        let is_over = found.state.is_final();
        intent::Entity::update_many()
            .set(intent::ActiveModel {
                request: Set(to_json("request", &request)?),
                ended_at: if is_over {
                    Set(Some(now.as_micros()))
                } else {
                    NotSet
                },
                ..Default::default()
            })
            .filter(intent::Column::Fleet.eq(fleet.0))
            .filter(intent::Column::Key.eq(found.key.as_str()))
            .exec(&**tx)
            .await?;
        let words = format!("its builders are kept no longer: pool {pool} is drained");
        Entry::new("intent", &found.key, actor, &words).write(tx, now);
    }
    Ok(())
}

impl Store {
    /// Writes an intent down, unless there is one with its key already. The intent that is on record then, and whether it is new.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a key or a text that cannot be kept, [`Error::Unavailable`].
    pub async fn add_intent(
        &self,
        fleet: FleetId,
        (request, key, actor): (&Request, &str, &str),
        now: Timestamp,
    ) -> Result<(Intent, bool)> {
        check_text("key of an intent", key)?;
        check_text("actor", actor)?;
        let json = to_json("request", request)?;
        check_text("request", &json)?;
        if key.len() > LONGEST_KEY {
            let why = format!(
                "the key of an intent has at most {LONGEST_KEY} bytes, not {}",
                key.len()
            );
            return Err(Error::invalid(why));
        }
        let json = &json;
        let added = self.write(|tx| async move {
            if let Some(found) = by_key(&tx, fleet, key).await? {
                return Ok((found, false));
            }
            let row = intent::Model {
                fleet: fleet.0,
                key: key.to_owned(),
                request: json.clone(),
                actor: reason(actor),
                state: IntentState::New.as_str().to_owned(),
                words: "it is on record, and no controller has taken it up".to_owned(),
                builders: "[]".to_owned(),
                created_at: now.as_micros(),
                ended_at: None,
            };
            let insert = intent::Entity::insert(intent::ActiveModel::from(row.clone()));
            or_conflict(insert.exec_without_returning(&*tx).await, || {
                format!("intent {key} is being written down by another")
            })?;
            Entry::new("intent", key, actor, "an operator asks for it")
                .states(None, IntentState::New.as_str())
                .write(&tx, now);
            Ok((intent(row)?, true))
        });
        match added.await {
            // Of several who came at once another was quicker.
            Err(Error::Conflict { what }) => match self.intent(fleet, key).await? {
                Some(found) => Ok((found, false)),
                None => Err(Error::Conflict { what }),
            },
            other => other,
        }
    }

    /// The intent with that key.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn intent(&self, fleet: FleetId, key: &str) -> Result<Option<Intent>> {
        self.read(|tx| async move { by_key(&tx, fleet, key).await }).await
    }

    /// The intents of a fleet that were asked at that moment or later, the oldest first.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`].
    pub async fn intents_since(&self, fleet: FleetId, since: Timestamp) -> Result<Vec<Intent>> {
        self.read(|tx| async move {
            let mut rows = intent::Entity::find()
                .filter(intent::Column::Fleet.eq(fleet.0))
                .filter(intent::Column::EndedAt.is_null())
                .filter(intent::Column::CreatedAt.gte(since.as_micros()))
                .all(&*tx)
                .await?;
            // The index of those that have ended has the moment of their end, which another clock may have told.
            let ended = intent::Entity::find()
                .filter(intent::Column::EndedAt.gte(since.minus(CLOCKS_DIFFER_BY).as_micros()))
                .all(&*tx)
                .await?;
            let is_meant = |row: &intent::Model| row.fleet == fleet.0 && row.created_at >= since.as_micros();
            rows.extend(ended.into_iter().filter(is_meant));
            rows.sort_by(|one, other| (one.created_at, &one.key).cmp(&(other.created_at, &other.key)));
            Ok(readable(rows.into_iter().map(intent)).collect())
        })
        .await
    }

    /// Writes down what was decided on an intent that was looked at: marks and pauses with it, in one transaction.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseLost`]; [`Error::Conflict`] when it has come further meanwhile.
    pub async fn settle_intent(
        &self,
        lease: &Lease,
        looked_at: &Intent,
        decision: &Decision,
        now: Timestamp,
    ) -> Result<()> {
        let (key, actor) = (looked_at.key.as_str(), looked_at.actor.as_str());
        self.write(|tx| async move {
            check_lease(&tx, lease).await?;
            let (before, after) = (looked_at.state, decision.state);
            // However it ended, what was launched for it is kept for its time.
            let has_made = !decision.builders.is_empty();
            // As it is by now: its pool may have been drained since it was looked at.
            let on_record = by_key(&tx, lease.fleet, key).await?;
            let keeps_until = on_record.and_then(|it| it.keeps_until());
            let ended_at = after.is_final().then(|| match keeps_until {
                Some(until) if has_made => until.max(now),
                _ => now,
            });
            // Later on only launches add to them.
            let builders = match before {
                IntentState::New => Set(to_json("builders", &decision.builders)?),
                _ => NotSet,
            };
            let updated = intent::Entity::update_many()
                .set(intent::ActiveModel {
                    state: Set(after.as_str().to_owned()),
                    words: Set(reason(&decision.words)),
                    builders,
                    ended_at: Set(ended_at.map(Timestamp::as_micros)),
                    ..Default::default()
                })
                .filter(intent::Column::Fleet.eq(lease.fleet.0))
                .filter(intent::Column::Key.eq(key))
                .filter(intent::Column::State.eq(before.as_str()))
                .exec(&*tx)
                .await?;
            if updated.rows_affected != 1 {
                return Err(Error::conflict(format!("intent {key} is no longer {before}")).into());
            }
            for (id, mark) in &decision.marks {
                set_mark(&tx, *id, mark.as_ref(), (actor, now)).await?;
            }
            if let Some((pool, pause)) = &decision.pause {
                set_pause(&tx, (lease.fleet, pool), pause.as_ref(), (actor, now)).await?;
                if pause.is_some() {
                    keep_no_more(&tx, (lease.fleet, pool), (actor, now)).await?;
                }
            }
            if let Some(disregard) = &decision.disregard {
                set_disregard(&tx, lease.fleet, disregard, (actor, now)).await?;
            }
            if let Some(host) = &decision.readmitted {
                readmit(&tx, lease.fleet, host, (actor, now)).await?;
            }
            if after != before {
                Entry::new("intent", key, "controller", &decision.words)
                    .states(Some(before.as_str()), after.as_str())
                    .write(&tx, now);
            }
            Ok(())
        })
        .await
    }
}
