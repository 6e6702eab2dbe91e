//! The cloud as a value: started with its settings, it serves its API until it is shut down.
//!
//! Start order: lock and read the ledger, start the hypervisor, open the metadata service and the forwards,
//! recover the instances that the ledger lists, then serve. Shutdown goes the other way and keeps disks and
//! ledger, so that the next start brings the same instances back. Between the two the hypervisor is watched
//! over, and started again when it dies.

mod inside;
mod real;
mod supervise;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{net::TcpListener, sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use self::{inside::Inside, supervise::Supervisor};
pub use crate::machines::{GATEWAY, METADATA, MachineError, MachineFuture, Machines};
use crate::{CloudConfig, Error, Forward, addresses, api, faults::Faults, ledger::Ledger, life::Life};

/// How often terminated instances are looked through for those to forget.
const FORGETTING: Duration = Duration::from_secs(30);

/// A running cloud. Dropping it ends its tasks at once; [`Cloud::shutdown`] ends it in order.
pub struct Cloud {
    endpoint: SocketAddr,
    ssh_port: u16,
    ledger: Ledger,
    machines: Arc<dyn Machines>,
    life: Arc<Life>,
    inside: Arc<Inside>,
    lost: watch::Sender<Option<String>>,
    tasks: Vec<JoinHandle<()>>,
    ending: CancellationToken,
    ended: bool,
}

impl Cloud {
    /// Starts a cloud whose instances are real hosts.
    ///
    /// # Errors
    /// [`Error`]: a wrong setting, a state directory in use, a damaged ledger, an address that is taken, or a
    /// hypervisor that cannot start here.
    pub async fn start(config: CloudConfig) -> Result<Self, Error> {
        check(&config)?;
        let ledger = Ledger::open(&config.state_dir)?;
        let machines = real::start(&config, &ledger.snapshot().owner_id).await?;
        Self::begin_or_end(config, ledger, machines).await
    }

    /// Starts a cloud on other machines, such as [`crate::testing::FakeMachines`].
    ///
    /// # Errors
    /// As [`Cloud::start`].
    pub async fn start_with(config: CloudConfig, machines: Arc<dyn Machines>) -> Result<Self, Error> {
        check(&config)?;
        let ledger = Ledger::open(&config.state_dir)?;
        Self::begin_or_end(config, ledger, machines).await
    }

    /// What cannot begin leaves nothing behind: no task, and of the hypervisor no process and no control group.
    async fn begin_or_end(
        config: CloudConfig,
        ledger: Ledger,
        machines: Arc<dyn Machines>,
    ) -> Result<Self, Error> {
        let ending = CancellationToken::new();
        let begun = Self::begin(config, ledger, Arc::clone(&machines), ending.clone()).await;
        if begun.is_err() {
            ending.cancel();
            if let Err(error) = machines.shutdown().await {
                tracing::error!("The hypervisor did not end: {error}");
            }
        }
        begun
    }

    async fn begin(
        mut config: CloudConfig,
        ledger: Ledger,
        machines: Arc<dyn Machines>,
        ending: CancellationToken,
    ) -> Result<Self, Error> {
        let address = config.listen;
        let listener = TcpListener::bind(address)
            .await
            .map_err(|source| Error::Listen { address, source })?;
        let endpoint = listener
            .local_addr()
            .map_err(|source| Error::Listen { address, source })?;
        config.listen = endpoint;
        for image in &mut config.images {
            image.id = config.profile.image_id(&image.name);
        }
        let config = Arc::new(config);
        let inside = Inside::open(
            Arc::clone(&machines),
            ledger.clone(),
            Arc::clone(&config),
            ending.clone(),
        )
        .await?;
        let life = Life::new(ledger.clone(), Arc::clone(&machines), &config, ending.clone());
        let endings = machines.endings();
        let mut tasks = vec![tokio::spawn(watch(Arc::clone(&life), endings, ending.clone()))];
        life.recover().await?;
        let (lost, _) = watch::channel(None);
        let supervisor = Supervisor {
            machines: Arc::clone(&machines),
            life: Arc::clone(&life),
            inside: Arc::clone(&inside),
            ending: ending.clone(),
            lost: lost.clone(),
        };
        tasks.push(tokio::spawn(supervisor.run()));
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
        Ok(Self {
            endpoint,
            ssh_port,
            ledger,
            machines,
            life,
            inside,
            lost,
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
        self.inside.add_forward(forward).await
    }

    /// Closes a port of the gateway address; whether it was open.
    pub async fn remove_forward(&self, port: u16) -> bool {
        self.inside.remove_forward(port).await
    }

    /// Returns when the cloud cannot go on: its hypervisor died and could not be brought back. The API has
    /// stopped answering then; what is left to do is [`Cloud::shutdown`].
    pub async fn failed(&self) -> Error {
        let mut lost = self.lost.subscribe();
        match lost.wait_for(Option::is_some).await.map(|reason| reason.clone()) {
            Ok(Some(reason)) => Error::Lost { reason },
            // The sender is this value's own, so this is never reached.
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    /// Stops serving, ends the machines and keeps their disks; the ledger still says `running`, so that the next
    /// start brings them back.
    ///
    /// # Errors
    /// [`Error::Machines`] when the hypervisor did not end cleanly; everything else is ended all the same.
    pub async fn shutdown(mut self) -> Result<(), Error> {
        self.ended = true;
        self.ending.cancel();
        self.life.end().await;
        for task in self.tasks.drain(..) {
            if task.await.is_err() {
                tracing::error!("A task of the cloud ended badly.");
            }
        }
        self.inside.close().await;
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
                tracing::error!("The ends of machines are not told any more.");
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
    addresses::probe(config.public_network, config.ssh_port)
}

#[cfg(test)]
mod tests;
