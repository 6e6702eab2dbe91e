//! `verdigris fleet resume`.

use runtime::{Settings, clock};

use crate::{database, options::Config, parts, say};

/// Lets a pool that is held back launch again.
pub(crate) async fn resume(config: &Config, pool: &str) -> anyhow::Result<()> {
    let settings = Settings::load(config.config.as_deref())?;
    let resumed = database::with(&settings, async |store| {
        let (fleet, _) = parts::fleet_in_force(&settings, &store).await?;
        let (name, _) = parts::pool(&fleet, pool)?;
        Ok(store
            .resume_pool(fleet.fleet, name, "operator", clock::now())
            .await)
    });
    let was_held = match resumed.await? {
        Ok(was_held) => was_held,
        // No controller has seen it yet: nothing holds it back.
        Err(store::Error::NotFound { .. }) => false,
        Err(error) => return Err(error.into()),
    };
    if was_held {
        say(&format!("Pool {pool} launches builders again as it needs them."));
    } else {
        say(&format!("Pool {pool} is not held back: nothing to do."));
    }
    Ok(())
}
