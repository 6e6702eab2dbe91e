//! Notifications that something happened, so that whoever waits for work need not wait until they look again. They tell only of
//! this process: whoever shares the database with others looks now and then all the same.

use tokio::sync::watch;

use crate::Store;

/// Notifies of transactions of this process that wrote events.
#[derive(Clone, Debug)]
pub struct Notifications(watch::Receiver<u64>);

impl Notifications {
    /// Returns when something happened since the last call.
    pub async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            // The store is gone, and with it whatever could happen.
            std::future::pending::<()>().await;
        }
    }
}

impl Store {
    /// Notifications of what happens from now on.
    #[must_use]
    pub fn notifications(&self) -> Notifications {
        Notifications(self.told().subscribe())
    }
}
