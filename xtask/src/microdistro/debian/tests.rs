use super::*;

#[test]
fn versions_are_split_as_rpm_wants_them() {
    for (debian, rpm) in [
        ("1:4.13+dfsg1-1+deb12u2", ["1", "4.13+dfsg1", "1+deb12u2"]),
        ("12.2.0-14", ["0", "12.2.0", "14"]),
        ("2.0-rc1-3", ["0", "2.0.rc1", "3"]),
        ("8.20", ["0", "8.20", "0"]),
        ("5.2.15-2+b13", ["0", "5.2.15", "2+b13"]),
        ("1.0~beta1-0.1~exp1", ["0", "1.0~beta1", "0.1~exp1"]),
        ("2:1:0-1", ["2", "1.0", "1"]),
    ] {
        let (epoch, version, release) = convert_version(debian);
        assert_eq!([epoch, version, release], rpm, "{debian}");
    }
}

#[test]
fn dependencies_lose_versions_and_architectures_and_keep_alternatives() {
    for (text, expected) in [
        ("libc6 (>= 2.34), perl:any", vec![vec!["libc6"], vec!["perl"]]),
        ("awk | gawk (>= 1) [amd64]", vec![vec!["awk", "gawk"]]),
        ("x <!nocheck>,", vec![vec!["x"]]),
        ("a(= 1),b[i386]|c", vec![vec!["a"], vec!["b", "c"]]),
        ("a,\n b,\n c", vec![vec!["a"], vec!["b"], vec!["c"]]),
        ("", vec![]),
        (" , ", vec![]),
    ] {
        assert_eq!(parse_relation(text), expected, "{text}");
    }
}

#[test]
fn fields_keep_their_colons_and_a_stray_line_is_nobodys() {
    let fields =
        parse_fields(" before all\nHomepage: https://example.org/a:b\nno field\nEmpty:\n\tgoes on\n");
    let found: Vec<_> = fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(
        found,
        [("Empty", "\ngoes on"), ("Homepage", "https://example.org/a:b")]
    );
}

#[test]
fn a_package_without_a_version_is_none() {
    let error = read_one("x.deb".into(), &parse_fields("Package: x\n")).unwrap_err();
    assert_eq!(error.to_string(), "no version");
    let fields =
        parse_fields("Package: x\nVersion: 1-2\nPre-Depends: a\nDepends: b | c\nProvides: d, e (= 1)\n");
    let package = read_one("x.deb".into(), &fields).unwrap();
    assert_eq!(package.depends, [vec!["a"], vec!["b", "c"]]);
    assert_eq!(package.provides, ["d", "e"]);
    assert_eq!(package.summary, "", "nothing is made up");
}

#[test]
fn continued_lines_belong_to_their_field() {
    let fields = parse_fields("Package: a\nDescription: short\n long one\n .\nSection: libs\n");
    assert_eq!(fields.get("Description").unwrap(), "short\nlong one\n.");
    assert_eq!(fields.get("Section").unwrap(), "libs");
}
