//! What an intent means for the fleet as it stands when a controller takes it up.

use super::{Decision, Intent, IntentState, Request, Target, adopt, builders, is_going};
use crate::{
    BuilderId, BuilderState, PoolName, Timestamp,
    mark::{Mark, MarkKind, Pause},
    plan::{Builder, Host, Snapshot, paused_in_file},
    quantity::Span,
};

use IntentState::{Done, Nothing, Refused, Running};

/// What is to be written down for an intent that nobody has taken up yet.
#[must_use]
pub fn take_up(intent: &Intent, snapshot: &Snapshot) -> Decision {
    let now = snapshot.now;
    match &intent.request {
        Request::Spawn { pool, count, .. } => spawn(intent, (pool, *count), snapshot),
        Request::Terminate {
            what,
            now: true,
            reason,
        } => end(what, mark(MarkKind::Ended, &intent.actor, reason), snapshot),
        Request::Terminate { what, reason, .. } => {
            end(what, mark(MarkKind::Retired, &intent.actor, reason), snapshot)
        }
        Request::Drain { what, reason, lasts } => {
            let decision = end(what, mark(MarkKind::Retired, &intent.actor, reason), snapshot);
            match what {
                Target::Builders(_) => decision,
                Target::Pool(pool) => pause(pool, (intent, reason, *lasts), decision, snapshot),
            }
        }
        Request::Cordon {
            builder,
            reason,
            lasts,
        } => {
            let cordon = Mark {
                until: lasts.map(|lasts| now.plus(lasts.get())),
                ..mark(MarkKind::Cordoned, &intent.actor, reason)
            };
            with(*builder, snapshot, |builder| cordoned(builder, cordon))
        }
        Request::Uncordon {
            what: Target::Builders(ids),
        } => uncordon(ids, snapshot),
        Request::Uncordon {
            what: Target::Pool(pool),
        } => resume(pool, snapshot),
        Request::Hold {
            builder,
            reason,
            lasts,
            owner,
        } => {
            let by = owner.as_ref().unwrap_or(&intent.actor);
            let wanted = mark(MarkKind::Held, by, reason);
            with(*builder, snapshot, |builder| {
                hold(builder, (wanted, *lasts), snapshot)
            })
        }
        Request::Release { builder } => with(*builder, snapshot, |builder| release(builder, &intent.actor)),
        Request::Readmit { host } => readmit(host, snapshot),
        Request::Adopt { instance, pool, .. } => adopt::adopt(instance, pool, snapshot),
        Request::Ignore { instance, reason } => adopt::ignore(instance, (intent, reason), snapshot),
        Request::Disown { instance } => adopt::disown(instance, snapshot),
        Request::Reconcile => Decision::of(Running, "a pass has begun"),
    }
}

/// The builders whose cordon is over, of those that are marked.
#[must_use]
pub fn expired<'a>(marked: impl Iterator<Item = (BuilderId, &'a Mark)>, now: Timestamp) -> Vec<BuilderId> {
    let is_over =
        |mark: &Mark| mark.kind == MarkKind::Cordoned && mark.until.is_some_and(|until| until <= now);
    let over = marked.filter(|(_, mark)| is_over(mark));
    over.map(|(id, _)| id).collect()
}

fn mark(kind: MarkKind, by: &str, why: &str) -> Mark {
    Mark {
        kind,
        by: by.to_owned(),
        why: why.to_owned(),
        until: None,
        lasts: None,
    }
}

fn spawn(intent: &Intent, (pool, count): (&PoolName, u32), snapshot: &Snapshot) -> Decision {
    if !snapshot.pools.contains_key(pool) {
        return Decision::of(Refused, format!("there is no pool {pool} in the fleet file"));
    }
    if count == 0 {
        return Decision::of(Nothing, "no builder was asked for");
    }
    if let Some(why) = intent.too_late(snapshot.now) {
        return Decision::of(Refused, why);
    }
    Decision::of(Running, format!("{} of pool {pool} to launch", builders(count)))
}

/// Decides about one builder; one that is gone is nothing to decide about.
fn with(id: BuilderId, snapshot: &Snapshot, decide: impl FnOnce(&Builder) -> Decision) -> Decision {
    match snapshot.builders.iter().find(|builder| builder.id == id) {
        Some(builder) => decide(builder),
        None => Decision::of(Nothing, format!("builder {id} is gone")),
    }
}

