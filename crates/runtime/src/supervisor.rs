//! Tasks with names and an owner: the [`Supervisor`] of a process starts them, tells them to stop, and sees
//! that they have. A task that ends by itself stops the process, for its work would silently stay undone.

use std::{future::Future, sync::Arc, time::Duration};

use tokio::sync::Mutex;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument, error, info, info_span};

/// The owner of a process's tasks.
#[derive(Clone, Debug)]
pub struct Supervisor {
    tracker: TaskTracker,
    stop: CancellationToken,
    failure: Arc<Mutex<Option<String>>>,
}

impl Default for Supervisor {
    fn default() -> Self {
        Self::new()
    }
}

impl Supervisor {
    /// An owner without tasks.
    #[must_use]
    pub fn new() -> Self {
        Self {
            tracker: TaskTracker::new(),
            stop: CancellationToken::new(),
            failure: Arc::default(),
        }
    }

    /// Cancelled when the process shall stop; tasks watch it.
    #[must_use]
    pub fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Starts a task that runs until it is told to stop. If it ends before that, with an error or without,
    /// everything is stopped and [`Supervisor::wait`] answers why.
    pub fn spawn<F, E>(&self, name: &'static str, task: F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: std::error::Error + Send + Sync + 'static,
    {
        let (stop, failure) = (self.stop.clone(), Arc::clone(&self.failure));
        let watched = async move {
            let ended = tokio::spawn(task.in_current_span()).await;
            let words = match ended {
                Ok(Ok(())) if stop.is_cancelled() => None,
                Ok(Ok(())) => Some("ended by itself".to_owned()),
                Ok(Err(cause)) => Some(chain(&cause)),
                Err(cause) => Some(cause.to_string()),
            };
            if let Some(words) = words {
                error!(task = name, "The task {name} failed: {words}");
                failure
                    .lock()
                    .await
                    .get_or_insert_with(|| format!("{name}: {words}"));
                stop.cancel();
            }
        };
        self.tracker.spawn(watched.instrument(info_span!("task", name)));
    }

    /// Waits until something asks for the end, then gives the tasks `grace` to finish. Answers the first
    /// failure of a task, or which tasks did not stop in time.
    ///
    /// # Errors
    /// The words of the failure.
    pub async fn wait(self, grace: Duration) -> Result<(), String> {
        self.stop.cancelled().await;
        self.tracker.close();
        info!(
            "Stopping: {} tasks have {} s to finish.",
            self.tracker.len(),
            grace.as_secs()
        );
        if tokio::time::timeout(grace, self.tracker.wait()).await.is_err() {
            return Err(format!(
                "{} tasks did not stop within {} s",
                self.tracker.len(),
                grace.as_secs()
            ));
        }
        match self.failure.lock().await.take() {
            Some(failure) => Err(failure),
            None => Ok(()),
        }
    }
}

/// An error with all its causes, in one line.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        words.push_str(": ");
        words.push_str(&inner.to_string());
        cause = inner.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use std::{io, time::Duration};

    use super::Supervisor;

    #[tokio::test]
    async fn a_task_that_fails_stops_the_others_and_is_named() {
        let supervisor = Supervisor::new();
        let stop = supervisor.stop_token();
        supervisor.spawn("patient", async move {
            stop.cancelled().await;
            Ok::<(), io::Error>(())
        });
        supervisor.spawn("hasty", async { Err(io::Error::other("no luck")) });
        let ended = supervisor.wait(Duration::from_secs(10)).await;
        assert_eq!(ended, Err("hasty: no luck".to_owned()));
    }

    #[tokio::test]
    async fn a_task_that_does_not_stop_is_reported() {
        let supervisor = Supervisor::new();
        supervisor.spawn("deaf", std::future::pending::<Result<(), io::Error>>());
        supervisor.stop_token().cancel();
        let ended = supervisor.wait(Duration::from_millis(20)).await;
        assert_eq!(ended, Err("1 tasks did not stop within 0 s".to_owned()));
    }
}
