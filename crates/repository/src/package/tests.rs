use proptest::prelude::*;

use super::{content::decode, is_primary_file};

#[test]
fn files_of_the_primary_list_are_chosen_as_clients_expect() {
    for path in [
        "/etc/passwd",
        "/usr/bin/ls",
        "/opt/x/sbin/y",
        "/usr/lib/sendmail",
        "/srv/cgi-bin/x",
        "/sbin/u",
        // Its directory only ends like `bin`: createrepo_c looks for the letters `bin/`.
        "/usr/share/cabin/README",
    ] {
        assert!(is_primary_file(path), "{path}");
    }
    for path in [
        "/usr/share/x",
        "/usr/lib/sendmail2",
        "/usr/lib/sendmail.d/z",
        "/opt/etc/x",
        "/usr/bin",
    ] {
        assert!(!is_primary_file(path), "{path}");
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
