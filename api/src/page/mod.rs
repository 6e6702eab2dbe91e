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
mod templates;

pub(crate) use templates::Pages;

use poem::{
    Request, Response,
    http::{HeaderValue, Method, StatusCode, header},
};
use serde_json::{Value, json};

use crate::{
    http::{address, error::ApiError},
    probe,
    state::ApiState,
};

/// The stylesheet of all pages.
const STYLE: &str = include_str!("../../console/style.css");

/// Answers what is not part of the API. Nothing of it can be changed: another method finds what it names, and is then refused.
pub(crate) async fn dispatch(
    state: &ApiState,
    pages: &Pages,
    request: &Request,
) -> Result<Response, ApiError> {
    let found = find(state, pages, request).await?;
    if found.status() != StatusCode::NOT_FOUND {
        refuse_changes(request.method())?;
    }
    Ok(found)
}

/// Refuses every method that is not for reading.
pub(crate) fn refuse_changes(method: &Method) -> Result<(), ApiError> {
    let reading = [Method::GET, Method::HEAD];
    if reading.contains(method) {
        return Ok(());
    }
    Err(ApiError::MethodNotAllowed(method.clone(), reading.to_vec()))
}

async fn find(state: &ApiState, pages: &Pages, request: &Request) -> Result<Response, ApiError> {
    let nothing = || ApiError::NotFound("There is nothing at this address.".to_owned());
    let (names, ends_in_slash) = address::split(request.uri().path()).ok_or_else(nothing)?;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    match names.as_slice() {
        [] => home::show(state, pages).await,
        ["api"] => home::token(state, pages),
        ["style.css"] => Ok(style()),
        ["health"] => operation::health(state).await,
        ["health", "live"] => Ok(probe::live()),
        ["metrics"] => operation::metrics(state).await,
        ["mirrors", name, rest @ ..] => results::mirrored(state, request, name, rest, ends_in_slash).await,
        ["results", rest @ ..] => results::show(state, pages, request, rest, ends_in_slash).await,
        ["coprs", "build", id] => build::redirect(state, id).await,
        ["coprs", owner, project] => project::show(state, pages, owner, project).await,
        ["coprs", owner, project, "build", id] => build::show(state, pages, (owner, project, id)).await,
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
fn build_row(build: &store::BuildSummary) -> Value {
    let state = build.state.to_string();
    json!({
        "id": build.id.0,
        "mark": state_mark(&state),
        "state": state,
        "owner": build.owner.to_string(),
        "directory": build.directory.to_string(),
        "package": build.package.as_ref().map(ToString::to_string).unwrap_or_default(),
        "version": build.version.clone().unwrap_or_default(),
        "submitted": short_moment(build.submitted_at),
        "page": format!("/coprs/{}/{}/build/{}/", build.owner, build.project_name, build.id),
        "project_page": format!("/coprs/{}/{}/", build.owner, build.project_name),
    })
}
