//! Speaking with `verdigris-builder`, the farm's program on a builder.

use std::time::Duration;

use model::{AttemptId, Epoch};
use serde::Deserialize;
use serde_json::Value;
use shell::{
    Command, Connection, Endpoint, Exit, HostKey, HostKeyPolicy, Input, RunOptions, Timeouts, Upload,
};
use store::{Allocation, Attempt};
use tokio::fs::File;

use crate::{Context, Error, task};

const PROGRAM: &str = "/usr/libexec/verdigris/verdigris-builder";
/// Where results lie on the builder.
const ATTEMPTS: &str = "/var/lib/verdigris/attempts";
const CALL_LIMIT: Duration = Duration::from_secs(60);
/// What even a slow builder reads and hashes in a second, in bytes.
const HASHED_PER_SECOND: u64 = 20 << 20;
/// A manifest with all that the limits allow is smaller than this.
pub(crate) const ANSWER_LIMIT: usize = 16 << 20;

/// An open connection to the builder of one attempt.
#[derive(Debug)]
pub(crate) struct Builder {
    connection: Connection,
    attempt: AttemptId,
}

/// How a build on a builder stands.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Status {
    /// `running`, `finished`, `lost` or `unknown`.
    pub(crate) state: String,
    /// What the builder makes of a finished build.
    #[serde(default)]
    pub(crate) verdict: Option<Verdict>,
}

/// What a builder makes of a finished build.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Verdict {
    /// `succeeded`, `failed`, `skipped` or `cancelled`.
    pub(crate) result: String,
    /// Who is answerable.
    #[serde(default)]
    pub(crate) blame: Option<String>,
    /// In words for the user.
    #[serde(default)]
    pub(crate) reason: String,
    /// Where in which log it can be seen.
    #[serde(default)]
    pub(crate) evidence: Option<Value>,
}

/// What a builder offers for collection.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Offer {
    /// The files, for [`repository::Manifest`] to check.
    pub(crate) files: Value,
    /// What the builder itself would not offer.
    #[serde(default)]
    pub(crate) refused: Vec<Value>,
}

impl Builder {
    /// Connects with the host key on record: any other machine at that address is refused.
    pub(crate) async fn connect(context: &Context, allocation: &Allocation) -> Result<Self, Error> {
        let row = &allocation.builder;
        let missing = |what: &str| Error::Builder(format!("builder {} has no {what} on record", row.id));
        let address = row.address.as_deref().ok_or_else(|| missing("address"))?;
        let host_key = row.host_key.as_deref().ok_or_else(|| missing("host key"))?;
        let policy = HostKeyPolicy::Pinned(HostKey::parse(host_key)?);
        let endpoint = Endpoint::new(address, row.port, "root");
        let connection = Connection::open(&endpoint, &context.key, &policy, Timeouts::default()).await?;
        Ok(Self {
            connection,
            attempt: allocation.attempt.id,
        })
    }

    fn command(&self, verb: &str) -> Command {
        Command::new(PROGRAM)
            .argument(verb)
            .argument("--attempt")
            .argument(task::attempt_text(self.attempt))
    }

    async fn ask<T: serde::de::DeserializeOwned>(
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
                "verdigris-builder was killed by {signal}"
            ))),
            Exit::Lost => Err(Error::Connection(shell::Error::Lost {
                what: "verdigris-builder".to_owned(),
                bytes_received: 0,
                why: "the connection ended".to_owned(),
            })),
        }
    }

    /// How the build stands.
    pub(crate) async fn status(&self) -> Result<Status, Error> {
        self.ask(&self.command("status"), Vec::new(), CALL_LIMIT).await
    }

    /// Puts the source on the builder and starts the build; both do no harm when done before.
    pub(crate) async fn start(&self, context: &Context, allocation: &Allocation) -> Result<(), Error> {
        let Attempt { source, .. } = &allocation.attempt;
        let local = task::source_path(&context.sources, source);
        let what = || format!("reading the source {}", source.file_name);
        let mut file = File::open(&local)
            .await
            .map_err(|source| Error::File { what: what(), source })?;
        let upload = Upload {
            path: format!(
                "{ATTEMPTS}/{}/input/{}",
                task::attempt_text(self.attempt),
                source.file_name
            ),
            mode: 0o644,
            size: source.size,
            deadline: Duration::from_secs(3600),
        };
        let directory = format!("{ATTEMPTS}/{}/input", task::attempt_text(self.attempt));
        let make = Command::new("mkdir")
            .arguments(["-p", &directory])
            .labelled("the attempt's directory");
        let made = self
            .connection
            .run(&make, Input::Empty, RunOptions::within(CALL_LIMIT))
            .await;
        made.and_then(|output| output.require_success("making the attempt's directory"))?;
        self.connection.upload(&mut file, &upload).await?;
        let command = self
            .command("start")
            .argument("--epoch")
            .argument(allocation.epoch.to_string());
        let task = task::task(context, allocation).to_string();
        self.ask::<Value>(&command, task.into_bytes(), CALL_LIMIT)
            .await
            .map(drop)
    }

    /// The live log from an offset on, until the build ends.
    pub(crate) async fn follow(&self, offset: u64, limit: Duration) -> Result<shell::Stream, Error> {
        let command = self
            .command("log")
            .argument("--offset")
            .argument(offset.to_string())
            .argument("--follow");
        Ok(self.connection.stream(&command, limit).await?)
    }

    /// Kills the build.
    pub(crate) async fn cancel(&self, epoch: Epoch) -> Result<(), Error> {
        let command = self
            .command("cancel")
            .argument("--epoch")
            .argument(epoch.to_string());
        self.ask::<Value>(&command, Vec::new(), CALL_LIMIT)
            .await
            .map(drop)
    }

    /// What there is to collect. The builder reads all of it, at most `bytes`, to say so.
    pub(crate) async fn manifest(&self, bytes: u64) -> Result<Offer, Error> {
        let reading = Duration::from_secs(bytes / HASHED_PER_SECOND);
        self.ask(&self.command("manifest"), Vec::new(), CALL_LIMIT + reading)
            .await
    }

    /// Copies one result file here; its size and digest are for the caller to compare.
    pub(crate) async fn fetch(
        &self,
        name: &str,
        size: u64,
        file: &mut File,
    ) -> Result<shell::Downloaded, Error> {
        let download = shell::Download {
            path: format!("{ATTEMPTS}/{}/results/{name}", task::attempt_text(self.attempt)),
            max_bytes: size,
            deadline: Duration::from_secs(3600),
        };
        Ok(self.connection.download(file, &download).await?)
    }

    /// Ends the connection.
    pub(crate) async fn close(self) {
        self.connection.close().await;
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
        let other = complaint(6, b"no JSON", "no JSON\nat all");
        assert!(matches!(&other, Error::Builder(words) if words.ends_with("with 6: no JSON\nat all")));
    }
}
