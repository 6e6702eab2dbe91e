//! Sessions with builders over SSH.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use model::{AttemptId, Epoch};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use shell::{
    Chunk, ClientKey, Command, Connection, Endpoint, Exit, HostKey, Input, Progress, RunOptions, Timeouts,
    Upload,
};
use store::StoredSource;
use tokio::fs::File;
use tracing::debug;

use crate::{
    error::Error,
    session::{BuilderSession, LogStream, Offer, Sessions, Status},
    task,
};

const PROGRAM: &str = "/usr/libexec/verdigris/verdigris-builder";
/// Where results lie on the builder.
const ATTEMPTS: &str = "/var/lib/verdigris/attempts";
const CALL_LIMIT: Duration = Duration::from_secs(60);
const TRANSFER_LIMIT: Duration = Duration::from_secs(3600);
/// What even a slow builder reads and hashes in a second, in bytes.
const HASHED_PER_SECOND: u64 = 20 << 20;
/// A manifest with all that the limits allow is smaller than this.
pub(crate) const ANSWER_LIMIT: usize = 16 << 20;

/// Opens builders with the farm's key.
#[derive(Debug)]
pub struct SshSessions(Arc<ClientKey>);

impl SshSessions {
    /// Sessions that this key opens.
    #[must_use]
    pub fn new(key: ClientKey) -> Self {
        Self(Arc::new(key))
    }
}

#[async_trait]
impl Sessions for SshSessions {
    async fn open(
        &self,
        builder: &store::Builder,
        attempt: AttemptId,
    ) -> Result<Box<dyn BuilderSession>, Error> {
        let missing = |what: &str| Error::Builder(format!("builder {} has no {what} on record", builder.id));
        let address = builder.address.as_deref().ok_or_else(|| missing("address"))?;
        let host_key = builder.host_key.as_deref().ok_or_else(|| missing("host key"))?;
        let host_key = HostKey::parse(host_key)?;
        let endpoint = Endpoint::new(address, builder.port, "root");
        let connection = Connection::open(&endpoint, &self.0, &host_key, Timeouts::default()).await?;
        Ok(Box::new(SshSession { connection, attempt }))
    }
}

struct SshSession {
    connection: Connection,
    attempt: AttemptId,
}

impl SshSession {
    fn command(&self, verb: &str) -> Command {
        Command::new(PROGRAM)
            .argument(verb)
            .argument("--attempt")
            .argument(task::attempt_text(self.attempt))
    }

    fn directory(&self, name: &str) -> String {
        format!("{ATTEMPTS}/{}/{name}", task::attempt_text(self.attempt))
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        command: &Command,
        input: Vec<u8>,
        deadline: Duration,
    ) -> Result<T, Error> {
        let options = RunOptions {
            deadline,
            output_limit: ANSWER_LIMIT,
        };
        let output = self.connection.run(command, Input::from(input), options).await?;
        match output.exit {
            Exit::Code(0) if !output.truncated => serde_json::from_slice(&output.stdout)
                .map_err(|cause| Error::Builder(format!("an answer that is not understood: {cause}"))),
            Exit::Code(0) => Err(Error::Builder("an answer that is too long".to_owned())),
            Exit::Code(code) => Err(complaint(
                code,
                &output.stdout,
                &format!("{}{}", output.stdout_text(), output.stderr_text()),
            )),
            Exit::Signal(signal) => Err(Error::Builder(format!(
                "verdigris-builder was killed by signal {signal}"
            ))),
            Exit::Lost => Err(Error::Connection(shell::Error::Lost {
                what: "verdigris-builder".to_owned(),
                bytes_received: 0,
                why: "the connection ended".to_owned(),
            })),
        }
    }
}

#[async_trait]
impl BuilderSession for SshSession {
    async fn status(&self) -> Result<Status, Error> {
        self.ask(&self.command("status"), Vec::new(), CALL_LIMIT).await
    }

    async fn upload(&self, source: &StoredSource, mut file: File) -> Result<(), Error> {
        let upload = Upload {
            path: format!("{}/{}", self.directory("input"), source.file_name),
            makes_directory: true,
            mode: 0o644,
            size: source.size,
            deadline: TRANSFER_LIMIT,
        };
        self.connection.upload(&mut file, &upload).await?;
        Ok(())
    }

