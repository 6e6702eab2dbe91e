//! The signing keys that are unlocked in this process's memory.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use model::ProjectId;
use repository::SigningKey;

/// How many keys are kept unlocked.
const MOST_UNLOCKED: usize = 256;

/// Keys that were unlocked, which takes a good part of a second each time, by design. Kept beside the locked text that
/// they came from: one that is replaced in the database is not used again.
#[derive(Clone, Debug, Default)]
pub struct UnlockedKeys(Arc<Mutex<BTreeMap<ProjectId, Unlocked>>>);

/// A key's locked text, and the key.
type Unlocked = (String, Arc<SigningKey>);

impl UnlockedKeys {
    pub(crate) fn find(&self, project: ProjectId, locked: &str) -> Option<Arc<SigningKey>> {
        let keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (text, key) = keys.get(&project)?;
        (text == locked).then(|| Arc::clone(key))
    }

    pub(crate) fn keep(&self, project: ProjectId, locked: String, key: Arc<SigningKey>) {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.len() >= MOST_UNLOCKED {
            keys.clear();
        }
        keys.insert(project, (locked, key));
    }
}
