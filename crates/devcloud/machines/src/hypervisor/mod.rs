//! Machines as seen from outside: a handle on the hypervisor process.
//!
//! The machines and their network live in the namespaces of one process, the hypervisor (`crate::guest`), which
//! is process 1 of its own process namespace. It ends when this handle's socket closes, for whatever reason, and the kernel
//! then takes every machine with it: that is the clean end. TCP sockets opened inside come back over the socket.

pub(crate) mod cgroup;
mod config;
mod console;
mod error;
mod images;
pub(crate) mod launch;
mod outside;
pub(crate) mod protocol;
mod replies;

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddrV4, TcpListener as StdListener, TcpStream as StdStream},
    os::fd::OwnedFd,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::Interest,
    net::{TcpListener, TcpStream, UnixStream},
    process::Child,
    sync::{broadcast, oneshot, watch},
    task::JoinHandle,
    time::timeout,
};

pub(crate) use self::error::Failure;
pub use self::{
    config::{HypervisorConfig, MachineEvent},
    error::Error,
};
use self::{
    launch::{Plan, io_error, sweep},
    outside::Outside,
    protocol::{Answer, Call, Request, Welcome},
    replies::{lock, read_replies},
};
use crate::machine::{MachineSpec, MachineState};

/// The cloud's own address inside its network; machines reach forwarded ports of the host here.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 88, 0, 1);

/// The address of the metadata service inside the cloud's network (Amazon's).
pub const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

/// How many bits of an address name the cloud's network, 10.88.0.0.
pub(crate) const NETWORK_BITS: u8 = 16;

/// The device of the way to the outside, in the machines' network.
pub(crate) const OUTSIDE_DEVICE: &str = "outside0";

/// Who carries packets of machines to the outside, where there is a way; the address is slirp4netns's own choice.
pub(crate) const OUTSIDE_GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 88, 0, 2);

/// Who answers questions for names there.
pub(crate) const OUTSIDE_NAMES: Ipv4Addr = Ipv4Addr::new(10, 88, 0, 3);

/// How long a call may take beside what it waits for itself: a loaded host is slow, not broken.
const CALL_PATIENCE: Duration = Duration::from_secs(60);

/// Machines' ends that a slow subscriber may fall behind before it loses the oldest.
const EVENTS_KEPT: usize = 1024;

/// A handle on the hypervisor process. Clones are cheap; dropping the last one ends every machine.
#[derive(Clone)]
pub struct Hypervisor {
    inner: Arc<Inner>,
}

type Waiting = HashMap<u64, oneshot::Sender<Result<(Answer, Option<OwnedFd>), Failure>>>;

