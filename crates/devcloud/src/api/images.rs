//! DescribeImages: the images of the settings, and those that were made here.

use devcloud_dialect::{ApiError, Filters, Page, Xml, request::DescribeImages, tag_values};

use super::{actions::Question, service::Service, view};
use crate::{
    ImageConfig,
    ledger::{ImageState, State},
};

/// When the images of the settings were made, as far as clients are told.
const CREATED: &str = "2024-01-01T00:00:00.000Z";

/// The code of why an image could not be made.
const FAILED: &str = "Server.InternalError";

const FILTERS: &[&str] = &[
    "architecture",
    "block-device-mapping.delete-on-termination",
    "block-device-mapping.device-name",
    "block-device-mapping.encrypted",
    "block-device-mapping.snapshot-id",
    "block-device-mapping.volume-size",
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

/// An image as clients see it, wherever it is from.
struct Shown {
    image: ImageConfig,
    created: String,
    state: ImageState,
    reason: Option<String>,
    instance_id: Option<String>,
}

/// All images that clients are told of, by id.
fn shown(service: &Service, state: &State) -> Vec<Shown> {
    let given = service.config.images.iter().map(|image| Shown {
        image: image.clone(),
        created: CREATED.to_owned(),
        state: ImageState::Available,
        reason: None,
        instance_id: None,
    });
    let made = state.images.values().filter(|image| image.is_shown());
    let made = made.map(|image| Shown {
        image: ImageConfig {
            id: image.id.clone(),
            name: image.name.clone(),
            description: image.description.clone(),
            architecture: image.architecture.clone(),
            layers: Vec::new(),
            keeps_volume: false,
        },
        created: view::timestamp(image.created),
        state: image.state,
        reason: image.reason.clone(),
        instance_id: Some(image.instance_id.clone()),
    });
    let mut all: Vec<Shown> = given.chain(made).collect();
    all.sort_by(|one, other| one.image.id.cmp(&other.image.id));
    all
}

/// What an image has under the name of a filter.
fn values(state: &State, shown: &Shown, name: &str) -> Vec<String> {
    let image = &shown.image;
    let of_failed = |text: &str| shown.reason.iter().map(|_| text.to_owned()).collect();
    match name {
        "architecture" => vec![image.architecture.clone()],
        "block-device-mapping.delete-on-termination" => vec![(!image.keeps_volume).to_string()],
        "block-device-mapping.snapshot-id" => vec![image.snapshot_id()],
        "block-device-mapping.volume-size" => vec![ImageConfig::GIBIBYTES.to_string()],
        "creation-date" => vec![shown.created.clone()],
        "description" => vec![image.description.clone()],
        "image-id" => vec![image.id.clone()],
        "manifest-location" => vec![format!("{}/{}", state.owner_id, image.name)],
        "name" => vec![image.name.clone()],
        "owner-id" => vec![state.owner_id.clone()],
        "state" => vec![shown.state.name().to_owned()],
        "state-reason-code" => of_failed(FAILED),
        "state-reason-message" => shown.reason.iter().map(|reason| message(reason)).collect(),
        other => match same_of_all(other) {
            Some(value) => vec![value.to_owned()],
            // No image has a kernel, a platform, a product code and so on: it is no tag either.
            None => tag_values(state.tags.get(&image.id), other),
        },
    }
}

fn message(reason: &str) -> String {
    format!("{FAILED}: {reason}")
}

impl Question for DescribeImages {
    async fn answer(self, service: &Service) -> Result<Xml, ApiError> {
        let ids = self.image_id;
        let state = service.ledger.snapshot();
        for id in &ids {
            check_id(service, &state, id)?;
        }
        let filters = Filters::check(self.filter, FILTERS)?;
        let page = Page::check("DescribeImages", self.max_results, self.next_token.as_deref(), 1)?;
        let owners = self.owner;
        let ours = owners.is_empty()
            || owners
                .iter()
                .any(|owner| owner == "self" || *owner == state.owner_id);
        // Images are the account's own: nobody else may launch them, nor is any deprecated or disabled.
        let executable = self.executable_by.is_empty() || self.executable_by.iter().any(|who| who == "self");
        let mut found = shown(service, &state);
        found.retain(|one| ours && executable && (ids.is_empty() || ids.contains(&one.image.id)));
        found.retain(|one| filters.pass(|name| values(&state, one, name)));
        let (found, next) = page.cut(found, |one| one.image.id.clone());
        let mut xml = Xml::default();
        xml.list("imagesSet", found, |xml, one| show(xml, &state, &one));
        xml.put_some("nextToken", next);
        Ok(xml)
    }
}

fn show(xml: &mut Xml, state: &State, shown: &Shown) {
    let image = &shown.image;
    xml.put("imageId", &image.id);
    xml.put("imageLocation", format!("{}/{}", state.owner_id, image.name));
    xml.put("imageState", shown.state.name());
    xml.put("imageOwnerId", &state.owner_id);
    xml.put("isPublic", false);
    xml.put("architecture", &image.architecture);
    xml.put("imageType", "machine");
    if let Some(reason) = &shown.reason {
        xml.element("stateReason", |xml| {
            xml.put("code", FAILED);
            xml.put("message", message(reason));
        });
    }
    xml.put("name", &image.name);
    xml.put("description", &image.description);
    xml.put("rootDeviceType", "ebs");
    xml.put("rootDeviceName", "/dev/sda1");
    xml.list("blockDeviceMapping", ["/dev/sda1"], |xml, device| {
        xml.put("deviceName", device);
        xml.element("ebs", |xml| {
            xml.put("deleteOnTermination", !image.keeps_volume);
            xml.put("snapshotId", image.snapshot_id());
            xml.put("volumeSize", ImageConfig::GIBIBYTES);
            xml.put("volumeType", "standard");
            xml.put("encrypted", false);
        });
    });
    xml.put("virtualizationType", "hvm");
    xml.put("hypervisor", "xen");
    xml.put("creationDate", &shown.created);
    xml.put_some("sourceInstanceId", shown.instance_id.as_ref());
    view::tags(xml, state, &image.id);
}

/// What all images have under the name of a filter.
fn same_of_all(name: &str) -> Option<&'static str> {
    Some(match name {
        "block-device-mapping.device-name" | "root-device-name" => "/dev/sda1",
        "block-device-mapping.encrypted" | "is-public" => "false",
        "block-device-mapping.volume-type" => "standard",
        "hypervisor" => "xen",
        "image-type" => "machine",
        "root-device-type" => "ebs",
        "virtualization-type" => "hvm",
        _ => return None,
    })
}

/// An image that is named has to be there.
pub(super) fn check_id(service: &Service, state: &State, id: &str) -> Result<(), ApiError> {
    if !service.config.profile.is_image_id(id) {
        return Err(ApiError::new(
            "InvalidAMIID.Malformed",
            format!("Invalid id: \"{id}\""),
        ));
    }
    let given = service.config.images.iter().any(|image| image.id == id);
    let made = state.images.get(id).is_some_and(|image| image.is_shown());
    if !given && !made {
        let message = format!("The image id '[{id}]' does not exist");
        return Err(ApiError::new("InvalidAMIID.NotFound", message));
    }
    Ok(())
}
