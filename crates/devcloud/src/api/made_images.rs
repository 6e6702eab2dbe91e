//! CreateImage and DeregisterImage: images from instances.

use devcloud_dialect::{
    ApiError, Xml,
    request::{CreateImage, DeregisterImage},
};
use time::OffsetDateTime;

use super::{
    actions::{Call, Change},
    images,
    instances::find_one,
    tags,
};
use crate::{
    CloudConfig,
    ledger::{ImageState, InstanceState, MadeImage, State},
};

/// EC2's bounds of an image's name.
const NAME: std::ops::RangeInclusive<usize> = 3..=128;

impl Change for CreateImage {
    async fn make(self, call: Call<'_>) -> Result<Xml, ApiError> {
        let (service, dry_run) = (call.service, call.dry_run);
        let instance_id = self.instance_id.ok_or_else(|| ApiError::missing("InstanceId"))?;
        let name = self.name.ok_or_else(|| ApiError::missing("Name"))?;
        check_name(&name)?;
        if !self.block_device_mapping.is_empty() {
            return Err(ApiError::unsupported("BlockDeviceMapping of an image"));
        }
        let specifications = tags::Specifications::check(&self.tag_specification, &["image"])?;
        let config = service.config.clone();
        let description = self.description.unwrap_or_default();
        let no_reboot = self.no_reboot.unwrap_or(false);
        let id = service
            .ledger
            .commit(move |state| {
                let instance = find_one(state, &instance_id)?.clone();
                if !matches!(instance.state, InstanceState::Running | InstanceState::Stopped) {
                    let message = format!("Instance '{instance_id}' is not 'running' or 'stopped'.");
                    return Err(ApiError::new("IncorrectState", message));
                }
                refuse_name(&config, state, &name)?;
                dry_run.end()?;
                let id = config.profile.new_image_id()?;
                specifications.apply(state, &[("image", &id)]);
                let image = MadeImage {
                    id: id.clone(),
                    name,
                    description,
                    architecture: instance.architecture.clone(),
                    instance_id,
                    no_reboot,
                    layers: Vec::new(),
                    state: ImageState::Pending,
                    reason: None,
                    created: OffsetDateTime::now_utc(),
                };
                state.images.insert(id.clone(), image);
                Ok(id)
            })
            .await?;
        service.life.make_image_soon(id.clone());
        let mut xml = Xml::default();
        xml.put("imageId", id);
        Ok(xml)
    }
}

fn check_name(name: &str) -> Result<(), ApiError> {
    let is_good = |c: char| c.is_ascii_alphanumeric() || "()[]./-'@_ ".contains(c);
    if NAME.contains(&name.len()) && name.chars().all(is_good) {
        return Ok(());
    }
    let message = "AMI names must be between 3 and 128 characters long, and may contain letters, numbers, spaces, \
                   '(', ')', '[', ']', '.', '-', '/', '\\'', '@' and '_'";
    Err(ApiError::new("InvalidAMIName.Malformed", message))
}

fn refuse_name(config: &CloudConfig, state: &State, name: &str) -> Result<(), ApiError> {
    let given = config.images.iter().find(|image| image.name == name);
    let made = state
        .images
        .values()
        .find(|image| image.name == name && image.is_shown());
    match given.map(|image| &image.id).or(made.map(|image| &image.id)) {
        Some(id) => {
            let message = format!("AMI name {name} is already in use by AMI {id}");
            Err(ApiError::new("InvalidAMIName.Duplicate", message))
        }
        None => Ok(()),
    }
}

impl Change for DeregisterImage {
    async fn make(self, call: Call<'_>) -> Result<Xml, ApiError> {
        let (service, dry_run) = (call.service, call.dry_run);
        let id = self.image_id.ok_or_else(|| ApiError::missing("ImageId"))?;
        images::check_id(service, &service.ledger.snapshot(), &id)?;
        if service.config.images.iter().any(|image| image.id == id) {
            return Err(ApiError::unsupported(
                "an image that the cloud was started with cannot be deregistered",
            ));
        }
        service
            .ledger
            .commit(move |state| {
                dry_run.end()?;
                if let Some(image) = state.images.get_mut(&id) {
                    image.state = ImageState::Deregistered;
                }
                state.tags.remove(&id);
                Ok::<_, ApiError>(())
            })
            .await?;
        let mut xml = Xml::default();
        xml.put("return", true);
        Ok(xml)
    }
}
