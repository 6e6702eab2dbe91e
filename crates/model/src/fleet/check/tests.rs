use super::{Contradiction, FleetSpec};

/// What is put where, and how the complaint begins.
const MISTAKES: &[(&str, &str, &str)] = &[
    ("/schema", "2", "schema: 2"),
    (
        "/controller",
        r#"{"tick": {"min": "0s"}}"#,
        "controller.tick.min:",
    ),
    (
        "/controller",
        r#"{"tick": {"min": "9s", "max": "3s"}}"#,
        "controller.tick:",
    ),
    (
        "/controller",
        r#"{"lease": {"ttl": "5s", "renew": "5s"}}"#,
        "controller.lease.renew:",
    ),
    (
        "/controller",
        r#"{"lease": {"ttl": "2d"}}"#,
        "controller.lease.ttl: 2d is not from 1s to 1h",
    ),
    (
        "/controller",
        r#"{"tick": {"max": "2h"}}"#,
        "controller.tick.max: 2h is not from 10ms to 10m",
    ),
    (
        "/images/i/cloud",
        r#""moon""#,
        "images.i.cloud: there is no cloud `moon`. There is `c`",
    ),
    (
        "/clouds/c/credentials/source",
        r#""file""#,
        "clouds.c.credentials:",
    ),
    (
        "/clouds/c/endpoint",
        r#""localhost:8773""#,
        "clouds.c.endpoint: `localhost:8773`",
    ),
    (
        "/provision/p/timeouts",
        r#"{"boot": "0s"}"#,
        "provision.p.timeouts.boot:",
    ),
    (
        "/provision/p/connect",
        r#"{"port": 0}"#,
        "provision.p.connect.port:",
    ),
    (
        "/pools/here/image",
        r#""j""#,
        "pools.here.image: there is no image `j`. There is `i`",
    ),
    ("/pools/here/provision", r#""q""#, "pools.here.provision:"),
    (
        "/pools/here/size/idle",
        "2",
        "pools.here.size.idle: 2 must not be above the max of 1",
    ),
    ("/pools/here/size/min", "2", "pools.here.size.min:"),
    (
        "/pools/here/schedule",
        r#"[{"hours": "07:00-19:00", "idle": 1}, {"hours": "07:00-19:00", "idle": 2}]"#,
        "pools.here.schedule[1].idle: 2 must not be above the max of 1",
    ),
    (
        "/pools/here/schedule",
        r#"[{"hours": "07:00-19:00", "min": 9}]"#,
        "pools.here.schedule[0].min: 9 must not be above the max of 1",
    ),
    (
        "/pools/here/schedule",
        r#"[{"hours": "07:00-19:00"}]"#,
        "pools.here.schedule[0]: it changes nothing",
    ),
    ("/clouds/c/region", r#"" ""#, "clouds.c.region:"),
    (
        "/provision/p/connect",
        r#"{"user": ""}"#,
        "provision.p.connect.user:",
    ),
    (
        "/provision/p/timeouts",
        r#"{"check": "8d"}"#,
        "provision.p.timeouts.check: 8d is not from 1s to",
    ),
    (
        "/pools/here/launch",
        r#"{"parallel": 0}"#,
        "pools.here.launch.parallel:",
    ),
    (
        "/pools/here/launch",
        r#"{"attempts": 0}"#,
        "pools.here.launch.attempts:",
    ),
    ("/pools/here/offerings", "[]", "pools.here.offerings:"),
    (
        "/pools/here/offerings/0/types",
        "[]",
        "pools.here.offerings[0].types: at least one instance type",
    ),
    (
        "/pools/here/labels",
        r#"["chroot:*"]"#,
        "pools.here.labels: an `arch:` label",
    ),
    (
        "/pools/here/labels",
        r#"["arch:x86_64", "chrot:*"]"#,
        "pools.here.labels: `chrot:*`",
    ),
    (
        "/pools/here/labels",
        r#"["arch:x86-64"]"#,
        "pools.here.labels: `x86-64` is no architecture, did you mean `x86_64`?",
    ),
    (
        "/pools/here/labels",
        r#"["arch:amd64", "arch:aarch64"]"#,
        "pools.here.labels: `amd64` is no architecture that chroots have",
    ),
    (
        "/images/i/id",
        r#""""#,
        "images.i.id: it is empty; it names an image's id, such as ami-0123456789abcdef0",
    ),
    (
        "/clouds/c/credentials",
        r#"{"source": "file", "path": " "}"#,
        "clouds.c.credentials.path: it is empty; it names the file with the access key",
    ),
    (
        "/clouds/c/network",
        r#"{"subnet": ""}"#,
        "clouds.c.network.subnet: it is empty; it names a subnet's id",
    ),
    (
        "/clouds/c/network",
        r#"{"security_groups": ["sg-1", ""]}"#,
        "clouds.c.network.security_groups[1]: it is empty; it names a security group's id",
    ),
    (
        "/provision/p/playbook",
        r#""""#,
        "provision.p.playbook: it is empty; it names a playbook, such as builder.yml",
    ),
    ("/provision/p/check", r#""\t""#, "provision.p.check: it is empty"),
    (
        "/provision/p/ansible",
        r#"{"command": " "}"#,
        "provision.p.ansible.command: it is empty; it names the program, such as /opt/ansible/bin/ansible-playbook",
    ),
    (
        "/pools/here/offerings/0/types",
        r#"["t", ""]"#,
        "pools.here.offerings[0].types[1]: it is empty; it names an instance type, such as c7i.xlarge",
    ),
    (
        "/pools/here/offerings/0/zones",
        r#"[""]"#,
        "pools.here.offerings[0].zones[0]: it is empty; it names a zone, such as eu-central-1a",
    ),
    (
        "/name",
        r#"" ""#,
        "name: it is empty; it names the fleet for people, such as production",
    ),
    (
        "/clouds/c/credentials/path",
        r#""key.toml""#,
        "clouds.c.credentials.path: a `path` is read with `source: file` only",
    ),
    (
        "/clouds/c/endpoint",
        r#""https:///x""#,
        "clouds.c.endpoint: `https:///x` names no host",
    ),
    (
        "/clouds/c/endpoint",
        r#""https://a b/""#,
        "clouds.c.endpoint: `https://a b/` holds a space",
    ),
    (
        "/pools/here/offerings/0/types",
        r#"["t", "m5.large spot"]"#,
        "pools.here.offerings[0].types[1]: `m5.large spot` is not an instance type, such as c7i.xlarge: letters, digits, `.`, `_` and `-`",
    ),
    (
        "/pools/here/offerings/0/zones",
        r#"["a,b"]"#,
        "pools.here.offerings[0].zones[0]: `a,b` is not a zone, such as eu-central-1a: letters, digits, `.`, `_` and `-`",
    ),
    (
        "/pools/here/offerings",
        r#"[{"types": ["t"], "max_price": 0.1}]"#,
        "pools.here.offerings[0].max_price: only machines of the spot market have a price of the moment: \
         `market: spot` is missing",
    ),
    (
        "/pools/here",
        r#"{"labels": ["arch:x86_64"], "image": "i", "provision": "p", "size": {"min": 3, "max": 9},
            "offerings": [{"types": ["t"], "max": 1}, {"types": ["u"], "max": 1}]}"#,
        "pools.here.size.min: 3 must not be above the `max` of all lines of offerings together: 2",
    ),
    (
        "/pools/here/offerings",
        r#"[{"types": ["t"], "after": "30s"}, {"types": ["u"], "after": "5m"}]"#,
        "pools.here.offerings[0].after: there is no line before it that could be refused",
    ),
    (
        "/pools/here/offerings",
        r#"[{"types": ["t"], "after": "0s"}, {"types": ["u"], "after": "301s"}]"#,
        "pools.here.offerings[1].after: at most 5m: a builder for which nothing is launched is given up after ten minutes",
    ),
    (
        "/pools/here/offerings",
        r#"[{"types": ["t"], "max": 0}]"#,
        "pools.here.offerings[0].max: with 0 it is never asked for; without the line it is not either",
    ),
    (
        "/pools/here/offerings",
        r#"[{"types": ["t", "u"], "max": 1}, {"types": ["u", "v"]}, {"types": ["v", "t"], "max": 3}]"#,
        "pools.here.offerings[2]: all that it offers is in lines before it already, so no machine is ever of this line: \
         raise their `max`, or leave it out",
    ),
    (
        "/clouds/c/network",
        r#"{"subnets": {"a": ""}}"#,
        "clouds.c.network.subnets.a: it is empty; it names a subnet's id",
    ),
];

fn sound() -> serde_json::Value {
    serde_json::json!({
        "schema": 1, "fleet": "019ac1f0-0000-7000-8000-000000000000", "name": "test",
        "clouds": {"c": {"kind": "ec2", "region": "r", "credentials": {"source": "environment"}}},
        "images": {"i": {"cloud": "c", "id": "ami-1"}},
        "provision": {"p": {}},
        "pools": {"here": {
            "labels": ["arch:x86_64"], "image": "i", "provision": "p", "size": {"max": 1},
            "offerings": [{"types": ["t"]}],
        }},
    })
}

fn found(value: serde_json::Value) -> Vec<String> {
    let spec: FleetSpec = serde_json::from_value(value).unwrap();
    spec.contradictions().iter().map(ToString::to_string).collect()
}

#[test]
fn a_reference_that_is_nearly_right_is_told_what_was_meant() {
    let mut spec = sound();
    spec["images"] = serde_json::json!({"builder": {"cloud": "c", "id": "ami-1"}});
    spec["pools"]["here"]["image"] = "bulider".into();
    let words = "pools.here.image: there is no image `bulider`, did you mean `builder`? There is `builder`";
    assert_eq!(found(spec), [words]);
}

#[test]
fn a_sound_file_has_none() {
    assert_eq!(found(sound()), Vec::<String>::new());
}

#[test]
fn each_names_its_place() {
    for (pointer, value, place) in MISTAKES {
        let mut spec = sound();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        spec.pointer_mut(parent).unwrap()[key] = serde_json::from_str(value).unwrap();
        let found = found(spec);
        assert_eq!(found.len(), 1, "{pointer}: {found:?}");
        assert!(found[0].starts_with(place), "{found:?}");
    }
}

#[test]
fn limits_are_on_the_side_that_they_name() {
    for (pointer, good, bad) in [
        (
            "/controller",
            r#"{"tick": {"min": "10ms"}}"#,
            r#"{"tick": {"min": "9ms"}}"#,
        ),
        (
            "/controller",
            r#"{"tick": {"max": "10m"}}"#,
            r#"{"tick": {"max": "601s"}}"#,
        ),
        (
            "/controller",
            r#"{"tick": {"min": "3s", "max": "3s"}}"#,
            r#"{"tick": {"min": "3001ms", "max": "3s"}}"#,
        ),
        (
            "/controller",
            r#"{"lease": {"ttl": "1h"}}"#,
            r#"{"lease": {"ttl": "3601s"}}"#,
        ),
        (
            "/controller",
            r#"{"lease": {"ttl": "1s", "renew": "500ms"}}"#,
            r#"{"lease": {"ttl": "1s", "renew": "501ms"}}"#,
        ),
        (
            "/controller",
            r#"{"lease": {"renew": "1ms"}}"#,
            r#"{"lease": {"renew": "0s"}}"#,
        ),
        (
            "/provision/p/timeouts",
            r#"{"launch": "1s", "pending": "1d"}"#,
            r#"{"launch": "999ms", "pending": "1d"}"#,
        ),
        (
            "/provision/p/timeouts",
            r#"{"provision": "24h"}"#,
            r#"{"provision": "86401s"}"#,
        ),
        ("/provision/p/connect", r#"{"port": 65535}"#, r#"{"port": 0}"#),
        (
            "/pools/here/size",
            r#"{"max": 2, "min": 2, "idle": 2}"#,
            r#"{"max": 2, "min": 2, "idle": 3}"#,
        ),
        ("/pools/here/size", r#"{"max": 0}"#, r#"{"max": 0, "min": 1}"#),
        ("/clouds/c/endpoint", r#""http://x""#, r#""HTTP://x""#),
        (
            "/pools/here/labels",
            r#"["arch:x86_64", "arch:i386", "chroot:*"]"#,
            r#"["arch:x86_64", "chroot:"]"#,
        ),
    ] {
        for (value, mistakes) in [(good, 0), (bad, 1)] {
            let mut spec = sound();
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            spec.pointer_mut(parent).unwrap()[key] = serde_json::from_str(value).unwrap();
            let found = found(spec);
            assert_eq!(found.len(), mistakes, "{pointer} {value}: {found:?}");
        }
    }
}

#[test]
fn all_that_is_wrong_is_told_at_once_in_the_order_of_the_file() {
    let mut spec = sound();
    spec["schema"] = 2.into();
    spec["clouds"] = serde_json::json!({});
    spec["images"]["i"]["id"] = "".into();
    spec["provision"] = serde_json::json!({});
    spec["pools"]["here"]["size"] = serde_json::json!({"max": 0, "min": 1, "idle": 1});
    assert_eq!(
        found(spec),
        [
            "schema: 2 is not a known version; this program knows 1",
            "images.i.cloud: there is no cloud `c`, and no other",
            "images.i.id: it is empty; it names an image's id, such as ami-0123456789abcdef0",
            "pools.here.provision: there is no provision `p`, and no other",
            "pools.here.size.min: 1 must not be above the max of 0",
            "pools.here.size.idle: 1 must not be above the max of 0",
        ]
    );
}

#[test]
fn the_words_say_what_would_be_right() {
    for (pointer, value, words) in [
        (
            "/controller",
            r#"{"tick": {"min": "9s", "max": "3s"}}"#,
            "controller.tick: max (3s) must not be below min (9s)",
        ),
        (
            "/controller",
            r#"{"lease": {"ttl": "5s", "renew": "7s"}}"#,
            "controller.lease.renew: 7s must be above zero and at most half of the ttl of 5s, or the lease ends before it is renewed",
        ),
        (
            "/clouds/c/credentials/source",
            r#""file""#,
            "clouds.c.credentials: `source: file` needs a `path`",
        ),
        (
            "/clouds/c/endpoint",
            r#""localhost""#,
            "clouds.c.endpoint: `localhost` does not begin with http:// or https://",
        ),
        (
            "/pools/here/launch",
            r#"{"parallel": 0}"#,
            "pools.here.launch.parallel: with 0 no builder is ever launched; `size: {max: 0}` closes a pool",
        ),
        (
            "/pools/here/offerings",
            "[]",
            "pools.here.offerings: at least one offering is needed, such as {types: [c7i.xlarge]}",
        ),
        (
            "/pools/here/labels",
            r#"["chroot:*"]"#,
            "pools.here.labels: an `arch:` label is needed, such as arch:x86_64",
        ),
        (
            "/pools/here/labels",
            r#"["arch:x86_64", "fast"]"#,
            "pools.here.labels: `fast` is neither arch:ARCHITECTURE nor chroot:PATTERN",
        ),
    ] {
        let mut spec = sound();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        spec.pointer_mut(parent).unwrap()[key] = serde_json::from_str(value).unwrap();
        assert_eq!(found(spec), [words]);
    }
    for (path, words) in [
        (
            &["pools", "7", "offerings", "0", "types", "12"][..],
            "pools.7.offerings[0].types[12]: no",
        ),
        (&["provision", "b", "vars", "0"], "provision.b.vars.0: no"),
        (&["schema"], "schema: no"),
    ] {
        assert_eq!(Contradiction::new(path, "no").to_string(), words);
    }
}

#[test]
fn only_amazons_machines_have_keys_of_a_role() {
    let mut spec = sound();
    spec["clouds"]["c"]["credentials"] = serde_json::json!({"source": "instance-role"});
    assert_eq!(found(spec.clone()), Vec::<String>::new());
    spec["clouds"]["c"]["profile"] = "eucalyptus".into();
    let words = "clouds.c.credentials.source: with the profile eucalyptus there are no keys of a role: it has no metadata \
                 service of the version 2";
    assert_eq!(found(spec), [words]);
}

#[test]
fn a_cloud_without_a_spot_market_is_not_asked_for_its_machines() {
    let mut spec = sound();
    spec["pools"]["here"]["offerings"] = serde_json::json!([
        {"types": ["t"], "market": "spot", "max_price": 0.02}, {"types": ["t"], "market": "on-demand"},
    ]);
    assert_eq!(found(spec.clone()), Vec::<String>::new());
    spec["clouds"]["c"]["profile"] = "eucalyptus".into();
    let words =
        "pools.here.offerings[0].market: cloud `c` has the profile eucalyptus: there is no spot market";
    assert_eq!(found(spec), [words]);
}
