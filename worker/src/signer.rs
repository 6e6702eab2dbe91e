//! The signing keys of projects: made when a project first needs one, locked before they are stored, open only in this
//! process's memory. Nothing else of the farm holds the passphrase.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use model::ProjectId;
use repository::SigningKey;
use runtime::clock;
use store::LockedKey;

use crate::{Context, Error, blocking};

/// How many keys are kept unlocked.
const MOST_UNLOCKED: usize = 256;

/// Keys that were unlocked, which takes a good part of a second each time, by design. Kept beside the locked text that
/// they came from: one that is replaced in the database is not used again.
#[derive(Clone, Debug, Default)]
pub struct UnlockedKeys(Arc<Mutex<BTreeMap<ProjectId, Unlocked>>>);

/// A key's locked text, and the key.
type Unlocked = (String, Arc<SigningKey>);

impl UnlockedKeys {
    fn find(&self, project: ProjectId, locked: &str) -> Option<Arc<SigningKey>> {
        let keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (text, key) = keys.get(&project)?;
        (text == locked).then(|| Arc::clone(key))
    }

    fn keep(&self, project: ProjectId, locked: String, key: Arc<SigningKey>) {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.len() >= MOST_UNLOCKED {
            keys.clear();
        }
        keys.insert(project, (locked, key));
    }
}

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
