//! copy: files and whole folders, from the staging directory or from text in the playbook.
//!
//! A file and the question whether it is needed go in one round trip: the script compares digests first and does not
//! read its input if they agree.

mod folder;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use sha2::{Digest, Sha256};
use shell::Command;

use crate::arguments::Arguments;
use crate::diff;
use crate::host::Host;
use crate::outcome::{Done, Failure, Problem};
use crate::scripts::COPY;
use crate::value::Value;

/// The largest file taken from our side, and the largest old one fetched for a diff.
const MAX_FILE: u64 = 64 * 1024 * 1024;
const MAX_DIFF: &str = "131072";

/// What `mode: preserve` means for text of the playbook: the mode of the file in which Ansible sends it.
const MODE_OF_CONTENT: &str = "600";

/// Prints the beginning of a file, if it is one.
const READ: &str = "[ ! -f \"$1\" ] || exec head -c \"$2\" -- \"$1\"";

/// Where one file goes and how.
struct Target<'a> {
    dest: &'a str,
    /// The name it gets if `dest` is a folder.
    base: &'a str,
    mode: &'a str,
    owner: &'a str,
    group: &'a str,
    force: &'a str,
}

/// What is copied: a text of the playbook, or a file or folder of ours.
enum Content {
    Text(String),
    Source(String),
    /// It is known when the playbook runs.
    Unknown,
}

/// The arguments of a call. The mode is empty where it is to be that of the source.
pub(super) struct Call {
    dest: String,
    mode: String,
    preserve: bool,
    directory_mode: String,
    owner: String,
    group: String,
    force: String,
    content: Content,
}

pub(super) fn copy_arguments(arguments: &Arguments) -> Result<Call, Problem> {
    let dest = arguments.path("dest")?;
    let preserve = arguments.value("mode") == Some(&Value::from("preserve"));
    let content = match (arguments.value("content"), arguments.text("src")?) {
        _ if !arguments.are_known(&["content", "src"]) => Content::Unknown,
        (Some(_), None) if dest.ends_with('/') => {
            let message = "content goes to a file, but dest is a folder".to_owned();
            return Err(arguments.about("dest", message));
        }
        (Some(content), None) => {
            let content = match content {
                Value::List(_) | Value::Map(_) => content.to_json_text(),
                other => other.to_text(),
            };
            Content::Text(content.map_err(|why| arguments.about("content", why))?)
        }
        (None, Some(source)) => Content::Source(source),
        _ => return Err(Problem::new("copy needs either src or content".to_owned())),
    };
    Ok(Call {
        dest,
        mode: if preserve {
            String::new()
        } else {
            arguments.mode("mode")?
        },
        preserve,
        directory_mode: arguments.mode("directory_mode")?,
        owner: arguments.owner("owner")?,
        group: arguments.owner("group")?,
        force: arguments.bit("force", true)?,
        content,
    })
}

pub(super) async fn copy(arguments: &Arguments, host: &Host<'_>) -> Result<Done, Failure> {
    let call = copy_arguments(arguments)?;
    let mut target = Target {
        dest: &call.dest,
        base: "",
        mode: &call.mode,
        owner: &call.owner,
        group: &call.group,
        force: &call.force,
    };
    match call.content {
        Content::Unknown => Err(Problem::new("copy needs either src or content".to_owned()).into()),
        Content::Text(content) => {
            if call.preserve {
                target.mode = MODE_OF_CONTENT;
            }
            copy_bytes(host, &target, content.into_bytes()).await
        }
        Content::Source(source) => {
            let path = Path::new(&source);
            let metadata = fs::metadata(path).map_err(|error| local(&source, &error))?;
            if metadata.is_dir() {
                return folder::copy(host, &source, &target, (call.preserve, &call.directory_mode)).await;
            }
            let kept = kept_mode(&metadata);
            if call.preserve {
                target.mode = &kept;
            }
            target.base = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            copy_bytes(host, &target, read(&source)?).await
        }
    }
}

fn local(path: &str, error: &std::io::Error) -> Problem {
    Problem::new(format!("the source {path} cannot be read: {error}"))
}

fn kept_mode(metadata: &fs::Metadata) -> String {
    format!("{:o}", metadata.permissions().mode() & 0o7777)
}

fn read(path: &str) -> Result<Vec<u8>, Problem> {
    let size = fs::metadata(path).map_err(|error| local(path, &error))?.len();
    if size > MAX_FILE {
        return Err(Problem::new(format!(
            "the source {path} is larger than {MAX_FILE} bytes"
        )));
    }
    fs::read(path).map_err(|error| local(path, &error))
}

async fn copy_bytes(host: &Host<'_>, target: &Target<'_>, content: Vec<u8>) -> Result<Done, Failure> {
    let digest = hex::encode(Sha256::digest(&content));
    let values = [
        target.dest,
        target.base,
        target.mode,
        target.owner,
        target.group,
        &digest,
        target.force,
    ];
    let lines = host.script("copy", COPY, &values, content.clone()).await?;
    let mut done = Done::changes(lines.changes());
    let dest = lines.after("dest").unwrap_or(target.dest).to_owned();
    if host.check && done.changes.iter().any(|change| change.starts_with("content ")) {
        let command = Command::script("copy", READ, [dest.as_str(), MAX_DIFF]).contained();
        let old = host.run(command, Vec::new()).await?.stdout;
        done.diff = match (std::str::from_utf8(&old), std::str::from_utf8(&content)) {
            (Ok(old), Ok(new)) => Some(diff::unified(&dest, old, new)),
            _ => Some(format!("{dest}: not text, {} bytes\n", content.len())),
        };
    }
    done.values.insert("dest".to_owned(), Value::Text(dest));
    done.values.insert("checksum".to_owned(), Value::Text(digest));
    Ok(done)
}
