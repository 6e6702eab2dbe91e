//! Tasks with names and an owner: the [`Supervisor`] of a process starts them, tells them to stop, and sees
//! that they have. A task that ends by itself stops the process, for its work would silently stay undone.

use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument, error, info, info_span};

/// The owner of a process's tasks.
#[derive(Clone, Debug)]
pub struct Supervisor {
    tracker: TaskTracker,
    stop: CancellationToken,
    seen: Arc<Mutex<Seen>>,
}

/// What is known of the tasks.
#[derive(Debug, Default)]
struct Seen {
    /// The first one that failed, and why.
    failure: Option<String>,
    /// The names of those that have not ended.
    running: Vec<&'static str>,
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
            seen: Arc::default(),
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
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
        let own = self.clone();
        self.seen().running.push(name);
        let watched = async move {
            let ended = tokio::spawn(task.in_current_span()).await;
            let words = match ended {
                Ok(Ok(())) if own.stop.is_cancelled() => None,
                Ok(Ok(())) => Some("ended by itself".to_owned()),
                Ok(Err(cause)) => Some(error_chain(&cause)),
                Err(cause) => Some(cause.to_string()),
            };
            let mut seen = own.seen();
            if let Some(place) = seen.running.iter().position(|other| *other == name) {
                seen.running.remove(place);
            }
            if let Some(words) = words {
                error!(task = name, "The task {name} failed: {words}");
                seen.failure.get_or_insert_with(|| format!("{name}: {words}"));
                own.stop.cancel();
            }
        };
        self.tracker.spawn(watched.instrument(info_span!("task", name)));
    }

    /// Waits until something asks for the end, then gives the tasks `grace` to finish. Answers the first
    /// failure of a task, and which tasks did not stop in time.
    ///
    /// # Errors
    /// The words of the failure.
    pub async fn wait(self, grace: Duration) -> Result<(), String> {
        self.stop.cancelled().await;
        self.tracker.close();
        let seconds = grace.as_secs();
        match self.tracker.len() {
            1 => info!("Stopping: 1 task has {seconds} s to finish."),
            count => info!("Stopping: {count} tasks have {seconds} s to finish."),
        }
        let ended = tokio::time::timeout(grace, self.tracker.wait()).await;
        let mut seen = self.seen();
        let late = ended.is_err().then(|| {
            let names = seen.running.join(", ");
            match seen.running.len() {
                1 => format!("1 task did not stop within {seconds} s: {names}"),
                count => format!("{count} tasks did not stop within {seconds} s: {names}"),
            }
        });
        match (seen.failure.take(), late) {
            (Some(failure), Some(late)) => Err(format!("{failure}; then {late}")),
            (Some(words), None) | (None, Some(words)) => Err(words),
            (None, None) => Ok(()),
        }
    }
}

/// An error with all its causes, in one line.
#[must_use]
pub fn error_chain(error: &dyn std::error::Error) -> String {
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

    use super::{Supervisor, error_chain};

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
        assert_eq!(ended, Err("1 task did not stop within 0 s: deaf".to_owned()));
    }

    #[tokio::test]
    async fn those_that_do_not_stop_are_named_behind_the_failure_that_stopped_them() {
        let supervisor = Supervisor::new();
        supervisor.spawn("deaf", std::future::pending::<Result<(), io::Error>>());
        supervisor.spawn("mute", std::future::pending::<Result<(), io::Error>>());
        supervisor.spawn("hasty", async { Err(io::Error::other("no luck")) });
        let ended = supervisor.wait(Duration::from_millis(20)).await;
        let words = "hasty: no luck; then 2 tasks did not stop within 0 s: deaf, mute";
        assert_eq!(ended, Err(words.to_owned()));
    }

    #[tokio::test]
    async fn of_several_failures_the_first_is_the_reason() {
        let supervisor = Supervisor::new();
        let stop = supervisor.stop_token();
        supervisor.spawn("second", async move {
            stop.cancelled().await;
            Err(io::Error::other("because of the first"))
        });
        supervisor.spawn("first", async { Err(io::Error::other("out of disk")) });
        let ended = supervisor.wait(Duration::from_secs(10)).await;
        assert_eq!(ended, Err("first: out of disk".to_owned()));
    }

    #[tokio::test]
    async fn a_task_that_ends_before_it_is_told_to_has_failed_and_one_that_panics_too() {
        let supervisor = Supervisor::new();
        supervisor.spawn("done", async { Ok::<(), io::Error>(()) });
        let ended = supervisor.wait(Duration::from_secs(10)).await;
        assert_eq!(ended, Err("done: ended by itself".to_owned()));
        let supervisor = Supervisor::new();
        supervisor.spawn("odd", async {
            assert!(std::env::args().count() > usize::MAX - 1, "the sky fell");
            Ok::<(), io::Error>(())
        });
        let ended = supervisor.wait(Duration::from_secs(10)).await.unwrap_err();
        assert!(
            ended.starts_with("odd: ") && ended.contains("the sky fell"),
            "{ended}"
        );
    }

    #[tokio::test]
    async fn tasks_that_stop_when_they_are_told_to_have_not_failed() {
        let supervisor = Supervisor::new();
        for name in ["one", "other"] {
            let stop = supervisor.stop_token();
            supervisor.spawn(name, async move {
                stop.cancelled().await;
                Ok::<(), io::Error>(())
            });
        }
        supervisor.stop_token().cancel();
        assert_eq!(supervisor.wait(Duration::from_secs(10)).await, Ok(()));
    }

    #[derive(Debug, thiserror::Error)]
    #[error("{words}")]
    struct Layer {
        words: &'static str,
        source: Option<Box<Layer>>,
    }

    #[test]
    fn an_error_is_told_with_all_its_causes_in_one_line() {
        let inner = Layer {
            words: "refused",
            source: None,
        };
        assert_eq!(error_chain(&inner), "refused");
        let middle = Layer {
            words: "connecting",
            source: Some(Box::new(inner)),
        };
        let outer = Layer {
            words: "asking the cloud",
            source: Some(Box::new(middle)),
        };
        assert_eq!(error_chain(&outer), "asking the cloud: connecting: refused");
    }
}
