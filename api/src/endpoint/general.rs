//! Who is calling, tokens, and what can be built for.

use std::collections::BTreeMap;

use futures_util::{future, stream};
use model::Timestamp;
use poem_openapi::{OpenApi, payload::Json};
use serde_json::json;

use super::Chapter;
use crate::{
    caller::Caller,
    http::{
        error::{Answer, ApiError},
        streamed::Streamed,
    },
    state::ApiState,
    view::{IdentityView, TokenView, VersionView},
};

pub(crate) struct GeneralApi(pub(crate) ApiState);

#[OpenApi(tag = "Chapter::General")]
impl GeneralApi {
    /// Shows the version of Copr's API that is spoken.
    #[oai(path = "/api_3", method = "get", operation_id = "get_version")]
    async fn version(&self) -> Answer<Json<VersionView>> {
        Ok(Json(VersionView { version: 3 }))
    }

    /// Shows the user that the API token belongs to.
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

    /// Issues a new API token to the caller. The old one is no longer valid.
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

    /// Lists the chroots that projects can build in, with a comment on each.
    #[oai(
        path = "/api_3/mock-chroots/list",
        method = "get",
        operation_id = "list_chroots"
    )]
    async fn mock_chroots(&self) -> Answer<Streamed<BTreeMap<String, String>>> {
        let chroots = self.0.store().chroots().await?;
        // Written by hand, since people see the order of the keys: that in which the farm got its chroots.
        let pairs: Vec<String> = chroots
            .into_iter()
            .filter(|chroot| chroot.is_active)
            .map(|chroot| format!("{}: {}", json!(chroot.name.as_str()), json!(chroot.comment)))
            .collect();
        let text = format!("{{{}}}", pairs.join(", "));
        Ok(Streamed::new(stream::once(future::ready(Ok(text)))))
    }
}

/// The day of a moment, as `YYYY-MM-DD`.
fn day(at: Timestamp) -> Answer<String> {
    at.to_string()
        .split_once('T')
        .map(|(day, _)| day.to_owned())
        .ok_or_else(|| ApiError::Internal(format!("a token ends outside the calendar: {at}")))
}
