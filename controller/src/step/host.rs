//! What fixed hosts need besides: their keys are found out once, and what builds left there is removed before anything else is
//! done. What was left and cannot be removed takes a host out of service: nobody makes it anew.

use model::{
    plan::Host,
    step::difference::{is_only_a_boot, told},
};
use shell::HostKey;
use store::{Builder, Lease};
use tracing::{info, warn};

use crate::{Context, Error, Machine};

/// Where a host is reached, as its record says it.
fn place(builder: &Builder) -> String {
    let address = builder.address.as_deref().unwrap_or_default();
    Host::place_at(address, builder.port)
}

/// The key that a host has to prove: the one of the fleet file, or the one that it showed first; `None` before it has.
pub(super) async fn known_key(
    context: &Context,
    lease: &Lease,
    builder: &Builder,
    name: &str,
) -> Result<Option<String>, Error> {
    let record = context.store.host(lease, name, &place(builder)).await?;
    let pool = context.fleet.pools.get(&builder.pool);
    let given = pool.and_then(|pool| pool.host(name)?.host_key.as_ref());
    let Some(given) = given else {
        return Ok(record.host_key);
    };
    let key = HostKey::parse(given).map_err(Error::Keys)?;
    Ok(Some(key.to_string()))
}

/// Keeps the key that a host shows, of which none was known.
pub(super) async fn keep_key(
    context: &Context,
    lease: &Lease,
    builder: &Builder,
    key: &HostKey,
) -> Result<(), Error> {
    let Some(name) = &builder.host else { return Ok(()) };
    let (fingerprint, now) = (key.fingerprint(), context.clock.now());
    let line = key.to_string();
    let kept = context.store.keep_host_key(lease, (builder.id, name), &line, now);
    kept.await?;
    info!(builder.id = %builder.id, "Host {name} shows the host key {fingerprint}, which is kept.");
    Ok(())
}

/// Removes what earlier builds left on a host; `None` when it is as it was before them, else why it is no builder. One that was only
/// started again, and on which no build ran, is taken as it is.
pub(super) async fn left_behind(
    context: &Context,
    lease: &Lease,
    builder: &Builder,
    machine: &dyn Machine,
) -> Result<Option<String>, Error> {
    let Some(name) = &builder.host else {
        return Ok(None);
    };
    let record = context.store.host(lease, name, &place(builder)).await?;
    let limit = context.deadlines(&builder.pool).clean;
    let Some(baseline) = record.baseline else {
        // It is new, or its operator says that it is fit.
        return Ok(take_as_it_is(context, builder, machine).await.err());
    };
    match machine.clean(&baseline, limit).await {
        Ok(differences) if differences.is_empty() => {
            // From here on the playbooks change it, and no build does.
            context.store.keep_host_baseline(lease, name, None).await?;
            Ok(None)
        }
        Ok(differences) if is_only_a_boot(&differences, record.may_have_built) => {
            // It notes that it is dirty until it is told otherwise, so that is first: whoever is interrupted compares it again.
            if let Err(words) = take_as_it_is(context, builder, machine).await {
                return Ok(Some(words));
            }
            context.store.keep_host_baseline(lease, name, None).await?;
            info!(builder.id = %builder.id, "Host {name} was started again, and no build had run there: it is used as it is.");
            Ok(None)
        }
        Ok(differences) => {
            let (words, now) = (told(&differences), context.clock.now());
            context.store.take_host_out(lease, name, &words, now).await?;
            warn!(builder.id = %builder.id, "Host {name} is out of service: {words}.");
            Ok(Some(words))
        }
        Err(words) => Ok(Some(format!(
            "it could not be cleaned after earlier builds: {words}"
        ))),
    }
}

/// Has a host forget what was found on it before; the error says why it cannot be used.
async fn take_as_it_is(context: &Context, builder: &Builder, machine: &dyn Machine) -> Result<(), String> {
    let limit = context.deadlines(&builder.pool).clean;
    let accepted = machine.accept(limit).await;
    accepted.map_err(|words| format!("it cannot be used as it is: {words}"))
}
