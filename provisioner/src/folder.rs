//! A folder of the operator's, read as a whole: names, contents, and which files are programs.
//!
//! Left out: names that begin with a dot, Python's caches, `README.md`, and folders called `tests`.

use std::fs::{self, FileType};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::error::{Error, Mistake};

/// The largest single file, in bytes, and the most files.
const MAX_FILE: u64 = 8 * 1024 * 1024;
const MAX_FILES: usize = 2000;
/// How deep folders may lie in each other.
const MAX_DEPTH: usize = 16;

/// A file of the folder.
#[derive(Debug)]
pub(crate) struct File {
    /// Relative, with slashes.
    pub(crate) path: String,
    pub(crate) content: Vec<u8>,
    pub(crate) executable: bool,
}

/// What is done with a symbolic link.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Links {
    /// It stands for what it leads to.
    Followed,
    /// It is a mistake.
    Refused,
}

/// Reads everything below a folder, in the order of the paths.
pub(crate) fn read(folder: &Path, links: Links) -> Result<Vec<File>, Error> {
    let mut files = Vec::new();
    read_below(folder, "", links, &mut files)?;
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}

fn read_below(folder: &Path, prefix: &str, links: Links, files: &mut Vec<File>) -> Result<(), Error> {
    for entry in fs::read_dir(folder).map_err(|cause| unreadable(folder, cause))? {
        let entry = entry.map_err(|cause| unreadable(folder, cause))?;
        let path = entry.path();
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| !name.contains(['\n', '\r'])) else {
            return Err(mistake(
                &path.display().to_string(),
                "the name is not plain text".to_owned(),
            ));
        };
        if is_left_out(name) {
            continue;
        }
        let relative = format!("{prefix}{name}");
        let kind = match links {
            Links::Refused => entry.file_type(),
            Links::Followed => fs::metadata(&path).map(|found| found.file_type()),
        };
        let kind: FileType = kind.map_err(|cause| unreadable(&path, cause))?;
        if kind.is_dir() {
            if prefix.matches('/').count() >= MAX_DEPTH {
                return Err(mistake(
                    &relative,
                    format!("it lies more than {MAX_DEPTH} folders deep"),
                ));
            }
            read_below(&path, &format!("{relative}/"), links, files)?;
        } else if kind.is_file() {
            files.push(read_file(&path, relative.clone())?);
        } else {
            return Err(mistake(&relative, "it is neither a file nor a folder".to_owned()));
        }
        if files.len() > MAX_FILES {
            return Err(mistake(
                &relative,
                format!("there are more than {MAX_FILES} files"),
            ));
        }
    }
    Ok(())
}

fn is_left_out(name: &str) -> bool {
    name.starts_with('.')
        || matches!(name, "tests" | "__pycache__" | "README.md")
        || name.ends_with(".pyc")
        || name.ends_with('~')
}

fn read_file(path: &Path, relative: String) -> Result<File, Error> {
    let metadata = fs::metadata(path).map_err(|cause| unreadable(path, cause))?;
    if metadata.len() > MAX_FILE {
        return Err(mistake(&relative, format!("it is larger than {MAX_FILE} bytes")));
    }
    Ok(File {
        path: relative,
        content: fs::read(path).map_err(|cause| unreadable(path, cause))?,
        executable: metadata.permissions().mode() & 0o100 != 0,
    })
}

/// Adds files to a digest: names, kinds and contents with their lengths, so that no two sets of files have the same one.
pub(crate) fn add<'a>(hash: &mut Sha256, folder: &str, files: impl ExactSizeIterator<Item = &'a File>) {
    hash.update(format!("{folder} {}\n", files.len()));
    for file in files {
        let kind = if file.executable { "program" } else { "file" };
        hash.update(format!("{kind} {} {}\n", file.path.len(), file.content.len()));
        hash.update(file.path.as_bytes());
        hash.update(&file.content);
    }
}

/// A mistake of the operator's in a file as a whole.
pub(crate) fn mistake(file: &str, message: String) -> Error {
    Error::Mistakes(vec![Mistake::of_file(file, message)])
}

pub(crate) fn unreadable(path: &Path, cause: io::Error) -> Error {
    Error::File {
        path: path.to_owned(),
        why: "it cannot be read",
        cause,
    }
}

#[cfg(test)]
mod tests;
