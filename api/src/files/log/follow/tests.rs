use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::{FutureExt as _, future};

use super::*;
use crate::http::clients::Quota;

/// How often logs are looked at here.
const LOOK: Duration = Duration::from_millis(10);

/// No test takes so long.
const LONG: Duration = Duration::from_secs(60);

/// A log in memory that counts how often it is read, and how often its end is asked for.
#[derive(Clone, Default)]
struct Script(Arc<ScriptInner>);

#[derive(Default)]
struct ScriptInner {
    text: Mutex<Vec<u8>>,
    ended: Mutex<Option<String>>,
    reads: AtomicU64,
    questions: AtomicU64,
}

impl Script {
    fn write(&self, text: &[u8]) {
        self.0.text.lock().unwrap().extend_from_slice(text);
    }

    fn end(&self, state: &str) {
        *self.0.ended.lock().unwrap() = Some(state.to_owned());
    }

    fn counts(&self) -> (u64, u64) {
        (
            self.0.reads.load(Ordering::Relaxed),
            self.0.questions.load(Ordering::Relaxed),
        )
    }
}

impl Source for Script {
    async fn read(&self, offset: u64) -> io::Result<(Vec<u8>, u64)> {
        self.0.reads.fetch_add(1, Ordering::Relaxed);
        let text = self.0.text.lock().unwrap();
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(text.len());
        let end = text.len().min(start.saturating_add(64 << 10));
        Ok((text[start..end].to_vec(), length(&text)))
    }

    async fn ended(&self) -> Option<String> {
        self.0.questions.fetch_add(1, Ordering::Relaxed);
        self.0.ended.lock().unwrap().clone()
    }
}

struct Farm {
    logs: Arc<FollowedLogs>,
    quota: Arc<Quota>,
    script: Script,
    shutdown: CancellationToken,
    id: AttemptId,
}

impl Farm {
    fn new() -> Self {
        Self {
            logs: Arc::new(FollowedLogs::new(LOOK)),
            quota: Quota::new(1000, 1000),
            script: Script::default(),
            shutdown: CancellationToken::new(),
            id: AttemptId(uuid::Uuid::from_u128(7)),
        }
    }

