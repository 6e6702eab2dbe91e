//! RunInstances: checks everything, writes the instances into the ledger in one change, and has them started.

mod disk;
mod refusals;

use std::{net::Ipv4Addr, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use devcloud_dialect::{
    ApiError, Form, Xml,
    request::{self, HttpTokens, MarketType, RunInstances, Switch},
    within,
};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use super::view;
use crate::{
    Profile,
    addresses::allocate,
    api::{
        actions::{Call, Change},
        security_groups,
        service::Service,
        tags, vpc,
    },
    config::{Capacity, ImageConfig},
    faults::LaunchFaults,
    instance_types,
    ledger::{Instance, InstanceState, LaunchToken, MetadataOptions, ShutdownBehavior, State, StateReason},
    profile::Tokens,
};

/// EC2's limit of user data, before its base64.
const USER_DATA: usize = 16 * 1024;

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
    profile: Profile,
    group_ids: Vec<String>,
    group_names: Vec<String>,
    zone: String,
    spot: bool,
    metadata: MetadataOptions,
    shutdown_behavior: ShutdownBehavior,
    termination_protected: bool,
    stop_protected: bool,
    tags: tags::Specifications,
    /// What goes wrong with them on purpose.
    faults: LaunchFaults,
    public_network: u8,
    ssh_port: u16,
    capacity: Capacity,
}

impl Change for RunInstances {
    async fn make(self, call: Call<'_>) -> Result<Xml, ApiError> {
        let service = call.service;
        let (launch, dry_run) = (Launch::check(self, call)?, call.dry_run);
        let ids = match launch.earlier(&service.ledger.snapshot()) {
            Some(earlier) => earlier,
            None => {
                let (ids, new) = service
                    .ledger
                    .commit(move |state| {
                        let made = launch.commit(state)?;
                        dry_run.end()?;
                        Ok::<_, ApiError>(made)
                    })
                    .await?;
                for id in ids.iter().filter(|_| new) {
                    service.life.reconcile_soon(id.clone());
                }
                ids
            }
        };
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
}

impl Launch {
    /// Checks everything that can be checked without changing the ledger.
    fn check(request: RunInstances, call: Call<'_>) -> Result<Self, ApiError> {
        let service = call.service;
        let config = &service.config;
        let (least, most) = counts(&request)?;
        let type_name = request
            .instance_type
            .as_deref()
            .unwrap_or(instance_types::DEFAULT);
        let instance_type = instance_types::find(type_name).ok_or_else(|| {
            ApiError::new(
                "InvalidParameterValue",
                format!("Invalid value '{type_name}' for InstanceType."),
            )
        })?;
        let image = image(service, request.image_id.as_deref())?;
        refusals::check(service, &request)?;
        let tags = tags::Specifications::check(&request.tag_specification, tags::OF_LAUNCHES)?;
        let user_data = user_data(request.user_data.as_deref())?;
        let metadata = metadata_options(&request.metadata_options)?;
        let mut group_ids = request.security_group_id;
        for interface in request.network_interface {
            group_ids.extend(interface.security_group_id);
        }
        Ok(Self {
            least,
            most,
            image,
            instance_type: instance_type.name,
            key_name: request.key_name,
            user_data,
            client_token: request.client_token.map(|token| token.0),
            parameter_hash: parameter_hash(call.form),
            profile: config.profile.clone(),
            group_ids,
            group_names: request.security_group,
            zone: config.zone(),
            spot: request.instance_market_options.market_type == Some(MarketType::Spot),
            metadata,
            shutdown_behavior: match request.instance_initiated_shutdown_behavior {
                Some(request::ShutdownBehavior::Terminate) if config.profile.keeps_shutdown_behavior => {
                    ShutdownBehavior::Terminate
                }
                _ => ShutdownBehavior::Stop,
            },
            termination_protected: request.disable_api_termination.unwrap_or(false),
            stop_protected: request.disable_api_stop.unwrap_or(false),
            tags,
            faults: call.launch,
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
        let reservation_id = self.profile.new_id("r")?;
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
                &[
                    ("instance", &instance.id),
                    ("volume", &instance.root_volume_id),
                    ("network-interface", &vpc::interface_id(&instance)),
                ],
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
            id: self.profile.new_id("i")?,
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
            stop_protected: self.stop_protected,
            private_address,
            public_address,
            root_volume_id: self.profile.new_id("vol")?,
            launch_time: now,
            state: InstanceState::Pending,
            has_disk: false,
            reboot_requested: false,
            without_ssh: self.faults.without_ssh,
            faults: self.faults.of_instance(now),
            state_reason: None,
            terminated_at: None,
            history: Vec::new(),
        })
    }

