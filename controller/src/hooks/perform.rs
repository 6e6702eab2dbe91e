//! One try of one hook, from its record to its end.

use std::time::Duration;

use model::{
    fleet::SkipIf,
    hook::{self, Next},
};
use shell::{Endpoint, HostKey};
use store::{Builder, HookEnd, HookRun, HookState, Lease};
use tracing::{info, warn};

use super::{
    input::input,
    process::{HookRunner, Order, Tried},
};
use crate::{
    Context, Error,
    place::{next_key, open},
};

/// How long a machine is waited for whose hook is left out where it does not answer.
const PROBE: Duration = Duration::from_secs(5);

/// Tries it, for `left` at most: the record first, then the program, then what came of it.
pub(super) async fn perform(
    context: &Context,
    lease: &Lease,
    (run, left): (HookRun, Duration),
    runner: &dyn HookRunner,
) -> Result<(), Error> {
    let (store, clock) = (&context.store, &context.clock);
    let begun = clock.elapsed();
    let Some(builder) = store.builder(run.builder).await? else {
        let end = untried(
            HookState::Late,
            "its builder is not on record any more".to_owned(),
        );
        return Ok(store.end_hook(lease, &run, &end, clock.now()).await?);
    };
    if run.spec.skip_if == Some(SkipIf::Unreachable)
        && let Some(why) = unreachable(context, &builder, left.min(PROBE)).await
    {
        let end = untried(HookState::Skipped, format!("left out, since {why}"));
        return Ok(store.end_hook(lease, &run, &end, clock.now()).await?);
    }
    let run = store.start_hook(lease, &run, clock.now()).await?;
    let left = left.saturating_sub(clock.elapsed().saturating_sub(begun));
    let order = Order {
        command: run.spec.cmd.clone(),
        environment: vec![
            ("VERDIGRIS_HOOK", run.point.to_string()),
            ("VERDIGRIS_ATTEMPT", run.key()),
        ],
        input: input(context, &run, &builder).map_err(|cause| Error::Contradiction(cause.to_string()))?,
        limit: run.spec.timeout.get().min(left),
    };
    let tried = runner.run(&order, clock).await;
    let now = clock.now();
    let end = end(&run, tried, now);
    tell(&run, &end);
    Ok(store.end_hook(lease, &run, &end, now).await?)
}

/// The end of a run that is not tried, or not any more.
pub(super) fn untried(state: HookState, outcome: String) -> HookEnd {
    HookEnd {
        state,
        due_at: None,
        outcome,
        tail: None,
    }
}

/// What follows from a try.
fn end(run: &HookRun, tried: Tried, now: model::Timestamp) -> HookEnd {
    let Tried { end, tail } = tried;
    let (state, due_at, outcome) = match hook::next(run.point, &run.spec, run.attempt, &end) {
        Next::Done => (HookState::Done, None, "done".to_owned()),
        Next::Again(pause) => {
            let words = format!("{end}; it is tried again in {} s", pause.as_secs());
            (HookState::Waiting, Some(now.plus(pause)), words)
        }
        Next::Failed if run.attempt > 1 => (
            HookState::Failed,
            None,
            format!("{end}, at the last of {} tries", run.attempt),
        ),
        Next::Failed => (HookState::Failed, None, end.to_string()),
    };
    HookEnd {
        state,
        due_at,
        outcome,
        tail: Some(tail).filter(|tail| !tail.is_empty()),
    }
}

fn tell(run: &HookRun, end: &HookEnd) {
    let (point, builder, command, outcome) = (run.point, run.builder, run.spec.words(), &end.outcome);
    if end.state == HookState::Done {
        info!(builder.id = %builder, "Hook {point} of builder {builder} is done: {command}.");
    } else {
        let last = end.tail.as_deref().and_then(|tail| tail.lines().last());
        let last = last.map_or_else(String::new, |line| format!(" ({line})"));
        warn!(builder.id = %builder, "Hook {point} of builder {builder} failed: {command}: {outcome}{last}.");
    }
}

/// Why a builder's machine is not reached; `None` where it is.
async fn unreachable(context: &Context, builder: &Builder, limit: Duration) -> Option<String> {
    let (Some(address), Some(key)) = (&builder.address, &builder.host_key) else {
        return Some("its machine has no address or no host key".to_owned());
    };
    let key = match HostKey::parse(key) {
        Ok(key) => key,
        Err(error) => return Some(error.to_string()),
    };
    let next = match next_key(builder) {
        Ok(next) => next,
        Err(error) => return Some(error.to_string()),
    };
    let endpoint = Endpoint::new(address, builder.port, context.user_of(&builder.pool));
    let opening = open(context.reach.as_ref(), &endpoint, (next.as_ref(), &key), limit);
    match context.clock.within(limit, opening).await {
        Some(Ok((machine, _))) => {
            machine.close().await;
            None
        }
        Some(Err(error)) => Some(format!("its machine is not reached: {error}")),
        None => Some(format!("its machine did not answer within {} s", limit.as_secs())),
    }
}
