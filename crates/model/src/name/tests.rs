use proptest::prelude::*;

use super::*;

#[test]
fn names_that_people_use_are_accepted() {
    for name in ["demo", "a", "python3.12-devel", "c++", "x_y"] {
        assert!(name.parse::<ProjectName>().is_ok(), "{name}");
        assert!(name.parse::<PackageName>().is_ok(), "{name}");
    }
    assert!("@devel".parse::<OwnerName>().is_ok());
    assert!("demo:pr:7".parse::<DirectoryName>().is_ok());
}

#[test]
fn names_that_could_leave_their_place_are_refused() {
    for name in [
        "", ".", "..", "../x", "a/b", "a\0b", "-rf", ".hidden", "a..b", "é", "a b", "a\nb", "a:b",
    ] {
        assert!(name.parse::<ProjectName>().is_err(), "{name:?}");
        assert!(name.parse::<PackageName>().is_err(), "{name:?}");
    }
    for name in ["demo:", "demo:../x", ":x", "demo::x"] {
        assert!(name.parse::<DirectoryName>().is_err(), "{name:?}");
    }
    assert!("123".parse::<ProjectName>().is_err());
    assert!("x".repeat(101).parse::<ProjectName>().is_err());
}

#[test]
fn the_error_names_the_kind_and_the_text() {
    let error = "a/b".parse::<ProjectName>().unwrap_err();
    assert_eq!(
        error.to_string(),
        "`a/b` is not a valid project name: it holds a character that is not allowed"
    );
}

#[test]
fn a_chroot_has_three_parts_and_its_name_may_hold_dashes() {
    let chroot: ChrootName = "centos-stream-9-x86_64".parse().unwrap();
    assert_eq!(chroot.parts(), ("centos-stream", "9", "x86_64"));
    assert_eq!(chroot.name_release(), "centos-stream-9");
    for bad in ["fedora", "fedora-43", "--", "fedora--x86_64", "-43-x86_64"] {
        assert!(bad.parse::<ChrootName>().is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn an_accepted_name_is_one_path_component(text in "\\PC{0,40}") {
        if let Ok(name) = text.parse::<PackageName>() {
            let path = std::path::Path::new(name.as_str());
            prop_assert_eq!(path.components().count(), 1);
            let is_normal = matches!(path.components().next(), Some(std::path::Component::Normal(_)));
            prop_assert!(is_normal);
        }
    }
}
