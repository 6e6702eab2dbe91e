//! What a header says: texts, files, relations to other packages, change log.
//!
//! The selection is createrepo_c's (1.2.5), because clients expect the metadata it writes: requirements that the package
//! meets itself are left out, of the many versioned requirements on the C library the highest stays ([`c_library`] says
//! where that differs), change log entries of the same second are spread. Where two arrays should have the same length and
//! do not, the header is refused.

mod c_library;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use super::is_primary_file;
use crate::{
    Error, Result,
    header::{Header, tag},
};
use c_library::CLibrary;

/// How many change log entries metadata has; createrepo_c's default.
const CHANGELOGS: usize = 10;
/// The longest path that a file system takes, and so the longest directory or file name.
const MAX_NAME: usize = 4096;

const FLAG_COMPARISON: u64 = 0x0f;
/// Marked `pre`, or needed by a scriptlet that runs before or right after the files are there: `%posttrans` (5), `%pretrans`
/// (7), `%pre` (9), `%post` (10).
const FLAG_PREREQUIRED: u64 = (1 << 5) | (1 << 6) | (1 << 7) | (1 << 9) | (1 << 10);
const FLAG_MISSING_OK: u64 = 1 << 19;
const FILE_GHOST: u64 = 1 << 6;
const MODE_TYPE: u64 = 0o170_000;
const MODE_DIRECTORY: u64 = 0o040_000;

/// A relation to other packages: a name, perhaps with a range of versions, or a rich expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// Name, file path, or expression in parentheses.
    pub name: String,
    /// `LT`, `LE`, `EQ`, `GE`, `GT`, or nothing for any version.
    pub comparison: Option<&'static str>,
    /// Epoch of the version; empty without a version.
    pub epoch: String,
    pub version: String,
    /// Release; may be empty.
    pub release: String,
    /// Needed before the package is installed.
    pub pre: bool,
}

/// What a packaged file is, as far as metadata tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A file, link or device that is installed.
    File,
    Directory,
    /// A file that the package owns without bringing it.
    Ghost,
}

/// One file of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEntry {
    /// Full path; in source packages the bare name.
    pub path: String,
    /// Whether it is a file, a directory or a ghost.
    pub kind: FileKind,
}

/// One entry of the change log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changelog {
    /// The author and, by custom, the version: `Ann <ann@example.org> - 1.0-1`.
    pub author: String,
    /// The day, in seconds since 1970.
    pub date: u64,
    /// The entry itself; it may have several lines.
    pub text: String,
}

/// A text of the header as metadata shows it: UTF-8 as it is, anything else taken for Latin-1. Characters
/// that XML cannot hold are left out.
pub(super) fn decode(bytes: &[u8]) -> String {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        // 0x80 to 0xbf are control codes of Latin-1, or a sign of another code page: createrepo_c drops them.
        Err(_) => bytes
            .iter()
            .filter(|byte| !(0x80..0xc0).contains(*byte))
            .map(|byte| char::from(*byte))
            .collect(),
    };
    if text.chars().all(is_xml) {
        text
    } else {
        text.chars().filter(|c| is_xml(*c)).collect()
    }
}

/// The characters of XML 1.0, <https://www.w3.org/TR/xml/#charsets>.
const fn is_xml(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{1_0000}'..)
}

/// The first text of a tag, or nothing.
pub(super) fn text(header: &Header, tag: u32) -> String {
    header.text(tag).map(decode).unwrap_or_default()
}

/// The files of a package, in the order of the header.
pub(super) fn files(header: &Header, path: &Path) -> Result<Vec<FileEntry>> {
    let directories: Vec<&[u8]> = header.texts(tag::DIRECTORY_NAMES).collect();
    let count = header.texts(tag::BASE_NAMES).count();
    let indexes = header.numbers(tag::DIRECTORY_INDEXES);
    let modes: Vec<u64> = header.numbers(tag::FILE_MODES).collect();
    let flags: Vec<u64> = header.numbers(tag::FILE_FLAGS).collect();
    if count == 0 {
        return Ok(Vec::new());
    }
    if header.numbers(tag::DIRECTORY_INDEXES).count() != count || modes.len() != count || flags.len() != count
    {
        return Err(Error::malformed(
            path,
            "the lists of files have different lengths",
        ));
    }
    // A directory's name is stored once and used many times: the sum must be bounded before it is built.
    let mut total = 0_u64;
    let mut files = Vec::with_capacity(count);
    let rows = header.texts(tag::BASE_NAMES).zip(indexes).zip(modes).zip(flags);
    for (((base, index), mode), flag) in rows {
        let directory = usize::try_from(index)
            .ok()
            .and_then(|index| directories.get(index));
        let directory = directory.ok_or_else(|| {
            Error::malformed(
                path,
                format!("a file lies in directory {index} of {}", directories.len()),
            )
        })?;
        let length = directory.len().saturating_add(base.len());
        if length > MAX_NAME {
            return Err(Error::too_large(
                path,
                "the length of a file name",
                length as u64,
                MAX_NAME as u64,
            ));
        }
        total = total.saturating_add(length as u64);
        if total > super::MAX_PATHS {
            return Err(Error::too_large(
                path,
                "the sum of file name lengths",
                total,
                super::MAX_PATHS,
            ));
        }
        let mut full = directory.to_vec();
        full.extend_from_slice(base);
        let kind = if mode & MODE_TYPE == MODE_DIRECTORY {
            FileKind::Directory
        } else if flag & FILE_GHOST != 0 {
            FileKind::Ghost
        } else {
            FileKind::File
        };
        files.push(FileEntry {
            path: decode(&full),
            kind,
        });
    }
    Ok(files)
}

