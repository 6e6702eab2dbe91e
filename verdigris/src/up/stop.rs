//! How `verdigris up` ends: at once when nothing is built, else after a word and, at the first Ctrl-C, after what runs.

use std::{path::PathBuf, time::Duration};

use model::{
    BuildId, ChrootName,
    fleet::{CredentialsSource, FleetSpec},
};
use runtime::{CancellationToken, clock};
use store::{Allocation, Store};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

use crate::{lock::say_stopping, say};

/// How often it is looked at whether what runs has ended.
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// How many builds are named.
const MOST_NAMED: usize = 20;

/// Stops the farm at signals. The first Ctrl-C lets what runs end, and begins nothing new; the second stops at once, as
/// SIGTERM does, which is what services are stopped with.
pub(super) fn stop_at_signals(
    stop: CancellationToken,
    quiesce: CancellationToken,
    store: Store,
    lock: PathBuf,
) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    // Lives as long as the process: it has nothing to finish.
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {
                info!("Interrupted.");
                quiesce.cancel();
                if let Err(error) = say_stopping(&lock) {
                    warn!("Other commands are not told that the farm is stopping: {error}");
                }
                match let_builds_end(&store, &mut Signals { interrupt, terminate }, LOOK_EVERY).await {
                    End::NothingRan | End::Terminated => {}
                    End::BuildsEnded => say("All builds have ended."),
                    End::Interrupted => say("Stopping at once."),
                }
            }
            _ = terminate.recv() => info!("Told to stop."),
        }
        stop.cancel();
    });
    Ok(())
}

/// What runs, as the database says.
trait Running {
    fn now(&self) -> impl Future<Output = Result<Vec<Allocation>, store::Error>> + Send;
}

impl Running for Store {
    async fn now(&self) -> Result<Vec<Allocation>, store::Error> {
        self.accepted_allocations(None).await
    }
}

