//! The images of a cloud in memory.

use std::collections::{BTreeMap, BTreeSet};

use model::{FleetId, Glob};

use super::FakeCloud;
use crate::{Error, FLEET_TAG, Image, ImageState, NewImage};

/// The images, and how they fail.
#[derive(Debug, Default)]
pub(super) struct Images {
    all: BTreeMap<String, Image>,
    asked: Vec<NewImage>,
    looks: u64,
    lists: u64,
    hidden: Option<Error>,
    refused: Option<Error>,
    /// What becomes of an image that is asked for, look by look; the last one stays.
    course: Vec<ImageState>,
    /// The ids of those that lists lack.
    unlisted: BTreeSet<String>,
    /// The ids of those that are not shared with the account.
    withheld: BTreeSet<String>,
}

impl Images {
    pub(super) fn find(&mut self, id: &str) -> Result<Option<Image>, Error> {
        self.looks += 1;
        if let Some(error) = &self.hidden {
            return Err(error.clone());
        }
        if self.withheld.contains(id) {
            return Err(Error::Refused {
                code: "AuthFailure".to_owned(),
                message: format!("Not authorized for images: [{id}]"),
            });
        }
        let next = match self.course.len() {
            0 | 1 => self.course.first().copied(),
            _ => Some(self.course.remove(0)),
        };
        let Some(image) = self.all.get_mut(id) else {
            return Ok(None);
        };
        if let (ImageState::Pending, Some(next)) = (image.state, next) {
            image.state = next;
        }
        Ok(Some(image.clone()))
    }

    pub(super) fn of(&self, fleet: FleetId) -> Vec<Image> {
        let is_ours = |image: &&Image| image.tags.get(FLEET_TAG) == Some(&fleet.to_string());
        self.all.values().filter(is_ours).cloned().collect()
    }

    /// All of them are the account's own.
    pub(super) fn named(&mut self, owner: &str, name: &str) -> Result<Vec<Image>, Error> {
        self.lists += 1;
        if let Some(error) = &self.hidden {
            return Err(error.clone());
        }
        let name = Glob::new(name);
        let fits = |image: &&Image| image.state == ImageState::Available && name.matches(&image.name);
        let is_listed = |id: &str| !self.unlisted.contains(id) && !self.withheld.contains(id);
        let of_owner = self
            .all
            .values()
            .filter(|it| owner == "self" && is_listed(&it.id));
        Ok(of_owner.filter(fits).cloned().collect())
    }

    pub(super) fn create(&mut self, wanted: &NewImage) -> Result<String, Error> {
        self.asked.push(wanted.clone());
        if let Some(error) = &self.refused {
            return Err(error.clone());
        }
        if let Some(made) = self.all.values().find(|image| image.name == wanted.name) {
            return Ok(made.id.clone());
        }
        let id = format!("ami-{:017x}", self.all.len() + 1);
        let image = Image {
            id: id.clone(),
            name: wanted.name.clone(),
            state: ImageState::Pending,
            state_reason: None,
            created: None,
            tags: wanted.tags.clone(),
            kept_volumes: Vec::new(),
            root_volume: None,
        };
        self.all.insert(id.clone(), image);
        Ok(id)
    }

    pub(super) fn tag(&mut self, id: &str, tags: &BTreeMap<String, String>) -> Result<(), Error> {
        let image = self.all.get_mut(id).ok_or_else(|| Error::Refused {
            code: "InvalidAMIID.NotFound".to_owned(),
            message: format!("there is no image {id}"),
        })?;
        image.tags.extend(tags.clone());
        Ok(())
    }

    pub(super) fn delete(&mut self, id: &str) {
        self.all.remove(id);
    }
}

impl FakeCloud {
    /// Adds an image, or puts it in the place of the one of its id.
    pub fn add_image(&self, image: Image) {
        self.world().images.all.insert(image.id.clone(), image);
    }

    /// Every image that there is.
    #[must_use]
    pub fn all_images(&self) -> Vec<Image> {
        self.world().images.all.values().cloned().collect()
    }

    /// The images that were asked for, with those that were refused.
    #[must_use]
    pub fn asked_images(&self) -> Vec<NewImage> {
        self.world().images.asked.clone()
    }

    /// How often an image was looked up.
    #[must_use]
    pub fn image_looks(&self) -> u64 {
        self.world().images.looks
    }

    /// How often images were asked for by their owner and name.
    #[must_use]
    pub fn image_lists(&self) -> u64 {
        self.world().images.lists
    }

    /// Has every look for an image, and every list of them by name, fail from now on, or none any more.
    pub fn hide_images(&self, error: Option<Error>) {
        self.world().images.hidden = error;
    }

    /// Has lists of images by name lack these from now on, though a look finds them.
    pub fn unlist_images(&self, ids: &[&str]) {
        self.world().images.unlisted = ids.iter().map(|id| (*id).to_owned()).collect();
    }

    /// Has lists of images by name lack these from now on, and refuses a look for them, as where an owner no longer shares them.
    pub fn withhold_images(&self, ids: &[&str]) {
        self.world().images.withheld = ids.iter().map(|id| (*id).to_owned()).collect();
    }

    /// Has every image that is asked for be refused from now on, or none any more.
    pub fn refuse_images(&self, error: Option<Error>) {
        self.world().images.refused = error;
    }

    /// Has images that are being made be in these states, look by look; the last one stays.
    pub fn set_image_course(&self, course: &[ImageState]) {
        self.world().images.course = course.to_vec();
    }
}
