//! What happens to every request before a handler sees it, and to every answer before a client does.
//!
//! In: an id, an address without a trailing slash for the API, old clients' POST turned into the method that
//! the operation has now, a limit on bytes and on silence. Out: one shape of errors, no detail of our own
//! faults, headers that keep browsers from guessing.

use std::{
    any::Any,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{FutureExt as _, Stream, StreamExt as _};
use poem::{
    Body, Endpoint, Request, Response,
    http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header, uri::PathAndQuery},
};
use tokio::time::Instant;

use crate::{
    http::{
        arguments::{content_length, too_large},
        error::ApiError,
        origin,
        pace::Pace,
        server::Mistake,
    },
    settings::{MAX_BODY_BYTES, UPLOAD_OVERHEAD_BYTES},
    state::ApiState,
};

/// The header that names a request in the log.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The one address whose body may be as large as a source package.
const UPLOAD_PATH: &str = "/api_3/build/create/upload";

/// Operations that old clients POST to, by the beginning of their address.
const ALIASES: [(&str, Method); 5] = [
    ("/api_3/project/edit/", Method::PUT),
    ("/api_3/project/delete/", Method::DELETE),
    ("/api_3/project/regenerate-repos/", Method::PUT),
    ("/api_3/build/cancel/", Method::PUT),
    ("/api_3/build/delete/", Method::DELETE),
];

/// What a client still has to send when it is refused early is read to this extent, so that it sees the
/// answer and not a broken connection.
const DRAIN_BYTES: u64 = 64 << 20;
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// Shows a failure as a page; none when not even that works.
pub(crate) type FailurePage = Box<dyn Fn(&ApiError) -> Option<Response> + Send + Sync>;

/// The outermost endpoint.
pub(crate) struct Gate<E> {
    pub(crate) inner: E,
    pub(crate) state: ApiState,
    pub(crate) failure_page: FailurePage,
}

/// How reading a body went wrong, seen from outside the handler.
const BODY_FINE: u8 = 0;
const BODY_TOO_LARGE: u8 = 1;
const BODY_TOO_SLOW: u8 = 2;

impl<E: Endpoint> Endpoint for Gate<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let started = Instant::now();
        let id = uuid::Uuid::now_v7().simple().to_string();
        let method = request.method().clone();
        let path = request.uri().path().to_owned();
        let wants_page = wants_page(&request);
        request.set_data(self.state.clone());
        normalise(&mut request);
        let aliased = apply_alias(&mut request);
        let mut response = match self.guarded(request).await {
            Ok(response) => response,
            Err(error) => self.refuse(&error, &id, &path, &method, wants_page),
        };
        finish(&mut response, &id, aliased);
        tracing::debug!(
            request = %id, %method, %path, status = response.status().as_u16(),
            milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            "Answered a request."
        );
        Ok(response)
    }
}

impl<E: Endpoint> Gate<E> {
    /// Runs the handler with a limited body; a panic in it is an error like others.
    async fn guarded(&self, mut request: Request) -> poem::Result<Response> {
        let limit = if request.uri().path() == UPLOAD_PATH {
            self.state
                .settings()
                .max_upload_bytes
                .saturating_add(UPLOAD_OVERHEAD_BYTES)
        } else {
            MAX_BODY_BYTES
        };
        if content_length(&request).is_some_and(|length| length > limit) {
            drain(request.take_body()).await;
            return Err(too_large(limit).into());
        }
        if origin::is_foreign(&request, &self.state.settings().public_url) {
            drain(request.take_body()).await;
            let why = "A page of another site has made your browser send this: nothing was done.";
            return Err(ApiError::Forbidden(why.to_owned()).into());
        }
        let trouble = Arc::new(AtomicU8::new(BODY_FINE));
        let body = request.take_body();
        if !body.is_empty() {
            let limited = limited(
                body,
                limit,
                self.state.settings().limits.pace(),
                Arc::clone(&trouble),
            );
            request.set_body(Body::from_bytes_stream(limited));
        }
        if let Some(Mistake(mistake)) = request.data::<Mistake>() {
            return Err(ApiError::Invalid((*mistake).to_owned()).into());
        }
        let outcome = AssertUnwindSafe(self.inner.call(request)).catch_unwind().await;
        // The handler saw no more than a failed read; only here it is known why.
        match trouble.load(Ordering::Relaxed) {
            BODY_TOO_LARGE => return Err(too_large(limit).into()),
            BODY_TOO_SLOW => {
                return Err(ApiError::Timeout(
                    "The body of the request stopped arriving, or arrives too slowly.".to_owned(),
                )
                .into());
            }
            _ => {}
        }
        match outcome {
            Ok(answer) => answer.map(poem::IntoResponse::into_response),
            Err(panic) => {
                Err(ApiError::Internal(format!("a handler panicked: {}", panic_text(&*panic))).into())
            }
        }
    }

