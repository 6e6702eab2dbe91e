//! The front page, and how to get a token.

use poem::Response;
use serde_json::{Value, json};

use super::{Pages, build_row};
use crate::{http::error::ApiError, state::ApiState};

/// How many builds the front page shows.
const RECENT: u64 = 20;

pub(crate) async fn show(state: &ApiState, pages: &Pages) -> Result<Response, ApiError> {
    let builds = state.store().recent_builds(RECENT).await?;
    let mut rows: Vec<Value> = Vec::new();
    for build in &builds {
        rows.push(build_row(build));
    }
    let chroots = state.store().chroots().await?;
    let chroot = chroots
        .iter()
        .find(|chroot| chroot.is_active)
        .map(|chroot| chroot.name.to_string());
    pages.show(
        "home",
        &json!({
            "has_builds": !rows.is_empty(),
            "builds": rows,
            "has_chroots": chroot.is_some(),
            "chroot": chroot.unwrap_or_default(),
            "url": state.url(""),
        }),
    )
}

pub(crate) fn token(state: &ApiState, pages: &Pages) -> Result<Response, ApiError> {
    let url = state.url("");
    let is_encrypted = url.starts_with("https:");
    let shown = json!({"title": "API token", "url": url, "is_encrypted": is_encrypted});
    pages.show("token", &shown)
}
