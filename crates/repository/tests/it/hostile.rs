//! Damaged and hostile packages: refused with the right words, never a panic, and never more lenient than rpm.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use repository::{
    Error, PackageMetadata, read_package, read_source_rpm,
    testing::{forge, header_range, mend, number},
};

use crate::support::{build, is_source, run, simple, simple_spec, text};

fn rpm_accepts(path: &Path) -> bool {
    run("rpmkeys", &["--checksig", "--nosignature", text(path)])
        .status
        .success()
}

fn source(directory: &Path) -> PathBuf {
    build(directory, "hello", simple_spec("hello", "1"))
        .into_iter()
        .find(|path| is_source(path))
        .unwrap()
}

#[test]
fn a_source_package_is_read() {
    let temporary = tempfile::tempdir().unwrap();
    let spec = format!(
        "Epoch: 2\nExclusiveArch: x86_64 i686\nExcludeArch: s390x\nBuildRequires: make >= 4, (a or b)\n{}",
        simple_spec("hello", "1.2").replace("BuildArch: noarch\n", "")
    );
    let path = build(temporary.path(), "hello", spec)
        .into_iter()
        .find(|path| is_source(path))
        .unwrap();
    let package = read_source_rpm(&path).unwrap();
    assert_eq!(
        (package.name.as_str(), package.evr().as_str()),
        ("hello", "2:1.2-1")
    );
    assert_eq!(package.restrictions.exclusive_arch, ["x86_64", "i686"]);
    assert_eq!(package.restrictions.exclude_arch, ["s390x"]);
    assert_eq!(package.file_name(), "hello-1.2-1.src.rpm");
    assert_eq!(package.files, ["hello.spec"]);
    let needs: Vec<&str> = package
        .build_requires
        .iter()
        .map(|need| need.name.as_str())
        .collect();
    assert_eq!(needs, ["(a or b)", "make"]);
    for (chroot, is_built) in [
        ("x86_64", true),
        ("i386", true),
        ("aarch64", false),
        ("s390x", false),
    ] {
        assert_eq!(
            package.restrictions.objection(chroot).is_none(),
            is_built,
            "{chroot}"
        );
    }
}

#[test]
fn a_binary_package_is_not_a_source() {
    let temporary = tempfile::tempdir().unwrap();
    let path = simple(temporary.path(), "hello", "1");
    assert_eq!(read_package(&path).unwrap().nevra(), "hello-1-1.noarch");
    assert!(matches!(
        read_source_rpm(&path).unwrap_err(),
        Error::BinaryWhereSourceExpected { .. }
    ));
}

#[test]
fn what_is_not_a_package_is_told_by_its_first_bytes() {
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join("x.src.rpm");
    fs_err::write(&path, "<!DOCTYPE html>\n<p>Not found</p>").unwrap();
    let error = read_source_rpm(&path).unwrap_err();
    assert!(
        matches!(&error, Error::NotAnRpm { first, .. } if first.contains("<!DOCTYPE html>")),
        "{error}"
    );
    fs_err::write(&path, "").unwrap();
    assert!(matches!(
        read_source_rpm(&path).unwrap_err(),
        Error::NotAnRpm { .. }
    ));
    assert!(matches!(
        read_source_rpm(temporary.path()).unwrap_err(),
        Error::NotARegularFile { .. }
    ));
    let link = temporary.path().join("link.rpm");
    fs_err::os::unix::fs::symlink("/etc/passwd", &link).unwrap();
    assert!(matches!(
        read_source_rpm(&link).unwrap_err(),
        Error::NotARegularFile { .. }
    ));
    let missing = read_source_rpm(&temporary.path().join("none")).unwrap_err();
    assert!(
        matches!(missing, Error::Io(_)) && missing.to_string().contains("none"),
        "{missing}"
    );
}

