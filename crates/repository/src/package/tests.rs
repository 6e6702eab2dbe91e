use proptest::prelude::*;

use super::{
    acceptable,
    content::{compare_versioned, decode},
};

#[test]
fn names_are_kept_to_the_grammar() {
    for name in ["hello", "libstdc++", "python3.13", "a-b_c", "1.0~rc1^git", "X11"] {
        assert_eq!(acceptable(name, 200), Ok(()), "{name}");
    }
    for name in ["", ".x", "-x", "a/b", "a..b", "a\0", "a b", "ä", "a%b", "a\n"] {
        assert!(acceptable(name, 200).is_err(), "{name:?}");
    }
    assert!(acceptable(&"a".repeat(201), 200).is_err());
}

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

    #[test]
    fn an_accepted_name_is_one_path_component(name in "(?s).{0,30}|[a-z./~-]{0,12}") {
        if acceptable(&name, 200).is_ok() {
            prop_assert!(!name.contains(['/', '\0']) && !name.contains("..") && !name.starts_with('.'));
        }
    }
}
