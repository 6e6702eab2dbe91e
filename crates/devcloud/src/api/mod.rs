//! What clients see: Amazon's EC2 Query API over HTTP, and the control endpoint of tests.
//!
//! A request is read within bounds, its signature is checked, its parameters are compared with those that the
//! action knows, and the action's handler answers with XML. Handlers change the ledger and nothing else; the
//! machines follow through [`crate::cloud::Life`].

mod actions;
mod connection;
mod control;
mod error;
mod filters;
mod images;
mod instances;
mod key_pairs;
mod paging;
mod parameters;
mod places;
mod security_groups;
mod signature;
mod tags;
pub(crate) mod types;
mod xml;

#[cfg(test)]
pub(crate) mod samples;

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use poem::{
    Endpoint, Request, Response, Server,
    error::ReadBodyError,
    http::{Method, StatusCode, Uri, header::CONTENT_TYPE},
    web::RemoteAddr,
};
use time::OffsetDateTime;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    CloudConfig, Error,
    cloud::{Faults, Life, LostAnswer, Machines},
    encoding::random,
    ledger::Ledger,
};
use connection::{Connections, SwitchedAcceptor};
use error::ApiError;
use parameters::Parameters;
use signature::{Credentials, Signed};
use xml::Xml;

/// The longest body that is read.
const BODY: usize = 1024 * 1024;

/// How long a body may take to arrive.
const BODY_PATIENCE: Duration = Duration::from_secs(30);

/// How long a connection may do nothing.
const IDLE: Duration = Duration::from_secs(60);

/// How long answers under way may take at the end.
const FAREWELL: Duration = Duration::from_secs(2);

/// How long an answer that is to be lost by hanging hangs.
const HANG: Duration = Duration::from_secs(600);

/// What handlers work with.
pub(crate) struct Service {
    pub(crate) ledger: Ledger,
    pub(crate) life: Arc<Life>,
    pub(crate) machines: Arc<dyn Machines>,
    pub(crate) faults: Faults,
    pub(crate) config: Arc<CloudConfig>,
}

/// The API, serving until `ending`.
pub(crate) fn serve(
    listener: TcpListener,
    service: Arc<Service>,
    ending: CancellationToken,
) -> Result<impl Future<Output = ()>, Error> {
    let address = listener.local_addr().map_err(|source| Error::Listen {
        address: service.config.listen,
        source,
    })?;
    let connections = Connections::default();
    let acceptor = SwitchedAcceptor::new(listener, address, connections.clone());
    let api = Api {
        service,
        connections,
        ending: ending.clone(),
    };
    Ok(async move {
        let server = Server::new_with_acceptor(acceptor).name("ec2").idle_timeout(IDLE);
        let served = server
            .run_with_graceful_shutdown(api, ending.cancelled_owned(), Some(FAREWELL))
            .await;
        if let Err(error) = served {
            tracing::error!(%error, "The API's server ended badly.");
        }
    })
}

struct Api {
    service: Arc<Service>,
    connections: Connections,
    ending: CancellationToken,
}

impl Endpoint for Api {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let peer = match request.remote_addr() {
            RemoteAddr(poem::Addr::SocketAddr(address)) => Some(*address),
            RemoteAddr(_) => None,
        };
        let request_id = request_id();
        let body = tokio::time::timeout(BODY_PATIENCE, request.take_body().into_bytes_limit(BODY)).await;
        let body = match body {
            Ok(Ok(body)) => body,
            Ok(Err(ReadBodyError::PayloadTooLarge)) => {
                let message = format!("The request is longer than {BODY} bytes");
                let error = ApiError::new("RequestEntityTooLarge", message);
                return Ok(failure(
                    &error.with_status(StatusCode::PAYLOAD_TOO_LARGE),
                    &request_id,
                ));
            }
            Ok(Err(_)) | Err(_) => {
                let error = ApiError::new("IncompleteBody", "The request's body did not arrive");
                return Ok(failure(&error, &request_id));
            }
        };
        if let Some(path) = request.uri().path().strip_prefix("/_devcloud/") {
            return Ok(control::answer(&self.service, &request, path, &body).await);
        }
        let response = match self.answer(&request, &body, &request_id).await {
            Ok(Answered { xml, lost: None }) => xml_response(StatusCode::OK, xml),
            Ok(Answered { lost: Some(how), .. }) => self.lose(how, peer).await,
            Err(error) => failure(&error, &request_id),
        };
        Ok(response)
    }
}

