//! What can go wrong, sorted by what the caller does about it.

use std::{
    io,
    path::{Path, PathBuf},
};

/// The crate's result.
pub type Result<T> = std::result::Result<T, Error>;

/// A failure of reading, signing, indexing or publishing packages.
///
/// The first group blames the file (the build's or the user's fault), the second the caller's data, the last
/// one our own disk or key.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is something else: an error page, an archive, an empty file.
    #[error("`{}` is not an RPM package: it begins with {first}", file.display())]
    NotAnRpm {
        file: PathBuf,
        /// Its first bytes, printable.
        first: String,
    },
    /// The file ends before the package does, as after a broken upload.
    #[error("`{}` is cut short: {what} needs {needed} bytes, the file has {found}", file.display())]
    Truncated {
        file: PathBuf,
        /// The part that is incomplete.
        what: &'static str,
        /// Bytes the file should have at least.
        needed: u64,
        /// Bytes it has.
        found: u64,
    },
    /// A binary package where a source package is expected.
    #[error("`{}` is a binary package, and a source package is wanted", file.display())]
    BinaryWhereSourceExpected { file: PathBuf },
    /// A name, version, release or architecture outside its grammar, or all of them too long for one file name.
    #[error("`{}`: its {field} {value:?} is not acceptable: {why}", file.display())]
    BadName {
        file: PathBuf,
        /// `name`, `version`, `release`, `architecture`, or `file name` for what they make together.
        field: &'static str,
        /// The value, shortened.
        value: String,
        /// The rule it breaks.
        why: String,
    },
    /// A count or size beyond what an honest package has.
    #[error("`{}`: {what} is {found}, and the limit is {limit}", file.display())]
    TooLarge {
        file: PathBuf,
        /// What is too large, with its unit.
        what: &'static str,
        /// Its size.
        found: u64,
        /// The largest allowed.
        limit: u64,
    },
    /// The header breaks the format.
    #[error("`{}` has a damaged header: {detail}", file.display())]
    Malformed {
        file: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// The content is not what the package's own digest says.
    #[error("`{}` is damaged: its {digest} is {found}, and it claims {expected}", file.display())]
    DigestMismatch {
        file: PathBuf,
        /// The name of the digest, such as `SHA-256`.
        digest: &'static str,
        /// The value in the package.
        expected: String,
        /// The value of its content.
        found: String,
    },
    /// The package carries no digest, so that damage could not be seen.
    #[error("`{}` has no digest of its {part} that could be checked", file.display())]
    NoDigest {
        file: PathBuf,
        /// `header` or `payload`.
        part: &'static str,
    },
    /// A link, directory, device or the like where a regular file is expected.
    #[error("`{}` is not a regular file", file.display())]
    NotARegularFile {
        /// The path.
        file: PathBuf,
    },

    /// A builder's manifest breaks a rule; nothing of it may be used.
    #[error("the manifest of the results is refused: {0}")]
    Manifest(String),
    /// A result file is not what the manifest says, or is not in it.
    #[error("the result file {name:?} is refused: {why}")]
    ResultFile {
        /// The file's name.
        name: String,
        /// The rule it breaks.
        why: String,
    },
    /// A name that breaks the grammar of its kind.
    #[error(transparent)]
    Name(#[from] model::InvalidName),
    /// A value that cannot stand in a `.repo` file.
    #[error("the value {value:?} of `{field}` cannot stand in a .repo file: {why}")]
    RepoValue {
        field: &'static str,
        /// The value, shortened.
        value: String,
        /// The rule it breaks.
        why: &'static str,
    },
    /// Two packages of one repository claim the same file.
    #[error("the package file `{href}` appears twice in {repository}")]
    DuplicatePackage {
        repository: String,
        /// The file, relative to the repository.
        href: String,
    },
    /// The number belongs to another state of the repository already: take the next one.
    #[error("snapshot {number} of {repository} exists already with other content")]
    NumberTaken {
        repository: String,
        number: u64,
        /// The highest number that the repository has.
        highest: u64,
    },
    /// The snapshot was never made or is pruned.
    #[error("{repository} has no snapshot {number}")]
    NoSuchSnapshot { repository: String, number: u64 },
    /// The repository was never created.
    #[error("{repository} does not exist")]
    NoRepository { repository: String },

    /// The passphrase does not open the key, or the key is not one.
    #[error("cannot {action} a signing key")]
    Key {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The key cannot do what is asked.
    #[error("the signing key {key} cannot be used: {why}")]
    UnusableKey {
        /// Its fingerprint.
        key: String,
        /// Why it cannot sign, as the end of a sentence.
        why: String,
    },
    /// The disk or the file system.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Error {
    /// Whether the file itself is at fault, so that the same file will never do: the blame is the package's.
    #[must_use]
    pub const fn is_bad_package(&self) -> bool {
        matches!(
            self,
            Self::NotAnRpm { .. }
                | Self::Truncated { .. }
                | Self::BinaryWhereSourceExpected { .. }
                | Self::BadName { .. }
                | Self::TooLarge { .. }
                | Self::Malformed { .. }
                | Self::DigestMismatch { .. }
                | Self::NoDigest { .. }
                | Self::NotARegularFile { .. }
        )
    }

    pub(crate) fn malformed(file: &Path, detail: impl Into<String>) -> Self {
        Self::Malformed {
            file: file.to_owned(),
            detail: detail.into(),
        }
    }

    pub(crate) fn too_large(file: &Path, what: &'static str, found: u64, limit: u64) -> Self {
        Self::TooLarge {
            file: file.to_owned(),
            what,
            found,
            limit,
        }
    }

    pub(crate) fn key(
        action: &'static str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Key {
            action,
            source: source.into(),
        }
    }
}

/// At most the first 80 characters of a hostile text, escaped for a log.
pub(crate) fn shortened(text: &str) -> String {
    let mut out: String = text.chars().take(80).collect();
    if text.chars().nth(80).is_some() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use std::{io, path::PathBuf};

    use super::{Error, shortened};

    fn file() -> PathBuf {
        PathBuf::from("a-1-1.noarch.rpm")
    }

    /// Errors that the package itself is answerable for, each with what is said of it.
    fn bad_packages() -> Vec<(Error, &'static str)> {
        vec![
            (
                Error::NotAnRpm {
                    file: file(),
                    first: "\"<html>\"".to_owned(),
                },
                "is not an RPM package: it begins with \"<html>\"",
            ),
            (
                Error::Truncated {
                    file: file(),
                    what: "the header",
                    needed: 200,
                    found: 100,
                },
                "is cut short: the header needs 200 bytes, the file has 100",
            ),
            (
                Error::BinaryWhereSourceExpected { file: file() },
                "is a binary package, and a source package is wanted",
            ),
            (
                Error::BadName {
                    file: file(),
                    field: "version",
                    value: "1 2".to_owned(),
                    why: "it holds ' '".to_owned(),
                },
                "its version \"1 2\" is not acceptable: it holds ' '",
            ),
            (
                Error::too_large(&file(), "the number of files", 7, 6),
                "the number of files is 7, and the limit is 6",
            ),
            (
                Error::malformed(&file(), "two entries overlap"),
                "has a damaged header: two entries overlap",
            ),
            (
                Error::DigestMismatch {
                    file: file(),
                    digest: "SHA-256",
                    expected: "aa".to_owned(),
                    found: "bb".to_owned(),
                },
                "is damaged: its SHA-256 is bb, and it claims aa",
            ),
            (
                Error::NoDigest {
                    file: file(),
                    part: "payload",
                },
                "has no digest of its payload that could be checked",
            ),
            (Error::NotARegularFile { file: file() }, "is not a regular file"),
        ]
    }

    #[test]
    fn what_is_wrong_with_a_package_is_its_own_fault_and_names_it() {
        for (error, said) in bad_packages() {
            assert!(error.is_bad_package(), "{error}");
            let text = error.to_string();
            assert!(text.starts_with("`a-1-1.noarch.rpm`"), "{text}");
            assert!(text.ends_with(said), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_builder_a_key_or_a_disk_is_no_packages_fault() {
        let repository = || "alice/demo/fedora-43-x86_64".to_owned();
        for error in [
            Error::Manifest("it is no list".to_owned()),
            Error::ResultFile {
                name: "a.log".to_owned(),
                why: "it was not received".to_owned(),
            },
            Error::Name("..".parse::<model::OwnerName>().unwrap_err()),
            Error::DuplicatePackage {
                repository: repository(),
                href: "00000001-a/a.rpm".to_owned(),
            },
            Error::NumberTaken {
                repository: repository(),
                number: 3,
                highest: 4,
            },
            Error::NoSuchSnapshot {
                repository: repository(),
                number: 3,
            },
            Error::NoRepository {
                repository: repository(),
            },
            Error::key("open", "a wrong passphrase"),
            Error::UnusableKey {
                key: "ABCD".to_owned(),
                why: "it has expired".to_owned(),
            },
            Error::Io(io::Error::other("the disk fails")),
        ] {
            assert!(!error.is_bad_package(), "{error}");
        }
    }

    #[test]
    fn a_hostile_text_is_shown_shortly() {
        assert_eq!(shortened(&"ä".repeat(80)), "ä".repeat(80));
        assert_eq!(shortened(&"ä".repeat(81)), format!("{}…", "ä".repeat(80)));
    }
}
