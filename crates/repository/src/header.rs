//! The RPM file format, read with every bound checked: lead, signature header, header, payload.
//!
//! The format (rpm's `docs/manual/format_v4.md` and `format_v6.md`): a lead of 96 bytes; a header with the signatures and digests,
//! padded to 8 bytes; the header proper; the compressed payload. A header is a magic number, the count of its
//! index entries, the size of its store, the entries (tag, type, offset, count), the store.
//!
//! A header is accepted only as rpm itself accepts it: entries lie in the store, in order and without overlap.
//! That makes every later scan linear in the size of the file, whatever the counts claim.

pub(crate) mod tag;

use std::{io::Read, path::Path};

use fs_err::File;

use crate::{Error, Result};

/// Length of the lead at the start of the file.
pub(crate) const LEAD_SIZE: u64 = 96;
/// Length of a header before its index: magic, version, reserved, two counts.
const INTRO_SIZE: u64 = 16;
/// Length of one index entry.
const ENTRY_SIZE: u64 = 16;
/// rpm's own limit of a header's store.
const MAX_STORE: u64 = 256 << 20;
/// rpm's own limit of index entries.
const MAX_ENTRIES: u64 = 0xffff;
/// rpm's own limit of a signature header's store.
const MAX_SIGNATURE_STORE: u64 = 64 << 20;
/// Lower numbers stand for parts of the format, not for data.
const FIRST_TAG: u32 = 100;
/// rpm counts tags as signed numbers.
const LAST_TAG: u32 = 0x7fff_ffff;
/// The largest package taken at all.
const MAX_PACKAGE: u64 = 64 << 30;

const LEAD_MAGIC: [u8; 4] = [0xed, 0xab, 0xee, 0xdb];
/// The magic number, the version 1, and four bytes that rpm wants to be zero.
const HEADER_MAGIC: [u8; 8] = [0x8e, 0xad, 0xe8, 0x01, 0, 0, 0, 0];

/// The types of header data, from rpm's `rpmtag.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bytes,
    Int16,
    Int32,
    Int64,
    Text,
    TextArray,
}

impl Kind {
    const fn of(number: u32) -> Option<Self> {
        Some(match number {
            1 | 2 | 7 => Self::Bytes,
            3 => Self::Int16,
            4 => Self::Int32,
            5 => Self::Int64,
            6 => Self::Text,
            8 | 9 => Self::TextArray,
            _ => return None,
        })
    }

    /// Size of one item, which is its alignment too; 0 for texts.
    pub(crate) const fn width(self) -> usize {
        match self {
            Self::Text | Self::TextArray => 0,
            Self::Bytes => 1,
            Self::Int16 => 2,
            Self::Int32 => 4,
            Self::Int64 => 8,
        }
    }
}

/// One entry of the index, its data known to lie in the store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) tag: u32,
    pub(crate) number: u32,
    pub(crate) kind: Kind,
    pub(crate) count: u32,
    start: usize,
    end: usize,
}

/// One header, validated.
#[derive(Debug)]
pub(crate) struct Header {
    /// The bytes as they are in the file, magic included.
    raw: Vec<u8>,
    store_start: usize,
    entries: Vec<Entry>,
}

/// An opened package: both headers, and where the parts lie. The file stands at the first byte of the payload.
#[derive(Debug)]
pub(crate) struct RpmFile {
    pub(crate) file: File,
    /// Size of the whole file.
    pub(crate) size: u64,
    pub(crate) lead: Vec<u8>,
    pub(crate) signature: Header,
    /// What stands between the two headers.
    pub(crate) padding: Vec<u8>,
    pub(crate) header: Header,
    pub(crate) header_start: u64,
    pub(crate) header_end: u64,
    /// Last change of the file, in seconds since 1970.
    pub(crate) modified: i64,
}

impl RpmFile {
    /// Opens a package and reads both headers; the payload is not looked at.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        use std::os::unix::fs::MetadataExt as _;
        let mut file = crate::disk::open_regular(path)?;
        let metadata = file.metadata()?;
        let size = metadata.len();
        if size > MAX_PACKAGE {
            return Err(Error::too_large(
                path,
                "the package's size in bytes",
                size,
                MAX_PACKAGE,
            ));
        }
        let lead = read_lead(&mut file, path, size)?;
        let signature = Header::read(
            &mut file,
            path,
            Place {
                what: "the signature header",
                at: LEAD_SIZE,
                size,
                limit: MAX_SIGNATURE_STORE,
            },
        )?;
        let unpadded = LEAD_SIZE.saturating_add(signature.len());
        let header_start = unpadded.next_multiple_of(8);
        let missing = header_start.saturating_sub(unpadded);
        if header_start > size {
            return Err(Error::Truncated {
                file: path.to_owned(),
                what: "the signature header",
                needed: header_start,
                found: size,
            });
        }
        let mut padding = Vec::new();
        (&mut file).take(missing).read_to_end(&mut padding)?;
        let header = Header::read(
            &mut file,
            path,
            Place {
                what: "the header",
                at: header_start,
                size,
                limit: MAX_STORE,
            },
        )?;
        if let Some(entry) = header
            .entries
            .iter()
            .find(|entry| !tag::has_right_kind(entry.tag, entry.kind))
        {
            let detail = format!("the tag {} has the type {}", entry.tag, entry.number);
            return Err(Error::malformed(path, detail));
        }
        let header_end = header_start.saturating_add(header.len());
        Ok(Self {
            file,
            size,
            lead,
            signature,
            padding,
            header,
            header_start,
            header_end,
            modified: metadata.mtime(),
        })
    }

    /// The format of the file: 6 where the header says so, else 4. (Format 3, without digests, is refused elsewhere.)
    pub(crate) fn format(&self) -> u64 {
        self.header.number(tag::RPM_FORMAT).unwrap_or(4).max(4)
    }

    /// Whether the package is a source package, by rpm's own rule and by the mark of newer rpm.
    pub(crate) fn is_source(&self) -> bool {
        self.header.has(tag::SOURCE_PACKAGE) || !self.header.has(tag::SOURCE_RPM)
    }
}

