//! A `repodata` directory: three compressed files named by their digest, and `repomd.xml` that names them.

use std::{
    io::{self, Write},
    path::Path,
};

use flate2::{Compression, write::GzEncoder};
use fs_err::File;
use sha2::{Digest, Sha256};

use super::{PackageMetadata, xml};
use crate::{Result, disk};

/// The metadata files of a snapshot, as they were written.
pub(crate) struct Repodata {
    /// Names of the files that `repomd.xml` names, in the directory.
    pub(crate) files: Vec<String>,
    /// The text of `repomd.xml`, which is written too.
    pub(crate) repomd: String,
}

/// One of the three files.
struct Kind {
    name: &'static str,
    root: &'static str,
    namespaces: &'static str,
    share: fn(&PackageMetadata) -> &str,
}

const KINDS: [Kind; 3] = [
    Kind {
        name: "primary",
        root: "metadata",
        namespaces: "xmlns=\"http://linux.duke.edu/metadata/common\" xmlns:rpm=\"http://linux.duke.edu/metadata/rpm\"",
        share: |package| &package.primary,
    },
    Kind {
        name: "filelists",
        root: "filelists",
        namespaces: "xmlns=\"http://linux.duke.edu/metadata/filelists\"",
        share: |package| &package.filelists,
    },
    Kind {
        name: "other",
        root: "otherdata",
        namespaces: "xmlns=\"http://linux.duke.edu/metadata/other\"",
        share: |package| &package.other,
    },
];

/// Writes the metadata of a repository into an empty directory and makes the files durable.
///
/// The files do not depend on the time: the same packages give the same names, and clients keep what they
/// have. `seconds` is the time of the publication; `revision` is what clients compare.
pub(crate) fn write_repodata(
    directory: &Path,
    packages: &[&PackageMetadata],
    revision: u64,
    seconds: i64,
) -> Result<Repodata> {
    let mut repomd = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    repomd.push_str("<repomd xmlns=\"http://linux.duke.edu/metadata/repo\" xmlns:rpm=\"http://linux.duke.edu/metadata/rpm\">\n");
    xml::text(&mut repomd, 1, "revision", &[], &revision.to_string());
    let mut files = Vec::new();
    for kind in &KINDS {
        let written = write_kind(directory, kind, packages)?;
        let name = format!("{}-{}.xml.gz", written.digest, kind.name);
        xml::open(&mut repomd, 1, "data", &[("type", kind.name)]);
        repomd.push('\n');
        xml::text(&mut repomd, 2, "checksum", &[("type", "sha256")], &written.digest);
        xml::text(
            &mut repomd,
            2,
            "open-checksum",
            &[("type", "sha256")],
            &written.open_digest,
        );
        xml::element(
            &mut repomd,
            2,
            "location",
            &[("href", &format!("repodata/{name}"))],
        );
        xml::text(&mut repomd, 2, "timestamp", &[], &seconds.to_string());
        xml::text(&mut repomd, 2, "size", &[], &written.size.to_string());
        xml::text(&mut repomd, 2, "open-size", &[], &written.open_size.to_string());
        repomd.push_str("  </data>\n");
        files.push(name);
    }
    repomd.push_str("</repomd>\n");
    disk::write_synced(&directory.join("repomd.xml"), repomd.as_bytes())?;
    Ok(Repodata { files, repomd })
}

struct Written {
    digest: String,
    open_digest: String,
    size: u64,
    open_size: u64,
}

fn write_kind(directory: &Path, kind: &Kind, packages: &[&PackageMetadata]) -> Result<Written> {
    let temporary = directory.join(format!("{}.xml.gz", kind.name));
    let file = io::BufWriter::new(File::create(&temporary)?);
    // The header of a gzip stream may hold a time; ours has none, so that equal content has an equal name.
    let compressed = GzEncoder::new(Digesting::new(file), Compression::default());
    let mut open = Digesting::new(compressed);
    writeln!(open, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
    writeln!(
        open,
        "<{} {} packages=\"{}\">",
        kind.root,
        kind.namespaces,
        packages.len()
    )?;
    for package in packages {
        open.write_all((kind.share)(package).as_bytes())?;
    }
    writeln!(open, "</{}>", kind.root)?;
    let (encoder, open_digest, open_size) = open.finish();
    let (writer, digest, size) = encoder.finish()?.finish();
    let file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    fs_err::rename(
        &temporary,
        directory.join(format!("{digest}-{}.xml.gz", kind.name)),
    )?;
    Ok(Written {
        digest,
        open_digest,
        size,
        open_size,
    })
}

/// Counts and hashes what passes.
struct Digesting<W> {
    inner: W,
    digest: Sha256,
    size: u64,
}

impl<W> Digesting<W> {
    fn new(inner: W) -> Self {
        Self {
            inner,
            digest: Sha256::new(),
            size: 0,
        }
    }

    fn finish(self) -> (W, String, u64) {
        (self.inner, hex::encode(self.digest.finalize()), self.size)
    }
}

impl<W: Write> Write for Digesting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.inner.write(bytes)?;
        self.digest.update(bytes.get(..taken).unwrap_or(bytes));
        self.size = self.size.saturating_add(taken as u64);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
