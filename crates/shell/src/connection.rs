//! One SSH connection to one machine whose host key is known beforehand.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use russh::client::{self, AuthResult, DisconnectReason};
use russh::keys::{Algorithm, PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh::{Disconnect, Preferred, cipher};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::error::Cause;
use crate::socket::Socket;
use crate::{ClientKey, Error, HostKey};

/// Where to connect, and as whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// An IP address (without brackets) or a host name.
    pub host: String,
    /// The TCP port; 22 as a rule.
    pub port: u16,
    /// The remote user.
    pub user: String,
}

impl Endpoint {
    /// Puts the parts together.
    pub fn new(host: impl Into<String>, port: u16, user: impl Into<String>) -> Self {
        Self {
            host: host.into(),
            port,
            user: user.into(),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(formatter, "{}@[{}]:{}", self.user, self.host, self.port)
        } else {
            write!(formatter, "{}@{}:{}", self.user, self.host, self.port)
        }
    }
}

/// How long the parts of a connection may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From the first TCP packet to the accepted key: connect, banner, key exchange, authentication. 20 s.
    pub handshake: Duration,
    /// From asking for a channel to having it. 15 s.
    pub channel: Duration,
    /// A quiet connection is asked for a sign of life this often. 5 s.
    pub keepalive_interval: Duration,
    /// After this many unanswered keepalives the connection is taken for dead. 3.
    pub keepalive_misses: u32,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(20),
            channel: Duration::from_secs(15),
            keepalive_interval: Duration::from_secs(5),
            keepalive_misses: 3,
        }
    }
}

/// What the protocol task tells us about the connection: the key it was shown, and why it ended.
#[derive(Clone, Default)]
struct Notes {
    inner: Arc<Mutex<(Option<HostKey>, Option<String>)>>,
}

impl Notes {
    fn host_key(&self) -> Option<HostKey> {
        self.inner
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .0
            .clone()
    }

    /// Why the connection ended, as far as it is known.
    fn end(&self) -> String {
        let why = self
            .inner
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .1
            .clone();
        why.unwrap_or_else(|| "the peer closed the channel without an exit status".to_owned())
    }

    fn set_host_key(&self, key: HostKey) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).0 = Some(key);
    }

    fn set_end(&self, why: String) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).1 = Some(why);
    }
}

/// Our side of the protocol: checks the host key, and notes what was shown.
pub(crate) struct Watcher {
    /// The key that is accepted; without one none is.
    expected: Option<HostKey>,
    notes: Notes,
}

impl client::Handler for Watcher {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        // Certificates are never asked for, so one that comes anyway is refused.
        let PublicKeyOrCertificate::PublicKey { key, .. } = shown else {
            return Ok(false);
        };
        let key = HostKey::from_public(key)?;
        let accepted = self.expected.as_ref() == Some(&key);
        self.notes.set_host_key(key);
        Ok(accepted)
    }

    async fn disconnected(&mut self, reason: DisconnectReason<russh::Error>) -> Result<(), russh::Error> {
        let why = match reason {
            DisconnectReason::ReceivedDisconnect(info) => format!("the server said: {}", info.message),
            DisconnectReason::Error(error) => error.to_string(),
        };
        tracing::debug!(why, "The SSH connection ended.");
        self.notes.set_end(why);
        Ok(())
    }
}

/// An open connection. Commands and transfers may run on it at the same time (sshd permits 10 by default).
///
/// Dropping it closes the socket; what still runs on it ends as lost.
pub struct Connection {
    pub(crate) handle: client::Handle<Watcher>,
    endpoint: Endpoint,
    host_key: HostKey,
    timeouts: Timeouts,
    notes: Notes,
    _cut: DropGuard,
}

