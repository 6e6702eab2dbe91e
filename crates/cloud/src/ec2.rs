//! The EC2 client: Amazon, Eucalyptus and devcloud alike.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use aws_sdk_ec2::{
    Client, Config,
    config::{self, BehaviorVersion, IdentityCache, Region, retry::RetryConfig, timeout::TimeoutConfig},
    error::ProvideErrorMetadata as _,
    types::{
        AttributeBooleanValue, Filter, HttpTokensState, InstanceInterruptionBehavior, InstanceLifecycleType,
        InstanceMarketOptionsRequest, InstanceMetadataOptionsRequest, InstanceStateName, InstanceType,
        MarketType, Placement, ResourceType, ShutdownBehavior, SpotInstanceType, SpotMarketOptions, Tag,
        TagSpecification,
    },
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use model::{FleetId, LaunchId, Market, Offering, offering::is_word};
use tracing::debug;

mod answer;
mod dialect;
mod images;
mod named;
mod offers;
mod once;
mod role;
mod settings;

use answer::classify;
pub use offers::UnknownTypes;
use once::asked_once;
pub use role::{InstanceRole, METADATA_SERVICE};
pub use settings::Ec2Settings;

use crate::{
    Cloud, Dialect, End, Error, FLEET_TAG, IDS_AT_ONCE, INSTANCES_ON_A_PAGE, Image, Instance, InstanceState,
    LAUNCH_TAG, LaunchRequest, NewImage, Owner,
};

/// A listing with more pages than this is refused rather than followed for ever.
const MOST_PAGES: usize = 400;

/// How long one question may take, and all of its tries.
fn timeouts(one: Duration, all: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(3))
        .read_timeout(one)
        .operation_attempt_timeout(one)
        .operation_timeout(all)
        .build()
}

/// A cloud that speaks EC2's Query API.
#[derive(Clone, Debug)]
pub struct Ec2 {
    client: Client,
}

impl Ec2 {
    /// A client; nothing is called yet.
    #[must_use]
    pub fn new(settings: &Ec2Settings) -> Self {
        let config = Config::builder().credentials_provider(settings.credentials());
        Self::with(config, &settings.region, settings.endpoint.as_deref())
    }

    /// A client with the keys of the role of the machine that this program runs on; nothing is called yet. The endpoint is Amazon's of
    /// the region where none is given.
    #[must_use]
    pub fn of_role(region: &str, endpoint: Option<&str>, role: InstanceRole) -> Self {
        // It keeps its key itself, and knows when to renew it.
        let config = Config::builder()
            .credentials_provider(role)
            .identity_cache(IdentityCache::no_cache());
        Self::with(config, region, endpoint)
    }

    fn with(config: config::Builder, region: &str, endpoint: Option<&str>) -> Self {
        let timeouts = timeouts(Duration::from_secs(30), Duration::from_secs(50));
        let mut builder = config
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(region.to_owned()))
            .retry_config(
                RetryConfig::standard()
                    .with_max_attempts(3)
                    .with_initial_backoff(Duration::from_millis(200)),
            )
            .timeout_config(timeouts);
        if let Some(endpoint) = endpoint {
            builder = builder.endpoint_url(endpoint);
        }
        Self {
            client: Client::from_conf(builder.build()),
        }
    }

    fn tags(owner: &Owner, launch: Option<LaunchId>) -> Vec<Tag> {
        let launch = launch.map(|launch| (LAUNCH_TAG, launch.to_string()));
        let tags = owner.tags().into_iter().chain(launch);
        tags.map(|(key, value)| Tag::builder().key(key).value(value).build())
            .collect()
    }
}