fn read_lead(file: &mut File, path: &Path, size: u64) -> Result<Vec<u8>> {
    let mut lead = Vec::new();
    file.take(LEAD_SIZE).read_to_end(&mut lead)?;
    if !lead.starts_with(&LEAD_MAGIC) {
        let first: Vec<u8> = lead.iter().copied().take(16).collect();
        let first = if first.is_empty() {
            "nothing".to_owned()
        } else {
            format!("\"{}\"", first.escape_ascii())
        };
        return Err(Error::NotAnRpm {
            file: path.to_owned(),
            first,
        });
    }
    if lead.len() as u64 != LEAD_SIZE {
        return Err(Error::Truncated {
            file: path.to_owned(),
            what: "the lead",
            needed: LEAD_SIZE,
            found: size,
        });
    }
    // Of the rest of the lead rpm looks at the version and at the kind of the signature that follows.
    let version = lead.get(4).copied().unwrap_or(0);
    if !(3..=4).contains(&version) || lead.get(78..80) != Some(&[0, 5]) {
        return Err(Error::malformed(
            path,
            format!("its lead (format {version}) is not one that rpm reads"),
        ));
    }
    Ok(lead)
}

/// Where a header begins, and how large it may be.
struct Place {
    what: &'static str,
    at: u64,
    size: u64,
    limit: u64,
}

impl Header {
    fn read(file: &mut File, path: &Path, place: Place) -> Result<Self> {
        let Place {
            what,
            at,
            size,
            limit,
        } = place;
        let cut = |needed| Error::Truncated {
            file: path.to_owned(),
            what,
            needed,
            found: size,
        };
        let mut raw = Vec::new();
        file.take(INTRO_SIZE).read_to_end(&mut raw)?;
        if raw.len() as u64 != INTRO_SIZE {
            return Err(cut(at.saturating_add(INTRO_SIZE)));
        }
        if !raw.starts_with(&HEADER_MAGIC) {
            return Err(Error::malformed(path, format!("{what} has no magic number")));
        }
        let count = u64::from(number32(&raw, 8).unwrap_or(0));
        let store = u64::from(number32(&raw, 12).unwrap_or(0));
        if count == 0 || count > MAX_ENTRIES {
            return Err(Error::too_large(
                path,
                "the count of header entries (at least 1)",
                count,
                MAX_ENTRIES,
            ));
        }
        if store > limit {
            return Err(Error::too_large(path, "the header's size in bytes", store, limit));
        }
        let rest = count.saturating_mul(ENTRY_SIZE).saturating_add(store);
        let end = at.saturating_add(INTRO_SIZE).saturating_add(rest);
        // Before anything is allocated: the file must really have these bytes.
        if end > size {
            return Err(cut(end));
        }
        file.take(rest).read_to_end(&mut raw)?;
        if raw.len() as u64 != INTRO_SIZE.saturating_add(rest) {
            return Err(cut(end));
        }
        let store_start = usize::try_from(INTRO_SIZE.saturating_add(count.saturating_mul(ENTRY_SIZE)))
            .unwrap_or(usize::MAX);
        let mut header = Self {
            raw,
            store_start,
            entries: Vec::new(),
        };
        header.entries = header
            .index()
            .map_err(|detail| Error::malformed(path, format!("{what}: {detail}")))?;
        Ok(header)
    }

