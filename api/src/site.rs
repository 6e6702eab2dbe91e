//! The whole of what is served: the API's operations where they are, pages and files everywhere else; and the
//! server around it.

use std::sync::Arc;

use poem::{
    Endpoint, EndpointExt as _, Request, Response, Route,
    endpoint::BoxEndpoint,
    error::{MethodNotAllowedError, NotFoundError},
    http::{HeaderValue, header},
};
use tokio::net::TcpListener;

use crate::{
    files::spool,
    http::{
        error::{ApiError, Error},
        kept::KeptAnswers,
        middleware::Gate,
        server,
    },
    openapi::{methods_at, openapi_document, service},
    page::{self, Pages},
    state::ApiState,
};

struct Site {
    operations: BoxEndpoint<'static, Response>,
    kept: KeptAnswers,
    document: String,
    pages: Arc<Pages>,
    state: ApiState,
}

impl Endpoint for Site {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let path = request.uri().path();
        if path == "/api/openapi.json" {
            page::refuse_changes(request.method())?;
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
            let operate = |request| self.operations.call(request);
            let outcome = self.kept.answer(self.state.store(), request, operate).await;
            return outcome.map_err(|error| {
                if !error.is::<MethodNotAllowedError>() {
                    return error;
                }
                match methods_at(&path) {
                    none if none.is_empty() => NotFoundError.into(),
                    methods => ApiError::MethodNotAllowed(method, methods).into(),
                }
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
        kept: KeptAnswers::default(),
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
    let limits = state.settings().limits.clone();
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, public_url = state.settings().public_url, "Serving HTTP.");
    }
    server::serve(listener, app, limits, shutdown)
        .await
        .map_err(Error::Serve)
}
