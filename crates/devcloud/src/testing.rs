//! Machines that are none: they run at once and greet like an SSH server. For tests of everything above machines.

use std::{
    collections::BTreeMap,
    net::SocketAddrV4,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{broadcast, watch},
};

use crate::{
    hypervisor,
    machine::{MachineSpec, MachineState},
    machines::{MachineError, MachineFuture, Machines},
};

/// The greeting that a connection to a fake machine gets.
pub const GREETING: &[u8] = b"SSH-2.0-fake\r\n";

/// Machines in memory.
pub struct FakeMachines {
    inner: Mutex<Inner>,
    endings: broadcast::Sender<String>,
    dead: watch::Sender<bool>,
}

#[derive(Default)]
struct Inner {
    machines: BTreeMap<String, MachineState>,
    /// What was asked for, as `run i-1`.
    calls: Vec<String>,
    failing: BTreeMap<String, String>,
    listeners: BTreeMap<SocketAddrV4, std::net::SocketAddr>,
}

impl Inner {
    fn stop_all(&mut self) {
        for state in self.machines.values_mut() {
            *state = MachineState::Stopped;
        }
    }
}

impl FakeMachines {
    /// No machines yet.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::default(),
            endings: broadcast::channel(64).0,
            dead: watch::channel(false).0,
        })
    }

    fn with<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        change(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What was asked for so far, as `run i-1`.
    #[must_use]
    pub fn calls(&self) -> Vec<String> {
        self.with(|inner| inner.calls.clone())
    }

    /// Makes every further call of `verb` (`run`, `stop` ...) fail; an empty reason ends that.
    pub fn fail(&self, verb: &str, reason: &str) {
        self.with(|inner| {
            if reason.is_empty() {
                inner.failing.remove(verb);
            } else {
                inner.failing.insert(verb.to_owned(), reason.to_owned());
            }
        });
    }

    /// Puts a stopped machine there, as a previous run would have left it; `None` removes it.
    pub fn place(&self, id: &str, state: Option<MachineState>) {
        self.with(|inner| match state {
            Some(state) => drop(inner.machines.insert(id.to_owned(), state)),
            None => drop(inner.machines.remove(id)),
        });
    }

    /// The machine powers itself off.
    pub fn power_off(&self, id: &str) {
        self.place(id, Some(MachineState::Stopped));
        // Without a cloud that listens nobody has to know.
        self.endings.send(id.to_owned()).ok();
    }

    /// The hypervisor dies, and every machine with it. Calls fail until it is started again.
    pub fn die(&self) {
        self.with(Inner::stop_all);
        self.dead.send_replace(true);
    }

    /// Where a listener inside the fake network is to be found on the host.
    #[must_use]
    pub fn listener(&self, address: SocketAddrV4) -> Option<std::net::SocketAddr> {
        self.with(|inner| inner.listeners.get(&address).copied())
    }

    /// What state each machine is in.
    #[must_use]
    pub fn states(&self) -> BTreeMap<String, MachineState> {
        self.with(|inner| inner.machines.clone())
    }

    fn call<'a>(&self, verb: &str, id: &str, becomes: Option<MachineState>) -> MachineFuture<'a, ()> {
        let dead = *self.dead.borrow();
        let outcome = self.with(|inner| {
            inner.calls.push(format!("{verb} {id}"));
            if dead {
                return Err(MachineError::from(hypervisor::Error::Gone));
            }
            match inner.failing.get(verb) {
                Some(reason) => Err(reason.clone().into()),
                None => {
                    match becomes {
                        Some(MachineState::Absent) => drop(inner.machines.remove(id)),
                        Some(state) => drop(inner.machines.insert(id.to_owned(), state)),
                        None => {}
                    }
                    Ok(())
                }
            }
        });
        Box::pin(std::future::ready(outcome))
    }
}

impl Machines for FakeMachines {
    fn run<'a>(&'a self, spec: &'a MachineSpec) -> MachineFuture<'a, ()> {
        self.call("run", &spec.instance_id, Some(MachineState::Running))
    }

