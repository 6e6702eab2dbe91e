//! Connections of the API that can be cut from within a handler, so that an answer is lost as a network loses it.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use poem::{
    http::uri::Scheme,
    listener::Acceptor,
    web::{LocalAddr, RemoteAddr},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
};

/// The open connections by the address of their client.
#[derive(Clone, Default)]
pub(super) struct Connections {
    open: Arc<Mutex<BTreeMap<SocketAddr, Arc<AtomicBool>>>>,
}

impl Connections {
    /// From now on nothing is written to this client, and its connection is reset.
    pub(super) fn cut(&self, client: SocketAddr) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cut) = open.get(&client) {
            cut.store(true, Ordering::Release);
        }
    }
}

/// Accepts connections and keeps their switches.
pub(super) struct SwitchedAcceptor {
    listener: TcpListener,
    address: SocketAddr,
    connections: Connections,
}

impl SwitchedAcceptor {
    pub(super) fn new(listener: TcpListener, address: SocketAddr, connections: Connections) -> Self {
        Self {
            listener,
            address,
            connections,
        }
    }
}

impl Acceptor for SwitchedAcceptor {
    type Io = SwitchedStream;

    fn local_addr(&self) -> Vec<LocalAddr> {
        vec![LocalAddr(self.address.into())]
    }

    async fn accept(&mut self) -> io::Result<(Self::Io, LocalAddr, RemoteAddr, Scheme)> {
        let (stream, client) = self.listener.accept().await?;
        stream.set_nodelay(true)?;
        let cut = Arc::new(AtomicBool::new(false));
        let mut open = self
            .connections
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        open.insert(client, Arc::clone(&cut));
        drop(open);
        let stream = SwitchedStream {
            stream,
            client,
            cut,
            connections: self.connections.clone(),
        };
        Ok((
            stream,
            LocalAddr(self.address.into()),
            RemoteAddr(client.into()),
            Scheme::HTTP,
        ))
    }
}

/// A connection that ends in an error once its switch is set.
pub(super) struct SwitchedStream {
    stream: TcpStream,
    client: SocketAddr,
    cut: Arc<AtomicBool>,
    connections: Connections,
}

impl SwitchedStream {
    fn check(&self) -> io::Result<()> {
        if self.cut.load(Ordering::Acquire) {
            self.stream.set_zero_linger()?;
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }
}

impl Drop for SwitchedStream {
    fn drop(&mut self) {
        self.connections
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.client);
    }
}

impl AsyncRead for SwitchedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for SwitchedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
