use super::isolation;

#[test]
fn builders_get_only_words_for_isolation_that_they_know() {
    let words = [
        Some("nspawn"),
        Some("simple"),
        Some("default"),
        Some("unchanged"),
        None,
    ];
    assert_eq!(
        words.map(isolation),
        ["nspawn", "simple", "default", "default", "default"]
    );
}
