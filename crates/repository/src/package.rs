//! Reading RPM packages: what the scheduler needs of a source package, what the repository needs of any.
//!
//! Reading always verifies: the header's and the payload's digests must be there and be right, as for
//! `rpmkeys --checksig --nosignature`, so that a package that was cut or changed on its way is refused here and
//! not by the client. The payload is read once, as a stream, and never unpacked.

mod architecture;
mod content;
mod verify;

use std::path::Path;

use model::name::Grammar;

use crate::{
    Error, Result,
    error::shortened,
    header::{RpmFile, tag},
};

pub use architecture::{Restrictions, belongs};
pub use content::{Changelog, Dependency, FileEntry, FileKind};

/// The largest sum of the lengths of all file names of a package: what `filelists.xml` will hold.
const MAX_PATHS: u64 = 256 << 20;

/// What a build is planned by: the header of a source package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourcePackage {
    /// Name, within the grammar of package names.
    pub name: String,
    /// Epoch, if the package has one.
    pub epoch: Option<u32>,
    pub version: String,
    pub release: String,
    /// `src`, or `nosrc` when some of its sources or patches are not in it.
    pub arch: String,
    /// One line about the package.
    pub summary: String,
    /// The address of its home page.
    pub url: String,
    /// Its licence.
    pub license: String,
    /// Where it may be built.
    pub restrictions: Restrictions,
    /// `BuildRequires:`, those of rpm itself (`rpmlib(...)`) left out.
    pub build_requires: Vec<Dependency>,
    /// The spec file's and the sources' names.
    pub files: Vec<String>,
    /// Size of the file in bytes.
    pub size: u64,
    /// SHA-256 of the file, in hex.
    pub sha256: String,
    /// The format of the file: 4, or 6 as rpm 6 writes it.
    pub format: u64,
}

impl SourcePackage {
    /// `EPOCH:VERSION-RELEASE`, the epoch only if there is one: what Copr calls a package's version.
    #[must_use]
    pub fn evr(&self) -> String {
        match self.epoch {
            Some(epoch) => format!("{epoch}:{}-{}", self.version, self.release),
            None => format!("{}-{}", self.version, self.release),
        }
    }

    /// `NAME-VERSION-RELEASE.src.rpm` or `.nosrc.rpm`, the name a package's file has by convention.
    #[must_use]
    pub fn file_name(&self) -> String {
        file_name(&self.name, &self.version, &self.release, &self.arch)
    }
}

/// A package, source or binary, as the repository's metadata describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Name, within the grammar of package names.
    pub name: String,
    /// Epoch; 0 if the package has none, as metadata has it.
    pub epoch: u32,
    pub version: String,
    pub release: String,
    /// Architecture; for a source package `src`, or `nosrc` when some of its sources or patches are not in it.
    pub arch: String,
    /// What it is, in one line.
    pub summary: String,
    /// What it is, in many lines.
    pub description: String,
    /// The `Packager:` of its spec file.
    pub packager: String,
    /// The address of its home page.
    pub url: String,
    /// Its licence.
    pub license: String,
    pub vendor: String,
    pub group: String,
    /// The host that built it.
    pub build_host: String,
    /// File name of the source package; empty for a source package.
    pub source_rpm: String,
    /// When it was built, seconds since 1970.
    pub build_time: u64,
    /// When the file was last changed, seconds since 1970.
    pub file_time: i64,
    /// Size of the file in bytes.
    pub size: u64,
    /// Size of its files when installed.
    pub installed_size: u64,
    /// Size of its payload when unpacked.
    pub archive_size: u64,
    /// First byte of the header proper.
    pub header_start: u64,
    /// One past the last byte of the header proper.
    pub header_end: u64,
    /// SHA-256 of the whole file, in hex: the package's id in metadata.
    pub sha256: String,
    /// The format of the file: 4, or 6 as rpm 6 writes it.
    pub format: u64,
    pub provides: Vec<Dependency>,
    /// `Requires:`, as metadata wants them: what the package provides itself is left out.
    pub requires: Vec<Dependency>,
    pub conflicts: Vec<Dependency>,
    pub obsoletes: Vec<Dependency>,
    pub suggests: Vec<Dependency>,
    pub enhances: Vec<Dependency>,
    pub recommends: Vec<Dependency>,
    pub supplements: Vec<Dependency>,
    /// Its files, in the order of the header.
    pub files: Vec<FileEntry>,
    /// The newest ten entries of its change log, the oldest of them first.
    pub changelogs: Vec<Changelog>,
}

impl Package {
    /// `NAME-VERSION-RELEASE.ARCH.rpm`, the name a package's file has by convention.
    #[must_use]
    pub fn file_name(&self) -> String {
        file_name(&self.name, &self.version, &self.release, &self.arch)
    }

    /// `NAME-EPOCH:VERSION-RELEASE.ARCH`, the epoch only if it is not 0.
    #[must_use]
    pub fn nevra(&self) -> String {
        let epoch = if self.epoch == 0 {
            String::new()
        } else {
            format!("{}:", self.epoch)
        };
        format!(
            "{}-{epoch}{}-{}.{}",
            self.name, self.version, self.release, self.arch
        )
    }

    /// Whether it is a source package.
    #[must_use]
    pub fn is_source(&self) -> bool {
        matches!(self.arch.as_str(), "src" | "nosrc")
    }
}

