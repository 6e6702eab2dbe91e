//! Connections carried between the host's network and the cloud's: public addresses of instances, and ports of
//! the gateway that lead to services of the host.
//!
//! A [`Relay`] owns one listener and all connections that came through it. Half-closed connections are carried
//! right; when a relay is closed its connections are reset, as those of a machine that is gone.

use std::{
    collections::BTreeMap,
    io,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;

use crate::{
    Error, Forward,
    machines::{GATEWAY, Machines},
};

/// How many connections one relay carries at once; more wait in the listener's queue.
const CONNECTIONS: usize = 256;

/// How long the far end may take to accept a connection.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

/// How many relays of machines that lost their power are kept silent.
const SILENT: usize = 32;

/// What is wrong with what connections carry from the far side to the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Line {
    /// After so many bytes nothing more comes.
    pub(crate) stall_after_bytes: Option<u64>,
    pub(crate) bytes_per_second: Option<u64>,
}

type Open = dyn Fn() -> BoxFuture<'static, io::Result<TcpStream>> + Send + Sync;

/// One listener and the connections that came through it.
#[derive(Debug)]
pub struct Relay {
    accepting: CancellationToken,
    carrying: CancellationToken,
    task: JoinHandle<()>,
}

impl Relay {
    /// Accepts on `listener` and carries every connection to one that `open` makes.
    pub(crate) fn start(listener: TcpListener, line: Line, open: Arc<Open>) -> Self {
        let accepting = CancellationToken::new();
        let carrying = CancellationToken::new();
        let task = tokio::spawn(serve(listener, line, open, accepting.clone(), carrying.clone()));
        Self {
            accepting,
            carrying,
            task,
        }
    }

    /// Closes the listener, resets the connections, and returns when they are gone.
    pub async fn close(mut self) {
        self.accepting.cancel();
        self.carrying.cancel();
        if (&mut self.task).await.is_err() {
            tracing::error!("A relay's task ended badly.");
        }
    }

    /// Closes the listener and leaves the connections open and unserved, until the relay is dropped.
    fn silence(&self) {
        self.accepting.cancel();
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.cancel();
        self.carrying.cancel();
    }
}

