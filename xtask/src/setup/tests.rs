use super::*;
use crate::process::tests::program;

#[test]
fn only_packages_that_are_wholly_installed_count() {
    let found = parse_installed("rpm installed\ndnf config-files\ngcc half-installed\nmake installed\n\n");
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["make", "rpm"]);
}

#[test]
fn the_clients_that_tests_run_are_among_the_python_packages() {
    for wanted in [
        "ansible-core",
        "apache-libcloud",
        "awscli",
        "boto3",
        "copr",
        "copr-cli",
        "moto",
    ] {
        assert!(
            REQUIREMENTS.contains(&format!("\n{wanted}==")),
            "{wanted} is not listed"
        );
    }
}

fn cache() -> (tempfile::TempDir, Cache) {
    let place = tempfile::tempdir().unwrap();
    let cache = Cache::at(place.path()).unwrap();
    (place, cache)
}

/// A system that has all.
fn complete() -> Found {
    Found {
        packages: PACKAGES
            .iter()
            .chain(TEST_PACKAGES)
            .map(|name| (*name).to_owned())
            .collect(),
        nextest: true,
        without_ids: None,
        python: true,
        collection: true,
        node: true,
    }
}

/// Takes something away from a system.
type Loss = fn(&mut Found);

#[test]
fn what_is_missing_is_what_the_purpose_needs_and_the_system_lacks() {
    let (_place, cache) = cache();
    let venv = || Missing::Python(cache.path("venv"));
    let node = || Missing::Node(cache.path("node"));
    let cases: [(Loss, Vec<Missing>, Vec<Missing>); 7] = [
        (|_| (), vec![], vec![]),
        (
            |found| found.packages.retain(|name| name != "dnf" && name != "zstd"),
            vec![Missing::Packages(vec!["dnf", "zstd"])],
            vec![Missing::Packages(vec!["dnf", "zstd"])],
        ),
        (
            |found| found.packages.retain(|name| name != "postgresql"),
            vec![],
            vec![Missing::Packages(vec!["postgresql"])],
        ),
        (|found| found.nextest = false, vec![], vec![Missing::Nextest]),
        (
            |found| found.collection = false,
            vec![],
            vec![Missing::Collection],
        ),
        (|found| found.node = false, vec![], vec![node()]),
        (
            |found| {
                found.without_ids = Some("anna".to_owned());
                found.python = false;
            },
            vec![Missing::SubordinateIds("anna".to_owned()), venv()],
            vec![Missing::SubordinateIds("anna".to_owned()), venv()],
        ),
    ];
    for (lose, of_farm, of_tests) in cases {
        let mut found = complete();
        lose(&mut found);
        assert_eq!(missing(&cache, Purpose::Farm, &found), of_farm, "{found:?}");
        assert_eq!(missing(&cache, Purpose::Tests, &found), of_tests, "{found:?}");
    }
    let nothing = Found {
        packages: BTreeSet::new(),
        nextest: false,
        without_ids: Some("anna".to_owned()),
        python: false,
        collection: false,
        node: false,
    };
    let all = missing(&cache, Purpose::Tests, &nothing);
    let [Missing::Packages(names), .., Missing::Collection, last] = &*all else {
        panic!("the collection is unpacked by the Python that is made before: {all:?}")
    };
    assert_eq!(
        (names.len(), all.len()),
        (PACKAGES.len() + TEST_PACKAGES.len(), 6)
    );
    assert_eq!(last, &node(), "Node.js comes with the Python packages");
}

