//! Circles of imports between the files of a crate. A module and its own children may know each other; any other files
//! that import each other in a loop can only be read, moved and tested together.

mod imports;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Result;

use super::Finding;
use crate::workspace::Workspace;

use imports::{Crate, Source};

/// Checks every crate of the workspace.
pub(super) fn check(root: &Path, workspace: &Workspace) -> Result<Vec<Finding>> {
    let files = super::files(root)?;
    let mut findings = Vec::new();
    for package in &workspace.packages {
        let manifest = package
            .manifest_path
            .strip_prefix(root)
            .unwrap_or(&package.manifest_path);
        let manifest = manifest.display().to_string();
        let folder = manifest.trim_end_matches("Cargo.toml");
        let mut sources = Vec::new();
        for file in files.iter().filter(|file| is_source(file, folder)) {
            let text = fs_err::read_to_string(root.join(file))?;
            let module = file
                .strip_prefix(folder)
                .and_then(|file| file.strip_prefix("src/"));
            sources.push(Source::new(file, module.unwrap_or(file), &text));
        }
        let circles = circles(&Crate::new(sources));
        findings.extend(judge(&manifest, &circles));
    }
    Ok(findings)
}

/// Tests may import what they like: nothing imports them.
fn is_source(file: &str, folder: &str) -> bool {
    let is_test = |name: &str| name == "tests" || name == "tests.rs" || name == "bin";
    file.strip_prefix(folder)
        .and_then(|file| file.strip_prefix("src/"))
        .is_some_and(|file| file.ends_with(".rs") && !file.split('/').any(is_test))
}

/// What to say of a crate's circles.
fn judge(manifest: &str, circles: &[Vec<String>]) -> Vec<Finding> {
    let told = circles.iter().map(|circle| {
        let advice = format!(
            "{} files import each other in a circle: move what they share below them both: {}",
            circle.len(),
            circle.join(", ")
        );
        Finding::new(circle.first().map_or(manifest, String::as_str), 0, advice)
    });
    told.collect()
}

/// The circles of a crate, each as its files, in order.
fn circles(krate: &Crate) -> Vec<Vec<String>> {
    let all = krate.arrows();
    let mut found = BTreeSet::new();
    // Among files of which none is the other's parent, every circle is one too many.
    let strangers = all
        .iter()
        .filter(|(one, other)| !krate.is_family(one, other))
        .cloned()
        .collect();
    found.extend(components(&strangers));
    // One that goes through a parent is fine where it stays among that parent's children.
    let below_root = all
        .into_iter()
        .filter(|(one, other)| !krate.is_root(one) && !krate.is_root(other))
        .collect();
    for circle in components(&below_root) {
        let is_one_family = circle
            .iter()
            .any(|parent| circle.iter().all(|file| krate.is_family(parent, file)));
        let is_known = found
            .iter()
            .any(|known: &Vec<String>| known.iter().all(|file| circle.contains(file)));
        if !is_one_family && !is_known {
            found.insert(circle);
        }
    }
    found.into_iter().collect()
}

/// The sets of at least two files from each of which every other can be reached.
fn components(arrows: &BTreeSet<(String, String)>) -> Vec<Vec<String>> {
    let mut next: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (from, to) in arrows {
        next.entry(from).or_default().push(to);
    }
    let reach: BTreeMap<&str, BTreeSet<&str>> =
        next.keys().map(|file| (*file, reached(file, &next))).collect();
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let mut found = Vec::new();
    for (file, reached) in &reach {
        if seen.contains(*file) || !reached.contains(file) {
            continue;
        }
        let circle: Vec<String> = reached
            .iter()
            .filter(|other| reach.get(*other).is_some_and(|back| back.contains(file)))
            .map(|other| (*other).to_owned())
            .collect();
        seen.extend(circle.iter().cloned());
        found.push(circle);
    }
    found
}

/// Every file that can be reached from one; itself only when there is a way back.
fn reached<'a>(from: &'a str, next: &BTreeMap<&'a str, Vec<&'a str>>) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut left = next.get(from).cloned().unwrap_or_default();
    while let Some(file) = left.pop() {
        if found.insert(file) {
            left.extend(next.get(file).into_iter().flatten().copied());
        }
    }
    found
}

#[cfg(test)]
mod tests;
