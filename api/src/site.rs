//! The whole of what is served: the API's operations where they are, pages and files everywhere else; and the
//! server around it.

use std::{sync::Arc, time::Duration};

use poem::{
    Endpoint, EndpointExt as _, Request, Response, Route, Server,
    endpoint::BoxEndpoint,
    error::MethodNotAllowedError,
    http::{HeaderValue, header},
    listener::{Acceptor as _, TcpAcceptor},
};
use tokio::net::TcpListener;

use crate::{
    files::spool,
    http::{
        error::{ApiError, Error},
        middleware::Gate,
    },
    openapi::{methods_at, openapi_document, service},
    page::{self, Pages},
    state::ApiState,
};

/// A connection on which nothing happens for so long is closed. A log that is followed shows life every 15 s.
const IDLE: Duration = Duration::from_secs(75);

/// How long requests may go on after the sign to stop.
const GRACE: Duration = Duration::from_secs(10);

struct Site {
    operations: BoxEndpoint<'static, Response>,
    document: String,
    pages: Arc<Pages>,
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
            let (method, path) = (request.method().clone(), path.to_owned());
            return self.operations.call(request).await.map_err(|error| {
                if error.is::<MethodNotAllowedError>() {
                    return ApiError::MethodNotAllowed(method, methods_at(&path)).into();
                }
                error
            });
        }
        Ok(page::dispatch(&self.state, &self.pages, &request).await?)
    }
}

/// Everything that is served, as one endpoint. What broken uploads left in the spool is cleared away first.
///
/// # Errors
/// When the spool cannot be read, or a page template of ours is broken.
pub fn app(state: ApiState) -> Result<impl Endpoint<Output = Response> + 'static, Error> {
    sweep_spool(&state)?;
    let pages = Arc::new(Pages::new()?);
    let operations = Route::new().nest("/", service(&state)).boxed();
    let site = Site {
        operations,
        document: openapi_document(),
        pages: Arc::clone(&pages),
        state: state.clone(),
    };
    Ok(Gate {
        inner: site,
        state,
        failure_page: Box::new(move |failure| pages.error(failure)),
    })
}

fn sweep_spool(state: &ApiState) -> Result<(), Error> {
    let directory = &state.settings().spool_dir;
    let swept = spool::sweep(directory).map_err(|source| Error::Directory {
        path: directory.display().to_string(),
        source,
    })?;
    if swept > 0 {
        tracing::info!(
            files = swept,
            "Removed what unfinished uploads had left in the spool directory."
        );
    }
    Ok(())
}

/// Serves on `listener` until the state's shutdown token is cancelled; then streams end, requests may finish
/// for ten seconds, and it returns.
///
/// # Errors
/// As [`app`], and [`Error::Serve`] when the listener fails.
pub async fn serve(listener: TcpListener, state: ApiState) -> Result<(), Error> {
    let shutdown = state.shutdown().clone();
    let app = app(state.clone())?;
    let acceptor = TcpAcceptor::from_tokio(listener).map_err(Error::Serve)?;
    if let Some(address) = acceptor.local_addr().first() {
        tracing::info!(%address, public_url = state.settings().public_url, "Serving HTTP.");
    }
    Server::new_with_acceptor(acceptor)
        .name("api")
        .idle_timeout(IDLE)
        .run_with_graceful_shutdown(app, async move { shutdown.cancelled().await }, Some(GRACE))
        .await
        .map_err(Error::Serve)
}
