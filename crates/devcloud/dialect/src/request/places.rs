//! Where things are and what there is: regions, zones, the network, images, instance types, the caller.

use super::{BlockDeviceMapping, Filter, TagSpecification, requests};

requests! {
    DescribeRegions {
        region_name: Vec<String>,
        filter: Vec<Filter>,
        all_regions: Option<bool>,
    }
    DescribeAvailabilityZones {
        zone_name: Vec<String>,
        zone_id: Vec<String>,
        filter: Vec<Filter>,
        all_availability_zones: Option<bool>,
    }
    DescribeAccountAttributes {
        attribute_name: Vec<String>,
    }
    DescribeVpcs {
        vpc_id: Vec<String>,
        filter: Vec<Filter>,
        max_results: Option<i64>,
        next_token: Option<String>,
    }
    DescribeVpcAttribute {
        vpc_id: Option<String>,
        attribute: Option<String>,
    }
    DescribeSubnets {
        subnet_id: Vec<String>,
        filter: Vec<Filter>,
        max_results: Option<i64>,
        next_token: Option<String>,
    }
    DescribeAddresses {
        allocation_id: Vec<String>,
        public_ip: Vec<String>,
        filter: Vec<Filter>,
    }
    DescribeNetworkInterfaces {
        network_interface_id: Vec<String>,
        filter: Vec<Filter>,
        max_results: Option<i64>,
        next_token: Option<String>,
    }
    DescribePlacementGroups {
        group_name: Vec<String>,
        group_id: Vec<String>,
        filter: Vec<Filter>,
    }
    DescribeImages {
        image_id: Vec<String>,
        owner: Vec<String>,
        executable_by: Vec<String>,
        filter: Vec<Filter>,
        include_deprecated: Option<bool>,
        include_disabled: Option<bool>,
        max_results: Option<i64>,
        next_token: Option<String>,
    }
    CreateImage {
        instance_id: Option<String>,
        name: Option<String>,
        description: Option<String>,
        no_reboot: Option<bool>,
        block_device_mapping: Vec<BlockDeviceMapping>,
        tag_specification: Vec<TagSpecification>,
    }
    DeregisterImage {
        image_id: Option<String>,
    }
    DescribeInstanceTypes {
        instance_type: Vec<String>,
        filter: Vec<Filter>,
        max_results: Option<i64>,
        next_token: Option<String>,
    }
    DescribeInstanceTypeOfferings {
        location_type: Option<String>,
        filter: Vec<Filter>,
        max_results: Option<i64>,
        next_token: Option<String>,
    }
    /// GetCallerIdentity of the token service.
    GetCallerIdentity {}
    /// GetUser of the identity service.
    GetUser {
        user_name: Option<String>,
    }
}