#[async_trait]
impl Cloud for Ec2 {
    async fn launch(&self, request: &LaunchRequest) -> Result<Instance, Error> {
        let tags = TagSpecification::builder()
            .resource_type(ResourceType::Instance)
            .set_tags(Some(Self::tags(&request.owner(), Some(request.launch))))
            .build();
        let offering = &request.offering;
        let zone = offering.zone.as_ref();
        let placement = zone.map(|zone| Placement::builder().availability_zone(zone).build());
        let metadata = request.metadata_options.then(|| {
            InstanceMetadataOptionsRequest::builder()
                .http_tokens(HttpTokensState::Required)
                .http_put_response_hop_limit(1)
                .build()
        });
        debug!(launch.id = %request.launch, "Asking for {offering} from {}.", request.image);
        let answer = self
            .client
            .run_instances()
            .image_id(&request.image)
            .instance_type(InstanceType::from(offering.instance_type.as_str()))
            .min_count(1)
            .max_count(1)
            .client_token(request.launch.to_string())
            .user_data(BASE64_STANDARD.encode(&request.user_data))
            .instance_initiated_shutdown_behavior(ShutdownBehavior::Terminate)
            .tag_specifications(tags)
            .set_placement(placement)
            .set_subnet_id(offering.subnet.clone())
            .set_block_device_mappings(images::going_with(&request.volumes))
            .set_security_group_ids(Some(request.security_groups.clone()).filter(|groups| !groups.is_empty()))
            .set_metadata_options(metadata)
            .set_instance_market_options(market(offering))
            .customize()
            .config_override(asked_once().timeout_config(timeouts(request.limit, request.limit)))
            .send()
            .await
            .map_err(|error| classify(&error))?;
        answer
            .instances()
            .first()
            .and_then(instance)
            .ok_or_else(|| Error::Unclear {
                what: "RunInstances answered without an instance".to_owned(),
            })
    }

    async fn describe(&self, instance_ids: &[String]) -> Result<Vec<Instance>, Error> {
        let mut found = Vec::new();
        for some in instance_ids.chunks(IDS_AT_ONCE) {
            // As a filter, not as ids: one unknown id among the latter fails the whole call.
            let filter = Filter::builder()
                .name("instance-id")
                .set_values(Some(some.to_vec()))
                .build();
            found.extend(self.pages(Some(filter)).await?);
        }
        Ok(found)
    }

    async fn list(&self, fleet: FleetId) -> Result<Vec<Instance>, Error> {
        let filter = Filter::builder()
            .name(format!("tag:{FLEET_TAG}"))
            .values(fleet.to_string())
            .build();
        let mut found = self.pages(Some(filter)).await?;
        // Whatever the endpoint makes of the filter: what is not tagged exactly is not ours.
        found.retain(|instance| instance.belongs_to(fleet));
        Ok(found)
    }

    async fn list_all(&self) -> Result<Vec<Instance>, Error> {
        self.pages(None).await
    }

    async fn tag(&self, instance_id: &str, owner: &Owner) -> Result<(), Error> {
        self.client
            .create_tags()
            .resources(instance_id)
            .set_tags(Some(Self::tags(owner, None)))
            .customize()
            .config_override(asked_once())
            .send()
            .await
            .map_err(|error| classify(&error))?;
        Ok(())
    }

    async fn terminate(&self, instance_id: &str) -> Result<End, Error> {
        let sent = self
            .client
            .terminate_instances()
            .instance_ids(instance_id)
            .customize()
            .config_override(asked_once())
            .send()
            .await;
        match sent {
            Ok(_) => Ok(End::Asked),
            // The caller looks the instance up to learn that it is gone: here it only must not fail.
            Err(error) if error.code() == Some("InvalidInstanceID.NotFound") => Ok(End::Asked),
            Err(error) => Err(classify(&error)),
        }
    }

    async fn unprotect(&self, instance_id: &str) -> Result<(), Error> {
        self.client
            .modify_instance_attribute()
            .instance_id(instance_id)
            .disable_api_termination(AttributeBooleanValue::builder().value(false).build())
            .customize()
            .config_override(asked_once())
            .send()
            .await
            .map_err(|error| classify(&error))?;
        Ok(())
    }

