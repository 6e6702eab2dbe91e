use std::path::PathBuf;

use super::*;
use crate::workspace::{Dependency, Package};

#[test]
fn the_tree_is_tidy() {
    let root = workspace::root().unwrap();
    let findings = told(&root, &workspace::read().unwrap());
    assert!(
        findings.is_empty(),
        "{} findings:\n{}",
        findings.len(),
        findings.join("\n")
    );
}

#[test]
fn a_finding_says_where_it_is() {
    assert_eq!(Finding::new("a.rs", 3, "b").to_string(), "a.rs:3: b");
    assert_eq!(Finding::new("a.rs", 0, "b").to_string(), "a.rs: b");
}

/// The findings in a tree, as they are printed.
fn told(root: &Path, workspace: &Workspace) -> Vec<String> {
    let mut findings = look(root, workspace).unwrap();
    findings.sort();
    findings.iter().map(Finding::to_string).collect()
}

const MANIFEST: &str = "[package]\nname = \"x\"\n\n[lints]\nworkspace = true\n";

/// A small repository in which nothing is wrong.
const TIDY: &[(&str, &str)] = &[
    ("LICENSE", "Apache License\nVersion 2.0 \n"),
    ("ARCHITECTURE.md", "The crates: `crates/model`, `crates/store`.\n"),
    ("crates/model/Cargo.toml", MANIFEST),
    (
        "crates/model/src/lib.rs",
        "//! HashMap is not used here.\npub mod a;\n",
    ),
    ("crates/model/src/a.rs", "pub struct A;\n"),
    ("crates/store/Cargo.toml", MANIFEST),
    ("crates/store/src/lib.rs", "mod one;\nmod two;\n"),
    (
        "crates/store/src/one.rs",
        "use crate::two::Two;\npub struct One(Two);\n",
    ),
    ("crates/store/src/two.rs", "pub struct Two;\n"),
    (
        "docs/discovery.md",
        "| What | Where |\n|---|---|\n| it works | `it_works` |\n",
    ),
    ("crates/store/src/tests.rs", "#[test]\nfn it_works() {}\n"),
    (".gitignore", "/target\n"),
];

/// A made-up checkout.
struct House {
    directory: tempfile::TempDir,
    workspace: Workspace,
}

impl House {
    fn tidy() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let git = Tool::new("git").args(["init", "--quiet"]).dir(directory.path());
        git.output().unwrap();
        let package = |name: &str| Package {
            name: name.to_owned(),
            manifest_path: directory.path().join(format!("crates/{name}/Cargo.toml")),
            dependencies: Vec::new(),
        };
        let workspace = Workspace {
            packages: ["model", "store"].map(package).into(),
            target_directory: directory.path().join("target"),
        };
        let house = Self { directory, workspace };
        TIDY.iter().for_each(|(file, text)| house.write(file, text));
        house
    }

    fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join(file)
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.path(file);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }

    /// Takes a file back to what the tidy repository has there.
    fn mend(&self, file: &str) {
        match TIDY.iter().find(|(known, _)| *known == file) {
            Some((_, text)) => self.write(file, text),
            None => fs_err::remove_file(self.path(file)).unwrap(),
        }
    }

    fn findings(&self) -> Vec<String> {
        told(self.directory.path(), &self.workspace)
    }
}

