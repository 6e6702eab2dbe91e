//! DescribeImages: the images of the settings.

use super::{
    Service,
    error::ApiError,
    filters::{Filters, tag_values},
    instances::view,
    paging::Page,
    parameters::Parameters,
    xml::Xml,
};
use crate::encoding::is_resource_id;

/// What DescribeImages knows.
pub(super) const PARAMETERS: &[&str] = &[
    "ExecutableBy",
    "Filter",
    "ImageId",
    "IncludeDeprecated",
    "IncludeDisabled",
    "MaxResults",
    "NextToken",
    "Owner",
];

const FILTERS: &[&str] = &[
    "architecture",
    "description",
    "image-id",
    "image-type",
    "is-public",
    "name",
    "owner-id",
    "root-device-type",
    "state",
    "tag-key",
    "tag:",
    "virtualization-type",
];

pub(super) fn describe(service: &Service, parameters: &Parameters) -> Result<Xml, ApiError> {
    let ids = parameters.list("ImageId")?;
    let images = &service.config.images;
    for id in &ids {
        if !is_resource_id(id, "ami") {
            return Err(ApiError::new(
                "InvalidAMIID.Malformed",
                format!("Invalid id: \"{id}\""),
            ));
        }
        if !images.iter().any(|image| image.id == *id) {
            let message = format!("The image id '[{id}]' does not exist");
            return Err(ApiError::new("InvalidAMIID.NotFound", message));
        }
    }
    let filters = Filters::parse(parameters, FILTERS)?;
    let page = Page::parse(parameters, "DescribeImages", 1)?;
    let state = service.ledger.snapshot();
    let owners = parameters.list("Owner")?;
    let ours = owners.is_empty()
        || owners
            .iter()
            .any(|owner| owner == "self" || *owner == state.owner_id);
    let mut found: Vec<_> = images
        .iter()
        .filter(|image| ours && (ids.is_empty() || ids.contains(&image.id)))
        .filter(|image| {
            filters.pass(|name| match name {
                "architecture" => vec![image.architecture.clone()],
                "description" => vec![image.description.clone()],
                "image-id" => vec![image.id.clone()],
                "image-type" => vec!["machine".to_owned()],
                "is-public" => vec!["false".to_owned()],
                "name" => vec![image.name.clone()],
                "owner-id" => vec![state.owner_id.clone()],
                "root-device-type" => vec!["ebs".to_owned()],
                "state" => vec!["available".to_owned()],
                "virtualization-type" => vec!["hvm".to_owned()],
                other => tag_values(state.tags.get(&image.id), other),
            })
        })
        .collect();
    found.sort_by(|one, other| one.id.cmp(&other.id));
    let (found, next) = page.cut(found, |image| image.id.clone());
    let mut xml = Xml::default();
    xml.list("imagesSet", found, |xml, image| {
        xml.put("imageId", &image.id);
        xml.put("imageLocation", format!("{}/{}", state.owner_id, image.name));
        xml.put("imageState", "available");
        xml.put("imageOwnerId", &state.owner_id);
        xml.put("isPublic", false);
        xml.put("architecture", &image.architecture);
        xml.put("imageType", "machine");
        xml.put("name", &image.name);
        xml.put("description", &image.description);
        xml.put("rootDeviceType", "ebs");
        xml.put("rootDeviceName", "/dev/sda1");
        xml.element("blockDeviceMapping", |_| {});
        xml.put("virtualizationType", "hvm");
        xml.put("hypervisor", "xen");
        xml.put("creationDate", "2024-01-01T00:00:00.000Z");
        view::tags(xml, &state, &image.id);
    });
    xml.put_some("nextToken", next);
    Ok(xml)
}
