//! Instances.

use serde::Deserialize;

use super::{Filter, TagSpecification, requests, text::ClientToken};

/// What a power-off from inside means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ShutdownBehavior {
    Stop,
    Terminate,
}

/// Whether tokens are wanted by the metadata service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HttpTokens {
    Optional,
    Required,
}

/// A switch of the metadata service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Switch {
    Enabled,
    Disabled,
}

/// How instances are paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MarketType {
    Spot,
}

requests! {
    RunInstances {
        image_id: Option<String>,
        min_count: Option<i64>,
        max_count: Option<i64>,
        instance_type: Option<String>,
        key_name: Option<String>,
        user_data: Option<String>,
        client_token: Option<ClientToken>,
        security_group: Vec<String>,
        security_group_id: Vec<String>,
        subnet_id: Option<String>,
        network_interface: Vec<NetworkInterface>,
        placement: Placement,
        block_device_mapping: Vec<BlockDeviceMapping>,
        instance_initiated_shutdown_behavior: Option<ShutdownBehavior>,
        disable_api_termination: Option<bool>,
        disable_api_stop: Option<bool>,
        metadata_options: MetadataOptions,
        instance_market_options: InstanceMarketOptions,
        tag_specification: Vec<TagSpecification>,
        iam_instance_profile: IamInstanceProfile,
        monitoring: Enabled,
        ebs_optimized: Option<bool>,
        hibernation_options: HibernationOptions,
        enclave_options: Enabled,
        credit_specification: CreditSpecification,
        cpu_options: CpuOptions,
        capacity_reservation_specification: CapacityReservationSpecification,
        maintenance_options: MaintenanceOptions,
        private_dns_name_options: PrivateDnsNameOptions,
    }
    /// `NetworkInterface.N`.
    NetworkInterface {
        device_index: Option<i64>,
        network_interface_id: Option<String>,
        subnet_id: Option<String>,
        security_group_id: Vec<String>,
        associate_public_ip_address: Option<bool>,
        delete_on_termination: Option<bool>,
        description: Option<String>,
        private_ip_address: Option<String>,
    }
    Placement {
        availability_zone: Option<String>,
        availability_zone_id: Option<String>,
        group_name: Option<String>,
        group_id: Option<String>,
        tenancy: Option<String>,
        host_id: Option<String>,
    }
    /// `BlockDeviceMapping.N`.
    BlockDeviceMapping {
        device_name: Option<String>,
        virtual_name: Option<String>,
        no_device: Option<String>,
        ebs: Ebs,
    }
    /// `BlockDeviceMapping.N.Ebs`.
    Ebs {
        volume_size: Option<i64>,
        volume_type: Option<String>,
        delete_on_termination: Option<bool>,
        encrypted: Option<bool>,
        snapshot_id: Option<String>,
        iops: Option<i64>,
        throughput: Option<i64>,
    }
    MetadataOptions {
        http_tokens: Option<HttpTokens>,
        http_put_response_hop_limit: Option<i64>,
        http_endpoint: Option<Switch>,
        http_protocol_ipv6: Option<Switch>,
        instance_metadata_tags: Option<Switch>,
    }
    InstanceMarketOptions {
        market_type: Option<MarketType>,
        spot_options: SpotOptions,
    }
    /// `InstanceMarketOptions.SpotOptions`.
    SpotOptions {
        max_price: Option<String>,
        spot_instance_type: Option<String>,
        instance_interruption_behavior: Option<String>,
        valid_until: Option<String>,
    }
    IamInstanceProfile {
        arn: Option<String>,
        name: Option<String>,
    }
    /// Something that is on or off, such as `Monitoring`.
    Enabled {
        enabled: Option<bool>,
    }
    HibernationOptions {
        configured: Option<bool>,
    }
    CreditSpecification {
        cpu_credits: Option<String>,
    }
    CpuOptions {
        core_count: Option<i64>,
        threads_per_core: Option<i64>,
    }
    CapacityReservationSpecification {
        capacity_reservation_preference: Option<String>,
    }
    MaintenanceOptions {
        auto_recovery: Option<String>,
    }
    PrivateDnsNameOptions {
        hostname_type: Option<String>,
        enable_resource_name_dns_a_record: Option<bool>,
        #[serde(rename = "EnableResourceNameDnsAAAARecord")]
        enable_resource_name_dns_aaaa_record: Option<bool>,
    }
    DescribeInstances {
        instance_id: Vec<String>,
        filter: Vec<Filter>,
        max_results: Option<i64>,
        next_token: Option<String>,
    }
    DescribeInstanceStatus {
        instance_id: Vec<String>,
        filter: Vec<Filter>,
        include_all_instances: Option<bool>,
        max_results: Option<i64>,
        next_token: Option<String>,
    }
    TerminateInstances {
        instance_id: Vec<String>,
    }
    StopInstances {
        instance_id: Vec<String>,
        force: Option<bool>,
        hibernate: Option<bool>,
    }
    StartInstances {
        instance_id: Vec<String>,
    }
    RebootInstances {
        instance_id: Vec<String>,
    }
    /// GetConsoleOutput, of a list of one or of a single id.
    GetConsoleOutput {
        instance_id: Vec<String>,
        latest: Option<bool>,
    }
    DescribeInstanceAttribute {
        instance_id: Option<String>,
        attribute: Option<String>,
    }
    /// A text below `Value`.
    TextValue {
        value: Option<String>,
    }
    /// A switch below `Value`.
    SwitchValue {
        value: Option<bool>,
    }
    /// ModifyInstanceAttribute: `Name.Value=...`, or `Attribute=name&Value=...`, or `GroupId.N`.
    ModifyInstanceAttribute {
        instance_id: Option<String>,
        attribute: Option<String>,
        value: Option<String>,
        disable_api_termination: SwitchValue,
        disable_api_stop: SwitchValue,
        instance_initiated_shutdown_behavior: TextValue,
        instance_type: TextValue,
        group_id: Vec<String>,
    }
}