#[test]
fn a_person_is_told_what_to_type() {
    for (missing, commands) in [
        (
            Missing::Packages(vec!["rpm", "dnf"]),
            &[
                "SUDO apt-get update",
                "SUDO apt-get install --yes --no-install-recommends rpm dnf",
            ][..],
        ),
        (
            Missing::SubordinateIds("anna".to_owned()),
            &["SUDO usermod --add-subuids 100000-165535 --add-subgids 100000-165535 anna"],
        ),
        (
            Missing::Python("/c/venv".into()),
            &[
                "/usr/bin/python3 -m venv /c/venv",
                "/c/venv/bin/pip install --requirement xtask/python-requirements.txt",
            ],
        ),
        (
            Missing::Node("/c/node".into()),
            &[
                "mkdir -p /c/node && cp xtask/node/package*.json /c/node",
                "npm ci --prefix /c/node",
            ],
        ),
        (
            Missing::Nextest,
            &["cargo install --locked cargo-nextest --version 0.9.143"],
        ),
        (
            Missing::Collection,
            &[
                "cargo xtask setup    # ansible_collections/amazon/aws/ out of the Python package ansible==12.3.0",
            ],
        ),
    ] {
        for (is_root, sudo) in [(true, ""), (false, "sudo ")] {
            let commands: Vec<_> = commands.iter().map(|line| line.replace("SUDO ", sudo)).collect();
            assert_eq!(missing.commands(is_root), commands);
        }
    }
    let root = crate::workspace::root().unwrap();
    for file in [
        "python-requirements.txt",
        "node/package.json",
        "node/package-lock.json",
    ] {
        assert!(
            root.join("xtask").join(file).is_file(),
            "{file} is named to a person"
        );
    }
}

#[test]
fn a_range_of_ids_belongs_to_the_user_of_its_line() {
    for (ranges, has) in [
        ("root:1:1\nanna:100000:65536\n", true),
        ("annabel:100000:65536\n", false),
        ("bob:anna:65536\n", false),
        ("", false),
    ] {
        assert_eq!(names_user(ranges, "anna"), has, "{ranges}");
    }
}

#[test]
fn the_test_runner_of_the_cache_is_taken_where_the_path_has_none() {
    let (_place, cache) = cache();
    let ours = cache.path("tools/bin/cargo-nextest");
    program(&ours, "#!/bin/sh\n");
    let found = nextest(&cache);
    assert_eq!(found, find("cargo-nextest").or(Some(ours)));
}

#[test]
fn of_the_collections_the_one_is_unpacked_and_loaded_once() {
    let (_place, cache) = cache();
    // pip downloads a package; what it downloads is a zip archive.
    program(
        &python_tool(&cache, "python3"),
        "#!/bin/sh
[ \"$1\" = -c ] && exec /usr/bin/python3 \"$@\"
while [ \"$1\" != --dest ]; do shift; done
mkdir \"$2\"
echo \"$3\" >>\"$(dirname \"$0\")/loaded\"
exec /usr/bin/python3 - \"$2/ansible.whl\" <<END
import sys, zipfile
with zipfile.ZipFile(sys.argv[1], 'w') as package:
    package.writestr('ansible_collections/amazon/aws/plugins/ec2.py', 'wanted')
    package.writestr('ansible_collections/amazon/cloud/other.py', 'not wanted')
END
",
    );
    fs_err::create_dir(cache.path("collections.loaded")).unwrap();
    for _ in 0..2 {
        install_collection(&cache).unwrap();
        assert!(collection_mark(&cache).ends_with("ansible-12.3.0") && collection_mark(&cache).exists());
    }
    let amazon = cache.path("collections/ansible_collections/amazon");
    assert_eq!(
        fs_err::read_to_string(amazon.join("aws/plugins/ec2.py")).unwrap(),
        "wanted"
    );
    assert!(!amazon.join("cloud").exists());
    assert!(!cache.path("collections.loaded").exists());
    let loaded = fs_err::read_to_string(python_tool(&cache, "loaded")).unwrap();
    assert_eq!(loaded, "ansible==12.3.0\n", "once");
}

#[test]
fn node_packages_are_there_when_all_of_them_are() {
    let (_place, cache) = cache();
    let directory = cache.path("node");
    let npm = python_tool(&cache, "npm");
    program(&npm, "#!/bin/sh\necho half of them\nexit 1\n");
    install_node(&cache, &directory).unwrap_err();
    assert!(!has_node_packages(&directory), "npm failed");
    program(
        &npm,
        "#!/bin/sh\n[ \"$1\" = ci ] && cat \"$7/package-lock.json\" && command -v npm\n",
    );
    install_node(&cache, &directory).unwrap();
    assert!(has_node_packages(&directory));
    let log = fs_err::read_to_string(cache.path("node.log")).unwrap();
    assert!(
        log.contains(NODE_LOCK),
        "npm finds the list of versions in its directory"
    );
    assert!(
        log.ends_with(&format!("{}\n", npm.display())),
        "and itself first in PATH"
    );
    fs_err::write(directory.join(NODE_INSTALLED), "an older list").unwrap();
    assert!(!has_node_packages(&directory));
}
