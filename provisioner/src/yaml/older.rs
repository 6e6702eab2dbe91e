//! Bare values that Ansible, whose YAML is of version 1.1, takes for something else than version 1.2 does, which is read here.

use super::{Node, Tree};

/// All bare values below that Ansible reads as another value, with the words that stand there; `text` is the document.
pub(crate) fn read_otherwise<'a>(root: &Node, text: &'a str) -> Vec<(u64, u64, &'a str)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    look(root, &lines, &mut found);
    found
}

fn look<'a>(node: &Node, lines: &[&'a str], found: &mut Vec<(u64, u64, &'a str)>) {
    let is_other = match &node.tree {
        Tree::List(items) => return items.iter().for_each(|item| look(item, lines, found)),
        Tree::Map(entries) => return entries.iter().for_each(|(_, value)| look(value, lines, found)),
        Tree::Number(_) => is_other_number,
        Tree::Text(_) => is_number_or_date,
        Tree::Null | Tree::Bool(_) => return,
    };
    if let Some(word) = written(node, lines).filter(|word| is_other(word)) {
        found.push((node.line, node.column, word));
    }
}

/// What stands at the place of a value, up to the end of the line or of the value in a list or mapping on one line. None
/// for a text that stands below its `|` or `>`.
fn written<'a>(node: &Node, lines: &[&'a str]) -> Option<&'a str> {
    let place = |number: u64| usize::try_from(number).ok()?.checked_sub(1);
    let number = place(node.line)?;
    let line = lines.get(number)?;
    let (at, _) = line.char_indices().nth(place(node.column)?)?;
    let before = line.get(..at)?.trim();
    let above = lines.get(number.checked_sub(1).unwrap_or(number))?;
    let opens_block = above
        .split(' ')
        .next_back()
        .is_some_and(|word| word.starts_with(['|', '>']));
    if before.is_empty() && opens_block {
        return None;
    }
    let word = line.get(at..)?.split([',', ']', '}']).next()?;
    Some(word.split(" #").next()?.trim_end())
}

/// Numbers with a leading zero, which are octal there, and those with an exponent, which are text unless they have a point
/// and a sign; `0o17` is text too. What has more than 64 bits is a whole number there, and has lost its last digits here.
fn is_other_number(word: &str) -> bool {
    let digits = word.trim_start_matches(['+', '-']);
    let rest = digits.strip_prefix('0').unwrap_or_default();
    if rest.starts_with(['x', 'b']) {
        return false;
    }
    let has_point = digits.contains('.');
    match digits.split_once(['e', 'E']) {
        Some((_, exponent)) => !has_point || !exponent.starts_with(['+', '-']),
        None => !has_point && (!rest.is_empty() || digits.len() > 18 && digits.parse::<i64>().is_err()),
    }
}

/// Texts that are numbers there: digits with underscores, times such as `8080:22`, which count in sixties, and dates.
fn is_number_or_date(word: &str) -> bool {
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    let digits = word.trim_start_matches(['+', '-']);
    if !digits.starts_with(|first: char| first.is_ascii_digit()) {
        return false;
    }
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_sixtieth = |part: &str| part.len() <= 2 && part.parse::<u8>().is_ok_and(|part| part < 60);
    let is_time = whole
        .split_once(':')
        .is_some_and(|(first, rest)| is_number(first) && rest.split(':').all(is_sixtieth));
    is_number(fraction) && (is_time || is_number(whole) && whole.contains('_')) || is_date(word)
}

/// A date, alone or with a time of day.
fn is_date(word: &str) -> bool {
    let (date, time) = word.split_once([' ', 'T', 't']).unwrap_or((word, ""));
    let lengths: Vec<usize> = date
        .split('-')
        .map(|part| {
            if part.bytes().all(|byte| byte.is_ascii_digit()) {
                part.len()
            } else {
                0
            }
        })
        .collect();
    let is_time = time.starts_with(|first: char| first.is_ascii_digit()) && time.contains(':');
    matches!(lengths.as_slice(), [4, 1..=2, 1..=2]) && (time.is_empty() || is_time)
}
