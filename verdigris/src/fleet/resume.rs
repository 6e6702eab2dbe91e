//! `verdigris fleet resume`.

use anyhow::bail;
use model::{PoolName, nearest::did_you_mean};
use runtime::{Settings, clock};

use crate::{database, options::Config, parts, say};

/// Lets a pool that is held back launch again.
pub(crate) async fn resume(config: &Config, pool: &str) -> anyhow::Result<()> {
    let settings = Settings::load(config.config.as_deref())?;
    let fleet = parts::fleet(&settings)?;
    let names: Vec<&str> = fleet.pools.keys().map(PoolName::as_str).collect();
    let Some((name, _)) = fleet.pools.iter().find(|(name, _)| name.as_str() == pool) else {
        let hint = did_you_mean(pool, &names);
        let end = if hint.is_empty() { "." } else { &hint };
        bail!(
            "there is no pool `{pool}` in the fleet file{end} There is: {}",
            names.join(", ")
        );
    };
    let resumed = database::with(&settings, async |store| {
        Ok(store.resume_pool(name, "operator", clock::now()).await)
    });
    let was_held = match resumed.await? {
        Ok(was_held) => was_held,
        // No controller has seen it yet: nothing holds it back.
        Err(store::Error::NotFound { .. }) => false,
        Err(error) => return Err(error.into()),
    };
    if was_held {
        say(&format!("Pool {name} launches builders again as it needs them."));
    } else {
        say(&format!("Pool {name} is not held back: nothing to do."));
    }
    Ok(())
}
