//! The grammar as regular expressions, for those who cannot call it: the builder and readers of the OpenAPI document.

use super::{
    ARCHITECTURE, CHROOT, DIRECTORY, DISTRIBUTION, FILE, Grammar, INSTALLABLE, OWNER, PACKAGE, PART, POOL,
    PROJECT, RELEASE, REPOSITORY, VERSION, Word,
};

/// No name holds two dots in a row.
const NO_DOTS: &str = r"(?!.*\.\.)";

/// The expression that all of a name matches. `end` is what stands for the end of the text in its dialect.
pub(super) fn expression(grammar: Grammar, end: &str) -> String {
    let rest = match grammar {
        Grammar::Owner => format!("@?{}", sized(&OWNER)),
        Grammar::Project => format!("(?![0-9]+{end}){}", sized(&PROJECT)),
        Grammar::Directory => return directory(end),
        Grammar::Chroot => return chroot(end),
        Grammar::Package => sized(&PACKAGE),
        Grammar::Version => sized(&VERSION),
        Grammar::Architecture => sized(&ARCHITECTURE),
        Grammar::Pool => sized(&POOL),
        Grammar::File => sized(&FILE),
        Grammar::Repository => sized(&REPOSITORY),
        Grammar::Installable => sized(&INSTALLABLE),
    };
    format!("{NO_DOTS}{rest}")
}

fn directory(end: &str) -> String {
    format!(
        r"(?=.{{1,{DIRECTORY}}}{end}){NO_DOTS}(?![0-9]+(?::|{end})){}(?::{})*",
        sized(&PROJECT),
        sized(&PART)
    )
}

fn chroot(end: &str) -> String {
    let words = [DISTRIBUTION, RELEASE].map(|one| word(&one, "*"));
    format!(
        r"(?=.{{1,{CHROOT}}}{end}){NO_DOTS}{}-{}",
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