struct Inner {
    plan: Plan,
    cloud_id: String,
    welcome: Welcome,
    socket: Arc<UnixStream>,
    waiting: Arc<Mutex<Waiting>>,
    next: AtomicU64,
    events: broadcast::Sender<MachineEvent>,
    closed: watch::Receiver<bool>,
    reader: JoinHandle<()>,
    child: tokio::sync::Mutex<Child>,
    /// Closed when this value goes.
    outside: Mutex<Option<Outside>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// The MAC address of a machine's `eth0`: a function of its private address, so that a reused address needs no
/// new entry in a neighbour's table.
#[must_use]
pub fn mac_address(address: Ipv4Addr) -> String {
    let [a, b, c, d] = address.octets();
    format!("0a:58:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
}

impl Hypervisor {
    /// Starts the hypervisor process and waits until its network is up.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] with what is missing on this host; [`Error::InUse`] when another hypervisor holds
    /// the state directory for longer than 10 seconds; [`Error::InvalidConfig`].
    pub async fn start(config: HypervisorConfig) -> Result<Self, Error> {
        let plan = Plan::new(&config)?;
        let lock = plan.lock().await?;
        // The lock says that no other process owns this cloud's groups.
        sweep(&config.cloud_id, true).await;
        let (ours, theirs) = protocol::pair().map_err(io_error("make the control socket"))?;
        protocol::send(&ours, &plan.greeting(), None).map_err(io_error("greet the hypervisor process"))?;
        let socket = protocol::watched(ours)
            .map(Arc::new)
            .map_err(io_error("watch the control socket"))?;
        let child = plan
            .command(theirs, lock)?
            .spawn()
            .map_err(|error| Error::Unavailable {
                reason: format!("`unshare` of util-linux cannot be run: {error}"),
            })?;
        let welcome = plan.welcomed(&socket).await?;
        let (events, _) = broadcast::channel(EVENTS_KEPT);
        let waiting = Arc::new(Mutex::new(Waiting::new()));
        let (closing, closed) = watch::channel(false);
        let reader = tokio::spawn(read_replies(
            Arc::clone(&socket),
            Arc::clone(&waiting),
            events.clone(),
            closing,
        ));
        tracing::info!(
            rootless = plan.rootless,
            limits_memory = welcome.limits_memory,
            limits_processes = welcome.limits_processes,
            leftovers = welcome.leftovers.len(),
            "The hypervisor is up."
        );
        let outside = match child.id() {
            Some(process) if config.outside => {
                Some(Outside::open(&plan.state_dir, process, closed.clone()).await?)
            }
            _ => None,
        };
        let inner = Inner {
            plan,
            cloud_id: config.cloud_id,
            welcome,
            socket,
            waiting,
            next: AtomicU64::new(1),
            events,
            closed,
            reader,
            child: tokio::sync::Mutex::new(child),
            outside: Mutex::new(outside),
        };
        let hypervisor = Self {
            inner: Arc::new(inner),
        };
        if hypervisor.reaches_outside() {
            hypervisor.done(Request::JoinOutside).await?;
        }
        Ok(hypervisor)
    }

    /// Whether machines reach the network outside.
    #[must_use]
    pub fn reaches_outside(&self) -> bool {
        self.inner.plan.outside
    }

    /// Machines that had a disk at start, from an earlier run: to be started again or terminated.
    #[must_use]
    pub fn leftovers(&self) -> &[String] {
        &self.inner.welcome.leftovers
    }

    /// Whether memory limits of machines are enforced on this host.
    #[must_use]
    pub fn limits_memory(&self) -> bool {
        self.inner.welcome.limits_memory
    }

    /// Whether the number of a machine's processes is limited on this host.
    #[must_use]
    pub fn limits_processes(&self) -> bool {
        self.inner.welcome.limits_processes
    }

    /// Whether machines can be frozen on this host.
    #[must_use]
    pub fn can_freeze(&self) -> bool {
        self.inner.welcome.can_freeze
    }

    /// Whether this runs without root, in a user namespace.
    #[must_use]
    pub fn rootless(&self) -> bool {
        self.inner.plan.rootless
    }

    /// Makes a machine and starts it; returns when its first process stands on its own root. sshd comes later.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSpec`]; [`Error::WrongState`] when the id is taken; [`Error::Failed`], with nothing left.
    pub async fn run(&self, spec: &MachineSpec) -> Result<(), Error> {
        if let Err((field, reason)) = spec.validate() {
            return Err(Error::InvalidSpec {
                field: field.to_owned(),
                reason,
            });
        }
        self.done(Request::Run(spec.clone())).await
    }

    /// Ends a machine and keeps its disk: politely for a second, then without asking. Nothing to do if stopped.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchMachine`]; [`Error::Timeout`] when a process cannot be ended.
    pub async fn stop(&self, id: &str) -> Result<(), Error> {
        self.done(Request::Stop {
            id: id.to_owned(),
            politely: true,
        })
        .await
    }

    /// Ends a machine without asking it, as a power cut does, and keeps its disk.
    ///
    /// # Errors
    ///
    /// As [`Self::stop`].
    pub async fn kill(&self, id: &str) -> Result<(), Error> {
        self.done(Request::Stop {
            id: id.to_owned(),
            politely: false,
        })
        .await
    }

    /// Starts a stopped machine on its kept disk, as it was specified at [`Self::run`].
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchMachine`]; [`Error::WrongState`] when it runs; [`Error::Failed`].
    pub async fn start_again(&self, id: &str) -> Result<(), Error> {
        self.done(Request::Start { id: id.to_owned() }).await
    }

    /// Ends all processes of a running machine and starts it again on its disk.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchMachine`]; [`Error::WrongState`] when it does not run; [`Error::Failed`].
    pub async fn reboot(&self, id: &str) -> Result<(), Error> {
        self.done(Request::Reboot { id: id.to_owned() }).await
    }

    /// Ends a machine and removes its disk; its console is kept. Nothing to do when there is no such machine.
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`] when a process cannot be ended: the machine is still there then.
    pub async fn terminate(&self, id: &str) -> Result<(), Error> {
        self.done(Request::Terminate { id: id.to_owned() }).await
    }

    /// Whether a machine runs. Never waits for an operation on it.
    ///
    /// # Errors
    ///
    /// [`Error::Gone`], [`Error::Timeout`].
    pub async fn state(&self, id: &str) -> Result<MachineState, Error> {
        match self
            .call(Request::State { id: id.to_owned() }, Duration::ZERO)
            .await?
        {
            (Answer::State(state), _) => Ok(state),
            _ => Err(unexpected()),
        }
    }

    /// Every machine with a disk, in the order of ids.
    ///
    /// # Errors
    ///
    /// [`Error::Gone`], [`Error::Timeout`].
    pub async fn machines(&self) -> Result<Vec<(String, MachineState)>, Error> {
        match self.call(Request::List, Duration::ZERO).await? {
            (Answer::Machines(machines), _) => Ok(machines),
            _ => Err(unexpected()),
        }
    }

    /// Cuts (`false`) or mends a machine's link. Connections are not closed; packets are lost, as in a partition.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchMachine`]; [`Error::WrongState`] when it does not run.
    pub async fn set_link(&self, id: &str, up: bool) -> Result<(), Error> {
        self.done(Request::SetLink {
            id: id.to_owned(),
            up,
        })
        .await
    }

