//! What clients see: Amazon's EC2 Query API over HTTP, and the control endpoint of tests.
//!
//! A request is read within bounds, its signature is checked, its parameters are compared with those that the
//! action knows, and the action's handler answers with XML. Handlers change the ledger and nothing else; the
//! machines follow through [`crate::life::Life`].

mod actions;
mod connection;
mod control;
mod identity;
mod images;
mod instances;
mod interfaces;
mod key_pairs;
mod made_images;
mod network;
mod places;
mod security_groups;
mod service;
mod tags;
mod types;
mod view;
mod vpc;

#[cfg(test)]
pub(crate) mod samples;

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use devcloud_dialect::{
    Api, ApiError, Form, Xml, ids,
    signature::{self, Credentials, Scheme, Signed},
};
use poem::{
    Endpoint, Request, Response, Server,
    error::ReadBodyError,
    http::{
        Method, StatusCode, Uri,
        header::{CONNECTION, CONTENT_TYPE},
    },
    web::RemoteAddr,
};
use time::OffsetDateTime;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::connection::{Connections, SwitchedAcceptor};
pub(crate) use self::service::Service;
use crate::{
    Error, Profile,
    faults::{LostAnswer, When},
    profile::no_path,
};

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
    let api = Ec2 {
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

struct Ec2 {
    service: Arc<Service>,
    connections: Connections,
    ending: CancellationToken,
}

impl Endpoint for Ec2 {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let peer = match request.remote_addr() {
            RemoteAddr(poem::Addr::SocketAddr(address)) => Some(*address),
            RemoteAddr(_) => None,
        };
        let request_id = request_id();
        let profile = &self.service.config.profile;
        let body = tokio::time::timeout(BODY_PATIENCE, request.take_body().into_bytes_limit(BODY)).await;
        let body = match body {
            Ok(Ok(body)) => body,
            Ok(Err(ReadBodyError::PayloadTooLarge)) => {
                let message = format!("The request is longer than {BODY} bytes");
                let error = ApiError::new("RequestEntityTooLarge", message);
                let error = error.with_status(StatusCode::PAYLOAD_TOO_LARGE);
                return Ok(failure(profile, Api::Ec2, &error, &request_id));
            }
            Ok(Err(_)) | Err(_) => {
                let error = ApiError::new("IncompleteBody", "The request's body did not arrive");
                return Ok(failure(profile, Api::Ec2, &error, &request_id));
            }
        };
        if let Some(path) = request.uri().path().strip_prefix("/_devcloud/") {
            return Ok(control::answer(&self.service, &request, path, &body).await);
        }
        let response = match self.answer(&request, &body, &request_id).await {
            Ok(Answered { xml, lost: None }) => xml_response(StatusCode::OK, xml),
            Ok(Answered { lost: Some(how), .. }) => self.lose(how, peer).await,
            Err((api, error)) => failure(profile, api, &error, &request_id),
        };
        Ok(response)
    }
}

/// An answer, and whether it is to be lost.
struct Answered {
    xml: String,
    lost: Option<LostAnswer>,
}

impl Answered {
    fn lost(how: LostAnswer) -> Self {
        Self {
            xml: String::new(),
            lost: Some(how),
        }
    }
}

impl Ec2 {
    /// Answers a request. An error comes with the service in whose form it is to be told.
    async fn answer(
        &self,
        request: &Request,
        body: &[u8],
        request_id: &str,
    ) -> Result<Answered, (Api, ApiError)> {
        let path = request.uri().path();
        if !self.service.config.profile.has_any(path) {
            return Err((Api::Ec2, no_path(path)));
        }
        let api = self.caller(request, body).map_err(|error| (Api::Ec2, error))?;
        if !self.service.config.profile.has_path(api, path) {
            return Err((Api::Ec2, no_path(path)));
        }
        self.act(api, request.uri(), body, request_id)
            .await
            .map_err(|error| (api, error))
    }

