//! Which known words a misspelt one was probably meant to be.

/// How many letters may be wrong for every so many.
const LETTERS_PER_MISTAKE: usize = 3;
const MOST_MISTAKES: usize = 3;

/// The known words that a misspelt one may be meant to be, the most similar first; none is named that is only somewhat like it.
#[must_use]
pub fn all_near<'a, S: AsRef<str> + ?Sized + 'a>(
    word: &str,
    known: impl IntoIterator<Item = &'a S>,
) -> Vec<&'a str> {
    let letters = word.chars().count();
    let near = known.into_iter().filter_map(|candidate| {
        let candidate = candidate.as_ref();
        let longest = letters.max(candidate.chars().count());
        let limit = (longest / LETTERS_PER_MISTAKE).min(MOST_MISTAKES);
        let distance = strsim::damerau_levenshtein(word, candidate);
        (distance <= limit).then_some((distance, candidate))
    });
    let mut near: Vec<_> = near.collect();
    near.sort_by_key(|(distance, _)| *distance);
    near.into_iter().map(|(_, candidate)| candidate).collect()
}

/// The known word that a misspelt one most resembles, if any does.
#[must_use]
pub fn nearest<'a, S: AsRef<str> + ?Sized + 'a>(
    word: &str,
    known: impl IntoIterator<Item = &'a S>,
) -> Option<&'a str> {
    all_near(word, known).into_iter().next()
}

/// `, did you mean ...?`, or nothing where no known word is near.
#[must_use]
pub fn did_you_mean<'a, S: AsRef<str> + ?Sized + 'a>(
    word: &str,
    known: impl IntoIterator<Item = &'a S>,
) -> String {
    nearest(word, known).map_or_else(String::new, |near| format!(", did you mean `{near}`?"))
}

#[cfg(test)]
mod tests {
    use super::{all_near, did_you_mean, nearest};

    #[test]
    fn what_is_misspelt_is_found_and_what_is_another_word_is_not() {
        for (word, known, expected) in [
            ("mx", "max", Some("max")),
            ("paralel", "parallel", Some("parallel")),
            ("databse", "database", Some("database")),
            ("biulder", "builder", Some("builder")),
            ("eucaliptus", "eucalyptus", Some("eucalyptus")),
            ("labels", "labels", Some("labels")),
            ("host", "port", None),
            ("x", "y", None),
            ("a", "to", None),
            ("cat", "arch", None),
            ("moon", "aws", None),
            ("url", "uid", None),
            ("provision", "priority", None),
            ("größe", "grösse", Some("grösse")),
        ] {
            assert_eq!(nearest(word, [known]), expected, "{word} {known}");
        }
    }

    #[test]
    fn the_nearest_comes_first() {
        let known = ["c7i.2xlarge", "c7i.large", "c7i.xlarge", "t3.micro"];
        assert_eq!(all_near("c7i.xlrge", known)[0], "c7i.xlarge");
        assert!(!all_near("c7i.xlrge", known).contains(&"t3.micro"));
        assert_eq!(did_you_mean("c7i.xlrge", known), ", did you mean `c7i.xlarge`?");
        assert_eq!(did_you_mean("moon", known), "");
    }

    #[test]
    fn a_third_of_the_letters_may_be_wrong_and_at_most_three() {
        for (word, known, is_near) in [
            ("ab", "ac", false),
            ("abc", "abd", true),
            ("abc", "xbd", false),
            ("abcdef", "xbcdex", true),
            ("abcdef", "xbxdex", false),
            ("abcdefghi", "xbxdexghi", true),
            ("abcdefghijkl", "xbxdexghxjkl", false),
            // Two letters that changed places are one mistake.
            ("abc", "acb", true),
            // The longer of both counts: a letter too few, a letter too many.
            ("ab", "abc", true),
            ("abc", "ab", true),
            ("", "abc", false),
            ("", "", true),
        ] {
            assert_eq!(nearest(word, [known]).is_some(), is_near, "{word} {known}");
        }
    }

    #[test]
    fn of_two_that_are_as_near_the_one_that_is_named_first_is_meant_and_without_any_nobody_is() {
        assert_eq!(nearest("lebel", ["label", "level"]), Some("label"));
        assert_eq!(nearest("lebel", ["level", "label"]), Some("level"));
        assert_eq!(
            all_near("lebel", ["labels", "level"]),
            ["level", "labels"],
            "one mistake before two"
        );
        assert_eq!(did_you_mean("lebel", [""; 0]), "");
    }
}
