//! What `verdigris up` refuses before it makes anything: a mistake leaves no half of a farm behind.

use std::path::Path;

use anyhow::{Context as _, bail};
use devcloud::ImageConfig;
use model::{
    FleetId,
    fleet::{CredentialsSource, FleetSpec},
};
use runtime::{Settings, clock};
use rustix::fs::Access;
use store::{Process, Store};

use super::operator_name;
use crate::{
    check,
    credentials::CoprConf,
    database, embedded, fleet, parts,
    secrets::{Secret, Secrets},
};

/// Refuses what a farm could not start with; the machine image of its cloud.
pub(super) async fn refuse(settings: &Settings) -> anyhow::Result<ImageConfig> {
    parts::worker_name(settings)?;
    for (key, path) in [
        ("fleet.playbooks", &settings.fleet.playbooks),
        ("fleet.provision_files", &settings.fleet.provision_files),
    ] {
        if let Some(path) = path {
            check::directory(key, path)?;
        }
    }
    places(settings)?;
    Secrets::check(&settings.storage.secrets(), &Secret::ALL)?;
    let conf = CoprConf::in_directory(&settings.storage.directory);
    conf.check()?;
    operator_name(&conf)?;
    let image = embedded::image(settings)?;
    let fleet = fleet(settings, &image)?;
    check::playbooks(settings, fleet.as_ref())?;
    if let Some(store) = database::look_before_making(settings).await? {
        let agreed = agree(settings, fleet.as_ref(), &store).await;
        database::close(&store).await;
        agreed?;
    }
    Ok(image)
}

/// The directories that this process writes to.
fn places(settings: &Settings) -> anyhow::Result<()> {
    let storage = &settings.storage;
    let all = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
    for (key, path, wanted) in [
        ("storage.directory", storage.directory.clone(), all),
        ("storage.directory", storage.directory.join("devcloud"), all),
        ("storage.results", storage.results(), all),
        ("storage.sources", storage.sources(), all),
        // Secrets that are all there may be in a place that nobody may write to.
        (
            "storage.secrets",
            storage.secrets(),
            Access::READ_OK | Access::EXEC_OK,
        ),
    ] {
        place(&path, wanted).with_context(|| format!("`{key}`"))?;
    }
    Ok(())
}

/// Whether a directory is there, or can be made, and may be used so.
fn place(path: &Path, wanted: Access) -> anyhow::Result<()> {
    // A link to nowhere is there, and no directory can be made in its place.
    let mut there = path.ancestors().filter(|path| path.symlink_metadata().is_ok());
    let Some(there) = there.next() else {
        return Ok(());
    };
    let found = there
        .metadata()
        .with_context(|| format!("{} cannot be looked at", there.display()))?;
    if !found.is_dir() {
        bail!("{} is no directory", there.display());
    }
    let wanted = if there == path {
        wanted
    } else {
        Access::WRITE_OK | Access::EXEC_OK
    };
    rustix::fs::access(there, wanted).with_context(|| format!("{} cannot be used", there.display()))
}

/// The fleet file, if there is one. The first start writes it, but only where its operator names none.
fn fleet(settings: &Settings, image: &ImageConfig) -> anyhow::Result<Option<FleetSpec>> {
    if settings.fleet.file.is_none() && !parts::fleet_path(settings).exists() {
        return Ok(None);
    }
    let fleet = parts::fleet(settings)?;
    let mistakes = embedded::mistakes(&fleet, &image.id);
    if !mistakes.is_empty() {
        bail!("{}", parts::in_fleet_file(settings, &mistakes).join("\n"));
    }
    for (name, cloud) in &fleet.clouds {
        if cloud.credentials.source != CredentialsSource::Embedded {
            parts::ec2(cloud, None).with_context(|| format!("clouds.{name}"))?;
        }
    }
    Ok(Some(fleet))
}

/// Whether a database that is there is one for this farm.
async fn agree(settings: &Settings, fleet: Option<&FleetSpec>, store: &Store) -> anyhow::Result<()> {
    store.check_may_migrate().await.map_err(database::plainly)?;
    // Rights on tables, and the fleets in an older schema, are looked at when it is the present one.
    if !store
        .pending_migrations()
        .await
        .map_err(database::plainly)?
        .is_empty()
    {
        return Ok(());
    }
    store
        .check_rights(Process::Worker)
        .await
        .map_err(database::plainly)?;
    if let Some(fleet) = fleet {
        return fleet::refuse_forsaken_machines(store, fleet, clock::now()).await;
    }
    let none = FleetId(uuid::Uuid::nil());
    if let Some((old, _)) = store.forsaken_fleets(none, clock::now()).await?.first() {
        bail!(
            "there is no fleet file {}, but builders of fleet {} are on record in the database, whose machines would run on \
             with nobody to end them: put that fleet's file back",
            parts::fleet_path(settings).display(),
            old.0
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::{Access, place};

    #[test]
    fn a_place_is_a_directory_or_can_become_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        fs::create_dir(path.join("there")).unwrap();
        fs::write(path.join("file"), "").unwrap();
        symlink("there", path.join("link")).unwrap();
        symlink("nowhere", path.join("dangling")).unwrap();
        for good in [
            "",
            "there",
            "link",
            "new",
            "new/below",
            "there/new",
            "link/new/below",
        ] {
            place(&path.join(good), Access::WRITE_OK).unwrap();
        }
        for (bad, words) in [
            ("file", "/file is no directory"),
            ("file/below", "/file is no directory"),
            ("file/far/below", "/file is no directory"),
            ("dangling", "/dangling cannot be looked at"),
            ("dangling/below", "/dangling cannot be looked at"),
        ] {
            let said = place(&path.join(bad), Access::WRITE_OK).unwrap_err().to_string();
            assert!(said.ends_with(words), "{bad}: {said}");
        }
    }
}
