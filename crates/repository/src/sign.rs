//! Signing packages: a new signature header in front of an unchanged package.
//!
//! The signature is the one that `rpmsign` makes: over the header, which holds the payload's digest. A package of format 4
//! has it in the tag for its algorithm; one of format 6 in the tag `OPENPGP`, in base64, and in the old tag as well, where
//! rpm 4 finds it and rpm 6 does not look (as after `rpmsign --rpmv4`). Older signatures are dropped, everything else of the
//! signature header stays, and header and payload are copied byte for byte. Space that rpm reserved for signatures is used
//! up, so that the file usually keeps its size. The file is replaced in one step: a reader has the unsigned package or the
//! signed one.

use std::{
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use fs_err::File;
use model::Timestamp;

use crate::{
    Error, Result, SigningKey, disk,
    header::{Header, RpmFile, tag},
};

/// Signatures of any kind, which the new one replaces.
const SIGNATURES: [u32; 5] = [
    tag::SIGNATURE_DSA,
    tag::SIGNATURE_RSA,
    tag::SIGNATURE_OPENPGP,
    tag::SIGNATURE_PGP,
    tag::SIGNATURE_GPG,
];

/// The space for signatures of format 4 and of format 6.
const RESERVED: [u32; 2] = [tag::SIGNATURE_RESERVED, tag::SIGNATURE_RESERVED_6];
/// Type number of binary data.
const BINARY: u32 = 7;
/// Type number of an array of texts.
const TEXTS: u32 = 8;

/// Signs a package in its place.
///
/// The package must have been read by [`crate::read_package`] before: this function trusts the digests in it.
///
/// # Errors
/// The file is no package, the key cannot sign, or the disk fails; the file is then as it was.
pub fn sign_package(path: &Path, key: &SigningKey, now: Timestamp) -> Result<()> {
    let mut rpm = RpmFile::open(path)?;
    let signature = key.sign_bytes(rpm.header.raw(), now)?;
    let by_algorithm = if key.is_dsa()? {
        tag::SIGNATURE_DSA
    } else {
        tag::SIGNATURE_RSA
    };
    let mut signatures = Vec::new();
    if rpm.format() >= 6 {
        signatures.push(Item::text(tag::SIGNATURE_OPENPGP, &BASE64.encode(&signature)));
    }
    signatures.extend(Item::binary(by_algorithm, signature));
    let header = signature_header(&rpm.signature, signatures)
        .ok_or_else(|| Error::malformed(path, "its signature header has no room for a signature"))?;

    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::other(format!("`{}` has no directory", path.display())).into());
    };
    let temporary = directory.join(format!(".{}.signing", name.to_string_lossy()));
    let written = write_signed(&mut rpm, &header, &temporary);
    if let Err(error) = written {
        // The first failure is the one to tell; what is left over is harmless and is replaced by the next try.
        disk::remove_any(&temporary).ok();
        return Err(error);
    }
    fs_err::rename(&temporary, path)?;
    disk::sync_directory(directory)
}

fn write_signed(rpm: &mut RpmFile, header: &[u8], temporary: &Path) -> Result<()> {
    let mut out = File::create(temporary)?;
    out.write_all(&rpm.lead)?;
    out.write_all(header)?;
    out.write_all(rpm.header.raw())?;
    rpm.file.seek(SeekFrom::Start(rpm.header_end))?;
    let payload = rpm.size.saturating_sub(rpm.header_end);
    let copied = io::copy(&mut Read::by_ref(&mut rpm.file).take(payload), &mut out)?;
    if copied != payload {
        return Err(io::Error::other(format!(
            "only {copied} of {payload} payload bytes could be copied"
        ))
        .into());
    }
    out.set_permissions(std::fs::Permissions::from_mode(0o644))?;
    out.sync_all()?;
    Ok(())
}

/// One entry of the header to be.
struct Item {
    tag: u32,
    number: u32,
    count: u32,
    width: usize,
    data: Vec<u8>,
}

impl Item {
    /// Nothing when the data is longer than a header can count.
    fn binary(tag: u32, data: Vec<u8>) -> Option<Self> {
        Some(Self {
            tag,
            number: BINARY,
            count: u32::try_from(data.len()).ok()?,
            width: 1,
            data,
        })
    }

    /// An array of one text.
    fn text(tag: u32, text: &str) -> Self {
        Self {
            tag,
            number: TEXTS,
            count: 1,
            width: 0,
            data: [text.as_bytes(), b"\0"].concat(),
        }
    }
}

/// The old signature header with the new signatures instead of all old ones, padded to 8 bytes.
fn signature_header(old: &Header, signatures: Vec<Item>) -> Option<Vec<u8>> {
    let mut items: Vec<Item> = old
        .entries()
        .iter()
        .filter(|entry| entry.tag != tag::HEADER_SIGNATURES && !RESERVED.contains(&entry.tag))
        .filter(|entry| !SIGNATURES.contains(&entry.tag))
        .map(|entry| Item {
            tag: entry.tag,
            number: entry.number,
            count: entry.count,
            width: entry.kind.width(),
            data: old.data(entry).to_vec(),
        })
        .collect();
    items.extend(signatures);
    items.sort_by_key(|item| item.tag);
    let without = build(&items)?;
    let wanted = usize::try_from(old.len()).ok()?.next_multiple_of(8);
    // The reserved space is an entry of its own: 16 bytes in the index and at least one of data.
    let spare = wanted
        .checked_sub(without.len())
        .and_then(|room| room.checked_sub(16))
        .filter(|room| *room > 0);
    let reserved = RESERVED.into_iter().find(|tag| old.has(*tag)).zip(spare);
    let Some((tag, room)) = reserved else {
        return Some(without);
    };
    items.push(Item::binary(tag, vec![0; room])?);
    items.sort_by_key(|item| item.tag);
    build(&items)
}

/// A header of the items, with the region entry that rpm wants first: its data is a trailer at the end of the
/// store, which says, as a negative offset, how long the index is.
fn build(items: &[Item]) -> Option<Vec<u8>> {
    let mut store: Vec<u8> = Vec::new();
    let mut index = Vec::new();
    for item in items {
        store.resize(store.len().next_multiple_of(item.width.max(1)), 0);
        push_entry(
            &mut index,
            [
                item.tag,
                item.number,
                u32::try_from(store.len()).ok()?,
                item.count,
            ],
        );
        store.extend_from_slice(&item.data);
    }
    let entries = u32::try_from(items.len()).ok()?.checked_add(1)?;
    let trailer_at = u32::try_from(store.len()).ok()?;
    let back = entries.checked_mul(16)?.wrapping_neg();
    push_entry(&mut store, [tag::HEADER_SIGNATURES, BINARY, back, 16]);

    let mut out = vec![0x8e, 0xad, 0xe8, 0x01, 0, 0, 0, 0];
    out.extend_from_slice(&entries.to_be_bytes());
    out.extend_from_slice(&u32::try_from(store.len()).ok()?.to_be_bytes());
    push_entry(&mut out, [tag::HEADER_SIGNATURES, BINARY, trailer_at, 16]);
    out.extend_from_slice(&index);
    out.extend_from_slice(&store);
    out.resize(out.len().next_multiple_of(8), 0);
    Some(out)
}

fn push_entry(out: &mut Vec<u8>, words: [u32; 4]) {
    for word in words {
        out.extend_from_slice(&word.to_be_bytes());
    }
}
