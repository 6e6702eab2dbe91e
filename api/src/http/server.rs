//! Connections: how many there may be, how long a client may leave one idle or a head unfinished, and how they end.
//!
//! hyper serves them, not poem's own server: that one sets no limit on the time of a head, and none on the number of
//! connections. HTTP/1.1 only: a proxy in front speaks HTTP/2 and TLS with whoever wants it.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use hyper::{Request as Incoming, body::Incoming as Body, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use poem::{
    Addr, Endpoint, Request, Response,
    http::uri::Scheme,
    web::{LocalAddr, RemoteAddr},
};
use runtime::CancellationToken;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::{
    clients::{Client, Full, Place, Quota, is_in},
    error::ApiError,
    pace::Paced,
};
use crate::settings::Limits;

/// The longest head of a request, in bytes.
const LONGEST_HEAD: usize = 64 << 10;

/// How long to wait when no connection can be accepted: that a descriptor becomes free takes time, not tries.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How many clients are told at once that there are too many connections. Others are cut off without a word.
const REFUSALS: usize = 32;
/// How long telling so may take.
const REFUSAL_TIME: Duration = Duration::from_secs(2);

/// How long requests may go on after the sign to stop.
const GRACE: Duration = Duration::from_secs(10);

/// How many connections a process may hold that may open `descriptors` files: a connection may need a second one for the
/// file that is sent, and at least half are for everything else that the process does.
pub(crate) fn affordable(wanted: usize, descriptors: Option<u64>) -> usize {
    const MOST_KEPT: u64 = 2048;
    let Some(descriptors) = descriptors else {
        return wanted.max(1);
    };
    let kept = (descriptors / 2).min(MOST_KEPT);
    let connections = descriptors.saturating_sub(kept) / 2;
    wanted
        .min(usize::try_from(connections).unwrap_or(usize::MAX))
        .max(1)
}

/// How many files the process may have open.
fn descriptors() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}

/// The connections that there may be. No client gets more than half of them, so that others can still ask.
fn quota(limits: &Limits, descriptors: Option<u64>) -> Arc<Quota> {
    let connections = affordable(limits.connections, descriptors);
    if connections < limits.connections {
        tracing::info!(
            connections,
            descriptors,
            "The process may have too few files open for more connections at once."
        );
    }
    Quota::new(
        connections,
        limits.connections_per_client.min(connections / 2).max(1),
    )
}

struct Server<E> {
    endpoint: E,
    limits: Limits,
    quota: Arc<Quota>,
    local: SocketAddr,
    shutdown: CancellationToken,
}

/// Serves until `shutdown` is cancelled; then requests may go on for ten seconds, and it returns.
pub(crate) async fn serve<E>(
    listener: TcpListener,
    endpoint: E,
    limits: Limits,
    shutdown: CancellationToken,
) -> io::Result<()>
where
    E: Endpoint<Output = Response> + 'static,
{
    let server = Arc::new(Server {
        endpoint,
        quota: quota(&limits, descriptors()),
        local: listener.local_addr()?,
        limits,
        shutdown,
    });
    let (mut connections, mut refusals) = (JoinSet::new(), JoinSet::new());
    let mut is_failing = false;
    loop {
        let accepted = tokio::select! {
            () = server.shutdown.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            Some(_) = refusals.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let (socket, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                if !is_failing {
                    tracing::warn!(%error, "A connection cannot be accepted.");
                }
                is_failing = true;
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        is_failing = false;
        let is_proxy = is_in(&server.limits.trusted_proxies, peer.ip());
        match server.quota.take((!is_proxy).then(|| Client::new(peer.ip()))) {
            Ok(place) => {
                connections.spawn(Arc::clone(&server).converse(socket, peer, place));
            }
            Err(full) if refusals.len() < REFUSALS => {
                refusals.spawn(tokio::time::timeout(REFUSAL_TIME, refuse(socket, full)));
            }
            Err(_) => {}
        }
    }
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, all).await.is_err() {
        tracing::info!(
            connections = connections.len(),
            "Requests that did not end in time are cut off."
        );
    }
    connections.shutdown().await;
    Ok(())
}

impl<E> Server<E>
where
    E: Endpoint<Output = Response> + 'static,
{
    /// Answers the requests of one connection.
    async fn converse(self: Arc<Self>, socket: TcpStream, peer: SocketAddr, _place: Place) {
        // Answers are written whole; waiting for more of them would only cost time.
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(%peer, %error, "A connection cannot be told not to delay.");
        }
        let stream = Paced::new(socket, self.limits.pace());
        let service = service_fn(|request| {
            let server = Arc::clone(&self);
            async move { Ok::<_, Infallible>(server.answer(request, peer).await.into()) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.head_timeout)
            .max_buf_size(LONGEST_HEAD)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.shutdown.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%peer, %error, "A connection ended early.");
        }
    }

    async fn answer(&self, request: Incoming<Body>, peer: SocketAddr) -> Response {
        let local = LocalAddr(Addr::SocketAddr(self.local));
        let remote = RemoteAddr(Addr::SocketAddr(peer));
        let client = Client::of(peer.ip(), request.headers(), &self.limits.trusted_proxies);
        let mistake = mistake(&request);
        let mut request = Request::from((request, local, remote, Scheme::HTTP));
        request.set_data(client);
        if let Some(mistake) = mistake {
            request.set_data(mistake);
        }
        self.endpoint.get_response(request).await
    }
}