/// Reads and verifies a source package.
///
/// # Errors
/// Says what is wrong with the file: see the first group of [`Error`].
pub fn read_source_rpm(path: &Path) -> Result<SourcePackage> {
    let mut rpm = RpmFile::open(path)?;
    if !rpm.is_source() {
        return Err(Error::BinaryWhereSourceExpected {
            file: path.to_owned(),
        });
    }
    let sha256 = verify::verify(&mut rpm, path)?;
    let header = &rpm.header;
    let identity = Identity::read(&rpm, path)?;
    let build_requires = content::dependencies(header, path, content::REQUIRES)?
        .into_iter()
        .filter(|dependency| !dependency.name.starts_with("rpmlib("))
        .collect();
    Ok(SourcePackage {
        name: identity.name,
        epoch: identity.epoch,
        version: identity.version,
        release: identity.release,
        arch: identity.arch,
        summary: content::text(header, tag::SUMMARY),
        url: content::text(header, tag::URL),
        license: content::text(header, tag::LICENSE),
        restrictions: Restrictions::read(header),
        build_requires,
        files: content::files(header, path)?
            .into_iter()
            .map(|file| file.path)
            .collect(),
        size: rpm.size,
        sha256,
        format: rpm.format(),
    })
}

/// Reads and verifies a package of either kind: a repository of Copr's holds both.
///
/// # Errors
/// Says what is wrong with the file: see the first group of [`Error`].
pub fn read_package(path: &Path) -> Result<Package> {
    let mut rpm = RpmFile::open(path)?;
    let sha256 = verify::verify(&mut rpm, path)?;
    let identity = Identity::read(&rpm, path)?;
    let header = &rpm.header;
    let files = content::files(header, path)?;
    let relations = content::Relations::read(header, path, &files)?;
    let archive_size = header
        .number(tag::ARCHIVE_SIZE)
        .or_else(|| rpm.signature.number(tag::SIGNATURE_LONG_ARCHIVE_SIZE))
        .or_else(|| rpm.signature.number(tag::SIGNATURE_ARCHIVE_SIZE));
    Ok(Package {
        name: identity.name,
        epoch: identity.epoch.unwrap_or(0),
        version: identity.version,
        release: identity.release,
        arch: identity.arch,
        summary: content::text(header, tag::SUMMARY),
        description: content::text(header, tag::DESCRIPTION),
        packager: content::text(header, tag::PACKAGER),
        url: content::text(header, tag::URL),
        license: content::text(header, tag::LICENSE),
        vendor: content::text(header, tag::VENDOR),
        group: content::text(header, tag::GROUP),
        build_host: content::text(header, tag::BUILD_HOST),
        source_rpm: content::text(header, tag::SOURCE_RPM),
        build_time: header.number(tag::BUILD_TIME).unwrap_or(0),
        file_time: rpm.modified,
        size: rpm.size,
        installed_size: header
            .number(tag::LONG_SIZE)
            .or_else(|| header.number(tag::SIZE))
            .unwrap_or(0),
        archive_size: archive_size.unwrap_or(0),
        header_start: rpm.header_start,
        header_end: rpm.header_end,
        sha256,
        format: rpm.format(),
        provides: relations.provides,
        requires: relations.requires,
        conflicts: relations.conflicts,
        obsoletes: relations.obsoletes,
        suggests: relations.suggests,
        enhances: relations.enhances,
        recommends: relations.recommends,
        supplements: relations.supplements,
        files,
        changelogs: content::changelogs(header, path)?,
    })
}

/// The five parts of a package's name, checked.
struct Identity {
    name: String,
    epoch: Option<u32>,
    version: String,
    release: String,
    arch: String,
}

impl Identity {
    fn read(rpm: &RpmFile, path: &Path) -> Result<Self> {
        let part = |tag, field, grammar| {
            let bytes = rpm.header.text(tag).unwrap_or_default();
            check(path, field, grammar, &String::from_utf8_lossy(bytes))
        };
        let arch = part(tag::ARCHITECTURE, "architecture", Grammar::Architecture)?;
        let epoch = rpm.header.number(tag::EPOCH).map(u32::try_from).transpose();
        let identity = Self {
            name: part(tag::NAME, "name", Grammar::Package)?,
            epoch: epoch.map_err(|_| Error::malformed(path, "the epoch is larger than 32 bits"))?,
            version: part(tag::VERSION, "version", Grammar::Version)?,
            release: part(tag::RELEASE, "release", Grammar::Version)?,
            arch: if rpm.is_source() {
                source_arch(&rpm.header)
            } else {
                arch
            },
        };
        // Each is short enough, and all together may still be more than a file system takes.
        let whole = file_name(
            &identity.name,
            &identity.version,
            &identity.release,
            &identity.arch,
        );
        check(path, "file name", Grammar::File, &whole)?;
        Ok(identity)
    }
}

fn check(path: &Path, field: &'static str, grammar: Grammar, value: &str) -> Result<String> {
    match grammar.check(value) {
        Ok(()) => Ok(value.to_owned()),
        Err(error) => Err(Error::BadName {
            file: path.to_owned(),
            field,
            value: shortened(value),
            why: error.why(),
        }),
    }
}

/// What the name of a source package's file ends in: `nosrc` when some of its sources or patches are not in it. Metadata
/// have `src` for both.
fn source_arch(header: &crate::header::Header) -> String {
    let is_whole = !header.has(tag::NO_SOURCE) && !header.has(tag::NO_PATCH);
    if is_whole { "src" } else { "nosrc" }.to_owned()
}

/// The name that a package's file has by convention.
fn file_name(name: &str, version: &str, release: &str, arch: &str) -> String {
    format!("{name}-{version}-{release}.{arch}.rpm")
}

/// Whether `primary.xml` lists a file: clients that have only this metadata resolve requirements on such paths.
/// The rule is older than any client in use and is the same in all of them.
pub(crate) fn is_primary_file(path: &str) -> bool {
    path.starts_with("/etc/") || path == "/usr/lib/sendmail" || path.contains("bin/")
}

#[cfg(test)]
mod tests;
