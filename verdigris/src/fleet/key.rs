//! `verdigris fleet key`.

use anyhow::Context as _;
use runtime::Settings;

use crate::{options::Config, say, secrets::Secrets};

/// Prints the public key that a machine has to let in. The key is made if there is none yet.
pub(crate) fn key(config: &Config) -> anyhow::Result<()> {
    let settings = Settings::load(config.config.as_deref())?;
    let secrets = Secrets::open(&settings.storage.secrets())?;
    let key = secrets.builder_key()?.public_openssh();
    say(key.context("the farm's key")?.trim());
    Ok(())
}
