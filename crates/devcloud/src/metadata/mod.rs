//! The metadata service that instances find at 169.254.169.254: EC2's, versions 1 and 2.
//!
//! An instance is known by the address it asks from, which is its own alone inside the cloud's network. Version 2
//! wants a token first; tokens are bound to the instance and carry their end and a signature, so that nothing has
//! to be kept.

mod tokens;
mod tree;

use std::{
    future::Future,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use devcloud_dialect::whole_number;
use poem::{
    Endpoint, Request, Response, Server,
    http::{HeaderMap, Method, StatusCode, header::CONTENT_TYPE},
    listener::TcpAcceptor,
    web::RemoteAddr,
};
use time::OffsetDateTime;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    CloudConfig, Error,
    ledger::{Instance, InstanceState, Ledger, State},
};
use tokens::Tokens;

const TOKEN: &str = "x-aws-ec2-metadata-token";
const TOKEN_TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";

/// How long a connection may do nothing.
const IDLE: Duration = Duration::from_secs(20);

/// How long answers under way may take at the end.
const FAREWELL: Duration = Duration::from_millis(200);

/// The service, serving until `ending`.
pub(crate) fn serve(
    listener: TcpListener,
    ledger: Ledger,
    config: Arc<CloudConfig>,
    ending: CancellationToken,
) -> Result<impl Future<Output = ()>, Error> {
    let failed = |source| Error::Machines {
        action: "serve metadata",
        source,
    };
    let acceptor = TcpAcceptor::from_tokio(listener).map_err(|error| failed(error.into()))?;
    let tokens = Tokens::new().map_err(|error| failed(error.into()))?;
    let service = Metadata {
        ledger,
        config,
        tokens,
    };
    Ok(async move {
        let server = Server::new_with_acceptor(acceptor)
            .name("metadata")
            .idle_timeout(IDLE);
        let served = server
            .run_with_graceful_shutdown(service, ending.cancelled_owned(), Some(FAREWELL))
            .await;
        if let Err(error) = served {
            tracing::error!(%error, "The metadata service ended badly.");
        }
    })
}

struct Metadata {
    ledger: Ledger,
    config: Arc<CloudConfig>,
    tokens: Tokens,
}

impl Endpoint for Metadata {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let peer = match request.remote_addr() {
            RemoteAddr(poem::Addr::SocketAddr(SocketAddr::V4(address))) => IpAddr::V4(*address.ip()),
            _ => return Ok(StatusCode::NOT_FOUND.into()),
        };
        let (method, path) = (request.method(), request.uri().path());
        let answer = self.answer(peer, method, path, request.headers(), OffsetDateTime::now_utc());
        tracing::debug!(%peer, %method, path, status = %answer.as_ref().map_or_else(|s| *s, |_| StatusCode::OK));
        Ok(match answer {
            Ok(answer) => {
                let mut response = Response::builder()
                    .header(
                        CONTENT_TYPE,
                        if answer.binary {
                            "application/octet-stream"
                        } else {
                            "text/plain"
                        },
                    )
                    .header("server", "EC2ws");
                if let Some(seconds) = answer.token_seconds {
                    response = response.header(TOKEN_TTL, seconds.to_string());
                }
                response.body(answer.body)
            }
            Err(status) => status.into(),
        })
    }
}

/// What is found at a path.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    body: Vec<u8>,
    binary: bool,
    token_seconds: Option<u32>,
}

impl Metadata {
    fn answer(
        &self,
        peer: IpAddr,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        now: OffsetDateTime,
    ) -> Result<Answer, StatusCode> {
        let state = self.ledger.snapshot();
        let instance = find(&state, peer).ok_or(StatusCode::NOT_FOUND)?;
        if !self.config.profile.has_metadata_options {
            // There every method is a GET, and there are no tokens.
            return self.found(&state, instance, path, now);
        }
        if !instance.metadata.enabled {
            return Err(StatusCode::FORBIDDEN);
        }
        if *method == Method::PUT {
            return self.new_token(instance, path, headers, now);
        }
        if *method != Method::GET && *method != Method::HEAD {
            return Err(StatusCode::METHOD_NOT_ALLOWED);
        }
        match headers.get(TOKEN) {
            Some(token) => {
                let token = token.to_str().map_err(|_| StatusCode::UNAUTHORIZED)?;
                if !self.tokens.is_good(token, &instance.id, now) {
                    return Err(StatusCode::UNAUTHORIZED);
                }
            }
            None if instance.metadata.tokens_required => return Err(StatusCode::UNAUTHORIZED),
            None => {}
        }
        self.found(&state, instance, path, now)
    }

    fn found(
        &self,
        state: &State,
        instance: &Instance,
        path: &str,
        now: OffsetDateTime,
    ) -> Result<Answer, StatusCode> {
        let context = tree::Context {
            instance,
            state,
            config: &self.config,
            now,
        };
        let (body, binary) = tree::find(&context, path).ok_or(StatusCode::NOT_FOUND)?;
        Ok(Answer {
            body,
            binary,
            token_seconds: None,
        })
    }

    fn new_token(
        &self,
        instance: &Instance,
        path: &str,
        headers: &HeaderMap,
        now: OffsetDateTime,
    ) -> Result<Answer, StatusCode> {
        if path != "/latest/api/token" {
            return Err(StatusCode::NOT_FOUND);
        }
        // A request that came through a proxy is not the instance's own.
        if headers.contains_key("x-forwarded-for") {
            return Err(StatusCode::FORBIDDEN);
        }
        let seconds = headers
            .get(TOKEN_TTL)
            .and_then(|value| whole_number(value.to_str().ok()?))
            .filter(|seconds| (1..=21_600).contains(seconds))
            .and_then(|seconds| u32::try_from(seconds).ok())
            .ok_or(StatusCode::BAD_REQUEST)?;
        let token = self
            .tokens
            .make(&instance.id, seconds, now)
            .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
        Ok(Answer {
            body: token.into_bytes(),
            binary: false,
            token_seconds: Some(seconds),
        })
    }
}

/// The instance that has this address now.
fn find(state: &State, peer: IpAddr) -> Option<&Instance> {
    let IpAddr::V4(peer) = peer else { return None };
    let instances = state.instances.values();
    let mut alive = instances.filter(|instance| {
        !matches!(instance.state, InstanceState::Terminated | InstanceState::Stopped)
            && instance.private_address == peer
    });
    alive.next().map(AsRef::as_ref)
}

#[cfg(test)]
mod tests;
