//! The builder's copy of the grammar, as the text of a Python module of regular expressions.

use std::fmt::Write as _;

use super::{
    ARCHITECTURE, CHROOT, DIRECTORY, DISTRIBUTION, FILE, INSTALLABLE, OWNER, PART, PROJECT, RELEASE,
    REPOSITORY, Word,
};

const HEAD: &str = r#""""The grammars of names: the builder's copy. Generated from crates/model/src/name.rs by `cargo xtask names`; never edit it.

Every expression is for `fullmatch`. The farm checks the same names by the same rules before a builder sees them.
"""

import re

"#;

/// No name holds two dots in a row.
const NO_DOTS: &str = r"(?!.*\.\.)";

/// The whole module.
pub(super) fn module() -> String {
    let mut out = HEAD.to_owned();
    for (name, expression) in [
        ("OWNER", format!("{NO_DOTS}@?{}", sized(&OWNER))),
        ("DIRECTORY", directory()),
        ("CHROOT", chroot()),
        ("FILE_NAME", format!("{NO_DOTS}{}", sized(&FILE))),
        ("REPOSITORY_ID", format!("{NO_DOTS}{}", sized(&REPOSITORY))),
        ("INSTALLABLE", format!("{NO_DOTS}{}", sized(&INSTALLABLE))),
    ] {
        writeln!(out, "{name} = re.compile(r\"{expression}\")").unwrap();
    }
    out
}

fn directory() -> String {
    format!(
        r"(?=.{{1,{DIRECTORY}}}\Z){NO_DOTS}(?![0-9]+(?::|\Z)){}(?::{})*",
        sized(&PROJECT),
        sized(&PART)
    )
}

fn chroot() -> String {
    let words = [DISTRIBUTION, RELEASE].map(|one| word(&one, "*"));
    format!(
        r"(?=.{{1,{CHROOT}}}\Z){NO_DOTS}{}-{}",
        words.join("-"),
        sized(&ARCHITECTURE)
    )
}

fn sized(one: &Word) -> String {
    word(one, &format!("{{0,{}}}", one.longest - 1))
}

fn word(one: &Word, times: &str) -> String {
    format!(
        "[A-Za-z0-9{}][A-Za-z0-9{}]{times}",
        escaped(one.first),
        escaped(one.rest)
    )
}

/// Characters inside brackets, where a dash and a circumflex mean something.
fn escaped(characters: &str) -> String {
    characters.replace('^', r"\^").replace('-', r"\-")
}
