//! What a controller remembers of the queue from one round to the next.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use model::{
    AttemptId, BuildId, OwnerName, Timestamp,
    plan::{Queue, QueuedAttempt},
};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, DbBackend, EntityTrait as _, FromQueryResult, QueryFilter as _,
    QuerySelect as _, Statement,
};
use uuid::Uuid;

use super::json::{self, ask};
use crate::{
    Reasons,
    convert::{Row, readable},
    database::Tx,
    entity::attempt,
    error::{Result, TxError},
};

/// How many rows one statement reads by their ids.
const ROWS_AT_ONCE: usize = 500;

/// The queue as it was at the last look. Attempts do not change while they wait, but for the reason, which only the controller
/// that leads writes; so what is known of them stays true while they are listed.
#[derive(Debug, Default)]
pub(super) struct QueueCache {
    /// The ids, as the database listed them.
    listed: String,
    /// What PostgreSQL made of them.
    digest: Option<String>,
    attempts: HashMap<AttemptId, QueuedAttempt>,
    reasons: Reasons,
    /// What `queue` was put in order by.
    active: BTreeMap<OwnerName, u32>,
    queue: Queue,
}

/// What is new since the last look.
pub(super) enum Look {
    Unchanged,
    Changed {
        listed: String,
        digest: Option<String>,
        ids: HashSet<AttemptId>,
        came: Vec<Waiting>,
    },
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
        })
    }
}

/// How many attempts wait, and a digest of their ids, whatever their order: on PostgreSQL, which has such a function, and of
/// which the list costs more than the look.
async fn digest(tx: &Tx) -> Result<Option<String>, TxError> {
    let backend = tx.get_database_backend();
    if backend != DbBackend::Postgres {
        return Ok(None);
    }
    let sql =
        "SELECT CAST(json_build_array(count(*), bit_xor(uuid_hash_extended(id, 0))) AS TEXT) FROM attempt
        WHERE ended_at IS NULL AND state = 'waiting'";
    ask(tx, Statement::from_string(backend, sql)).await
}

/// The ids of all attempts that wait, with a comma after each. One text, since 20,000 rows cost many times as much; from an
/// index of attempts that are not over.
async fn list(tx: &Tx) -> Result<String, TxError> {
    let backend = tx.get_database_backend();
    let id = json::id(backend, "id");
    let ids = match backend {
        DbBackend::Postgres => format!("string_agg({id}, ',')"),
        _ => format!("group_concat({id})"),
    };
    let sql = format!("SELECT {ids} FROM attempt WHERE ended_at IS NULL AND state = 'waiting'");
    Ok(ask(tx, Statement::from_string(backend, sql))
        .await?
        .unwrap_or_default())
}

async fn rows(tx: &Tx, ids: &[Uuid]) -> Result<Vec<Waiting>, TxError> {
    use attempt::Column;
    Ok(attempt::Entity::find()
        .select_only()
        .columns([
            Column::Id,
            Column::Build,
            Column::Chroot,
            Column::Owner,
            Column::IsBackground,
            Column::QueuedAt,
            Column::WaitingReason,
        ])
        .filter(Column::Id.is_in(ids.iter().copied()))
        .into_model::<Waiting>()
        .all(&**tx)
        .await?)
}

impl QueueCache {
    /// What is new in the database.
    pub(super) async fn look(&self, tx: &Tx) -> Result<Look, TxError> {
        let digest = digest(tx).await?;
        if digest.is_some() && digest == self.digest {
            return Ok(Look::Unchanged);
        }
        let listed = list(tx).await?;
        if listed == self.listed {
            return Ok(Look::Unchanged);
        }
        // An id that is none is a row that cannot be read: it keeps nobody else from being served.
        let ids: HashSet<AttemptId> = listed
            .split(',')
            .filter_map(|id| Uuid::try_parse(id).ok().map(AttemptId))
            .collect();
        let unknown = ids.iter().filter(|id| !self.attempts.contains_key(id));
        let mut unknown: Vec<Uuid> = unknown.map(|id| id.0).collect();
        unknown.sort_unstable();
        let mut came = Vec::with_capacity(unknown.len());
        for some in unknown.chunks(ROWS_AT_ONCE) {
            came.extend(rows(tx, some).await?);
        }
        Ok(Look::Changed {
            listed,
            digest,
            ids,
            came,
        })
    }

    /// Takes up what is new; the queue in order, and why its attempts wait.
    pub(super) fn update(&mut self, look: Look, active: &BTreeMap<OwnerName, u32>) -> (Queue, Reasons) {
        let is_changed = match look {
            Look::Unchanged => false,
            Look::Changed {
                listed,
                digest,
                ids,
                came,
            } => {
                self.attempts.retain(|id, _| ids.contains(id));
                let reasons = Arc::make_mut(&mut self.reasons);
                reasons.retain(|id, _| ids.contains(id));
                for row in came {
                    if let Some(attempt) = readable(std::iter::once(row.attempt())).next() {
                        reasons.extend(row.waiting_reason.map(|reason| (attempt.id, reason.into())));
                        self.attempts.insert(attempt.id, attempt);
                    }
                }
                self.listed = listed;
                self.digest = digest;
                true
            }
        };
        if is_changed || self.active != *active {
            self.queue = Queue::new(self.attempts.values().cloned().collect(), active);
            self.active.clone_from(active);
        }
        (self.queue.clone(), Arc::clone(&self.reasons))
    }

    /// Forgets an attempt that gets a builder: when it comes back to the queue, its row is another.
    pub(super) fn forget(&mut self, id: AttemptId) {
        self.attempts.remove(&id);
        Arc::make_mut(&mut self.reasons).remove(&id);
        self.listed.clear();
        self.digest = None;
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
            .filter(|id| self.attempts.contains_key(id));
        reasons.extend(known.map(|id| (id, Arc::clone(reason))));
    }
}
