//! Debian's packages as files: their control fields, dependencies and versions.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::process::Tool;

/// One downloaded Debian package.
#[derive(Debug)]
pub(super) struct Package {
    pub(super) file: PathBuf,
    pub(super) epoch: String,
    pub(super) version: String,
    pub(super) release: String,
    /// The first line of the description.
    pub(super) summary: String,
    /// Each dependency with its alternatives, best first; versions and architectures are left out.
    pub(super) depends: Vec<Vec<String>>,
    pub(super) provides: Vec<String>,
}

/// Reads the packages of these names in a directory; all of them must be there.
pub(super) fn read_all(dir: &Path, names: &BTreeSet<String>) -> Result<BTreeMap<String, Package>> {
    let mut packages = BTreeMap::new();
    for entry in fs_err::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "deb") {
            continue;
        }
        let text = Tool::new("dpkg-deb").arg("--field").arg(&path).output()?;
        let fields = parse_fields(&text);
        let name = fields
            .get("Package")
            .with_context(|| format!("{} has no name", path.display()))?;
        if names.contains(name) {
            let package = read_one(path, &fields).with_context(|| format!("package {name}"))?;
            packages.insert(name.clone(), package);
        }
    }
    let missing = names
        .iter()
        .filter(|name| !packages.contains_key(*name))
        .collect::<Vec<_>>();
    if !missing.is_empty() {
        bail!("apt did not download {missing:?}");
    }
    Ok(packages)
}

fn read_one(file: PathBuf, fields: &BTreeMap<String, String>) -> Result<Package> {
    let field = |name: &str| fields.get(name).map(String::as_str).unwrap_or_default();
    let version = fields.get("Version").context("no version")?;
    let (epoch, version, release) = convert_version(version);
    let both = ["Pre-Depends", "Depends"]
        .iter()
        .flat_map(|name| parse_relation(field(name)));
    let depends = both.collect();
    let provides = parse_relation(field("Provides")).into_iter().flatten().collect();
    let summary = field("Description").lines().next().unwrap_or_default().to_owned();
    Ok(Package {
        file,
        epoch,
        version,
        release,
        summary,
        depends,
        provides,
    })
}

/// The fields of a control file; a line that begins with a space continues the one before.
fn parse_fields(text: &str) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::<String, String>::new();
    let mut last = String::new();
    for line in text.lines() {
        if line.starts_with([' ', '\t']) {
            if let Some(value) = fields.get_mut(&last) {
                value.push('\n');
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            last = name.to_owned();
            fields.insert(last.clone(), value.trim().to_owned());
        }
    }
    fields
}

/// A list of dependencies, each with its alternatives: `a (>= 1), b | c:any [amd64]` is a, and b or c.
fn parse_relation(text: &str) -> Vec<Vec<String>> {
    let groups = text.split(',').map(str::trim).filter(|group| !group.is_empty());
    groups
        .map(|group| {
            group
                .split('|')
                .map(|one| relation_name(one).to_owned())
                .collect()
        })
        .collect()
}

fn relation_name(text: &str) -> &str {
    let end = |c: char| c.is_whitespace() || "([:<".contains(c);
    text.trim().split(end).next().unwrap_or_default()
}

/// Debian's `epoch:upstream-revision` in RPM's three parts, with the characters that RPM forbids replaced.
fn convert_version(version: &str) -> (String, String, String) {
    let (epoch, rest) = version.split_once(':').unwrap_or(("0", version));
    let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, "0"));
    let clean = |text: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || ".+~_".contains(c);
        text.chars()
            .map(|c| if allowed(c) { c } else { '.' })
            .collect::<String>()
    };
    (epoch.to_owned(), clean(upstream), clean(revision))
}

#[cfg(test)]
mod tests;