    fn refuse(
        &self,
        error: &poem::Error,
        id: &str,
        path: &str,
        method: &Method,
        wants_page: bool,
    ) -> Response {
        let raised;
        let refusal = if let Some(refusal) = error.downcast_ref::<ApiError>() {
            refusal
        } else {
            raised = ApiError::from_poem(error, path);
            &raised
        };
        if let ApiError::Internal(detail) = refusal {
            tracing::error!(request = id, %method, path, detail, "A request failed by our own fault.");
        }
        if wants_page && let Some(page) = (self.failure_page)(refusal) {
            return page;
        }
        refusal.to_response()
    }
}

/// Whether a failure of this request is best shown as a page.
fn wants_page(request: &Request) -> bool {
    let path = request.uri().path();
    let is_api = path.starts_with("/api") && path.trim_end_matches('/') != "/api";
    !is_api
        && request
            .headers()
            .get(header::ACCEPT)
            .and_then(|accept| accept.to_str().ok())
            .is_some_and(|accept| accept.contains("text/html"))
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "no text".to_owned())
}

/// Takes the slash off the end of an address of the API: with and without are the same, without a redirect.
fn normalise(request: &mut Request) {
    let uri = request.uri();
    let path = uri.path();
    if !path.starts_with("/api") || path.len() < 2 || !path.ends_with('/') {
        return;
    }
    let path = path.trim_end_matches('/');
    let text = uri
        .query()
        .map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    if let Ok(path_and_query) = text.parse::<PathAndQuery>() {
        let mut parts = uri.clone().into_parts();
        parts.path_and_query = Some(path_and_query);
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
}

/// Makes an old client's POST the method that the operation has now; that method, if it was one.
fn apply_alias(request: &mut Request) -> Option<Method> {
    if request.method() != Method::POST {
        return None;
    }
    let method = aliased_method(request.uri().path())?;
    request.set_method(method.clone());
    Some(method)
}

/// The method that POST stands for at an address where old clients use it.
pub(crate) fn aliased_method(path: &str) -> Option<Method> {
    let (_, method) = ALIASES.into_iter().find(|(prefix, _)| path.starts_with(prefix))?;
    Some(method)
}

/// The body, cut off where it gets too long or too slow.
fn limited(
    body: Body,
    limit: u64,
    pace: Pace,
    trouble: Arc<AtomicU8>,
) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static {
    let stream = Box::pin(body.into_bytes_stream());
    let started = Instant::now();
    futures_util::stream::unfold((stream, 0_u64, false), move |(mut stream, seen, ended)| {
        let trouble = Arc::clone(&trouble);
        async move {
            if ended {
                return None;
            }
            let patience = pace.left(started.elapsed(), seen).unwrap_or(Duration::ZERO);
            let Ok(next) = tokio::time::timeout(patience, stream.next()).await else {
                trouble.store(BODY_TOO_SLOW, Ordering::Relaxed);
                let error = std::io::Error::new(std::io::ErrorKind::TimedOut, "the client is too slow");
                return Some((Err(error), (stream, seen, true)));
            };
            match next? {
                Ok(bytes) => {
                    let seen = seen.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
                    if seen > limit {
                        trouble.store(BODY_TOO_LARGE, Ordering::Relaxed);
                        return Some((
                            Err(std::io::Error::other("the body is too large")),
                            (stream, seen, true),
                        ));
                    }
                    Some((Ok(bytes), (stream, seen, false)))
                }
                Err(error) => Some((Err(error), (stream, seen, true))),
            }
        }
    })
}

async fn drain(body: Body) {
    let reading = async {
        let mut left = DRAIN_BYTES;
        let mut stream = Box::pin(body.into_bytes_stream());
        while let Some(Ok(bytes)) = stream.next().await {
            left = left.saturating_sub(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
            if left == 0 {
                break;
            }
        }
    };
    // Whether it came to an end does not matter: the answer is the same.
    tokio::time::timeout(DRAIN_TIME, reading).await.ok();
}

fn finish(response: &mut Response, id: &str, aliased: Option<Method>) {
    let is_json = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/json"));
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(id) {
        headers.insert(REQUEST_ID, value);
    }
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers
        .entry(header::REFERRER_POLICY)
        .or_insert(HeaderValue::from_static("same-origin"));
    if is_json {
        // Some generators of clients only know the plain name; JSON is UTF-8 anyway.
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers
            .entry(header::CACHE_CONTROL)
            .or_insert(HeaderValue::from_static("no-store"));
    }
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static(
            "default-src 'none'; frame-ancestors 'none'",
        ));
    if let Some(method) = aliased {
        // Copr's words.
        let words = format!("This method is deprecated: Use {method} method instead of POST");
        if let Ok(words) = HeaderValue::from_str(&words) {
            headers.insert(header::WARNING, words);
        }
    }
    if response.status() == StatusCode::NO_CONTENT {
        response.headers_mut().remove(header::CONTENT_TYPE);
    }
}
