//! Word that something happened, so that who waits for work need not wait for their next look. It only tells of this
//! process: whoever shares the database with others looks now and then all the same.

use tokio::sync::watch;

use crate::Store;

/// Tells of transactions of this process that had something to tell: those that wrote events.
#[derive(Clone, Debug)]
pub struct News(watch::Receiver<u64>);

impl News {
    /// Returns when something happened since the last call.
    pub async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            // The store is gone, and with it whatever could happen.
            std::future::pending::<()>().await;
        }
    }
}

impl Store {
    /// Word of what happens from now on.
    #[must_use]
    pub fn news(&self) -> News {
        News(self.told().subscribe())
    }
}
