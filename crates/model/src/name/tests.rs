use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// The builder's copy of the grammar.
const COPY: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../provision-files/builder/verdigris_builder/names.py"
);

#[derive(serde::Deserialize)]
struct Examples {
    good: Vec<String>,
    bad: Vec<String>,
}

/// The examples on both sides of each limit, which the builder's tests read too. `{x*64}` stands for 64 letters.
fn examples() -> BTreeMap<String, Examples> {
    let text = include_str!("../../../../provision-files/builder/tests/names.json");
    serde_json::from_str(text).unwrap()
}

fn expanded(text: &str) -> String {
    let Some((before, rest)) = text.split_once('{') else {
        return text.to_owned();
    };
    let (repeat, after) = rest.split_once('}').unwrap();
    let (letter, times) = repeat.split_once('*').unwrap();
    let repeated = letter.repeat(times.parse().unwrap());
    format!("{before}{repeated}{}", expanded(after))
}

const ALL: [Grammar; 11] = [
    Grammar::Owner,
    Grammar::Project,
    Grammar::Directory,
    Grammar::Package,
    Grammar::Version,
    Grammar::Architecture,
    Grammar::Pool,
    Grammar::Chroot,
    Grammar::File,
    Grammar::Repository,
    Grammar::Installable,
];

#[test]
fn each_grammar_takes_its_good_examples_and_refuses_its_bad_ones() {
    let examples = examples();
    assert_eq!(examples.len(), ALL.len(), "one list of examples for each grammar");
    for grammar in ALL {
        let list = &examples[grammar.label()];
        assert!(!list.good.is_empty() && !list.bad.is_empty(), "{grammar:?}");
        for good in list.good.iter().map(|text| expanded(text)) {
            assert_eq!(grammar.check(&good), Ok(()), "{grammar:?} {good:?}");
        }
        for bad in list.bad.iter().map(|text| expanded(text)) {
            assert!(grammar.check(&bad).is_err(), "{grammar:?} takes {bad:?}");
        }
    }
}

#[test]
fn the_builders_copy_is_the_one_that_this_grammar_makes() {
    if std::env::var_os("VERDIGRIS_BLESS").is_some() {
        std::fs::write(COPY, python::module()).unwrap();
    }
    assert!(
        std::fs::read_to_string(COPY).unwrap_or_default() == python::module(),
        "names.py is not what the grammar makes: run `cargo xtask names`"
    );
}

#[test]
fn a_file_name_leaves_room_for_every_suffix_of_a_file_that_is_written() {
    let longest = "x".repeat(FILE.longest);
    assert!(Grammar::File.check(&longest).is_ok());
    assert_eq!(longest.len() + TEMPORARY.len(), FILE_SYSTEM);
}

#[test]
fn the_longest_names_fit_into_what_is_made_of_them() {
    // A build's directory is named by its number, a dash and its package.
    assert!(i64::MAX.to_string().len() + 1 + PACKAGE.longest <= FILE_SYSTEM);
    // dnf names files by the id of a repository and `-filenames.solvx.XXXXXX`. A group's owner begins with `group_` there.
    let host = "h".repeat(35);
    let owner = format!("group_{}", "o".repeat(OWNER.longest));
    let id = format!("copr:{host}:{owner}:{}", "d".repeat(DIRECTORY));
    assert!(
        id.len() + "-filenames.solvx.XXXXXX".len() <= FILE_SYSTEM,
        "{}",
        id.len()
    );
}

#[test]
fn the_error_names_the_kind_the_text_and_the_rule() {
    for (name, grammar, told) in [
        (
            "a/b",
            Grammar::Project,
            "`a/b` is not a valid project name: it holds '/'; letters and digits of ASCII are allowed, and . _ -",
        ),
        (
            "+plus",
            Grammar::Project,
            "`+plus` is not a valid project name: it must begin with a letter, a digit or _",
        ),
        ("", Grammar::Owner, "`` is not a valid owner name: it is empty"),
        (
            "fedora",
            Grammar::Chroot,
            "`fedora` is not a valid chroot name: it must be NAME-RELEASE-ARCHITECTURE, such as fedora-43-x86_64",
        ),
        (
            "a..b",
            Grammar::File,
            "`a..b` is not a valid file name: it must not hold two dots in a row",
        ),
    ] {
        assert_eq!(grammar.check(name).unwrap_err().to_string(), told);
    }
    let long = Grammar::File.check(&"x".repeat(300)).unwrap_err();
    assert_eq!(long.why(), "it is longer than 243 bytes");
    assert!(long.to_string().len() < 200, "{long}");
}

#[test]
fn a_chroot_has_three_parts_and_its_name_may_hold_dashes() {
    let chroot: ChrootName = "centos-stream-9-x86_64".parse().unwrap();
    assert_eq!(chroot.parts(), ("centos-stream", "9", "x86_64"));
    assert_eq!(chroot.name_release(), "centos-stream-9");
}

