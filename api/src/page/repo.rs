//! The `.repo` files that `dnf copr enable` fetches.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use model::ChrootName;
use poem::{
    Request, Response,
    http::{HeaderName, HeaderValue, header},
};
use serde_json::json;

use crate::{
    http::error::ApiError,
    lookup::{find_directory, find_project, shown},
    repositories,
    state::ApiState,
};

/// By this header dnf's plugin learns which chroots there are.
const ERROR_DATA: HeaderName = HeaderName::from_static("copr-error-data");

pub(crate) async fn show(
    state: &ApiState,
    request: &Request,
    owner: &str,
    name: &str,
    release: &str,
) -> Result<Response, ApiError> {
    let main = name.split(':').next().unwrap_or_default();
    let project = find_project(state, owner, main).await?;
    let directory = find_directory(state, &project, name).await?;
    let architecture = request
        .params::<Vec<(String, String)>>()
        .unwrap_or_default()
        .into_iter()
        .find_map(|(key, value)| (key == "arch").then_some(value));
    let Some(chroot) = choose(&project.chroots, release, architecture.as_deref()) else {
        return Ok(no_chroot(&project.chroots, release));
    };
    let text = repositories::text(state, &project, &directory, chroot)?;
    let mut response = Response::builder()
        .content_type("text/plain; charset=utf-8")
        .body(text);
    let disposition = format!("filename={owner}-{}.repo", directory.as_str().replace(':', "-"));
    if let Ok(value) = HeaderValue::from_str(&disposition) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, value);
    }
    Ok(response)
}

/// The chroot that is meant; without an architecture the last one of the release.
fn choose<'a>(
    chroots: &'a [ChrootName],
    release: &str,
    architecture: Option<&str>,
) -> Option<&'a ChrootName> {
    chroots
        .iter()
        .rev()
        .filter(|chroot| chroot.name_release() == release || chroot.as_str() == release)
        .find(|chroot| architecture.is_none_or(|wanted| wanted == chroot.architecture()))
}

fn no_chroot(chroots: &[ChrootName], release: &str) -> Response {
    let names: Vec<&str> = chroots.iter().map(ChrootName::as_str).collect();
    let data = json!({"available chroots": names}).to_string();
    let text = format!("The project has no chroot for '{}'.", shown(release));
    let mut response = ApiError::NotFound(text).to_response();
    if let Ok(value) = HeaderValue::from_str(&STANDARD.encode(data)) {
        response.headers_mut().insert(ERROR_DATA, value);
    }
    response
}
