use serde::Deserialize;

use super::{RepositoryAddress, RepositoryPlace, fill_for_dnf};

/// The same examples are read by the builder's tests.
const EXAMPLES: &str = include_str!("../../../../provision-files/builder/tests/addresses.json");

#[derive(Deserialize)]
struct Example {
    address: String,
    chroot: String,
    expanded: String,
}

#[test]
fn variables_mean_what_they_mean_to_copr_and_dnf() {
    let examples: Vec<Example> = serde_json::from_str(EXAMPLES).unwrap();
    assert!(examples.len() > 10);
    for example in examples {
        let chroot = example.chroot.parse().unwrap();
        let address = RepositoryAddress::parse(&example.address).unwrap();
        let base = address.base("https://farm/results", &chroot);
        assert_eq!(
            fill_for_dnf(&base, &chroot),
            example.expanded,
            "{}",
            example.address
        );
    }
}

#[test]
fn dnfs_variables_are_left_to_dnf_where_it_knows_them_better() {
    let chroot = "fedora-rawhide-x86_64".parse().unwrap();
    let address = RepositoryAddress::parse("https://x/$distname/$releasever/$basearch/").unwrap();
    assert_eq!(
        address.base("", &chroot),
        "https://x/fedora/$releasever/$basearch/"
    );
}

#[test]
fn a_project_of_the_farm_is_found_in_its_results() {
    let chroot = "fedora-43-x86_64".parse().unwrap();
    for text in [
        "copr://@group/lib:pr:1",
        "copr://@group/lib:pr:1/",
        "copr://@group/lib:pr:1?priority=7",
    ] {
        let address = RepositoryAddress::parse(text).unwrap();
        assert!(matches!(&address.place, RepositoryPlace::Farm { owner, .. } if owner.as_str() == "@group"));
        assert_eq!(
            address.base("https://farm/results", &chroot),
            "https://farm/results/@group/lib:pr:1/fedora-43-x86_64/"
        );
    }
}

#[test]
fn a_priority_is_taken_out_of_the_address() {
    for (text, rest, priority) in [
        ("https://x/r/", "https://x/r/", None),
        ("https://x/r/?priority=5", "https://x/r/", Some(5)),
        (
            "https://x/r/?priority=99&a=b%20c",
            "https://x/r/?a=b%20c",
            Some(99),
        ),
        (
            "https://x/r/?a=$arch&priority=1&&c",
            "https://x/r/?a=$arch&&c",
            Some(1),
        ),
        (
            "https://x/r/?my_priority=5&priorityx=6",
            "https://x/r/?my_priority=5&priorityx=6",
            None,
        ),
        ("https://x/r/?", "https://x/r/?", None),
        ("https://x/priority=5/", "https://x/priority=5/", None),
    ] {
        let address = RepositoryAddress::parse(text).unwrap();
        assert_eq!(address.place, RepositoryPlace::Web(rest.to_owned()), "{text}");
        assert_eq!(address.priority, priority, "{text}");
    }
}

#[test]
fn what_is_wrong_with_an_address_is_said() {
    for (text, part) in [
        ("https://x/?priority=0", "from 1 to 99"),
        ("https://x/?priority=100", "from 1 to 99"),
        ("https://x/?priority=", "from 1 to 99"),
        ("https://x/?priority=-1", "from 1 to 99"),
        ("https://x/?priority=high", "from 1 to 99"),
        ("https://x/?priority=1&priority=2", "twice"),
        ("copr://alice/lib?priority=0", "from 1 to 99"),
        ("copr://alice", "copr://OWNER/PROJECT"),
        ("copr://alice/lib/more", "copr://OWNER/PROJECT"),
        ("copr://alice/lib?a=b", "copr://OWNER/PROJECT"),
        ("copr:///lib", "copr://OWNER/PROJECT"),
    ] {
        let said = RepositoryAddress::parse(text).unwrap_err();
        assert!(said.contains(part), "{text}: {said}");
    }
}
