//! A migration that has run somewhere must never change: databases that have it will not run it again. Their digests
//! are kept in a file; `tidy --bless` adds new ones and refuses changed ones.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, bail};

use super::Finding;
use crate::cache::{sha256_file, write_atomically};

const DIRECTORY: &str = "crates/store/src/migration";
const LOCK: &str = "crates/store/migrations.lock";

/// Compares the migrations with their kept digests.
pub(super) fn check(root: &Path) -> Result<Vec<Finding>> {
    let found = found(root)?;
    let kept = kept(root);
    Ok(compare(&found, &kept))
}

/// Adds the digests of new migrations.
pub(super) fn bless(root: &Path) -> Result<()> {
    let mut kept = kept(root);
    for (file, digest) in found(root)? {
        let known = kept.entry(file.clone()).or_insert_with(|| digest.clone());
        if *known != digest {
            bail!("{file} was changed after it was frozen: undo the change and write a new migration");
        }
    }
    let mut text = String::from(
        "# Migrations that may not change any more, with their SHA-256. `cargo xtask tidy --bless` adds new ones.\n",
    );
    for (file, digest) in &kept {
        text.push_str(&format!("{digest}  {file}\n"));
    }
    write_atomically(&root.join(LOCK), text.as_bytes())
}

fn compare(found: &BTreeMap<String, String>, kept: &BTreeMap<String, String>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, digest) in found {
        let advice = match kept.get(file) {
            Some(known) if known == digest => continue,
            Some(_) => "was changed after it was frozen: undo the change and write a new migration",
            None => "is not frozen yet: `cargo xtask tidy --bless` does it, once the migration is final",
        };
        findings.push(Finding::new(file, 0, advice));
    }
    for file in kept.keys().filter(|file| !found.contains_key(*file)) {
        findings.push(Finding::new(
            file,
            0,
            "is frozen and gone: databases have it, so it has to stay",
        ));
    }
    findings
}

/// The migrations, by the first letter of their names: `m20260105_000001_first.rs`.
fn found(root: &Path) -> Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    let dir = root.join(DIRECTORY);
    if !dir.exists() {
        return Ok(found);
    }
    for entry in fs_err::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let dated = name
            .strip_prefix('m')
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        if dated && name.ends_with(".rs") {
            found.insert(format!("{DIRECTORY}/{name}"), sha256_file(&entry.path())?);
        }
    }
    Ok(found)
}

fn kept(root: &Path) -> BTreeMap<String, String> {
    let text = fs_err::read_to_string(root.join(LOCK)).unwrap_or_default();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.split_once("  "))
        .map(|(digest, file)| (file.to_owned(), digest.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests;
