//! Files to and from a builder, over plain commands: no SFTP subsystem is needed, and one channel with one round
//! trip moves a file and checks its digest.

use std::time::Duration;

use bytes::Bytes;
use russh::ChannelWriteHalf;
use russh::client::Msg;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

use crate::event::{Chunk, Exit};
use crate::session::{CHUNK, Reading, abandon, count, hang_up, read_chunk, tail, until_read};
use crate::{Command, Connection, Error};

/// Takes the content and then a line with its digest; the file appears under its name only if both agree. Until then it has
/// a short name of its own: one made of the file's would be too long for the file system where that is as long as may be. What
/// is not finished is taken away, also where nobody reads any more what it says: some shells, such as dash, end by a signal
/// without the trap of `EXIT`.
const RECEIVE: &str = r#"set -eu
case "$1" in */*) directory=${1%/*} ;; *) directory=. ;; esac
[ "$4" = no ] || mkdir -p -- "$directory"
umask 077
part=
trap '[ -z "$part" ] || rm -f -- "$part"' EXIT
trap 'exit 69' HUP INT PIPE TERM
part=$(mktemp -- "$directory/.part.XXXXXX")
head -c "$3" >"$part"
IFS= read -r want || { echo "the content ended early" >&2; exit 65; }
have=$(sha256sum <"$part")
[ "${have%% *}" = "$want" ] || { echo "the digest is ${have%% *}, expected $want" >&2; exit 65; }
chmod -- "$2" "$part"
mv -f -- "$part" "$1"
trap - EXIT
"#;

/// Gives a line with size and digest, then the content. Symbolic links, pipes and devices are refused: the names
/// under a build's result directory are chosen by the build.
const SEND: &str = r#"set -eu
[ -f "$1" ] && [ ! -h "$1" ] || { echo "$1 is not a regular file" >&2; exit 66; }
size=$(stat -c %s -- "$1")
if [ "$size" -gt "$2" ]; then echo "$size -"; exit 67; fi
digest=$(dd if="$1" iflag=nofollow bs=1M status=none | sha256sum)
echo "$size ${digest%% *}"
exec dd if="$1" iflag=nofollow bs=1M status=none
"#;

/// The longest first line of [`SEND`]: 20 digits, a space, 64 hexadecimal digits, a line feed.
const MAX_HEADER: usize = 86;

/// Where an uploaded file goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// The remote path. A file of that name is replaced in one step.
    pub path: String,
    /// Whether its directory, and those above, are made where they are missing; else they must exist.
    pub makes_directory: bool,
    /// The permission bits, such as `0o644`. The owner is the remote user.
    pub mode: u32,
    /// How many bytes the source has; fewer are an error, more are left unread.
    pub size: u64,
    /// How long it may take.
    pub deadline: Duration,
}

/// The file to fetch, and its limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Download {
    /// The remote path of a regular file; a symbolic link is refused.
    pub path: String,
    /// The largest size taken, in bytes.
    pub max_bytes: u64,
    /// How long it may take.
    pub deadline: Duration,
}

/// What was fetched, as it was received and checked here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Downloaded {
    /// Bytes.
    pub size: u64,
    /// SHA-256, 64 lower-case hexadecimal digits.
    pub sha256: String,
}

impl Connection {
    /// Writes a remote file from `reader` and gives its SHA-256 in hexadecimal.
    ///
    /// Nothing half written is ever visible under the path. If the transfer fails, the temporary file beside it is
    /// removed, unless the machine is lost in between.
    ///
    /// # Errors
    /// [`Error::Local`] if the source fails or is too short, [`Error::Failed`] with the remote reason (no such
    /// directory, no space), [`Error::Lost`], [`Error::Timeout`], [`Error::Refused`], [`Error::Invalid`].
    pub async fn upload(
        &self,
        reader: &mut (dyn AsyncRead + Send + Unpin),
        upload: &Upload,
    ) -> Result<String, Error> {
        let label = format!("the upload of {}", upload.path);
        let command = Command::script(
            label.clone(),
            RECEIVE,
            [
                upload.path.clone(),
                format!("{:04o}", upload.mode & 0o7777),
                upload.size.to_string(),
                (if upload.makes_directory { "yes" } else { "no" }).to_owned(),
            ],
        );
        let deadline = Instant::now() + upload.deadline;
        let (reading, writing) = self.start(&command).await?;
        let mut reading = Reading::new(reading, &label);
        let mut digest = None;
        let receiving = async {
            let mut stderr = Vec::new();
            while let Some(chunk) = reading.next().await? {
                if let Chunk::Stderr(bytes) = chunk
                    && stderr.len() < CHUNK
                {
                    stderr.extend_from_slice(&bytes);
                }
            }
            Ok(stderr)
        };
        let sending = send(&writing, reader, upload.size, (&label, &mut digest));
        let result = timeout_at(deadline, until_read(receiving, sending)).await;
        let failed = match result {
            Ok(Ok(stderr)) => match (reading.exit(), digest) {
                (Exit::Code(0), Some(digest)) => return Ok(digest),
                (Exit::Lost, _) => return Err(self.lost(label, &reading)),
                (exit, _) => {
                    return Err(Error::Failed {
                        what: label,
                        exit,
                        stderr: tail(&stderr),
                    });
                }
            },
            Ok(Err(error)) => error,
            Err(_) => timed_out(label, upload.deadline, &reading),
        };
        hang_up(&writing).await;
        Err(failed)
    }

    /// Copies a remote file to `writer`, which has got everything only if this succeeds.
    ///
    /// # Errors
    /// [`Error::TooLarge`] before anything is written, [`Error::Damaged`] if size or digest disagree (the file
    /// changed meanwhile), [`Error::Failed`] (no such file, not a regular one), [`Error::Local`],
    /// [`Error::Lost`] with the count of bytes received, [`Error::Timeout`], [`Error::Refused`].
    pub async fn download(
        &self,
        writer: &mut (dyn AsyncWrite + Send + Unpin),
        download: &Download,
    ) -> Result<Downloaded, Error> {
        let label = format!("the download of {}", download.path);
        let values = [download.path.clone(), download.max_bytes.to_string()];
        let command = Command::script(label.clone(), SEND, values);
        let deadline = Instant::now() + download.deadline;
        let (reading, writing) = self.start(&command).await?;
        let mut reading = Reading::new(reading, &label);
        let mut receipt = Receipt::new(&label, download);
        let receiving = async {
            while let Some(chunk) = reading.next().await? {
                match chunk {
                    Chunk::Stdout(bytes) => receipt.take(bytes, writer).await?,
                    Chunk::Stderr(bytes) => receipt.note(&bytes),
                }
            }
            writer.flush().await.map_err(|cause| Error::Local {
                what: label.clone(),
                cause,
            })
        };
        let result = timeout_at(deadline, receiving).await;
        let failed = match result {
            Ok(Ok(())) => match reading.exit() {
                Exit::Lost => return Err(self.lost(label, &reading)),
                exit => return receipt.finish(exit),
            },
            Ok(Err(error)) => error,
            Err(_) => timed_out(label, download.deadline, &reading),
        };
        abandon(&writing).await;
        Err(failed)
    }

    fn lost(&self, what: String, reading: &Reading) -> Error {
        Error::Lost {
            what,
            bytes_received: reading.received(),
            why: self.end(),
        }
    }
}

fn timed_out(what: String, limit: Duration, reading: &Reading) -> Error {
    Error::Timeout {
        what,
        limit,
        bytes_received: reading.received(),
    }
}

/// Sends exactly `size` bytes, then the line with their digest, which is also left in `note`.
async fn send(
    writing: &ChannelWriteHalf<Msg>,
    reader: &mut (dyn AsyncRead + Send + Unpin),
    size: u64,
    note: (&str, &mut Option<String>),
) -> Result<(), Error> {
    let (label, digest) = note;
    let mut hash = Sha256::new();
    let mut left = size;
    while left > 0 {
        let limit = usize::try_from(left).unwrap_or(CHUNK);
        let Some(chunk) = read_chunk(reader, limit, label).await? else {
            let cause = std::io::Error::new(
                std::io::ErrorKind::UnexpectedEof,
                format!("the source ended {left} bytes before its size of {size}"),
            );
            return Err(Error::Local {
                what: label.to_owned(),
                cause,
            });
        };
        hash.update(&chunk);
        left = left.saturating_sub(count(chunk.len()));
        if writing.data_bytes(chunk).await.is_err() {
            return Ok(()); // The remote command has ended; its exit tells why.
        }
    }
    let text = hex::encode(hash.finalize());
    let line = Bytes::from(format!("{text}\n"));
    if writing.data_bytes(line).await.is_ok() {
        writing.eof().await.ok(); // As above.
    }
    *digest = Some(text);
    Ok(())
}

/// What has come of a download, and what was announced.
struct Receipt<'a> {
    label: &'a str,
    download: &'a Download,
    header: Vec<u8>,
    announced: Option<(u64, String)>,
    size: u64,
    hash: Sha256,
    stderr: Vec<u8>,
}

impl<'a> Receipt<'a> {
    fn new(label: &'a str, download: &'a Download) -> Self {
        let (header, stderr) = (Vec::new(), Vec::new());
        Self {
            label,
            download,
            header,
            announced: None,
            size: 0,
            hash: Sha256::new(),
            stderr,
        }
    }

    fn damaged(&self, why: String) -> Error {
        Error::Damaged {
            path: self.download.path.clone(),
            why,
        }
    }

    async fn take(
        &mut self,
        mut bytes: Bytes,
        writer: &mut (dyn AsyncWrite + Send + Unpin),
    ) -> Result<(), Error> {
        if self.announced.is_none() {
            match bytes.iter().position(|byte| *byte == b'\n') {
                Some(end) => {
                    self.header.extend_from_slice(&bytes.split_to(end));
                    self.read_header()?;
                    bytes = bytes.slice(1..);
                }
                None => {
                    self.header.extend_from_slice(&bytes);
                    bytes.clear();
                }
            }
            if self.header.len() > MAX_HEADER {
                return Err(self.damaged("the builder sent no size and digest".to_owned()));
            }
        }
        let limit = self.announced.as_ref().map_or(0, |(size, _)| *size);
        self.size = self.size.saturating_add(count(bytes.len()));
        if self.size > limit && !bytes.is_empty() {
            return Err(self.damaged(format!("more bytes came than the {limit} announced")));
        }
        self.hash.update(&bytes);
        writer.write_all(&bytes).await.map_err(|cause| Error::Local {
            what: self.label.to_owned(),
            cause,
        })
    }

    fn read_header(&mut self) -> Result<(), Error> {
        let text = String::from_utf8_lossy(&self.header).into_owned();
        let Some((size, digest)) = text.split_once(' ') else {
            return Err(self.damaged("the builder sent no size and digest".to_owned()));
        };
        let Ok(size) = size.parse::<u64>() else {
            return Err(self.damaged(format!("the builder sent the size {size:?}")));
        };
        if size > self.download.max_bytes {
            let (path, limit) = (self.download.path.clone(), self.download.max_bytes);
            return Err(Error::TooLarge { path, size, limit });
        }
        self.announced = Some((size, digest.to_owned()));
        Ok(())
    }

    fn note(&mut self, bytes: &Bytes) {
        if self.stderr.len() < CHUNK {
            self.stderr.extend_from_slice(bytes);
        }
    }

    fn finish(self, exit: Exit) -> Result<Downloaded, Error> {
        if !exit.is_success() {
            return Err(Error::Failed {
                what: self.label.to_owned(),
                exit,
                stderr: tail(&self.stderr),
            });
        }
        let sha256 = hex::encode(self.hash.clone().finalize());
        match &self.announced {
            None => Err(self.damaged("the builder sent no size and digest".to_owned())),
            Some((size, _)) if *size != self.size => {
                Err(self.damaged(format!("{} bytes came, {size} were announced", self.size)))
            }
            Some((_, digest)) if *digest != sha256 => {
                Err(self.damaged(format!("its SHA-256 is {sha256}, announced was {digest}")))
            }
            Some(_) => Ok(Downloaded {
                size: self.size,
                sha256,
            }),
        }
    }
}

#[cfg(test)]
mod tests;
