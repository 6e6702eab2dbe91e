//! Eucalyptus 4.4.2, as its source reads. Where a row says "known", the place is named; `docs/devcloud.md` lists what is not.

use devcloud_dialect::Api;
use poem::http::StatusCode;

use super::{Profile, Tokens};

/// A list that Eucalyptus reads no paging parameters for: it binds them for instances, their status, and tags only.
const UNPAGED: &[&str] = &["MaxResults", "NextToken"];

pub(super) const PROFILE: Profile = Profile {
    name: "eucalyptus",
    // `QueryPipeline`: all versions of signatures, unless a service says otherwise, and compute does not.
    takes_version_2: true,
    // `ComputeQueryPipeline`, `TokensQueryPipeline`, `EuareQueryPipeline`.
    paths: &[
        (Api::Ec2, "/services/compute"),
        (Api::Ec2, "/services/Eucalyptus"),
        (Api::Sts, "/services/Tokens"),
        (Api::Iam, "/services/Euare"),
    ],
    has_pages: false,
    // No message has a field for it.
    has_dry_run: false,
    // `VmControl.runInstances`; the column of token, account and place in the launch is unique (`VmId`).
    tokens: Tokens::Earlier,
    has_metadata_options: false,
    // `MetadataPipeline`. It answers every method as it answers GET.
    metadata_versions: "1.0\n2007-01-19\n2007-03-01\n2007-08-29\n2007-10-10\n2007-12-15\n2008-02-01\n2008-09-01\n\
                        2009-04-04\n2011-01-01\n2011-05-01\n2012-01-12\n2014-02-25\nlatest",
    // `VmInstanceMetadata`.
    absent_metadata: &[
        "meta-data/instance-action",
        "meta-data/instance-life-cycle",
        "meta-data/placement/region",
        "meta-data/spot",
    ],
    // RunInstances binds it and nothing reads it; ModifyInstanceAttribute takes it and does nothing.
    keeps_shutdown_behavior: false,
    // `VmControl.terminateInstances`: one that is done is buried.
    buries_twice_terminated: true,
    image_prefix: "emi",
    // `ResourceIdentifiers`: long ones are for prefixes that an administrator lists.
    id_digits: 8,
    has_own_instance_types: true,
    // `ClusterComputeServiceUnavailableException`.
    no_room: StatusCode::SERVICE_UNAVAILABLE,
    // `NioServerHandler.sendError`.
    early_by_status: true,
    absent_actions: &[
        "DescribeInstanceTypeOfferings",
        "UpdateSecurityGroupRuleDescriptionsEgress",
        "UpdateSecurityGroupRuleDescriptionsIngress",
    ],
    absent_parameters: &[
        (
            "RunInstances",
            &[
                "CapacityReservationSpecification",
                "CpuOptions",
                "CreditSpecification",
                "DisableApiStop",
                "EnclaveOptions",
                "HibernationOptions",
                "InstanceMarketOptions",
                "MaintenanceOptions",
                "MetadataOptions",
                "Placement.AvailabilityZoneId",
                "Placement.GroupId",
                "Placement.HostId",
                "PrivateDnsNameOptions",
            ],
        ),
        ("CreateImage", &["TagSpecification"]),
        ("CreateKeyPair", &["KeyFormat", "KeyType", "TagSpecification"]),
        ("CreateSecurityGroup", &["TagSpecification"]),
        ("DeleteKeyPair", &["KeyPairId"]),
        ("DescribeAvailabilityZones", &["AllAvailabilityZones", "ZoneId"]),
        (
            "DescribeImages",
            &["IncludeDeprecated", "IncludeDisabled", "MaxResults", "NextToken"],
        ),
        ("DescribeInstanceTypes", &["Filter", "MaxResults", "NextToken"]),
        ("DescribeKeyPairs", &["IncludePublicKey", "KeyPairId"]),
        ("DescribeNetworkInterfaces", UNPAGED),
        ("DescribePlacementGroups", &["GroupId"]),
        ("DescribeRegions", &["AllRegions"]),
        ("DescribeSecurityGroups", UNPAGED),
        ("DescribeSubnets", UNPAGED),
        ("DescribeVpcs", UNPAGED),
        ("GetConsoleOutput", &["Latest"]),
        ("ImportKeyPair", &["TagSpecification"]),
        (
            "ModifyInstanceAttribute",
            &["Attribute", "DisableApiStop", "Value"],
        ),
        ("StopInstances", &["Hibernate"]),
    ],
};
