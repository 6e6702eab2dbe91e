use proptest::prelude::*;

use super::{Manifest, ManifestEntry, ManifestLimits};

const DIGEST: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn parse(json: &str) -> Result<Manifest, String> {
    Manifest::parse(json.as_bytes(), &ManifestLimits::default()).map_err(|error| error.to_string())
}

fn entry(name: &str, size: u64) -> ManifestEntry {
    ManifestEntry {
        name: name.to_owned(),
        size,
        sha256: DIGEST.to_owned(),
    }
}

#[test]
fn a_manifest_is_read_and_sorted() {
    let manifest = parse(&format!(
        r#"[{{"name":"hello-1-1.x86_64.rpm","size":5,"sha256":"{DIGEST}"}},{{"name":"build.log","size":7,"sha256":"{DIGEST}","mode":33188}}]"#
    ))
    .unwrap();
    let names: Vec<&str> = manifest.entries().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["build.log", "hello-1-1.x86_64.rpm"]);
    assert_eq!(
        (manifest.len(), manifest.total_bytes(), manifest.is_empty()),
        (2, 12, false)
    );
    assert_eq!(manifest.get("build.log").map(|entry| entry.size), Some(7));
    assert_eq!(parse("[]").unwrap().len(), 0);
}

#[test]
fn a_hostile_manifest_is_refused_with_the_rule() {
    let cases = [
        ("[", "EOF"),
        ("{}", "expected"),
        (r#"[{"name":"a","size":-1,"sha256":""}]"#, "-1"),
        (
            r#"[{"name":"a","size":1,"sha256":"xyz"}]"#,
            "64 lower-case hex digits",
        ),
        (r#"[{"name":"a","size":1}]"#, "sha256"),
    ];
    for (json, words) in cases {
        let error = parse(json).unwrap_err();
        assert!(error.contains(words), "{json}: {error}");
    }
    let limits = ManifestLimits {
        files: 2,
        total_bytes: 10,
        manifest_bytes: 100,
    };
    let refused = |list: Vec<ManifestEntry>| Manifest::new(list, &limits).unwrap_err().to_string();
    assert!(refused(vec![entry("a", 1), entry("b", 1), entry("c", 1)]).contains("3 files"));
    assert!(refused(vec![entry("a", 6), entry("b", 5)]).contains("more than 10 bytes"));
    assert!(refused(vec![entry("a", u64::MAX), entry("b", u64::MAX)]).contains("more than 10 bytes"));
    assert!(refused(vec![entry("a", 1), entry("a", 1)]).contains("\"a\" twice"));
    assert!(
        Manifest::parse(&[b' '; 101], &limits)
            .unwrap_err()
            .to_string()
            .contains("101 bytes")
    );
}

#[test]
fn a_name_outside_of_the_grammar_of_files_is_refused_with_its_rule() {
    let limits = ManifestLimits::default();
    for (name, rule) in [
        ("../x", "must begin with"),
        ("a/b", "holds '/'"),
        ("a\nb", "holds '\\n'"),
        ("a..b", "two dots"),
        (&"a".repeat(244), "longer than 243 bytes"),
    ] {
        let error = Manifest::new(vec![entry(name, 1)], &limits)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("is not a valid file name") && error.contains(rule),
            "{error}"
        );
    }
    let longest = "a".repeat(243);
    let manifest = Manifest::new(vec![entry(&longest, 1), entry("x-1.0~rc1^git-1.rpm", 1)], &limits).unwrap();
    assert_eq!(manifest.len(), 2);
}

proptest! {
    #[test]
    fn any_bytes_as_a_manifest_give_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(manifest) = Manifest::parse(&bytes, &ManifestLimits::default()) {
            let root = std::path::Path::new("/results");
            prop_assert!(manifest.entries().all(|entry| root.join(&entry.name).parent() == Some(root)));
        }
    }
}