    fn start_again<'a>(&'a self, id: &'a str) -> MachineFuture<'a, ()> {
        self.call("start_again", id, Some(MachineState::Running))
    }

    fn stop<'a>(&'a self, id: &'a str) -> MachineFuture<'a, ()> {
        self.call("stop", id, Some(MachineState::Stopped))
    }

    fn reboot<'a>(&'a self, id: &'a str) -> MachineFuture<'a, ()> {
        self.call("reboot", id, Some(MachineState::Running))
    }

    fn terminate<'a>(&'a self, id: &'a str) -> MachineFuture<'a, ()> {
        self.call("terminate", id, Some(MachineState::Absent))
    }

    fn forget<'a>(&'a self, id: &'a str) -> MachineFuture<'a, ()> {
        self.call("forget", id, None)
    }

    fn machines(&self) -> MachineFuture<'_, Vec<(String, MachineState)>> {
        let all = if *self.dead.borrow() {
            Err(hypervisor::Error::Gone.into())
        } else {
            Ok(self.states().into_iter().collect())
        };
        Box::pin(std::future::ready(all))
    }

    fn set_link<'a>(&'a self, id: &'a str, up: bool) -> MachineFuture<'a, ()> {
        self.call(if up { "heal" } else { "partition" }, id, None)
    }

    fn set_frozen<'a>(&'a self, id: &'a str, frozen: bool) -> MachineFuture<'a, ()> {
        self.call(if frozen { "freeze" } else { "thaw" }, id, None)
    }

    fn console_output<'a>(&'a self, id: &'a str, _max_bytes: usize) -> MachineFuture<'a, Vec<u8>> {
        let text = format!("console of {id}\n");
        Box::pin(std::future::ready(Ok(text.into_bytes())))
    }

    fn capture<'a>(&'a self, id: &'a str, image: &'a str, reboot: bool) -> MachineFuture<'a, PathBuf> {
        let verb = if reboot { "capture" } else { "capture-live" };
        let called = self.call(verb, id, None);
        let layer = Path::new("/images").join(image).join("root");
        Box::pin(async move { called.await.map(|()| layer) })
    }

    fn discard_image<'a>(&'a self, image: &'a str) -> MachineFuture<'a, ()> {
        self.call("discard-image", image, None)
    }

    fn connect(&self, _address: SocketAddrV4, _patience: Duration) -> MachineFuture<'_, TcpStream> {
        Box::pin(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let (near, far) = tokio::join!(TcpStream::connect(listener.local_addr()?), listener.accept());
            let (mut far, _) = far?;
            // The far side of a fake machine lives as long as the connection: it greets and then only reads.
            tokio::spawn(async move {
                let mut ignored = [0; 1024];
                if far.write_all(GREETING).await.is_ok() {
                    while matches!(far.read(&mut ignored).await, Ok(count) if count > 0) {}
                }
            });
            Ok(near?)
        })
    }

    fn listen(&self, address: SocketAddrV4) -> MachineFuture<'_, TcpListener> {
        Box::pin(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let local = listener.local_addr()?;
            self.with(|inner| inner.listeners.insert(address, local));
            Ok(listener)
        })
    }

    fn endings(&self) -> broadcast::Receiver<String> {
        self.endings.subscribe()
    }

    fn closed(&self) -> BoxFuture<'_, ()> {
        let mut dead = self.dead.subscribe();
        Box::pin(async move {
            // The sender is this value's own.
            dead.wait_for(|dead| *dead).await.ok();
        })
    }

    fn restart(&self) -> MachineFuture<'_, ()> {
        let outcome = self.with(|inner| match inner.failing.get("restart") {
            Some(reason) => Err(MachineError::from(reason.clone())),
            None => {
                inner.listeners.clear();
                Ok(())
            }
        });
        if outcome.is_ok() {
            self.dead.send_replace(false);
        }
        Box::pin(std::future::ready(outcome))
    }

    fn shutdown(&self) -> MachineFuture<'_, ()> {
        self.with(Inner::stop_all);
        Box::pin(std::future::ready(Ok(())))
    }
}
