//! Where things are and what there is: regions, zones, the network, images, instance types, the caller.

use super::{Filter, requests};

requests! {
    /// DescribeRegions.
    DescribeRegions {
        region_name: Vec<String>,
        filter: Vec<Filter>,
        all_regions: Option<bool>,
    }
    /// DescribeAvailabilityZones.
    DescribeAvailabilityZones {
        zone_name: Vec<String>,
        zone_id: Vec<String>,
        filter: Vec<Filter>,
        all_availability_zones: Option<bool>,
    }
    /// DescribeAccountAttributes.
    DescribeAccountAttributes {
        attribute_name: Vec<String>,
    }
    /// DescribeVpcs.
    DescribeVpcs {
        vpc_id: Vec<String>,
        filter: Vec<Filter>,
        max_results: Option<i64>,
        next_token: Option<String>,
    }
    /// DescribeVpcAttribute.
    DescribeVpcAttribute {
        vpc_id: Option<String>,
        attribute: Option<String>,
    }
    /// DescribeSubnets.
    DescribeSubnets {
        subnet_id: Vec<String>,
        filter: Vec<Filter>,
        max_results: Option<i64>,
        next_token: Option<String>,
    }
    /// DescribeAddresses.
    DescribeAddresses {
        allocation_id: Vec<String>,
        public_ip: Vec<String>,
        filter: Vec<Filter>,
    }
    /// DescribeNetworkInterfaces.
    DescribeNetworkInterfaces {
        network_interface_id: Vec<String>,
        filter: Vec<Filter>,
        max_results: Option<i64>,
        next_token: Option<String>,
    }
    /// DescribePlacementGroups.
    DescribePlacementGroups {
        group_name: Vec<String>,
        group_id: Vec<String>,
        filter: Vec<Filter>,
    }
    /// DescribeImages.
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
    /// DescribeInstanceTypes.
    DescribeInstanceTypes {
        instance_type: Vec<String>,
        filter: Vec<Filter>,
        max_results: Option<i64>,
        next_token: Option<String>,
    }
    /// DescribeInstanceTypeOfferings.
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
