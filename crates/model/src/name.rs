//! Names that people choose or that files carry, parsed once at the edge into types. A value of such a type
//! is safe as one component of a path or an address: it holds no slash, no NUL, no leading dot.
//!
//! This is the only grammar of names. What a builder checks again in Python,
//! `provision-files/builder/verdigris_builder/names.py`, is generated from it by `cargo xtask names`, and both are
//! tested with one list of examples, so that what is taken here is taken there.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

/// How many bytes a file system gives to one name.
const FILE_SYSTEM: usize = 255;
/// What is put behind a file's name while the file is written; the longest is that of an upload to a builder.
const TEMPORARY: &str = ".part.XXXXXX";

/// One word of a name: ASCII letters and digits, and a few other characters.
#[derive(Clone, Copy, Debug)]
struct Word {
    /// The most bytes.
    longest: usize,
    /// What it may begin with, beside letters and digits.
    first: &'static str,
    /// What it may go on with, beside letters and digits.
    rest: &'static str,
}

/// Neither an owner nor a project may hold a plus sign: both stand in the ids of repositories, where dnf refuses it.
const OWNER: Word = word(64, "_", "._-");
const PROJECT: Word = word(100, "_", "._-");
/// What follows a colon in the name of a project's directory.
const PART: Word = word(100, "_", "._-");
/// A project's directory as a whole. `copr:HOST:OWNER:DIRECTORY` is the id of its repository, and dnf makes files named by
/// the id and 23 bytes more: with the longest owner there is room for a host of 35 bytes.
const DIRECTORY: usize = 120;
/// What rpmbuild takes in `Name:`.
const PACKAGE: Word = word(200, "_", "._+-");
/// What rpmbuild takes in `Version:` and `Release:`.
const VERSION: Word = word(200, "._+~^", "._+~^");
const ARCHITECTURE: Word = word(32, "", "_");
const POOL: Word = word(64, "_", "._-");
const DISTRIBUTION: Word = word(100, "", "._+-");
const RELEASE: Word = word(100, "", "._+");
/// A chroot's three words with the dashes between them.
const CHROOT: usize = 100;
const FILE: Word = word(FILE_SYSTEM - TEMPORARY.len(), "_", "._+~^-");
const REPOSITORY: Word = word(128, "", "_.:-");
const INSTALLABLE: Word = word(256, "@/_", "@/_.+():~^*-");

const fn word(longest: usize, first: &'static str, rest: &'static str) -> Word {
    Word { longest, first, rest }
}

/// A kind of name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grammar {
    /// A user, or a group written `@group`.
    Owner,
    /// A project; not only digits, as Copr has it.
    Project,
    /// A project's name, or that and a suffix of parts with a colon before each (`demo:pr:7`).
    Directory,
    /// `Name:` of an RPM package.
    Package,
    /// `Version:` or `Release:` of an RPM package.
    Version,
    /// An architecture of RPM packages or of a chroot.
    Architecture,
    /// A pool of builders in `fleet.yaml`.
    Pool,
    /// A mock chroot, `NAME-RELEASE-ARCHITECTURE`, whose name may itself hold dashes.
    Chroot,
    /// A source package or a result of a build. Shorter than the file system's 255 bytes by the longest suffix
    /// that such a file has while it is written.
    File,
    /// The id of a repository in dnf's configuration.
    Repository,
    /// What dnf is told to install: a package, a group with `@`, a path, a capability.
    Installable,
}

impl Grammar {
    /// What such a name is called.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Owner => "owner name",
            Self::Project => "project name",
            Self::Directory => "project directory",
            Self::Package => "package name",
            Self::Version => "version",
            Self::Architecture => "architecture",
            Self::Pool => "pool name",
            Self::Chroot => "chroot name",
            Self::File => "file name",
            Self::Repository => "repository id",
            Self::Installable => "package to install",
        }
    }

    /// The most bytes of such a name.
    #[must_use]
    pub const fn longest(self) -> usize {
        match self {
            // A group has a sign more.
            Self::Owner => OWNER.longest + 1,
            Self::Project => PROJECT.longest,
            Self::Directory => DIRECTORY,
            Self::Package => PACKAGE.longest,
            Self::Version => VERSION.longest,
            Self::Architecture => ARCHITECTURE.longest,
            Self::Pool => POOL.longest,
            Self::Chroot => CHROOT,
            Self::File => FILE.longest,
            Self::Repository => REPOSITORY.longest,
            Self::Installable => INSTALLABLE.longest,
        }
    }

    /// A regular expression for such a name, as OpenAPI documents have them.
    #[must_use]
    pub fn pattern(self) -> String {
        format!("^{}$", expression::expression(self, "$"))
    }

    /// Whether a text is such a name.
    ///
    /// # Errors
    /// Names the kind, the text and the rule that it breaks.
    pub fn check(self, text: &str) -> Result<(), InvalidName> {
        let found = match self {
            Self::Owner => OWNER.check(text.strip_prefix('@').unwrap_or(text)),
            Self::Project => project(text),
            Self::Directory => directory(text),
            Self::Package => PACKAGE.check(text),
            Self::Version => VERSION.check(text),
            Self::Architecture => ARCHITECTURE.check(text),
            Self::Pool => POOL.check(text),
            Self::Chroot => chroot(text),
            Self::File => FILE.check(text),
            Self::Repository => REPOSITORY.check(text),
            Self::Installable => INSTALLABLE.check(text),
        };
        found.map_err(|fault| InvalidName {
            grammar: self,
            text: text.to_owned(),
            fault,
        })
    }
}

