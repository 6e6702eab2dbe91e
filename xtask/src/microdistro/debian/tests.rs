use super::*;

#[test]
fn versions_are_split_as_rpm_wants_them() {
    let convert = |text| {
        let (epoch, version, release) = convert_version(text);
        format!("{epoch} {version} {release}")
    };
    assert_eq!(convert("1:4.13+dfsg1-1+deb12u2"), "1 4.13+dfsg1 1+deb12u2");
    assert_eq!(convert("12.2.0-14"), "0 12.2.0 14");
    assert_eq!(convert("2.0-rc1-3"), "0 2.0.rc1 3");
    assert_eq!(convert("8.20"), "0 8.20 0");
}

#[test]
fn dependencies_lose_versions_and_architectures_and_keep_alternatives() {
    let parsed = parse_relation("libc6 (>= 2.34), perl:any, awk | gawk (>= 1) [amd64], x <!nocheck>,");
    assert_eq!(
        parsed,
        [vec!["libc6"], vec!["perl"], vec!["awk", "gawk"], vec!["x"]]
    );
    assert!(parse_relation("").is_empty());
}

#[test]
fn continued_lines_belong_to_their_field() {
    let fields = parse_fields("Package: a\nDescription: short\n long one\n .\nSection: libs\n");
    assert_eq!(fields.get("Description").unwrap(), "short\nlong one\n.");
    assert_eq!(fields.get("Section").unwrap(), "libs");
}