/// The next signal: whether it is Ctrl-C.
trait NextSignal {
    fn next(&mut self) -> impl Future<Output = bool> + Send;
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl NextSignal for Signals {
    async fn next(&mut self) -> bool {
        tokio::select! {
            _ = self.interrupt.recv() => true,
            _ = self.terminate.recv() => false,
        }
    }
}

/// Why nothing is waited for any more.
#[derive(Debug, PartialEq)]
enum End {
    NothingRan,
    BuildsEnded,
    Interrupted,
    Terminated,
}

/// Says what runs and waits for it, until one more signal.
async fn let_builds_end(running: &impl Running, signals: &mut impl NextSignal, look_every: Duration) -> End {
    match running.now().await {
        Ok(running) if running.is_empty() => return End::NothingRan,
        Ok(running) => say(&waiting_words(&running)),
        Err(error) => say(&format!(
            "\nThe database does not say what runs: {error}. The farm begins nothing new, and stops when nothing runs any more. \
             Ctrl-C again stops it at once."
        )),
    }
    loop {
        tokio::select! {
            is_interrupt = signals.next() => break if is_interrupt { End::Interrupted } else { End::Terminated },
            () = tokio::time::sleep(look_every) => {}
        }
        // A database that does not answer is waited for as builds are: the next signal ends it, also while it is asked.
        let asked = tokio::select! {
            is_interrupt = signals.next() => break if is_interrupt { End::Interrupted } else { End::Terminated },
            asked = running.now() => asked,
        };
        if asked.is_ok_and(|running| running.is_empty()) {
            break End::BuildsEnded;
        }
    }
}

fn waiting_words(running: &[Allocation]) -> String {
    let count = running.len();
    let runs = if count == 1 {
        "1 build runs"
    } else {
        &format!("{count} builds run")
    };
    let mut words = format!(
        "\n{runs}. The farm begins nothing new and stops when that has ended. Ctrl-C again stops it at once: builds that \
         this ends are tried again after the next start, and lose no try."
    );
    for allocation in running.iter().take(MOST_NAMED) {
        let attempt = &allocation.attempt;
        let seconds = attempt
            .started_at
            .map_or(0, |started| clock::now().since(started).as_secs());
        words.push_str(&format!(
            "\n  build {} of {}/{} for {}, since {seconds} s",
            attempt.build, attempt.owner, attempt.project_name, attempt.chroot
        ));
    }
    if count > MOST_NAMED {
        words.push_str(&format!("\n  and {} more", count - MOST_NAMED));
    }
    words
}

/// Gives back what was being built when the farm last ended, in whatever way: its machines ended with it.
pub(super) async fn recover(store: &Store, fleet: &FleetSpec) -> anyhow::Result<()> {
    let embedded = fleet
        .clouds
        .iter()
        .filter(|(_, cloud)| cloud.credentials.source == CredentialsSource::Embedded);
    let embedded: Vec<String> = embedded.map(|(name, _)| name.clone()).collect();
    let lost: Vec<(BuildId, ChrootName)> = store.lose_to_stop(fleet.fleet, &embedded, clock::now()).await?;
    for (build, chroot) in lost {
        warn!(
            "Build {build} for {chroot} was stopped with the farm: it is tried again, and the lost try does not count."
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use store::{DatabaseSettings, Error};
    use tokio::time::{Instant, sleep, sleep_until};

    use super::*;

    /// A database that is away, but for those looks at which it answers that nothing runs; each look takes some time.
    struct Away {
        answers_at: &'static [usize],
        looks: AtomicUsize,
        delay: Duration,
    }

    impl Running for Away {
        async fn now(&self) -> Result<Vec<Allocation>, Error> {
            let look = self.looks.fetch_add(1, Ordering::Relaxed) + 1;
            if look > 1 {
                sleep(self.delay).await;
            }
            if self.answers_at.contains(&look) {
                return Ok(Vec::new());
            }
            Err(Error::Unavailable {
                database: "postgres://db/farm".to_owned(),
                why: "refused".to_owned(),
            })
        }
    }

    /// A signal at a moment.
    struct At(Instant, bool);

    impl NextSignal for At {
        async fn next(&mut self) -> bool {
            sleep_until(self.0).await;
            self.1
        }
    }

    const SHORT: Duration = Duration::from_millis(5);

    #[tokio::test]
    async fn a_database_that_is_away_is_waited_for_until_it_says_that_nothing_runs_or_a_signal_comes() {
        let (long, soon) = (Duration::from_secs(3600), SHORT * 10);
        for (answers_at, delay, signal_after, is_interrupt, end) in [
            (&[1][..], Duration::ZERO, long, true, End::NothingRan),
            (&[2], Duration::ZERO, long, true, End::BuildsEnded),
            (&[4, 5], Duration::ZERO, long, true, End::BuildsEnded),
            (&[], Duration::ZERO, soon, true, End::Interrupted),
            (&[], Duration::ZERO, soon, false, End::Terminated),
            // While it is asked, which may take long.
            (&[], long, soon, true, End::Interrupted),
            (&[2], long, soon, false, End::Terminated),
        ] {
            let database = Away {
                answers_at,
                looks: AtomicUsize::new(0),
                delay,
            };
            let moment = Instant::now() + signal_after;
            let mut signal = At(moment, is_interrupt);
            let ended = let_builds_end(&database, &mut signal, SHORT);
            let ended = tokio::time::timeout(Duration::from_secs(30), ended)
                .await
                .unwrap();
            assert_eq!(ended, end, "{answers_at:?}");
            let looks = database.looks.into_inner();
            match answers_at.first().filter(|_| delay.is_zero()) {
                Some(first) => assert_eq!(looks, *first, "{answers_at:?}"),
                None => assert!(looks >= 2 && Instant::now() >= moment, "{answers_at:?}: {looks}"),
            }
        }
    }

    #[tokio::test]
    async fn a_database_that_was_closed_is_away_and_no_end_of_builds() {
        let directory = tempfile::tempdir().unwrap();
        let settings = DatabaseSettings {
            url: format!("sqlite://{}/farm.db?mode=rwc", directory.path().display()),
            max_connections: 2,
        };
        let store = Store::connect(&settings).await.unwrap();
        store.migrate().await.unwrap();
        let mut soon = At(Instant::now() + SHORT * 10, true);
        assert_eq!(let_builds_end(&store, &mut soon, SHORT).await, End::NothingRan);
        store.close().await.unwrap();
        assert_eq!(let_builds_end(&store, &mut soon, SHORT).await, End::Interrupted);
    }
}