impl Word {
    fn check(&self, text: &str) -> Result<(), Fault> {
        let Some(first) = text.chars().next() else {
            return Err(Fault::Empty);
        };
        if text.len() > self.longest {
            return Err(Fault::TooLong(self.longest));
        }
        if !first.is_ascii_alphanumeric() && !self.first.contains(first) {
            return Err(Fault::Begins(self.first));
        }
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || self.rest.contains(c);
        if let Some(other) = text.chars().skip(1).find(|c| !is_allowed(*c)) {
            return Err(Fault::Holds {
                found: other,
                also: self.rest,
            });
        }
        if text.contains("..") {
            return Err(Fault::Dots);
        }
        Ok(())
    }
}

fn project(text: &str) -> Result<(), Fault> {
    PROJECT.check(text)?;
    if text.chars().all(|c| c.is_ascii_digit()) {
        return Err(Fault::Number);
    }
    Ok(())
}

fn directory(text: &str) -> Result<(), Fault> {
    let Some((name, suffix)) = text.split_once(':') else {
        return project(text);
    };
    if text.len() > DIRECTORY {
        return Err(Fault::TooLong(DIRECTORY));
    }
    if name.is_empty() || suffix.split(':').any(str::is_empty) {
        return Err(Fault::EmptyPart);
    }
    project(name)?;
    suffix.split(':').try_for_each(|part| PART.check(part))
}

fn chroot(text: &str) -> Result<(), Fault> {
    if text.len() > CHROOT {
        return Err(Fault::TooLong(CHROOT));
    }
    let mut words = text.rsplitn(3, '-');
    let (Some(architecture), Some(release), Some(distribution)) = (words.next(), words.next(), words.next())
    else {
        return Err(Fault::NoChroot);
    };
    if [architecture, release, distribution].contains(&"") {
        return Err(Fault::NoChroot);
    }
    ARCHITECTURE.check(architecture)?;
    RELEASE.check(release)?;
    DISTRIBUTION.check(distribution)
}

/// The rule that a name breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Fault {
    #[error("it is empty")]
    Empty,
    #[error("nothing stands before or behind one of its colons")]
    EmptyPart,
    #[error("it is longer than {0} bytes")]
    TooLong(usize),
    #[error("it must begin with {}", beginnings(.0))]
    Begins(&'static str),
    #[error("it holds {found:?}; letters and digits of ASCII are allowed, and {}", spaced(.also))]
    Holds { found: char, also: &'static str },
    #[error("it must not hold two dots in a row")]
    Dots,
    #[error("it must not be a number")]
    Number,
    #[error("it must be NAME-RELEASE-ARCHITECTURE, such as fedora-43-x86_64")]
    NoChroot,
}

fn beginnings(more: &str) -> String {
    match more.len() {
        0 => "a letter or a digit".to_owned(),
        1 => format!("a letter, a digit or {more}"),
        _ => format!("a letter, a digit or one of {}", spaced(more)),
    }
}

fn spaced(characters: &str) -> String {
    let all: Vec<String> = characters.chars().map(String::from).collect();
    all.join(" ")
}

/// A name that breaks the grammar of its kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a valid {}: {fault}", shortened(.text), .grammar.label())]
pub struct InvalidName {
    grammar: Grammar,
    text: String,
    fault: Fault,
}

impl InvalidName {
    /// The rule that the name breaks, as the end of a sentence: "it is empty".
    #[must_use]
    pub fn why(&self) -> String {
        self.fault.to_string()
    }
}

/// At most the first 80 characters, control characters escaped: names come from anywhere and end in logs.
fn shortened(text: &str) -> String {
    let mut out: String = text.chars().take(80).flat_map(char::escape_debug).collect();
    if text.chars().nth(80).is_some() {
        out.push('…');
    }
    out
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident, $grammar:ident);+ $(;)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                Grammar::$grammar.check(text)?;
                Ok(Self(text.into()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;

            fn try_from(text: String) -> Result<Self, InvalidName> {
                Grammar::$grammar.check(&text)?;
                Ok(Self(text.into()))
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.as_str().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+};
}

names! {
    /// Who owns projects: a user, or a group written `@group`.
    OwnerName, Owner;
    /// A project's name, unique to its owner.
    ProjectName, Project;
    /// A project's directory.
    DirectoryName, Directory;
    /// The name of a source package.
    PackageName, Package;
    /// A pool of builders in `fleet.yaml`.
    PoolName, Pool;
    /// A mock chroot.
    ChrootName, Chroot;
}

impl DirectoryName {
    /// The directory of its project itself: without a suffix.
    #[must_use]
    pub fn main(&self) -> Self {
        let name = self.0.split(':').next().unwrap_or(&self.0);
        Self(name.into())
    }
}

impl ChrootName {
    /// `fedora`, `43` and `x86_64` of `fedora-43-x86_64`; the name may itself hold dashes.
    #[must_use]
    pub fn parts(&self) -> (&str, &str, &str) {
        let (rest, architecture) = self.0.rsplit_once('-').unwrap_or((&self.0, ""));
        let (name, release) = rest.rsplit_once('-').unwrap_or((rest, ""));
        (name, release, architecture)
    }

    /// `fedora-43` of `fedora-43-x86_64`, as `.repo` files are asked for.
    #[must_use]
    pub fn name_release(&self) -> &str {
        self.0.rsplit_once('-').map_or(&*self.0, |(rest, _)| rest)
    }

    /// The architecture, such as `x86_64`.
    #[must_use]
    pub fn architecture(&self) -> &str {
        self.parts().2
    }
}

mod expression;
#[cfg(test)]
mod python;
#[cfg(test)]
mod tests;
