//! What happened.

use model::BuildId;
use poem_openapi::{OpenApi, param::Query, payload::Json};
use store::EventFilter;

use super::Chapter;
use crate::{
    caller::Operator,
    http::{
        error::Answer,
        parameters::{BuilderNamed, Count, Id, Of},
    },
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
    /// Lists events, the oldest first. To go on, ask for those `after` the last one's number.
    #[oai(path = "/api/events", method = "get", operation_id = "list_events")]
    async fn list(
        &self,
        _operator: Operator,
        /// List only the events of the build with this number.
        build: Query<Option<Of<Id>>>,
        /// List only the events of the builder with this id: `bdr_` and 32 hexadecimal digits.
        builder: Query<Option<Of<BuilderNamed>>>,
        /// List only events with a higher number than this; all unless given.
        after: Query<Option<Of<Count>>>,
        /// The most events in the answer, 100 unless given. Larger numbers than 1000 count as 1000.
        limit: Query<Option<Of<Count>>>,
    ) -> Answer<Json<Vec<EventView>>> {
        let filter = EventFilter {
            builder: builder.0.map(|Of(BuilderNamed(id))| id),
            build: build.0.map(|Of(Id(number))| BuildId(number)),
            after_id: after.0.map(|Of(Count(number))| number.cast_signed()),
        };
        let events = self
            .0
            .store()
            .events(filter, limit.0.map_or(USUAL, |Of(Count(limit))| limit.min(MOST)))
            .await?;
        Ok(Json(events.into_iter().map(EventView::new).collect()))
    }
}
