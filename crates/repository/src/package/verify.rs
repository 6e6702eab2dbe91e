//! The digests of a package: those of the header, those of the payload, and the one of the whole file.

use std::{
    io::{self, Read, Write},
    path::Path,
};

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};

use crate::{
    Error, Result,
    header::{RpmFile, tag},
};

/// Verifies sizes and digests, reading the payload to its end. Gives the SHA-256 of the whole file, in hex.
pub(super) fn verify(rpm: &mut RpmFile, path: &Path) -> Result<String> {
    verify_size(rpm, path)?;
    let has_md5 = rpm.signature.bytes(tag::SIGNATURE_MD5).is_some();
    if !verify_header(rpm, path)? && !has_md5 {
        return Err(Error::NoDigest {
            file: path.to_owned(),
            part: "header",
        });
    }
    let expected = payload_digest(rpm, path)?;
    if expected.is_none() && !has_md5 {
        return Err(Error::NoDigest {
            file: path.to_owned(),
            part: "payload",
        });
    }

    let mut sinks = Sinks {
        whole: Sha256::new(),
        md5: has_md5.then(Md5::new),
        payload: expected.as_ref().map(|(hasher, _)| hasher.clone()),
    };
    let raw_header = rpm.header.raw();
    sinks.whole.update(&rpm.lead);
    sinks.whole.update(rpm.signature.raw());
    sinks.whole.update(&rpm.padding);
    sinks.whole.update(raw_header);
    if let Some(md5) = &mut sinks.md5 {
        md5.update(raw_header);
    }
    io::copy(
        &mut Read::by_ref(&mut rpm.file).take(rpm.size.saturating_sub(rpm.header_end)),
        &mut sinks,
    )?;

    if let (Some(hasher), Some((_, expected))) = (sinks.payload, expected) {
        compare(path, "payload digest", &expected, &hasher.finish())?;
    }
    if let (Some(md5), Some(expected)) = (sinks.md5, rpm.signature.bytes(tag::SIGNATURE_MD5)) {
        compare(
            path,
            "MD5 of header and payload",
            &hex::encode(expected),
            &hex::encode(md5.finalize()),
        )?;
    }
    Ok(hex::encode(sinks.whole.finalize()))
}

/// The signature header says how long header and payload are together.
fn verify_size(rpm: &RpmFile, path: &Path) -> Result<()> {
    let claimed = rpm
        .signature
        .number(tag::SIGNATURE_LONG_SIZE)
        .or_else(|| rpm.signature.number(tag::SIGNATURE_SIZE));
    let Some(claimed) = claimed else { return Ok(()) };
    let needed = rpm.header_start.saturating_add(claimed);
    match rpm.size.cmp(&needed) {
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Less => Err(Error::Truncated {
            file: path.to_owned(),
            what: "the package",
            needed,
            found: rpm.size,
        }),
        std::cmp::Ordering::Greater => Err(Error::malformed(
            path,
            format!("{} bytes follow after its end", rpm.size.saturating_sub(needed)),
        )),
    }
}

/// Checks every digest of the header there is; says whether there was one.
fn verify_header(rpm: &RpmFile, path: &Path) -> Result<bool> {
    let raw = rpm.header.raw();
    let mut found = false;
    if let Some(expected) = rpm.signature.text(tag::SIGNATURE_SHA256) {
        found = true;
        let expected = String::from_utf8_lossy(expected);
        compare(
            path,
            "SHA-256 of the header",
            &expected,
            &hex::encode(Sha256::digest(raw)),
        )?;
    }
    if let Some(expected) = rpm.signature.text(tag::SIGNATURE_SHA1) {
        found = true;
        let expected = String::from_utf8_lossy(expected);
        compare(
            path,
            "SHA-1 of the header",
            &expected,
            &hex::encode(Sha1::digest(raw)),
        )?;
    }
    Ok(found)
}

/// The payload's digest as the header has it, with the hasher to make it; nothing in packages of old rpm.
fn payload_digest(rpm: &RpmFile, path: &Path) -> Result<Option<(PayloadHasher, String)>> {
    let Some(expected) = rpm.header.text(tag::PAYLOAD_DIGEST) else {
        return Ok(None);
    };
    // The numbers are OpenPGP's.
    let hasher = match rpm.header.number(tag::PAYLOAD_DIGEST_ALGORITHM) {
        Some(8) => PayloadHasher::Sha256(Sha256::new()),
        Some(9) => PayloadHasher::Sha384(Sha384::new()),
        Some(10) => PayloadHasher::Sha512(Sha512::new()),
        other => {
            return Err(Error::malformed(
                path,
                format!("the payload digest has the unknown algorithm {other:?}"),
            ));
        }
    };
    Ok(Some((hasher, String::from_utf8_lossy(expected).into_owned())))
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

#[derive(Clone)]
enum PayloadHasher {
    Sha256(Sha256),
    Sha384(Sha384),
    Sha512(Sha512),
}

impl PayloadHasher {
    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Sha384(hasher) => hasher.update(bytes),
            Self::Sha512(hasher) => hasher.update(bytes),
        }
    }

    fn finish(self) -> String {
        match self {
            Self::Sha256(hasher) => hex::encode(hasher.finalize()),
            Self::Sha384(hasher) => hex::encode(hasher.finalize()),
            Self::Sha512(hasher) => hex::encode(hasher.finalize()),
        }
    }
}

/// Where the payload's bytes go, in one pass.
struct Sinks {
    whole: Sha256,
    md5: Option<Md5>,
    payload: Option<PayloadHasher>,
}

impl Write for Sinks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.whole.update(bytes);
        if let Some(md5) = &mut self.md5 {
            md5.update(bytes);
        }
        if let Some(payload) = &mut self.payload {
            payload.update(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