/// An answer, and whether it is to be lost.
struct Answered {
    xml: String,
    lost: Option<LostAnswer>,
}

impl Api {
    async fn answer(&self, request: &Request, body: &[u8], request_id: &str) -> Result<Answered, ApiError> {
        let (method, uri): (&Method, &Uri) = (request.method(), request.uri());
        if *method != Method::GET && *method != Method::POST {
            let error = ApiError::new("UnsupportedOperation", "The API answers GET and POST");
            return Err(error.with_status(StatusCode::METHOD_NOT_ALLOWED));
        }
        let query = uri.query().unwrap_or_default();
        let config = &self.service.config;
        signature::verify(
            &Signed {
                method,
                path: uri.path(),
                query,
                headers: request.headers(),
                body,
            },
            &Credentials {
                access_key: &config.access_key,
                secret_key: &config.secret_key,
            },
            OffsetDateTime::now_utc(),
        )?;
        let body = std::str::from_utf8(body)
            .map_err(|_| ApiError::new("MalformedQueryString", "The request's body is not UTF-8"))?;
        let parameters = Parameters::parse(&[query, body])?;
        let action = parameters.optional("Action").ok_or_else(|| {
            ApiError::new(
                "MissingAction",
                "The request is missing an action or a required parameter",
            )
        })?;
        if parameters.optional("Version").is_none() {
            return Err(ApiError::missing("Version"));
        }
        let answer = actions::dispatch(&self.service, action, &parameters).await;
        match &answer {
            Ok(_) => tracing::debug!(action, request_id, "Answered."),
            Err(error) => tracing::debug!(action, request_id, code = %error.code, error.message, "Refused."),
        }
        let xml = Xml::response(action, request_id, &answer?);
        let lost = if action == "RunInstances" {
            self.service.faults.next_lost_answer()
        } else {
            None
        };
        Ok(Answered { xml, lost })
    }

    /// The work is done, the client is not to hear of it.
    async fn lose(&self, how: LostAnswer, peer: Option<SocketAddr>) -> Response {
        tracing::info!(?how, "An answer is lost on purpose.");
        match how {
            LostAnswer::Reset => {
                if let Some(peer) = peer {
                    self.connections.cut(peer);
                }
            }
            LostAnswer::Hang => {
                tokio::select! {
                    () = self.ending.cancelled() => {}
                    () = tokio::time::sleep(HANG) => {}
                }
            }
        }
        StatusCode::SERVICE_UNAVAILABLE.into()
    }
}

fn failure(error: &ApiError, request_id: &str) -> Response {
    xml_response(error.status, Xml::error(&error.code, &error.message, request_id))
}

fn xml_response(status: StatusCode, xml: String) -> Response {
    Response::builder()
        .status(status)
        .header(CONTENT_TYPE, "text/xml;charset=UTF-8")
        .header("server", "devcloud")
        .body(xml)
}

/// A request id in the form of a UUID. It only has to be told apart in logs.
fn request_id() -> String {
    let digits = hex::encode(random::<16>().unwrap_or_default());
    let mut id = String::with_capacity(36);
    for (place, digit) in digits.chars().enumerate() {
        if matches!(place, 8 | 12 | 16 | 20) {
            id.push('-');
        }
        id.push(digit);
    }
    id
}

#[cfg(test)]
mod tests;
