//! Machines from an image that was made by their own playbook: only that part of it is played which each machine needs anew.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use cloud::{Cloud, Image, NoRootVolume, Volume};
use model::fleet::{DiskSpec, ProvisionSpec};
use provisioner::Provisioner;
use runtime::clock::Clock;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use store::Builder;
use tracing::{debug, info};

use crate::{Context, Error};

/// The tag of tasks that are played on every machine, whatever its image was made by: what a machine has of its own, and what only
/// the memory of its kernel holds.
pub const BOOT_TAG: &str = "boot";

/// How long a cloud's word on an image is used, and how long that it gave none.
const USED_FOR: Duration = Duration::from_secs(600);
const SILENCE_USED_FOR: Duration = Duration::from_secs(30);
/// The version of what a digest is made of.
const VERSION: u32 = 1;
/// Variables that each machine has its own of, or is given anew by its user data.
const OF_EACH_MACHINE: [&str; 2] = ["builder", "ssh_keys"];

/// The digest of all that decides what a playbook makes of a machine: the folders of playbooks and provision-files as a whole, which of
/// the playbooks it is, who plays it and as whom, and its variables but for those of each machine.
#[must_use]
pub fn playbook_digest(
    provisioner: &Provisioner,
    provision: &ProvisionSpec,
    vars: &Map<String, Value>,
) -> String {
    let vars: BTreeMap<&String, &Value> = vars
        .iter()
        .filter(|(name, _)| !OF_EACH_MACHINE.contains(&name.as_str()))
        .collect();
    let mut all = json!({
        "version": VERSION,
        "files": provisioner.configuration_hash(),
        "playbook": provision.playbook,
        "runner": provision.runner,
        "ansible": provision.ansible,
        "user": provision.connect.user,
        "vars": vars,
    });
    all.sort_all_objects();
    hex::encode(Sha256::digest(all.to_string()))
}

/// The part of its playbook that is played on a builder: `None`, all of it, unless its image was made by the same one. A playbook
/// without a part for every machine is played as a whole.
pub(crate) async fn part_of(
    context: &Context,
    builder: &Builder,
    provision: &ProvisionSpec,
    (vars, images): (&Map<String, Value>, &Images),
) -> Option<&'static str> {
    // What a fixed host or an adopted machine was made from, no image tells.
    if builder.host.is_some() || builder.is_adopted() {
        return None;
    }
    if !context.provisioner.has_tag(&provision.playbook, BOOT_TAG) {
        return None;
    }
    let made_by = images.made_by(context, builder).await?;
    if made_by != playbook_digest(&context.provisioner, provision, vars) {
        debug!(builder.id = %builder.id, "Image {} was made by another playbook, or by other files.", builder.image);
        return None;
    }
    info!(
        builder.id = %builder.id,
        "Image {} was made by {}: of it the tasks with the tag {BOOT_TAG} are played on builder {}.",
        builder.image, provision.playbook, builder.id
    );
    Some(BOOT_TAG)
}

/// What clouds said of their images, kept for a while: each is asked for once, however many builders are made from it at once.
#[derive(Debug)]
pub(crate) struct Images {
    clock: Clock,
    /// By cloud and id.
    known: Mutex<BTreeMap<(String, String), Arc<Known>>>,
}

/// One image; who asks first has the others wait for the answer.
type Known = tokio::sync::Mutex<Option<Answer>>;

/// What was said of an image.
#[derive(Clone, Debug)]
struct Answer {
    /// The image, or that there is none; else why nothing was said.
    word: Result<Option<Image>, cloud::Error>,
    /// Until when that is used, by the clock's elapsed time.
    until: Duration,
}

impl Images {
    /// Nobody was asked yet.
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            clock,
            known: Mutex::default(),
        }
    }

    /// The digest of what made a builder's image; `None` where it has none, or its cloud does not say.
    async fn made_by(&self, context: &Context, builder: &Builder) -> Option<String> {
        let cloud = context.clouds.get(&builder.cloud)?.as_ref();
        let word = self.of(cloud, builder, true).await;
        word.ok()??.made_by().map(str::to_owned)
    }

    /// What the launch of a builder says of its volumes, with the disk that its pool wants; nothing where its cloud does not know the
    /// image. That nothing is known of them is an error.
    pub(crate) async fn volumes(
        &self,
        cloud: &dyn Cloud,
        builder: &Builder,
        disk: Option<&DiskSpec>,
    ) -> Result<Vec<Volume>, Error> {
        let image = self.of(cloud, builder, false).await;
        let image = image.map_err(|source| Error::Cloud {
            cloud: builder.cloud.clone(),
            source,
        })?;
        let pool = &builder.pool;
        if let (None, Some(_)) = (&image, disk) {
            let (cloud, image) = (&builder.cloud, &builder.image);
            return Err(Error::Contradiction(format!(
                "pools.{pool}.disk: cloud {cloud} does not know image {image}, whose root volume it is"
            )));
        }
        let volumes = image.map(|image| image.volumes(disk)).transpose();
        let of_pool = |no_root: NoRootVolume| Error::Contradiction(format!("pools.{pool}.disk: {no_root}"));
        Ok(volumes.map_err(of_pool)?.unwrap_or_default())
    }

    /// What the cloud says of a builder's image; with `takes_silence` also, for a while, that it said nothing.
    async fn of(
        &self,
        cloud: &dyn Cloud,
        builder: &Builder,
        takes_silence: bool,
    ) -> Result<Option<Image>, cloud::Error> {
        let key = (builder.cloud.clone(), builder.image.clone());
        let known = {
            let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(all.entry(key).or_default())
        };
        let mut answer = known.lock().await;
        let is_of_use = |it: &&Answer| self.clock.elapsed() < it.until && (takes_silence || it.word.is_ok());
        if let Some(answer) = answer.as_ref().filter(is_of_use) {
            return answer.word.clone();
        }
        let word = cloud.image(&builder.image).await;
        if let Err(error) = &word {
            let (image, cloud) = (&builder.image, &builder.cloud);
            info!(cloud, "Nothing is known of image {image}: {error}");
        }
        // One that is new may not be known yet.
        let used_for = match word {
            Ok(Some(_)) => USED_FOR,
            Ok(None) | Err(_) => SILENCE_USED_FOR,
        };
        *answer = Some(Answer {
            word: word.clone(),
            until: self.clock.elapsed().saturating_add(used_for),
        });
        word
    }
}

#[cfg(test)]
mod tests;