#[test]
fn each_rule_is_told_in_words_that_fit_the_kind() {
    for (name, grammar, why) in [
        ("", Grammar::Directory, "it is empty"),
        (
            "demo:",
            Grammar::Directory,
            "nothing stands before or behind one of its colons",
        ),
        (
            ":pr",
            Grammar::Directory,
            "nothing stands before or behind one of its colons",
        ),
        (
            "demo:pr::7",
            Grammar::Directory,
            "nothing stands before or behind one of its colons",
        ),
        ("12:pr", Grammar::Directory, "it must not be a number"),
        ("12", Grammar::Project, "it must not be a number"),
        ("@", Grammar::Owner, "it is empty"),
        ("@@a", Grammar::Owner, "it must begin with a letter, a digit or _"),
        (
            "-x",
            Grammar::Repository,
            "it must begin with a letter or a digit",
        ),
        (
            "-x",
            Grammar::Installable,
            "it must begin with a letter, a digit or one of @ / _",
        ),
        (
            "-1",
            Grammar::Version,
            "it must begin with a letter, a digit or one of . _ + ~ ^",
        ),
        (
            "x86-64",
            Grammar::Architecture,
            "it holds '-'; letters and digits of ASCII are allowed, and _",
        ),
        ("é", Grammar::Package, "it must begin with a letter, a digit or _"),
        (
            "cafe\u{301}",
            Grammar::Package,
            "it holds '\\u{301}'; letters and digits of ASCII are allowed, and . _ + -",
        ),
        (
            "a\nb",
            Grammar::File,
            "it holds '\\n'; letters and digits of ASCII are allowed, and . _ + ~ ^ -",
        ),
        (
            "fedora-43-",
            Grammar::Chroot,
            "it must be NAME-RELEASE-ARCHITECTURE, such as fedora-43-x86_64",
        ),
        (
            "fedora--x86_64",
            Grammar::Chroot,
            "it must be NAME-RELEASE-ARCHITECTURE, such as fedora-43-x86_64",
        ),
    ] {
        assert_eq!(
            grammar.check(name).unwrap_err().why(),
            why,
            "{grammar:?} {name:?}"
        );
    }
}

#[test]
fn the_longest_name_of_each_kind_is_taken_and_told_when_it_is_one_byte_too_long() {
    for grammar in ALL {
        let longest = match grammar {
            Grammar::Owner => format!("@{}", "x".repeat(grammar.longest() - 1)),
            Grammar::Directory => format!("{}:{}", "x".repeat(100), "y".repeat(grammar.longest() - 101)),
            Grammar::Chroot => format!("{}-1-x86_64", "x".repeat(grammar.longest() - "-1-x86_64".len())),
            _ => "x".repeat(grammar.longest()),
        };
        assert_eq!(longest.len(), grammar.longest(), "{grammar:?}");
        assert_eq!(grammar.check(&longest), Ok(()), "{grammar:?}");
        let over = grammar.check(&format!("{longest}z")).unwrap_err();
        assert!(
            over.why().starts_with("it is longer than "),
            "{grammar:?}: {over}"
        );
    }
}

#[test]
fn a_name_from_anywhere_cannot_fill_or_forge_a_line_of_a_log() {
    let said = Grammar::Project
        .check("a\nERROR all is lost\u{1b}[2J")
        .unwrap_err()
        .to_string();
    assert!(!said.contains(char::is_control), "{said:?}");
    let (fits, too_long) = ("ö".repeat(80), "ö".repeat(81));
    let said = Grammar::Project.check(&fits).unwrap_err().to_string();
    assert!(said.starts_with(&format!("`{fits}` is not")), "{said}");
    let said = Grammar::Project.check(&too_long).unwrap_err().to_string();
    assert!(said.starts_with(&format!("`{fits}…` is not")), "{said}");
}

#[test]
fn names_are_texts_in_files_and_checked_there_too() {
    let owner: OwnerName = serde_json::from_str("\"@group\"").unwrap();
    assert_eq!(serde_json::to_string(&owner).unwrap(), "\"@group\"");
    assert!(serde_json::from_str::<ProjectName>("\"a/b\"").is_err());
    assert!(
        serde_json::from_str::<PoolName>("7").is_err(),
        "a number is no text"
    );
    for (directory, main) in [("demo", "demo"), ("demo:pr", "demo"), ("demo:pr:7", "demo")] {
        let directory: DirectoryName = directory.parse().unwrap();
        assert_eq!(directory.main().as_str(), main);
        assert!(directory.main().as_str().parse::<ProjectName>().is_ok());
    }
}

proptest! {
    #[test]
    fn an_accepted_name_is_one_path_component(text in "\\PC{0,40}|[a-z./~:@+-]{0,12}") {
        for grammar in ALL.into_iter().filter(|grammar| *grammar != Grammar::Installable) {
            // A version stands inside a file's name, never alone.
            let name = if grammar == Grammar::Version { format!("x-{text}") } else { text.clone() };
            if grammar.check(&text).is_ok() {
                let path = std::path::Path::new(&name);
                prop_assert_eq!(path.components().count(), 1);
                let is_normal = matches!(path.components().next(), Some(std::path::Component::Normal(_)));
                prop_assert!(is_normal);
            }
        }
    }

    #[test]
    fn a_chroot_is_its_three_words_again(name in "[a-z]{1,8}(-[a-z]{1,8}){0,2}", release in "[0-9a-z.]{1,6}", architecture in "[a-z0-9_]{1,8}") {
        let text = format!("{name}-{release}-{architecture}");
        if let Ok(chroot) = text.parse::<ChrootName>() {
            prop_assert_eq!(chroot.parts(), (name.as_str(), release.as_str(), architecture.as_str()));
            prop_assert_eq!(chroot.name_release(), format!("{name}-{release}"));
            prop_assert_eq!(chroot.architecture(), architecture);
        } else {
            prop_assert!(release.starts_with('.') || release.contains("..") || architecture.starts_with('_'), "{}", text);
        }
    }
}
