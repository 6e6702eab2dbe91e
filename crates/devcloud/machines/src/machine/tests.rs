//! The grammar of a machine's specification: everything in it ends in a path, a link name or a mount option.

use super::*;

fn good() -> MachineSpec {
    MachineSpec {
        instance_id: "i-0123456789abcdef0".to_owned(),
        private_address: Ipv4Addr::new(10, 88, 3, 4),
        layers: vec![PathBuf::from("/images/builder/root")],
        host_name: "ip-10-88-3-4.ec2.internal".to_owned(),
        memory_bytes: None,
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
