//! What a controller remembers of the queue from one round to the next.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    hash::Hash,
    sync::Arc,
};

use model::{
    AttemptId, AttemptState, BuildId, ChrootName, OwnerName, Sandbox, Timestamp,
    plan::{Age, Queue, QueuedAttempt},
};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, DbBackend, EntityTrait as _, FromQueryResult, QueryFilter as _,
    QuerySelect as _, Statement,
};
use serde::Deserialize;
use uuid::Uuid;

use super::json::{self, ask};
use crate::{
    Reasons,
    convert::{Row, readable},
    database::Tx,
    entity::attempt,
    error::{Error, Result, TxError},
};

/// How many rows one statement reads by their ids.
const ROWS_AT_ONCE: usize = 500;

/// How long a list of the whole queue is built upon, in microseconds of the database's clock: far less than changes are kept.
const LISTED_FOR: i64 = 600_000_000;

/// The queue as it was at the last look. Attempts do not change while they wait, but for the reason, which only the controller
/// that leads writes; so what is known of them stays true until a change is noted.
#[derive(Debug, Default)]
pub(super) struct QueueCache {
    position: Option<Position>,
    attempts: Attempts,
    reasons: Reasons,
    /// Attempts that were forgotten: whether they wait is asked anew.
    doubtful: BTreeSet<AttemptId>,
    /// What `queue` was put in order by.
    active: BTreeMap<OwnerName, u32>,
    queue: Queue,
}

/// Attempts in order of age, so that a change does not sort all of them.
#[derive(Debug, Default)]
struct Attempts {
    ages: HashMap<AttemptId, Age>,
    by_age: BTreeMap<Age, QueuedAttempt>,
    owners: HashSet<OwnerName>,
    chroots: HashSet<ChrootName>,
}

impl Attempts {
    fn has(&self, id: AttemptId) -> bool {
        self.ages.contains_key(&id)
    }

    /// Takes one up, or as it is now; whether that is new.
    fn put(&mut self, mut attempt: QueuedAttempt) -> bool {
        let age = attempt.age();
        if self.by_age.get(&age) == Some(&attempt) {
            return false;
        }
        self.remove(attempt.id);
        // One text for each name: 100,000 attempts are of few owners and chroots.
        attempt.owner = one_of(&mut self.owners, attempt.owner);
        attempt.chroot = one_of(&mut self.chroots, attempt.chroot);
        self.ages.insert(attempt.id, age);
        self.by_age.insert(age, attempt);
        true
    }

    fn remove(&mut self, id: AttemptId) {
        if let Some(age) = self.ages.remove(&id) {
            self.by_age.remove(&age);
        }
        if self.ages.is_empty() {
            self.owners.clear();
            self.chroots.clear();
        }
    }
}

/// The same name as it is known already.
fn one_of<T: Clone + Eq + Hash>(known: &mut HashSet<T>, name: T) -> T {
    if let Some(known) = known.get(&name) {
        return known.clone();
    }
    known.insert(name.clone());
    name
}

/// Up to where the changes of the queue are known.
#[derive(Clone, Copy, Debug)]
struct Position {
    /// Changes from here on were not yet seen, or are seen again.
    next: i64,
    /// When the whole queue was listed, by the database's clock.
    listed_at: i64,
}

impl Position {
    /// When the queue was listed, if that was so lately that no change since then can be missing. A clock that was set back
    /// tells nothing.
    fn listed_lately(self, now: i64) -> Option<i64> {
        let age = now.saturating_sub(self.listed_at);
        (0..LISTED_FOR).contains(&age).then_some(self.listed_at)
    }
}

/// What is new since the last look.
pub(super) struct Look {
    position: Position,
    /// Attempts that do not wait any more, of those that are known.
    gone: Vec<AttemptId>,
    /// Attempts that wait, and of which something may be new.
    came: Vec<Waiting>,
}

#[derive(FromQueryResult)]
pub(super) struct Waiting {
    id: Uuid,
    build: i64,
    chroot: String,
    owner: String,
    is_background: bool,
    queued_at: i64,
    waiting_reason: Option<String>,
    state: String,
    sandbox: Option<String>,
}

