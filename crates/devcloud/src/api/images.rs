//! DescribeImages: the images of the settings.

use devcloud_dialect::{ApiError, Filters, Page, Xml, request::DescribeImages, tag_values};

use super::{actions::Question, service::Service, view};

/// When all images were made, as far as clients are told.
const CREATED: &str = "2024-01-01T00:00:00.000Z";

const FILTERS: &[&str] = &[
    "architecture",
    "block-device-mapping.delete-on-termination",
    "block-device-mapping.device-name",
    "block-device-mapping.encrypted",
    "block-device-mapping.volume-type",
    "creation-date",
    "description",
    "hypervisor",
    "image-id",
    "image-type",
    "is-public",
    "kernel-id",
    "manifest-location",
    "name",
    "owner-alias",
    "owner-id",
    "platform",
    "product-code",
    "product-code.type",
    "ramdisk-id",
    "root-device-name",
    "root-device-type",
    "state",
    "state-reason-code",
    "state-reason-message",
    "tag-key",
    "tag:",
    "virtualization-type",
];

impl Question for DescribeImages {
    async fn answer(self, service: &Service) -> Result<Xml, ApiError> {
        let ids = self.image_id;
        let images = &service.config.images;
        check_ids(service, &ids)?;
        let filters = Filters::check(self.filter, FILTERS)?;
        let page = Page::check("DescribeImages", self.max_results, self.next_token.as_deref(), 1)?;
        let state = service.ledger.snapshot();
        let owners = self.owner;
        let ours = owners.is_empty()
            || owners
                .iter()
                .any(|owner| owner == "self" || *owner == state.owner_id);
        // Images are the account's own: nobody else may launch them, nor is any deprecated or disabled.
        let executable = self.executable_by.is_empty() || self.executable_by.iter().any(|who| who == "self");
        let mut found: Vec<_> = images
            .iter()
            .filter(|image| ours && executable && (ids.is_empty() || ids.contains(&image.id)))
            .filter(|image| {
                filters.pass(|name| match name {
                    "architecture" => vec![image.architecture.clone()],
                    "description" => vec![image.description.clone()],
                    "image-id" => vec![image.id.clone()],
                    "manifest-location" => vec![format!("{}/{}", state.owner_id, image.name)],
                    "name" => vec![image.name.clone()],
                    "owner-id" => vec![state.owner_id.clone()],
                    other => match same_of_all(other) {
                        Some(value) => vec![value.to_owned()],
                        // No image has a kernel, a platform, a product code and so on: it is no tag either.
                        None => tag_values(state.tags.get(&image.id), other),
                    },
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
            xml.list("blockDeviceMapping", ["/dev/sda1"], |xml, device| {
                xml.put("deviceName", device);
                xml.element("ebs", |xml| {
                    xml.put("deleteOnTermination", true);
                    xml.put("volumeType", "standard");
                    xml.put("encrypted", false);
                });
            });
            xml.put("virtualizationType", "hvm");
            xml.put("hypervisor", "xen");
            xml.put("creationDate", CREATED);
            view::tags(xml, &state, &image.id);
        });
        xml.put_some("nextToken", next);
        Ok(xml)
    }
}

/// What all images have under the name of a filter.
fn same_of_all(name: &str) -> Option<&'static str> {
    Some(match name {
        "block-device-mapping.delete-on-termination" => "true",
        "block-device-mapping.device-name" | "root-device-name" => "/dev/sda1",
        "block-device-mapping.encrypted" | "is-public" => "false",
        "block-device-mapping.volume-type" => "standard",
        "creation-date" => CREATED,
        "hypervisor" => "xen",
        "image-type" => "machine",
        "root-device-type" => "ebs",
        "state" => "available",
        "virtualization-type" => "hvm",
        _ => return None,
    })
}

/// Every image that is named has to be there.
fn check_ids(service: &Service, ids: &[String]) -> Result<(), ApiError> {
    for id in ids {
        if !service.config.profile.is_image_id(id) {
            return Err(ApiError::new(
                "InvalidAMIID.Malformed",
                format!("Invalid id: \"{id}\""),
            ));
        }
        if !service.config.images.iter().any(|image| image.id == *id) {
            let message = format!("The image id '[{id}]' does not exist");
            return Err(ApiError::new("InvalidAMIID.NotFound", message));
        }
    }
    Ok(())
}