    /// Freezes every process of a machine, as a hang.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] without a version 2 control group; else as [`Self::set_link`].
    pub async fn freeze(&self, id: &str) -> Result<(), Error> {
        self.done(Request::Freeze {
            id: id.to_owned(),
            frozen: true,
        })
        .await
    }

    /// Lets a frozen machine go on.
    ///
    /// # Errors
    ///
    /// As [`Self::freeze`].
    pub async fn thaw(&self, id: &str) -> Result<(), Error> {
        self.done(Request::Freeze {
            id: id.to_owned(),
            frozen: false,
        })
        .await
    }

    /// Opens a TCP connection inside the cloud's network.
    ///
    /// # Errors
    ///
    /// [`Error::Connect`] with the system's reason, a timeout among them.
    pub async fn connect(&self, address: SocketAddrV4, patience: Duration) -> Result<TcpStream, Error> {
        let timeout_milliseconds = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
        let descriptor = self
            .descriptor(
                Request::Connect {
                    address,
                    timeout_milliseconds,
                },
                patience,
            )
            .await?;
        let stream = StdStream::from(descriptor);
        stream
            .set_nonblocking(true)
            .and_then(|()| TcpStream::from_std(stream))
            .map_err(|source| Error::Connect { address, source })
    }

    /// Listens on a TCP address inside the cloud's network, such as [`METADATA`] or [`GATEWAY`].
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] when the address is taken or not the cloud's.
    pub async fn listen(&self, address: SocketAddrV4) -> Result<TcpListener, Error> {
        let listener = StdListener::from(
            self.descriptor(Request::Listen { address }, Duration::ZERO)
                .await?,
        );
        listener
            .set_nonblocking(true)
            .and_then(|()| TcpListener::from_std(listener))
            .map_err(io_error(&format!("listen on {address}")))
    }

    /// Machines that end by themselves from now on.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<MachineEvent> {
        self.inner.events.subscribe()
    }

    /// Returns when the hypervisor process has ended.
    pub async fn closed(&self) {
        let mut closed = self.inner.closed.clone();
        // An error says that the reader is gone, which is an end too.
        closed.wait_for(|closed| *closed).await.ok();
    }

    /// Ends every machine, keeping the disks, then the hypervisor process, and waits until all are gone.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when the process cannot be waited for. What would not end politely is killed.
    pub async fn shutdown(&self) -> Result<(), Error> {
        match self.done(Request::Shutdown).await {
            Ok(()) | Err(Error::Gone) => {}
            Err(error) => tracing::warn!(%error, "The hypervisor did not end its machines in order."),
        }
        let mut child = self.inner.child.lock().await;
        match timeout(Duration::from_secs(10), child.wait()).await {
            Ok(ended) => ended
                .map(drop)
                .map_err(io_error("wait for the hypervisor process"))?,
            Err(_) => child
                .kill()
                .await
                .map_err(io_error("end the hypervisor process"))?,
        }
        let outside = self
            .inner
            .outside
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(outside) = outside {
            outside.close().await;
        }
        sweep(&self.inner.cloud_id, false).await;
        Ok(())
    }

    async fn done(&self, request: Request) -> Result<(), Error> {
        match self.call(request, Duration::ZERO).await? {
            (Answer::Done, _) => Ok(()),
            _ => Err(unexpected()),
        }
    }

    async fn descriptor(&self, request: Request, extra: Duration) -> Result<OwnedFd, Error> {
        match self.call(request, extra).await? {
            (Answer::Descriptor, Some(descriptor)) => Ok(descriptor),
            _ => Err(unexpected()),
        }
    }

    /// Sends a request and waits for its answer, `extra` longer than for one that waits for nothing.
    async fn call(&self, request: Request, extra: Duration) -> Result<(Answer, Option<OwnedFd>), Error> {
        let inner = &self.inner;
        if *inner.closed.borrow() {
            return Err(Error::Gone);
        }
        let what = format!("{request:?}");
        let number = inner.next.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        lock(&inner.waiting).insert(number, sender);
        let call = Call { number, request };
        let exchange = async {
            let sent = inner
                .socket
                .async_io(Interest::WRITABLE, || protocol::send(&*inner.socket, &call, None))
                .await;
            // A closed socket, and a dropped sender, say that the process is gone.
            sent.map_err(|_| Error::Gone)?;
            receiver.await.map_err(|_| Error::Gone)?.map_err(Error::from)
        };
        let answer = timeout(CALL_PATIENCE.saturating_add(extra), exchange).await;
        lock(&inner.waiting).remove(&number);
        answer.unwrap_or(Err(Error::Timeout { what }))
    }
}

fn unexpected() -> Error {
    Error::Failed {
        what: "understand the hypervisor".to_owned(),
        reason: "its answer is of another kind".to_owned(),
    }
}
