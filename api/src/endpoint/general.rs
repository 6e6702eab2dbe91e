//! Who is calling, tokens, and what can be built for.

use std::collections::BTreeMap;

use model::Timestamp;
use poem_openapi::{OpenApi, payload::Json};

use super::Chapter;
use crate::{
    caller::Caller,
    http::error::{Answer, ApiError},
    state::ApiState,
    view::{IdentityView, TokenView, VersionView},
};

pub(crate) struct GeneralApi(pub(crate) ApiState);

#[OpenApi(tag = "Chapter::General")]
impl GeneralApi {
    /// Says which API this is.
    #[oai(path = "/api_3", method = "get", operation_id = "get_version")]
    async fn version(&self) -> Answer<Json<VersionView>> {
        Ok(Json(VersionView { version: 3 }))
    }

    /// Says who the caller is.
    #[oai(
        path = "/api_3/auth-check",
        method = "get",
        operation_id = "check_authentication"
    )]
    async fn auth_check(&self, caller: Caller) -> Answer<Json<IdentityView>> {
        Ok(Json(IdentityView {
            id: caller.0.id.0,
            name: caller.0.name.to_string(),
        }))
    }

    /// Makes a new token for the caller; the old one is void.
    #[oai(path = "/api_3/api-token", method = "post", operation_id = "create_token")]
    async fn new_token(&self, caller: Caller) -> Answer<Json<TokenView>> {
        let state = &self.0;
        let issued = state
            .store()
            .issue_token(caller.0.id, state.settings().token_lifetime, state.now())
            .await?;
        tracing::info!(user = %caller.name(), "Issued a new token.");
        Ok(Json(TokenView {
            api_login: issued.login,
            api_token: issued.token,
            expiration: day(issued.expires_at)?,
        }))
    }

    /// Lists the chroots that projects can choose, with a comment each.
    #[oai(
        path = "/api_3/mock-chroots/list",
        method = "get",
        operation_id = "list_chroots"
    )]
    async fn mock_chroots(&self) -> Answer<Json<BTreeMap<String, String>>> {
        let chroots = self.0.store().chroots().await?;
        Ok(Json(
            chroots
                .into_iter()
                .filter(|chroot| chroot.is_active)
                .map(|chroot| (chroot.name.to_string(), chroot.comment))
                .collect(),
        ))
    }
}

/// The day of a moment, as `YYYY-MM-DD`.
fn day(at: Timestamp) -> Answer<String> {
    at.to_string()
        .split_once('T')
        .map(|(day, _)| day.to_owned())
        .ok_or_else(|| ApiError::Internal(format!("a token ends outside the calendar: {at}")))
}
