//! Repository metadata: `primary.xml`, `filelists.xml`, `other.xml` and `repomd.xml`, as createrepo_c writes
//! them.
//!
//! A package's share of the three files is text that depends on the package alone. It is made once, when the
//! package is added ([`PackageMetadata::new`]), stored by the caller, and joined with the others at each
//! publication: a repository of ten thousand packages is written without opening one of them.

mod repodata;
mod xml;

use serde::{Deserialize, Serialize};

use crate::package::{Dependency, FileEntry, FileKind, Package, is_primary_file};

pub(crate) use repodata::{Repodata, write_repodata};

/// One package of a repository: what it is, where it lies, and its share of the metadata.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageMetadata {
    pub name: String,
    /// Epoch; 0 if the package has none.
    pub epoch: u32,
    pub version: String,
    pub release: String,
    /// Architecture; `src` for a source package.
    pub arch: String,
    /// SHA-256 of the package's file, in hex: its id.
    pub pkgid: String,
    /// Where the file lies, relative to the repository: `00000123-hello/hello-1-1.x86_64.rpm`.
    pub href: String,
    /// Size of the file in bytes.
    pub size: u64,
    /// Its element of `primary.xml`.
    pub primary: String,
    /// Its element of `filelists.xml`.
    pub filelists: String,
    /// Its element of `other.xml`.
    pub other: String,
}

impl PackageMetadata {
    /// Makes a package's share of the metadata; `href` is where its file lies, relative to the repository.
    #[must_use]
    pub fn new(package: &Package, href: &str) -> Self {
        Self {
            name: package.name.clone(),
            epoch: package.epoch,
            version: package.version.clone(),
            release: package.release.clone(),
            arch: architecture(package).to_owned(),
            pkgid: package.sha256.clone(),
            href: href.to_owned(),
            size: package.size,
            primary: primary(package, href),
            filelists: filelists(package),
            other: other(package),
        }
    }
}

/// Every source package has `src`, those that lack a source too: only their files have `nosrc` in the name.
fn architecture(package: &Package) -> &str {
    if package.is_source() { "src" } else { &package.arch }
}

fn location(href: &str) -> String {
    let mut out = String::new();
    xml::element(&mut out, 1, "location", &[("href", href)]);
    out
}

fn version(out: &mut String, package: &Package) {
    let attributes = [
        ("epoch", package.epoch.to_string()),
        ("ver", package.version.clone()),
        ("rel", package.release.clone()),
    ];
    xml::element(
        out,
        1,
        "version",
        &attributes.each_ref().map(|(name, value)| (*name, value.as_str())),
    );
}

fn primary(package: &Package, href: &str) -> String {
    let mut out = String::from("<package type=\"rpm\">\n");
    let text = |out: &mut String, name, value| xml::text(out, 1, name, &[], value);
    text(&mut out, "name", &package.name);
    text(&mut out, "arch", architecture(package));
    version(&mut out, package);
    xml::text(
        &mut out,
        1,
        "checksum",
        &[("type", "sha256"), ("pkgid", "YES")],
        &package.sha256,
    );
    text(&mut out, "summary", &package.summary);
    text(&mut out, "description", &package.description);
    text(&mut out, "packager", &package.packager);
    text(&mut out, "url", &package.url);
    let [file, build] = [package.file_time.to_string(), package.build_time.to_string()];
    xml::element(&mut out, 1, "time", &[("file", &file), ("build", &build)]);
    let [size, installed, archive] =
        [package.size, package.installed_size, package.archive_size].map(|n| n.to_string());
    xml::element(
        &mut out,
        1,
        "size",
        &[
            ("package", &size),
            ("installed", &installed),
            ("archive", &archive),
        ],
    );
    out.push_str(&location(href));
    format_element(&mut out, package);
    out.push_str("</package>\n");
    out
}

fn format_element(out: &mut String, package: &Package) {
    out.push_str("  <format>\n");
    let text = |out: &mut String, name, value| xml::text(out, 2, name, &[], value);
    text(out, "rpm:license", &package.license);
    text(out, "rpm:vendor", &package.vendor);
    text(out, "rpm:group", &package.group);
    text(out, "rpm:buildhost", &package.build_host);
    text(out, "rpm:sourcerpm", &package.source_rpm);
    let [start, end] = [package.header_start, package.header_end].map(|n| n.to_string());
    xml::element(out, 2, "rpm:header-range", &[("start", &start), ("end", &end)]);
    let relations = [
        ("rpm:provides", &package.provides),
        ("rpm:requires", &package.requires),
        ("rpm:conflicts", &package.conflicts),
        ("rpm:obsoletes", &package.obsoletes),
        ("rpm:suggests", &package.suggests),
        ("rpm:enhances", &package.enhances),
        ("rpm:recommends", &package.recommends),
        ("rpm:supplements", &package.supplements),
    ];
    for (name, list) in relations {
        relation(out, name, list);
    }
    files(
        out,
        2,
        package.files.iter().filter(|file| is_primary_file(&file.path)),
    );
    out.push_str("  </format>\n");
}

fn relation(out: &mut String, name: &str, list: &[Dependency]) {
    if list.is_empty() {
        return;
    }
    out.push_str("    <");
    out.push_str(name);
    out.push_str(">\n");
    for dependency in list.iter().filter(|dependency| !dependency.name.is_empty()) {
        let mut attributes = vec![("name", dependency.name.as_str())];
        if let Some(comparison) = dependency.comparison {
            attributes.push(("flags", comparison));
            let parts = [
                ("epoch", &dependency.epoch),
                ("ver", &dependency.version),
                ("rel", &dependency.release),
            ];
            attributes.extend(
                parts
                    .iter()
                    .filter(|part| !part.1.is_empty())
                    .map(|part| (part.0, part.1.as_str())),
            );
        }
        if dependency.pre {
            attributes.push(("pre", "1"));
        }
        xml::element(out, 3, "rpm:entry", &attributes);
    }
    out.push_str("    </");
    out.push_str(name);
    out.push_str(">\n");
}

fn files<'a>(out: &mut String, depth: usize, files: impl Iterator<Item = &'a FileEntry>) {
    for file in files {
        let attributes: &[(&str, &str)] = match file.kind {
            FileKind::File => &[],
            FileKind::Directory => &[("type", "dir")],
            FileKind::Ghost => &[("type", "ghost")],
        };
        xml::text(out, depth, "file", attributes, &file.path);
    }
}

fn open_package(package: &Package) -> String {
    let mut out = String::new();
    let attributes = [
        ("pkgid", package.sha256.as_str()),
        ("name", &package.name),
        ("arch", architecture(package)),
    ];
    xml::open(&mut out, 0, "package", &attributes);
    out.push('\n');
    version(&mut out, package);
    out
}

fn filelists(package: &Package) -> String {
    let mut out = open_package(package);
    files(&mut out, 1, package.files.iter());
    out.push_str("</package>\n");
    out
}

fn other(package: &Package) -> String {
    let mut out = open_package(package);
    for entry in &package.changelogs {
        let date = entry.date.to_string();
        xml::text(
            &mut out,
            1,
            "changelog",
            &[("author", &entry.author), ("date", &date)],
            &entry.text,
        );
    }
    out.push_str("</package>\n");
    out
}
