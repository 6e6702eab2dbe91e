use super::*;

fn package(depends: &[&[&str]], provides: &[&str]) -> Package {
    let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    Package {
        file: "x.deb".into(),
        epoch: "1".into(),
        version: "2.0".into(),
        release: "3".into(),
        summary: "100% good".into(),
        depends: depends.iter().map(|names| own(names)).collect(),
        provides: own(provides),
    }
}

#[test]
fn a_dependency_takes_the_first_alternative_that_is_there() {
    let packages = BTreeMap::from([
        (
            "a".to_owned(),
            package(&[&["nowhere", "virtual"], &["b"], &["nowhere"], &["a"]], &[]),
        ),
        ("b".to_owned(), package(&[], &[])),
        ("c".to_owned(), package(&[], &["virtual"])),
    ]);
    let virtuals = virtual_packages(&packages);
    let found = requires("a", packages.get("a").unwrap(), &packages, &virtuals);
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["b", "c"]);
}

#[test]
fn the_spec_names_every_package_with_its_files() {
    let packages = BTreeMap::from([("gawk".to_owned(), package(&[], &["awk"]))]);
    let entries = vec![
        Entry {
            path: "/etc/gawk.conf".into(),
            is_directory: false,
        },
        Entry {
            path: "/usr/lib/100%".into(),
            is_directory: true,
        },
    ];
    let owned = BTreeMap::from([("gawk".to_owned(), entries)]);
    let staged = Staged {
        tree: "/tree".into(),
        owned,
        with_libraries: BTreeSet::new(),
    };
    let text = write(&packages, &staged);
    for line in [
        "%package -n gawk",
        "Epoch: 1",
        "Release: 3.1",
        "Summary: 100%% good",
        "AutoProv: no",
        "Provides: /usr/bin/awk",
        "%config(noreplace) \"/etc/gawk.conf\"",
        "%dir \"/usr/lib/100%%\"",
        "Requires: gcc",
    ] {
        assert!(text.lines().any(|found| found == line), "no line {line:?}");
    }
    assert_eq!(text.matches("Provides: awk").count(), 1);
}

#[test]
fn each_path_is_marked_as_what_it_is() {
    for (path, is_directory, expected) in [
        ("/usr/bin/[", false, "\"/usr/bin/[\"\n"),
        ("/usr/share/two words", false, "\"/usr/share/two words\"\n"),
        ("/usr/share/100%s", false, "\"/usr/share/100%%s\"\n"),
        ("/etc/x/y.conf", false, "%config(noreplace) \"/etc/x/y.conf\"\n"),
        ("/etc/x", true, "%dir \"/etc/x\"\n"),
        ("/etcetera", false, "\"/etcetera\"\n"),
    ] {
        let mut text = String::new();
        let path = path.to_owned();
        file(&mut text, &Entry { path, is_directory });
        assert_eq!(text, expected);
    }
}

#[test]
fn names_of_the_table_and_of_debian_are_provided_once_and_a_package_not_by_itself() {
    let of = |name: &str, theirs: &[&str]| {
        let found = provides(name, &package(&[], theirs));
        found.into_iter().collect::<Vec<_>>()
    };
    assert_eq!(of("xz-utils", &["lzma"]), ["lzma", "xz"]);
    assert_eq!(of("xz-utils", &["xz", "xz-utils"]), ["xz"]);
    assert_eq!(of("sed", &[]), [""; 0]);
    let first = BTreeMap::from(["b", "a"].map(|name| (name.to_owned(), package(&[], &["virtual"]))));
    assert_eq!(virtual_packages(&first), BTreeMap::from([("virtual", "a")]));
}
