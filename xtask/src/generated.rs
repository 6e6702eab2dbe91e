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

#[cfg(test)]
mod tests {
    use super::{NAMES, OPENAPI};
    use crate::{process::Tool, workspace};

    #[test]
    fn each_file_and_the_test_that_writes_it_are_in_the_tree() {
        let root = workspace::root().unwrap();
        for (generated, tests) in [(OPENAPI, "api/tests/it"), (NAMES, "crates/model/src")] {
            assert!(root.join(generated.file).is_file(), "{}", generated.file);
            let (module, name) = generated.test.rsplit_once("::").unwrap();
            let found = Tool::new("grep")
                .args(["-rl", &format!("fn {name}()")])
                .arg(tests);
            let found = found.dir(&root).output().expect(name);
            let module = module.split("::").next().unwrap();
            assert!(
                found.starts_with(&format!("{tests}/{module}")),
                "{found} is not in {module}"
            );
        }
    }
}
