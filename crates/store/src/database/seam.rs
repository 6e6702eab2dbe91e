//! A seam between a program and its database, for simulations: there a program is paused or killed, and there the database fails. An
//! operation behind it happens in one breath, as far as anybody can see: the thread waits for the database, and nothing else goes on
//! meanwhile. So the order of all that happens does not depend on how fast the database is, and a seed shows the same again.

use std::{
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::Duration,
};

use sea_orm::{ConnectionTrait as _, DbErr, Statement};
use tokio::runtime::Handle;

use super::{DatabaseSettings, Store, sqlite::MEMORY};
use crate::error::{Error, Result, translate};

/// How long the thread waits at most before it looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What becomes of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Works,
    /// It fails before anything is done.
    NotDone,
    /// It is done, and seems to fail.
    DoneUnheard,
}

/// What is between a program and its database.
pub trait Seam: Send + Sync {
    /// Waits until the program may go on; before and after each operation.
    fn pass(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;

    /// What becomes of the operation that comes next.
    fn fate(&self) -> Fate;
}

/// A seam, and the runtime in which the pool of connections lives.
#[derive(Clone)]
pub(super) struct Held {
    seam: Arc<dyn Seam>,
    beside: Handle,
}

/// Wakes a thread that waits.
struct Waiting(Thread);

impl Wake for Waiting {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Does something on this thread, which waits for it. What it leaves to do, another runtime does.
fn in_one_breath<F: Future>(beside: &Handle, work: F) -> F::Output {
    let _guard = beside.enter();
    let waker = Waker::from(Arc::new(Waiting(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut work = pin!(tokio::task::unconstrained(work));
    loop {
        match work.as_mut().poll(&mut context) {
            Poll::Ready(done) => return done,
            Poll::Pending => thread::park_timeout(LOOK_AGAIN),
        }
    }
}

impl Store {
    /// A new database in memory with all of its tables, which is gone with the last clone. Its one connection serves the runtime of
    /// the caller, which has to be another than that of those who use it.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`].
    pub async fn in_memory() -> Result<Self> {
        let settings = DatabaseSettings {
            url: MEMORY.to_owned(),
            max_connections: 1,
        };
        let store = Self::connect(&settings).await?;
        store.migrate().await?;
        Ok(store)
    }

    /// Takes all rows away, and begins with the first number again.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`].
    pub async fn clear(&self) -> Result<()> {
        let clear = async {
            let writer = &self.inner.writer;
            let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'seaql%'";
            let tables = Statement::from_string(self.backend(), sql);
            writer.execute_unprepared("PRAGMA foreign_keys = OFF").await?;
            for row in writer.query_all_raw(tables).await? {
                let name: String = row.try_get_by_index(0)?;
                writer.execute_unprepared(&format!("DELETE FROM {name}")).await?;
            }
            writer.execute_unprepared("PRAGMA foreign_keys = ON").await?;
            Ok::<_, DbErr>(())
        };
        clear.await.map_err(|error| translate(error, self.name()))
    }

    /// The same database through a seam. `beside`: the runtime in which the store was connected.
    #[must_use]
    pub fn behind(&self, seam: Arc<dyn Seam>, beside: Handle) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            seam: Some(Held { seam, beside }),
        }
    }

    /// An operation, through the seam where there is one.
    pub(super) async fn through_seam<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let Some(Held { seam, beside }) = &self.seam else {
            return work.await;
        };
        let fails = |why: &str| {
            Err(Error::Unavailable {
                database: self.name().to_owned(),
                why: why.to_owned(),
            })
        };
        seam.pass().await;
        let done = match seam.fate() {
            Fate::Works => in_one_breath(beside, work),
            Fate::NotDone => fails("the simulation wants it"),
            Fate::DoneUnheard => in_one_breath(beside, work)
                .and_then(|_| fails("it is done, and the simulation has the answer lost")),
        };
        seam.pass().await;
        done
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    };

    use model::Timestamp;

    use super::*;
    use crate::NewUser;

    const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

    /// Counts who passes, and has operations end as it is told.
    struct Counting(AtomicUsize, Mutex<Fate>);

    impl Seam for Counting {
        fn pass(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Box::pin(tokio::task::yield_now())
        }

        fn fate(&self) -> Fate {
            *self.1.lock().unwrap()
        }
    }

    fn new_user(name: &str) -> NewUser {
        NewUser {
            name: name.parse().unwrap(),
            is_operator: false,
        }
    }

    #[test]
    fn an_operation_behind_a_seam_is_done_or_not_as_it_says_and_the_database_can_be_cleared() {
        let beside = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_time()
            .build()
            .unwrap();
        let store = beside.block_on(Store::in_memory()).unwrap();
        let seam = Arc::new(Counting(AtomicUsize::new(0), Mutex::new(Fate::Works)));
        let behind = store.behind(Arc::clone(&seam) as Arc<dyn Seam>, beside.handle().clone());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let names = || {
            let users = beside.block_on(store.users()).unwrap();
            users
                .into_iter()
                .map(|user| user.name.to_string())
                .collect::<Vec<_>>()
        };
        for (name, fate, is_good, is_there) in [
            ("alice", Fate::Works, true, true),
            ("bob", Fate::NotDone, false, false),
            ("carol", Fate::DoneUnheard, false, true),
        ] {
            *seam.1.lock().unwrap() = fate;
            let before = seam.0.load(Ordering::Relaxed);
            let made = runtime.block_on(behind.create_user(&new_user(name), NOW));
            assert_eq!(made.is_ok(), is_good, "{name}: {made:?}");
            assert_eq!(names().contains(&name.to_owned()), is_there, "{name}");
            assert_eq!(
                seam.0.load(Ordering::Relaxed),
                before + 2,
                "before it and after it"
            );
        }
        *seam.1.lock().unwrap() = Fate::Works;
        beside.block_on(store.clear()).unwrap();
        assert_eq!(names(), [""; 0]);
        let made = runtime.block_on(behind.create_user(&new_user("alice"), NOW));
        assert_eq!(made.unwrap().id.0, 1, "numbers begin anew");
    }
}