    async fn start(&self, epoch: Epoch, task: &Value) -> Result<(), Error> {
        let command = self
            .command("start")
            .argument("--epoch")
            .argument(epoch.to_string());
        let task = task.to_string().into_bytes();
        self.ask::<Value>(&command, task, CALL_LIMIT).await.map(drop)
    }

    async fn follow(&self, offset: u64, limit: Duration) -> Result<Box<dyn LogStream>, Error> {
        let command = self
            .command("log")
            .argument("--offset")
            .argument(offset.to_string())
            .argument("--follow");
        Ok(Box::new(self.connection.stream(&command, limit).await?))
    }

    async fn cancel(&self, epoch: Epoch) -> Result<(), Error> {
        let command = self
            .command("cancel")
            .argument("--epoch")
            .argument(epoch.to_string());
        self.ask::<Value>(&command, Vec::new(), CALL_LIMIT)
            .await
            .map(drop)
    }

    async fn manifest(&self, bytes: u64) -> Result<Offer, Error> {
        let reading = Duration::from_secs(bytes / HASHED_PER_SECOND);
        self.ask(&self.command("manifest"), Vec::new(), CALL_LIMIT + reading)
            .await
    }

    async fn fetch(&self, name: &str, size: u64, file: &mut File) -> Result<shell::Downloaded, Error> {
        let download = shell::Download {
            path: format!("{}/{name}", self.directory("results")),
            max_bytes: size,
            deadline: TRANSFER_LIMIT,
        };
        Ok(self.connection.download(file, &download).await?)
    }

    async fn close(&self) {
        self.connection.close().await;
    }
}

#[async_trait]
impl LogStream for shell::Stream {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, Error> {
        loop {
            match Self::next(self).await? {
                Progress::Chunk(Chunk::Stdout(bytes)) => return Ok(Some(bytes.to_vec())),
                Progress::Chunk(Chunk::Stderr(bytes)) => {
                    debug!(
                        "verdigris-builder says: {}",
                        String::from_utf8_lossy(&bytes).trim()
                    );
                }
                Progress::End(_) => return Ok(None),
            }
        }
    }
}

/// The error document of `verdigris-builder`.
#[derive(Deserialize)]
struct Complaint {
    error: String,
}

/// What an exit code means; they are listed in `provision-files/builder/README.md`.
fn complaint(code: u32, stdout: &[u8], said: &str) -> Error {
    let words = match serde_json::from_slice::<Complaint>(stdout) {
        Ok(complaint) => complaint.error,
        Err(_) => said.trim().to_owned(),
    };
    let words: String = words.chars().take(500).collect();
    match code {
        2 => Error::Task(words),
        4 => Error::Fenced,
        code => Error::Builder(format!("verdigris-builder ended with {code}: {words}")),
    }
}

#[cfg(test)]
mod tests {
    use super::{Error, complaint};

    #[test]
    fn an_exit_code_tells_whose_fault_it_is() {
        let document = br#"{"error": "task: no such key", "code": "bad_task"}"#;
        let refused = complaint(2, document, "");
        assert!(matches!(&refused, Error::Task(words) if words == "task: no such key"));
        assert!(matches!(complaint(4, b"{}", ""), Error::Fenced));
        for code in [1, 3, 5, 6, 255] {
            let other = complaint(code, document, "");
            assert!(
                matches!(&other, Error::Builder(words) if words.contains(&format!("ended with {code}: task:")))
            );
        }
        let other = complaint(6, b"no JSON", "no JSON\nat all");
        assert!(matches!(&other, Error::Builder(words) if words.ends_with("with 6: no JSON\nat all")));
    }

    #[test]
    fn what_a_hostile_builder_says_is_cut_off() {
        let long = format!("{{\"error\": \"{}\"}}", "ä".repeat(10_000));
        for (stdout, said) in [(long.as_bytes(), ""), (b"", long.as_str())] {
            let Error::Task(words) = complaint(2, stdout, said) else {
                panic!("a refused task");
            };
            assert_eq!(words.chars().count(), 500);
        }
    }
}
