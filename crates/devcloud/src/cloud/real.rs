//! The hypervisor behind the trait that the control side knows.

use std::{
    net::SocketAddrV4,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::broadcast,
};

use crate::{
    CloudConfig, Error,
    hypervisor::{self, Hypervisor, HypervisorConfig},
    machine::{MachineSpec, MachineState},
    machines::{MachineFuture, Machines},
};

/// How many endings may wait to be looked at.
const ENDINGS: usize = 256;

/// The hypervisor, and a channel for the ids of machines that ended by themselves.
struct RealMachines {
    config: HypervisorConfig,
    hypervisor: RwLock<Hypervisor>,
    endings: broadcast::Sender<String>,
}

/// Starts the hypervisor below the state directory.
pub(super) async fn start(config: &CloudConfig, owner_id: &str) -> Result<Arc<dyn Machines>, Error> {
    let state_dir = config.state_dir.join("machines");
    fs_err::create_dir_all(&state_dir).map_err(Error::file("make", &state_dir))?;
    let state_dir = fs_err::canonicalize(&state_dir).map_err(Error::file("find", &state_dir))?;
    let config = HypervisorConfig {
        state_dir,
        helper: config.helper.clone(),
        cloud_id: format!("vd-{owner_id}"),
        outside: config.outside,
    };
    let (endings, _) = broadcast::channel(ENDINGS);
    let hypervisor = begin(&config, &endings).await.map_err(|error| Error::Machines {
        action: "start",
        source: error.into(),
    })?;
    Ok(Arc::new(RealMachines {
        config,
        hypervisor: RwLock::new(hypervisor),
        endings,
    }))
}

/// Starts a hypervisor whose machines' ends come out of `endings`.
async fn begin(
    config: &HypervisorConfig,
    endings: &broadcast::Sender<String>,
) -> Result<Hypervisor, hypervisor::Error> {
    let hypervisor = Hypervisor::start(config.clone()).await?;
    let mut events = hypervisor.subscribe();
    let endings = endings.clone();
    // The task ends with the hypervisor, whose last handle closes the channel.
    tokio::spawn(async move {
        use broadcast::error::RecvError;
        loop {
            match events.recv().await {
                // Nobody listening means that the cloud is ending.
                Ok(event) => drop(endings.send(event.instance_id)),
                Err(RecvError::Lagged(missed)) => {
                    tracing::warn!(missed, "Events of machines were missed.")
                }
                Err(RecvError::Closed) => return,
            }
        }
    });
    Ok(hypervisor)
}

impl RealMachines {
    /// The hypervisor of now.
    fn hypervisor(&self) -> Hypervisor {
        self.hypervisor
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Machines for RealMachines {
    fn run<'a>(&'a self, spec: &'a MachineSpec) -> MachineFuture<'a, ()> {
        Box::pin(async move { Ok(self.hypervisor().run(spec).await?) })
    }

    fn start_again<'a>(&'a self, id: &'a str) -> MachineFuture<'a, ()> {
        Box::pin(async move { Ok(self.hypervisor().start_again(id).await?) })
    }

    fn stop<'a>(&'a self, id: &'a str) -> MachineFuture<'a, ()> {
        Box::pin(async move { Ok(self.hypervisor().stop(id).await?) })
    }

    fn reboot<'a>(&'a self, id: &'a str) -> MachineFuture<'a, ()> {
        Box::pin(async move { Ok(self.hypervisor().reboot(id).await?) })
    }

    fn terminate<'a>(&'a self, id: &'a str) -> MachineFuture<'a, ()> {
        Box::pin(async move { Ok(self.hypervisor().terminate(id).await?) })
    }

    fn forget<'a>(&'a self, id: &'a str) -> MachineFuture<'a, ()> {
        Box::pin(async move { Ok(self.hypervisor().forget(id).await?) })
    }

    fn machines(&self) -> MachineFuture<'_, Vec<(String, MachineState)>> {
        Box::pin(async move { Ok(self.hypervisor().machines().await?) })
    }

    fn set_link<'a>(&'a self, id: &'a str, up: bool) -> MachineFuture<'a, ()> {
        Box::pin(async move { Ok(self.hypervisor().set_link(id, up).await?) })
    }

    fn set_frozen<'a>(&'a self, id: &'a str, frozen: bool) -> MachineFuture<'a, ()> {
        Box::pin(async move {
            let hypervisor = self.hypervisor();
            let done = if frozen {
                hypervisor.freeze(id).await
            } else {
                hypervisor.thaw(id).await
            };
            Ok(done?)
        })
    }

    fn console_output<'a>(&'a self, id: &'a str, max_bytes: usize) -> MachineFuture<'a, Vec<u8>> {
        Box::pin(async move { Ok(self.hypervisor().console_output(id, max_bytes).await?) })
    }

    fn capture<'a>(&'a self, id: &'a str, image: &'a str, reboot: bool) -> MachineFuture<'a, PathBuf> {
        Box::pin(async move { Ok(self.hypervisor().capture(id, image, reboot).await?) })
    }

    fn discard_image<'a>(&'a self, image: &'a str) -> MachineFuture<'a, ()> {
        Box::pin(async move { Ok(self.hypervisor().discard_image(image).await?) })
    }

    fn connect(&self, address: SocketAddrV4, patience: Duration) -> MachineFuture<'_, TcpStream> {
        Box::pin(async move { Ok(self.hypervisor().connect(address, patience).await?) })
    }

    fn listen(&self, address: SocketAddrV4) -> MachineFuture<'_, TcpListener> {
        Box::pin(async move { Ok(self.hypervisor().listen(address).await?) })
    }

    fn endings(&self) -> broadcast::Receiver<String> {
        self.endings.subscribe()
    }

    fn closed(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move { self.hypervisor().closed().await })
    }

    fn restart(&self) -> MachineFuture<'_, ()> {
        Box::pin(async move {
            // Sees the dead one out, whose lock on the disks the new one waits for.
            self.hypervisor().shutdown().await?;
            let hypervisor = begin(&self.config, &self.endings).await?;
            *self.hypervisor.write().unwrap_or_else(PoisonError::into_inner) = hypervisor;
            Ok(())
        })
    }

    fn shutdown(&self) -> MachineFuture<'_, ()> {
        Box::pin(async move { Ok(self.hypervisor().shutdown().await?) })
    }
}
