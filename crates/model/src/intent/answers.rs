//! Whether an intent on record answers a command that asks for the same, or the command asks anew.

use super::{Intent, IntentState, Request, Target};
use crate::{BuilderId, PoolName};

/// What an intent is about.
#[derive(PartialEq, Eq)]
enum Subject<'a> {
    Pool(&'a PoolName),
    Builder(BuilderId),
    Host(&'a str),
    Instance(&'a str),
}

/// Whether `found` answers a command that asks for the same in the same slot. It does not where something else was asked since of
/// what it is about: it may be undone. A pass answers only while it is new, since one that has begun may have looked at a cloud
/// before the command began. `others`: the intents of the fleet that were asked since `found` was, in any order; it may be one of
/// them.
#[must_use]
pub fn answers(found: &Intent, others: &[Intent]) -> bool {
    if found.request == Request::Reconcile {
        return found.state == IntentState::New;
    }
    !others.iter().any(|other| may_undo(other, found))
}

/// Whether an intent may have changed what another one brought about before it.
fn may_undo(other: &Intent, found: &Intent) -> bool {
    if other.key == found.key || other.request == found.request || other.created_at < found.created_at {
        return false;
    }
    let is_counted = match (&found.request, &other.request) {
        (Request::Spawn { .. }, Request::Terminate { .. } | Request::Drain { .. }) => true,
        // The pool may have been drained when it was refused.
        (Request::Spawn { .. }, Request::Uncordon { .. }) => found.state == IntentState::Refused,
        // Whatever else is asked leaves its machines, and a second effect costs money.
        (Request::Spawn { .. }, _) => false,
        _ => true,
    };
    let about = subjects(found);
    is_counted && subjects(other).iter().any(|subject| about.contains(subject))
}

fn subjects(intent: &Intent) -> Vec<Subject<'_>> {
    let mut subjects: Vec<Subject<'_>> = intent.builders.iter().copied().map(Subject::Builder).collect();
    match &intent.request {
        Request::Spawn { pool, .. } => subjects.push(Subject::Pool(pool)),
        Request::Terminate { what, .. } | Request::Drain { what, .. } | Request::Uncordon { what } => {
            match what {
                Target::Pool(pool) => subjects.push(Subject::Pool(pool)),
                Target::Builders(ids) => subjects.extend(ids.iter().copied().map(Subject::Builder)),
            }
        }
        Request::Cordon { builder, .. } | Request::Hold { builder, .. } | Request::Release { builder } => {
            subjects.push(Subject::Builder(*builder));
        }
        Request::Readmit { host } => subjects.push(Subject::Host(host)),
        Request::Adopt { instance, pool, .. } => {
            subjects.extend([Subject::Instance(instance), Subject::Pool(pool)]);
        }
        Request::Ignore { instance, .. } | Request::Disown { instance } => {
            subjects.push(Subject::Instance(instance));
        }
        Request::Reconcile => {}
    }
    subjects
}
