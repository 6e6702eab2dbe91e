//! RunInstances: checks everything, writes the instances into the ledger in one change, and has them started.

mod disk;
mod refusals;
mod room;

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
    addresses::{allocate, freed_last},
    api::{
        actions::{Call, Change},
        security_groups,
        service::Service,
        tags, vpc,
    },
    config::{Capacity, ImageConfig},
    faults::{Market, Quotas, Work},
    instance_types,
    ledger::{
        ImageState, Instance, InstanceFaults, InstanceState, LaunchToken, MetadataOptions, ShutdownBehavior,
        State, StateReason, TagEdit,
    },
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
    keeps_volume: bool,
    tags: tags::Specifications,
    /// What goes wrong with them on purpose.
    work: Work,
    quotas: Quotas,
    public_network: u8,
    ssh_port: u16,
    capacity: Capacity,
}

/// What a launch gave.
struct Made {
    /// The instances of the answer.
    answered: Vec<String>,
    /// Those that were not there before; not all of them need be in the answer.
    new: Vec<String>,
}

impl Change for RunInstances {
    async fn make(self, call: Call<'_>) -> Result<Xml, ApiError> {
        let service = call.service;
        let (launch, dry_run) = (Launch::check(self, call)?, call.dry_run);
        let ids = match launch.earlier(&service.ledger.snapshot()) {
            Some(earlier) => earlier,
            None => {
                let made = service
                    .ledger
                    .commit(move |state| {
                        let made = launch.commit(state)?;
                        dry_run.end()?;
                        Ok::<_, ApiError>(made)
                    })
                    .await?;
                for id in made.new {
                    service.life.reconcile_soon(id);
                }
                made.answered
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
        disk::fits(&request.block_device_mapping, &image)?;
        let spot = request.instance_market_options.market_type == Some(MarketType::Spot);
        let market = if spot { Market::Spot } else { Market::OnDemand };
        if service.faults.is_short(type_name, &config.zone(), market) {
            let message = format!("There is no room for {type_name} in {} now.", config.zone());
            return Err(config.profile.no_room(message));
        }
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
            keeps_volume: disk::keeps_volume(&request.block_device_mapping, &image),
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
            spot,
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
            work: call.work.clone(),
            quotas: service.faults.quotas(),
            public_network: config.public_network,
            ssh_port: config.ssh_port,
            capacity: config.capacity,
        })
    }

    /// Writes the instances into the state. A token that was used before gives what it gave then.
    fn commit(self, state: &mut State) -> Result<Made, ApiError> {
        if let Some(answered) = self.used_before(state)? {
            let new = Vec::new();
            return Ok(Made { answered, new });
        }
        let public_key = self.public_key(state)?;
        let group_ids = security_groups::resolve(state, &self.group_ids, &self.group_names)?;
        let count = self.count(state)?;
        let reservation_id = self.profile.new_id("r")?;
        let now = OffsetDateTime::now_utc();
        let mut ids = Vec::new();
        for index in 0..count {
            let addresses = self.addresses(state, index)?;
            let mut instance = self.instance(index, addresses, now)?;
            instance.reservation_id.clone_from(&reservation_id);
            instance.public_key.clone_from(&public_key);
            instance.group_ids.clone_from(&group_ids);
            self.tags.apply(
                state,
                &[
                    ("instance", &instance.id),
                    ("volume", &instance.root_volume_id),
                    ("network-interface", &vpc::interface_id(&instance)),
                ],
            );
            if let Some(delay) = self.work.delays_tags()
                && let Some(set) = state.tags.remove(&instance.id)
            {
                let at = now + delay;
                let remove = Vec::new();
                instance.faults.tag_edits.push(TagEdit { at, set, remove });
            }
            ids.push(instance.id.clone());
            enlist(state, instance);
        }
        let mut new = ids.clone();
        new.extend(self.strangers(state, now)?);
        if let Some(token) = self.client_token {
            let record = LaunchToken {
                parameters: self.parameter_hash,
                instances: ids.clone(),
                time: now,
            };
            state.tokens.insert(token, record);
        }
        Ok(Made { answered: ids, new })
    }

    /// The addresses of the instance at this place of the launch.
    fn addresses(&self, state: &mut State, index: usize) -> Result<(Ipv4Addr, Ipv4Addr), ApiError> {
        if index == 0
            && self.work.reuses_address()
            && let Some(freed) = freed_last(state)
        {
            return Ok(freed);
        }
        allocate(state, self.public_network, self.ssh_port)?
            .ok_or_else(|| ApiError::new("InsufficientFreeAddressesInSubnet", "No address is free"))
    }

    /// What others of the account launch at the same moment: a fault.
    fn strangers(&self, state: &mut State, now: OffsetDateTime) -> Result<Vec<String>, ApiError> {
        let mut ids = Vec::new();
        let Some((count, tags)) = self.work.strangers() else {
            return Ok(ids);
        };
        for index in 0..count {
            let addresses = self.addresses(state, usize::MAX)?;
            let stranger = Instance {
                reservation_id: self.profile.new_id("r")?,
                key_name: None,
                user_data: None,
                client_token: None,
                without_ssh: false,
                faults: InstanceFaults {
                    is_stranger: true,
                    ..InstanceFaults::default()
                },
                ..self.instance(index, addresses, now)?
            };
            if !tags.is_empty() {
                state.tags.insert(stranger.id.clone(), tags.clone());
            }
            ids.push(stranger.id.clone());
            enlist(state, stranger);
        }
        Ok(ids)
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
            keeps_volume: self.keeps_volume,
            launch_time: now,
            state: InstanceState::Pending,
            has_disk: false,
            reboot_requested: false,
            without_ssh: self.work.is_without_ssh(),
            faults: self.work.of_instance(now),
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
}

/// Puts a new instance into the state.
fn enlist(state: &mut State, mut instance: Instance) {
    state.sequence += 1;
    instance.sequence = state.sequence;
    instance.enter(
        InstanceState::Pending,
        Some(StateReason::new("pending", "pending")),
    );
    state.instances.insert(instance.id.clone(), Arc::new(instance));
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
    if let Some(image) = service.config.images.iter().find(|image| image.id == id) {
        return Ok(image.clone());
    }
    let state = service.ledger.snapshot();
    match state.images.get(id).filter(|image| image.is_shown()) {
        Some(image) if image.state == ImageState::Available => Ok(ImageConfig {
            id: image.id.clone(),
            name: image.name.clone(),
            description: image.description.clone(),
            architecture: image.architecture.clone(),
            layers: image.layers.clone(),
            keeps_volume: false,
        }),
        Some(image) => {
            let message = format!("The image ID '{id}' is {}, not available", image.state.name());
            Err(ApiError::new("InvalidAMIID.Unavailable", message))
        }
        None => {
            let message = format!("The image id '[{id}]' does not exist");
            Err(ApiError::new("InvalidAMIID.NotFound", message))
        }
    }
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
