//! Pieces of a log, by offset. The file is written by a worker and only ever grows, so an offset in bytes stays true for
//! as long as the log is there.

use std::{fs::File, io, os::unix::fs::FileExt as _};

/// How much of a log is given when nobody says, in bytes.
pub(crate) const USUAL_PIECE: u64 = 64 << 10;

/// The most of a log that is given at once, in bytes.
const LARGEST_PIECE: u64 = 1 << 20;

/// A piece of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) offset: u64,
    pub(crate) next_offset: u64,
    pub(crate) size: u64,
    pub(crate) text: String,
}

impl Piece {
    /// Bytes that were read at `offset` of a log of `size` bytes.
    pub(crate) fn new(offset: u64, bytes: &[u8], size: u64) -> Self {
        let next_offset = offset.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        Self {
            offset,
            next_offset,
            size: size.max(next_offset),
            text: String::from_utf8_lossy(bytes).into_owned(),
        }
    }
}

/// Reads at most `limit` bytes from `offset` on, but not into the middle of a character. A negative offset counts from the
/// end; a log that is not there yet is empty.
pub(crate) fn read(file: Option<&File>, offset: i64, limit: u64) -> io::Result<Piece> {
    let size = file.map_or(Ok(0), |file| file.metadata().map(|metadata| metadata.len()))?;
    let offset = match u64::try_from(offset) {
        Ok(offset) => offset.min(size),
        Err(_) => size.saturating_sub(offset.unsigned_abs()),
    };
    let mut bytes = match file {
        Some(file) => read_at(file, offset, limit)?,
        None => Vec::new(),
    };
    bytes.truncate(whole_characters(&bytes));
    Ok(Piece::new(offset, &bytes, size))
}

/// Reads at most `limit` bytes from `offset` on; fewer only at the end.
pub(crate) fn read_at(file: &File, offset: u64, limit: u64) -> io::Result<Vec<u8>> {
    let limit = usize::try_from(limit.clamp(1, LARGEST_PIECE)).unwrap_or(usize::MAX);
    let mut bytes = vec![0; limit];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        let at = offset.saturating_add(u64::try_from(filled).unwrap_or(u64::MAX));
        match file.read_at(rest, at) {
            Ok(0) => break,
            Ok(count) => filled = filled.saturating_add(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// Whether the bytes are no more than the beginning of one character: the rest of it is still to be written.
pub(crate) fn is_begun_character(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
}

/// How many bytes make whole characters: a character that is cut at the end is left for the next piece,
/// unless it is all there is.
pub(crate) fn whole_characters(bytes: &[u8]) -> usize {
    let cut = match std::str::from_utf8(bytes) {
        Ok(_) => return bytes.len(),
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        Err(_) => {
            // Something else is broken further up; look at the last character only.
            let start = bytes.iter().rposition(|byte| byte & 0xC0 != 0x80).unwrap_or(0);
            match std::str::from_utf8(bytes.get(start..).unwrap_or_default()) {
                Err(error) if error.error_len().is_none() => start,
                _ => return bytes.len(),
            }
        }
    };
    if cut == 0 { bytes.len() } else { cut }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::{read, whole_characters};

    #[test]
    fn a_piece_never_ends_inside_a_character() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all("aüb€".as_bytes()).unwrap();
        let piece = |offset, limit| {
            let piece = read(Some(&file), offset, limit).unwrap();
            (piece.offset, piece.next_offset, piece.text)
        };
        assert_eq!(piece(0, 2), (0, 1, "a".to_owned()));
        assert_eq!(piece(1, 2), (1, 3, "ü".to_owned()));
        assert_eq!(piece(3, 3), (3, 4, "b".to_owned()));
        assert_eq!(piece(0, 100), (0, 7, "aüb€".to_owned()));
        assert_eq!(piece(-3, 100), (4, 7, "€".to_owned()));
        assert_eq!(piece(99, 100), (7, 7, String::new()));
    }

    #[test]
    fn broken_bytes_do_not_stop_a_log() {
        assert_eq!(whole_characters(b"a\xFFb"), 3);
        assert_eq!(whole_characters(b"\xE2\x82"), 2);
        assert_eq!(whole_characters(b"\xFFa\xE2\x82"), 2);
    }
}
