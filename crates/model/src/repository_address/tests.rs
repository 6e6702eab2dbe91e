use proptest::prelude::*;
use serde::Deserialize;

use super::{
    RepositoryAddress, RepositoryPlace, base_architecture, fill, fill_for_dnf, package_architecture,
};

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

#[test]
fn a_variable_is_as_long_as_libdnf_reads_it_and_without_a_value_it_stays() {
    let value = |name: &str| match name {
        "a" => Some("1"),
        "a_b" => Some("2"),
        "A" => Some("$a"),
        _ => None,
    };
    for (text, expected) in [
        ("$a", "1"),
        ("${a}", "1"),
        ("$a-$a", "1-1"),
        ("$a_b", "2"),
        ("${a}_b", "1_b"),
        ("$a_c", "$a_c"),
        ("$ab", "$ab"),
        ("$a.b/$a", "1.b/1"),
        ("$$a", "$1"),
        ("$", "$"),
        ("a$", "a$"),
        ("${a", "${a"),
        ("${}", "${}"),
        ("${a b}", "${a b}"),
        ("{a}$", "{a}$"),
        ("$ä$a", "$ä1"),
        // A value is put in as it is: what it holds is no variable.
        ("$A", "$a"),
    ] {
        assert_eq!(fill(text, value), expected, "{text}");
    }
}

#[test]
fn a_chroots_architecture_and_its_packages_one_are_told_apart() {
    for (chroot, packages) in [
        ("i386", "i686"),
        ("armhfp", "armv7hl"),
        ("x86_64", "x86_64"),
        ("aarch64", "aarch64"),
        ("s390x", "s390x"),
    ] {
        assert_eq!(package_architecture(chroot), packages);
        assert_eq!(base_architecture(packages), chroot, "and back");
        assert_eq!(
            base_architecture(chroot),
            chroot,
            "a base architecture is its own"
        );
    }
    for other in ["i486", "i586", "athlon"] {
        assert_eq!(base_architecture(other), "i386");
    }
    let chroot = "centos-stream-9-i386".parse().unwrap();
    let filled = fill_for_dnf(
        "http://x/$releasever/$basearch/$arch/$releasever_major/$chroot",
        &chroot,
    );
    assert_eq!(filled, "http://x/9/i386/i686/$releasever_major/$chroot");
}

#[test]
fn a_project_is_named_by_names_that_projects_can_have() {
    let rule = "a project of this farm is named copr://OWNER/PROJECT";
    for text in [
        "copr://",
        "copr:///",
        "copr://alice/",
        "copr://alice//",
        "copr://alice/12",
        "copr://alice/../x",
        "copr://alice/a b",
        "copr://a+b/lib",
        "copr://alice/lib//",
        "copr://alice/lib:",
    ] {
        assert_eq!(RepositoryAddress::parse(text), Err(rule), "{text}");
    }
    // Other letters are another scheme: an address of the web, which others look at.
    let web = RepositoryAddress::parse("COPR://alice/lib").unwrap();
    assert_eq!(web.place, RepositoryPlace::Web("COPR://alice/lib".to_owned()));
}

proptest! {
    #[test]
    fn a_text_whose_variables_have_no_value_stays_as_it_is(text in "[a${}_ /ö]{0,20}") {
        prop_assert_eq!(fill(&text, |_| None), text);
    }

    #[test]
    fn taking_the_priority_out_leaves_all_else_in_its_order(
        before in "[a-z]{1,4}=[a-z]{0,3}", after in "[a-z]{1,4}=[a-z]{0,3}", priority in 1u8..100,
    ) {
        prop_assume!(!before.starts_with("priority=") && !after.starts_with("priority="));
        let text = format!("https://x/r/?{before}&priority={priority}&{after}");
        let address = RepositoryAddress::parse(&text).unwrap();
        prop_assert_eq!(address.priority, Some(priority));
        prop_assert_eq!(address.place, RepositoryPlace::Web(format!("https://x/r/?{before}&{after}")));
    }
}
