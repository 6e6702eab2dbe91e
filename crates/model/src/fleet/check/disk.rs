//! What is wrong with the root volume that a pool asks for.

use super::Contradiction;
use crate::{
    fleet::{CloudProfile, CloudSpec, DiskSpec},
    quantity::Gibibytes,
};

/// What is wrong with it for machines of that cloud.
pub(super) fn of_pool(
    pool: &str,
    disk: &DiskSpec,
    (cloud, spec): (&str, &CloudSpec),
    found: &mut Vec<Contradiction>,
) {
    let at = |key| ["pools", pool, "disk", key];
    if disk.size.is_none() && disk.kind.is_none() {
        let words = "it changes nothing: `size` or `type` says how the root volume differs from the image's";
        found.push(Contradiction::new(&["pools", pool, "disk"], words));
    }
    let (least, most) = (Gibibytes::new(1), disk.largest());
    if let Some(size) = disk.size.filter(|size| !(least..=most).contains(size)) {
        let of_type = disk
            .kind
            .map(|kind| format!(", as volumes of the type {} are", kind.as_str()));
        let words = format!(
            "{size} is not from {least} to {most}{}",
            of_type.unwrap_or_default()
        );
        let here = Contradiction::new(&at("size"), words);
        found.push(match disk.kind {
            Some(_) => here.beside(&at("type")),
            None => here,
        });
    }
    if disk.kind.is_some() && spec.profile == CloudProfile::Eucalyptus {
        let words = format!("cloud `{cloud}` has the profile eucalyptus: its volumes are all of one type");
        found.push(Contradiction::new(&at("type"), words).beside(&["clouds", cloud, "profile"]));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::FleetSpec;

    fn found(profile: &str, disk: Value) -> Vec<String> {
        let spec: FleetSpec = serde_json::from_value(json!({
            "schema": 1, "fleet": "019ac1f0-0000-7000-8000-000000000000", "name": "test",
            "clouds": {"c": {"kind": "ec2", "region": "r", "profile": profile, "credentials": {"source": "environment"}}},
            "images": {"i": {"cloud": "c", "id": "ami-1"}},
            "provision": {"p": {}},
            "pools": {"here": {
                "labels": ["arch:x86_64"], "image": "i", "provision": "p", "size": {"max": 1},
                "offerings": [{"types": ["t"]}], "disk": disk,
            }},
        }))
        .unwrap();
        spec.contradictions().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_disk_has_a_size_that_its_type_allows_and_a_type_only_where_there_are_several() {
        let one_type =
            "pools.here.disk.type: cloud `c` has the profile eucalyptus: its volumes are all of one type";
        for (profile, disk, expected) in [
            ("aws", json!({"size": "160g", "type": "gp3"}), None),
            ("aws", json!({"size": "1g"}), None),
            ("aws", json!({"type": "standard"}), None),
            ("aws", json!(null), None),
            ("aws", json!({"size": "64t", "type": "gp3"}), None),
            ("eucalyptus", json!({"size": "64t"}), None),
            (
                "aws",
                json!({}),
                Some(
                    "pools.here.disk: it changes nothing: `size` or `type` says how the root volume differs from the image's",
                ),
            ),
            (
                "aws",
                json!({"size": "0g"}),
                Some("pools.here.disk.size: 0g is not from 1g to 65536g"),
            ),
            (
                "aws",
                json!({"size": "1025g", "type": "standard"}),
                Some(
                    "pools.here.disk.size: 1025g is not from 1g to 1024g, as volumes of the type standard are",
                ),
            ),
            (
                "aws",
                json!({"size": "16385g", "type": "gp2"}),
                Some("pools.here.disk.size: 16385g is not from 1g to 16384g, as volumes of the type gp2 are"),
            ),
            ("eucalyptus", json!({"type": "gp2"}), Some(one_type)),
        ] {
            let expected: Vec<String> = expected.into_iter().map(str::to_owned).collect();
            assert_eq!(found(profile, disk.clone()), expected, "{profile} {disk}");
        }
    }
}