impl Connection {
    /// Connects, checks that the machine has the expected host key, and logs in with `key`. There is no "accept anything".
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::HostKeyMismatch`], [`Error::AuthenticationRefused`], [`Error::Protocol`].
    pub async fn open(
        endpoint: &Endpoint,
        key: &ClientKey,
        expected: &HostKey,
        timeouts: Timeouts,
    ) -> Result<Self, Error> {
        let mut stage = CONNECTING;
        let opening = Self::handshake(endpoint, key, expected, timeouts, &mut stage);
        match timeout(timeouts.handshake, opening).await {
            Ok(result) => result,
            Err(elapsed) => Err(unreachable(endpoint, stage, elapsed)),
        }
    }

    async fn handshake(
        endpoint: &Endpoint,
        key: &ClientKey,
        expected: &HostKey,
        timeouts: Timeouts,
        stage: &mut &'static str,
    ) -> Result<Self, Error> {
        let cut = CancellationToken::new();
        let guard = cut.clone().drop_guard();
        let silence = timeouts
            .keepalive_interval
            .saturating_mul(timeouts.keepalive_misses.saturating_add(1));
        let socket = Socket::connect(&endpoint.host, endpoint.port, silence, cut)
            .await
            .map_err(|error| unreachable(endpoint, stage, error))?;
        *stage = EXCHANGING_KEYS;
        let notes = Notes::default();
        let watcher = Watcher {
            expected: Some(expected.clone()),
            notes: notes.clone(),
        };
        let settings = configuration(Some(expected), timeouts);
        let connected = client::connect_stream(Arc::new(settings), socket, watcher).await;
        let mut handle = match connected {
            Ok(handle) => handle,
            Err(russh::Error::UnknownKey) => return Err(mismatch(endpoint, expected, &notes)),
            Err(error) => return Err(handshake_error(endpoint, stage, error)),
        };
        let Some(host_key) = notes.host_key() else {
            return Err(mismatch(endpoint, expected, &notes));
        };
        *stage = AUTHENTICATING;
        let answer = handle
            .authenticate_publickey(
                endpoint.user.clone(),
                PrivateKeyWithHashAlg::new(key.private(), None),
            )
            .await
            .map_err(|error| handshake_error(endpoint, stage, error))?;
        match answer {
            AuthResult::Success => {}
            // The library's word for a connection that ended: who refuses a key says what may be tried instead.
            AuthResult::Failure {
                remaining_methods, ..
            } if remaining_methods.is_empty() => {
                return Err(unreachable(endpoint, stage, russh::Error::Disconnect));
            }
            AuthResult::Failure { .. } => {
                return Err(Error::AuthenticationRefused {
                    endpoint: endpoint.to_string(),
                    fingerprint: key.fingerprint(),
                });
            }
        }
        tracing::debug!(%endpoint, host_key = host_key.fingerprint(), "The SSH connection is open.");
        Ok(Self {
            handle,
            endpoint: endpoint.clone(),
            host_key,
            timeouts,
            notes,
            _cut: guard,
        })
    }

    /// Where this connection goes.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The key the machine showed, which satisfied the policy.
    pub fn host_key(&self) -> &HostKey {
        &self.host_key
    }

    /// Whether the connection is known to be over. A dead peer is only noticed after the keepalives.
    pub fn is_closed(&self) -> bool {
        self.handle.is_closed()
    }

    /// Says goodbye. Never fails and takes at most a second; the socket is closed when the connection is dropped, with or
    /// without it.
    pub async fn close(&self) {
        let goodbye = self.handle.disconnect(Disconnect::ByApplication, "", "en");
        // A peer that does not hear it any more sees the socket close.
        timeout(Duration::from_secs(1), goodbye).await.ok();
    }

    pub(crate) fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    /// Why the connection ended, for the text of an error.
    pub(crate) fn end(&self) -> String {
        self.notes.end()
    }

    /// A handle on the reason of the end, for parts that outlive a borrow of the connection.
    pub(crate) fn end_note(&self) -> impl Fn() -> String + Send + Sync + 'static {
        let notes = self.notes.clone();
        move || notes.end()
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "Connection({}, {})",
            self.endpoint,
            self.host_key.fingerprint()
        )
    }
}

impl HostKey {
    /// The key that whoever listens there shows. Nobody is logged in, and nothing is said of ourselves; to trust the key is the
    /// caller's decision.
    ///
    /// # Errors
    /// [`Error::Unreachable`]; [`Error::Protocol`], also where a certificate is shown.
    pub async fn shown_at(host: &str, port: u16, limit: Duration) -> Result<Self, Error> {
        let endpoint = Endpoint::new(host, port, "nobody");
        let timeouts = Timeouts {
            handshake: limit,
            ..Timeouts::default()
        };
        let mut stage = CONNECTING;
        match timeout(limit, show(&endpoint, timeouts, &mut stage)).await {
            Ok(result) => result,
            Err(elapsed) => Err(unreachable(&endpoint, stage, elapsed)),
        }
    }
}

/// Exchanges keys with whoever listens there, up to the moment at which its key is to be accepted.
async fn show(endpoint: &Endpoint, timeouts: Timeouts, stage: &mut &'static str) -> Result<HostKey, Error> {
    let cut = CancellationToken::new();
    let _guard = cut.clone().drop_guard();
    let socket = Socket::connect(&endpoint.host, endpoint.port, timeouts.handshake, cut)
        .await
        .map_err(|error| unreachable(endpoint, stage, error))?;
    *stage = EXCHANGING_KEYS;
    let notes = Notes::default();
    let watcher = Watcher {
        expected: None,
        notes: notes.clone(),
    };
    let settings = Arc::new(configuration(None, timeouts));
    let Err(error) = client::connect_stream(settings, socket, watcher).await else {
        return Err(no_key(endpoint));
    };
    match (error, notes.host_key()) {
        (russh::Error::UnknownKey, Some(key)) => Ok(key),
        (russh::Error::UnknownKey, None) => Err(no_key(endpoint)),
        (error, _) => Err(handshake_error(endpoint, stage, error)),
    }
}

const CONNECTING: &str = "the TCP connection";
const EXCHANGING_KEYS: &str = "the key exchange";
const AUTHENTICATING: &str = "the authentication";

fn configuration(expected: Option<&HostKey>, timeouts: Timeouts) -> client::Config {
    let mut preferred = Preferred {
        // The fastest one on machines with AES instructions, which builders are, first.
        cipher: Cow::Borrowed(&[
            cipher::AES_128_GCM,
            cipher::AES_256_GCM,
            cipher::CHACHA20_POLY1305,
            cipher::AES_256_CTR,
        ]),
        ..Preferred::DEFAULT
    };
    // The pinned algorithm first, so that a machine with keys of several kinds shows the one we know; the others
    // stay, so that another machine is recognised by the key it shows and not by a failed negotiation.
    if let Some(algorithm) = expected.and_then(HostKey::algorithm) {
        let mut order = preferred.key.into_owned();
        order.sort_by_key(|other| !same_family(other, &algorithm));
        preferred.key = Cow::Owned(order);
    }
    client::Config {
        nodelay: true,
        keepalive_interval: Some(timeouts.keepalive_interval),
        keepalive_max: usize::try_from(timeouts.keepalive_misses).unwrap_or(usize::MAX),
        // What a channel may send before it is acknowledged: 8 MiB is 160 MB/s at 50 ms.
        window_size: 8 * 1024 * 1024,
        channel_buffer_size: 256,
        preferred,
        ..client::Config::default()
    }
}

/// Whether two algorithms use the same kind of key: RSA keys sign with several.
fn same_family(one: &Algorithm, other: &Algorithm) -> bool {
    one == other || matches!((one, other), (Algorithm::Rsa { .. }, Algorithm::Rsa { .. }))
}

fn unreachable(endpoint: &Endpoint, stage: &'static str, cause: impl Into<Cause>) -> Error {
    Error::Unreachable {
        endpoint: endpoint.to_string(),
        stage,
        cause: cause.into(),
    }
}

fn mismatch(endpoint: &Endpoint, expected: &HostKey, notes: &Notes) -> Error {
    match notes.host_key() {
        Some(got) => Error::HostKeyMismatch {
            endpoint: endpoint.to_string(),
            expected: expected.fingerprint().to_owned(),
            got: got.fingerprint().to_owned(),
        },
        None => no_key(endpoint),
    }
}

fn no_key(endpoint: &Endpoint) -> Error {
    Error::Protocol {
        what: format!("the key exchange with {endpoint}"),
        cause: "the server showed a certificate, not a key".into(),
    }
}

/// A server that hangs up or times out is still booting or overloaded; anything else is a disagreement.
fn handshake_error(endpoint: &Endpoint, stage: &'static str, error: russh::Error) -> Error {
    match error {
        russh::Error::IO(_)
        | russh::Error::Disconnect
        | russh::Error::HUP
        | russh::Error::SendError
        | russh::Error::RecvError
        | russh::Error::ConnectionTimeout
        | russh::Error::KeepaliveTimeout
        | russh::Error::Elapsed(_) => unreachable(endpoint, stage, error),
        other => Error::Protocol {
            what: format!("{stage} with {endpoint}"),
            cause: Box::new(other),
        },
    }
}

#[cfg(test)]
mod tests;
