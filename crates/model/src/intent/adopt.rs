//! What operators say of instances without a builder: that they are adopted, ignored, or strays again.

use super::{Decision, Intent, IntentState};
use crate::{
    PoolName,
    fleet::PoolKind,
    plan::{CloudHealth, Snapshot, paused_in_file},
    stray::{Disregard, Ignored, Stray},
};

use IntentState::{Done, Nothing, Refused, Running};

/// Why a pool takes up no instance that an operator names, as a sentence for operators; `None` when it may, or when that is not
/// known yet. What the cloud says of the instance itself counts besides: [`crate::stray::unfit`].
#[must_use]
pub fn no_room(instance: &str, pool: &PoolName, snapshot: &Snapshot) -> Option<String> {
    let Some(known) = snapshot.pools.get(pool) else {
        return Some(format!("there is no pool {pool} in the fleet file"));
    };
    if let PoolKind::Hosts(_) = known.spec.kind() {
        return Some(format!(
            "pool {pool} has fixed hosts: a machine becomes one of them by the fleet file"
        ));
    }
    if known.spec.paused {
        return Some(paused_in_file(pool));
    }
    if let CloudHealth::Away(trouble) = &known.cloud {
        return Some(trouble.for_operators());
    }
    if let Some(pause) = known.pause.as_ref().filter(|pause| pause.lasts(snapshot.now)) {
        return Some(format!("pool {pool} is drained by {}", pause.by));
    }
    if find(instance, snapshot).is_some_and(|stray| stray.is_ending) {
        return Some(is_ending(instance));
    }
    let own = snapshot
        .builders
        .iter()
        .filter(|it| it.pool == *pool && it.state.counts());
    let (count, max) = (
        u32::try_from(own.count()).unwrap_or(u32::MAX),
        known.spec.size.max,
    );
    (count >= max).then(|| format!("pool {pool} is at its maximum of {max}"))
}

fn find<'a>(instance: &str, snapshot: &'a Snapshot) -> Option<&'a Stray> {
    snapshot.strays.iter().find(|stray| stray.instance == instance)
}

fn is_ending(instance: &str) -> String {
    format!("instance {instance} is being ended already")
}

/// The cloud is asked what the instance is, before anything is decided.
pub(super) fn adopt(instance: &str, pool: &PoolName, snapshot: &Snapshot) -> Decision {
    match no_room(instance, pool, snapshot) {
        Some(why) => Decision::of(Refused, why),
        None => Decision::of(
            Running,
            format!("the cloud of pool {pool} is asked for instance {instance}"),
        ),
    }
}

pub(super) fn ignore(instance: &str, (intent, why): (&Intent, &str), snapshot: &Snapshot) -> Decision {
    let Some(stray) = find(instance, snapshot) else {
        let words = format!("no cloud lists an instance {instance} with the fleet's tag and no builder");
        return Decision::of(Refused, words);
    };
    let ignored = Ignored {
        by: intent.actor.clone(),
        why: why.to_owned(),
    };
    if stray.is_ending {
        return Decision::of(Refused, is_ending(instance));
    }
    if stray.ignored.as_ref() == Some(&ignored) {
        return Decision::of(
            Nothing,
            format!("instance {instance} is {} already", ignored.in_words()),
        );
    }
    let words = format!("instance {instance} is {}", ignored.in_words());
    disregarded(stray, Some(ignored), words)
}

pub(super) fn disown(instance: &str, snapshot: &Snapshot) -> Decision {
    match find(instance, snapshot).filter(|stray| stray.ignored.is_some()) {
        None => Decision::of(Nothing, format!("instance {instance} is not ignored")),
        Some(stray) => {
            let words = format!("instance {instance} is a stray again, and is ended as others are");
            disregarded(stray, None, words)
        }
    }
}

fn disregarded(stray: &Stray, ignored: Option<Ignored>, words: String) -> Decision {
    Decision {
        disregard: Some(Disregard {
            cloud: stray.cloud.clone(),
            instance: stray.instance.clone(),
            ignored,
        }),
        ..Decision::of(Done, words)
    }
}
