//! What clouds said lately that they have no more of. There are as many rows as offerings that were refused within an hour.

use std::collections::BTreeMap;

use model::{FleetId, LaunchAnswer, Timestamp, shortage::Note};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    sea_query::OnConflict,
};

use crate::{
    Builder, Change,
    convert::{Row, readable, reason},
    database::Tx,
    entity::shortage,
    error::{Result, TxError},
};

fn note(row: &shortage::Model) -> Result<Note> {
    let of_row = Row::new("shortage", &row.what);
    Ok(Note {
        shortage: of_row.parse("what", &row.what)?,
        noted_at: Timestamp::from_micros(row.noted_at),
        until: Timestamp::from_micros(row.until),
        strikes: of_row.number("strikes", row.strikes)?,
        why: row.why.clone(),
    })
}

/// What each cloud of a fleet has no more of. What cannot be read is left out: it is found out anew.
pub(super) async fn shortages(tx: &Tx, fleet: FleetId) -> Result<BTreeMap<String, Vec<Note>>, TxError> {
    let rows = shortage::Entity::find()
        .filter(shortage::Column::Fleet.eq(fleet.0))
        .order_by_asc(shortage::Column::Cloud)
        .order_by_asc(shortage::Column::What)
        .all(&**tx)
        .await?;
    let mut found: BTreeMap<String, Vec<Note>> = BTreeMap::new();
    for (cloud, note) in readable(rows.into_iter().map(|row| Ok((row.cloud.clone(), note(&row)?)))) {
        found.entry(cloud).or_default().push(note);
    }
    Ok(found)
}

/// Remembers what the answer to a builder's launch says of others: a machine, that nothing is short that it needed; a refusal,
/// that something is. What is long over is forgotten with it.
pub(super) async fn note_answer(
    tx: &Tx,
    fleet: FleetId,
    builder: &Builder,
    change: &Change,
    now: Timestamp,
) -> Result<(), TxError> {
    let Some(launch) = &builder.launch else {
        return Ok(());
    };
    let is_given = change.launch_answer == Some(LaunchAnswer::Given);
    if !is_given && change.shortage.is_none() {
        return Ok(());
    }
    let notes = shortages(tx, fleet)
        .await?
        .remove(&builder.cloud)
        .unwrap_or_default();
    let is_over = |note: &&Note| note.is_forgotten(now) || is_given && note.shortage.covers(&launch.offering);
    let over: Vec<String> = notes
        .iter()
        .filter(is_over)
        .map(|note| note.shortage.to_string())
        .collect();
    if !over.is_empty() {
        shortage::Entity::delete_many()
            .filter(shortage::Column::Fleet.eq(fleet.0))
            .filter(shortage::Column::Cloud.eq(builder.cloud.as_str()))
            .filter(shortage::Column::What.is_in(over))
            .exec(&**tx)
            .await?;
    }
    let Some(short) = &change.shortage else {
        return Ok(());
    };
    let before = notes.iter().find(|note| note.shortage == *short);
    let times = (launch.asked_at, now);
    let after = Note::after(before, short.clone(), &reason(&change.reason), times);
    if before != Some(&after) {
        put(tx, fleet, &builder.cloud, after).await?;
    }
    Ok(())
}

async fn put(tx: &Tx, fleet: FleetId, cloud: &str, note: Note) -> Result<(), TxError> {
    use shortage::Column;
    let mut on_conflict = OnConflict::columns([Column::Fleet, Column::Cloud, Column::What]);
    on_conflict.update_columns([Column::NotedAt, Column::Until, Column::Strikes, Column::Why]);
    shortage::Entity::insert(shortage::ActiveModel {
        fleet: Set(fleet.0),
        cloud: Set(cloud.to_owned()),
        what: Set(note.shortage.to_string()),
        noted_at: Set(note.noted_at.as_micros()),
        until: Set(note.until.as_micros()),
        strikes: Set(i64::from(note.strikes)),
        why: Set(note.why),
    })
    .on_conflict(on_conflict)
    .exec_without_returning(&**tx)
    .await?;
    Ok(())
}
