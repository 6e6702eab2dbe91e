//! The test `version`, of the kind that Ansible takes unless told otherwise: runs of digits count as numbers, runs of
//! small letters and of anything else as words, dots only separate. A word and a number at the same place cannot be
//! compared, which is an error in Ansible too.

use std::cmp::Ordering;

use crate::words;

/// The comparisons under all their names.
const COMPARISONS: &[(&[&str], &[Ordering])] = &[
    (&["==", "=", "eq"], &[Ordering::Equal]),
    (&["!=", "<>", "ne"], &[Ordering::Less, Ordering::Greater]),
    (&["<", "lt"], &[Ordering::Less]),
    (&["<=", "le"], &[Ordering::Less, Ordering::Equal]),
    (&[">", "gt"], &[Ordering::Greater]),
    (&[">=", "ge"], &[Ordering::Greater, Ordering::Equal]),
];

#[derive(Debug, PartialEq, Eq)]
enum Part {
    /// Digits without leading zeros.
    Number(String),
    Word(String),
}

/// Whether two versions compare as wanted.
pub(super) fn holds(have: &str, other: &str, operator: &str) -> Result<bool, String> {
    if have.is_empty() || other.is_empty() {
        return Err("an empty text is no version".to_owned());
    }
    let wanted = COMPARISONS
        .iter()
        .find(|(names, _)| names.contains(&operator))
        .ok_or_else(|| format!("{operator:?} is no comparison of versions"))?;
    Ok(wanted.1.contains(&compare(have, other)?))
}

fn compare(have: &str, other: &str) -> Result<Ordering, String> {
    let (one, two) = (parts(have), parts(other));
    let different = one.iter().zip(&two).find(|(one, two)| one != two);
    match different {
        None => Ok(one.len().cmp(&two.len())),
        Some((Part::Number(one), Part::Number(two))) => Ok(one.len().cmp(&two.len()).then(one.cmp(two))),
        Some((Part::Word(one), Part::Word(two))) => Ok(one.cmp(two)),
        Some((Part::Number(part) | Part::Word(part), Part::Number(against) | Part::Word(against))) => Err(
            format!("the versions {have:?} and {other:?} have no order: {part:?} against {against:?}"),
        ),
    }
}

fn parts(version: &str) -> Vec<Part> {
    let class = |letter: char| match letter {
        '0'..='9' => 0,
        'a'..='z' => 1,
        '.' => 2,
        _ => 3,
    };
    let letters: Vec<char> = words::with_plain_digits(version).chars().collect();
    letters
        .chunk_by(|one, other| class(*one) == class(*other))
        .filter_map(|run| {
            let text: String = run.iter().collect();
            match class(*run.first()?) {
                0 => {
                    let digits = text.trim_start_matches('0');
                    Some(Part::Number(
                        if digits.is_empty() { "0" } else { digits }.to_owned(),
                    ))
                }
                2 => None,
                _ => Some(Part::Word(text)),
            }
        })
        .collect()
}
