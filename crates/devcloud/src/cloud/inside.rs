//! What the cloud serves inside the network of its machines: the metadata service, and ports of the gateway that
//! lead to the host. All of it ends with the hypervisor, and is opened again when that was started again.

use std::{net::SocketAddrV4, sync::Arc};

use tokio::{sync::Mutex, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    CloudConfig, Error, Forward,
    ledger::Ledger,
    machines::{METADATA, Machines},
    metadata,
    proxy::{Relay, start_forward},
};

/// The services inside.
pub(super) struct Inside {
    machines: Arc<dyn Machines>,
    ledger: Ledger,
    config: Arc<CloudConfig>,
    ending: CancellationToken,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    metadata: Option<(CancellationToken, JoinHandle<()>)>,
    /// A forward without a relay is one that could not be opened again.
    forwards: Vec<(Forward, Option<Relay>)>,
}

impl Inside {
    /// Opens the metadata service and the forwards of the settings.
    pub(super) async fn open(
        machines: Arc<dyn Machines>,
        ledger: Ledger,
        config: Arc<CloudConfig>,
        ending: CancellationToken,
    ) -> Result<Arc<Self>, Error> {
        let forwards = config.forwards.iter().map(|forward| (*forward, None)).collect();
        let inside = Self {
            machines,
            ledger,
            config,
            ending,
            open: Mutex::new(Open {
                metadata: None,
                forwards,
            }),
        };
        inside.reopen().await?;
        Ok(Arc::new(inside))
    }

    /// Opens everything again in the network of a new hypervisor.
    pub(super) async fn reopen(&self) -> Result<(), Error> {
        let mut open = self.open.lock().await;
        end(open.metadata.take()).await;
        open.metadata = Some(self.serve_metadata().await?);
        for (forward, relay) in &mut open.forwards {
            if let Some(relay) = relay.take() {
                relay.close().await;
            }
            *relay = Some(start_forward(&self.machines, *forward).await?);
        }
        Ok(())
    }

    async fn serve_metadata(&self) -> Result<(CancellationToken, JoinHandle<()>), Error> {
        let listener = self
            .machines
            .listen(SocketAddrV4::new(METADATA, 80))
            .await
            .map_err(|source| Error::Machines {
                action: "listen for the metadata service",
                source,
            })?;
        let ending = self.ending.child_token();
        let served = metadata::serve(
            listener,
            self.ledger.clone(),
            Arc::clone(&self.config),
            ending.clone(),
        )?;
        Ok((ending, tokio::spawn(served)))
    }

    /// Opens a port of the gateway address, or leads an open one elsewhere.
    pub(super) async fn add_forward(&self, forward: Forward) -> Result<(), Error> {
        self.remove_forward(forward.port).await;
        let relay = start_forward(&self.machines, forward).await?;
        self.open.lock().await.forwards.push((forward, Some(relay)));
        Ok(())
    }

    /// Closes a port of the gateway address; whether it was open.
    pub(super) async fn remove_forward(&self, port: u16) -> bool {
        let mut open = self.open.lock().await;
        let place = open.forwards.iter().position(|(forward, _)| forward.port == port);
        let Some((_, relay)) = place.map(|place| open.forwards.swap_remove(place)) else {
            return false;
        };
        if let Some(relay) = relay {
            relay.close().await;
        }
        true
    }

    /// Closes everything.
    pub(super) async fn close(&self) {
        let open = std::mem::take(&mut *self.open.lock().await);
        end(open.metadata).await;
        for (_, relay) in open.forwards {
            if let Some(relay) = relay {
                relay.close().await;
            }
        }
    }
}

async fn end(served: Option<(CancellationToken, JoinHandle<()>)>) {
    if let Some((ending, task)) = served {
        ending.cancel();
        if task.await.is_err() {
            tracing::error!("The metadata service's task ended badly.");
        }
    }
}
