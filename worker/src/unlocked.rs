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

#[cfg(test)]
mod tests {
    use repository::KeyAlgorithm;

    use super::*;

    fn key(owner: &str) -> Arc<SigningKey> {
        let (owner, project) = (owner.parse().unwrap(), "tools".parse().unwrap());
        let now = runtime::clock::now();
        let key = SigningKey::generate(&owner, &project, "farm.test", KeyAlgorithm::Ed25519, now);
        Arc::new(key.unwrap())
    }

    #[test]
    fn a_key_is_found_by_its_project_and_only_while_its_text_is_the_same() {
        let keys = UnlockedKeys::default();
        let [one, other] = [1, 2].map(ProjectId);
        let (first, second) = (key("alice"), key("bob"));
        keys.keep(one, "locked".to_owned(), Arc::clone(&first));
        let found = |project, text| keys.find(project, text).map(|key| key.fingerprint());
        assert_eq!(found(one, "locked"), Some(first.fingerprint()));
        assert_eq!(found(other, "locked"), None);
        assert_eq!(
            found(one, "replaced"),
            None,
            "one that was replaced is not used again"
        );
        keys.keep(one, "replaced".to_owned(), Arc::clone(&second));
        assert_eq!(found(one, "replaced"), Some(second.fingerprint()));
        assert_eq!(found(one, "locked"), None);
        // Clones share what they know: the parts of a worker unlock each key once.
        assert!(keys.clone().find(one, "replaced").is_some());
    }

    #[test]
    fn there_is_an_end_of_keys_in_memory_and_the_last_one_is_among_them() {
        let (keys, key) = (UnlockedKeys::default(), key("alice"));
        let project = |number: usize| ProjectId(i64::try_from(number).unwrap());
        for number in 0..=MOST_UNLOCKED {
            keys.keep(project(number), String::new(), Arc::clone(&key));
            assert!(keys.find(project(number), "").is_some(), "{number}");
        }
        let kept = (0..=MOST_UNLOCKED).filter(|number| keys.find(project(*number), "").is_some());
        assert!(kept.count() <= MOST_UNLOCKED);
    }
}
