//! When the hypervisor dies under the cloud, as by the kernel's hand when memory runs out: it is started again
//! and the instances of the ledger are booted from their disks, as after a restart of the cloud itself.
//!
//! What dies again and again is given up: the API stops answering, rather than answer as if all were well, and
//! [`super::Cloud::failed`] tells whoever holds the cloud.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use super::inside::Inside;
use crate::{Error, describe, life::Life, machines::Machines};

/// How many times within [`WINDOW`] the hypervisor is started again.
const RESTARTS: usize = 5;

/// A hypervisor that has lived longer than this is thought well again.
const WINDOW: Duration = Duration::from_secs(600);

/// The wait before the first of them; each further one waits twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// What the supervisor works with.
pub(super) struct Supervisor {
    pub(super) machines: Arc<dyn Machines>,
    pub(super) life: Arc<Life>,
    pub(super) inside: Arc<Inside>,
    pub(super) ending: CancellationToken,
    /// Where it is said that the cloud cannot go on, and why.
    pub(super) lost: watch::Sender<Option<String>>,
}

impl Supervisor {
    /// Watches until the cloud ends or is given up.
    pub(super) async fn run(self) {
        let mut restarts = VecDeque::new();
        loop {
            tokio::select! {
                () = self.ending.cancelled() => return,
                () = self.machines.closed() => {}
            }
            let brought_back = tokio::select! {
                () = self.ending.cancelled() => return,
                brought_back = self.bring_back(&mut restarts) => brought_back,
            };
            if let Err(reason) = brought_back {
                tracing::error!(reason, "The hypervisor is given up; the cloud serves no more.");
                self.lost.send_replace(Some(reason));
                self.ending.cancel();
                return;
            }
        }
    }

    /// Tries until machines can run again. The error says why not.
    async fn bring_back(&self, restarts: &mut VecDeque<Instant>) -> Result<(), String> {
        tracing::error!("The hypervisor has died, and every machine with it; it is started again.");
        // Nothing is decided by what a dead side answers, nor before the ledger knows what is left.
        let _pause = self.life.pause().await;
        self.life.close_addresses().await;
        let mut reason = "it was ended from outside".to_owned();
        loop {
            let now = Instant::now();
            restarts.retain(|began| now.duration_since(*began) < WINDOW);
            if restarts.len() >= RESTARTS {
                let minutes = WINDOW.as_secs() / 60;
                return Err(format!(
                    "{RESTARTS} new starts within {minutes} minutes did not help: {reason}"
                ));
            }
            let exponent = u32::try_from(restarts.len()).unwrap_or(u32::MAX);
            tokio::time::sleep(FIRST_WAIT.saturating_mul(2_u32.saturating_pow(exponent))).await;
            restarts.push_back(Instant::now());
            match self.start_again().await {
                Ok(()) => {
                    tracing::info!("The hypervisor is back; the instances boot from their disks.");
                    return Ok(());
                }
                Err(error) => {
                    reason = describe(&error);
                    tracing::error!(reason, "The hypervisor could not be started again.");
                }
            }
        }
    }

    async fn start_again(&self) -> Result<(), Error> {
        self.machines.restart().await.map_err(|source| Error::Machines {
            action: "start again",
            source,
        })?;
        self.inside.reopen().await?;
        self.life.recover().await
    }
}
