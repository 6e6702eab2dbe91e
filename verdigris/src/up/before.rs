//! What `verdigris up` refuses before it makes anything: a mistake leaves no half of a farm behind.

use anyhow::bail;
use devcloud::ImageConfig;
use runtime::Settings;

use crate::{check::directory, embedded, parts};

/// Refuses what a farm could not start with; the machine image of its cloud.
pub(super) fn refuse(settings: &Settings) -> anyhow::Result<ImageConfig> {
    runtime::telemetry::check(&settings.log)?;
    parts::worker_name(settings)?;
    for (key, path) in [
        ("fleet.playbooks", &settings.fleet.playbooks),
        ("fleet.provision_files", &settings.fleet.provision_files),
    ] {
        if let Some(path) = path {
            directory(key, path)?;
        }
    }
    let image = embedded::image(settings)?;
    // The first start writes a fleet file, but only where its operator names none.
    if settings.fleet.file.is_some() || parts::fleet_path(settings).exists() {
        let fleet = parts::fleet(settings)?;
        let mistakes = embedded::mistakes(&fleet, &image.id);
        if !mistakes.is_empty() {
            bail!("{}", parts::in_fleet_file(settings, &mistakes).join("\n"));
        }
    }
    Ok(image)
}
