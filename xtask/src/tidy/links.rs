//! Links between files: one to a file that is not there is a page that a reader never sees.

use super::Finding;

/// Checks one file; only prose has links. `known` is every file of the checkout.
pub(super) fn check(file: &str, text: &str, known: &[String]) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !file.ends_with(".md") {
        return findings;
    }
    let mut is_code = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") || line.trim_start().starts_with("~~~") {
            is_code = !is_code;
            continue;
        }
        if is_code {
            continue;
        }
        let prose = without_code(line);
        for target in targets(&prose) {
            if let Some(advice) = fault(file, target, known) {
                findings.push(Finding::new(file, index + 1, advice));
            }
        }
    }
    findings
}

/// A line without what stands between backticks.
fn without_code(line: &str) -> String {
    let parts = line.split('`').collect::<Vec<_>>();
    let last = parts.len().saturating_sub(1);
    let is_prose = |index: usize| index.is_multiple_of(2) || index == last;
    parts
        .into_iter()
        .enumerate()
        .filter(|(index, _)| is_prose(*index))
        .map(|(_, part)| part)
        .collect()
}

/// What a line links to: `[text](target)`, `![text](target)` and `[name]: target`.
fn targets(line: &str) -> Vec<&str> {
    let definition = line
        .trim_start()
        .strip_prefix('[')
        .filter(|rest| !rest.starts_with('^'))
        .and_then(|rest| rest.split_once("]: "))
        .map(|(_, target)| target);
    let inline = line
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')').map(|(target, _)| target));
    inline.chain(definition).filter_map(address).collect()
}

/// The address alone: a title may follow it.
fn address(target: &str) -> Option<&str> {
    let target = target.trim();
    match target.strip_prefix('<') {
        Some(rest) => rest.split('>').next(),
        None => target.split_whitespace().next(),
    }
}

/// What is wrong with a link, if it is one to a file of ours.
fn fault(file: &str, target: &str, known: &[String]) -> Option<String> {
    let path = target.split(['#', '?']).next().unwrap_or_default();
    let is_elsewhere = path.contains(':') || path.starts_with('/');
    if path.is_empty() || is_elsewhere {
        return None;
    }
    let Some(meant) = resolve(file, path) else {
        return Some(format!("the link to {path} leads out of the repository"));
    };
    let is_meant = |name: &String| match name.strip_prefix(meant.as_str()) {
        Some(rest) => rest.is_empty() || rest.starts_with('/'),
        None => false,
    };
    if meant.is_empty() || known.iter().any(is_meant) {
        return None;
    }
    Some(format!(
        "links to {meant}, which does not exist: write it, or correct the link"
    ))
}

/// A path as seen from the directory of `file`; none when it leaves the checkout.
fn resolve(file: &str, path: &str) -> Option<String> {
    let mut names = file.split('/').collect::<Vec<_>>();
    names.pop();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => {
                names.pop()?;
            }
            name => names.push(name),
        }
    }
    Some(names.join("/"))
}

#[cfg(test)]
mod tests;
