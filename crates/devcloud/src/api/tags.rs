//! Tags: on instances, volumes, key pairs, security groups and images, in one table by resource id.

use std::collections::BTreeMap;

use devcloud_dialect::{
    ApiError, Filters, Page, Xml,
    ids::is_resource_id,
    request::{CreateTags, DeleteTags, DescribeTags, Tag, TagSpecification},
};
use time::OffsetDateTime;

use super::{
    actions::{Call, Change, Question},
    service::Service,
    vpc,
};
use crate::{
    CloudConfig,
    ledger::{MadeImage, State},
};

/// EC2's limit of tags of one resource.
const MOST: usize = 50;

/// Prefixes of ids, the name of their type in DescribeTags, and the code of the error for an unknown one.
const RESOURCES: &[(&str, &str, &str)] = &[
    ("i", "instance", "InvalidInstanceID.NotFound"),
    ("vol", "volume", "InvalidVolume.NotFound"),
    ("ami", "image", "InvalidAMIID.NotFound"),
    ("emi", "image", "InvalidAMIID.NotFound"),
    ("key", "key-pair", "InvalidKeyPair.NotFound"),
    ("sg", "security-group", "InvalidGroup.NotFound"),
    ("eni", "network-interface", "InvalidNetworkInterfaceID.NotFound"),
    ("vpc", "vpc", "InvalidVpcID.NotFound"),
    ("subnet", "subnet", "InvalidSubnetID.NotFound"),
];

/// What a launch makes that can be tagged.
pub(super) const OF_LAUNCHES: &[&str] = &["instance", "network-interface", "volume"];

/// `TagSpecification.N` of a call that makes something.
#[derive(Clone, Debug, Default)]
pub(super) struct Specifications {
    by_type: BTreeMap<String, BTreeMap<String, String>>,
}

impl Specifications {
    /// Checks specifications for a call that makes things of the types `made`.
    pub(super) fn check(specifications: &[TagSpecification], made: &[&str]) -> Result<Self, ApiError> {
        let mut by_type = BTreeMap::new();
        for specification in specifications {
            let kind = specification.resource_type.as_str();
            if !made.contains(&kind) {
                let message = format!("'{kind}' is not a valid taggable resource type for this operation.");
                return Err(ApiError::new("InvalidParameterValue", message));
            }
            if by_type
                .insert(kind.to_owned(), collect(&specification.tag)?)
                .is_some()
            {
                let message = format!("Two tag specifications are for '{kind}'");
                return Err(ApiError::new("InvalidParameterValue", message));
            }
        }
        Ok(Self { by_type })
    }

    /// Tags the things that were made: pairs of type and id.
    pub(super) fn apply(&self, state: &mut State, made: &[(&str, &str)]) {
        for (kind, id) in made {
            if let Some(tags) = self.by_type.get(*kind).filter(|tags| !tags.is_empty()) {
                state.tags.insert((*id).to_owned(), tags.clone());
            }
        }
    }
}

fn too_many() -> ApiError {
    ApiError::new(
        "TagLimitExceeded",
        format!("A resource can have at most {MOST} tags"),
    )
}

/// Tags by their keys, each of which may be there once.
fn collect(given: &[Tag]) -> Result<BTreeMap<String, String>, ApiError> {
    let mut tags = BTreeMap::new();
    for tag in given {
        if tags.insert(tag.key.0.clone(), tag.value.0.clone()).is_some() {
            let message = format!("Duplicate tag key '{}' specified.", tag.key.0);
            return Err(ApiError::new("InvalidParameterValue", message));
        }
    }
    if tags.len() > MOST {
        return Err(too_many());
    }
    Ok(tags)
}

/// `ResourceId.N`, each of which has to exist.
fn resources(config: &CloudConfig, state: &State, ids: &[String]) -> Result<(), ApiError> {
    let now = OffsetDateTime::now_utc();
    for id in ids {
        let malformed = || ApiError::new("InvalidID", format!("The ID '{id}' is not valid"));
        let (prefix, _) = id.split_once('-').ok_or_else(malformed)?;
        let (_, _, code) = RESOURCES
            .iter()
            .find(|(known, ..)| *known == prefix)
            .ok_or_else(malformed)?;
        if !is_resource_id(id, prefix) {
            return Err(malformed());
        }
        let exists = match prefix {
            "i" => state.instances.get(id).is_some_and(|one| !one.is_hidden(now)),
            "vol" => state
                .instances
                .values()
                .any(|instance| instance.root_volume_id == *id),
            "ami" | "emi" => {
                let made = state.images.get(id);
                config.images.iter().any(|image| image.id == *id) || made.is_some_and(MadeImage::is_shown)
            }
            "key" => state.key_pairs.values().any(|key| key.id == *id),
            "eni" => state.instances.contains_key(&vpc::interface_owner(id)),
            "vpc" => *id == vpc::vpc_id(state),
            "subnet" => *id == vpc::subnet_id(state),
            _ => state.security_groups.contains_key(id),
        };
        if !exists {
            return Err(ApiError::new(*code, format!("The ID '{id}' does not exist")));
        }
    }
    Ok(())
}