#[test]
fn every_rule_finds_its_fault_and_passes_the_mended_file() {
    let house = House::tidy();
    assert_eq!(house.findings(), [""; 0]);
    let long_file = "echo\n".repeat(501);
    let long_function = format!("def f():\n{}", "    a = 1\n".repeat(70));
    let faults: &[(&str, &str, &str)] = &[
        (
            "crates/model/Cargo.toml",
            "[package]\nname = \"model\"\n",
            "crates/model/Cargo.toml: add the two lines `[lints]` and `workspace = true`",
        ),
        (
            "ARCHITECTURE.md",
            "The crates: `crates/model`, crates/store.\n",
            "ARCHITECTURE.md: does not mention `crates/store`: say in the code map what it is for",
        ),
        (
            "crates/model/src/a.rs",
            "// HashMap\nuse std::collections::HashMap;\n",
            "crates/model/src/a.rs:2: `HashMap` in model, which is pure: take it as an argument, or an ordered map",
        ),
        (
            "crates/store/src/two.rs",
            "use crate::one::One;\npub struct Two;\n",
            "crates/store/src/one.rs: 2 files import each other in a circle: move what they share below them both: \
             crates/store/src/one.rs, crates/store/src/two.rs",
        ),
        (
            "crates/store/src/migration/m20260101_000001_first.rs",
            "// first\n",
            "crates/store/src/migration/m20260101_000001_first.rs: is not frozen yet: `cargo xtask tidy --bless` does it, \
             once the migration is final",
        ),
        (
            "tools/run",
            &long_file,
            "tools/run:501: 501 lines, more than 500: split it by what it does",
        ),
        (
            "tools/f.py",
            &long_function,
            "tools/f.py:1: f() has 71 lines, more than 70: split it",
        ),
        (
            "README.md",
            "See [the map](ARCHITECTURE.md)\nand [more](docs/more.md).\n",
            "README.md:2: links to docs/more.md, which does not exist: write it, or correct the link",
        ),
        (
            "docs/discovery.md",
            "| it works | `it_worked_once` |\n",
            "docs/discovery.md:1: no test has the name `it_worked_once`: name the one that holds the behaviour now",
        ),
        (
            "crates/store/src/tests.rs",
            "fn it_works() {} \n",
            "crates/store/src/tests.rs:1: a space at the end of the line: remove it",
        ),
    ];
    for (file, text, finding) in faults {
        house.write(file, text);
        assert_eq!(house.findings(), [*finding], "{file}");
        house.mend(file);
        assert_eq!(house.findings(), [""; 0], "{file}, mended");
    }
}

#[test]
fn a_missing_licence_is_found() {
    let house = House::tidy();
    fs_err::remove_file(house.path("LICENSE")).unwrap();
    assert_eq!(
        house.findings(),
        ["LICENSE: is missing: it holds the Apache License 2.0"]
    );
}

#[test]
fn an_import_from_above_is_found_on_its_line() {
    let mut house = House::tidy();
    let import = |name: &str, is_ours: bool| Dependency {
        name: name.to_owned(),
        kind: None,
        path: is_ours.then(PathBuf::new),
    };
    house.workspace.packages[1].dependencies = vec![import("model", true), import("russh", false)];
    house.workspace.packages[0].dependencies = vec![import("store", true)];
    house.write(
        "crates/store/Cargo.toml",
        &format!("{MANIFEST}\n[dependencies]\nrussh = \"1\"\n"),
    );
    assert_eq!(
        house.findings(),
        [
            "crates/model/Cargo.toml: model may not import store: it may import [] (the code map of ARCHITECTURE.md)",
            "crates/store/Cargo.toml:8: russh belongs to [\"shell\"]: ask there for what store needs of it",
        ]
    );
}

#[test]
fn what_git_ignores_or_no_longer_has_and_what_is_no_text_is_not_looked_at() {
    let house = House::tidy();
    house.write("target/made.rs", "spaces \n");
    house.write("gone.rs", "spaces \n");
    let git = |words: &[&str]| Tool::new("git").args(words).dir(house.directory.path()).output();
    git(&["add", "gone.rs"]).unwrap();
    assert_eq!(
        house.findings().len(),
        1,
        "a file that is only added is looked at"
    );
    fs_err::remove_file(house.path("gone.rs")).unwrap();
    fs_err::write(house.path("picture"), b"\xff\xfe \n").unwrap();
    assert_eq!(house.findings(), [""; 0]);
}

#[test]
fn a_frozen_migration_has_to_stay_as_it_is() {
    let house = House::tidy();
    let file = "crates/store/src/migration/m20260101_000001_first.rs";
    house.write(file, "// first\n");
    migrations::bless(house.directory.path()).unwrap();
    assert_eq!(house.findings(), [""; 0]);
    house.write(file, "// other\n");
    assert_eq!(
        house.findings(),
        [format!(
            "{file}: was changed after it was frozen: undo the change and write a new migration"
        )]
    );
    fs_err::remove_file(house.path(file)).unwrap();
    assert_eq!(
        house.findings(),
        [format!(
            "{file}: is frozen and gone: databases have it, so it has to stay"
        )]
    );
}
