use proptest::prelude::*;

use super::content::{compare_versioned, decode};

#[test]
fn versions_of_the_c_library_are_compared_as_numbers() {
    let ordered = [
        "libc.so.6()(64bit)",
        "libc.so.6(GLIBC_2.4)(64bit)",
        "libc.so.6(GLIBC_2.4.1)(64bit)",
        "libc.so.6(GLIBC_2.34)(64bit)",
    ];
    for pair in ordered.windows(2) {
        assert!(compare_versioned(pair[0], pair[1]).is_lt(), "{pair:?}");
        assert!(compare_versioned(pair[1], pair[0]).is_gt(), "{pair:?}");
    }
}

proptest! {
    #[test]
    fn any_bytes_become_text_that_xml_can_hold(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        let text = decode(&bytes);
        prop_assert!(text.chars().all(|c| c >= ' ' || matches!(c, '\t' | '\n' | '\r')));
        let outside = text.contains(['\u{fffe}', '\u{ffff}']);
        prop_assert!(!outside);
    }
}