    /// What the token gave, as far as it is still known, where that is all that a token means.
    fn earlier(&self, state: &State) -> Option<Vec<String>> {
        if self.profile.tokens != Tokens::Earlier {
            return None;
        }
        let used = state.tokens.get(self.client_token.as_ref()?)?;
        let known = used
            .instances
            .iter()
            .filter(|id| state.instances.contains_key(*id));
        let known: Vec<String> = known.cloned().collect();
        (!known.is_empty()).then_some(known)
    }

    fn used_before(&self, state: &State) -> Result<Option<Vec<String>>, ApiError> {
        let Some(used) = self
            .client_token
            .as_ref()
            .and_then(|token| state.tokens.get(token))
        else {
            return Ok(None);
        };
        if self.profile.tokens == Tokens::Earlier {
            // It was looked for before and not found: another call with it came in between.
            return match self.earlier(state) {
                Some(_) => Err(ApiError {
                    code: "InternalFailure".into(),
                    ..ApiError::internal()
                }),
                None => Ok(None),
            };
        }
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
            return Err(self.profile.no_room(message));
        }
        Ok(self.most.min(quota - held).min(room - held))
    }
}

/// Whether an instance in this state takes a place: a stopped or terminated one does not.
fn takes_place(state: InstanceState) -> bool {
    !matches!(state, InstanceState::Stopped | InstanceState::Terminated)
}

fn counts(request: &RunInstances) -> Result<(usize, usize), ApiError> {
    let number = |name: &str, number: Option<i64>| -> Result<usize, ApiError> {
        let number = within(name, number.ok_or_else(|| ApiError::missing(name))?, 1, 1000)?;
        usize::try_from(number).map_err(|_| ApiError::internal())
    };
    let (least, most) = (
        number("MinCount", request.min_count)?,
        number("MaxCount", request.max_count)?,
    );
    if least > most {
        let message = "MinCount must not be greater than MaxCount";
        return Err(ApiError::new("InvalidParameterCombination", message));
    }
    Ok((least, most))
}

fn image(service: &Service, id: Option<&str>) -> Result<ImageConfig, ApiError> {
    let id = id.ok_or_else(|| ApiError::missing("ImageId"))?;
    if !service.config.profile.is_image_id(id) {
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

fn user_data(encoded: Option<&str>) -> Result<Option<String>, ApiError> {
    let Some(encoded) = encoded else {
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

fn metadata_options(options: &request::MetadataOptions) -> Result<MetadataOptions, ApiError> {
    let hop_limit = within(
        "MetadataOptions.HttpPutResponseHopLimit",
        options.http_put_response_hop_limit.unwrap_or(1),
        1,
        64,
    )?;
    Ok(MetadataOptions {
        tokens_required: options.http_tokens == Some(HttpTokens::Required),
        hop_limit: u8::try_from(hop_limit).map_err(|_| ApiError::internal())?,
        enabled: options.http_endpoint != Some(Switch::Disabled),
    })
}

/// A digest of all that a client token stands for.
fn parameter_hash(form: &Form) -> String {
    let mut digest = Sha256::new();
    for (name, value) in form.asked().filter(|(name, _)| *name != "ClientToken") {
        for part in [name, value] {
            digest.update(part.len().to_le_bytes());
            digest.update(part.as_bytes());
        }
    }
    hex::encode(digest.finalize())
}