/// The tags of one kind of relation.
#[derive(Clone, Copy)]
pub(super) struct Tags {
    name: u32,
    flags: u32,
    version: u32,
}

pub(super) const REQUIRES: Tags = Tags {
    name: tag::REQUIRE_NAME,
    flags: tag::REQUIRE_FLAGS,
    version: tag::REQUIRE_VERSION,
};
const PROVIDES: Tags = Tags {
    name: tag::PROVIDE_NAME,
    flags: tag::PROVIDE_FLAGS,
    version: tag::PROVIDE_VERSION,
};
const CONFLICTS: Tags = Tags {
    name: tag::CONFLICT_NAME,
    flags: tag::CONFLICT_FLAGS,
    version: tag::CONFLICT_VERSION,
};
const OBSOLETES: Tags = Tags {
    name: tag::OBSOLETE_NAME,
    flags: tag::OBSOLETE_FLAGS,
    version: tag::OBSOLETE_VERSION,
};
const SUGGESTS: Tags = Tags {
    name: tag::SUGGEST_NAME,
    flags: tag::SUGGEST_FLAGS,
    version: tag::SUGGEST_VERSION,
};
const ENHANCES: Tags = Tags {
    name: tag::ENHANCE_NAME,
    flags: tag::ENHANCE_FLAGS,
    version: tag::ENHANCE_VERSION,
};
const RECOMMENDS: Tags = Tags {
    name: tag::RECOMMEND_NAME,
    flags: tag::RECOMMEND_FLAGS,
    version: tag::RECOMMEND_VERSION,
};
const SUPPLEMENTS: Tags = Tags {
    name: tag::SUPPLEMENT_NAME,
    flags: tag::SUPPLEMENT_FLAGS,
    version: tag::SUPPLEMENT_VERSION,
};

/// One relation with the flags and the version text as the header has them.
struct Raw<'a> {
    name: &'a [u8],
    flags: u64,
    version: &'a [u8],
}

fn raw<'a>(header: &'a Header, path: &Path, tags: Tags) -> Result<impl Iterator<Item = Raw<'a>>> {
    let count = header.texts(tags.name).count();
    // Without flags or versions createrepo_c has no relations of that kind at all.
    let complete = header.has(tags.flags) && header.has(tags.version);
    let same = header.numbers(tags.flags).count() == count && header.texts(tags.version).count() == count;
    if complete && !same {
        return Err(Error::malformed(
            path,
            format!(
                "the lists of relations (tag {}) have different lengths",
                tags.name
            ),
        ));
    }
    let rows = header
        .texts(tags.name)
        .zip(header.numbers(tags.flags))
        .zip(header.texts(tags.version));
    Ok(rows.map(|((name, flags), version)| Raw { name, flags, version }))
}

impl Raw<'_> {
    /// Nothing when the epoch is not a number: such a relation cannot be met and is left out.
    fn parse(&self) -> Option<Dependency> {
        let comparison = comparison(self.flags);
        let text = decode(self.version);
        let (epoch, rest) = match text.split_once(':') {
            Some(("", rest)) => ("0", rest),
            Some((epoch, rest)) if epoch.parse::<i64>().is_ok() => (epoch, rest),
            Some(_) => return None,
            None if text.is_empty() => ("", ""),
            None => ("0", text.as_str()),
        };
        let (version, release) = rest.split_once('-').unwrap_or((rest, ""));
        Some(Dependency {
            name: decode(self.name),
            comparison,
            epoch: epoch.to_owned(),
            version: version.to_owned(),
            release: release.to_owned(),
            pre: false,
        })
    }

    /// Name, comparison and version: what makes two relations the same.
    fn key(&self) -> (&[u8], Option<&'static str>, &[u8]) {
        (self.name, comparison(self.flags), self.version)
    }
}

const fn comparison(flags: u64) -> Option<&'static str> {
    match flags & FLAG_COMPARISON {
        2 => Some("LT"),
        4 => Some("GT"),
        8 => Some("EQ"),
        10 => Some("LE"),
        12 => Some("GE"),
        _ => None,
    }
}

/// All relations of one kind, nothing left out but those that cannot be understood.
pub(super) fn dependencies(header: &Header, path: &Path, tags: Tags) -> Result<Vec<Dependency>> {
    Ok(raw(header, path, tags)?.filter_map(|raw| raw.parse()).collect())
}

