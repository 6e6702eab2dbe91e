use super::{base_url, isolation};

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

#[test]
fn an_additional_repository_is_one_of_this_farm_or_has_the_chroot_filled_in() {
    let chroot = "fedora-43-x86_64".parse().unwrap();
    let address = |url| base_url("http://farm", url, &chroot);
    assert_eq!(
        address("copr://alice/lib"),
        "http://farm/results/alice/lib/fedora-43-x86_64/"
    );
    assert_eq!(
        address("https://x/$chroot/$basearch/"),
        "https://x/fedora-43-x86_64/$basearch/"
    );
}
