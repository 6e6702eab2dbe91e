use time::{Duration, macros::datetime};

use super::*;

const NOW: OffsetDateTime = datetime!(2026-11-29 12:00 UTC);

#[test]
fn a_token_is_good_for_its_instance_until_its_end() {
    let tokens = Tokens::new().unwrap();
    let token = tokens.make("i-1", 60, NOW).unwrap();
    for (id, after, good) in [
        ("i-1", 0, true),
        ("i-1", 59, true),
        ("i-1", 60, false),
        ("i-1", 1_000_000, false),
        ("i-2", 0, false),
        ("i-", 0, false),
        ("", 0, false),
    ] {
        let now = NOW + Duration::seconds(after);
        assert_eq!(tokens.is_good(&token, id, now), good, "{id} after {after} s");
    }
    assert_ne!(tokens.make("i-1", 60, NOW).unwrap(), token, "each is another");
}

#[test]
fn a_token_that_was_changed_or_made_by_another_cloud_is_not_good() {
    let tokens = Tokens::new().unwrap();
    let token = tokens.make("i-1", 60, NOW).unwrap();
    let bytes = URL_SAFE.decode(&token).unwrap();
    for place in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[place] ^= 1;
        assert!(
            !tokens.is_good(&URL_SAFE.encode(changed), "i-1", NOW),
            "the bit of byte {place}"
        );
    }
    for length in 0..bytes.len() {
        let short = URL_SAFE.encode(&bytes[..length]);
        assert!(!tokens.is_good(&short, "i-1", NOW), "cut to {length} bytes");
    }
    for other in [
        "",
        "=",
        "sesame",
        "\u{fc}",
        &format!("{token}A"),
        &format!(" {token}"),
    ] {
        assert!(!tokens.is_good(other, "i-1", NOW), "{other:?}");
    }
    assert!(!Tokens::new().unwrap().is_good(&token, "i-1", NOW));
}