/// The relations of a package as metadata wants them.
pub(super) struct Relations {
    pub(super) provides: Vec<Dependency>,
    pub(super) requires: Vec<Dependency>,
    pub(super) conflicts: Vec<Dependency>,
    pub(super) obsoletes: Vec<Dependency>,
    pub(super) suggests: Vec<Dependency>,
    pub(super) enhances: Vec<Dependency>,
    pub(super) recommends: Vec<Dependency>,
    pub(super) supplements: Vec<Dependency>,
}

impl Relations {
    pub(super) fn read(header: &Header, path: &Path, files: &[FileEntry]) -> Result<Self> {
        let (requires, mut recommends) = requires(header, path, files)?;
        recommends.extend(dependencies(header, path, RECOMMENDS)?);
        Ok(Self {
            provides: dependencies(header, path, PROVIDES)?,
            requires,
            conflicts: dependencies(header, path, CONFLICTS)?,
            obsoletes: dependencies(header, path, OBSOLETES)?,
            suggests: dependencies(header, path, SUGGESTS)?,
            enhances: dependencies(header, path, ENHANCES)?,
            recommends,
            supplements: dependencies(header, path, SUPPLEMENTS)?,
        })
    }
}

/// The requirements, and those of them that are marked as may-be-missing, which are recommendations.
fn requires(header: &Header, path: &Path, files: &[FileEntry]) -> Result<(Vec<Dependency>, Vec<Dependency>)> {
    let own_files: BTreeSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
    let provided: Vec<Raw<'_>> = raw(header, path, PROVIDES)?.collect();
    let provided: BTreeSet<_> = provided.iter().map(Raw::key).collect();
    // The last requirement of each name, to leave out the same one again.
    let mut seen = BTreeMap::new();
    let mut c_library = CLibrary::default();
    let mut requires = Vec::new();
    let mut recommends = Vec::new();
    for row in raw(header, path, REQUIRES)? {
        if row.name.starts_with(b"rpmlib(") || provided.contains(&row.key()) {
            continue;
        }
        let Some(mut dependency) = row.parse() else {
            continue;
        };
        if own_files.contains(dependency.name.as_str()) && is_primary_file(&dependency.name) {
            continue;
        }
        dependency.pre = row.flags & FLAG_PREREQUIRED != 0;
        let mark = (dependency.comparison, row.version, dependency.pre);
        if seen.get(row.name) == Some(&mark) {
            continue;
        }
        if row.flags & FLAG_MISSING_OK != 0 {
            dependency.pre = false;
            recommends.push(dependency);
        } else if let Some(other) = c_library.take(dependency) {
            seen.insert(row.name, mark);
            requires.push(other);
        }
    }
    requires.extend(c_library.highest());
    Ok((requires, recommends))
}

/// The newest entries of the change log, the oldest of them first.
pub(super) fn changelogs(header: &Header, path: &Path) -> Result<Vec<Changelog>> {
    let count = header.numbers(tag::CHANGELOG_TIME).count();
    if header.texts(tag::CHANGELOG_NAME).count() != count
        || header.texts(tag::CHANGELOG_TEXT).count() != count
    {
        return Err(Error::malformed(
            path,
            "the lists of the change log have different lengths",
        ));
    }
    let rows = header
        .numbers(tag::CHANGELOG_TIME)
        .zip(header.texts(tag::CHANGELOG_NAME))
        .zip(header.texts(tag::CHANGELOG_TEXT));
    let mut entries: Vec<Changelog> = Vec::new();
    let mut last_time = 0;
    for ((time, author), text) in rows.take(CHANGELOGS) {
        // Entries of one second would be one to old clients: the newer ones are moved on by a second each.
        if time == last_time {
            let mut moving = time;
            for previous in entries.iter_mut().rev().take_while(|previous| {
                let same = previous.date == moving;
                moving = moving.saturating_add(1);
                same
            }) {
                previous.date = previous.date.saturating_add(1);
            }
        }
        last_time = time;
        entries.push(Changelog {
            author: decode(author).trim_end_matches(' ').to_owned(),
            date: time,
            text: decode(text),
        });
    }
    entries.reverse();
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::Raw;

    #[test]
    fn the_first_dash_ends_a_version_and_a_missing_epoch_is_0() {
        for (text, parts) in [
            ("", Some(("", "", ""))),
            ("1.2.3", Some(("0", "1.2.3", ""))),
            ("1.2.3-rc.1", Some(("0", "1.2.3", "rc.1"))),
            // rpmbuild 4.18 writes no second dash, rpm-rs does.
            ("2:1.0-1-2", Some(("2", "1.0", "1-2"))),
            (":1.0", Some(("0", "1.0", ""))),
            ("x:1.0", None),
        ] {
            let raw = Raw {
                name: b"bundled(y)",
                flags: 8,
                version: text.as_bytes(),
            };
            let found = raw.parse();
            let found = found
                .as_ref()
                .map(|one| (&*one.epoch, &*one.version, &*one.release));
            assert_eq!(found, parts, "{text}");
        }
    }
}
