//! Images that were made here, from instances.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// An image that was made from an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MadeImage {
    /// `ami-`, or what the profile has, and digits.
    pub id: String,
    pub name: String,
    /// A sentence for people.
    pub description: String,
    /// CPU architecture of the instance's image.
    pub architecture: String,
    /// The instance that it is made from.
    pub instance_id: String,
    /// Whether the instance goes on while it is made.
    pub no_reboot: bool,
    /// The layers, topmost first; the first of them is this image's own. Only what is `available` has them.
    pub layers: Vec<PathBuf>,
    pub state: ImageState,
    /// Why it is `failed`.
    pub reason: Option<String>,
    /// When it was asked for.
    #[serde(with = "time::serde::rfc3339")]
    pub created: OffsetDateTime,
}

/// Where an image is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImageState {
    /// Being made.
    Pending,
    /// Ready for launches.
    Available,
    /// It could not be made.
    Failed,
    /// Nobody is told of it any more. Its layer is there as long as instances are on it.
    Deregistered,
}

impl ImageState {
    /// The word of the API.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Available => "available",
            Self::Failed => "failed",
            Self::Deregistered => "deregistered",
        }
    }
}

impl MadeImage {
    /// Whether clients are told of it.
    #[must_use]
    pub fn is_shown(&self) -> bool {
        self.state != ImageState::Deregistered
    }
}
