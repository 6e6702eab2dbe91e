//! What may not be in a file, whatever it is written in.

use super::Finding;

const LINES: usize = 500;
const FUNCTION_LINES: usize = 70;

/// Texts of others, and texts that programs write.
const FOREIGN: &[&str] = &["Cargo.lock", "LICENSE"];

/// Prose may be as long as it has to; lists and snapshots are as long as what they list.
const OF_ANY_LENGTH: &[&str] = &["md", "json", "lock", "snap", "txt", "svg"];

/// Marks of unfinished work, in two halves each: this file is checked too.
const UNFINISHED: &[(&str, &str)] = &[("TO", "DO"), ("FIX", "ME"), ("X", "XX")];

/// Paths of one machine. What is below the administrator's home on an instance is another thing, but for these.
const MACHINE: &[(&str, &str)] = &[
    ("/wo", "rk/"),
    ("/root/.", "cache"),
    ("/root/.", "cargo"),
    ("/root/.", "rustup"),
    ("/root/.", "config"),
];

/// Hosts that packages come from: each machine has its own set-up for these.
const REGISTRIES: &[(&str, &str)] = &[
    ("deb.debian", ".org"),
    ("security.debian", ".org"),
    ("snapshot.debian", ".org"),
    ("files.pythonhosted", ".org"),
    ("pypi", ".org"),
    ("index.crates", ".io"),
    ("static.crates", ".io"),
    ("registry.npmjs", ".org"),
];

/// Checks one file.
pub(super) fn check(file: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    if FOREIGN.contains(&file) {
        return findings;
    }
    let extension = file.rsplit_once('.').map_or("", |(_, extension)| extension);
    let length = text.lines().count();
    if length > LINES && !OF_ANY_LENGTH.contains(&extension) {
        let advice = format!("{length} lines, more than {LINES}: split it by what it does");
        findings.push(Finding::new(file, LINES + 1, advice));
    }
    for (index, line) in text.lines().enumerate() {
        findings.extend(
            check_line(line)
                .into_iter()
                .map(|advice| Finding::new(file, index + 1, advice)),
        );
    }
    if extension == "py"
        || text.starts_with("#!/usr/bin/python3")
        || text.starts_with("#!/usr/bin/env python3")
    {
        findings.extend(long_python_functions(file, text));
    }
    findings
}

fn check_line(line: &str) -> Vec<String> {
    let mut advice = Vec::new();
    if line.ends_with([' ', '\t']) {
        advice.push("a space at the end of the line: remove it".to_owned());
    }
    for (first, second) in UNFINISHED {
        let mark = format!("{first}{second}");
        if has_word(line, &mark) {
            advice.push(format!("{mark}: do it, or write an issue and remove the mark"));
        }
    }
    if line.contains(concat!("todo", "!(")) {
        advice.push("unfinished code: finish it or remove it".to_owned());
    }
    for (first, second) in MACHINE {
        let path = format!("{first}{second}");
        if line.contains(&path) {
            advice.push(format!(
                "{path} is a path of one machine: name it relative to the checkout or the cache"
            ));
        }
    }
    if names_a_home(line) {
        advice.push("a person's home directory: use `~` or $HOME".to_owned());
    }
    for (first, second) in REGISTRIES {
        let host = format!("{first}{second}");
        if line.contains(&host) {
            advice.push(format!(
                "{host} is a registry's host: let the machine's own set-up name it"
            ));
        }
    }
    advice
}

/// Whether `/home/` is followed by a name.
fn names_a_home(line: &str) -> bool {
    line.split(concat!("/ho", "me/"))
        .skip(1)
        .any(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()))
}

/// Whether the mark stands alone, and is not a part of a longer word.
fn has_word(line: &str, word: &str) -> bool {
    let inside = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(word).any(|(start, _)| {
        let before = line.get(..start).and_then(|text| text.chars().next_back());
        let after = line
            .get(start + word.len()..)
            .and_then(|text| text.chars().next());
        !inside(before) && !inside(after)
    })
}

/// Clippy counts the lines of Rust's functions; nobody counts Python's.
fn long_python_functions(file: &str, text: &str) -> Vec<Finding> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let lines = text.lines().collect::<Vec<_>>();
    let mut findings = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let trimmed = line.trim_start();
        let Some(name) = trimmed
            .strip_prefix("def ")
            .or_else(|| trimmed.strip_prefix("async def "))
        else {
            continue;
        };
        let body = lines.iter().skip(start + 1);
        let inside = |line: &&&str| {
            let closes_signature = line.trim_start().starts_with(')');
            line.trim().is_empty()
                || indent(line) > indent(lines.get(start).unwrap_or(&""))
                || closes_signature
        };
        let body = body.take_while(inside).collect::<Vec<_>>();
        let blank = body
            .iter()
            .rev()
            .take_while(|line| line.trim().is_empty())
            .count();
        let length = body.len() - blank + 1;
        if length > FUNCTION_LINES {
            let name = name.split('(').next().unwrap_or_default();
            let advice = format!("{name}() has {length} lines, more than {FUNCTION_LINES}: split it");
            findings.push(Finding::new(file, start + 1, advice));
        }
    }
    findings
}

#[cfg(test)]
mod tests;
