use super::*;

fn path(text: &str) -> Path {
    text.split("::")
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_file_is_the_module_that_its_path_says() {
    for (file, module) in [
        ("lib.rs", ""),
        ("main.rs", ""),
        ("query.rs", "query"),
        ("query/mod.rs", "query"),
        ("query/builds.rs", "query::builds"),
        ("query/main.rs", "query"),
        ("modern.rs", "modern"),
    ] {
        assert_eq!(module_of(file), path(module), "{file}");
    }
}

#[test]
fn comments_and_literals_are_no_code() {
    for (text, code) in [
        ("a // b\nc", "a  \nc"),
        ("a /// b", "a  "),
        ("a /* b\n */ c", "a   c"),
        ("a /* b", "a  "),
        (r#"f("a\"b") + g"#, "f( ) + g"),
        (r##"f(r"a\") + g"##, "f( ) + g"),
        (r###"f(r##"a"# b"##) + g"###, "f( ) + g"),
        (r#"f(b"a")"#, "f(b )"),
        (r"m('a', '\'', '\u{e9}', '/')", "m( ,  ,  ,  )"),
        (
            "fn f<'a>(x: &'a str) -> &'static str",
            "fn f<'a>(x: &'a str) -> &'static str",
        ),
        ("let r#type = 1", "let r#type = 1"),
        ("'é' ü", "  ü"),
        ("\"open", " "),
    ] {
        assert_eq!(code_only(text), code, "{text}");
    }
}

#[test]
fn a_tree_of_use_brings_in_each_name_with_its_path() {
    for (tree, expected) in [
        ("crate::a::B", vec![("B", "crate::a::B")]),
        ("crate::a::B as C", vec![("C", "crate::a::B")]),
        ("std::io::Read as _", vec![("_", "std::io::Read")]),
        ("super::*", vec![("*", "super")]),
        (
            "crate::{\n    a::{self, B, c::{D, E}},\n    f::*,\n}",
            vec![
                ("a", "crate::a"),
                ("B", "crate::a::B"),
                ("D", "crate::a::c::D"),
                ("E", "crate::a::c::E"),
                ("*", "crate::f"),
            ],
        ),
        ("super::x::{self as y, }", vec![("y", "super::x")]),
        ("{a, b::c}", vec![("a", "a"), ("c", "b::c")]),
    ] {
        let expected: Vec<_> = expected
            .into_iter()
            .map(|(name, whole)| (name.to_owned(), path(whole)))
            .collect();
        assert_eq!(flatten(tree), expected, "{tree}");
    }
}

#[test]
fn a_use_declaration_is_a_word_of_its_own() {
    for (code, expected) in [
        ("pub use a;b", Some(("pub ", "a", "b"))),
        ("fn f() {} use a::b; c", Some(("fn f() {} ", "a::b", " c"))),
        ("let reuse = a; use b;", Some(("let reuse = a; ", "b", ""))),
        ("reuse a;", None),
        ("use unfinished", None),
        ("", None),
    ] {
        assert_eq!(next_use(code), expected, "{code}");
    }
}

#[test]
fn modules_for_tests_only_are_left_out() {
    for (code, kept) in [
        ("a\n#[cfg(test)]\nmod tests {\n    b\n}\nc\n", "a\nc\n"),
        // The file of such a module is left out by its name.
        (
            "a\n#[cfg(test)]\nmod tests;\nfn b() {\n}\nc\n",
            "a\nmod tests;\nfn b() {\n}\nc\n",
        ),
        ("#[cfg(test)]\nfn only() {\n}\nc\n", "fn only() {\n}\nc\n"),
        (
            "#[cfg(test)]\nmod one {\n}\na\n#[cfg(test)]\nmod two {\n}\nb\n",
            "a\nb\n",
        ),
    ] {
        assert_eq!(without_tests(code), kept, "{code}");
    }
}

#[test]
fn paths_and_definitions_are_found_in_code() {
    let code = "pub(crate) const fn a() -> b::C { crate::d::e::<F>(); ::std::f() } struct G; enum H {}\n\
                macro_rules! i { () => {} } type J = super::K; static L: u8 = x.m; union N {} trait O {}";
    let found = paths(code);
    assert_eq!(
        found,
        [path("b::C"), path("crate::d::e"), path("super::K")],
        "an outer path, `::std`, is another crate's"
    );
    let names = defined(code);
    for name in ["a", "G", "H", "i", "J", "L", "N", "O"] {
        assert!(names.contains(name), "{name}");
    }
    assert!(!names.contains("C") && !names.contains("x"), "{names:?}");
}

/// The imports between made-up files.
fn arrows(files: &[(&str, &str)]) -> Vec<String> {
    let sources = files.iter().map(|(file, text)| Source::new(file, file, text));
    let krate = Crate::new(sources.collect());
    let arrows = krate.arrows().into_iter();
    arrows.map(|(from, to)| format!("{from} -> {to}")).collect()
}

#[test]
fn a_path_leads_to_the_file_that_defines_its_last_name() {
    const SHARED: &[(&str, &str)] = &[
        ("lib.rs", "mod a;\nmod b;\npub use a::A;\npub fn root() {}\n"),
        (
            "a.rs",
            "mod deep;\npub use deep::*;\npub use deep::Deep as Renamed;\npub struct A;\n",
        ),
        ("a/deep.rs", "pub struct Deep;\n"),
    ];
    for (text, expected) in [
        ("use crate::A;", &["b.rs -> a.rs"][..]),
        ("use super::root;", &["b.rs -> lib.rs"]),
        ("use crate::a::Deep;", &["b.rs -> a/deep.rs"]),
        ("use crate::a::Renamed;", &["b.rs -> a/deep.rs"]),
        (
            "use crate::a::deep;\nfn f() { deep::Deep; }",
            &["b.rs -> a/deep.rs"],
        ),
        ("use crate::a as other;\nfn f() { other::A; }", &["b.rs -> a.rs"]),
        ("fn f() { crate::a::nobody_defines_it(); }", &["b.rs -> a.rs"]),
        ("fn f() { self::g(); }\nfn g() {}", &[]),
        ("use std::a::A;\nfn f() { serde::b(); }", &[]),
        ("#[cfg(test)]\nmod tests {\n    use crate::a::A;\n}\n", &[]),
    ] {
        let mut files = SHARED.to_vec();
        files.push(("b.rs", text));
        let found = arrows(&files);
        let found: Vec<_> = found.iter().filter(|arrow| arrow.starts_with("b.rs")).collect();
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn names_that_modules_hand_to_each_other_for_ever_are_given_up() {
    let found = arrows(&[
        ("a.rs", "pub use crate::b::X;\n"),
        ("b.rs", "pub use crate::a::X;\n"),
    ]);
    assert_eq!(found, ["a.rs -> b.rs", "b.rs -> a.rs"]);
}
