//! RunInstances: checks everything, writes the instances into the ledger in one change, and has them started.

use std::{net::Ipv4Addr, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use poem::http::StatusCode;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use super::view;
use crate::{
    api::{
        Service, actions::refuse_dry_run, error::ApiError, parameters::Parameters, security_groups, tags,
        types, xml::Xml,
    },
    cloud::allocate,
    config::{Capacity, ImageConfig},
    encoding::{is_resource_id, resource_id},
    ledger::{Instance, InstanceState, LaunchToken, MetadataOptions, ShutdownBehavior, State, StateReason},
};

/// EC2's limit of user data, before its base64.
const USER_DATA: usize = 16 * 1024;

/// What RunInstances knows.
pub(in crate::api) const PARAMETERS: &[&str] = &[
    "BlockDeviceMapping",
    "CapacityReservationSpecification",
    "ClientToken",
    "CpuOptions",
    "CreditSpecification",
    "DisableApiStop",
    "DisableApiTermination",
    "EbsOptimized",
    "EnclaveOptions",
    "HibernationOptions",
    "IamInstanceProfile",
    "ImageId",
    "InstanceInitiatedShutdownBehavior",
    "InstanceMarketOptions",
    "InstanceType",
    "KeyName",
    "MaintenanceOptions",
    "MaxCount",
    "MetadataOptions",
    "MinCount",
    "Monitoring",
    "NetworkInterface",
    "Placement",
    "PrivateDnsNameOptions",
    "SecurityGroup",
    "SecurityGroupId",
    "SubnetId",
    "TagSpecification",
    "UserData",
];

/// What was asked for, checked as far as it can be without the ledger.
struct Launch {
    least: usize,
    most: usize,
    image: ImageConfig,
    instance_type: &'static str,
    key_name: Option<String>,
    user_data: Option<String>,
    client_token: Option<String>,
    parameter_hash: String,
    group_ids: Vec<String>,
    group_names: Vec<String>,
    zone: String,
    spot: bool,
    metadata: MetadataOptions,
    shutdown_behavior: ShutdownBehavior,
    termination_protected: bool,
    tags: tags::Specifications,
    /// How many of the first instances are a fault's and never open their address.
    without_ssh: usize,
    public_network: u8,
    ssh_port: u16,
    capacity: Capacity,
}

pub(in crate::api) async fn run(service: &Service, parameters: &Parameters) -> Result<Xml, ApiError> {
    let mut launch = Launch::parse(service, parameters)?;
    refuse_dry_run(parameters)?;
    if let Some(code) = service.faults.next_failure() {
        // EC2 reports a lack of capacity as a failure of its own.
        let status = if code.starts_with("Insufficient") || code.starts_with("Internal") {
            StatusCode::INTERNAL_SERVER_ERROR
        } else if code == "RequestLimitExceeded" {
            StatusCode::SERVICE_UNAVAILABLE
        } else {
            StatusCode::BAD_REQUEST
        };
        return Err(
            ApiError::new(code, "This failure was asked for at the control endpoint").with_status(status),
        );
    }
    launch.without_ssh = service.faults.take_without_ssh(launch.most);
    let (ids, new) = service.ledger.commit(move |state| launch.commit(state)).await?;
    if new {
        for id in &ids {
            service.life.settle_soon(id.clone());
        }
    }
    let state = service.ledger.snapshot();
    let instances: Vec<Arc<Instance>> = ids
        .iter()
        .filter_map(|id| state.instances.get(id))
        .cloned()
        .collect();
    let mut xml = Xml::default();
    view::reservation(&mut xml, service, &state, &instances);
    Ok(xml)
}

impl Launch {
    fn parse(service: &Service, parameters: &Parameters) -> Result<Self, ApiError> {
        let (least, most) = counts(parameters)?;
        let config = &service.config;
        let type_name = parameters.optional("InstanceType").unwrap_or(types::DEFAULT);
        let instance_type = types::find(type_name).ok_or_else(|| {
            ApiError::new(
                "InvalidParameterValue",
                format!("Invalid value '{type_name}' for InstanceType."),
            )
        })?;
        let placement = parameters.structure("Placement");
        let zone = config.zone();
        if let Some(asked) = placement
            .optional("AvailabilityZone")
            .filter(|asked| *asked != zone)
        {
            let message = format!("Invalid availability zone: [{asked}]. There is only {zone}.");
            return Err(ApiError::new("InvalidParameterValue", message));
        }
        let client_token = parameters.optional("ClientToken").map(str::to_owned);
        if let Some(token) = &client_token
            && (token.len() > 64 || !token.is_ascii())
        {
            return Err(ApiError::invalid(
                "ClientToken",
                token,
                "It must have at most 64 ASCII characters.",
            ));
        }
        let words = ["stop", "terminate"];
        let shutdown_behavior = match parameters.word("InstanceInitiatedShutdownBehavior", &words)? {
            Some("terminate") => ShutdownBehavior::Terminate,
            _ => ShutdownBehavior::Stop,
        };
        let market = parameters.structure("InstanceMarketOptions");
        let interfaces = parameters.structures("NetworkInterface")?;
        let mut group_ids = parameters.list("SecurityGroupId")?;
        for interface in &interfaces {
            group_ids.extend(interface.list("SecurityGroupId")?);
        }
        Ok(Self {
            least,
            most,
            image: image(service, parameters)?,
            instance_type: instance_type.name,
            key_name: parameters.optional("KeyName").map(str::to_owned),
            user_data: user_data(parameters)?,
            client_token,
            parameter_hash: parameter_hash(parameters),
            group_ids,
            group_names: parameters.list("SecurityGroup")?,
            zone,
            spot: market.word("MarketType", &["spot"])?.is_some(),
            metadata: metadata_options(&parameters.structure("MetadataOptions"))?,
            shutdown_behavior,
            termination_protected: parameters.boolean("DisableApiTermination")?.unwrap_or(false),
            tags: tags::Specifications::parse(parameters)?,
            without_ssh: 0,
            public_network: config.public_network,
            ssh_port: config.ssh_port,
            capacity: config.capacity,
        })
    }

    /// Writes the instances into the state; the ids, and whether they are new. A token that was used before gives
    /// what it gave then.
    fn commit(self, state: &mut State) -> Result<(Vec<String>, bool), ApiError> {
        if let Some(ids) = self.used_before(state)? {
            return Ok((ids, false));
        }
        let public_key = self.public_key(state)?;
        let group_ids = security_groups::resolve(state, &self.group_ids, &self.group_names)?;
        let count = self.count(state)?;
        let reservation_id = resource_id("r")?;
        let now = OffsetDateTime::now_utc();
        let mut ids = Vec::new();
        for index in 0..count {
            let addresses = allocate(state, self.public_network, self.ssh_port)?
                .ok_or_else(|| ApiError::new("InsufficientFreeAddressesInSubnet", "No address is free"))?;
            state.sequence += 1;
            let mut instance = self.instance(index, addresses, now)?;
            instance.sequence = state.sequence;
            instance.reservation_id.clone_from(&reservation_id);
            instance.public_key.clone_from(&public_key);
            instance.group_ids.clone_from(&group_ids);
            instance.enter(
                InstanceState::Pending,
                Some(StateReason::new("pending", "pending")),
            );
            self.tags.apply(
                state,
                &[("instance", &instance.id), ("volume", &instance.root_volume_id)],
            );
            ids.push(instance.id.clone());
            state.instances.insert(instance.id.clone(), Arc::new(instance));
        }
        if let Some(token) = self.client_token {
            let record = LaunchToken {
                parameters: self.parameter_hash,
                instances: ids.clone(),
                time: now,
            };
            state.tokens.insert(token, record);
        }
        Ok((ids, true))
    }

    /// The public key that `KeyName` stands for now.
    fn public_key(&self, state: &State) -> Result<Option<String>, ApiError> {
        let Some(name) = &self.key_name else {
            return Ok(None);
        };
        let pair = state.key_pairs.get(name).ok_or_else(|| {
            ApiError::new(
                "InvalidKeyPair.NotFound",
                format!("The key pair '{name}' does not exist"),
            )
        })?;
        Ok(Some(pair.public_key.clone()))
    }

    /// One instance, without what it shares with the others of its launch.
    fn instance(
        &self,
        index: usize,
        (private_address, public_address): (Ipv4Addr, Ipv4Addr),
        now: OffsetDateTime,
    ) -> Result<Instance, ApiError> {
        Ok(Instance {
            id: resource_id("i")?,
            sequence: 0,
            reservation_id: String::new(),
            launch_index: u32::try_from(index).unwrap_or(u32::MAX),
            image_id: self.image.id.clone(),
            architecture: self.image.architecture.clone(),
            layers: self.image.layers.clone(),
            instance_type: self.instance_type.to_owned(),
            key_name: self.key_name.clone(),
            public_key: None,
            user_data: self.user_data.clone(),
            client_token: self.client_token.clone(),
            group_ids: Vec::new(),
            zone: self.zone.clone(),
            spot: self.spot,
            metadata: self.metadata,
            shutdown_behavior: self.shutdown_behavior,
            termination_protected: self.termination_protected,
            private_address,
            public_address,
            root_volume_id: resource_id("vol")?,
            launch_time: now,
            state: InstanceState::Pending,
            has_disk: false,
            reboot_requested: false,
            without_ssh: index < self.without_ssh,
            state_reason: None,
            terminated_at: None,
            history: Vec::new(),
        })
    }

    fn used_before(&self, state: &State) -> Result<Option<Vec<String>>, ApiError> {
        let Some(used) = self
            .client_token
            .as_ref()
            .and_then(|token| state.tokens.get(token))
        else {
            return Ok(None);
        };
        if used.parameters != self.parameter_hash {
            let message = "Arguments on this idempotent request are inconsistent with arguments used in previous request(s).";
            return Err(ApiError::new("IdempotentParameterMismatch", message));
        }
        let alive = used
            .instances
            .iter()
            .filter_map(|id| state.instances.get(id))
            .any(|instance| {
                !matches!(
                    instance.state,
                    InstanceState::Terminated | InstanceState::ShuttingDown
                )
            });
        if !alive {
            let message =
                "The instance launched by a previous request with the same client token has been terminated.";
            return Err(ApiError::new("IdempotentInstanceTerminated", message));
        }
        Ok(Some(used.instances.clone()))
    }

    /// How many instances there is room for: the account's quota is a refusal, the cloud's room may shorten.
    fn count(&self, state: &State) -> Result<usize, ApiError> {
        let held = state
            .instances
            .values()
            .filter(|instance| takes_place(instance.state))
            .count();
        let quota = usize::try_from(self.capacity.max_instances).unwrap_or(usize::MAX);
        let room = usize::try_from(self.capacity.instances).unwrap_or(usize::MAX);
        if held + self.least > quota {
            let message = format!(
                "You have requested more instances ({}) than your current instance limit of {quota} allows.",
                held + self.least
            );
            return Err(ApiError::new("InstanceLimitExceeded", message));
        }
        if held + self.least > room {
            let message = format!("Insufficient capacity: {held} of {room} instances are in use.");
            let error = ApiError::new("InsufficientInstanceCapacity", message);
            return Err(error.with_status(StatusCode::INTERNAL_SERVER_ERROR));
        }
        Ok(self.most.min(quota - held).min(room - held))
    }
}

/// Whether an instance in this state takes a place: a stopped or terminated one does not.
fn takes_place(state: InstanceState) -> bool {
    !matches!(state, InstanceState::Stopped | InstanceState::Terminated)
}

fn counts(parameters: &Parameters) -> Result<(usize, usize), ApiError> {
    let number = |name: &str| -> Result<usize, ApiError> {
        let number = parameters
            .integer(name, 1, 1000)?
            .ok_or_else(|| ApiError::missing(name))?;
        usize::try_from(number).map_err(|_| ApiError::internal())
    };
    let (least, most) = (number("MinCount")?, number("MaxCount")?);
    if least > most {
        let message = "MinCount must not be greater than MaxCount";
        return Err(ApiError::new("InvalidParameterCombination", message));
    }
    Ok((least, most))
}

fn image(service: &Service, parameters: &Parameters) -> Result<ImageConfig, ApiError> {
    let id = parameters.required("ImageId")?;
    if !is_resource_id(id, "ami") {
        return Err(ApiError::new(
            "InvalidAMIID.Malformed",
            format!("Invalid id: \"{id}\""),
        ));
    }
    let image = service.config.images.iter().find(|image| image.id == id);
    image.cloned().ok_or_else(|| {
        ApiError::new(
            "InvalidAMIID.NotFound",
            format!("The image id '[{id}]' does not exist"),
        )
    })
}

fn user_data(parameters: &Parameters) -> Result<Option<String>, ApiError> {
    let Some(encoded) = parameters.optional("UserData") else {
        return Ok(None);
    };
    // Some clients break the base64 into lines.
    let plain: String = encoded.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let decoded = STANDARD.decode(&plain).map_err(|_| {
        ApiError::new(
            "InvalidUserData.Malformed",
            "Invalid BASE64 encoding of user data.",
        )
    })?;
    if decoded.len() > USER_DATA {
        let message = format!("User data is limited to {USER_DATA} bytes");
        return Err(ApiError::new("InvalidParameterValue", message));
    }
    Ok(Some(plain))
}

fn metadata_options(options: &Parameters) -> Result<MetadataOptions, ApiError> {
    let hop_limit = options.integer("HttpPutResponseHopLimit", 1, 64)?.unwrap_or(1);
    Ok(MetadataOptions {
        tokens_required: options.word("HttpTokens", &["optional", "required"])? == Some("required"),
        hop_limit: u8::try_from(hop_limit).map_err(|_| ApiError::internal())?,
        enabled: options.word("HttpEndpoint", &["enabled", "disabled"])? != Some("disabled"),
    })
}

/// A digest of all that a client token stands for.
fn parameter_hash(parameters: &Parameters) -> String {
    let mut digest = Sha256::new();
    for (name, value) in parameters.without_signature(&["Action", "Version", "ClientToken", "DryRun"]) {
        for part in [name, value] {
            digest.update(part.len().to_le_bytes());
            digest.update(part.as_bytes());
        }
    }
    hex::encode(digest.finalize())
}