fn marked(builder: &Builder, mark: Option<Mark>, state: IntentState, words: String) -> Decision {
    Decision {
        marks: vec![(builder.id, mark)],
        builders: vec![builder.id],
        ..Decision::of(state, words)
    }
}

/// The builders that are meant and still to be told to go.
fn end(what: &Target, mark: Mark, snapshot: &Snapshot) -> Decision {
    let is_meant = |builder: &&Builder| match what {
        Target::Builders(ids) => ids.contains(&builder.id),
        Target::Pool(pool) => builder.pool == *pool,
    };
    let is_told = |builder: &&Builder| {
        let told = builder.mark.as_ref().map(|mark| mark.kind);
        is_going(builder.state) || told.is_some_and(|told| told >= mark.kind)
    };
    let meant = snapshot.builders.iter().filter(is_meant);
    let new: Vec<BuilderId> = meant.filter(|it| !is_told(it)).map(|it| it.id).collect();
    if new.is_empty() {
        let words = match what {
            Target::Builders(_) => "they are gone, or going already".to_owned(),
            Target::Pool(pool) => format!("pool {pool} has no builder that is not going already"),
        };
        return Decision::of(Nothing, words);
    }
    let count = u32::try_from(new.len()).unwrap_or(u32::MAX);
    Decision {
        marks: new.iter().map(|id| (*id, Some(mark.clone()))).collect(),
        builders: new,
        ..Decision::of(Running, format!("{} to end", builders(count)))
    }
}

/// What is decided about a pool's builders, with the pool's pause.
fn pause(
    pool: &PoolName,
    (intent, why, lasts): (&Intent, &str, Option<Span>),
    of_builders: Decision,
    snapshot: &Snapshot,
) -> Decision {
    let Some(known) = snapshot.pools.get(pool) else {
        return of_builders;
    };
    let pause = Pause {
        by: intent.actor.clone(),
        why: why.to_owned(),
        until: lasts.map(|lasts| snapshot.now.plus(lasts.get())),
    };
    let is_news = known.pause.as_ref() != Some(&pause);
    let (state, words) = match of_builders.state {
        Nothing if is_news => (
            Done,
            format!("pool {pool} launches nothing, and has no builder to end"),
        ),
        state => (state, of_builders.words.clone()),
    };
    Decision {
        pause: Some((pool.clone(), Some(pause))),
        state,
        words,
        ..of_builders
    }
}

fn resume(pool: &PoolName, snapshot: &Snapshot) -> Decision {
    let known = snapshot.pools.get(pool);
    let in_file = known
        .filter(|known| known.spec.paused)
        .map(|_| paused_in_file(pool));
    let words = match known.map(|known| &known.pause) {
        Some(Some(pause)) if pause.lasts(snapshot.now) => in_file.map_or_else(
            || format!("pool {pool} launches builders again as it needs them"),
            |paused| format!("pool {pool} is no longer drained, and launches nothing: {paused}"),
        ),
        Some(_) => {
            let paused = in_file.map_or_else(String::new, |paused| format!("; {paused}"));
            return Decision::of(Nothing, format!("pool {pool} is not drained{paused}"));
        }
        // Its pause outlives it: it is not to come back drained.
        None => format!(
            "pool {pool} is not in the fleet file, and launches builders as it needs them when it is again"
        ),
    };
    Decision {
        pause: Some((pool.clone(), None)),
        ..Decision::of(Done, words)
    }
}

fn cordoned(builder: &Builder, cordon: Mark) -> Decision {
    if is_going(builder.state) {
        return Decision::of(
            Nothing,
            format!("builder {} is {} already", builder.id, builder.state),
        );
    }
    match &builder.mark {
        Some(mark) if mark.kind > MarkKind::Cordoned => {
            let words = format!(
                "builder {} gets no attempts already: it is {}",
                builder.id,
                mark.in_words()
            );
            Decision::of(Nothing, words)
        }
        Some(mark) if *mark == cordon => Decision::of(
            Nothing,
            format!("builder {} is {} already", builder.id, mark.in_words()),
        ),
        _ => {
            let words = format!("builder {} is {}", builder.id, cordon.in_words());
            marked(builder, Some(cordon), Done, words)
        }
    }
}

fn uncordon(ids: &[BuilderId], snapshot: &Snapshot) -> Decision {
    let Some(id) = ids.first() else {
        return Decision::of(Nothing, "no builder was named");
    };
    with(*id, snapshot, |builder| match &builder.mark {
        Some(mark) if mark.kind > MarkKind::Cordoned => {
            let words = format!("builder {id} is {}: it never serves again", mark.in_words());
            Decision::of(Refused, words)
        }
        None if !builder.cordoned => Decision::of(Nothing, format!("builder {id} is not cordoned")),
        _ => marked(builder, None, Done, format!("builder {id} is no longer cordoned")),
    })
}

