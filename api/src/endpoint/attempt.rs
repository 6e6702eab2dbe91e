//! Attempts and their logs.

use std::time::Duration;

use futures_util::{StreamExt as _, stream::BoxStream};
use model::AttemptId;
use poem::{Request, web::sse::Event};
use poem_openapi::{
    OpenApi,
    param::{Header, Path, Query},
    payload::{EventStream, Json},
    types::ToJSON as _,
};
use store::Attempt;

use super::Chapter;
use crate::{
    files::log::{self, follow::News, pieces::USUAL_PIECE},
    http::{
        clients::Client,
        error::{Answer, ApiError},
    },
    lookup::{find_build, shown},
    state::ApiState,
    view::{AttemptView, LogChunk, LogView},
};

/// How often a silent stream shows that it is alive: less than what proxies wait for.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

pub(crate) struct AttemptApi(pub(crate) ApiState);

#[OpenApi(tag = "Chapter::Farm")]
impl AttemptApi {
    /// Lists the attempts of a build, oldest first.
    #[oai(
        path = "/api/builds/:build_id/attempts",
        method = "get",
        operation_id = "list_attempts"
    )]
    async fn list(
        &self,
        /// The build's number.
        build_id: Path<i64>,
    ) -> Answer<Json<Vec<AttemptView>>> {
        let build = find_build(&self.0, build_id.0).await?;
        let attempts = self.0.store().attempts_of(build.id).await?;
        Ok(Json(attempts.iter().map(AttemptView::new).collect()))
    }

    /// Gives a piece of an attempt's log.
    #[oai(
        path = "/api/attempts/:attempt_id/log",
        method = "get",
        operation_id = "get_attempt_log"
    )]
    async fn log(
        &self,
        /// The attempt's id.
        attempt_id: Path<String>,
        /// Where to begin, in bytes; a negative number counts from the end.
        offset: Query<Option<i64>>,
        /// At most so many bytes: 65536 if not given, at most 1048576.
        limit: Query<Option<u64>>,
    ) -> Answer<Json<LogView>> {
        let attempt = self.find(&attempt_id).await?;
        let piece = log::read(
            &self.0,
            &attempt,
            offset.0.unwrap_or(0),
            limit.0.unwrap_or(USUAL_PIECE),
        )
        .await?;
        Ok(Json(LogView {
            offset: piece.offset,
            next_offset: piece.next_offset,
            size: piece.size,
            complete: attempt.state.is_final(),
            text: piece.text,
        }))
    }

    /// Follows an attempt's log: one event for each piece, whose id is where the next one begins, and an
    /// event `end` when the attempt has ended. A client that comes back with `Last-Event-ID` goes on there.
    #[oai(
        path = "/api/attempts/:attempt_id/log/stream",
        method = "get",
        operation_id = "follow_attempt_log"
    )]
    async fn stream(
        &self,
        request: &Request,
        /// The attempt's id.
        attempt_id: Path<String>,
        /// Where to begin, in bytes.
        offset: Query<Option<u64>>,
        /// The id of the last event that was seen; it wins over `offset`.
        #[oai(name = "Last-Event-ID")]
        last_event_id: Header<Option<String>>,
    ) -> Answer<EventStream<BoxStream<'static, LogChunk>>> {
        let attempt = self.find(&attempt_id).await?;
        let start = match last_event_id.0.as_deref().filter(|id| !id.is_empty()) {
            None => offset.0.unwrap_or(0),
            Some(id) => id.parse().map_err(|_| {
                ApiError::Invalid(format!("Last-Event-ID: '{}' is not an offset.", shown(id)))
            })?,
        };
        let client = request.data::<Client>().copied();
        let stream = log::follow(&self.0, &attempt, start, client)?.map(chunk).boxed();
        Ok(EventStream::new(stream).keep_alive(KEEP_ALIVE).to_event(|chunk| {
            let kind = if chunk.state.is_some() { "end" } else { "log" };
            Event::message(chunk.to_json_string())
                .event_type(kind)
                .id(chunk.next_offset.to_string())
        }))
    }
}

fn chunk(news: News) -> LogChunk {
    match news {
        News::Piece(piece) => LogChunk {
            offset: piece.offset,
            next_offset: piece.next_offset,
            text: piece.text,
            state: None,
        },
        News::End { offset, state } => LogChunk {
            offset,
            next_offset: offset,
            text: String::new(),
            state: Some(state),
        },
    }
}

impl AttemptApi {
    async fn find(&self, id: &str) -> Answer<Attempt> {
        let missing = || ApiError::NotFound(format!("Attempt {} does not exist.", shown(id)));
        let id: AttemptId = id.parse().map_err(|_| missing())?;
        self.0.store().attempt(id).await?.ok_or_else(missing)
    }
}