    async fn console_output(&self, instance_id: &str) -> Result<String, Error> {
        let answer = self
            .client
            .get_console_output()
            .instance_id(instance_id)
            .send()
            .await
            .map_err(|error| classify(&error))?;
        let bytes = BASE64_STANDARD
            .decode(answer.output().unwrap_or_default().replace(['\r', '\n'], ""))
            .map_err(|cause| Error::Unclear {
                what: format!("console output that is not base64: {cause}"),
            })?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    async fn image(&self, id: &str) -> Result<Option<Image>, Error> {
        self.find_image(id).await
    }

    async fn images(&self, fleet: FleetId) -> Result<Vec<Image>, Error> {
        self.images_of(fleet).await
    }

    async fn images_named(&self, owner: &str, name: &str) -> Result<Vec<Image>, Error> {
        self.find_images(owner, name).await
    }

    async fn create_image(&self, wanted: &NewImage) -> Result<String, Error> {
        self.make_image(wanted).await
    }

    async fn tag_image(&self, id: &str, tags: &BTreeMap<String, String>) -> Result<(), Error> {
        self.give_tags(id, tags).await
    }

    async fn delete_image(&self, id: &str) -> Result<(), Error> {
        self.deregister(id).await
    }

    async fn dialect(&self) -> Result<Option<Dialect>, Error> {
        self.dialect_by_signs().await
    }
}

/// How a machine is paid for, where that is not as usual. One that the cloud takes back is to be gone, not stopped: its disk
/// would go on costing.
fn market(offering: &Offering) -> Option<InstanceMarketOptionsRequest> {
    let spot = SpotMarketOptions::builder()
        .set_max_price(offering.max_price.map(|price| price.to_string()))
        .spot_instance_type(SpotInstanceType::OneTime)
        .instance_interruption_behavior(InstanceInterruptionBehavior::Terminate)
        .build();
    (offering.market == Market::Spot).then(|| {
        InstanceMarketOptionsRequest::builder()
            .market_type(MarketType::Spot)
            .spot_options(spot)
            .build()
    })
}

impl Ec2 {
    async fn pages(&self, filter: Option<Filter>) -> Result<Vec<Instance>, Error> {
        let mut found = Vec::new();
        let mut token: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let page = self
                .client
                .describe_instances()
                .set_filters(filter.clone().map(|filter| vec![filter]))
                .max_results(i32::from(INSTANCES_ON_A_PAGE))
                .set_next_token(token)
                .send()
                .await
                .map_err(|error| classify(&error))?;
            let instances = page
                .reservations()
                .iter()
                .flat_map(|reservation| reservation.instances());
            found.extend(instances.filter_map(instance));
            token = page
                .next_token()
                .filter(|token| !token.is_empty())
                .map(str::to_owned);
            if token.is_none() {
                return Ok(found);
            }
        }
        Err(Error::Unclear {
            what: format!("a listing of more than {MOST_PAGES} pages"),
        })
    }
}

fn instance(found: &aws_sdk_ec2::types::Instance) -> Option<Instance> {
    let state = match found.state().and_then(|state| state.name()) {
        Some(InstanceStateName::Pending) => InstanceState::Pending,
        Some(InstanceStateName::Running) => InstanceState::Running,
        Some(InstanceStateName::ShuttingDown) => InstanceState::ShuttingDown,
        Some(InstanceStateName::Terminated) => InstanceState::Terminated,
        Some(InstanceStateName::Stopping) => InstanceState::Stopping,
        Some(InstanceStateName::Stopped) => InstanceState::Stopped,
        _ => InstanceState::Unknown,
    };
    let address = [found.public_ip_address(), found.private_ip_address()]
        .into_iter()
        .flatten()
        .find(|address| !address.is_empty());
    let tags = found
        .tags()
        .iter()
        .filter_map(|tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned())))
        .collect();
    Some(Instance {
        id: found.instance_id()?.to_owned(),
        state,
        address: address.map(str::to_owned),
        state_reason: found
            .state_reason()
            .and_then(|reason| reason.message())
            .map(str::to_owned),
        offering: offering(found),
        tags,
    })
}

/// What an instance is of, as far as it can be an offering.
fn offering(found: &aws_sdk_ec2::types::Instance) -> Option<Offering> {
    let word = |text: Option<&str>| text.filter(|it| is_word(it)).map(str::to_owned);
    Some(Offering {
        instance_type: word(found.instance_type().map(InstanceType::as_str))?,
        zone: word(found.placement().and_then(|place| place.availability_zone())),
        subnet: None,
        market: match found.instance_lifecycle() {
            Some(InstanceLifecycleType::Spot) => Market::Spot,
            _ => Market::OnDemand,
        },
        max_price: None,
    })
}

#[cfg(test)]
mod tests;
