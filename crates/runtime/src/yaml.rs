//! Files that operators write in YAML: every mistake comes with its line and column, the key that it is about, the line
//! itself and, where a word is misspelt, the nearest word that is known.

mod place;
mod words;

use std::path::Path;

use serde::de::DeserializeOwned;

use crate::Error;

/// How many letters of a line are shown on either side of a mistake.
const SHOWN: usize = 60;

/// Reads a file as a text.
///
/// # Errors
/// When it cannot be read.
pub fn read(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|source| Error::Unreadable {
        path: path.display().to_string(),
        source,
    })
}

/// A mistake that showed only when the whole text was read: its place, the keys that lead there, what is wrong, and the line.
#[must_use]
pub fn mistake_at(text: &str, name: &str, path: &[String], words: &str) -> String {
    let key = path.join(".");
    match place::place(text, path) {
        Some((line, column)) => {
            let shown = shown(text, line, column);
            format!("{name}:{line}:{column}: {key}: {words}{shown}")
        }
        None => format!("{name}: {key}: {words}"),
    }
}

/// Reads a text; `name` stands for it in errors.
///
/// # Errors
/// When the text is not a `T`.
pub fn parse<T: DeserializeOwned>(text: &str, name: &str) -> Result<T, Error> {
    let mut track = serde_path_to_error::Track::new();
    // Without strict booleans `yes` and `n` are booleans, and a key `y` is not a text.
    let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
    let read = serde_saphyr::with_deserializer_from_str_with_options(text, options, |deserializer| {
        T::deserialize(serde_path_to_error::Deserializer::new(deserializer, &mut track))
    });
    read.map_err(|error| Error::Mistakes {
        path: name.to_owned(),
        mistakes: vec![mistake(&error, &track.path(), text, name)],
    })
}

/// The place, the key, what is wrong there, and the line.
fn mistake(error: &serde_saphyr::Error, path: &serde_path_to_error::Path, text: &str, name: &str) -> String {
    let what = words::what(error, text);
    let key = words::key(error, &path.to_string());
    match error.location().filter(|place| place.line() > 0) {
        Some(place) => {
            let (line, column) = (place.line(), place.column());
            let shown = shown(text, line, column);
            format!("{name}:{line}:{column}: {key}{what}{shown}")
        }
        None => format!("{name}: {key}{what}"),
    }
}

/// The line with a mark below the column, both counted from one.
fn shown(text: &str, line: u64, column: u64) -> String {
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
mod tests;
