//! Files that operators write in YAML: every mistake comes with its line and column, the key that it is about, the line
//! itself and, where a word is misspelt, the nearest word that is known.

mod place;
mod repair;
mod stand_in;
mod twice;
mod words;

use std::path::Path;

use model::fleet::Contradiction;
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;
use serde_saphyr::{DuplicateKeyPolicy, NonFiniteFloatPolicy};

use self::repair::{Repairs, Way};
use crate::{
    Error,
    text::{self, shown},
};

/// How many mistakes of a text are told at once.
const MOST_MISTAKES: usize = 50;

/// Reads a file as a text.
///
/// # Errors
/// When it cannot be read.
pub fn read(path: &Path) -> Result<String, Error> {
    text::read(path)
}

/// A mistake that showed only when the whole text was read: its place, the keys that lead there, what is wrong, and the line.
#[must_use]
pub fn mistake_at(text: &str, name: &str, found: &Contradiction) -> String {
    contradiction(text, name, found).words
}

fn contradiction(text: &str, name: &str, found: &Contradiction) -> Mistake {
    let place = match &found.item {
        Some(item) => place::place_of_item(text, &found.path, item),
        None => place::place(text, &found.path),
    };
    Mistake::new(text, name, place, &found.to_string())
}

/// Reads a text; `name` stands for it in errors.
///
/// # Errors
/// When the text is not a `T`: all mistakes, in the order of their lines, unless one of them hides what is behind it, as one in
/// the language itself does.
pub fn parse<T: DeserializeOwned>(text: &str, name: &str) -> Result<T, Error> {
    parse_and_check(text, name, |_| Vec::new())
}

/// Reads a text whose parts may contradict each other.
///
/// # Errors
/// As [`parse`]. The contradictions are among the mistakes, except those that would go if another mistake were mended.
pub fn parse_and_check<T: DeserializeOwned>(
    text: &str,
    name: &str,
    check: impl Fn(&T) -> Vec<Contradiction>,
) -> Result<T, Error> {
    let mut repairs = Repairs::default();
    let mut mistakes = Vec::new();
    loop {
        let (error, path) = match read_with::<T>(text, &repairs, &mistakes) {
            Ok(value) => {
                let mut found = check(&value);
                found.retain(|found| !repairs.may_settle(found, |path| place::is_written(text, path)));
                if mistakes.is_empty() && found.is_empty() {
                    return Ok(value);
                }
                mistakes.extend(found.iter().map(|found| contradiction(text, name, found)));
                break;
            }
            Err(found) => *found,
        };
        let way = way(&path);
        let is_twice = matches!(
            words::cause(&error),
            serde_saphyr::Error::DuplicateMappingKey { .. }
        );
        // Of those, the first hides the others from the library.
        let twice = twice::keys(text).into_iter().filter(|_| is_twice);
        let before = mistakes.len();
        for key in twice {
            mistakes.push(Mistake::new(text, name, Some(key.place), &key.words()));
            repairs.take_first(key.way);
        }
        if mistakes.len() == before && !repairs.stands_at(&way) {
            let found = mistake(&error, &path, text, name);
            // What is passed over is read all the same, so that the maps and lists around it cannot be read either.
            if mistakes.iter().all(|known| !known.is_told_again_by(&found)) {
                mistakes.push(found);
            }
        }
        if let Some(last) = mistakes.last_mut() {
            last.is_twice |= is_twice;
        }
        if mistakes.len() >= MOST_MISTAKES || !repair(&mut repairs, &error, way) {
            forget_what_may_follow(&mut mistakes, &error, text);
            break;
        }
    }
    mistakes.sort_by_key(|mistake| mistake.place);
    mistakes.truncate(MOST_MISTAKES);
    Err(Error::Mistakes {
        path: name.to_owned(),
        mistakes: mistakes.into_iter().map(|mistake| mistake.words).collect(),
    })
}

/// Where the text cannot be read on, nobody knows whether a key is missing in the maps that are not closed there.
fn forget_what_may_follow(mistakes: &mut Vec<Mistake>, error: &serde_saphyr::Error, text: &str) {
    let Some(at) = error.location().filter(|_| !words::is_of_value(error)) else {
        return;
    };
    let rows = usize::try_from(at.line()).unwrap_or(usize::MAX).saturating_sub(1);
    let before: String = text.split_inclusive('\n').take(rows).collect();
    let open = place::last_way(&before);
    mistakes.retain(|mistake| mistake.lacks.as_ref().is_none_or(|map| !open.starts_with(map)));
}