async fn serve(
    listener: TcpListener,
    line: Line,
    open: Arc<Open>,
    accepting: CancellationToken,
    carrying: CancellationToken,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = accepting.cancelled() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < CONNECTIONS => match accepted {
                Ok((client, _)) => {
                    connections.spawn(carry(client, line, Arc::clone(&open), carrying.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "A connection could not be accepted.");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Carries one connection until both sides are done or `cut` says that the far end is gone.
async fn carry(mut client: TcpStream, line: Line, open: Arc<Open>, cut: CancellationToken) {
    let carried = async {
        let mut inner = open().await?;
        // Interactive traffic: nothing gains from waiting for fuller packets.
        client.set_nodelay(true)?;
        inner.set_nodelay(true)?;
        if line != Line::default() {
            return carry_badly(&mut client, &mut inner, line).await;
        }
        tokio::io::copy_bidirectional(&mut client, &mut inner)
            .await
            .map(drop)
    };
    let ended_well = tokio::select! {
        () = cut.cancelled() => false,
        result = carried => result.is_ok(),
    };
    if !ended_well {
        // An error here means that the connection is gone already, which is what is wanted.
        client.set_zero_linger().ok();
    }
}

/// Carries everything to the far side, and what comes from there as the line lets it.
async fn carry_badly(client: &mut TcpStream, inner: &mut TcpStream, line: Line) -> io::Result<()> {
    let (mut from_client, mut to_client) = client.split();
    let (mut from_inner, mut to_inner) = inner.split();
    let there = async {
        tokio::io::copy(&mut from_client, &mut to_inner).await?;
        to_inner.shutdown().await
    };
    let back = async {
        let mut left = line.stall_after_bytes.unwrap_or(u64::MAX);
        let mut bytes = [0; 4096];
        loop {
            let piece = line.bytes_per_second.unwrap_or(u64::MAX).min(left);
            let most = usize::try_from(piece).unwrap_or(usize::MAX).min(bytes.len());
            if most == 0 {
                // The connection stays open, for as long as the client bears it.
                return std::future::pending().await;
            }
            let count = from_inner.read(bytes.get_mut(..most).unwrap_or_default()).await?;
            if count == 0 {
                return to_client.shutdown().await;
            }
            let length = u64::try_from(count).unwrap_or(u64::MAX);
            left = left.saturating_sub(length);
            if let Some(rate) = line.bytes_per_second {
                let wait = length.saturating_mul(1000).checked_div(rate).unwrap_or_default();
                tokio::time::sleep(Duration::from_millis(wait)).await;
            }
            to_client
                .write_all(bytes.get(..count).unwrap_or_default())
                .await?;
        }
    };
    tokio::try_join!(there, back).map(drop)
}

/// The public addresses of running instances.
pub(crate) struct Publisher {
    machines: Arc<dyn Machines>,
    ssh_port: u16,
    relays: Mutex<BTreeMap<String, Relay>>,
    silent: Mutex<Vec<Relay>>,
}

impl Publisher {
    pub(crate) fn new(machines: Arc<dyn Machines>, ssh_port: u16) -> Self {
        Self {
            machines,
            ssh_port,
            relays: Mutex::default(),
            silent: Mutex::default(),
        }
    }

    /// Opens `public` for an instance; its connections go to port 22 of `private`.
    pub(crate) async fn publish(
        &self,
        id: &str,
        (private, public): (Ipv4Addr, Ipv4Addr),
        line: Line,
    ) -> Result<(), Error> {
        if self
            .relays
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains_key(id)
        {
            return Ok(());
        }
        let address = SocketAddr::from((public, self.ssh_port));
        let listener = TcpListener::bind(address)
            .await
            .map_err(|source| Error::Listen { address, source })?;
        let machines = Arc::clone(&self.machines);
        let open = Arc::new(move || -> BoxFuture<'static, io::Result<TcpStream>> {
            let machines = Arc::clone(&machines);
            Box::pin(async move {
                let inside = SocketAddrV4::new(private, 22);
                machines
                    .connect(inside, CONNECT_PATIENCE)
                    .await
                    .map_err(io::Error::other)
            })
        });
        let relay = Relay::start(listener, line, open);
        self.relays
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id.to_owned(), relay);
        Ok(())
    }

    /// Closes an instance's public address and resets its connections.
    pub(crate) async fn withdraw(&self, id: &str) {
        let relay = self
            .relays
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(id);
        if let Some(relay) = relay {
            relay.close().await;
        }
    }

    /// Closes an instance's public address as a power cut does: its connections are not told.
    pub(crate) fn silence(&self, id: &str) {
        let relay = self
            .relays
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(id);
        if let Some(relay) = relay {
            relay.silence();
            let mut silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
            silent.retain(|relay| !relay.task.is_finished());
            if silent.len() >= SILENT {
                silent.remove(0);
            }
            silent.push(relay);
        }
    }

    /// Closes everything.
    pub(crate) async fn close(&self) {
        let relays = std::mem::take(&mut *self.relays.lock().unwrap_or_else(PoisonError::into_inner));
        let silent = std::mem::take(&mut *self.silent.lock().unwrap_or_else(PoisonError::into_inner));
        futures_util::future::join_all(relays.into_values().chain(silent).map(Relay::close)).await;
    }
}

/// Opens a port of the gateway address for the instances.
pub(crate) async fn start_forward(machines: &Arc<dyn Machines>, forward: Forward) -> Result<Relay, Error> {
    let inside = SocketAddrV4::new(GATEWAY, forward.port);
    let listener = machines.listen(inside).await.map_err(|source| Error::Machines {
        action: "listen on the gateway address",
        source,
    })?;
    let open = Arc::new(move || -> BoxFuture<'static, io::Result<TcpStream>> {
        Box::pin(async move {
            tokio::time::timeout(CONNECT_PATIENCE, TcpStream::connect(forward.target))
                .await
                .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
        })
    });
    Ok(Relay::start(listener, Line::default(), open))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
    };

    use super::{Line, Relay};

    #[tokio::test]
    async fn a_relay_carries_half_closed_connections_and_resets_them_at_its_end() {
        let far = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let far_address = far.local_addr().unwrap();
        let near = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near_address = near.local_addr().unwrap();
        let relay = Relay::start(
            near,
            Line::default(),
            Arc::new(move || Box::pin(TcpStream::connect(far_address))),
        );

        let mut client = TcpStream::connect(near_address).await.unwrap();
        client.write_all(b"question").await.unwrap();
        client.shutdown().await.unwrap();
        let (mut server, _) = far.accept().await.unwrap();
        let mut question = String::new();
        server.read_to_string(&mut question).await.unwrap();
        assert_eq!(question, "question");
        server.write_all(b"answer").await.unwrap();
        drop(server);
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "answer");

        let mut client = TcpStream::connect(near_address).await.unwrap();
        let (_server, _) = far.accept().await.unwrap();
        relay.close().await;
        let error = client.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        TcpStream::connect(near_address).await.unwrap_err();
    }
    #[tokio::test]
    async fn a_bad_line_carries_so_many_bytes_and_then_none_or_so_many_a_second() {
        for (line, least, read) in [
            (
                Line {
                    stall_after_bytes: Some(3),
                    ..Line::default()
                },
                0,
                "ban",
            ),
            (
                Line {
                    stall_after_bytes: Some(0),
                    ..Line::default()
                },
                0,
                "",
            ),
            (
                Line {
                    bytes_per_second: Some(10),
                    ..Line::default()
                },
                500,
                "banner",
            ),
        ] {
            let far = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let far_address = far.local_addr().unwrap();
            let near = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let near_address = near.local_addr().unwrap();
            let _relay = Relay::start(
                near,
                line,
                Arc::new(move || Box::pin(TcpStream::connect(far_address))),
            );
            let began = std::time::Instant::now();
            let mut client = TcpStream::connect(near_address).await.unwrap();
            client.write_all(b"up").await.unwrap();
            let (mut server, _) = far.accept().await.unwrap();
            server.write_all(b"banner").await.unwrap();
            let mut up = [0; 2];
            server.read_exact(&mut up).await.unwrap();
            assert_eq!(&up, b"up", "what the client sends is carried");
            let mut told = vec![0; read.len()];
            client.read_exact(&mut told).await.unwrap();
            assert_eq!(String::from_utf8(told).unwrap(), read);
            assert!(began.elapsed().as_millis() >= least, "{line:?}");
            let more = tokio::time::timeout(std::time::Duration::from_millis(200), client.read_u8()).await;
            assert!(more.is_err(), "{line:?} says more, or closes: {more:?}");
        }
    }
}
