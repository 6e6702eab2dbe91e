//! The list of a directory's files, which `copr-cli download-build` has `wget` walk through: plain relative
//! links and nothing else that a crawler could follow by mistake.

use std::{fs::File, io};

use model::Timestamp;
use poem::Response;
use rustix::fs::{AtFlags, Dir, FileType, statat};
use serde_json::{Value, json};

use super::{Pages, short_moment};
use crate::http::{address, error::ApiError};

/// The most entries that are shown.
const MOST: usize = 20_000;

/// A file or directory in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) is_directory: bool,
    pub(crate) size: u64,
    pub(crate) modified: Timestamp,
}

/// Reads a directory. Hidden names are left out, and so is what is neither file, directory nor the known link.
pub(crate) fn read(directory: &File) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for found in Dir::read_from(directory)? {
        let found = found?;
        let Ok(name) = found.file_name().to_str().map(ToOwned::to_owned) else {
            continue;
        };
        if name.starts_with('.') {
            continue;
        }
        let Ok(status) = statat(directory, name.as_str(), AtFlags::SYMLINK_NOFOLLOW) else {
            continue;
        };
        let kind = FileType::from_raw_mode(status.st_mode);
        let is_directory = kind.is_dir() || (kind.is_symlink() && name == "repodata");
        if !is_directory && !kind.is_file() {
            continue;
        }
        entries.push(Entry {
            name,
            is_directory,
            size: if is_directory {
                0
            } else {
                u64::try_from(status.st_size).unwrap_or(0)
            },
            modified: Timestamp::from_micros(status.st_mtime.saturating_mul(1_000_000)),
        });
        if entries.len() >= MOST {
            break;
        }
    }
    entries.sort_by(|one, other| (!one.is_directory, &one.name).cmp(&(!other.is_directory, &other.name)));
    Ok(entries)
}

/// The page with the list.
pub(crate) fn show(pages: &Pages, path: &str, entries: &[Entry]) -> Result<Response, ApiError> {
    let rows: Vec<Value> = entries
        .iter()
        .map(|entry| {
            let slash = if entry.is_directory { "/" } else { "" };
            json!({
                "href": format!("{}{slash}", address::encode(&entry.name)),
                "name": format!("{}{slash}", entry.name),
                "size": if entry.is_directory { "-".to_owned() } else { entry.size.to_string() },
                "modified": short_moment(entry.modified),
            })
        })
        .collect();
    pages.show_inert(
        "index",
        &json!({"path": path, "entries": rows, "is_empty": entries.is_empty()}),
    )
}
