//! The page of a build: what came of it, why, and where to look.

use std::collections::BTreeMap;

use model::{Blame, BuildState, reason};
use poem::{Response, http::StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use store::{Attempt, Build, BuildChroot, Project};

use super::{Pages, redirect as send, short_moment, state_mark};
use crate::{
    files::log::LOG,
    http::error::ApiError,
    lookup::{find_build, find_project, shown},
    repositories,
    state::ApiState,
    view,
};

/// The most characters of evidence that the page shows.
const LONGEST_EVIDENCE: usize = 4000;

fn number(id: &str) -> Result<i64, ApiError> {
    id.parse()
        .map_err(|_| ApiError::NotFound(format!("Build {} does not exist.", shown(id))))
}

/// The address that clients print, which knows no owner.
pub(crate) async fn redirect(state: &ApiState, id: &str) -> Result<Response, ApiError> {
    let build = find_build(state, number(id)?).await?;
    let location = format!(
        "/coprs/{}/{}/build/{}/",
        build.owner, build.project_name, build.id
    );
    Ok(send(StatusCode::FOUND, &location))
}

pub(crate) async fn show(
    state: &ApiState,
    pages: &Pages,
    (owner, project, id): (&str, &str, &str),
) -> Result<Response, ApiError> {
    let project = find_project(state, owner, project).await?;
    let build = find_build(state, number(id)?).await?;
    if build.project != project.id {
        return Err(ApiError::no_build(build.id.0));
    }
    let attempts = state.store().attempts_of(build.id).await?;
    let waits = |chroot: &BuildChroot| chroot.state == BuildState::Pending;
    let positions = if build.chroots.iter().any(waits) {
        state.store().queue_positions(build.id).await?
    } else {
        BTreeMap::new()
    };
    let chroots: Vec<Value> = build
        .chroots
        .iter()
        .map(|chroot| {
            let position = positions.get(&chroot.name).copied().unwrap_or(0);
            chroot_row(state, (&project, &build, chroot), &attempts, position)
        })
        .collect();
    let word = build.state.to_string();
    let is_main = build.directory.as_str() == build.project_name.as_str();
    pages.show(
        "build",
        &json!({
            "title": format!("Build {}", build.id),
            "id": build.id.0,
            "owner": build.owner.to_string(),
            "project": build.project_name.to_string(),
            "in_directory": !is_main,
            "directory": build.directory.to_string(),
            "enable": repositories::enable_command(state, &build.owner, &build.directory),
            "package": build.package.as_ref().map(ToString::to_string).unwrap_or_default(),
            "version": build.version.clone().unwrap_or_default(),
            "mark": state_mark(&word),
            "state": word,
            "verdict": verdict(&build),
            "is_live": !build.state.is_final(),
            "submitted": short_moment(build.submitted_at),
            "started": build.started_at.map(short_moment).unwrap_or_default(),
            "ended": build.ended_at.map(short_moment).unwrap_or_default(),
            "submitter": build.submitter.as_ref().map(ToString::to_string).unwrap_or_default(),
            "source": state.url(format_args!(
                "{}{}",
                view::source_path(&build.owner, &build.directory, build.id),
                build.source.file_name
            )),
            "source_file": build.source.file_name,
            "chroots": chroots,
        }),
    )
}

/// What came of the build, in one sentence.
fn verdict(build: &Build) -> String {
    let count = |state: BuildState| {
        build
            .chroots
            .iter()
            .filter(|chroot| chroot.state == state)
            .count()
    };
    let total = build.chroots.len();
    match build.state {
        BuildState::Succeeded => "Everything that was built is in the repository.".to_owned(),
        BuildState::Failed => {
            let failed = count(BuildState::Failed);
            if total == 1 {
                "It failed.".to_owned()
            } else {
                format!("It failed in {failed} of {total} chroots.")
            }
        }
        BuildState::Canceled => "It was cancelled.".to_owned(),
        BuildState::Skipped => "The package is not meant for any of its chroots.".to_owned(),
        BuildState::Running => "It is being built, or its results are being published.".to_owned(),
        BuildState::Starting => "A builder has it and is about to begin.".to_owned(),
        BuildState::Pending | BuildState::Waiting => "It waits for a builder.".to_owned(),
        BuildState::Importing => "Its source is being prepared.".to_owned(),
        BuildState::Forked => "It was copied from another project.".to_owned(),
    }
}

fn chroot_row(
    state: &ApiState,
    (project, build, chroot): (&Project, &Build, &BuildChroot),
    attempts: &[Attempt],
    position: u64,
) -> Value {
    let word = chroot.state.to_string();
    let results = view::result_url(build, chroot, state.settings());
    let begun = chroot.started_at.is_some() || chroot.result_directory.is_some();
    let failure = chroot.failure.as_ref();
    let for_users = |text: &str, blame| reason::for_users(text, blame, &project.settings.additional_repos);
    let reason = failure.map(|failure| for_users(&failure.reason, Some(failure.blame)));
    let evidence = failure.and_then(|failure| {
        let evidence = failure.evidence.as_ref()?;
        Some(for_users(&evidence_text(evidence), Some(failure.blame)))
    });
    let waiting = chroot
        .waiting_reason
        .as_deref()
        .filter(|_| chroot.state == BuildState::Pending)
        .map(|reason| for_users(reason, None));
    let rows: Vec<Value> = attempts
        .iter()
        .filter(|attempt| attempt.chroot == chroot.name)
        .map(|attempt| {
            json!({
                "number": attempt.number,
                "id": attempt.id.to_string(),
                "state": attempt.state.to_string(),
                "reason": for_users(attempt.reason.as_deref().unwrap_or_default(), attempt.blame),
                "builder": attempt.builder.map(|builder| builder.to_string()).unwrap_or_default(),
                "log": format!("/api/attempts/{}/log", attempt.id),
            })
        })
        .collect();
    json!({
        "name": chroot.name.to_string(),
        "mark": state_mark(&word),
        "state": word,
        "blame": failure.map(|failure| blame_text(chroot.state, failure.blame)).unwrap_or_default(),
        "reason": reason.unwrap_or_default(),
        "evidence": evidence.unwrap_or_default(),
        "waiting": waiting.unwrap_or_default(),
        "position": position,
        "results": results.clone().filter(|_| begun).unwrap_or_default(),
        "log": results.filter(|_| begun).map(|url| format!("{url}{LOG}")).unwrap_or_default(),
        "attempts": rows,
    })
}

const fn blame_text(state: BuildState, blame: Blame) -> &'static str {
    match blame {
        // That a package is not made for an architecture is nobody's fault.
        _ if matches!(state, BuildState::Skipped) => "It was not built",
        Blame::Package => "The package is at fault",
        Blame::Infrastructure => "The infrastructure is at fault, not the package",
        Blame::Service => "The build service is at fault, not the package",
        Blame::Cancelled => "Cancelled",
    }
}

/// Where a log shows why, as `provision-files/builder/README.md` has it.
#[derive(Deserialize)]
struct Evidence {
    log: String,
    line: u64,
    text: String,
}

/// Evidence for people: the line of the log and its place. Builders may send anything; what has another shape is shown as it is.
fn evidence_text(evidence: &Value) -> String {
    let text = match Evidence::deserialize(evidence) {
        Ok(Evidence { log, line, text }) => format!("{log}, line {line}:\n{text}"),
        Err(_) => serde_json::to_string_pretty(evidence).unwrap_or_default(),
    };
    text.chars().take(LONGEST_EVIDENCE).collect()
}
