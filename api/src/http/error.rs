//! What can go wrong, and the one place that says what HTTP makes of it.
//!
//! Every error body is a JSON object with a string `error`: Copr's clients take a body without that key for
//! success, whatever the status. What is our own fault is logged in full and answered without detail.

use poem::{
    Response,
    error::ResponseError,
    http::{HeaderValue, Method, StatusCode, header},
};
use poem_openapi::{
    ApiResponse, Object,
    payload::{Json, Payload},
    registry::{MetaMediaType, MetaResponse, MetaResponses, Registry},
    types::Type,
};

use crate::http::parameters;

/// What stops the HTTP process itself.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A directory cannot be made or used.
    #[error("cannot use the directory {path}")]
    Directory {
        /// The directory, as the settings name it.
        path: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Uploads could not be renamed into place.
    #[error("the spool directory {spool} and the source directory {sources} lie on different file systems")]
    DifferentFileSystems {
        /// Where uploads are written.
        spool: String,
        /// Where they have to be renamed to.
        sources: String,
    },
    /// A page template of ours is broken.
    #[error("cannot compile the page template {name}")]
    Template {
        /// The file name of the template, without its folder.
        name: &'static str,
        /// What the template engine said, with line and column.
        #[source]
        source: Box<handlebars::TemplateError>,
    },
    /// The listener failed.
    #[error("cannot serve HTTP")]
    Serve(#[source] std::io::Error),
}

/// Why a request is not served. Variants are named after what the client is told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// 400: the request says something that cannot be.
    #[error("{0}")]
    Invalid(String),
    /// 401: nobody is logged in, or the token is wrong or expired.
    #[error("{0}")]
    Unauthorized(String),
    /// 403: the caller may not do this.
    #[error("{0}")]
    Forbidden(String),
    /// 404: there is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// 405: not with this method, but with those.
    #[error("The method {0} is not allowed for this address.")]
    MethodNotAllowed(Method, Vec<Method>),
    /// 408: the client went silent.
    #[error("{0}")]
    Timeout(String),
    /// 409: it is not in a state in which that can be done.
    #[error("{0}")]
    Conflict(String),
    /// 413: more than is taken.
    #[error("{0}")]
    TooLarge(String),
    /// 415: in a form that is not understood.
    #[error("{0}")]
    UnsupportedMedia(String),
    /// 416: a range outside the thing.
    #[error("{0}")]
    RangeNotSatisfiable(String),
    /// 429: more of these than one client may have; it may work later.
    #[error("{0}")]
    TooMany(String),
    /// 500: our fault. The text is for the log only.
    #[error("{0}")]
    Internal(String),
    /// 503: the database cannot be reached, or there are too many of these; it may work later.
    #[error("{0}")]
    Unavailable(String),
    /// 507: there is no room for it.
    #[error("{0}")]
    OutOfSpace(String),
}

/// What a handler answers with: its result, or why there is none.
pub(crate) type Answer<T> = Result<T, ApiError>;

/// The answer to a request that failed.
#[derive(Debug, Object)]
#[oai(rename = "Error")]
pub(crate) struct ErrorBody {
    /// A text for people. Where several things are wrong it has a line for each.
    error: String,
    /// `notok`, as Copr says it; only with status 401.
    #[oai(skip_serializing_if_is_none)]
    output: Option<String>,
}

/// The statuses that any operation may answer with, for the OpenAPI document.
const STATUSES: [(u16, &str); 11] = [
    (400, "The request is wrong; the text says what is wrong with it."),
    (
        401,
        "The request has no API token, or one that is wrong or has expired.",
    ),
    (403, "The caller may not do this."),
    (404, "Something that the request names does not exist."),
    (408, "The body of the request did not arrive in time."),
    (409, "This cannot be done in the state that the thing is in."),
    (413, "The body of the request is too large."),
    (415, "The content type of the request is not understood."),
    (
        429,
        "There are too many connections or followed logs from this address: try again later.",
    ),
    (
        500,
        "The server has a fault. The header `X-Request-Id` names the entry in its log.",
    ),
    (
        503,
        "The server has too much to do, or its database is away. Try again later.",
    ),
];

impl ApiError {
    /// A project that is not there, in Copr's words.
    pub(crate) fn no_project(owner: &str, name: &str) -> Self {
        Self::NotFound(format!("Project {owner}/{name} does not exist."))
    }

    /// A build that is not there, in Copr's words.
    pub(crate) fn no_build(id: i64) -> Self {
        Self::NotFound(format!("Build {id} does not exist."))
    }

    /// The answer to whoever is not logged in, in Copr's words.
    pub(crate) fn not_logged_in(public_url: &str) -> Self {
        Self::Unauthorized(format!(
            "Login invalid/expired. Please visit {}/api to get or renew your API token.",
            public_url.trim_end_matches('/')
        ))
    }