fn required_resources(ids: Vec<String>) -> Result<Vec<String>, ApiError> {
    match ids.len() {
        0 => Err(ApiError::missing("ResourceId")),
        1..=1000 => Ok(ids),
        _ => Err(ApiError::new(
            "InvalidParameterValue",
            "At most 1000 resources can be named at once",
        )),
    }
}

impl Change for CreateTags {
    async fn make(self, call: Call<'_>) -> Result<Xml, ApiError> {
        let ids = required_resources(self.resource_id)?;
        let tags = collect(&self.tag)?;
        if tags.is_empty() {
            return Err(ApiError::missing("Tag"));
        }
        let (service, dry_run) = (call.service, call.dry_run);
        let config = service.config.clone();
        service
            .ledger
            .commit(move |state| {
                resources(&config, state, &ids)?;
                for id in ids {
                    let all = state.tags.entry(id).or_default();
                    all.extend(tags.clone());
                    if all.len() > MOST {
                        return Err(too_many());
                    }
                }
                dry_run.end()
            })
            .await?;
        Ok(returned())
    }
}

impl Change for DeleteTags {
    async fn make(self, call: Call<'_>) -> Result<Xml, ApiError> {
        let ids = required_resources(self.resource_id)?;
        let doomed: Vec<(String, Option<String>)> =
            self.tag.into_iter().map(|tag| (tag.key, tag.value)).collect();
        call.dry_run.end()?;
        let service = call.service;
        service
            .ledger
            .commit(move |state| {
                for id in &ids {
                    let Some(tags) = state.tags.get_mut(id) else {
                        continue;
                    };
                    // No tag named means all of them; a key without a value means whatever its value is.
                    tags.retain(|key, value| {
                        let hit = |(name, wanted): &(String, Option<String>)| {
                            name == key && wanted.as_ref().is_none_or(|wanted| wanted == value)
                        };
                        !doomed.is_empty() && !doomed.iter().any(hit)
                    });
                    if tags.is_empty() {
                        state.tags.remove(id);
                    }
                }
                Ok::<_, ApiError>(())
            })
            .await?;
        Ok(returned())
    }
}

impl Question for DescribeTags {
    async fn answer(self, service: &Service) -> Result<Xml, ApiError> {
        let filters = Filters::check(
            self.filter,
            &["key", "resource-id", "resource-type", "value", "tag:"],
        )?;
        let page = Page::check("DescribeTags", self.max_results, self.next_token.as_deref(), 5)?;
        let state = service.ledger.snapshot();
        let now = OffsetDateTime::now_utc();
        let is_hidden = |id: &str| state.instances.get(id).is_some_and(|one| one.is_hidden(now));
        let mut found = Vec::new();
        for (id, tags) in state.tags.iter().filter(|(id, _)| !is_hidden(id)) {
            let kind = kind(id);
            for (key, value) in tags {
                let passes = filters.pass(|name| match name {
                    "key" => vec![key.clone()],
                    "resource-id" => vec![id.clone()],
                    "resource-type" => vec![kind.to_owned()],
                    "value" => vec![value.clone()],
                    other if other.strip_prefix("tag:") == Some(key) => vec![value.clone()],
                    _ => Vec::new(),
                });
                if passes {
                    found.push((id, kind, key, value));
                }
            }
        }
        let (found, next) = page.cut(found, |(id, _, key, _)| format!("{id} {key}"));
        let mut xml = Xml::default();
        xml.list("tagSet", found, |xml, (id, kind, key, value)| {
            xml.put("resourceId", id);
            xml.put("resourceType", kind);
            xml.put("key", key);
            xml.put("value", value);
        });
        xml.put_some("nextToken", next);
        Ok(xml)
    }
}

fn kind(id: &str) -> &'static str {
    let prefix = id.split('-').next().unwrap_or_default();
    RESOURCES
        .iter()
        .find(|(known, ..)| *known == prefix)
        .map_or("unknown", |(_, kind, _)| *kind)
}

fn returned() -> Xml {
    let mut xml = Xml::default();
    xml.put("return", true);
    xml
}
