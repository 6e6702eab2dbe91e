//! Who may import whom. Crates stand on floors and import only from below, never sideways; a heavy library has one
//! owner, so that its types stay in one crate and its compilation in one place.

use std::path::Path;

use anyhow::Result;

use super::Finding;
use crate::workspace::{Package, Workspace};

/// What of ours each crate may import. A crate that is not listed has no place in the house yet.
const FLOORS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("devcloud-dialect", &[]),
    ("devcloud-machines", &[]),
    ("devcloud", &["devcloud-dialect", "devcloud-machines"]),
    ("xtask", &[]),
    ("store", &["model"]),
    ("cloud", &["model"]),
    ("shell", &["model"]),
    ("sim", &["model"]),
    ("repository", &["model"]),
    ("runtime", &["model"]),
    ("provisioner", &["model", "runtime", "shell"]),
    (
        "controller",
        &["cloud", "model", "provisioner", "runtime", "shell", "store"],
    ),
    ("worker", &["model", "repository", "runtime", "shell", "store"]),
    ("api", &["model", "repository", "runtime", "store"]),
    (
        "verdigris",
        &[
            "api",
            "cloud",
            "controller",
            "devcloud",
            "model",
            "provisioner",
            "repository",
            "runtime",
            "shell",
            "store",
            "worker",
        ],
    ),
];

/// The owners of heavy libraries. A name that ends with a dash stands for all that begin with it.
const OWNERS: &[(&str, &[&str])] = &[
    ("aws-", &["cloud"]),
    ("figment", &["runtime"]),
    ("handlebars", &["api", "provisioner"]),
    ("minijinja", &["provisioner"]),
    ("pgp", &["repository"]),
    ("poem", &["api", "devcloud"]),
    ("poem-", &["api"]),
    ("russh", &["shell"]),
    ("sea-orm", &["store"]),
    ("sea-orm-", &["store"]),
    ("serde-saphyr", &["devcloud-machines", "provisioner", "runtime"]),
    ("sqlx", &["store"]),
    (
        "tracing-subscriber",
        &["devcloud", "devcloud-machines", "runtime"],
    ),
];

/// What `model` may not know: it gets the time, and its order reaches plans that must be the same every time.
const IMPURE: &[&str] = &[
    "HashMap",
    "HashSet",
    "Instant::now",
    "SystemTime::now",
    "now_utc",
    "now_v7",
    "new_v4",
    "std::env",
    "std::fs",
    "std::net",
    "std::process",
    "async fn",
];

/// Checks every crate's manifest, and the purity of `model`.
pub(super) fn check(root: &Path, workspace: &Workspace) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let map = fs_err::read_to_string(root.join("ARCHITECTURE.md")).unwrap_or_default();
    for package in &workspace.packages {
        let manifest = package
            .manifest_path
            .strip_prefix(root)
            .unwrap_or(&package.manifest_path);
        let manifest = manifest.display().to_string();
        let text = fs_err::read_to_string(&package.manifest_path)?;
        if !says_lints(&text) {
            findings.push(Finding::new(
                &manifest,
                0,
                "add the two lines `[lints]` and `workspace = true`",
            ));
        }
        let folder = manifest.trim_end_matches("/Cargo.toml");
        if !map.contains(&format!("`{folder}`")) {
            let advice = format!("does not mention `{folder}`: say in the code map what it is for");
            findings.push(Finding::new("ARCHITECTURE.md", 0, advice));
        }
        for advice in imports(package) {
            let (name, advice) = advice;
            findings.push(Finding::new(&manifest, line_of(&text, &name), advice));
        }
    }
    purity(root, workspace, &mut findings)?;
    Ok(findings)
}

/// What a crate imports and may not: the import, and what to say of it. A test may import whatever it takes to test.
fn imports(package: &Package) -> Vec<(String, String)> {
    let name = package.name.as_str();
    let Some((_, allowed)) = FLOORS.iter().find(|(known, _)| *known == name) else {
        let advice = format!("{name} has no floor: add it to ARCHITECTURE.md and xtask/src/tidy/floors.rs");
        return vec![(name.to_owned(), advice)];
    };
    let mut found = Vec::new();
    for dependency in package
        .dependencies
        .iter()
        .filter(|one| one.kind.as_deref() != Some("dev"))
    {
        let import = dependency.name.as_str();
        if dependency.path.is_some() {
            if !allowed.contains(&import) {
                let advice = format!(
                    "{name} may not import {import}: it may import {allowed:?} (the code map of ARCHITECTURE.md)"
                );
                found.push((import.to_owned(), advice));
            }
        } else if let Some(owners) = owners(import)
            && !owners.contains(&name)
        {
            let advice = format!("{import} belongs to {owners:?}: ask there for what {name} needs of it");
            found.push((import.to_owned(), advice));
        }
    }
    found
}

fn owners(import: &str) -> Option<&'static [&'static str]> {
    let matches = |known: &str| import == known || (known.ends_with('-') && import.starts_with(known));
    OWNERS
        .iter()
        .find(|(known, _)| matches(known))
        .map(|(_, owners)| *owners)
}

fn says_lints(manifest: &str) -> bool {
    let mut lines = manifest.lines().map(str::trim);
    let section = lines.any(|line| line == "[lints]") && lines.next() == Some("workspace = true");
    section
        || manifest
            .lines()
            .any(|line| line.trim() == "lints.workspace = true")
}

/// The line on which a manifest names a dependency; 0 if it does not.
fn line_of(manifest: &str, name: &str) -> usize {
    let names = |line: &str| {
        line.strip_prefix(name)
            .is_some_and(|rest| rest.starts_with([' ', '.', '=']))
    };
    manifest.lines().position(names).map_or(0, |index| index + 1)
}

fn purity(root: &Path, workspace: &Workspace, findings: &mut Vec<Finding>) -> Result<()> {
    if !workspace.packages.iter().any(|package| package.name == "model") {
        return Ok(());
    }
    for file in super::files(root)? {
        let source = file.starts_with("crates/model/src/") && file.ends_with(".rs");
        if !source || file.ends_with("/tests.rs") {
            continue;
        }
        let text = fs_err::read_to_string(root.join(&file))?;
        for (number, line) in text
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
        {
            for word in IMPURE.iter().filter(|word| line.contains(**word)) {
                let advice =
                    format!("`{word}` in model, which is pure: take it as an argument, or an ordered map");
                findings.push(Finding::new(&file, number + 1, advice));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
