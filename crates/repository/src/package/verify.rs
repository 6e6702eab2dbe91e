//! The digests of a package: those of the header, those of the payload, and the one of the whole file.
//!
//! Format 4 has SHA-1 and SHA-256 of the header, MD5 and size of header and payload, and one digest of the payload whose
//! algorithm it names. Format 6 (rpm's `docs/manual/format_v6.md`) has SHA-256 and SHA3-256 of the header, and SHA-256,
//! SHA-512 and SHA3-256 of the payload with its size. Every one that is there is checked.

use std::{
    io::{self, Read, Write},
    path::Path,
};

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512, digest::DynDigest};
use sha3::Sha3_256;

use crate::{
    Error, Result,
    header::{RpmFile, tag},
};

/// Verifies sizes and digests, reading the payload to its end. Gives the SHA-256 of the whole file, in hex.
pub(super) fn verify(rpm: &mut RpmFile, path: &Path) -> Result<String> {
    verify_size(rpm, path)?;
    let has_md5 = rpm.signature.bytes(tag::SIGNATURE_MD5).is_some();
    let no_digest = |part| Error::NoDigest {
        file: path.to_owned(),
        part,
    };
    if !verify_header(rpm, path)? && !has_md5 {
        return Err(no_digest("header"));
    }
    let mut sinks = Sinks {
        whole: Sha256::new(),
        expected: payload_digests(rpm, path)?,
    };
    if let Some(expected) = rpm.signature.bytes(tag::SIGNATURE_MD5) {
        let mut hasher = Md5::new();
        Digest::update(&mut hasher, rpm.header.raw());
        sinks.expected.push(Expected {
            what: "MD5 of header and payload",
            value: hex::encode(expected),
            hasher: Box::new(hasher),
        });
    }
    if sinks.expected.is_empty() {
        return Err(no_digest("payload"));
    }
    for part in [&rpm.lead[..], rpm.signature.raw(), &rpm.padding, rpm.header.raw()] {
        Digest::update(&mut sinks.whole, part);
    }
    io::copy(
        &mut Read::by_ref(&mut rpm.file).take(rpm.size.saturating_sub(rpm.header_end)),
        &mut sinks,
    )?;
    for Expected { what, value, hasher } in sinks.expected {
        compare(path, what, &value, &hex::encode(hasher.finalize()))?;
    }
    Ok(hex::encode(sinks.whole.finalize()))
}

/// The signature header says how long header and payload are together, or the header how long the payload is.
fn verify_size(rpm: &RpmFile, path: &Path) -> Result<()> {
    let together = rpm
        .signature
        .number(tag::SIGNATURE_LONG_SIZE)
        .or_else(|| rpm.signature.number(tag::SIGNATURE_SIZE))
        .map(|size| rpm.header_start.saturating_add(size));
    let payload = rpm
        .header
        .number(tag::PAYLOAD_SIZE)
        .map(|size| rpm.header_end.saturating_add(size));
    for needed in [together, payload].into_iter().flatten() {
        match rpm.size.cmp(&needed) {
            std::cmp::Ordering::Equal => {}
            std::cmp::Ordering::Less => {
                return Err(Error::Truncated {
                    file: path.to_owned(),
                    what: "the package",
                    needed,
                    found: rpm.size,
                });
            }
            std::cmp::Ordering::Greater => {
                return Err(Error::malformed(
                    path,
                    format!("{} bytes follow after its end", rpm.size.saturating_sub(needed)),
                ));
            }
        }
    }
    Ok(())
}

/// Checks every digest of the header there is; says whether there was one.
fn verify_header(rpm: &RpmFile, path: &Path) -> Result<bool> {
    let raw = rpm.header.raw();
    let mut found = false;
    for (tag, what, digest) in [
        (
            tag::SIGNATURE_SHA256,
            "SHA-256 of the header",
            hex_of::<Sha256> as fn(&[u8]) -> String,
        ),
        (
            tag::SIGNATURE_SHA3_256,
            "SHA3-256 of the header",
            hex_of::<Sha3_256>,
        ),
        (tag::SIGNATURE_SHA1, "SHA-1 of the header", hex_of::<Sha1>),
    ] {
        if let Some(expected) = rpm.signature.text(tag) {
            found = true;
            compare(path, what, &String::from_utf8_lossy(expected), &digest(raw))?;
        }
    }
    Ok(found)
}

fn hex_of<D: Digest>(bytes: &[u8]) -> String {
    hex::encode(D::digest(bytes))
}

/// One digest that the package claims, and what makes it of the bytes.
struct Expected {
    what: &'static str,
    /// In hex.
    value: String,
    hasher: Box<dyn DynDigest>,
}

/// The payload's digests as the header has them; none in packages of old rpm.
fn payload_digests(rpm: &RpmFile, path: &Path) -> Result<Vec<Expected>> {
    let mut found = Vec::new();
    let mut add = |tag, what, hasher: fn() -> Box<dyn DynDigest>| {
        if let Some(value) = rpm.header.text(tag) {
            found.push(Expected {
                what,
                value: String::from_utf8_lossy(value).into_owned(),
                hasher: hasher(),
            });
        }
    };
    add(tag::PAYLOAD_SHA512, "SHA-512 of the payload", || {
        Box::new(Sha512::new())
    });
    add(tag::PAYLOAD_SHA3_256, "SHA3-256 of the payload", || {
        Box::new(Sha3_256::new())
    });
    let Some(value) = rpm.header.text(tag::PAYLOAD_DIGEST) else {
        return Ok(found);
    };
    // Format 6 names no algorithm: its digest is SHA-256. The numbers of format 4 are OpenPGP's.
    let hasher: Box<dyn DynDigest> = match rpm.header.number(tag::PAYLOAD_DIGEST_ALGORITHM) {
        None | Some(8) => Box::new(Sha256::new()),
        Some(9) => Box::new(Sha384::new()),
        Some(10) => Box::new(Sha512::new()),
        Some(other) => {
            return Err(Error::malformed(
                path,
                format!("the payload digest has the unknown algorithm {other}"),
            ));
        }
    };
    found.push(Expected {
        what: "payload digest",
        value: String::from_utf8_lossy(value).into_owned(),
        hasher,
    });
    Ok(found)
}

fn compare(path: &Path, digest: &'static str, expected: &str, found: &str) -> Result<()> {
    if expected.eq_ignore_ascii_case(found) {
        return Ok(());
    }
    Err(Error::DigestMismatch {
        file: path.to_owned(),
        digest,
        expected: crate::error::shortened(expected),
        found: found.to_owned(),
    })
}

/// Where the payload's bytes go, in one pass.
struct Sinks {
    whole: Sha256,
    expected: Vec<Expected>,
}

impl Write for Sinks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Digest::update(&mut self.whole, bytes);
        for one in &mut self.expected {
            one.hasher.update(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