/// Holds a builder for as long as is asked, or as its pool says, within the limits of the pool.
fn hold(builder: &Builder, (wanted, lasts): (Mark, Option<Span>), snapshot: &Snapshot) -> Decision {
    let pool = &builder.pool;
    let limits = snapshot.pools.get(pool).map(|known| known.spec.hold);
    let limits = limits.unwrap_or_default();
    let lasts = lasts.unwrap_or(limits.default);
    let wanted = Mark {
        lasts: Some(lasts),
        ..wanted
    };
    let decision = hold_it(builder, wanted, snapshot.now);
    if decision.marks.is_empty() {
        return decision;
    }
    if lasts > limits.max {
        let (id, max) = (builder.id, limits.max);
        let words =
            format!("builder {id} may be held for {max} at most (`pools.{pool}.hold.max`), not for {lasts}");
        return Decision::of(Refused, words);
    }
    let is_held = |it: &Builder| {
        let marked = it.mark.as_ref().is_some_and(|mark| mark.kind == MarkKind::Held);
        marked && !is_going(it.state)
    };
    let held = snapshot
        .builders
        .iter()
        .filter(|it| it.pool == *pool && is_held(it));
    let held = u32::try_from(held.count()).unwrap_or(u32::MAX);
    match limits.limit.filter(|limit| held >= *limit && !is_held(builder)) {
        Some(limit) => {
            let words = format!(
                "of pool {pool} {} may be held at once (`pools.{pool}.hold.limit`), and {held} are, or are to be",
                builders(limit)
            );
            Decision::of(Refused, words)
        }
        None => decision,
    }
}

fn hold_it(builder: &Builder, hold: Mark, now: Timestamp) -> Decision {
    let (id, state) = (builder.id, builder.state);
    // Of one that is at work it is not known when the hold begins.
    let hold = Mark {
        until: hold.held_until(now).filter(|_| state == BuilderState::Held),
        ..hold
    };
    if BuilderState::STARTING.contains(&state) {
        let words = format!("builder {id} is {state}: only one that is ready or at work can be held");
        return Decision::of(Refused, words);
    }
    if is_going(state) {
        return Decision::of(
            Refused,
            format!("builder {id} is {state}: it is too late to hold it"),
        );
    }
    match &builder.mark {
        Some(mark) if mark.kind.is_end() => {
            let words = format!("builder {id} is {}: it is too late to hold it", mark.in_words());
            Decision::of(Refused, words)
        }
        Some(mark) if *mark == hold => {
            Decision::of(Nothing, format!("builder {id} is {} already", mark.in_words()))
        }
        _ if state == BuilderState::Held => {
            let words = format!("builder {id} is {}", hold.in_words());
            marked(builder, Some(hold), Done, words)
        }
        _ => {
            let words = format!("builder {id}, which is {state} now, is to be {}", hold.in_words());
            marked(builder, Some(hold), Running, words)
        }
    }
}

fn readmit(host: &str, snapshot: &Snapshot) -> Decision {
    let pool = snapshot
        .pools
        .values()
        .find(|pool| pool.spec.host(host).is_some());
    let Some(pool) = pool else {
        return Decision::of(Refused, format!("there is no host {host} in the fleet file"));
    };
    let is_kept_back = |known: &Host| known.out.is_some() || known.history.failures > 0;
    if !pool.hosts.get(host).is_some_and(is_kept_back) {
        return Decision::of(Nothing, format!("host {host} is not out of service"));
    }
    Decision {
        readmitted: Some(host.to_owned()),
        ..Decision::of(Done, format!("host {host} is in service again, as it is now"))
    }
}

fn release(builder: &Builder, actor: &str) -> Decision {
    let is_held = builder.state == BuilderState::Held
        || builder
            .mark
            .as_ref()
            .is_some_and(|mark| mark.kind == MarkKind::Held);
    let told = builder.mark.as_ref().is_some_and(|mark| mark.kind.is_end());
    if !is_held || told {
        return Decision::of(Nothing, format!("builder {} is not held", builder.id));
    }
    // What somebody had his hands on never serves again.
    let retired = mark(MarkKind::Retired, actor, "released");
    let words = format!("builder {} is released, and ends", builder.id);
    marked(builder, Some(retired), Running, words)
}