    fn follow(&self, start: u64) -> BoxStream<'static, LogEvent> {
        let place = self.quota.take(None).unwrap();
        self.logs
            .follow(self.id, self.script.clone(), start, self.shutdown.clone(), place)
    }

    fn readers(&self) -> usize {
        self.logs.logs.lock().unwrap().len()
    }

    /// Waits until nothing reads the log any more.
    async fn is_quiet(&self) {
        let quiet = async {
            while self.readers() > 0 {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(LONG, quiet)
            .await
            .expect("a log is still read");
    }
}

/// All that a follower gets: the text, and how it ended.
async fn all(mut stream: BoxStream<'static, LogEvent>) -> (String, Option<String>) {
    let mut text = String::new();
    while let Some(event) = stream.next().await {
        match event {
            LogEvent::Piece(piece) => text.push_str(&piece.text),
            LogEvent::End { state, .. } => return (text, Some(state)),
        }
    }
    (text, None)
}

#[tokio::test]
async fn two_hundred_followers_cost_the_file_and_the_database_what_one_costs() {
    const FOLLOWERS: u64 = 200;
    const LINES: u64 = 50;
    let farm = Farm::new();
    let streams: Vec<_> = (0..FOLLOWERS)
        .map(|_| tokio::spawn(all(farm.follow(0))))
        .collect();
    let started = std::time::Instant::now();
    let mut expected = String::new();
    for number in 0..LINES {
        let line = format!("line {number} of wörds\n");
        farm.script.write(line.as_bytes());
        expected.push_str(&line);
        tokio::time::sleep(LOOK * 2).await;
        assert_eq!(farm.readers(), 1);
    }
    farm.script.end("failed");
    for stream in streams {
        assert_eq!(
            stream.await.unwrap(),
            (expected.clone(), Some("failed".to_owned()))
        );
    }
    let (reads, questions) = farm.script.counts();
    // One reader cannot have looked more often than this, however slow the machine is; two hundred would have.
    let looks = u64::try_from(started.elapsed().as_millis() / LOOK.as_millis()).unwrap() + 2;
    // Each follower may have read the beginning by himself.
    assert!(
        reads <= looks + LINES + FOLLOWERS,
        "{reads} reads in {looks} looks"
    );
    assert!(
        questions <= looks / u64::from(LOOKS_PER_QUESTION) + 2,
        "{questions} questions in {looks} looks"
    );
}

#[tokio::test]
async fn who_comes_late_gets_all_from_where_he_begins() {
    let farm = Farm::new();
    farm.script.write(&b"0123456789".repeat(100_000));
    let mut early = farm.follow(999_990);
    let first = early.next().await;
    assert!(matches!(first, Some(LogEvent::Piece(piece)) if piece.text == "0123456789"));
    let late = tokio::spawn(all(farm.follow(5)));
    tokio::time::sleep(LOOK * 3).await;
    farm.script.write(b"the end");
    farm.script.end("succeeded");
    let (text, state) = late.await.unwrap();
    assert_eq!((text.len(), state.as_deref()), (1_000_002, Some("succeeded")));
    assert!(
        text.starts_with("56789012") && text.ends_with("789the end"),
        "some of it is missing"
    );
    assert_eq!(all(early).await.0, "the end");
}

#[tokio::test]
async fn a_burst_that_no_follower_can_keep_up_with_loses_nothing() {
    let farm = Farm::new();
    let mut stream = farm.follow(0);
    farm.script.write(b"first\n");
    assert!(matches!(stream.next().await, Some(LogEvent::Piece(piece)) if piece.text == "first\n"));
    // Ten times what the reader keeps, while the follower looks away.
    let burst = b"burst\n".repeat(500_000);
    farm.script.write(&burst);
    tokio::time::sleep(LOOK * 20).await;
    farm.script.end("succeeded");
    let (text, state) = all(stream).await;
    assert_eq!((text.len(), state.as_deref()), (burst.len(), Some("succeeded")));
}

#[tokio::test]
async fn a_log_that_nobody_follows_is_not_read_and_can_be_followed_again() {
    let farm = Farm::new();
    let mut stream = farm.follow(0);
    farm.script.write(b"one\n");
    assert!(stream.next().await.is_some());
    drop(stream);
    farm.is_quiet().await;
    let before = farm.script.counts();
    tokio::time::sleep(LOOK * 10).await;
    assert_eq!(farm.script.counts(), before);
    farm.script.write(b"two\n");
    farm.script.end("failed");
    assert_eq!(
        all(farm.follow(4)).await,
        ("two\n".to_owned(), Some("failed".to_owned()))
    );
    farm.is_quiet().await;
}

#[tokio::test]
async fn a_character_that_is_half_written_is_waited_for() {
    let farm = Farm::new();
    let mut stream = farm.follow(0);
    farm.script.write(b"a\xE2\x82");
    assert!(matches!(stream.next().await, Some(LogEvent::Piece(piece)) if piece.text == "a"));
    farm.script.write(b"\xACb");
    assert!(matches!(stream.next().await, Some(LogEvent::Piece(piece)) if piece.text == "€b"));
}

#[tokio::test]
async fn followers_end_with_the_server() {
    let farm = Farm::new();
    let streams = (0..3).map(|_| tokio::spawn(all(farm.follow(0))));
    let mut waiting = future::join_all(streams).boxed();
    assert!(tokio::time::timeout(LOOK * 10, &mut waiting).await.is_err());
    farm.shutdown.cancel();
    for ended in waiting.await {
        assert_eq!(ended.unwrap(), (String::new(), None));
    }
    farm.is_quiet().await;
}
