//! A diff of two short texts, to show what check mode would change.

use std::fmt::Write;

/// Lines around a change.
const AROUND: usize = 3;

/// The most lines shown.
const MAX_LINES: usize = 200;

/// The change from `old` to `new` in unified format, as one hunk: everything between the common beginning and the
/// common end. Empty if they are equal.
pub(crate) fn unified(name: &str, old: &str, new: &str) -> String {
    if old == new {
        return String::new();
    }
    // With their ends, so that a missing one is a difference too.
    let lines = |text| str::split_inclusive(text, '\n').collect::<Vec<&str>>();
    let (old, new) = (lines(old), lines(new));
    let head = old
        .iter()
        .zip(&new)
        .take_while(|(one, other)| one == other)
        .count();
    let (rest_old, rest_new) = (
        old.get(head..).unwrap_or_default(),
        new.get(head..).unwrap_or_default(),
    );
    let ends = rest_old.iter().rev().zip(rest_new.iter().rev());
    let tail = ends.take_while(|(one, other)| one == other).count();
    let first = head.saturating_sub(AROUND);
    let after = tail.min(AROUND);
    let removed = rest_old
        .get(..rest_old.len().saturating_sub(tail))
        .unwrap_or_default();
    let added = rest_new
        .get(..rest_new.len().saturating_sub(tail))
        .unwrap_or_default();
    let before = old.get(first..head).unwrap_or_default();
    let common = rest_old
        .get(removed.len()..)
        .and_then(|rest| rest.get(..after))
        .unwrap_or_default();
    let around = before.len().saturating_add(after);
    let mut text = format!("--- {name}\n+++ {name}\n");
    let (from, to) = (
        around.saturating_add(removed.len()),
        around.saturating_add(added.len()),
    );
    let start = |length: usize| if length == 0 { 0 } else { first.saturating_add(1) };
    let mut lines = vec![format!("@@ -{},{from} +{},{to} @@", start(from), start(to))];
    for (sign, group) in [(' ', before), ('-', removed), ('+', added), (' ', common)] {
        for line in group {
            lines.push(format!("{sign}{}", line.trim_end_matches('\n')));
            if !line.ends_with('\n') {
                lines.push("\\ No newline at end of file".to_owned());
            }
        }
    }
    let hidden = lines.len().saturating_sub(MAX_LINES);
    lines.truncate(MAX_LINES);
    text.push_str(&lines.join("\n"));
    text.push('\n');
    if hidden > 0 {
        // Writing to a String cannot fail.
        writeln!(text, "({hidden} more lines)").ok();
    }
    text
}

#[cfg(test)]
mod tests;
