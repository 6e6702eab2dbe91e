//! The mistakes of settings: each with line and column where the file says it, or with the variable where the environment does.

use std::ops::Range;

use toml_edit::{ImDocument, Item, Value};

use super::syntax::{position, without_passwords};
use crate::{Error, text::shown};

/// What of a setting is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
    Key,
    Value,
}

/// Mistakes that were found in a file and in the environment.
pub(super) struct Mistakes {
    /// What is told of as a whole.
    name: String,
    /// The file's text, and what stands where in it.
    file: Option<(String, ImDocument<String>)>,
    /// Whether its lines are shown.
    are_lines_shown: bool,
    found: Vec<(Option<(u64, u64)>, String)>,
}

impl Mistakes {
    /// None yet, of a file, known to be TOML, or of the environment alone.
    pub(super) fn new(name: &str, text: Option<&str>) -> Self {
        Self {
            name: name.to_owned(),
            file: text.and_then(|text| Some((text.to_owned(), ImDocument::parse(text.to_owned()).ok()?))),
            are_lines_shown: true,
            found: Vec::new(),
        }
    }

    /// The same, of a file that holds secrets.
    pub(super) fn without_lines(self) -> Self {
        Self {
            are_lines_shown: false,
            ..self
        }
    }

    /// A mistake of a variable.
    pub(super) fn of_variable(&mut self, variable: &str, words: &str) {
        self.found.push((None, format!("  {variable}: {words}")));
    }

    /// A mistake of a setting: the keys that lead to it, items of lists counted as `[1]`; what is told before the words; and
    /// whether it is the key that is wrong.
    pub(super) fn of_setting(&mut self, path: &[&str], key: &str, at: At, words: &str) {
        let place = self.file.as_ref().and_then(|(text, document)| {
            let span = span(document.as_item(), path, at)?;
            Some(position(text, span.start))
        });
        let told = match (place, &self.file) {
            (Some((line, column)), Some((text, _))) => {
                // What a database's address holds beside its password is not worth showing it.
                let is_shown = self.are_lines_shown && path.first() != Some(&"database");
                let line_of_it = match is_shown {
                    true => shown(&without_passwords(text), line, column),
                    false => String::new(),
                };
                format!("{}:{line}:{column}: {key}{words}{line_of_it}", self.name)
            }
            _ => format!("  {key}{words}"),
        };
        self.found.push((place, told));
    }

    /// All of them, in the order of the file; nothing where there are none.
    pub(super) fn into_error(mut self) -> Option<Error> {
        if self.found.is_empty() {
            return None;
        }
        self.found.sort_by_key(|(place, _)| *place);
        Some(Error::Mistakes {
            path: self.name,
            mistakes: self.found.into_iter().map(|(_, told)| told).collect(),
        })
    }
}

/// Where in the text the keys lead; where something above is the last that is written, there.
fn span(item: &Item, path: &[&str], at: At) -> Option<Range<usize>> {
    let Some((key, below)) = path.split_first() else {
        return item.span().or_else(|| item.as_array_of_tables()?.get(0)?.span());
    };
    if let Some(number) = number(key) {
        return match item {
            Item::ArrayOfTables(tables) => tables.get(number)?.span(),
            other => other.as_array()?.get(number)?.span(),
        };
    }
    let found = match item {
        Item::Value(Value::InlineTable(table)) => table.get_key_value(key),
        other => other.as_table_like()?.get_key_value(key),
    };
    let (written, value) = found?;
    match (below, at) {
        ([], At::Key) => written.span(),
        _ => span(value, below, at).or_else(|| written.span()),
    }
}

/// The number of an item of a list.
fn number(key: &str) -> Option<usize> {
    key.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

/// Keys as they are told: `mirrors.old`, `trusted_proxies[1]`.
pub(super) fn joined(path: &[&str]) -> String {
    path.iter().fold(String::new(), |told, key| {
        let dot = if told.is_empty() || number(key).is_some() {
            ""
        } else {
            "."
        };
        format!("{told}{dot}{key}")
    })
}

#[cfg(test)]
mod tests {
    use super::{At, Mistakes, joined};

    const TEXT: &str = "# é\n[http]\nlisten = 5\nmirrors = { a = \"/a\", \"b c\" = 1 }\ntrusted_proxies = [\n  \"x\", 'y',\n]\n\
                        [[log]]\nformat = 1\n[database]\nurl = \"secret\"\n";

    #[test]
    fn keys_lead_to_a_line_and_a_column() {
        for (path, at, expected) in [
            (&["http", "listen"][..], At::Value, "f:3:10: "),
            (&["http", "listen"], At::Key, "f:3:1: "),
            (&["http", "mirrors", "b c"], At::Value, "f:4:31: "),
            (&["http", "mirrors", "b c"], At::Key, "f:4:23: "),
            (&["http", "trusted_proxies", "[1]"], At::Value, "f:6:8: "),
            (&["log"], At::Value, "f:8:1: "),
            (&["log"], At::Key, "f:8:3: "),
            (&["http"], At::Key, "f:2:2: "),
            // What is not written has no place.
            (&["worker", "parallel"], At::Value, "  "),
        ] {
            let mut mistakes = Mistakes::new("f", Some(TEXT));
            mistakes.of_setting(path, "", at, "wrong");
            let said = mistakes.into_error().unwrap().to_string();
            let line = said.lines().nth(1).unwrap();
            assert_eq!(line, format!("{expected}wrong"), "{path:?}");
        }
    }

    #[test]
    fn no_line_is_shown_of_a_database_or_of_a_file_with_secrets() {
        for (path, is_shown) in [(["http", "listen"], true), (["database", "url"], false)] {
            let mut mistakes = Mistakes::new("f", Some(TEXT));
            mistakes.of_setting(&path, "", At::Value, "wrong");
            let said = mistakes.into_error().unwrap().to_string();
            assert_eq!(said.contains("listen = 5"), is_shown, "{said}");
            assert!(!said.contains("secret"), "{said}");
        }
        let mut mistakes = Mistakes::new("f", Some(TEXT)).without_lines();
        mistakes.of_setting(&["http", "listen"], "", At::Value, "wrong");
        let said = mistakes.into_error().unwrap().to_string();
        assert!(!said.contains("listen"), "{said}");
    }

    #[test]
    fn they_are_told_in_the_order_of_the_file_and_those_of_the_environment_first() {
        let mut mistakes = Mistakes::new("f", Some(TEXT));
        mistakes.of_setting(&["database", "url"], "", At::Value, "third");
        mistakes.of_setting(&["http", "listen"], "", At::Value, "second");
        mistakes.of_variable("VERDIGRIS_A__B", "first");
        let said = mistakes.into_error().unwrap().to_string();
        let at = |word: &str| said.find(word).unwrap();
        assert!(at("first") < at("second") && at("second") < at("third"), "{said}");
        assert!(Mistakes::new("f", None).into_error().is_none());
    }

    #[test]
    fn an_item_of_a_list_is_told_by_its_number_in_brackets() {
        assert_eq!(joined(&["a", "[1]", "b"]), "a[1].b");
        assert_eq!(joined(&["a", "1"]), "a.1");
    }
}
