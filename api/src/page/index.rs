//! The list of a directory's files, which `copr-cli download-build` has `wget` walk through: plain relative
//! links and nothing else that a crawler could follow by mistake. Long ones come in pages.

use std::{fs::File, io};

use model::Timestamp;
use poem::{Request, Response};
use rustix::fs::{AtFlags, Dir, FileType, statat};
use serde_json::{Value, json};

use super::{Pages, short_moment};
use crate::http::{address, error::ApiError};

/// How many entries a page shows.
const PER_PAGE: usize = 1000;

/// A file or directory in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) is_directory: bool,
    pub(crate) size: u64,
    pub(crate) modified: Timestamp,
}

/// One page of a directory's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listing {
    pub(crate) entries: Vec<Entry>,
    /// The number of the page; the first is 1.
    page: usize,
    pages: usize,
}

impl Listing {
    /// A list that is made, not read.
    pub(crate) const fn of(entries: Vec<Entry>) -> Self {
        Self {
            entries,
            page: 1,
            pages: 1,
        }
    }
}

/// The page that a request asks for, from 1; what is no number is none.
pub(crate) fn wanted_page(request: &Request) -> Option<usize> {
    let parameters = request.params::<Vec<(String, String)>>().unwrap_or_default();
    let page = parameters.into_iter().find(|(name, _)| name == "page");
    page.map_or(Some(1), |(_, number)| number.parse().ok())
}

/// Reads a page of a directory: directories first, then files, by name; none beyond the last page. Hidden names are left out,
/// and so is what is neither file, directory nor the known link.
pub(crate) fn read(directory: &File, page: usize) -> io::Result<Option<Listing>> {
    let mut names = Vec::new();
    for found in Dir::read_from(directory)? {
        let found = found?;
        let Ok(name) = found.file_name().to_str() else {
            continue;
        };
        let kind = found.file_type();
        let is_file = match kind {
            _ if name.starts_with('.') => continue,
            FileType::Directory => false,
            FileType::Symlink if name == "repodata" => false,
            FileType::RegularFile => true,
            // Some file systems do not say.
            FileType::Unknown => match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(status) if FileType::from_raw_mode(status.st_mode).is_dir() => false,
                Ok(status) if FileType::from_raw_mode(status.st_mode).is_file() => true,
                _ => continue,
            },
            _ => continue,
        };
        names.push((is_file, name.to_owned()));
    }
    names.sort_unstable();
    let pages = names.len().div_ceil(PER_PAGE).max(1);
    if page == 0 || page > pages {
        return Ok(None);
    }
    let first = page.saturating_sub(1).saturating_mul(PER_PAGE);
    let shown = names.into_iter().skip(first).take(PER_PAGE);
    // What is gone meanwhile is left out.
    let entries = shown
        .filter_map(|(is_file, name)| entry(directory, name, !is_file))
        .collect();
    Ok(Some(Listing { entries, page, pages }))
}

fn entry(directory: &File, name: String, is_directory: bool) -> Option<Entry> {
    let status = statat(directory, name.as_str(), AtFlags::SYMLINK_NOFOLLOW).ok()?;
    Some(Entry {
        name,
        is_directory,
        size: if is_directory {
            0
        } else {
            u64::try_from(status.st_size).unwrap_or(0)
        },
        modified: Timestamp::from_micros(status.st_mtime.saturating_mul(1_000_000)),
    })
}

/// The page with the list.
pub(crate) fn show(pages: &Pages, names: &[&str], listing: &Listing) -> Result<Response, ApiError> {
    let rows: Vec<Value> = listing
        .entries
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
    let Listing {
        page, pages: last, ..
    } = *listing;
    pages.show_inert(
        "index",
        &json!({
            "path": names.join("/"),
            "names": names,
            "is_empty": rows.is_empty(),
            "entries": rows,
            "is_long": last > 1,
            "page": page,
            "pages": last,
            "previous": page.saturating_sub(1),
            "next": if page < last { page.saturating_add(1) } else { 0 },
        }),
    )
}
