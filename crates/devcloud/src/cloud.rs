//! The cloud as a value: started with its settings, it serves its API until it is shut down.
//!
//! Start order: lock and read the ledger, start the machines' side, open the metadata service and the forwards,
//! recover the instances that the ledger lists, then serve. Shutdown goes the other way and keeps disks and
//! ledger, so that the next start brings the same instances back.

mod addresses;
mod faults;
mod life;
mod machines;
mod real;

use std::{
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

pub(crate) use addresses::{allocate, private_dns_name, public_dns_name};
pub(crate) use faults::{Fault, Faults, LostAnswer};
pub(crate) use life::Life;
pub use machines::{GATEWAY, METADATA, MachineError, MachineFuture, Machines};

use crate::{
    CloudConfig, Error, Forward, api,
    ledger::Ledger,
    metadata,
    proxy::{Relay, start_forward},
};

/// How often terminated instances are looked through for those to forget.
const FORGETTING: Duration = Duration::from_secs(30);

/// A running cloud. Dropping it ends its tasks at once; [`Cloud::shutdown`] ends it in order.
pub struct Cloud {
    endpoint: SocketAddr,
    ssh_port: u16,
    ledger: Ledger,
    machines: Arc<dyn Machines>,
    life: Arc<Life>,
    forwards: Mutex<Vec<(Forward, Relay)>>,
    tasks: Vec<JoinHandle<()>>,
    ending: CancellationToken,
    ended: bool,
}

impl Cloud {
    /// Starts a cloud whose instances are real hosts.
    ///
    /// # Errors
    /// [`Error`]: a wrong setting, a state directory in use, a damaged ledger, an address that is taken, or a
    /// machines' side that cannot start here.
    pub async fn start(config: CloudConfig) -> Result<Self, Error> {
        check(&config)?;
        let ledger = Ledger::open(&config.state_dir)?;
        let machines = real::start(&config, &ledger.snapshot().owner_id).await?;
        Self::begin(config, ledger, machines).await
    }

    /// Starts a cloud on other machines, such as [`crate::testing::FakeMachines`].
    ///
    /// # Errors
    /// As [`Cloud::start`].
    pub async fn start_with(config: CloudConfig, machines: Arc<dyn Machines>) -> Result<Self, Error> {
        check(&config)?;
        let ledger = Ledger::open(&config.state_dir)?;
        Self::begin(config, ledger, machines).await
    }

    async fn begin(
        mut config: CloudConfig,
        ledger: Ledger,
        machines: Arc<dyn Machines>,
    ) -> Result<Self, Error> {
        let ending = CancellationToken::new();
        let failed = |action| move |source| Error::Machines { action, source };
        let address = config.listen;
        let listener = TcpListener::bind(address)
            .await
            .map_err(|source| Error::Listen { address, source })?;
        let endpoint = listener
            .local_addr()
            .map_err(|source| Error::Listen { address, source })?;
        config.listen = endpoint;
        let config = Arc::new(config);
        let metadata = machines
            .listen(SocketAddrV4::new(METADATA, 80))
            .await
            .map_err(failed("listen for the metadata service"))?;
        let mut forwards = Vec::new();
        for forward in &config.forwards {
            forwards.push((*forward, start_forward(&machines, *forward).await?));
        }
        let life = Life::new(ledger.clone(), Arc::clone(&machines), &config, ending.clone());
        let endings = machines.endings();
        let mut tasks = vec![
            tokio::spawn(metadata::serve(
                metadata,
                ledger.clone(),
                Arc::clone(&config),
                ending.clone(),
            )?),
            tokio::spawn(watch(Arc::clone(&life), endings, ending.clone())),
        ];
        life.recover().await?;
        tasks.push(tokio::spawn(forget(
            Arc::clone(&life),
            config.terminated_retention,
            ending.clone(),
        )));
        let service = api::Service {
            ledger: ledger.clone(),
            life: Arc::clone(&life),
            machines: Arc::clone(&machines),
            faults: Faults::default(),
            config: Arc::clone(&config),
        };
        tasks.push(tokio::spawn(api::serve(
            listener,
            Arc::new(service),
            ending.clone(),
        )?));
        let ssh_port = config.ssh_port;
        let forwards = Mutex::new(forwards);
        Ok(Self {
            endpoint,
            ssh_port,
            ledger,
            machines,
            life,
            forwards,
            tasks,
            ending,
            ended: false,
        })
    }

    /// Where the API listens, as `http://ADDRESS:PORT`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.endpoint)
    }

    /// The port of public addresses that leads to an instance's sshd.
    #[must_use]
    pub fn ssh_port(&self) -> u16 {
        self.ssh_port
    }

    /// The truth.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Opens a port of the gateway address, or leads an open one elsewhere.
    ///
    /// # Errors
    /// [`Error::Machines`] when the port cannot be listened on.
    pub async fn add_forward(&self, forward: Forward) -> Result<(), Error> {
        self.remove_forward(forward.port).await;
        let relay = start_forward(&self.machines, forward).await?;
        self.forwards
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((forward, relay));
        Ok(())
    }

    /// Closes a port of the gateway address; whether it was open.
    pub async fn remove_forward(&self, port: u16) -> bool {
        let removed = {
            let mut forwards = self.forwards.lock().unwrap_or_else(PoisonError::into_inner);
            let place = forwards.iter().position(|(forward, _)| forward.port == port);
            place.map(|place| forwards.swap_remove(place))
        };
        match removed {
            Some((_, relay)) => {
                relay.close().await;
                true
            }
            None => false,
        }
    }

    /// Stops serving, ends the machines and keeps their disks; the ledger still says `running`, so that the next
    /// start brings them back.
    ///
    /// # Errors
    /// [`Error::Machines`] when the machines' side did not end cleanly; everything else is ended all the same.
    pub async fn shutdown(mut self) -> Result<(), Error> {
        self.ended = true;
        self.ending.cancel();
        self.life.end().await;
        for task in self.tasks.drain(..) {
            if task.await.is_err() {
                tracing::error!("A task of the cloud ended badly.");
            }
        }
        let forwards = std::mem::take(&mut *self.forwards.lock().unwrap_or_else(PoisonError::into_inner));
        for (_, relay) in forwards {
            relay.close().await;
        }
        let ended = self.machines.shutdown().await;
        self.ledger.close().await;
        ended.map_err(|source| Error::Machines {
            action: "shut down",
            source,
        })
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        self.ending.cancel();
        if !self.ended {
            for task in &self.tasks {
                task.abort();
            }
        }
    }
}

