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
}
