//! Files that operators write in YAML: every mistake comes with its line and column, the key that it is about, the line
//! itself and, where a word is misspelt, the nearest word that is known.

mod place;
mod words;

use std::path::Path;

use serde::de::DeserializeOwned;

use crate::{
    Error,
    text::{self, shown},
};

/// Reads a file as a text.
///
/// # Errors
/// When it cannot be read.
pub fn read(path: &Path) -> Result<String, Error> {
    text::read(path)
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

/// What is wrong with a YAML text that could not be read, in words for whoever wrote it; without the place.
#[must_use]
pub fn what(error: &serde_saphyr::Error, text: &str) -> String {
    words::what(error, text)
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

#[cfg(test)]
mod tests;