impl Waiting {
    fn attempt(&self) -> Result<QueuedAttempt> {
        let id = AttemptId(self.id);
        let at = Row::new("attempt", &id);
        Ok(QueuedAttempt {
            id,
            build: BuildId(self.build),
            chroot: at.parse("chroot", &self.chroot)?,
            owner: at.parse("owner", &self.owner)?,
            background: self.is_background,
            queued_at: Timestamp::from_micros(self.queued_at),
            sandbox: self.sandbox.as_deref().map(Sandbox::kept),
        })
    }
}

/// The changes that a statement tells: where the next look goes on, the database's time, and the attempts.
#[derive(Deserialize)]
struct Changes(i64, i64, Option<Vec<String>>);

/// What changed from a position on, or nothing but where to begin.
///
/// On PostgreSQL transactions are seen in another order than they begin in, so that one that was not over at the last look may
/// have any number from the snapshot's oldest on (`pg_snapshot_xmin`): those numbers are asked for again. On SQLite there is one
/// writer, and numbers are seen in their order.
async fn changes(tx: &Tx, from: Option<Position>) -> Result<Changes, TxError> {
    let backend = tx.get_database_backend();
    let sql = match backend {
        DbBackend::Postgres => {
            "SELECT CAST(json_build_array(
                CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS TEXT) AS BIGINT),
                CAST(extract(epoch FROM statement_timestamp()) * 1000000 AS BIGINT),
                (SELECT json_agg(DISTINCT CAST(attempt AS TEXT)) FROM queue_change WHERE transaction_id >= $1)
            ) AS TEXT)"
        }
        _ => {
            "SELECT json_array(
                (SELECT coalesce(max(id), 0) + 1 FROM queue_change),
                CAST(unixepoch('subsec') * 1000000 AS INTEGER),
                json((SELECT json_group_array(DISTINCT hex(attempt)) FROM queue_change WHERE id >= $1))
            )"
        }
    };
    let next = from.map_or(i64::MAX, |position| position.next);
    let told = ask(tx, Statement::from_sql_and_values(backend, sql, [next.into()])).await?;
    let parsed = serde_json::from_str(told.as_deref().unwrap_or_default());
    parsed.map_err(|error| Error::corrupt("queue_change", "unknown", error).into())
}

/// The ids in texts. One that is none is of a row that cannot be read: it keeps nobody else from being served.
fn ids<'a>(texts: impl IntoIterator<Item = &'a str>) -> BTreeSet<AttemptId> {
    let ids = texts.into_iter().filter_map(|text| Uuid::try_parse(text).ok());
    ids.map(AttemptId).collect()
}

/// All attempts that wait. Asked for as one text, since 20,000 rows cost many times as much; from an index of attempts that are
/// not over.
async fn listed(tx: &Tx) -> Result<BTreeSet<AttemptId>, TxError> {
    let backend = tx.get_database_backend();
    let id = json::id(backend, "id");
    let texts = match backend {
        DbBackend::Postgres => format!("string_agg({id}, ',')"),
        _ => format!("group_concat({id})"),
    };
    let sql = format!("SELECT {texts} FROM attempt WHERE ended_at IS NULL AND state = 'waiting'");
    let listed = ask(tx, Statement::from_string(backend, sql)).await?;
    Ok(ids(listed.as_deref().unwrap_or_default().split(',')))
}

/// Those of some attempts that wait. Which do is found here: asked for the state, PostgreSQL reads an index of all who wait and
/// not the one of ids.
async fn rows(tx: &Tx, ids: &[Uuid]) -> Result<Vec<Waiting>, TxError> {
    use attempt::Column;
    let mut rows = attempt::Entity::find()
        .select_only()
        .columns([
            Column::Id,
            Column::Build,
            Column::Chroot,
            Column::Owner,
            Column::IsBackground,
            Column::QueuedAt,
            Column::WaitingReason,
            Column::State,
            Column::Sandbox,
        ])
        .filter(Column::Id.is_in(ids.iter().copied()))
        .into_model::<Waiting>()
        .all(&**tx)
        .await?;
    rows.retain(|row| row.state == AttemptState::Waiting.as_str());
    Ok(rows)
}