#[test]
fn a_package_cut_anywhere_is_refused() {
    let temporary = tempfile::tempdir().unwrap();
    let path = source(temporary.path());
    let whole = fs_err::read(&path).unwrap();
    let cut = temporary.path().join("cut.src.rpm");
    for part in 0..50 {
        let length = whole.len() * part / 50;
        fs_err::write(&cut, &whole[..length]).unwrap();
        let error = read_source_rpm(&cut).unwrap_err();
        assert!(error.is_bad_package(), "{length} bytes: {error}");
        assert!(
            !rpm_accepts(&cut),
            "rpm refuses {length} of {} bytes too",
            whole.len()
        );
    }
    fs_err::write(&cut, &whole[..whole.len() - 1]).unwrap();
    let error = read_source_rpm(&cut).unwrap_err();
    assert!(matches!(error, Error::Truncated { .. }), "{error}");
    fs_err::write(&cut, [whole.as_slice(), b"more"].concat()).unwrap();
    assert!(read_source_rpm(&cut).unwrap_err().is_bad_package());
}

#[test]
fn a_changed_byte_is_refused_wherever_rpm_refuses_it() {
    let temporary = tempfile::tempdir().unwrap();
    let path = source(temporary.path());
    let whole = fs_err::read(&path).unwrap();
    let changed = temporary.path().join("changed.src.rpm");
    let (mut refused, mut accepted) = (0, 0);
    // Every byte of the lead, the two intros and the first index entries, then steps through the rest.
    let places = (0..400).chain((400..whole.len()).step_by(37));
    for place in places {
        let mut bytes = whole.clone();
        bytes[place] ^= 0x41;
        fs_err::write(&changed, &bytes).unwrap();
        match read_package(&changed) {
            Ok(_) => {
                accepted += 1;
                assert!(
                    rpm_accepts(&changed),
                    "rpm refuses the package with byte {place} changed, and we do not"
                );
            }
            Err(error) => {
                refused += 1;
                assert!(error.is_bad_package(), "byte {place}: {error}");
            }
        }
    }
    assert!(
        refused > accepted && accepted > 0,
        "{refused} refused, {accepted} accepted"
    );
}

#[test]
fn counts_that_promise_gigabytes_are_refused_at_once() {
    let temporary = tempfile::tempdir().unwrap();
    let whole = fs_err::read(source(temporary.path())).unwrap();
    let path = temporary.path().join("large.src.rpm");
    // The signature header's counts stand after the lead's 96 bytes, its magic and a reserved word.
    for (at, value) in [
        (104, u32::MAX),
        (104, 0),
        (108, u32::MAX),
        (108, 64 << 20),
        (104, 0xffff),
    ] {
        let mut bytes = whole.clone();
        bytes[at..at + 4].copy_from_slice(&value.to_be_bytes());
        fs_err::write(&path, &bytes).unwrap();
        let error = read_source_rpm(&path).unwrap_err();
        assert!(
            matches!(error, Error::TooLarge { .. } | Error::Truncated { .. }),
            "{at} {value}: {error}"
        );
    }
}

#[test]
fn a_name_that_is_too_long_as_a_whole_is_refused_though_each_part_is_short_enough() {
    let temporary = tempfile::tempdir().unwrap();
    let name = "n".repeat(100);
    for (release, is_taken) in [("1".repeat(132), true), ("1".repeat(133), false)] {
        // NAME-1-RELEASE.src.rpm: 243 and 244 bytes.
        let spec = simple_spec(&name, "1").replace("Release: 1", &format!("Release: {release}"));
        let path = build(temporary.path(), &release, spec)
            .into_iter()
            .find(|path| is_source(path))
            .unwrap();
        match read_source_rpm(&path) {
            Ok(package) => assert!(is_taken && package.file_name().len() == 243),
            Err(error) => {
                assert!(!is_taken && error.is_bad_package());
                assert!(
                    error.to_string().ends_with("it is longer than 243 bytes"),
                    "{error}"
                );
            }
        }
    }
}

