//! Images from instances: made by a task of its own, and removed when nothing is on them any more.

use std::sync::Arc;

use super::Life;
use crate::{
    Error,
    ledger::{ImageState, InstanceState, State},
};

impl Life {
    /// Makes an image that is `pending`, in a task of its own.
    pub(crate) fn make_image_soon(self: &Arc<Self>, image: String) {
        let life = Arc::clone(self);
        self.tasks.spawn(async move {
            if let Err(error) = life.make_image(&image).await {
                tracing::error!(image, %error, "What became of an image could not be recorded.");
            }
        });
    }

    /// After a start: what was being made is made anew.
    pub(super) fn make_images_again(self: &Arc<Self>) {
        let snapshot = self.ledger.snapshot();
        let pending = snapshot
            .images
            .values()
            .filter(|image| image.state == ImageState::Pending);
        for image in pending {
            self.make_image_soon(image.id.clone());
        }
    }

    async fn make_image(&self, id: &str) -> Result<(), Error> {
        let snapshot = self.ledger.snapshot();
        let Some(image) = snapshot.images.get(id) else {
            return Ok(());
        };
        let lock = self.lock_of(&image.instance_id);
        let _guard = lock.lock().await;
        let step = self.steps.read().await;
        let made = self
            .machines
            .capture(&image.instance_id, id, !image.no_reboot)
            .await;
        drop(step);
        if let Err(error) = &made {
            tracing::error!(image = id, instance = image.instance_id, %error, "An image could not be made.");
        }
        let made = made.map_err(|error| error.to_string());
        let (id, instance_id) = (id.to_owned(), image.instance_id.clone());
        self.ledger
            .commit(move |state| {
                let below = state.instances.get(&instance_id).map(|one| one.layers.clone());
                let Some(image) = state.images.get_mut(&id) else {
                    return Ok(());
                };
                if image.state != ImageState::Pending {
                    return Ok(());
                }
                match (made, below) {
                    (Ok(layer), Some(below)) => {
                        image.layers = [vec![layer], below].concat();
                        image.state = ImageState::Available;
                    }
                    (Ok(_), None) => fail(image, "The instance was forgotten".to_owned()),
                    (Err(reason), _) => fail(image, reason),
                }
                Ok(())
            })
            .await
    }

    /// Removes the layers of deregistered images that no instance and no other image is on.
    pub(super) async fn forget_images(&self) -> Result<(), Error> {
        for id in unused(&self.ledger.snapshot()) {
            if let Err(error) = self.machines.discard_image(&id).await {
                tracing::warn!(image = id, %error, "The layer of a deregistered image stays for now.");
                continue;
            }
            self.ledger
                .commit(move |state| {
                    state.images.remove(&id);
                    Ok::<_, Error>(())
                })
                .await?;
        }
        Ok(())
    }
}

fn fail(image: &mut crate::ledger::MadeImage, reason: String) {
    image.state = ImageState::Failed;
    image.reason = Some(reason);
}

/// Deregistered images whose own layer nothing is on. One that is still being made is no such image yet.
fn unused(state: &State) -> Vec<String> {
    let deregistered = state.images.values().filter(|image| !image.is_shown());
    let is_unused = |image: &&crate::ledger::MadeImage| {
        let Some(layer) = image.layers.first() else {
            return true;
        };
        let is_run = state
            .instances
            .values()
            .any(|one| one.state != InstanceState::Terminated && one.layers.contains(layer));
        let is_below = state
            .images
            .values()
            .any(|other| other.id != image.id && other.layers.contains(layer));
        !is_run && !is_below
    };
    deregistered
        .filter(is_unused)
        .map(|image| image.id.clone())
        .collect()
}