    /// The status of the answer.
    #[must_use]
    pub(crate) const fn status_code(&self) -> StatusCode {
        match self {
            Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::Unauthorized(_) => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed(..) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Timeout(_) => StatusCode::REQUEST_TIMEOUT,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMedia(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::RangeNotSatisfiable(_) => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::OutOfSpace(_) => StatusCode::INSUFFICIENT_STORAGE,
        }
    }

    /// The text that the client sees.
    #[must_use]
    pub(crate) fn public_text(&self) -> String {
        match self {
            Self::Internal(_) => {
                "Internal server error. The header X-Request-Id of this answer names the entry \
                                  in the server's log."
                    .to_owned()
            }
            other => other.to_string(),
        }
    }

    /// The answer as JSON.
    #[must_use]
    pub(crate) fn to_response(&self) -> Response {
        let unauthorized = matches!(self, Self::Unauthorized(_));
        let body = if unauthorized {
            serde_json::json!({"output": "notok", "error": self.public_text()})
        } else {
            serde_json::json!({"error": self.public_text()})
        };
        let mut response = Response::builder()
            .status(self.status_code())
            .content_type("application/json")
            .body(body.to_string());
        let headers = response.headers_mut();
        if unauthorized {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Basic realm=\"verdigris\""),
            );
        }
        if let Self::MethodNotAllowed(_, allowed) = self {
            let names: Vec<&str> = allowed.iter().map(Method::as_str).collect();
            if let Ok(value) = HeaderValue::from_str(&names.join(", ")) {
                headers.insert(header::ALLOW, value);
            }
        }
        if matches!(self, Self::Unavailable(_) | Self::TooMany(_)) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        response
    }

    /// What an error of poem's own means: its texts speak of types, ours of what to do.
    pub(crate) fn from_poem(error: &poem::Error, path: &str) -> Self {
        use poem::error as raised;
        use poem_openapi::error as parsing;
        if error.is::<raised::NotFoundError>() {
            return no_route(path);
        }
        if let Some(parameter) = error.downcast_ref::<parsing::ParseParamError>() {
            return bad_parameter(parameter.name, &parameter.reason);
        }
        if error.is::<parsing::ParsePathError>() || error.is::<raised::ParsePathError>() {
            // Copr's routes only match what they can read.
            return no_route(path);
        }
        match error.status() {
            StatusCode::NOT_FOUND => no_route(path),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                Self::UnsupportedMedia("The content type of the request is not understood.".to_owned())
            }
            StatusCode::PAYLOAD_TOO_LARGE => {
                Self::TooLarge("The body of the request is too large.".to_owned())
            }
            StatusCode::RANGE_NOT_SATISFIABLE => {
                Self::RangeNotSatisfiable("There is no such part of the file.".to_owned())
            }
            status if status.is_client_error() => {
                tracing::debug!(%error, "A request was refused by the framework.");
                Self::Invalid("The request cannot be understood.".to_owned())
            }
            _ => Self::Internal(format!("{error:?}")),
        }
    }
}

fn no_route(path: &str) -> ApiError {
    ApiError::NotFound(if path.starts_with("/api") {
        "Such API endpoint doesn't exist".to_owned()
    } else {
        "There is nothing at this address.".to_owned()
    })
}

fn bad_parameter(name: &str, reason: &str) -> ApiError {
    if reason.contains("expects an input value") {
        return ApiError::Invalid(format!("Missing argument {name}"));
    }
    let words = parameters::own_words(reason).unwrap_or("The value cannot be read.");
    ApiError::Invalid(format!("{name}: {words}"))
}

impl ResponseError for ApiError {
    fn status(&self) -> StatusCode {
        self.status_code()
    }

    fn as_response(&self) -> Response {
        self.to_response()
    }
}

impl ApiResponse for ApiError {
    fn meta() -> MetaResponses {
        MetaResponses {
            responses: STATUSES
                .into_iter()
                .map(|(status, description)| MetaResponse {
                    description,
                    status: Some(status),
                    status_range: None,
                    content: vec![MetaMediaType {
                        content_type: Json::<ErrorBody>::CONTENT_TYPE,
                        schema: Json::<ErrorBody>::schema_ref(),
                    }],
                    headers: Vec::new(),
                })
                .collect(),
        }
    }

    fn register(registry: &mut Registry) {
        <ErrorBody as Type>::register(registry);
    }
}

impl From<store::Error> for ApiError {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::NotFound { .. } => Self::NotFound(sentence(&error.to_string())),
            store::Error::Conflict { .. } => Self::Conflict(sentence(&error.to_string())),
            store::Error::Invalid { .. } => Self::Invalid(sentence(&error.to_string())),
            store::Error::Unavailable { .. } => {
                tracing::warn!(error = %with_causes(&error), "The database cannot be reached.");
                Self::Unavailable(
                    "The database cannot be reached at the moment. Please try again.".to_owned(),
                )
            }
            store::Error::NoSpace { .. } => {
                tracing::error!(error = %with_causes(&error), "The database's disk is full.");
                Self::OutOfSpace(
                    "The farm's disk is full: nothing can be stored until its operator makes room."
                        .to_owned(),
                )
            }
            other => Self::Internal(with_causes(&other)),
        }
    }
}

/// The text of an error and of everything that caused it.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// With a capital letter first and a full stop last. The name of a field in front of what is wrong with it stays as it is.
fn sentence(text: &str) -> String {
    let stop = if text.ends_with('.') { "" } else { "." };
    let is_field = |name: &str| name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    if text.split_once(": ").is_some_and(|(name, _)| is_field(name)) {
        return format!("{text}{stop}");
    }
    let mut letters = text.chars();
    let Some(first) = letters.next() else {
        return String::new();
    };
    format!("{}{}{stop}", first.to_uppercase(), letters.as_str())
}