#[test]
fn names_that_would_break_out_of_a_directory_are_refused() {
    let temporary = tempfile::tempdir().unwrap();
    let whole = fs_err::read(source(temporary.path())).unwrap();
    let path = temporary.path().join("forged.src.rpm");
    for name in [
        "a/b/c",
        "../..",
        "a..bc",
        ".hell",
        "-hell",
        "he lo",
        "hel\n1",
        "\x1b[31m",
        "h\0llo",
        "<x/>&",
        "he%2f",
        "h\u{e9}ll",
    ] {
        let mut forged = name.as_bytes().to_vec();
        forged.resize(5, b'!');
        fs_err::write(
            &path,
            forge(&whole, b"\0hello\0", &[b"\0", forged.as_slice(), b"\0"].concat()),
        )
        .unwrap();
        match read_source_rpm(&path) {
            Err(Error::BadName {
                field: "name", value, ..
            }) => assert!(!value.is_empty()),
            // A NUL ends the name, and what is left of it is harmless.
            other => assert_eq!(
                other.map(|package| package.name).ok(),
                name.split_once('\0').map(|name| name.0.to_owned()),
                "{name:?}"
            ),
        }
    }
    fs_err::write(&path, forge(&whole, b"\0hello\0", b"\0hallo\0")).unwrap();
    assert_eq!(
        read_source_rpm(&path).unwrap().name,
        "hallo",
        "the forgery itself is sound"
    );
    assert!(rpm_accepts(&path));
    // The same without any digest of the header.
    let mut without = forge(&whole, b"\0hello\0", b"\0hallo\0");
    for entry in (112..112 + number(&without, 104) * 16).step_by(16) {
        if [269, 273].contains(&number(&without, entry)) {
            without[entry..entry + 4].copy_from_slice(&9_998_u32.to_be_bytes());
        }
    }
    fs_err::write(&path, without).unwrap();
    assert!(matches!(
        read_source_rpm(&path).unwrap_err(),
        Error::NoDigest { part: "header", .. }
    ));
}

/// The tag for whose type rpm refuses a package; nothing when rpm takes it.
fn rpm_refuses_type(path: &Path) -> Option<u32> {
    let output = run("rpmkeys", &["--checksig", "--nosignature", text(path)]);
    if output.status.success() {
        return None;
    }
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    let tag = words
        .split("BAD, tag ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next()?.parse().ok());
    Some(tag.unwrap_or_else(|| panic!("rpm refuses a package, and we do not: {words}")))
}

#[test]
fn a_header_changed_anywhere_with_right_digests_never_panics_and_gives_sound_metadata() {
    let temporary = tempfile::tempdir().unwrap();
    let spec = simple_spec("hello", "1").replace(
        "BuildArch",
        "Requires: a >= 1:2-3, libc.so.6(GLIBC_2.4)(64bit)\nObsoletes: b < 2\nRecommends: (x or y)\nBuildArch",
    ) + "%changelog\n* Wed Jan 14 2026 Ann <a@example.org> - 1-1\n- one\n";
    let path = build(temporary.path(), "hello", spec)
        .into_iter()
        .find(|path| !is_source(path))
        .unwrap();
    let whole = fs_err::read(path).unwrap();
    let header = header_range(&whole);
    let changed = temporary.path().join("changed.rpm");
    let (mut refused, mut accepted, mut lenient) = (0, 0, BTreeSet::new());
    for place in header.clone() {
        for value in [0, 0xff, whole[place] ^ 1, whole[place].wrapping_add(16)] {
            let mut bytes = whole.clone();
            bytes[place] = value;
            mend(&mut bytes, header.clone());
            fs_err::write(&changed, &bytes).unwrap();
            match read_package(&changed) {
                Ok(package) => {
                    accepted += 1;
                    if place % 11 == 0
                        && let Some(tag) = rpm_refuses_type(&changed)
                    {
                        lenient.insert(tag);
                    }
                    let metadata = PackageMetadata::new(&package, "x/hello.rpm");
                    let xml = format!(
                        "<x xmlns:rpm=\"r\">{}{}{}</x>",
                        metadata.primary, metadata.filelists, metadata.other
                    );
                    let mut reader = quick_xml::Reader::from_str(&xml);
                    while !matches!(reader.read_event().unwrap(), quick_xml::events::Event::Eof) {}
                }
                Err(error) => {
                    refused += 1;
                    assert!(error.is_bad_package(), "byte {place} = {value}: {error}");
                }
            }
        }
    }
    // rpm knows the types of all tags, we those of the tags that we read.
    let unread = BTreeSet::from([1021, 1024, 1064, 1094, 1096, 1122, 1127]);
    assert!(
        lenient.is_subset(&unread),
        "rpm refuses a type, and we do not: {lenient:?}"
    );
    assert!(
        refused > 100 && accepted > 100,
        "{refused} refused, {accepted} accepted"
    );
}
