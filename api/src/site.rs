//! The whole of what is served: the API's operations where they are, pages and files everywhere else; and the
//! server around it.

use std::time::Duration;

use poem::{
    Endpoint, EndpointExt as _, Request, Response, Route, Server,
    endpoint::BoxEndpoint,
    http::{HeaderValue, header},
    listener::{Acceptor as _, TcpAcceptor},
};
use tokio::net::TcpListener;

use crate::{
    error::Error,
    middleware::Gate,
    openapi::{openapi_document, service},
    page,
    state::ApiState,
};

/// A connection on which nothing happens for so long is closed. A log that is followed shows life every 15 s.
const IDLE: Duration = Duration::from_secs(75);

/// How long requests may go on after the sign to stop.
const GRACE: Duration = Duration::from_secs(10);

struct Site {
    operations: BoxEndpoint<'static, Response>,
    document: String,
    state: ApiState,
}

impl Endpoint for Site {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let path = request.uri().path();
        if path == "/api/openapi.json" {
            let mut response = Response::builder()
                .content_type("application/json")
                .body(self.document.clone());
            response
                .headers_mut()
                .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
            return Ok(response);
        }
        if path == "/api_3" || path.starts_with("/api_3/") || path.starts_with("/api/") {
            return self.operations.call(request).await;
        }
        Ok(page::dispatch(&self.state, &request).await?)
    }
}

/// Everything that is served, as one endpoint.
pub fn app(state: ApiState) -> impl Endpoint<Output = Response> + 'static {
    let operations = Route::new().nest("/", service(&state)).boxed();
    let site = Site {
        operations,
        document: openapi_document(),
        state: state.clone(),
    };
    Gate { inner: site, state }
}

/// Serves on `listener` until the state's shutdown token is cancelled; then streams end, requests may finish
/// for ten seconds, and it returns.
///
/// # Errors
/// [`Error::Serve`] when the listener fails.
pub async fn serve(listener: TcpListener, state: ApiState) -> Result<(), Error> {
    let shutdown = state.shutdown().clone();
    let acceptor = TcpAcceptor::from_tokio(listener).map_err(Error::Serve)?;
    if let Some(address) = acceptor.local_addr().first() {
        tracing::info!(%address, public_url = state.settings().public_url, "Serving HTTP.");
    }
    Server::new_with_acceptor(acceptor)
        .name("api")
        .idle_timeout(IDLE)
        .run_with_graceful_shutdown(app(state), async move { shutdown.cancelled().await }, Some(GRACE))
        .await
        .map_err(Error::Serve)
}
