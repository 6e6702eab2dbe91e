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
    files::log::{self, follow::LogEvent, pieces::USUAL_PIECE},
    http::{
        clients::Client,
        error::{Answer, ApiError},
        parameters::{Count, LastEvent, Of, Offset},
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
        /// The number of the build, such as 42.
        build_id: Path<i64>,
    ) -> Answer<Json<Vec<AttemptView>>> {
        let build = find_build(&self.0, build_id.0).await?;
        let attempts = self.0.store().attempts_of(build.id).await?;
        Ok(Json(attempts.iter().map(AttemptView::new).collect()))
    }

    /// Shows a part of an attempt's log.
    #[oai(
        path = "/api/attempts/:attempt_id/log",
        method = "get",
        operation_id = "get_attempt_log"
    )]
    async fn log(
        &self,
        /// The attempt's id: `att_` and 32 hexadecimal digits.
        attempt_id: Path<String>,
        /// How many bytes of the log to leave out at its start. A negative number counts from the log's end.
        offset: Query<Option<Of<Offset>>>,
        /// The most bytes in the answer, 65536 unless given. Larger numbers than 1048576 count as 1048576.
        limit: Query<Option<Of<Count>>>,
    ) -> Answer<Json<LogView>> {
        let attempt = self.find(&attempt_id).await?;
        let piece = log::read(
            &self.0,
            &attempt,
            offset.0.map_or(0, |Of(Offset(offset))| offset),
            limit.0.map_or(USUAL_PIECE, |Of(Count(limit))| limit),
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

    /// Sends an attempt's log while it grows, as server-sent events: an event `log` for each part, whose id is the offset of the
    /// next part, and an event `end` when the attempt has ended.
    #[oai(
        path = "/api/attempts/:attempt_id/log/stream",
        method = "get",
        operation_id = "follow_attempt_log"
    )]
    async fn stream(
        &self,
        request: &Request,
        /// The attempt's id: `att_` and 32 hexadecimal digits.
        attempt_id: Path<String>,
        /// How many bytes of the log to leave out at its start.
        offset: Query<Option<Of<Count>>>,
        /// The id of the last event that the client has received; the log goes on behind it. It is used instead of `offset`.
        #[oai(name = "Last-Event-ID")]
        last_event_id: Header<Option<Of<LastEvent>>>,
    ) -> Answer<EventStream<BoxStream<'static, LogChunk>>> {
        let attempt = self.find(&attempt_id).await?;
        let resumed = last_event_id.0.and_then(|Of(LastEvent(end))| end);
        let start = resumed
            .or_else(|| offset.0.map(|Of(Count(offset))| offset))
            .unwrap_or(0);
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

fn chunk(event: LogEvent) -> LogChunk {
    match event {
        LogEvent::Piece(piece) => LogChunk {
            offset: piece.offset,
            next_offset: piece.next_offset,
            text: piece.text,
            state: None,
        },
        LogEvent::End { offset, state } => LogChunk {
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