/// What makes a head one that nobody may answer as if it were good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mistake(pub(crate) &'static str);

/// What is wrong with a head, by RFC 9112, sections 3.2 and 3.2.3 to 3.2.4.
fn mistake<T>(request: &Incoming<T>) -> Option<Mistake> {
    use poem::http::{Method, Version, header::HOST};
    let uri = request.uri();
    let method = request.method();
    if uri.scheme().is_none() && uri.authority().is_some() && method != Method::CONNECT {
        return Some(Mistake(
            "The target of the request is a host and a port; only the method CONNECT has such a one. Ask for a path.",
        ));
    }
    if uri.path() == "*" && method != Method::OPTIONS {
        return Some(Mistake(
            "The target of the request is '*'; only the method OPTIONS has such a one. Ask for a path.",
        ));
    }
    match request.headers().get_all(HOST).iter().count() {
        0 if request.version() == Version::HTTP_11 => Some(Mistake("The header Host is missing.")),
        0 | 1 => None,
        _ => Some(Mistake("The header Host is there more than once.")),
    }
}

/// Tells one client, who will not wait for it, that there are too many connections.
async fn refuse(socket: TcpStream, full: Full) {
    let refusal = match full {
        Full::Client => ApiError::TooMany(
            "There are too many connections from this address. Please close some, or try again later."
                .to_owned(),
        ),
        Full::All => ApiError::Unavailable(
            "There are too many connections at the moment. Please try again later.".to_owned(),
        ),
    };
    let service = service_fn(|_: Incoming<Body>| {
        let response = refusal.to_response();
        async { Ok::<_, Infallible>(response.into()) }
    });
    // Whether he still listens does not matter.
    http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(LONGEST_HEAD)
        .serve_connection(TokioIo::new(socket), service)
        .await
        .ok();
}

#[cfg(test)]
mod tests {
    use poem::http::Request;

    use super::{affordable, mistake};

    #[test]
    fn connections_leave_descriptors_for_the_rest_of_the_farm() {
        for (wanted, descriptors, expected) in [
            (4096, None, 4096),
            (4096, Some(1_048_576), 4096),
            (4096, Some(20_000), 4096),
            (4096, Some(4096), 1024),
            (4096, Some(1024), 256),
            (4096, Some(300), 75),
            (50, Some(1024), 50),
            (4096, Some(0), 1),
        ] {
            assert_eq!(
                affordable(wanted, descriptors),
                expected,
                "{wanted} {descriptors:?}"
            );
        }
    }

    #[test]
    fn only_a_path_or_a_whole_address_can_be_asked_for() {
        for (method, target, host, expected) in [
            ("GET", "/health", 1, ""),
            ("GET", "http://farm.example.org/health", 1, ""),
            ("OPTIONS", "*", 1, ""),
            ("CONNECT", "farm.example.org:443", 1, ""),
            ("GET", "127.0.0.1:5183", 1, "only the method CONNECT"),
            ("POST", "farm.example.org", 1, "only the method CONNECT"),
            ("GET", "*", 1, "only the method OPTIONS"),
            ("GET", "/health", 0, "Host is missing"),
            ("GET", "/health", 2, "more than once"),
        ] {
            let mut request = Request::builder().method(method).uri(target);
            for _ in 0..host {
                request = request.header("Host", "farm.example.org");
            }
            let said = mistake(&request.body(()).unwrap()).map_or("", |mistake| mistake.0);
            assert!(
                said.contains(expected) && said.is_empty() == expected.is_empty(),
                "{target}: {said}"
            );
        }
    }
}
