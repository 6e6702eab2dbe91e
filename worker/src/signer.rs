//! The signing keys of projects: made when a project first needs one, locked before they are stored, open only in this
//! process's memory. Nothing else of the farm holds the passphrase.

use std::sync::Arc;

use model::ProjectId;
use repository::SigningKey;
use runtime::clock;
use store::LockedKey;

use crate::{
    context::Context,
    error::{Error, blocking},
};

/// A project's key, made now if it has none.
pub(crate) async fn signing_key(context: &Context, project: ProjectId) -> Result<Arc<SigningKey>, Error> {
    let locked = match context.store.signing_key(project).await? {
        Some(locked) => locked.secret_key,
        None => make(context, project).await?.secret_key,
    };
    if let Some(key) = context.unlocked.find(project, &locked) {
        return Ok(key);
    }
    let (text, passphrase) = (locked.clone(), context.passphrase.clone());
    let key = blocking(move || Ok(SigningKey::from_locked(&text, &passphrase)?)).await?;
    let key = Arc::new(key);
    context.unlocked.keep(project, locked, Arc::clone(&key));
    Ok(key)
}

async fn make(context: &Context, project: ProjectId) -> Result<LockedKey, Error> {
    let Some(found) = context.store.project_by_id(project).await? else {
        return Err(Error::Refused(format!("project {project} is gone")));
    };
    let (host, passphrase) = (context.host_name.clone(), context.passphrase.clone());
    let algorithm = context.key_algorithm;
    let made = blocking(move || {
        let key = SigningKey::generate(&found.owner, &found.name, &host, algorithm, clock::now())?;
        Ok(LockedKey {
            fingerprint: key.fingerprint(),
            public_key: key.public_armored()?,
            secret_key: key.to_locked(&passphrase)?,
        })
    })
    .await?;
    Ok(context
        .store
        .keep_signing_key(project, &made, clock::now())
        .await?)
}
