//! Tags: on instances, volumes, key pairs, security groups and images, in one table by resource id.

use std::collections::BTreeMap;

use super::{
    Service, actions::refuse_dry_run, error::ApiError, filters::Filters, paging::Page,
    parameters::Parameters, xml::Xml,
};
use crate::{CloudConfig, encoding::is_resource_id, ledger::State};

/// What CreateTags and DeleteTags know.
pub(super) const CHANGE: &[&str] = &["ResourceId", "Tag"];

/// What DescribeTags knows.
pub(super) const DESCRIBE: &[&str] = &["Filter", "MaxResults", "NextToken"];

/// EC2's limit of tags of one resource.
const MOST: usize = 50;

/// Prefixes of ids, the name of their type in DescribeTags, and the code of the error for an unknown one.
const RESOURCES: &[(&str, &str, &str)] = &[
    ("i", "instance", "InvalidInstanceID.NotFound"),
    ("vol", "volume", "InvalidVolume.NotFound"),
    ("ami", "image", "InvalidAMIID.NotFound"),
    ("key", "key-pair", "InvalidKeyPair.NotFound"),
    ("sg", "security-group", "InvalidGroup.NotFound"),
];

/// Types that `TagSpecification` may name; those that do not exist here are accepted and come to nothing.
const SPECIFIED: &[&str] = &[
    "instance",
    "volume",
    "key-pair",
    "security-group",
    "network-interface",
    "spot-instances-request",
    "elastic-gpu",
];

/// `TagSpecification.N` of a call that makes something.
#[derive(Clone, Debug, Default)]
pub(super) struct Specifications {
    by_type: BTreeMap<String, BTreeMap<String, String>>,
}

impl Specifications {
    /// Reads and checks the specifications.
    pub(super) fn parse(parameters: &Parameters) -> Result<Self, ApiError> {
        let mut by_type = BTreeMap::new();
        for specification in parameters.structures("TagSpecification")? {
            let kind = specification
                .word("ResourceType", SPECIFIED)?
                .ok_or_else(|| ApiError::missing(&specification.name("ResourceType")))?;
            let mut tags = BTreeMap::new();
            for tag in specification.structures("Tag")? {
                let (key, value) = parse_tag(&tag)?;
                if tags.insert(key.clone(), value).is_some() {
                    return Err(ApiError::new(
                        "InvalidParameterValue",
                        format!("Duplicate tag key '{key}'"),
                    ));
                }
            }
            if tags.len() > MOST {
                return Err(too_many());
            }
            if by_type.insert(kind.to_owned(), tags).is_some() {
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

fn parse_tag(tag: &Parameters) -> Result<(String, String), ApiError> {
    let key = tag.required("Key")?;
    let value = tag.raw("Value").unwrap_or_default();
    check_text(tag, "Key", key, 127)?;
    check_text(tag, "Value", value, 255)?;
    if key.to_ascii_lowercase().starts_with("aws:") {
        let message = "Tag keys starting with 'aws:' are reserved for internal use";
        return Err(ApiError::new("InvalidParameterValue", message));
    }
    Ok((key.to_owned(), value.to_owned()))
}

fn check_text(tag: &Parameters, name: &str, text: &str, most: usize) -> Result<(), ApiError> {
    if text.chars().count() > most || text.chars().any(char::is_control) {
        let reason = format!("It must have at most {most} printable characters.");
        return Err(ApiError::invalid(&tag.name(name), text, &reason));
    }
    Ok(())
}

/// `ResourceId.N`, each of which has to exist.
fn resources(config: &CloudConfig, state: &State, ids: &[String]) -> Result<(), ApiError> {
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
            "i" => state.instances.contains_key(id),
            "vol" => state
                .instances
                .values()
                .any(|instance| instance.root_volume_id == *id),
            "ami" => config.images.iter().any(|image| image.id == *id),
            "key" => state.key_pairs.values().any(|key| key.id == *id),
            _ => state.security_groups.contains_key(id),
        };
        if !exists {
            return Err(ApiError::new(*code, format!("The ID '{id}' does not exist")));
        }
    }
    Ok(())
}

fn required_resources(parameters: &Parameters) -> Result<Vec<String>, ApiError> {
    let ids = parameters.list("ResourceId")?;
    match ids.len() {
        0 => Err(ApiError::missing("ResourceId")),
        1..=1000 => Ok(ids),
        _ => Err(ApiError::new(
            "InvalidParameterValue",
            "At most 1000 resources can be named at once",
        )),
    }
}

pub(super) async fn create(service: &Service, parameters: &Parameters) -> Result<Xml, ApiError> {
    let ids = required_resources(parameters)?;
    let mut tags = BTreeMap::new();
    for tag in parameters.structures("Tag")? {
        let (key, value) = parse_tag(&tag)?;
        tags.insert(key, value);
    }
    if tags.is_empty() {
        return Err(ApiError::missing("Tag"));
    }
    resources(&service.config, &service.ledger.snapshot(), &ids)?;
    refuse_dry_run(parameters)?;
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
            Ok(())
        })
        .await?;
    Ok(returned())
}

pub(super) async fn delete(service: &Service, parameters: &Parameters) -> Result<Xml, ApiError> {
    let ids = required_resources(parameters)?;
    let mut doomed = Vec::new();
    for tag in parameters.structures("Tag")? {
        doomed.push((
            tag.required("Key")?.to_owned(),
            tag.raw("Value").map(str::to_owned),
        ));
    }
    refuse_dry_run(parameters)?;
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

pub(super) fn describe(service: &Service, parameters: &Parameters) -> Result<Xml, ApiError> {
    let filters = Filters::parse(
        parameters,
        &["key", "resource-id", "resource-type", "value", "tag:"],
    )?;
    let page = Page::parse(parameters, "DescribeTags", 5)?;
    let state = service.ledger.snapshot();
    let mut found = Vec::new();
    for (id, tags) in &state.tags {
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
