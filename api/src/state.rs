//! What every handler can reach: the database, the settings, and the sign to stop.

use std::{fmt::Display, sync::Arc};

use model::{Condition, Timestamp};
use runtime::CancellationToken;
use store::Store;

use crate::{
    files::{disk, log::follow::FollowedLogs},
    http::{clients::Quota, error::Error},
    settings::ApiSettings,
};

/// Shared by all requests; cheap to clone.
#[derive(Clone)]
pub struct ApiState(Arc<Inner>);

struct Inner {
    store: Store,
    settings: ApiSettings,
    shutdown: CancellationToken,
    quiesce: CancellationToken,
    log_streams: Arc<Quota>,
    followed_logs: Arc<FollowedLogs>,
}

impl ApiState {
    /// Makes the directories and checks them.
    ///
    /// # Errors
    /// When a directory cannot be used, or spool and sources lie on different file systems.
    pub fn new(store: Store, settings: ApiSettings, shutdown: CancellationToken) -> Result<Self, Error> {
        for directory in [&settings.results_root, &settings.spool_dir, &settings.source_root] {
            fs_err::create_dir_all(directory).map_err(|source| Error::Directory {
                path: directory.display().to_string(),
                source,
            })?;
        }
        disk::same_file_system(&settings.spool_dir, &settings.source_root)?;
        let limits = &settings.limits;
        let log_streams = Quota::new(limits.log_streams, limits.log_streams_per_client);
        Ok(Self(Arc::new(Inner {
            store,
            settings,
            shutdown,
            quiesce: CancellationToken::new(),
            log_streams,
            followed_logs: Arc::default(),
        })))
    }

    /// The same, in a farm that begins nothing new once this is cancelled, and ends when what runs has ended.
    #[must_use]
    pub fn quiesced_by(mut self, quiesce: CancellationToken) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            inner.quiesce = quiesce;
        }
        self
    }

    /// What is wrong with the fleet, as far as the database and this process know.
    pub(crate) async fn condition(&self) -> store::Result<Condition> {
        let mut condition = self.store().fleet_condition(None, self.now()).await?;
        if self.0.quiesce.is_cancelled() {
            condition.stopping = Some(self.store().accepted_allocations(None).await?.len());
        }
        Ok(condition)
    }

    pub(crate) fn store(&self) -> &Store {
        &self.0.store
    }

    pub(crate) fn settings(&self) -> &ApiSettings {
        &self.0.settings
    }

    pub(crate) fn shutdown(&self) -> &CancellationToken {
        &self.0.shutdown
    }

    pub(crate) fn log_streams(&self) -> &Arc<Quota> {
        &self.0.log_streams
    }

    pub(crate) fn followed_logs(&self) -> &Arc<FollowedLogs> {
        &self.0.followed_logs
    }

    pub(crate) fn url(&self, path: impl Display) -> String {
        self.0.settings.url(path)
    }

    pub(crate) fn now(&self) -> Timestamp {
        runtime::clock::now()
    }
}
