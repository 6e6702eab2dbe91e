//! What is served beside the API: pages for people, results, `.repo` files, health and metrics.
//!
//! Pages are rendered here from templates in `api/console/`, without script, and escaped by the template
//! engine. [`dispatch`] knows all their addresses.

mod build;
mod home;
mod index;
mod operation;
mod project;
mod repo;
mod results;

use handlebars::Handlebars;
use poem::{
    Request, Response,
    http::{HeaderValue, Method, StatusCode, header},
};
use serde_json::{Value, json};

use crate::{
    address,
    error::{ApiError, Error},
    state::ApiState,
};

/// What pages may load: our one stylesheet.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
                           frame-ancestors 'none'; base-uri 'none'";

/// The templates, by name.
const TEMPLATES: [(&str, &str); 8] = [
    ("layout", include_str!("../../console/layout.hbs")),
    ("builds", include_str!("../../console/builds.hbs")),
    ("home", include_str!("../../console/home.hbs")),
    ("project", include_str!("../../console/project.hbs")),
    ("build", include_str!("../../console/build.hbs")),
    ("token", include_str!("../../console/token.hbs")),
    ("error", include_str!("../../console/error.hbs")),
    ("index", include_str!("../../console/index.hbs")),
];

/// The stylesheet of all pages.
const STYLE: &str = include_str!("../../console/style.css");

/// The compiled templates.
pub(crate) struct Pages(Handlebars<'static>);

impl Pages {
    pub(crate) fn new() -> Result<Self, Error> {
        let mut templates = Handlebars::new();
        templates.set_strict_mode(true);
        for (name, text) in TEMPLATES {
            templates
                .register_template_string(name, text)
                .map_err(|error| Error::Template {
                    name,
                    source: Box::new(error),
                })?;
        }
        Ok(Self(templates))
    }

    /// Renders a page.
    pub(crate) fn show(&self, name: &str, data: &Value) -> Result<Response, ApiError> {
        self.rendered(name, data, PAGE_POLICY)
    }

    /// Renders a page that may load nothing at all.
    fn show_inert(&self, name: &str, data: &Value) -> Result<Response, ApiError> {
        self.rendered(name, data, crate::static_file::INERT)
    }

    fn rendered(&self, name: &str, data: &Value, policy: &'static str) -> Result<Response, ApiError> {
        let text = self
            .0
            .render(name, data)
            .map_err(|error| ApiError::Internal(format!("cannot render the page {name}: {error}")))?;
        let mut response = Response::builder()
            .content_type("text/html; charset=utf-8")
            .body(text);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        Ok(response)
    }

    /// A failure as a page, for people with a browser; none when not even that works.
    pub(crate) fn error(&self, error: &ApiError) -> Option<Response> {
        let status = error.status_code();
        let data = json!({
            "title": status.canonical_reason().unwrap_or("Error"),
            "status": status.as_u16(),
            "text": error.public_text(),
        });
        let page = self.show("error", &data);
        page.ok().map(|mut page| {
            page.set_status(status);
            page
        })
    }
}

/// Whether a failure of this request is best shown as a page.
pub(crate) fn wants_page(request: &Request) -> bool {
    let path = request.uri().path();
    let is_api = path.starts_with("/api") && path.trim_end_matches('/') != "/api";
    !is_api
        && request
            .headers()
            .get(header::ACCEPT)
            .and_then(|accept| accept.to_str().ok())
            .is_some_and(|accept| accept.contains("text/html"))
}

/// Answers what is not part of the API.
pub(crate) async fn dispatch(state: &ApiState, request: &Request) -> Result<Response, ApiError> {
    let nothing = || ApiError::NotFound("There is nothing at this address.".to_owned());
    let (names, ends_in_slash) = address::split(request.uri().path()).ok_or_else(nothing)?;
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        return Err(ApiError::MethodNotAllowed(
            request.method().clone(),
            vec![Method::GET, Method::HEAD],
        ));
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    match names.as_slice() {
        [] => home::show(state).await,
        ["api"] => home::token(state),
        ["style.css"] => Ok(style()),
        ["health"] => operation::health(state).await,
        ["metrics"] => operation::metrics(state).await,
        ["mirrors", name, rest @ ..] => results::mirrored(state, request, name, rest, ends_in_slash).await,
        ["results", rest @ ..] => results::show(state, request, rest, ends_in_slash).await,
        ["coprs", "build", id] => build::redirect(state, id).await,
        ["coprs", owner, project] => project::show(state, owner, project).await,
        ["coprs", owner, project, "build", id] => build::show(state, owner, project, id).await,
        ["coprs", owner, project, "repo", release] => {
            repo::show(state, request, owner, project, release).await
        }
        ["coprs", owner, project, "repo", release, file] if file.ends_with(".repo") => {
            repo::show(state, request, owner, project, release).await
        }
        _ => Err(nothing()),
    }
}

fn style() -> Response {
    let mut response = Response::builder()
        .content_type("text/css; charset=utf-8")
        .body(STYLE);
    response.headers_mut().insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=300"),
    );
    response
}

/// Sends a client elsewhere on this server.
fn redirect(status: StatusCode, location: &str) -> Response {
    Response::builder()
        .status(status)
        .header(header::LOCATION, location)
        .finish()
}

/// A state as pages show it: never by colour alone.
fn state_mark(state: &str) -> &'static str {
    match state {
        "succeeded" => "✔",
        "failed" => "✘",
        "canceled" => "■",
        "skipped" => "↷",
        "running" | "starting" => "▶",
        _ => "…",
    }
}

/// A moment for people: to the second.
fn short_moment(at: model::Timestamp) -> String {
    let text = at.to_string();
    let (day, rest) = text.split_once('T').unwrap_or((&text, ""));
    let time: String = rest.chars().take(8).collect();
    format!("{day} {time} UTC")
}

/// A line of a table of builds.
fn build_row(build: &store::Build) -> Value {
    let state = build.state.to_string();
    json!({
        "id": build.id.0,
        "mark": state_mark(&state),
        "state": state,
        "owner": build.owner.to_string(),
        "project": build.project_name.to_string(),
        "package": build.package.as_ref().map(ToString::to_string).unwrap_or_default(),
        "version": build.version.clone().unwrap_or_default(),
        "submitted": short_moment(build.submitted_at),
        "page": format!("/coprs/{}/{}/build/{}/", build.owner, build.project_name, build.id),
        "project_page": format!("/coprs/{}/{}/", build.owner, build.project_name),
    })
}
