//! What happened.

use model::{BuildId, BuilderId};
use poem_openapi::{OpenApi, param::Query, payload::Json};
use store::EventFilter;

use super::Chapter;
use crate::{
    caller::Operator,
    http::error::{Answer, ApiError},
    state::ApiState,
    view::EventView,
};

/// The most events of one answer.
const MOST: u64 = 1000;

/// How many are given when nobody says.
const USUAL: u64 = 100;

pub(crate) struct EventApi(pub(crate) ApiState);

#[OpenApi(tag = "Chapter::Farm")]
impl EventApi {
    /// Lists events, oldest first; go on after the last one's number.
    #[oai(path = "/api/events", method = "get", operation_id = "list_events")]
    async fn list(
        &self,
        _operator: Operator,
        /// Only of this build.
        build: Query<Option<i64>>,
        /// Only of this builder.
        builder: Query<Option<String>>,
        /// Only with a higher number.
        after: Query<Option<i64>>,
        /// At most so many: 100 if not given, at most 1000.
        limit: Query<Option<u64>>,
    ) -> Answer<Json<Vec<EventView>>> {
        let builder = match builder.0.as_deref() {
            None => None,
            Some(text) => {
                let id: BuilderId = text
                    .parse()
                    .map_err(|error| ApiError::Invalid(format!("builder: {error}.")))?;
                Some(id)
            }
        };
        let filter = EventFilter {
            builder,
            build: build.0.map(BuildId),
            after_id: after.0,
        };
        let events = self
            .0
            .store()
            .events(filter, limit.0.unwrap_or(USUAL).min(MOST))
            .await?;
        Ok(Json(events.into_iter().map(EventView::new).collect()))
    }
}
