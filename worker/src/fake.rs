//! A builder that does what a test's script says.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use model::{AttemptId, Epoch};
use serde_json::{Value, json};
use sha2::Digest as _;
use store::StoredSource;
use tokio::{fs::File, io::AsyncWriteExt as _, sync::Semaphore};

use crate::{
    error::Error,
    session::{
        BuildOnBuilder, BuilderSession, LeftOut, LogStream, Offer, Sessions, Status, Verdict, VerdictWord,
    },
};

/// One builder, and what was asked of it.
#[derive(Clone)]
pub(crate) struct FakeBuilder(Arc<Inner>);

struct Inner {
    script: Mutex<Script>,
    /// What an upload waits for.
    uploads: Semaphore,
    sessions: AtomicU64,
}

/// What it does, and what it has been asked.
pub(crate) struct Script {
    /// The words of the calls so far.
    pub(crate) calls: Vec<String>,
    /// How many connections fail before one works.
    pub(crate) unreachable: u32,
    /// What `start` answers instead of starting.
    pub(crate) refuses: Option<fn() -> Error>,
    /// Whether a build was started.
    pub(crate) started: bool,
    /// Whether it is over.
    pub(crate) over: bool,
    /// Its whole log.
    pub(crate) log: Vec<u8>,
    /// After so many bytes of it the connection is lost, once each.
    pub(crate) losses: VecDeque<usize>,
    /// After so many bytes of it the program that follows it ends, once each, though the build goes on.
    pub(crate) ends: VecDeque<usize>,
    /// Whether its process is gone without a verdict.
    pub(crate) vanished: bool,
    /// What it makes of the build.
    pub(crate) verdict: Verdict,
    /// Its results.
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// What it sends instead of some of them.
    pub(crate) sends: BTreeMap<String, Vec<u8>>,
    /// More entries for its manifest, of whatever form.
    pub(crate) odd_entries: Vec<Value>,
    pub(crate) refused: Vec<LeftOut>,
    pub(crate) passed_over: Vec<LeftOut>,
    /// Whether its manifest is not to be had.
    pub(crate) has_no_manifest: bool,
}

pub(crate) fn verdict(result: VerdictWord, blame: Option<&str>, reason: &str) -> Verdict {
    Verdict {
        result,
        blame: blame.map(str::to_owned),
        reason: reason.to_owned(),
        kind: None,
        evidence: None,
    }
}

pub(crate) fn lost() -> Error {
    Error::Connection(shell::Error::Lost {
        what: "a call".to_owned(),
        bytes_received: 0,
        why: "the script says so".to_owned(),
    })
}

impl FakeBuilder {
    /// A builder whose builds end at once, well, with a log and without packages.
    pub(crate) fn new() -> Self {
        let log = b"one\ntwo\nthree\n".to_vec();
        let script = Script {
            calls: Vec::new(),
            unreachable: 0,
            refuses: None,
            started: false,
            over: true,
            losses: VecDeque::new(),
            ends: VecDeque::new(),
            vanished: false,
            verdict: verdict(VerdictWord::Succeeded, None, "it built"),
            files: [
                ("build.log".to_owned(), b"rpmbuild\n".to_vec()),
                ("builder-live.log".to_owned(), log.clone()),
            ]
            .into(),
            sends: BTreeMap::new(),
            log,
            odd_entries: Vec::new(),
            refused: Vec::new(),
            passed_over: Vec::new(),
            has_no_manifest: false,
        };
        Self(Arc::new(Inner {
            script: Mutex::new(script),
            uploads: Semaphore::new(Semaphore::MAX_PERMITS),
            sessions: AtomicU64::new(0),
        }))
    }

    pub(crate) fn script(&self) -> MutexGuard<'_, Script> {
        self.0.script.lock().unwrap()
    }

    /// Changes the script.
    pub(crate) fn with(self, change: impl FnOnce(&mut Script)) -> Self {
        change(&mut self.script());
        self
    }

    /// Has uploads wait for ever.
    pub(crate) fn with_endless_uploads(self) -> Self {
        self.0.uploads.forget_permits(Semaphore::MAX_PERMITS);
        self
    }

    pub(crate) fn calls(&self) -> Vec<String> {
        self.script().calls.clone()
    }

    /// Returns when a call was made.
    pub(crate) async fn called(&self, call: &str) {
        while !self.calls().iter().any(|made| made == call) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn note(&self, call: impl Into<String>) {
        self.script().calls.push(call.into());
    }
}

