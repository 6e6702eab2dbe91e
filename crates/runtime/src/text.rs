//! Files of operators as texts, and lines of them as they are shown with a mistake.

use std::{io::ErrorKind, path::Path};

use crate::Error;

/// How many letters of a line are shown on either side of a mistake.
const SHOWN: usize = 60;

/// Reads a file as a text.
pub(crate) fn read(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|error| Error::Unreadable {
        path: path.display().to_string(),
        why: match error.kind() {
            ErrorKind::NotFound => "there is no such file".to_owned(),
            ErrorKind::PermissionDenied => "this user may not read it".to_owned(),
            ErrorKind::IsADirectory => "it is a directory, not a file".to_owned(),
            ErrorKind::InvalidData => "it is no text in UTF-8".to_owned(),
            _ => error.to_string(),
        },
    })
}

/// The line with a mark below the column, both counted from one.
pub(crate) fn shown(text: &str, line: u64, column: u64) -> String {
    let (Ok(row), Ok(at)) = (usize::try_from(line - 1), usize::try_from(column.max(1) - 1)) else {
        return String::new();
    };
    let Some(words) = text.lines().nth(row).filter(|words| !words.trim().is_empty()) else {
        return String::new();
    };
    let first = at.saturating_sub(SHOWN);
    let part = words.chars().skip(first).take(2 * SHOWN);
    let part: String = part.map(|c| if c.is_control() { ' ' } else { c }).collect();
    let margin = " ".repeat(line.to_string().len());
    let mark = " ".repeat(at - first);
    format!("\n  {line} | {}\n  {margin} | {mark}^", part.trim_end())
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn what_cannot_be_read_is_told_in_our_words() {
        let directory = tempfile::tempdir().unwrap();
        let binary = directory.path().join("binary");
        std::fs::write(&binary, b"\xff\xfe[http]").unwrap();
        for (path, expected) in [
            (directory.path().to_owned(), "it is a directory, not a file"),
            (directory.path().join("none"), "there is no such file"),
            (binary, "it is no text in UTF-8"),
        ] {
            let said = read(&path).unwrap_err().to_string();
            assert_eq!(said, format!("cannot read {}: {expected}", path.display()));
        }
    }
}
