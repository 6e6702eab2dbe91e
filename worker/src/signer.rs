//! The signing keys of projects: made when a project first needs one, locked before they are stored, open only in this
//! process's memory. Nothing else of the farm holds the passphrase.

use model::ProjectId;
use repository::{KeyAlgorithm, SigningKey};
use runtime::clock;
use store::LockedKey;

use crate::{Error, Parts, blocking};

/// A project's key, made now if it has none.
pub(crate) async fn signing_key(parts: &Parts, project: ProjectId) -> Result<SigningKey, Error> {
    let locked = match parts.store.signing_key(project).await? {
        Some(locked) => locked,
        None => make(parts, project).await?,
    };
    let passphrase = parts.passphrase.clone();
    blocking(move || Ok(SigningKey::from_locked(&locked.secret_key, &passphrase)?)).await
}

async fn make(parts: &Parts, project: ProjectId) -> Result<LockedKey, Error> {
    let Some(found) = parts.store.project_by_id(project).await? else {
        return Err(Error::Refused(format!("project {project} is gone")));
    };
    let (host, passphrase) = (parts.host_name.clone(), parts.passphrase.clone());
    let made = blocking(move || {
        let key = SigningKey::generate(
            &found.owner,
            &found.name,
            &host,
            KeyAlgorithm::Ed25519,
            clock::now(),
        )?;
        Ok(LockedKey {
            fingerprint: key.fingerprint(),
            public_key: key.public_armored()?,
            secret_key: key.to_locked(&passphrase)?,
        })
    })
    .await?;
    Ok(parts.store.keep_signing_key(project, &made, clock::now()).await?)
}