    /// Reads and checks the index.
    fn index(&self) -> std::result::Result<Vec<Entry>, String> {
        let (Some(index), Some(store)) = (
            self.raw.get(16..self.store_start),
            self.raw.get(self.store_start..),
        ) else {
            return Err("it is shorter than its index".to_owned());
        };
        let mut entries = Vec::with_capacity(index.len() / 16);
        let mut previous_end = 0;
        for (position, bytes) in index.as_chunks::<16>().0.iter().enumerate() {
            let [tag, number, start, count] = words(bytes);
            let describe = |why: &str| format!("entry {position} (tag {tag}, type {number}) {why}");
            let kind = Kind::of(number).ok_or_else(|| describe("has an unknown type"))?;
            let start = usize::try_from(start).unwrap_or(usize::MAX);
            if count == 0 || start > store.len() {
                return Err(describe("lies outside of the header"));
            }
            if kind.width() > 1 && !start.is_multiple_of(kind.width()) {
                return Err(describe("is not aligned"));
            }
            let end =
                data_end(store, kind, start, count).ok_or_else(|| describe("does not end in the header"))?;
            // The first entry names the region: its data is a trailer at the end of the store.
            if position == 0 && (62..64).contains(&tag) {
                let trailer = store
                    .get(start..end)
                    .and_then(|bytes| bytes.first_chunk::<16>())
                    .map(words);
                if (number, count) != (7, 16) || !trailer.is_some_and(|words| is_trailer(words, index.len()))
                {
                    return Err(describe("is not a sound region"));
                }
            } else if !(FIRST_TAG..=LAST_TAG).contains(&tag) {
                return Err(describe("has a number that no data may have"));
            } else if start < previous_end {
                return Err(describe("overlaps the one before"));
            } else {
                previous_end = end;
            }
            entries.push(Entry {
                tag,
                number,
                kind,
                count,
                start,
                end,
            });
        }
        Ok(entries)
    }

    /// Size in the file, without padding.
    pub(crate) fn len(&self) -> u64 {
        self.raw.len() as u64
    }

    /// The bytes as they are in the file.
    pub(crate) fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// All entries, in the order of the file.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The bytes of an entry of this header.
    pub(crate) fn data(&self, entry: &Entry) -> &[u8] {
        self.raw
            .get(self.store_start..)
            .and_then(|store| store.get(entry.start..entry.end))
            .unwrap_or_default()
    }

    pub(crate) fn entry(&self, tag: u32) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.tag == tag)
    }

    pub(crate) fn has(&self, tag: u32) -> bool {
        self.entry(tag).is_some()
    }

    /// The bytes of a tag of type binary.
    pub(crate) fn bytes(&self, tag: u32) -> Option<&[u8]> {
        self.entry(tag)
            .filter(|entry| entry.kind == Kind::Bytes)
            .map(|entry| self.data(entry))
    }

    /// The texts of a tag; of a translated one, the texts of all languages.
    pub(crate) fn texts(&self, tag: u32) -> impl Iterator<Item = &[u8]> {
        let entry = self
            .entry(tag)
            .filter(|entry| matches!(entry.kind, Kind::Text | Kind::TextArray));
        let data = entry.map_or(&[][..], |entry| self.data(entry));
        // Each text ends in a NUL, so the last piece of the split is an empty one too many.
        let count = entry.map_or(0, |entry| entry.count as usize);
        data.split(|byte| *byte == 0).take(count)
    }

    /// The first text of a tag: the one in the language "C".
    pub(crate) fn text(&self, tag: u32) -> Option<&[u8]> {
        self.texts(tag).next()
    }

    /// The numbers of a tag of any integer type.
    pub(crate) fn numbers(&self, tag: u32) -> impl Iterator<Item = u64> {
        let entry = self
            .entry(tag)
            .filter(|entry| matches!(entry.kind, Kind::Int16 | Kind::Int32 | Kind::Int64));
        let (data, width) = entry.map_or((&[][..], 1), |entry| (self.data(entry), entry.kind.width()));
        data.chunks_exact(width).map(|bytes| {
            bytes
                .iter()
                .fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte))
        })
    }

    /// The first number of a tag.
    pub(crate) fn number(&self, tag: u32) -> Option<u64> {
        self.numbers(tag).next()
    }
}

/// Where the data of an entry ends in the store, or nothing if it does not.
fn data_end(store: &[u8], kind: Kind, start: usize, count: u32) -> Option<usize> {
    let count = usize::try_from(count).ok()?;
    let end = match kind {
        Kind::Text if count != 1 => return None,
        Kind::Text | Kind::TextArray => {
            let mut rest = store.get(start..)?;
            for _ in 0..count {
                let nul = rest.iter().position(|byte| *byte == 0)?;
                rest = rest.get(nul.checked_add(1)?..)?;
            }
            store.len().checked_sub(rest.len())?
        }
        _ => start.checked_add(count.checked_mul(kind.width())?)?,
    };
    (end <= store.len()).then_some(end)
}

/// Whether a trailer says, as a negative offset, that the region has entries of this index.
fn is_trailer(trailer: [u32; 4], index: usize) -> bool {
    let [tag, number, back, count] = trailer;
    let region = usize::try_from(back.wrapping_neg()).unwrap_or(usize::MAX);
    // Some old packages name the region by rpm's former number, 61.
    (61..64).contains(&tag)
        && (number, count) == (7, 16)
        && region.is_multiple_of(16)
        && (16..=index).contains(&region)
}

fn words(bytes: &[u8; 16]) -> [u32; 4] {
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<4>().0) {
        *word = u32::from_be_bytes(*bytes);
    }
    words
}

fn number32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..)?
        .first_chunk::<4>()
        .map(|bytes| u32::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests;
