//! Files that the program makes of itself and that lie in the repository, so that people and other languages can read
//! them. A test compares each with what the program makes; told so, the same test writes it. The build of the tests is
//! there then, and no other is needed.

use anyhow::{Context, Result};

use crate::progress::say;
use crate::workspace::cargo;

/// One such file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Generated {
    /// From the root of the repository.
    file: &'static str,
    /// Cargo's options for the tests among which is the one that writes it.
    tests: &'static [&'static str],
    /// The whole name of that test.
    test: &'static str,
}

/// The API's description.
pub(crate) const OPENAPI: Generated = Generated {
    file: "api/openapi.json",
    tests: &["--test", "it"],
    test: "openapi::the_document_in_the_repository_is_the_one_that_is_served",
};

/// The builder's copy of the grammar of names.
pub(crate) const NAMES: Generated = Generated {
    file: "provision-files/builder/verdigris_builder/names.py",
    tests: &["--lib"],
    test: "name::tests::the_builders_copy_is_the_one_that_this_grammar_makes",
};

/// Writes the file.
pub(crate) fn run(generated: Generated) -> Result<()> {
    cargo()?
        .args(["test", "--workspace", "--quiet"])
        .args(generated.tests)
        .args(["--", "--exact", generated.test])
        .env("VERDIGRIS_BLESS", "1")
        .show()
        .with_context(|| format!("{} was not written", generated.file))?;
    say(format!("{}: written", generated.file));
    Ok(())
}
