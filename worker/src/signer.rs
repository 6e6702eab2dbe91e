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

#[cfg(test)]
mod tests {
    use model::Blame;
    use repository::Passphrase;
    use store::Outcome;

    use super::*;
    use crate::{UnlockedKeys, testing::Farm};

    /// Another process of this farm, which has unlocked nothing yet.
    fn another(farm: &Farm, passphrase: &str) -> Context {
        Context {
            unlocked: UnlockedKeys::default(),
            passphrase: Arc::new(Passphrase::new(passphrase).unwrap()),
            ..farm.context.clone()
        }
    }

    #[tokio::test]
    async fn a_project_has_one_key_whoever_asks_first() {
        let farm = Farm::start().await;
        let workers: Vec<Context> = (0..3).map(|_| another(&farm, "a passphrase of tests")).collect();
        let asked = workers.iter().map(|worker| signing_key(worker, farm.project.id));
        let keys = futures_util::future::join_all(asked).await;
        let keys: Vec<String> = keys.into_iter().map(|key| key.unwrap().fingerprint()).collect();
        let stored = farm.store().signing_key(farm.project.id).await.unwrap().unwrap();
        assert_eq!(keys, [stored.fingerprint.as_str(); 3]);
        let again = signing_key(&workers[0], farm.project.id).await.unwrap();
        let first = signing_key(&workers[0], farm.project.id).await.unwrap();
        assert!(Arc::ptr_eq(&again, &first), "it is unlocked once");
    }

    #[tokio::test]
    async fn a_key_that_the_passphrase_does_not_open_is_the_farms_fault_and_not_the_packages() {
        let farm = Farm::start().await;
        signing_key(&farm.context, farm.project.id).await.unwrap();
        let other = another(&farm, "quite another passphrase");
        let error = signing_key(&other, farm.project.id)
            .await
            .expect_err("it stays locked");
        let outcome = error.outcome();
        assert!(
            matches!(
                &outcome,
                Outcome::Failed {
                    blame: Blame::Service,
                    ..
                }
            ),
            "{outcome:?}"
        );
        assert!(!format!("{outcome:?}").contains("passphrase of tests"));
    }

    #[tokio::test]
    async fn a_project_that_is_gone_gets_no_key() {
        let farm = Farm::start().await;
        let nobody = ProjectId(4711);
        let error = signing_key(&farm.context, nobody)
            .await
            .expect_err("there is none");
        assert_eq!(error.to_string(), format!("there is no project {nobody}"));
    }
}
