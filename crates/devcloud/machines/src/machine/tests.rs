//! The grammar of a machine's specification: everything in it ends in a path, a link name or a mount option.

use super::*;

fn good() -> MachineSpec {
    MachineSpec {
        instance_id: "i-0123456789abcdef0".to_owned(),
        private_address: Ipv4Addr::new(10, 88, 3, 4),
        layers: vec![PathBuf::from("/images/builder/root")],
        host_name: "ip-10-88-3-4.ec2.internal".to_owned(),
        memory_bytes: None,
        other_host_key: false,
        host_key_changes: false,
    }
}

fn refused_field(change: impl FnOnce(&mut MachineSpec)) -> &'static str {
    let mut spec = good();
    change(&mut spec);
    spec.validate().expect_err("the specification is refused").0
}

#[test]
fn a_good_specification_is_accepted() {
    assert_eq!(good().validate(), Ok(()));
}

#[test]
fn a_hostile_or_impossible_specification_is_refused_by_field() {
    for id in [
        "",
        "i-",
        "i-1234567",
        "i-0123456789ABCDEF0",
        "i-../../../etc",
        "j-0123456789abcdef0",
    ] {
        assert_eq!(
            refused_field(|spec| spec.instance_id = id.to_owned()),
            "instance_id",
            "{id:?}"
        );
    }
    for address in [
        [10, 89, 0, 2],
        [10, 88, 0, 0],
        [10, 88, 0, 1],
        [10, 88, 255, 255],
        [169, 254, 169, 254],
    ] {
        assert_eq!(
            refused_field(|spec| spec.private_address = address.into()),
            "private_address"
        );
    }
    for layer in ["relative", "/a:b", "/a,upperdir=/etc", "/a/../b", "/a\\b"] {
        assert_eq!(
            refused_field(|spec| spec.layers = vec![layer.into()]),
            "layers",
            "{layer:?}"
        );
    }
    assert_eq!(refused_field(|spec| spec.layers.clear()), "layers");
    for name in ["", "a b", "-a", "a\n127.0.0.1 evil", "a..b", &"x".repeat(65)] {
        assert_eq!(
            refused_field(|spec| spec.host_name = name.to_owned()),
            "host_name",
            "{name:?}"
        );
    }
    assert_eq!(refused_field(|spec| spec.memory_bytes = Some(0)), "memory_bytes");
}

#[test]
fn an_id_is_of_the_old_or_the_new_length_and_of_nothing_but_digits() {
    for (text, good) in [
        ("i-12345678", true),
        ("i-0123456789abcdef0", true),
        ("i-1234567", false),
        ("i-0123456789abcdef01", false),
        ("i-1234567g", false),
        ("i-ABCDEF01", false),
        ("i-12345678/", false),
        ("i-12345678\n", false),
        ("I-12345678", false),
        ("12345678", false),
        ("i-", false),
        ("", false),
    ] {
        assert_eq!(is_instance_id(text), good, "{text:?}");
    }
}

#[test]
fn a_host_name_has_labels_and_linuxs_length() {
    let (label, whole) = ("x".repeat(63), format!("{}.y", "x".repeat(62)));
    for (name, valid) in [
        ("a", true),
        ("A-1.b", true),
        ("1.2.3.4", true),
        (label.as_str(), true),
        (whole.as_str(), true),
        ("ip-10-88-0-2.ec2.internal", true),
        ("a-", false),
        ("-a.b", false),
        ("a.-b", false),
        (".a", false),
        ("a.", false),
        ("a_b", false),
        ("\u{e4}", false),
    ] {
        let mut spec = good();
        spec.host_name = name.to_owned();
        assert_eq!(spec.validate().is_ok(), valid, "{name:?}");
    }
}

#[test]
fn an_address_is_one_of_the_machines_own() {
    for (address, valid) in [
        ([10, 88, 0, 2], false),
        ([10, 88, 0, 3], false),
        ([10, 88, 0, 10], true),
        ([10, 88, 255, 254], true),
        ([10, 87, 1, 1], false),
        ([127, 0, 0, 1], false),
        ([0, 0, 0, 0], false),
    ] {
        let mut spec = good();
        spec.private_address = address.into();
        assert_eq!(spec.validate().is_ok(), valid, "{address:?}");
    }
}
