//! The builder's copy of the grammar, as the text of a Python module of regular expressions.

use std::fmt::Write as _;

use super::{Grammar, expression::expression};

const HEAD: &str = r#""""The grammars of names: the builder's copy. Generated from crates/model/src/name.rs by `cargo xtask names`; never edit it.

Every expression is for `fullmatch`. The farm checks the same names by the same rules before a builder sees them.
"""

import re

"#;

/// The whole module.
pub(super) fn module() -> String {
    let mut out = HEAD.to_owned();
    for (name, grammar) in [
        ("OWNER", Grammar::Owner),
        ("DIRECTORY", Grammar::Directory),
        ("CHROOT", Grammar::Chroot),
        ("FILE_NAME", Grammar::File),
        ("REPOSITORY_ID", Grammar::Repository),
        ("INSTALLABLE", Grammar::Installable),
    ] {
        writeln!(out, "{name} = re.compile(r\"{}\")", expression(grammar, r"\Z")).unwrap();
    }
    out
}
