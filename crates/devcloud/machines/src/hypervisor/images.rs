//! Layers of images that are made from disks of machines. They are files beside the disks, and outlive the machines.

use std::{path::PathBuf, time::Duration};

use super::{
    Error, Hypervisor,
    launch::IMAGES,
    protocol::{Answer, Request},
    unexpected,
};
use crate::guest::LAYER;

/// How long the copy of a disk may take beside what any call may.
const COPY_PATIENCE: Duration = Duration::from_secs(1800);

impl Hypervisor {
    /// Copies what a machine has written over its image to a layer for `image`, and says where the layer is. With `reboot` a
    /// machine that runs is stopped for that, so that no file is half written.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchMachine`]; [`Error::InvalidSpec`] for what is no name of an image; [`Error::Failed`].
    pub async fn capture(&self, id: &str, image: &str, reboot: bool) -> Result<PathBuf, Error> {
        let request = Request::Capture {
            id: id.to_owned(),
            image: image.to_owned(),
            reboot,
        };
        match self.call(request, COPY_PATIENCE).await? {
            (Answer::Done, _) => Ok(self.inner.plan.state_dir.join(IMAGES).join(image).join(LAYER)),
            _ => Err(unexpected()),
        }
    }

    /// Removes the layer of `image`. No machine may be on it. Nothing happens when it is not there.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSpec`] for what is no name of an image; [`Error::Failed`].
    pub async fn discard_image(&self, image: &str) -> Result<(), Error> {
        let image = image.to_owned();
        match self.call(Request::DiscardImage { image }, COPY_PATIENCE).await? {
            (Answer::Done, _) => Ok(()),
            _ => Err(unexpected()),
        }
    }
}