#[async_trait]
impl Sessions for FakeBuilder {
    async fn open(&self, _: &store::Builder, _: AttemptId) -> Result<Box<dyn BuilderSession>, Error> {
        self.note("open");
        self.0.sessions.fetch_add(1, Ordering::Relaxed);
        let mut script = self.script();
        if script.unreachable > 0 {
            script.unreachable -= 1;
            return Err(lost());
        }
        drop(script);
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl BuilderSession for FakeBuilder {
    async fn status(&self) -> Result<Status, Error> {
        self.note("status");
        let script = self.script();
        let (state, verdict) = match (script.started, script.over) {
            (false, _) => (BuildOnBuilder::Unknown, None),
            (true, _) if script.vanished => (BuildOnBuilder::Lost, None),
            (true, false) => (BuildOnBuilder::Running, None),
            (true, true) => (BuildOnBuilder::Finished, Some(script.verdict.clone())),
        };
        Ok(Status { state, verdict })
    }

    async fn upload(&self, source: &StoredSource, _: File) -> Result<(), Error> {
        self.note(format!("upload {}", source.file_name));
        let _permit = self.0.uploads.acquire().await;
        Ok(())
    }

    async fn start(&self, epoch: Epoch, task: &Value) -> Result<(), Error> {
        self.note("start");
        assert_eq!(task["epoch"], json!(epoch.0));
        let mut script = self.script();
        if let Some(refusal) = script.refuses {
            return Err(refusal());
        }
        script.started = true;
        Ok(())
    }

    async fn follow(&self, offset: u64, _: Duration) -> Result<Box<dyn LogStream>, Error> {
        self.note(format!("follow {offset}"));
        Ok(Box::new(FakeLog {
            builder: self.clone(),
            offset: usize::try_from(offset).unwrap(),
        }))
    }

    async fn cancel(&self, _: Epoch) -> Result<(), Error> {
        self.note("cancel");
        let mut script = self.script();
        script.over = true;
        script.verdict = verdict(VerdictWord::Cancelled, Some("cancelled"), "killed");
        Ok(())
    }

    async fn manifest(&self, _: u64) -> Result<Offer, Error> {
        self.note("manifest");
        let script = self.script();
        if !script.over {
            return Err(Error::Builder("it is still running".to_owned()));
        }
        if script.has_no_manifest {
            return Err(Error::Builder("no manifest today".to_owned()));
        }
        let files = script.files.iter().map(|(name, bytes)| {
            json!({"name": name, "size": bytes.len(), "sha256": hex::encode(sha2::Sha256::digest(bytes))})
        });
        Ok(Offer {
            files: files.chain(script.odd_entries.clone()).collect(),
            refused: script.refused.clone(),
            passed_over: script.passed_over.clone(),
        })
    }

    async fn fetch(&self, name: &str, _: u64, file: &mut File) -> Result<shell::Downloaded, Error> {
        self.note(format!("fetch {name}"));
        let bytes = {
            let script = self.script();
            script.sends.get(name).unwrap_or(&script.files[name]).clone()
        };
        file.write_all(&bytes).await.unwrap();
        Ok(shell::Downloaded {
            size: u64::try_from(bytes.len()).unwrap(),
            sha256: hex::encode(sha2::Sha256::digest(&bytes)),
        })
    }

    async fn close(&self) {
        self.note("close");
    }
}

struct FakeLog {
    builder: FakeBuilder,
    offset: usize,
}

#[async_trait]
impl LogStream for FakeLog {
    /// A byte at a time, so that losses can happen anywhere.
    async fn next(&mut self) -> Result<Option<Vec<u8>>, Error> {
        loop {
            {
                let mut script = self.builder.script();
                if script.losses.front().is_some_and(|at| *at <= self.offset) {
                    script.losses.pop_front();
                    return Err(lost());
                }
                if script.ends.front().is_some_and(|at| *at <= self.offset) {
                    script.ends.pop_front();
                    return Ok(None);
                }
                if let Some(byte) = script.log.get(self.offset) {
                    self.offset += 1;
                    return Ok(Some(vec![*byte]));
                }
                if script.over {
                    return Ok(None);
                }
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
