//! What may leave a builder: a flat list of regular files with size and digest.
//!
//! The builder is hostile. It names the files, but a name is a single component within a grammar; it tells sizes, but their
//! number and sum are bounded before the first byte is fetched. Whoever fetches a file compares it with its entry here.

use std::collections::{BTreeMap, BTreeSet};

use model::name::Grammar;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// One file that a builder offers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestEntry {
    /// Its name: one path component.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256, 64 lower-case hex digits.
    pub sha256: String,
}

/// How much a builder may return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ManifestLimits {
    /// Number of files.
    pub files: usize,
    /// Sum of their sizes in bytes.
    pub total_bytes: u64,
    /// Size of the manifest itself in bytes.
    pub manifest_bytes: usize,
}

impl Default for ManifestLimits {
    /// 2,000 files of together 32 GiB in a manifest of 1 MiB.
    fn default() -> Self {
        Self {
            files: 2_000,
            total_bytes: 32 << 30,
            manifest_bytes: 1 << 20,
        }
    }
}

/// A manifest that keeps the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    entries: BTreeMap<String, ManifestEntry>,
    total: u64,
}

impl Manifest {
    /// Reads a manifest: a JSON list of objects with `name`, `size` and `sha256`. Other fields are ignored.
    ///
    /// # Errors
    /// [`Error::Manifest`] names the first rule that is broken; nothing of the manifest may then be used.
    pub fn parse(json: &[u8], limits: &ManifestLimits) -> Result<Self> {
        if json.len() > limits.manifest_bytes {
            return Err(refused(format!(
                "it has {} bytes, at most {} are taken",
                json.len(),
                limits.manifest_bytes
            )));
        }
        let list: Vec<ManifestEntry> =
            serde_json::from_slice(json).map_err(|error| refused(error.to_string()))?;
        Self::new(list, limits)
    }

    /// Checks a list of files.
    ///
    /// # Errors
    /// As [`Manifest::parse`].
    pub fn new(list: Vec<ManifestEntry>, limits: &ManifestLimits) -> Result<Self> {
        if list.len() > limits.files {
            return Err(refused(format!(
                "it names {} files, at most {} are taken",
                list.len(),
                limits.files
            )));
        }
        let mut entries = BTreeMap::new();
        let mut total = 0_u64;
        for entry in list {
            Grammar::File
                .check(&entry.name)
                .map_err(|error| refused(error.to_string()))?;
            if entry.sha256.len() != 64
                || !entry
                    .sha256
                    .bytes()
                    .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
            {
                return Err(refused(format!(
                    "the digest of {:?} is not 64 lower-case hex digits",
                    entry.name
                )));
            }
            total = total.saturating_add(entry.size);
            if total > limits.total_bytes {
                return Err(refused(format!(
                    "its files have more than {} bytes",
                    limits.total_bytes
                )));
            }
            if let Some(twice) = entries.insert(entry.name.clone(), entry) {
                return Err(refused(format!("it names {:?} twice", twice.name)));
            }
        }
        Ok(Self { entries, total })
    }

    /// The files, by name.
    pub fn entries(&self) -> impl Iterator<Item = &ManifestEntry> {
        self.entries.values()
    }

    /// One file.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&ManifestEntry> {
        self.entries.get(name)
    }

    /// Number of files.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no file.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Sum of the sizes in bytes.
    #[must_use]
    pub const fn total_bytes(&self) -> u64 {
        self.total
    }

    pub(crate) fn names(&self) -> BTreeSet<&str> {
        self.entries.keys().map(String::as_str).collect()
    }
}

fn refused(why: String) -> Error {
    Error::Manifest(why)
}

#[cfg(test)]
mod tests;
