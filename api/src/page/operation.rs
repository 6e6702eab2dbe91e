//! For those who run the farm: is it well, and how much is there to do.

use std::{collections::BTreeMap, fmt::Write as _};

use model::{
    BuildState, BuilderState, Condition, LaunchHistory,
    budget::Budget,
    calls::CallCount,
    condition::{Leadership, Stuck},
};
use poem::{Response, http::StatusCode};
use serde_json::json;

use crate::{
    files::disk,
    http::error::ApiError,
    probe::{UNFIT, fleet_troubles},
    state::ApiState,
    view::HealthView,
};

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
            UNFIT.to_owned()
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
    let fleet = fleet_troubles(state.condition(), state.now()).await;
    let status = match (is_well, fleet.is_empty()) {
        (false, _) => "failing",
        (true, false) => "degraded",
        (true, true) => "ok",
    }
    .to_owned();
    let view = HealthView {
        status,
        database,
        disk,
        free_bytes,
        fleet,
    };
    let body = json!({
        "status": view.status, "database": view.database, "disk": view.disk, "free_bytes": view.free_bytes,
        "fleet": view.fleet,
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
    fleet_gauges(state, &mut out).await?;
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

/// What of the fleet should wake somebody up: no controller, clouds that give no machines, pools that are held back, machines
/// that nobody can end.
async fn fleet_gauges(state: &ApiState, out: &mut String) -> Result<(), ApiError> {
    let condition = state.condition().await?;
    let is_led = !matches!(condition.leadership, Leadership::Vacant { .. });
    gauge(
        out,
        "verdigris_controller_leads",
        "Whether a controller leads the fleet.",
        &BTreeMap::from([("", i64::from(is_led))]),
    );
    gauge(
        out,
        "verdigris_fleet_file_refused",
        "Whether the fleet file was changed and cannot be used, so that the one before is in force.",
        &BTreeMap::from([("", i64::from(condition.file.is_some()))]),
    );
    let clouds = condition.clouds.iter().map(|trouble| (trouble.cloud.as_str(), 1));
    labelled_gauge(
        out,
        "verdigris_cloud_away",
        "Clouds that give no machines.",
        "cloud",
        &clouds.collect(),
    );
    let held = |history: &LaunchHistory| i64::from(history.held_until().is_some());
    let pools = condition
        .pools
        .iter()
        .map(|(name, history)| (name.as_str(), held(history)));
    labelled_gauge(
        out,
        "verdigris_pool_held_back",
        "Whether a pool launches at most one builder at a time, since its last ones failed.",
        "pool",
        &pools.collect(),
    );
    let refused = condition.launching.iter();
    let refused = refused.map(|(name, launching)| (name.as_str(), i64::from(launching.refused)));
    labelled_gauge(
        out,
        "verdigris_launches_refused",
        "Builders for which the cloud gave no machine so far and is asked again.",
        "pool",
        &refused.collect(),
    );
    money_gauges(&condition.budgets, out);
    call_counters(&condition.calls, out);
    gauge(
        out,
        "verdigris_farm_stopping",
        "Whether the farm begins nothing new and stops when what runs has ended.",
        &BTreeMap::from([("", i64::from(condition.stopping.is_some()))]),
    );
    not_ended_gauges(&condition, out);
    Ok(())
}

/// What may go on costing, and nobody ends it.
fn not_ended_gauges(condition: &Condition, out: &mut String) {
    gauge(
        out,
        "verdigris_orphans_not_ended",
        "Machines without a builder that a cloud refuses to end.",
        &BTreeMap::from([(
            "",
            i64::try_from(condition.refused_ends.len()).unwrap_or(i64::MAX),
        )]),
    );
    let stuck = Stuck::STATES.map(|state| {
        let count = condition.stuck.iter().filter(|one| one.state == state).count();
        (state.as_str(), i64::try_from(count).unwrap_or(i64::MAX))
    });
    labelled_gauge(
        out,
        "verdigris_builders_stuck",
        "Builders whose machine does not end, or of whose launch nothing is known, for a quarter of an hour.",
        "state",
        &BTreeMap::from(stuck),
    );
}

/// What clouds with a limit of money cost.
fn money_gauges(budgets: &[Budget], out: &mut String) {
    let mut tell = |name: &str, help: &str, value: fn(&Budget) -> i64| {
        let values = budgets.iter().map(|it| (it.cloud.as_str(), value(it)));
        labelled_gauge(out, name, help, "cloud", &values.collect());
    };
    tell(
        "verdigris_cloud_spent_millionths",
        "What the machines of a cloud with a limit of money cost in the last 24 hours, in millionths of its account's currency.",
        |budget| i64::try_from(budget.spent.known.millionths()).unwrap_or(i64::MAX),
    );
    tell(
        "verdigris_cloud_unpriced_machines",
        "Machines of the last 24 hours whose price is not known: they are not in that sum.",
        |budget| i64::from(budget.spent.unpriced),
    );
    tell(
        "verdigris_cloud_money_used_up",
        "Whether nothing more is launched in a cloud because it costs as much in 24 hours as it may.",
        |budget| i64::from(budget.forbids_launches()),
    );
}

/// How many calls were made to clouds for which they are limited.
fn call_counters(calls: &[CallCount], out: &mut String) {
    let mut tell = |name: &str, help: &str, value: fn(&CallCount) -> u64| {
        // Writing into a string cannot fail.
        write!(out, "# HELP {name} {help}\n# TYPE {name} counter\n").ok();
        for count in calls {
            let (cloud, class) = (escaped(&count.cloud), count.class);
            writeln!(
                out,
                "{name}{{cloud=\"{cloud}\",class=\"{class}\"}} {}",
                value(count)
            )
            .ok();
        }
    };
    tell(
        "verdigris_cloud_calls_total",
        "Calls to clouds for which they are limited, by class.",
        |count| count.taken,
    );
    tell(
        "verdigris_cloud_calls_waited_total",
        "How often no call of the class was left, so that one had to wait.",
        |count| count.waited,
    );
    tell(
        "verdigris_cloud_calls_throttled_total",
        "How often a cloud refused a call because there were too many.",
        |count| count.throttled,
    );
}

fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

fn gauge(out: &mut String, name: &str, help: &str, values: &BTreeMap<&str, i64>) {
    labelled_gauge(out, name, help, "state", values);
}

/// A gauge whose values differ by one label. Names of clouds are free text: they are escaped.
fn labelled_gauge(out: &mut String, name: &str, help: &str, label: &str, values: &BTreeMap<&str, i64>) {
    // Writing into a string cannot fail.
    write!(out, "# HELP {name} {help}\n# TYPE {name} gauge\n").ok();
    for (of, value) in values {
        if of.is_empty() {
            writeln!(out, "{name} {value}").ok();
        } else {
            writeln!(out, "{name}{{{label}=\"{}\"}} {value}", escaped(of)).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parsers agree on a family in one piece, HELP and TYPE before it, three escapes, and a line end behind each sample.
    #[test]
    fn a_gauge_is_one_family_with_its_labels_escaped() {
        let mut out = String::new();
        let values = BTreeMap::from([("", 2), ("a \"b\"\\\n", 3)]);
        labelled_gauge(&mut out, "x", "What x is.", "cloud", &values);
        assert_eq!(
            out,
            "# HELP x What x is.\n# TYPE x gauge\nx 2\nx{cloud=\"a \\\"b\\\"\\\\\\n\"} 3\n"
        );
    }
}
