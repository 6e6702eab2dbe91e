//! For those who run the farm: is it well, and how much is there to do.

use std::{collections::BTreeMap, fmt::Write as _};

use model::{BuildState, BuilderState};
use poem::{Response, http::StatusCode};
use serde_json::json;

use crate::{files::disk, http::error::ApiError, state::ApiState, view::HealthView};

/// Whether the database answers and there is room for uploads.
pub(crate) async fn health(state: &ApiState) -> Result<Response, ApiError> {
    let database = match (state.store().check().await, state.store().check_writes().await) {
        (Ok(()), Ok(())) => "ok".to_owned(),
        (Ok(()), Err(error)) => {
            tracing::warn!(%error, "The database takes no changes.");
            "The database takes no changes.".to_owned()
        }
        (Err(error), _) => {
            tracing::warn!(%error, "The database is not well.");
            "The database cannot be reached, or its schema does not fit.".to_owned()
        }
    };
    let settings = state.settings();
    let (disk, free_bytes) = match disk::free_bytes(&settings.spool_dir) {
        Ok(free) if free >= settings.min_free_bytes => ("ok".to_owned(), free),
        Ok(free) => (
            "There is not enough free disk space for uploads.".to_owned(),
            free,
        ),
        Err(error) => {
            tracing::warn!(%error, "The free space of the spool is not known.");
            ("The free disk space is not known.".to_owned(), 0)
        }
    };
    let is_well = database == "ok" && disk == "ok";
    let status = if is_well { "ok" } else { "failing" }.to_owned();
    let view = HealthView {
        status,
        database,
        disk,
        free_bytes,
    };
    let body = json!({
        "status": view.status, "database": view.database, "disk": view.disk, "free_bytes": view.free_bytes,
    });
    let code = if is_well {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let mut body = body;
    if !is_well && let Some(object) = body.as_object_mut() {
        object.insert(
            "error".to_owned(),
            json!("The server is not well: see the other fields."),
        );
    }
    Ok(Response::builder()
        .status(code)
        .content_type("application/json")
        .body(body.to_string()))
}

/// Numbers in Prometheus' text format.
pub(crate) async fn metrics(state: &ApiState) -> Result<Response, ApiError> {
    let counts = state.store().counts().await?;
    let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let mut out = String::new();
    let of_state = |wanted: BuilderState| {
        let of_pools = counts.builders.iter().filter(|((_, state), _)| *state == wanted);
        number(of_pools.map(|(_, count)| *count).sum())
    };
    let builders: BTreeMap<&str, i64> = BuilderState::ALL
        .into_iter()
        .filter(|state| !state.is_final())
        .map(|state| (state.as_str(), of_state(state)))
        .collect();
    gauge(&mut out, "verdigris_builders", "Builders by state.", &builders);
    gauge(
        &mut out,
        "verdigris_queue_length",
        "Build chroots that wait for a builder.",
        &BTreeMap::from([("", number(counts.waiting))]),
    );
    let builds = BuildState::ALL
        .into_iter()
        .filter(|state| !state.is_final())
        .map(|state| {
            (
                state.as_str(),
                number(counts.builds.get(&state).copied().unwrap_or(0)),
            )
        })
        .collect();
    gauge(
        &mut out,
        "verdigris_builds",
        "Builds that have not ended, by state.",
        &builds,
    );
    let free = disk::free_bytes(&state.settings().spool_dir)
        .map_err(|error| ApiError::Internal(format!("cannot read the free space of the spool: {error}")))?;
    let free = i64::try_from(free).unwrap_or(i64::MAX);
    gauge(
        &mut out,
        "verdigris_free_bytes",
        "Free disk space for sources.",
        &BTreeMap::from([("", free)]),
    );
    Ok(Response::builder()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(out))
}

fn gauge(out: &mut String, name: &str, help: &str, values: &BTreeMap<&str, i64>) {
    // Writing into a string cannot fail.
    write!(out, "# HELP {name} {help}\n# TYPE {name} gauge\n").ok();
    for (state, value) in values {
        if state.is_empty() {
            writeln!(out, "{name} {value}").ok();
        } else {
            writeln!(out, "{name}{{state=\"{state}\"}} {value}").ok();
        }
    }
}