    /// Checks the signature, and says for which service it was made.
    fn caller(&self, request: &Request, body: &[u8]) -> Result<Api, ApiError> {
        let (method, uri): (&Method, &Uri) = (request.method(), request.uri());
        if *method != Method::GET && *method != Method::POST {
            let error = ApiError::new("UnsupportedOperation", "The API answers GET and POST");
            return Err(error.with_status(StatusCode::METHOD_NOT_ALLOWED));
        }
        let config = &self.service.config;
        let scheme = signature::verify(
            &Signed {
                method,
                path: uri.path(),
                query: uri.query().unwrap_or_default(),
                headers: request.headers(),
                body,
            },
            &Credentials {
                access_key: &config.access_key,
                secret_key: &config.secret_key,
                session_token: config.session_token.as_deref(),
            },
            OffsetDateTime::now_utc(),
        )?;
        match scheme {
            Scheme::Version4 { service } => Api::of_scope(&service).ok_or_else(|| {
                ApiError::auth_failure("Credential should be scoped to correct service: 'ec2'.")
            }),
            Scheme::Version2 if config.profile.takes_version_2 => Ok(Api::Ec2),
            Scheme::Version2 => Err(ApiError::auth_failure(
                "Signatures of version 2 are not accepted: sign with version 4",
            )),
        }
    }

    async fn act(&self, api: Api, uri: &Uri, body: &[u8], request_id: &str) -> Result<Answered, ApiError> {
        let body = std::str::from_utf8(body)
            .map_err(|_| ApiError::new("MalformedQueryString", "The request's body is not UTF-8"))?;
        let form = Form::parse(&[uri.query().unwrap_or_default(), body])?;
        let action = form.get("Action").ok_or_else(|| {
            ApiError::new(
                "MissingAction",
                "The request is missing an action or a required parameter",
            )
        })?;
        let version = form.get("Version").ok_or_else(|| ApiError::missing("Version"))?;
        if !api.has_version(version) {
            let message = format!(
                "The requested version ({version}) of service {} does not exist",
                api.name()
            );
            return Err(ApiError::new("NoSuchVersion", message));
        }
        match self.service.faults.arriving(action) {
            Some((how, When::Before)) => return Ok(Answered::lost(how)),
            Some((how, _)) => {
                // In a task of its own: the server drops what it did for a client that is gone.
                let (service, action) = (Arc::clone(&self.service), action.to_owned());
                tokio::spawn(async move {
                    let answer = actions::dispatch(&service, api, &action, &form).await;
                    tracing::debug!(action, done = answer.is_ok(), "Nobody hears of it.");
                });
                return Ok(Answered::lost(how));
            }
            None => {}
        }
        let answer = actions::dispatch(&self.service, api, action, &form).await;
        match &answer {
            Ok(_) => tracing::debug!(action, request_id, "Answered."),
            Err(error) => tracing::debug!(action, request_id, code = %error.code, error.message, "Refused."),
        }
        let (xml, lost) = answer?;
        let xml = xml.response(api, version, action, request_id);
        Ok(Answered { xml, lost })
    }

    /// The client is not to hear of it.
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

fn failure(profile: &Profile, api: Api, error: &ApiError, request_id: &str) -> Response {
    match profile.early(error) {
        // Eucalyptus puts the sentence where the request's id belongs, and closes the connection.
        Some(early) => Response::builder()
            .status(early.status)
            .header(CONTENT_TYPE, "text/plain; charset=UTF-8")
            .header(CONNECTION, "close")
            .body(Xml::error(Api::Ec2, &early, &early.message)),
        None => xml_response(error.status, Xml::error(api, error, request_id)),
    }
}

/// What of the operator's errors a client of the API is told.
impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        if matches!(error, Error::Ending) {
            return Self::new("Unavailable", "The cloud is ending")
                .with_status(StatusCode::SERVICE_UNAVAILABLE);
        }
        tracing::error!(error = crate::describe(&error), "A request failed.");
        let told = Self::internal();
        if matches!(error, Error::PublicPort { .. }) {
            // Whoever asks can be the one who chose the port.
            return Self {
                message: error.to_string(),
                ..told
            };
        }
        told
    }
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
    let digits = hex::encode(ids::random::<16>().unwrap_or_default());
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
