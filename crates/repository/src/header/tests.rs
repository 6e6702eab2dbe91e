use super::*;

/// A header of these entries (tag, type, offset, count) and this store, as `read` has it before the index is looked at.
fn header(entries: &[[u32; 4]], store: &[u8]) -> Header {
    let mut raw = HEADER_MAGIC.to_vec();
    for count in [entries.len(), store.len()] {
        raw.extend(u32::try_from(count).unwrap().to_be_bytes());
    }
    raw.extend(entries.iter().flatten().flat_map(|word| word.to_be_bytes()));
    let store_start = raw.len();
    raw.extend(store);
    Header {
        raw,
        store_start,
        entries: Vec::new(),
    }
}

fn read(entries: &[[u32; 4]], store: &[u8]) -> std::result::Result<Header, String> {
    let mut header = header(entries, store);
    header.entries = header.index()?;
    Ok(header)
}

#[test]
fn data_ends_where_its_type_and_count_say_or_not_at_all() {
    let store = b"ab\0cd\0\0ef";
    for (kind, start, count, expected) in [
        (Kind::Bytes, 0, 9, Some(9)),
        (Kind::Bytes, 0, 10, None),
        (Kind::Int16, 2, 3, Some(8)),
        (Kind::Int16, 2, 4, None),
        (Kind::Int32, 4, 1, Some(8)),
        (Kind::Int64, 8, 1, None),
        (Kind::Int64, 0, u32::MAX, None),
        (Kind::Text, 0, 1, Some(3)),
        (Kind::Text, 6, 1, Some(7)),
        // Without a NUL at its end, and two where there is one.
        (Kind::Text, 7, 1, None),
        (Kind::Text, 0, 2, None),
        (Kind::TextArray, 0, 3, Some(7)),
        (Kind::TextArray, 0, 4, None),
        (Kind::TextArray, 9, 1, None),
    ] {
        let found = data_end(store, kind, start, count);
        assert_eq!(found, expected, "{kind:?} {start} {count}");
    }
}

#[test]
fn an_index_is_taken_only_as_rpm_takes_it() {
    // Numbers of 16 bits, a text, and a trailer of a region with two entries.
    let mut store = b"\0\x07\0\x09name\0\0\0\0".to_vec();
    let trailer = [62, 7, 32_u32.wrapping_neg(), 16];
    store.extend(trailer.iter().flat_map(|word| word.to_be_bytes()));
    let region = [62, 7, 12, 16];
    let (numbers, text) = ([1000, 3, 0, 2], [1001, 6, 4, 1]);
    for (what, entries, refused) in [
        ("as it should be", vec![region, numbers, text], None),
        ("without a region", vec![numbers, text], None),
        (
            "of an unknown type",
            vec![[1000, 10, 0, 1]],
            Some("has an unknown type"),
        ),
        (
            "of nothing",
            vec![[1000, 3, 0, 0]],
            Some("lies outside of the header"),
        ),
        (
            "behind the store",
            vec![[1000, 7, 29, 1]],
            Some("lies outside of the header"),
        ),
        ("at an odd place", vec![[1000, 3, 1, 1]], Some("is not aligned")),
        (
            "beyond the end",
            vec![[1000, 7, 12, 17]],
            Some("does not end in the header"),
        ),
        (
            "twice the same data",
            vec![numbers, [1001, 3, 2, 1]],
            Some("overlaps the one before"),
        ),
        (
            "out of order",
            vec![text, numbers],
            Some("overlaps the one before"),
        ),
        (
            "with a number of rpm's own",
            vec![numbers, [99, 6, 4, 1]],
            Some("a number that no data may have"),
        ),
        (
            "with a number below zero",
            vec![[1 << 31, 6, 4, 1]],
            Some("a number that no data may have"),
        ),
        (
            "a region in the middle",
            vec![numbers, region],
            Some("a number that no data may have"),
        ),
        (
            "a region of another type",
            vec![[62, 3, 12, 8], numbers],
            Some("is not a sound region"),
        ),
        (
            "a region without a trailer",
            vec![[62, 7, 0, 16], numbers],
            Some("is not a sound region"),
        ),
    ] {
        let found = read(&entries, &store).err();
        assert_eq!(found.is_some(), refused.is_some(), "{what}: {found:?}");
        let words = found.unwrap_or_default();
        assert!(words.ends_with(refused.unwrap_or_default()), "{what}: {words}");
    }
}

#[test]
fn a_trailer_names_a_region_that_the_index_has() {
    let back = |bytes: u32| bytes.wrapping_neg();
    for (trailer, index, expected) in [
        ([62, 7, back(32), 16], 32, true),
        ([63, 7, back(16), 16], 32, true),
        ([61, 7, back(32), 16], 32, true),
        ([60, 7, back(32), 16], 32, false),
        ([64, 7, back(32), 16], 32, false),
        ([62, 6, back(32), 16], 32, false),
        ([62, 7, back(32), 15], 32, false),
        // Of no entry, of part of one, of more than there are, and forwards.
        ([62, 7, 0, 16], 32, false),
        ([62, 7, back(24), 16], 32, false),
        ([62, 7, back(48), 16], 32, false),
        ([62, 7, 32, 16], 32, false),
    ] {
        assert_eq!(is_trailer(trailer, index), expected, "{trailer:?} of {index}");
    }
}

#[test]
fn data_is_had_only_as_what_it_is() {
    let store = b"\0\x07\x01\x09one\0two\0\0\xff\0\0\0\x01\0\0\0\x02";
    let entries = [
        [1000, 3, 0, 2],
        [1001, 8, 4, 3],
        [1002, 7, 13, 1],
        [1003, 4, 14, 1],
    ];
    assert!(read(&entries, store).is_err(), "14 is no place for four bytes");
    let entries = [[1000, 3, 0, 2], [1001, 9, 4, 3], [1002, 7, 13, 1]];
    let header = read(&entries, store).unwrap();
    assert_eq!(header.numbers(1000).collect::<Vec<_>>(), [7, 0x109]);
    assert_eq!(header.number(1000), Some(7));
    let texts: Vec<&[u8]> = header.texts(1001).collect();
    assert_eq!(texts, [&b"one"[..], b"two", b""]);
    assert_eq!(
        (header.text(1001), header.bytes(1002)),
        (Some(&b"one"[..]), Some(&b"\xff"[..]))
    );
    // A tag of another type than was asked for is none.
    assert_eq!(
        (header.text(1000), header.number(1001), header.bytes(1001)),
        (None, None, None)
    );
    assert_eq!(
        (header.number(1002), header.text(4711), header.has(4711)),
        (None, None, false)
    );
}