impl QueueCache {
    /// What is new in the database.
    pub(super) async fn look(&self, tx: &Tx) -> Result<Look, TxError> {
        // Before the list, which may then hold more than the position says, and never less.
        let Changes(next, now, changed) = changes(tx, self.position).await?;
        let listed_at = self.position.and_then(|position| position.listed_lately(now));
        let mut gone = Vec::new();
        let asked = if listed_at.is_some() {
            let mut asked = ids(changed.iter().flatten().map(String::as_str));
            asked.extend(&self.doubtful);
            asked
        } else {
            let mut listed = listed(tx).await?;
            gone.extend(self.attempts.ages.keys().filter(|id| !listed.contains(id)));
            listed.retain(|id| !self.attempts.has(*id));
            listed
        };
        let uuids: Vec<Uuid> = asked.iter().map(|id| id.0).collect();
        let mut came = Vec::new();
        for some in uuids.chunks(ROWS_AT_ONCE) {
            came.extend(rows(tx, some).await?);
        }
        let found: HashSet<Uuid> = came.iter().map(|row| row.id).collect();
        gone.extend(
            asked
                .iter()
                .filter(|id| self.attempts.has(**id) && !found.contains(&id.0)),
        );
        Ok(Look {
            position: Position {
                next,
                listed_at: listed_at.unwrap_or(now),
            },
            gone,
            came,
        })
    }

    /// Takes up what is new; the queue in order, and why its attempts wait.
    pub(super) fn update(&mut self, look: Look, active: &BTreeMap<OwnerName, u32>) -> (Queue, Reasons) {
        let mut is_changed = !self.doubtful.is_empty() || !look.gone.is_empty();
        for id in &look.gone {
            self.drop_attempt(*id);
        }
        for row in look.came {
            let Some(attempt) = readable(std::iter::once(row.attempt())).next() else {
                continue;
            };
            if self.reason(attempt.id) != row.waiting_reason.as_deref() {
                let reasons = Arc::make_mut(&mut self.reasons);
                match row.waiting_reason {
                    Some(reason) => reasons.insert(attempt.id, reason.into()),
                    None => reasons.remove(&attempt.id),
                };
            }
            is_changed |= self.attempts.put(attempt);
        }
        self.position = Some(look.position);
        self.doubtful.clear();
        if is_changed || self.active != *active {
            self.queue = Queue::new(self.attempts.by_age.values().cloned().collect(), active);
            self.active.clone_from(active);
        }
        (self.queue.clone(), Arc::clone(&self.reasons))
    }

    /// Forgets an attempt that gets a builder, or perhaps does not: the next look asks whether it waits.
    pub(super) fn forget(&mut self, id: AttemptId) {
        self.drop_attempt(id);
        self.doubtful.insert(id);
    }

    fn drop_attempt(&mut self, id: AttemptId) {
        self.attempts.remove(id);
        if self.reasons.contains_key(&id) {
            Arc::make_mut(&mut self.reasons).remove(&id);
        }
    }

    /// Why an attempt waits, as the database has it.
    pub(super) fn reason(&self, id: AttemptId) -> Option<&str> {
        self.reasons.get(&id).map(|reason| &**reason)
    }

    /// Notes what the database has now.
    pub(super) fn note(&mut self, reason: &Arc<str>, ids: &[Uuid]) {
        let reasons = Arc::make_mut(&mut self.reasons);
        let known = ids
            .iter()
            .map(|id| AttemptId(*id))
            .filter(|id| self.attempts.has(*id));
        reasons.extend(known.map(|id| (id, Arc::clone(reason))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_is_listed_anew_after_ten_minutes_and_when_the_clock_was_set_back() {
        let at = 1_800_000_000_000_000;
        let position = Position {
            next: 7,
            listed_at: at,
        };
        let minute = 60_000_000;
        for (now, is_lately) in [
            (at, true),
            (at + 10 * minute - 1, true),
            (at + 10 * minute, false),
            (at - 1, false),
            (i64::MAX, false),
        ] {
            assert_eq!(position.listed_lately(now), is_lately.then_some(at), "{now}");
        }
    }
}
