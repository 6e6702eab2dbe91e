use model::{BuilderState, LaunchId};
use uuid::Uuid;

use super::*;
use crate::testing::{self, NOW};

#[test]
fn the_user_data_holds_the_host_key_and_the_farms_public_key_only() {
    let host_key = ClientKey::generate("host").unwrap();
    let key = ClientKey::generate("farm").unwrap();
    let text = user_data(Some(&host_key), &key).unwrap();
    assert!(text.starts_with("#cloud-config\ndisable_root: false\nssh_keys:\n"));
    assert!(text.contains("  ed25519_private: |\n    -----BEGIN OPENSSH"));
    assert!(text.contains(key.public_openssh().unwrap().trim()));
    assert_eq!(
        text.matches("PRIVATE KEY").count(),
        2,
        "one key, at its beginning and its end"
    );
}

#[test]
fn the_user_data_of_a_machine_that_makes_its_host_key_itself_holds_none() {
    let key = ClientKey::generate("farm").unwrap();
    let login = key.public_openssh().unwrap();
    let expected = format!(
        "#cloud-config\ndisable_root: false\nssh_authorized_keys:\n  - {}\n",
        login.trim()
    );
    assert_eq!(user_data(None, &key).unwrap(), expected);
    let (mut builder, launch) = launching("aws", "a");
    builder.host_key_secret = None;
    let request = launch_request(&fleet(), &builder, &launch, (&key, Vec::new())).unwrap();
    assert_eq!(request.user_data, expected);
}

fn fleet() -> FleetSpec {
    let text = "schema: 1\nfleet: 019a0000-0000-7000-8000-000000000001\nname: test\n\
        clouds:\n\
        \x20 aws:\n    kind: ec2\n    region: r\n    credentials: {source: environment}\n    \
        network: {subnet: subnet-1, security_groups: [sg-1, sg-2]}\n\
        \x20 other:\n    kind: ec2\n    profile: eucalyptus\n    region: r\n    credentials: {source: environment}\n\
        images: {}\nprovision: {}\npools: {}\n";
    runtime::yaml::parse(text, "fleet.yaml").unwrap()
}

/// A builder that is being launched with an offering.
fn launching(cloud: &str, offering: &str) -> (Builder, LaunchAttempt) {
    let host_key = ClientKey::generate("host").unwrap();
    let builder = Builder {
        cloud: cloud.to_owned(),
        host_key_secret: Some(host_key.private_openssh().unwrap()),
        ..testing::builder(BuilderState::Launching)
    };
    let launch = LaunchAttempt {
        id: LaunchId(Uuid::from_u128(7)),
        offering: offering.parse().unwrap(),
        params_hash: String::new(),
        asked_at: NOW,
        answered_at: None,
        answer: None,
        outcome: None,
    };
    (builder, launch)
}

#[test]
fn a_request_has_the_offering_of_its_launch_and_the_security_groups_of_its_cloud() {
    let (fleet, key) = (fleet(), ClientKey::generate("farm").unwrap());
    let groups = ["sg-1".to_owned(), "sg-2".to_owned()];
    for (cloud, offering, groups, options) in [
        ("aws", "c7i.xlarge", &groups[..], true),
        ("aws", "c7i.xlarge@eu-1a/subnet-2 spot<=0.1", &groups[..], true),
        ("other", "small@a", &[], false),
    ] {
        let (builder, launch) = launching(cloud, offering);
        let request = launch_request(&fleet, &builder, &launch, (&key, Vec::new())).unwrap();
        let case = format!("{cloud} {offering}");
        // The subnet is the one of the launch's row: the file may name another by now, and the question may have to be repeated.
        assert_eq!(request.offering, launch.offering, "{case}");
        assert_eq!(&*request.security_groups, groups, "{case}");
        assert_eq!(request.metadata_options, options, "{case}");
        assert_eq!((request.launch, request.builder), (launch.id, builder.id));
        assert_eq!(
            request.limit,
            Deadlines::USUAL.launch,
            "{case}: the file says nothing else"
        );
        assert_eq!((request.fleet, request.image.as_str()), (fleet.fleet, "ami-1"));
        // An answer that was lost is asked for with the same words.
        let again = launch_request(&fleet, &builder, &launch, (&key, Vec::new())).unwrap();
        assert_eq!(request, again, "{case}");
    }
}

#[test]
fn a_row_that_cannot_be_asked_for_is_named_with_what_it_lacks() {
    let (fleet, key) = (fleet(), ClientKey::generate("farm").unwrap());
    let (mut builder, launch) = launching("gone", "a");
    let error = launch_request(&fleet, &builder, &launch, (&key, Vec::new())).unwrap_err();
    assert_eq!(error.to_string(), "there is no cloud `gone` in fleet.yaml");
    builder.host_key_secret = Some("no key at all".to_owned());
    let error = launch_request(&fleet, &builder, &launch, (&key, Vec::new())).unwrap_err();
    assert_eq!(error.to_string(), "keys of a builder");
    (builder.host_key_secret, builder.host_key) = (None, Some("ssh-ed25519 AAAA".to_owned()));
    let error = launch_request(&fleet, &builder, &launch, (&key, Vec::new())).unwrap_err();
    let words = format!(
        "builder {} is being launched without the secret half of its host key",
        builder.id
    );
    assert_eq!(error.to_string(), words);
}

#[test]
fn the_digest_of_a_launch_tells_apart_what_is_spread_otherwise_over_its_parts() {
    let all = [
        ["ami-1", "a", "key"],
        ["ami-1a", "b", "key"],
        ["ami-1", "ak", "ey"],
        ["ami-2", "a", "key"],
    ];
    let digests: std::collections::BTreeSet<String> = all
        .iter()
        .map(|[image, offering, key]| parameters_hash(image, &offering.parse().unwrap(), key))
        .collect();
    assert_eq!(digests.len(), all.len());
    // As it is in the books of every farm; computed by another program.
    let known = "01d72b8ed032688dd72b39d38c7a7437d1edfba6b6316aceaa87b16c54d426dc";
    assert_eq!(parameters_hash("ami-1", &"a".parse().unwrap(), "key"), known);
}
