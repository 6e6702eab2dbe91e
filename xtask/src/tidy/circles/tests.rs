use super::*;

fn found(files: &[(&str, &str)]) -> Vec<Vec<String>> {
    let sources = files
        .iter()
        .map(|(file, text)| Source::new(file, file, text))
        .collect();
    circles(&Crate::new(sources))
}

#[test]
fn two_files_that_import_each_other_are_a_circle() {
    let circle = found(&[
        ("lib.rs", "mod one;\nmod other;\n"),
        ("one.rs", "use crate::other::Other;\npub struct One;\n"),
        (
            "other.rs",
            "fn f() -> crate::one::One { todo() }\npub struct Other;\n",
        ),
    ]);
    assert_eq!(circle, [["one.rs", "other.rs"]]);
}

#[test]
fn a_longer_way_round_is_a_circle_as_well_and_who_only_leads_to_it_is_not_in_it() {
    let circle = found(&[
        ("a.rs", "use crate::b;"),
        ("b.rs", "use super::c::{self, C};"),
        ("c.rs", "use crate::{d::D};"),
        ("d.rs", "use crate::b::B;"),
    ]);
    assert_eq!(circle, [["b.rs", "c.rs", "d.rs"]]);
}

#[test]
fn a_module_and_its_children_may_know_each_other() {
    let family = [
        ("lib.rs", "pub use query::all;\nmod query;\n"),
        (
            "query.rs",
            "mod builds;\nmod users;\npub use builds::all;\npub(crate) fn page() { users::first() }\n",
        ),
        ("query/builds.rs", "use super::page;\n"),
        ("query/users.rs", "use crate::query::page;\npub fn first() {}\n"),
    ];
    assert_eq!(found(&family), Vec::<Vec<String>>::new());
}

#[test]
fn a_circle_that_leaves_the_family_through_a_child_is_one() {
    let circle = found(&[
        (
            "page/mod.rs",
            "mod home;\npub fn all() { home::show() }\npub fn mark() {}\n",
        ),
        ("page/home.rs", "use crate::lookup::find;\npub fn show() {}\n"),
        ("lookup.rs", "use crate::page::mark;\npub fn find() {}\n"),
    ]);
    assert_eq!(circle, [["lookup.rs", "page/home.rs", "page/mod.rs"]]);
}

#[test]
fn a_name_that_a_module_hands_on_leads_to_the_file_that_defines_it() {
    let files = [
        (
            "view/mod.rs",
            "mod build;\nmod package;\npub use build::{BuildView as Shown, url};\npub use package::*;\n",
        ),
        ("view/build.rs", "pub struct BuildView;\npub fn url() {}\n"),
        (
            "view/package.rs",
            "use super::Shown;\npub struct PackageView;\nuse crate::other::Other;\n",
        ),
        // It takes what `view/build.rs` defines, which imports nothing.
        ("other.rs", "use crate::view::{url, Shown};\npub struct Other;\n"),
    ];
    assert_eq!(found(&files), Vec::<Vec<String>>::new());
    let mut circle = files;
    circle[3].1 = "use crate::view::PackageView;\npub struct Other;\n";
    assert_eq!(found(&circle), [["other.rs", "view/package.rs"]]);
}

#[test]
fn a_path_through_a_module_that_was_brought_in_leads_to_its_child() {
    let circle = found(&[
        (
            "actions.rs",
            "use super::instances;\nuse std::fs;\npub fn all() { instances::run::run(); fs::read() }\n",
        ),
        ("instances/mod.rs", "pub mod run;\n"),
        ("instances/run.rs", "use crate::actions::all;\npub fn run() {}\n"),
    ]);
    assert_eq!(circle, [["actions.rs", "instances/run.rs"]]);
}

#[test]
fn comments_texts_and_tests_import_nothing() {
    let quiet = found(&[
        (
            "one.rs",
            "//! See crate::other::Other.\n/* crate::other */\nconst A: &str = \"crate::other::Other\";\n\
             const B: &str = r#\"use crate::other::Other; \"#;\nfn f<'a>(c: char) -> bool { c == '\"' }\n\
             #[cfg(test)]\nmod tests {\n    use crate::other::Other;\n}\npub struct One;\n",
        ),
        ("other.rs", "use crate::one::One;\npub struct Other;\n"),
    ]);
    assert_eq!(quiet, Vec::<Vec<String>>::new());
}

#[test]
fn tests_and_other_crates_are_no_sources() {
    assert!(is_source("api/src/http/error.rs", "api/"));
    for other in [
        "api/src/http/tests.rs",
        "api/tests/it/main.rs",
        "apis/src/lib.rs",
        "api/src/a.txt",
        "api/src/tests/x.rs",
    ] {
        assert!(!is_source(other, "api/"), "{other}");
    }
}

#[test]
fn each_circle_is_told_with_its_files() {
    let circles = [["a.rs", "b.rs"], ["c.rs", "d.rs"]].map(|pair| pair.map(str::to_owned).to_vec());
    assert_eq!(judge("Cargo.toml", &circles).len(), 2);
    assert!(judge("Cargo.toml", &[]).is_empty());
}
