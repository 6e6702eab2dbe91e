use devcloud_dialect::{Api, ApiError, Form, ids::is_resource_id};

use super::{Profile, no_action, no_path};

const BOTH: [&Profile; 2] = [&Profile::AWS, &Profile::EUCALYPTUS];

/// What both profiles say, Amazon's first.
fn both<T>(ask: impl Fn(&Profile) -> T) -> (T, T) {
    let [aws, eucalyptus] = BOTH.map(ask);
    (aws, eucalyptus)
}

#[test]
fn eucalyptus_answers_at_its_own_paths_and_at_no_others() {
    for (api, path, eucalyptus) in [
        (Api::Ec2, "/services/compute", true),
        (Api::Ec2, "/services/compute/", true),
        (Api::Ec2, "/services/Eucalyptus", true),
        (Api::Ec2, "/services/Eucalyptus/", true),
        (Api::Ec2, "/services/eucalyptus", false),
        (Api::Ec2, "/services/computer", false),
        (Api::Ec2, "/services/Tokens", false),
        (Api::Ec2, "/", false),
        (Api::Ec2, "", false),
        (Api::Sts, "/services/Tokens/", true),
        (Api::Sts, "/services/compute", false),
        (Api::Iam, "/services/Euare", true),
    ] {
        let told = both(|profile| profile.has_path(api, path));
        assert_eq!(told, (true, eucalyptus), "{path} of {}", api.name());
    }
    assert_eq!(both(|profile| profile.has_any("/services/Tokens")), (true, true));
    assert_eq!(both(|profile| profile.has_any("/")), (true, false));
}

/// The name of what is refused, or nothing.
fn refused(profile: &Profile, action: &str, form: &str) -> String {
    match profile.check(action, &Form::parse(&[form]).unwrap()) {
        Ok(()) => String::new(),
        Err(error) => format!("{}: {}", error.code, error.message),
    }
}

#[test]
fn eucalyptus_refuses_the_parameters_and_actions_that_it_does_not_bind() {
    let unknown = |name: &str| format!("UnknownParameter: The parameter {name} is not recognized");
    for (action, form, expected) in [
        (
            "RunInstances",
            "MetadataOptions.HttpTokens=required",
            unknown("MetadataOptions.HttpTokens"),
        ),
        (
            "RunInstances",
            "InstanceMarketOptions.MarketType=spot",
            unknown("InstanceMarketOptions.MarketType"),
        ),
        ("RunInstances", "DisableApiStop=true", unknown("DisableApiStop")),
        ("RunInstances", "DisableApiTermination=true", String::new()),
        (
            "RunInstances",
            "InstanceInitiatedShutdownBehavior=terminate",
            String::new(),
        ),
        (
            "RunInstances",
            "TagSpecification.1.ResourceType=instance",
            String::new(),
        ),
        ("RunInstances", "Placement.AvailabilityZone=a", String::new()),
        (
            "RunInstances",
            "Placement.AvailabilityZoneId=a",
            unknown("Placement.AvailabilityZoneId"),
        ),
        // Every action but the three that read them refuses the parameters of pages.
        ("DescribeInstances", "MaxResults=5&NextToken=x", String::new()),
        ("DescribeInstanceStatus", "MaxResults=5", String::new()),
        ("DescribeTags", "NextToken=x", String::new()),
        ("DescribeImages", "MaxResults=5", unknown("MaxResults")),
        ("DescribeSecurityGroups", "NextToken=x", unknown("NextToken")),
        ("DescribeSubnets", "MaxResults=5", unknown("MaxResults")),
        (
            "TerminateInstances",
            "InstanceId.1=i-00000001&DryRun=true",
            unknown("DryRun"),
        ),
        (
            "TerminateInstances",
            "InstanceId.1=i-00000001&DryRun=false",
            unknown("DryRun"),
        ),
        ("CreateKeyPair", "KeyName=a&KeyType=rsa", unknown("KeyType")),
        (
            "ModifyInstanceAttribute",
            "Attribute=instanceType&Value=a",
            unknown("Attribute"),
        ),
        (
            "DescribeInstanceTypeOfferings",
            "",
            "InvalidAction: The action DescribeInstanceTypeOfferings is not valid for this web service."
                .to_owned(),
        ),
    ] {
        let told = both(|profile| refused(profile, action, form));
        assert_eq!(told, (String::new(), expected), "{action} {form}");
    }
}

#[test]
fn only_where_there_are_pages_are_the_parameters_of_pages_read() {
    let form = Form::parse(&["MaxResults=5&NextToken=x&InstanceId.1=i-00000001"]).unwrap();
    let names = both(|profile| {
        let asked = profile.asked(&form);
        let names: Vec<String> = asked.asked().map(|(name, _)| name.to_owned()).collect();
        names.join(" ")
    });
    let expected = (
        "InstanceId.1 MaxResults NextToken".to_owned(),
        "InstanceId.1".to_owned(),
    );
    assert_eq!(names, expected);
}

#[test]
fn eucalyptus_tells_what_comes_before_an_action_by_the_status_alone() {
    for (error, early) in [
        (no_path("/"), Some("404 Not Found")),
        (no_action("Fly"), Some("400 Bad Request")),
        (ApiError::unknown_parameter("DryRun"), Some("400 Bad Request")),
        (ApiError::auth_failure("no"), Some("403 Forbidden")),
        (ApiError::new("RequestExpired", "no"), Some("403 Forbidden")),
        // What an action says keeps its code.
        (ApiError::new("InvalidInstanceID.NotFound", "no"), None),
        (ApiError::internal(), None),
        (ApiError::missing("ImageId"), None),
    ] {
        let (aws, eucalyptus) = both(|profile| profile.early(&error));
        assert_eq!(aws, None, "{}", error.code);
        let told = eucalyptus.as_ref().map(|error| error.code.as_ref());
        assert_eq!(told, early, "{}", error.code);
        if let Some(told) = &eucalyptus {
            assert_eq!(told.message, error.message);
            assert!(told.code.starts_with(told.status.as_str()), "{told:?}");
        }
    }
}

#[test]
fn ids_have_the_prefix_and_the_length_of_their_dialect() {
    let images = both(|profile| profile.image_id("test-minimal"));
    assert!(
        is_resource_id(&images.0, "ami") && images.0.len() == 21,
        "{images:?}"
    );
    assert!(
        is_resource_id(&images.1, "emi") && images.1.len() == 12,
        "{images:?}"
    );
    assert_eq!(both(|profile| profile.is_image_id(&images.0)), (true, false));
    assert_eq!(both(|profile| profile.is_image_id(&images.1)), (false, true));
    let (aws, eucalyptus) = both(|profile| profile.new_id("i").unwrap());
    assert!(is_resource_id(&aws, "i") && aws.len() == 19, "{aws}");
    assert!(
        is_resource_id(&eucalyptus, "i") && eucalyptus.len() == 10,
        "{eucalyptus}"
    );
}

#[test]
fn no_room_is_a_failure_of_the_cloud_with_the_status_of_its_dialect() {
    let statuses = both(|profile| profile.no_room(String::new()).status.as_u16());
    assert_eq!(statuses, (500, 503));
}
