//! The page of a project.

use poem::Response;
use serde_json::{Value, json};
use store::{BuildFilter, Page};

use super::{Pages, build_row};
use crate::{http::error::ApiError, lookup::find_project, repositories, state::ApiState, view::chroot_url};

/// How many builds the page shows.
const LAST_BUILDS: u64 = 20;

pub(crate) async fn show(
    state: &ApiState,
    pages: &Pages,
    owner: &str,
    name: &str,
) -> Result<Response, ApiError> {
    let project = find_project(state, owner, name).await?;
    let filter = BuildFilter {
        project: Some(project.id.into()),
        ..BuildFilter::default()
    };
    let page = Page {
        limit: Some(LAST_BUILDS),
        offset: 0,
    };
    let builds = state.store().builds(&filter, page).await?;
    let rows: Vec<Value> = builds.iter().map(build_row).collect();
    let settings = state.settings();
    let chroots: Vec<Value> = project
        .chroots
        .iter()
        .map(|chroot| {
            let release = chroot.name_release();
            json!({
                "name": chroot.to_string(),
                "results": chroot_url(settings, &project.owner, &project.name, chroot),
                "repo": format!("/coprs/{}/{}/repo/{release}/dnf.repo?arch={}", project.owner, project.name,
                    chroot.architecture()),
            })
        })
        .collect();
    pages.show(
        "project",
        &json!({
            "title": format!("{}/{}", project.owner, project.name),
            "owner": project.owner.to_string(),
            "name": project.name.to_string(),
            "description": project.settings.description.clone().unwrap_or_default(),
            "instructions": project.settings.instructions.clone().unwrap_or_default(),
            "enable": repositories::enable_command(state, &project.owner, &project.name),
            "fingerprint": state.store().key_fingerprint(project.id).await?,
            "public_key": format!("/results/{}/{}/pubkey.gpg", project.owner, project.name),
            "chroots": chroots,
            "has_builds": !rows.is_empty(),
            "builds": rows,
        }),
    )
}
