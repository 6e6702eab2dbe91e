//! What a hook is told of its builder. docs/fleet.md has it: keys are added, and none is taken away or given another meaning.

use model::{BuilderState, Market, fleet::HookPoint};
use serde::Serialize;
use store::{Builder, HookRun};

use crate::Context;

/// The version of what follows.
const SCHEMA: u32 = 1;

#[derive(Serialize)]
struct Input<'a> {
    schema: u32,
    hook: HookPoint,
    /// The same for all tries of this hook for this builder.
    run: String,
    attempt: u32,
    attempts: u32,
    /// The same as in the environment.
    key: String,
    fleet: Fleet<'a>,
    pool: &'a str,
    builder: String,
    state: BuilderState,
    why: Option<&'a str>,
    cloud: &'a str,
    instance: Option<&'a str>,
    r#type: Option<&'a str>,
    zone: Option<&'a str>,
    market: Option<Market>,
    image: &'a str,
    address: Option<&'a str>,
    port: u16,
    /// The fixed host that it is, by its name.
    host: Option<&'a str>,
}

#[derive(Serialize)]
struct Fleet<'a> {
    id: String,
    name: &'a str,
}

/// One line of JSON.
///
/// # Errors
/// Never for what a database can hold.
pub(super) fn input(context: &Context, run: &HookRun, builder: &Builder) -> serde_json::Result<String> {
    let offering = builder.launch.as_ref().map(|launch| &launch.offering);
    // A fixed host is no type of instance.
    let offering = offering.filter(|_| builder.host.is_none());
    let fleet = &context.fleet;
    let told = Input {
        schema: SCHEMA,
        hook: run.point,
        run: run.id.simple().to_string(),
        attempt: run.attempt,
        attempts: run.spec.attempts,
        key: run.key(),
        fleet: Fleet {
            id: fleet.fleet.to_string(),
            name: &fleet.name,
        },
        pool: builder.pool.as_str(),
        builder: builder.id.to_string(),
        state: builder.state,
        why: builder.reason.as_deref(),
        cloud: &builder.cloud,
        instance: builder.instance_id.as_deref(),
        r#type: offering.map(|offering| offering.instance_type.as_str()),
        zone: offering.and_then(|offering| offering.zone.as_deref()),
        market: offering.map(|offering| offering.market),
        image: &builder.image,
        address: builder.address.as_deref(),
        port: builder.port,
        host: builder.host.as_deref(),
    };
    Ok(format!("{}\n", serde_json::to_string(&told)?))
}
