//! Whose instances are: those of everybody are listed, and those that become a builder's are tagged.

use super::*;
use crate::{BUILDER_TAG, POOL_TAG};

#[tokio::test]
async fn a_list_of_all_asks_for_no_tag_and_leaves_nobody_out() {
    let item = |id: &str, state: &str, tags: &str| {
        format!(
            "<item><instancesSet><item><instanceId>{id}</instanceId><instanceState><name>{state}</name></instanceState>\
             <tagSet>{tags}</tagSet></item></instancesSet></item>"
        )
    };
    let fleet = FleetId(Uuid::from_u128(4));
    let tag = format!("<item><key>{FLEET_TAG}</key><value>{fleet}</value></item>");
    let body = format!(
        "<DescribeInstancesResponse><reservationSet>{}{}{}</reservationSet></DescribeInstancesResponse>",
        item("i-untagged", "running", ""),
        item("i-theirs", "stopped", &tag),
        item("i-gone", "terminated", "")
    );
    let (cloud, server) = endpoint("200 OK", &body);
    let found = cloud.list_all().await.unwrap();
    let told: Vec<_> = found
        .iter()
        .map(|instance| (instance.id.as_str(), instance.state, instance.belongs_to(fleet)))
        .collect();
    let expected = [
        ("i-untagged", InstanceState::Running, false),
        ("i-theirs", InstanceState::Stopped, true),
        ("i-gone", InstanceState::Terminated, false),
    ];
    assert_eq!(told, expected);
    let asked = server.join().unwrap();
    assert!(asked.contains("Action=DescribeInstances"), "{asked}");
    assert!(!asked.contains("Filter"), "{asked}");
}

#[tokio::test]
async fn a_tagged_instance_is_the_builders_from_then_on_and_a_refusal_is_told() {
    let owner = request().owner();
    let (cloud, server) = endpoint(
        "200 OK",
        "<CreateTagsResponse><return>true</return></CreateTagsResponse>",
    );
    cloud.tag("i-1", &owner).await.unwrap();
    let asked = server.join().unwrap();
    let tags = [
        (FLEET_TAG, owner.fleet.to_string()),
        (BUILDER_TAG, owner.builder.to_string()),
        (POOL_TAG, "x86".to_owned()),
    ];
    for (key, value) in tags {
        let key = key.replace(':', "%3A");
        assert!(
            asked.contains(&key) && asked.contains(&value),
            "{key} {value}: {asked}"
        );
    }
    assert!(
        asked.contains("Action=CreateTags") && asked.contains("ResourceId.1=i-1"),
        "{asked}"
    );
    // A launch did not make it: whoever looks for one by its tag is not to find it.
    assert!(!asked.contains(&LAUNCH_TAG.replace(':', "%3A")), "{asked}");
    let (cloud, server) = endpoint("400 No", &error_body("TagLimitExceeded"));
    let refused = cloud.tag("i-1", &owner).await.unwrap_err();
    assert_eq!(refused.to_string(), "the cloud refuses: TagLimitExceeded: no");
    server.join().unwrap();
}

#[tokio::test]
async fn what_a_machine_is_of_is_told_as_it_is_offered() {
    let zone = "<placement><availabilityZone>eu-central-1a</availabilityZone></placement>";
    let spot = "<instanceLifecycle>spot</instanceLifecycle>";
    let other = "<instanceLifecycle>capacity-block</instanceLifecycle>";
    for (told, expected) in [
        (
            format!("<instanceType>c7i.xlarge</instanceType>{zone}{spot}"),
            Some("c7i.xlarge@eu-central-1a spot"),
        ),
        (
            format!("<instanceType>c7i.xlarge</instanceType>{zone}"),
            Some("c7i.xlarge@eu-central-1a"),
        ),
        // A type that no SDK knows yet, and a way to pay that is none of ours.
        (
            format!("<instanceType>x99.huge</instanceType>{other}"),
            Some("x99.huge"),
        ),
        ("<instanceType>m1 small</instanceType>".to_owned(), None),
        (format!("{zone}{spot}"), None),
    ] {
        let (cloud, server) = endpoint("200 OK", &described("running", &told));
        let found = cloud.describe(&["i-1".to_owned()]).await.unwrap();
        let offering = found[0].offering.as_ref().map(ToString::to_string);
        assert_eq!(offering.as_deref(), expected, "{told}");
        server.join().unwrap();
    }
}
