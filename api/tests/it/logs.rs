//! Logs of attempts: pieces, and following one.

use std::io::Write as _;

use futures_util::StreamExt as _;
use poem::{Endpoint as _, Request};
use serde_json::{Value, json};

use crate::{drive, farm::Farm};

struct Log {
    file: std::fs::File,
}

impl Log {
    fn of(farm: &Farm, attempt: &store::Attempt) -> Self {
        let directory = farm
            .path("results/.attempts")
            .join(attempt.id.0.simple().to_string());
        std::fs::create_dir_all(&directory).unwrap();
        Self {
            file: std::fs::File::create(directory.join("builder-live.log")).unwrap(),
        }
    }

    fn write(&mut self, text: &str) {
        self.file.write_all(text.as_bytes()).unwrap();
    }
}

/// The next event of a stream: its fields by name.
struct Events {
    stream: std::pin::Pin<Box<dyn futures_util::Stream<Item = Result<bytes::Bytes, std::io::Error>> + Send>>,
    buffer: String,
}

impl Events {
    async fn open(farm: &Farm, path: &str, last: Option<&str>) -> Self {
        let mut request = Request::builder().uri_str(path);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = api::app(farm.state.clone())
            .unwrap()
            .call(request.finish())
            .await
            .unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.content_type(), Some("text/event-stream"));
        Self {
            stream: Box::pin(response.into_body().into_bytes_stream()),
            buffer: String::new(),
        }
    }

    /// Kind, id and data of the next event; none at the end.
    async fn next(&mut self) -> Option<(String, String, Value)> {
        loop {
            if let Some((event, rest)) = self.buffer.split_once("\n\n") {
                let field = |name: &str| {
                    let line = event.lines().find_map(|line| line.strip_prefix(name));
                    line.unwrap_or_default().trim().to_owned()
                };
                let found = (field("event:"), field("id:"), field("data:"));
                self.buffer = rest.to_owned();
                if found.2.is_empty() {
                    continue;
                }
                return Some((found.0, found.1, serde_json::from_str(&found.2).unwrap()));
            }
            let waiting = tokio::time::timeout(std::time::Duration::from_secs(20), self.stream.next());
            let bytes = waiting.await.expect("no event within 20 s")?.unwrap();
            self.buffer.push_str(std::str::from_utf8(&bytes).unwrap());
        }
    }
}

#[tokio::test]
async fn a_log_is_read_in_pieces() {
    let farm = Farm::start().await;
    farm.project("p1").await;
    farm.build("p1").await;
    let attempt = drive::run(&farm.store, 1).await;
    let path = format!("/api/attempts/{}/log", attempt.id);
    let empty = json!({"offset": 0, "next_offset": 0, "size": 0, "complete": false, "text": ""});
    assert_eq!(farm.get(&path).await.good(), empty);
    Log::of(&farm, &attempt).write("hello wörld\n");
    let whole =
        json!({"offset": 0, "next_offset": 13, "size": 13, "complete": false, "text": "hello wörld\n"});
    assert_eq!(farm.get(&path).await.good(), whole);
    let piece = farm.get(&format!("{path}?offset=6&limit=2")).await.good();
    assert_eq!((&piece["text"], &piece["next_offset"]), (&json!("w"), &json!(7)));
    let tail = farm.get(&format!("{path}?offset=-4&limit=99")).await.good();
    assert_eq!(tail["text"], "rld\n");
    // The id works without its prefix, too.
    farm.get(&format!("/api/attempts/{}/log", attempt.id.0))
        .await
        .good();
}

#[tokio::test]
async fn a_log_is_followed_resumed_and_ends_with_the_attempt() {
    let farm = Farm::start().await;
    farm.project("p1").await;
    farm.build("p1").await;
    let attempt = drive::run(&farm.store, 1).await;
    let path = format!("/api/attempts/{}/log/stream", attempt.id);
    let mut events = Events::open(&farm, &path, None).await;
    let mut log = Log::of(&farm, &attempt);
    log.write("one\n");
    let (kind, id, data) = events.next().await.unwrap();
    assert_eq!((kind.as_str(), id.as_str()), ("log", "4"));
    assert_eq!(data, json!({"offset": 0, "next_offset": 4, "text": "one\n"}));
    log.write("two\n");
    assert_eq!(events.next().await.unwrap().2["text"], "two\n");
    drop(events);

    let mut events = Events::open(&farm, &path, Some("4")).await;
    assert_eq!(
        events.next().await.unwrap().2,
        json!({"offset": 4, "next_offset": 8, "text": "two\n"})
    );
    log.write("three\n");
    drive::fail(&farm.store, &attempt, "it is broken").await;
    assert_eq!(events.next().await.unwrap().2["text"], "three\n");
    let (kind, id, data) = events.next().await.unwrap();
    assert_eq!((kind.as_str(), id.as_str()), ("end", "14"));
    assert_eq!(
        data,
        json!({"offset": 14, "next_offset": 14, "text": "", "state": "failed"})
    );
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn streams_end_with_the_server_and_are_not_without_number() {
    let farm = Farm::start().await;
    farm.project("p1").await;
    farm.build("p1").await;
    let attempt = drive::run(&farm.store, 1).await;
    let path = format!("/api/attempts/{}/log/stream", attempt.id);
    let mut open = Vec::new();
    for _ in 0..4 {
        open.push(Events::open(&farm, &path, None).await);
    }
    let refused = farm.get(&path).await;
    refused.error(503);
    assert_eq!(refused.header("retry-after"), "5");
    farm.get_with(&path, "last-event-id", "x").await.error(400);
    farm.shutdown.cancel();
    for mut events in open {
        assert!(events.next().await.is_none());
    }
}
