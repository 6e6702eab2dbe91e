//! What cleaning found on a machine that is not as it was, in words.

/// How many differences an operator is told.
const MOST_TOLD: usize = 5;

/// What differs, in a sentence.
pub(super) fn told(differences: &[String]) -> String {
    let first = differences.get(..MOST_TOLD).unwrap_or(differences).join("; ");
    let more = match differences.len().saturating_sub(MOST_TOLD) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    format!("it is not as it was before its first build: {first}{more}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_differences_are_told_and_how_many_more_there_are() {
        let differences =
            |count: usize| -> Vec<String> { (1..=count).map(|nth| format!("d{nth}")).collect() };
        let begin = "it is not as it was before its first build: ";
        for (count, expected) in [
            (1, "d1"),
            (5, "d1; d2; d3; d4; d5"),
            (7, "d1; d2; d3; d4; d5; and 2 more"),
        ] {
            assert_eq!(told(&differences(count)), format!("{begin}{expected}"), "{count}");
        }
    }
}
