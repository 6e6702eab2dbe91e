//! Forged packages for tests, here and in other crates: changed as a hostile builder or user would change them, with
//! digests that are right. Sound packages come from the real rpmbuild.

#![expect(
    clippy::indexing_slicing,
    reason = "for tests only: a package of theirs that is no package is their fault"
)]

use std::ops::Range;

use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use sha3::Sha3_256;

/// The number at a place of a package.
#[must_use]
pub fn number(bytes: &[u8], at: usize) -> usize {
    bytes[at..at + 4]
        .iter()
        .fold(0, |number, byte| number << 8 | usize::from(*byte))
}

/// Where the header proper lies in a package.
#[must_use]
pub fn header_range(bytes: &[u8]) -> Range<usize> {
    let start = (96 + 16 + number(bytes, 104) * 16 + number(bytes, 108)).next_multiple_of(8);
    start..start + 16 + number(bytes, start + 8) * 16 + number(bytes, start + 12)
}

/// Makes the digests over the header right again; the one over header and payload becomes an entry that means nothing.
pub fn mend(bytes: &mut [u8], header: Range<usize>) {
    let store = 112 + number(bytes, 104) * 16;
    let sha256 = hex::encode(Sha256::digest(&bytes[header.clone()]));
    let sha3 = hex::encode(Sha3_256::digest(&bytes[header.clone()]));
    let sha1 = hex::encode(Sha1::digest(&bytes[header]));
    for entry in (112..store).step_by(16) {
        let at = store + number(bytes, entry + 8);
        match number(bytes, entry) {
            273 => bytes[at..at + 64].copy_from_slice(sha256.as_bytes()),
            279 => bytes[at..at + 64].copy_from_slice(sha3.as_bytes()),
            269 => bytes[at..at + 40].copy_from_slice(sha1.as_bytes()),
            1004 => bytes[entry..entry + 4].copy_from_slice(&9_999_u32.to_be_bytes()),
            _ => {}
        }
    }
}

/// Replaces one text of the header, where it stands first, by another of the same length.
///
/// # Panics
/// When the header does not hold it, or the other text is longer or shorter.
#[must_use]
pub fn forge(whole: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len(), "texts of one length");
    let mut bytes = whole.to_vec();
    let header = header_range(&bytes);
    let found = bytes[header.clone()]
        .windows(from.len())
        .position(|window| window == from);
    assert!(found.is_some(), "the header holds the text");
    let at = header.start + found.unwrap_or_default();
    bytes[at..at + to.len()].copy_from_slice(to);
    mend(&mut bytes, header);
    bytes
}