/// Passes machines that ended by themselves on to their instances.
async fn watch(
    life: Arc<Life>,
    mut endings: tokio::sync::broadcast::Receiver<String>,
    ending: CancellationToken,
) {
    use tokio::sync::broadcast::error::RecvError;
    loop {
        let next = tokio::select! {
            () = ending.cancelled() => return,
            next = endings.recv() => next,
        };
        match next {
            Ok(id) => life.machine_ended(id),
            Err(RecvError::Lagged(missed)) => {
                tracing::warn!(missed, "Some machines may have ended unseen; all are looked at.");
                life.look_at_all();
            }
            Err(RecvError::Closed) => {
                tracing::error!("The machines' side is gone; instances are not served any more.");
                return;
            }
        }
    }
}

async fn forget(life: Arc<Life>, retention: Duration, ending: CancellationToken) {
    let mut ticks = tokio::time::interval(FORGETTING.min(retention.max(Duration::from_millis(200))));
    loop {
        tokio::select! {
            () = ending.cancelled() => return,
            _ = ticks.tick() => {
                if let Err(error) = life.forget(retention).await {
                    tracing::warn!(%error, "Terminated instances stay in the ledger for now.");
                }
            }
        }
    }
}

fn check(config: &CloudConfig) -> Result<(), Error> {
    let wrong = |name, reason: &str| {
        Err(Error::Setting {
            name,
            reason: reason.to_owned(),
        })
    };
    if !config.listen.ip().is_loopback() {
        return wrong("listen", "the API must listen on a loopback address");
    }
    if config.access_key.is_empty() || config.access_key.contains(['/', ',', ' ']) {
        return wrong(
            "access_key",
            "it must not be empty or hold slashes, commas or blanks",
        );
    }
    if config.secret_key.is_empty() {
        return wrong("secret_key", "it must not be empty");
    }
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if config.region.is_empty() || config.region.len() > 40 || !config.region.bytes().all(plain) {
        return wrong(
            "region",
            "it must be 1 to 40 lower-case letters, digits and dashes",
        );
    }
    if config.public_network == 0 || config.ssh_port == 0 {
        return wrong("public_network", "neither it nor ssh_port may be 0");
    }
    let mut names: Vec<&str> = config.images.iter().map(|image| image.name.as_str()).collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find_map(|pair| match pair {
        [first, second] if first == second => Some(*first),
        _ => None,
    }) {
        return wrong("images", &format!("two images are named `{twice}`"));
    }
    let probe = SocketAddr::from((Ipv4Addr::new(127, config.public_network, 0, 1), config.ssh_port));
    match std::net::TcpListener::bind(probe) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => Ok(()),
        Err(source) => Err(Error::Listen {
            address: probe,
            source,
        }),
    }
}
