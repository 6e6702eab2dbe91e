//! Shell-style patterns over names: `*` stands for any characters, `?` for one.

use serde::{Deserialize, Serialize};

/// A pattern such as `fedora-*-x86_64`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Glob(String);

impl Glob {
    /// The pattern with this text; every text is one.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Whether the whole of `text` fits. Takes time linear in each star, never exponential.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let (mut pattern, mut rest) = (self.0.chars(), text.chars());
        // Where to go on from when the last star has to swallow one character more.
        let mut retry: Option<(std::str::Chars<'_>, std::str::Chars<'_>)> = None;
        loop {
            let before = rest.clone();
            match (pattern.next(), rest.next()) {
                (None, None) => return true,
                (Some('*'), _) => {
                    rest = before.clone();
                    retry = Some((pattern.clone(), before));
                }
                (Some('?'), Some(_)) => {}
                (Some(wanted), Some(found)) if wanted == found => {}
                _ => {
                    let Some((after_star, mut swallowed)) = retry.take() else {
                        return false;
                    };
                    if swallowed.next().is_none() {
                        return false;
                    }
                    pattern = after_star.clone();
                    rest = swallowed.clone();
                    retry = Some((after_star, swallowed));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Glob;

    #[test]
    fn stars_and_question_marks_match_as_a_shell_does() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("*", "anything", true),
            ("fedora-*", "fedora-43-x86_64", true),
            ("fedora-*-x86_64", "fedora-43-x86_64", true),
            ("fedora-*-x86_64", "fedora-43-aarch64", false),
            ("fedora-4?-*", "fedora-43-x86_64", true),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxbyy", false),
            ("", "", true),
            ("", "a", false),
            ("*a", "aaab", false),
            ("*ab", "aaab", true),
        ] {
            assert_eq!(Glob::new(pattern).matches(text), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn odd_patterns_mean_what_they_say() {
        for (pattern, text, expected) in [
            ("**", "", true),
            ("*?", "", false),
            ("?*", "a", true),
            ("*?*", "ab", true),
            ("?", "ö", true),
            ("??", "ö", false),
            ("*.*", "a.b.c", true),
            ("[ab]", "a", false),
            ("[ab]", "[ab]", true),
            ("a\\*", "a\\bc", true),
            ("Fedora-*", "fedora-43-x86_64", false),
        ] {
            assert_eq!(Glob::new(pattern).matches(text), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn a_pattern_of_many_stars_ends() {
        let pattern = "*a".repeat(60) + "b";
        assert!(!Glob::new(&pattern).matches(&"a".repeat(4000)));
    }

    /// The meaning of a pattern, word for word, at the price of trying everything.
    fn by_definition(pattern: &[char], text: &[char]) -> bool {
        match (pattern, text) {
            ([], []) => true,
            (['*', rest @ ..], _) => (0..=text.len()).any(|taken| by_definition(rest, &text[taken..])),
            (['?', rest @ ..], [_, after @ ..]) => by_definition(rest, after),
            ([wanted, rest @ ..], [found, after @ ..]) => wanted == found && by_definition(rest, after),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn the_quick_way_answers_as_the_definition_does(pattern in "[ab*?]{0,8}", text in "[ab]{0,8}") {
            let letters = |text: &str| text.chars().collect::<Vec<_>>();
            let expected = by_definition(&letters(&pattern), &letters(&text));
            prop_assert_eq!(Glob::new(&pattern).matches(&text), expected, "{} on {}", pattern, text);
        }
    }
}
