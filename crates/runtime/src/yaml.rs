//! Files that operators write in YAML: every mistake comes with line, column, the lines around it and,
//! where a word is misspelt, the nearest word that is known.

use std::path::Path;

use serde::de::DeserializeOwned;

use crate::Error;

/// Reads a file.
///
/// # Errors
/// When it cannot be read, or what it holds is not a `T`.
pub fn load<T: DeserializeOwned>(path: &Path) -> Result<T, Error> {
    let text = std::fs::read_to_string(path).map_err(|source| Error::Unreadable {
        path: path.display().to_string(),
        source,
    })?;
    parse(&text, &path.display().to_string())
}

/// Reads a text; `name` stands for it in errors.
///
/// # Errors
/// When the text is not a `T`.
pub fn parse<T: DeserializeOwned>(text: &str, name: &str) -> Result<T, Error> {
    // Without it `yes` and `n` are booleans, and a key `y` is not a text.
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| Error::Mistakes {
        path: name.to_owned(),
        mistakes: vec![words(&error, name)],
    })
}

fn words(error: &serde_saphyr::Error, name: &str) -> String {
    let place = error
        .location()
        .map(|place| format!("{name}:{}:{}: ", place.line(), place.column()))
        .unwrap_or_default();
    let hint = match error.without_snippet() {
        serde_saphyr::Error::SerdeUnknownField { field, expected, .. } => nearest(field, expected),
        serde_saphyr::Error::SerdeUnknownVariant {
            variant, expected, ..
        } => nearest(variant, expected),
        _ => None,
    };
    let hint = hint
        .map(|near| format!("\n  did you mean `{near}`?"))
        .unwrap_or_default();
    format!("{place}{error}{hint}")
}

/// The known word that a misspelt one most resembles, if any does.
#[must_use]
pub fn nearest<'a, S: AsRef<str>>(word: &str, known: &'a [S]) -> Option<&'a str> {
    known
        .iter()
        .map(|candidate| {
            (
                strsim::damerau_levenshtein(word, candidate.as_ref()),
                candidate.as_ref(),
            )
        })
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::parse;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its shape matters")]
    struct Pool {
        labels: Vec<String>,
        size: Size,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its shape matters")]
    struct Size {
        max: u32,
    }

    #[test]
    fn a_misspelt_key_is_shown_with_its_place_and_the_nearest_one() {
        let text = "labels: [a]\nsize:\n  mx: 4\n";
        let message = parse::<Pool>(text, "fleet.yaml").unwrap_err().to_string();
        assert!(message.contains("fleet.yaml:3:3:"), "{message}");
        assert!(message.contains("did you mean `max`?"), "{message}");
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_shown_with_its_place() {
        let message = parse::<Pool>("labels: [a]\nsize: {max: many}\n", "f")
            .unwrap_err()
            .to_string();
        assert!(message.contains("f:2:13:"), "{message}");
    }

    #[test]
    fn a_key_that_stands_twice_is_refused() {
        let message = parse::<Pool>("labels: [a]\nlabels: [b]\nsize: {max: 1}\n", "f")
            .unwrap_err()
            .to_string();
        assert!(message.contains("f:2:1:"), "{message}");
    }
}
