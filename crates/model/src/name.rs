//! Names that people choose or that files carry, parsed once at the edge into types. A value of such a type
//! is safe as one component of a path or an address: it holds no slash, no NUL, no leading dot.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A name that breaks the grammar of its kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a valid {kind}: {why}", shortened(.text))]
pub struct InvalidName {
    kind: &'static str,
    text: String,
    why: &'static str,
}

/// At most the first 80 characters, control characters escaped: names come from anywhere and end in logs.
fn shortened(text: &str) -> String {
    let mut out: String = text.chars().take(80).flat_map(char::escape_debug).collect();
    if text.chars().nth(80).is_some() {
        out.push('…');
    }
    out
}

fn plain(text: &str, longest: usize, extra: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        return Err("it is empty");
    }
    if text.len() > longest {
        return Err("it is too long");
    }
    if text.starts_with(['.', '-']) {
        return Err("it must not start with a dot or a dash");
    }
    if !text
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || extra.contains(c))
    {
        return Err("it holds a character that is not allowed");
    }
    if text.contains("..") {
        return Err("it must not hold two dots in a row");
    }
    Ok(())
}

fn owner(text: &str) -> Result<(), &'static str> {
    plain(text.strip_prefix('@').unwrap_or(text), 64, "._-+")
}

fn project(text: &str) -> Result<(), &'static str> {
    plain(text, 100, "._-+")?;
    if text.chars().all(|c| c.is_ascii_digit()) {
        return Err("it must not be a number");
    }
    Ok(())
}

fn directory(text: &str) -> Result<(), &'static str> {
    let (name, suffix) = text
        .split_once(':')
        .map_or((text, None), |(name, rest)| (name, Some(rest)));
    project(name)?;
    match suffix {
        None => Ok(()),
        Some(suffix) => suffix.split(':').try_for_each(|part| plain(part, 100, "._-+")),
    }
}

fn package(text: &str) -> Result<(), &'static str> {
    plain(text, 200, "._-+")
}

fn pool(text: &str) -> Result<(), &'static str> {
    plain(text, 64, "._-")
}

fn chroot(text: &str) -> Result<(), &'static str> {
    plain(text, 100, "._-+")?;
    match text.rsplitn(3, '-').collect::<Vec<_>>().as_slice() {
        [arch, release, os] if !arch.is_empty() && !release.is_empty() && !os.is_empty() => Ok(()),
        _ => Err("it must be NAME-RELEASE-ARCHITECTURE, such as fedora-43-x86_64"),
    }
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident, $kind:literal, $check:ident);+ $(;)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

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
                match $check(text) {
                    Ok(()) => Ok(Self(text.to_owned())),
                    Err(why) => Err(InvalidName { kind: $kind, text: text.to_owned(), why }),
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;

            fn try_from(text: String) -> Result<Self, InvalidName> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
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
    OwnerName, "owner name", owner;
    /// A project's name, unique to its owner; not all digits, as Copr has it.
    ProjectName, "project name", project;
    /// A project's directory: the project's name, or that and `:` with a suffix (`demo:pr:7`).
    DirectoryName, "project directory", directory;
    /// The name of a source package.
    PackageName, "package name", package;
    /// A pool of builders in `fleet.yaml`.
    PoolName, "pool name", pool;
    /// A mock chroot, `NAME-RELEASE-ARCHITECTURE`.
    ChrootName, "chroot name", chroot;
}

impl DirectoryName {
    /// The directory of its project itself: without a suffix.
    #[must_use]
    pub fn main(&self) -> Self {
        let name = self.0.split(':').next().unwrap_or(&self.0);
        Self(name.to_owned())
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
        self.0.rsplit_once('-').map_or(self.0.as_str(), |(rest, _)| rest)
    }

    /// The architecture, such as `x86_64`.
    #[must_use]
    pub fn architecture(&self) -> &str {
        self.parts().2
    }
}

#[cfg(test)]
mod tests;
