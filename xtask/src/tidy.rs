//! The rules of the house that no compiler checks: who may import whom, how big a file may be, what may not be
//! written. Also a test. Every finding says where it is and what to do.

mod circles;
mod floors;
mod links;
mod migrations;
mod tests_named;
mod text;

use std::fmt;
use std::path::Path;

use anyhow::{Result, bail};

use crate::process::Tool;
use crate::progress::say;
use crate::workspace::{self, Workspace};

/// One breach of a rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// Relative to the checkout.
    file: String,
    /// From 1; 0 where the whole file is meant.
    line: usize,
    advice: String,
}

impl Finding {
    fn new(file: impl Into<String>, line: usize, advice: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            line,
            advice: advice.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file, self.advice),
            line => write!(f, "{}:{line}: {}", self.file, self.advice),
        }
    }
}

/// Checks the tree; with `bless`, freezes the migrations that are new first.
pub(crate) fn run(bless: bool) -> Result<()> {
    let root = workspace::root()?;
    if bless {
        migrations::bless(&root)?;
    }
    let mut findings = look(&root, &workspace::read()?)?;
    findings.sort();
    for finding in &findings {
        say(finding.to_string());
    }
    if findings.is_empty() {
        return Ok(());
    }
    bail!("tidy: {} findings", findings.len())
}

fn look(root: &Path, workspace: &Workspace) -> Result<Vec<Finding>> {
    let mut findings = floors::check(root, workspace)?;
    findings.extend(circles::check(root, workspace)?);
    findings.extend(migrations::check(root)?);
    if !root.join("LICENSE").exists() {
        findings.push(Finding::new(
            "LICENSE",
            0,
            "is missing: it holds the Apache License 2.0",
        ));
    }
    let files = files(root)?;
    // One that is no text holds no words.
    let texts: Vec<(&String, String)> = files
        .iter()
        .filter_map(|file| Some((file, fs_err::read_to_string(root.join(file)).ok()?)))
        .collect();
    let functions = texts
        .iter()
        .flat_map(|(file, text)| tests_named::functions(file, text))
        .map(str::to_owned)
        .collect();
    for (file, text) in &texts {
        findings.extend(text::check(file, text));
        findings.extend(links::check(file, text, &files));
        findings.extend(tests_named::check(file, text, &functions));
    }
    Ok(findings)
}

/// All files of the checkout that git knows or would add.
fn files(root: &Path) -> Result<Vec<String>> {
    let list = Tool::new("git").args([
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
        "--deduplicate",
    ]);
    let text = list.dir(root).output()?;
    let names = text
        .split('\0')
        .filter(|name| !name.is_empty())
        .map(str::to_owned);
    // One that is deleted but not yet committed as such is still listed.
    Ok(names.filter(|name| root.join(name).is_file()).collect())
}

#[cfg(test)]
mod tests;