/// Reads a text with repairs of the mistakes that were found before.
fn read_with<T: DeserializeOwned>(
    text: &str,
    repairs: &Repairs,
    before: &[Mistake],
) -> Result<T, Box<(serde_saphyr::Error, serde_path_to_error::Path)>> {
    let mut track = serde_path_to_error::Track::new();
    let duplicate_keys = if before.iter().any(|mistake| mistake.is_twice) {
        DuplicateKeyPolicy::FirstWins
    } else {
        DuplicateKeyPolicy::Error
    };
    // Without strict booleans `yes` and `n` are booleans, and a key `y` is not a text.
    // A number without end is passed over at its place when the text is read on; everywhere else the reader tells it.
    let non_finite_float_policy = if before.is_empty() {
        NonFiniteFloatPolicy::Reject
    } else {
        NonFiniteFloatPolicy::PassThrough
    };
    let options = serde_saphyr::options! {
        strict_booleans: true,
        with_snippet: false,
        duplicate_keys: duplicate_keys,
        non_finite_float_policy: non_finite_float_policy
    };
    let read = serde_saphyr::with_deserializer_from_str_with_options(text, options, |deserializer| {
        if before.is_empty() {
            return T::deserialize(serde_path_to_error::Deserializer::new(deserializer, &mut track));
        }
        let reader = repairs.reader(deserializer);
        T::deserialize(serde_path_to_error::Deserializer::new(reader, &mut track))
    });
    read.map_err(|error| Box::new((error, track.path())))
}

/// Has the next reading go on behind a mistake; false when there is no way.
fn repair(repairs: &mut Repairs, error: &serde_saphyr::Error, mut way: Way) -> bool {
    match words::cause(error) {
        serde_saphyr::Error::DuplicateMappingKey { .. } => true,
        serde_saphyr::Error::SerdeUnknownField { .. } => repairs.skip(way),
        serde_saphyr::Error::SerdeMissingField { field, .. } => {
            way.push((*field).to_owned());
            repairs.stand_in(&way)
        }
        error => words::is_of_value(error) && !way.is_empty() && repairs.stand_in(&way),
    }
}

/// The keys that were read on the way to a mistake, as far as they are known.
fn way(path: &serde_path_to_error::Path) -> Way {
    let segments = path.iter().map_while(|segment| match segment {
        Segment::Seq { index } => Some(index.to_string()),
        Segment::Map { key } => Some(key.clone()),
        Segment::Enum { .. } | Segment::Unknown => None,
    });
    segments.collect()
}

/// What is wrong with a YAML text that could not be read, in words for whoever wrote it; without the place.
#[must_use]
pub fn what(error: &serde_saphyr::Error, text: &str) -> String {
    words::what(error, text)
}

/// What is wrong, for an operator.
struct Mistake {
    /// Line and column, where they are known.
    place: Option<(u64, u64)>,
    /// The keys on the way to it.
    way: Way,
    /// The place, the key, what is wrong there, and the line.
    words: String,
    /// Whether it is a key that stands twice.
    is_twice: bool,
    /// The map in which a key is missing, if it is that.
    lacks: Option<Way>,
}

impl Mistake {
    fn new(text: &str, name: &str, place: Option<(u64, u64)>, words: &str) -> Self {
        let words = match place {
            Some((line, column)) => {
                let shown = shown(text, line, column);
                format!("{name}:{line}:{column}: {words}{shown}")
            }
            None => format!("{name}: {words}"),
        };
        Self {
            place,
            way: Way::new(),
            words,
            is_twice: false,
            lacks: None,
        }
    }

    /// Whether another is this one once more, told of something that it is part of.
    fn is_told_again_by(&self, other: &Self) -> bool {
        let is_there = self.place.is_some() && self.place == other.place;
        is_there && other.lacks.is_none() && self.way.starts_with(&other.way)
    }
}

fn mistake(error: &serde_saphyr::Error, path: &serde_path_to_error::Path, text: &str, name: &str) -> Mistake {
    let what = words::what(error, text);
    let key = words::key(error, &path.to_string());
    let is_missing = matches!(words::cause(error), serde_saphyr::Error::SerdeMissingField { .. });
    let lacks = is_missing.then(|| way(path));
    let of_map = lacks.as_ref().and_then(|map| place::place(text, map));
    let told = error.location().filter(|place| place.line() > 0);
    let tab = || words::tab(text, told?.line()).filter(|_| words::is_of_tab(error, text));
    let told = tab().or_else(|| told.map(|place| (place.line(), place.column())));
    let words = format!("{key}{what}");
    Mistake {
        lacks,
        way: way(path),
        ..Mistake::new(text, name, of_map.or(told), &words)
    }
}

#[cfg(test)]
mod fleet_tests;
#[cfg(test)]
mod tests;
