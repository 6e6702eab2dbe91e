//! What has become of an intent that was taken up.

use super::{Decision, Intent, IntentState, Request, builders, is_going};
use crate::{BuilderId, BuilderState, Timestamp, plan::Unmet};

use IntentState::{Done, Failed, Nothing, Refused, Running};

/// What has become of a builder that an intent is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    pub id: BuilderId,
    pub state: BuilderState,
    /// Whether it has been ready.
    pub was_ready: bool,
    /// Why it is in its state, as a sentence for people.
    pub reason: Option<String>,
}

/// What the pass of the controller came to, of which an intent is a part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pass {
    /// Whether every cloud has been asked, and has answered or failed to, since the intent was taken up.
    pub is_whole: bool,
    /// Whether something was decided in it, or done in a cloud.
    pub has_acted: bool,
    /// Whether builders are on their way somewhere by the controller's own work.
    pub is_moving: bool,
    /// The clouds that give no machines, and why, as sentences for operators.
    pub silent: Vec<String>,
}

/// What is to be written down of an intent that is under way: `None` when nothing is new. `made`: the builders that it is about,
/// as far as they are on record; `unmet`: what the plan lacked for it.
#[must_use]
pub fn follow(
    intent: &Intent,
    made: &[Made],
    unmet: Option<&Unmet>,
    (pass, now): (&Pass, Timestamp),
) -> Option<Decision> {
    let (state, words) = match &intent.request {
        Request::Spawn { pool, count, .. } => {
            let too_late = intent.too_late(now);
            spawned((pool.as_str(), *count), made, unmet, too_late)
        }
        Request::Terminate { .. } | Request::Drain { .. } | Request::Release { .. } => ended(intent, made),
        Request::Hold { .. } => held(intent, made),
        Request::Reconcile => passed(pass),
        Request::Adopt { instance, .. } => adopted(intent, instance, made),
        // Their taking up is all of them.
        Request::Cordon { .. }
        | Request::Uncordon { .. }
        | Request::Readmit { .. }
        | Request::Ignore { .. }
        | Request::Disown { .. } => (Done, intent.words.clone()),
    };
    if (state, &words) == (intent.state, &intent.words) {
        return None;
    }
    Some(Decision {
        builders: intent.builders.clone(),
        ..Decision::of(state, words)
    })
}

/// `too_late`: why nothing more is launched for it.
fn spawned(
    (pool, count): (&str, u32),
    made: &[Made],
    unmet: Option<&Unmet>,
    too_late: Option<String>,
) -> (IntentState, String) {
    let number = |is_one: &dyn Fn(&Made) -> bool| {
        u32::try_from(made.iter().filter(|it| is_one(it)).count()).unwrap_or(u32::MAX)
    };
    let ready = number(&|it| it.was_ready);
    let lost = |it: &Made| !it.was_ready && is_going(it.state);
    let (all, failed) = (number(&|_| true), number(&lost));
    let unmet = unmet.filter(|unmet| !unmet.may_pass);
    let unmet = unmet.map(|unmet| unmet.why.clone());
    if let Some(why) = unmet.or_else(|| too_late.filter(|_| all < count)) {
        // Who leads for this command alone leaves nobody behind who would lead what was launched to its end.
        let left = number(&|it| !it.was_ready && !it.state.is_final());
        let waits = format!(
            "{all} of {} launched, {left} still under way: {why}",
            builders(count)
        );
        return match (all, left) {
            (0, _) => (Refused, why),
            (_, 0) => (Refused, format!("{all} of {} launched: {why}", builders(count))),
            _ => (Running, waits),
        };
    }
    if all < count || ready.saturating_add(failed) < count {
        let words = format!(
            "{ready} of {} of pool {pool} are ready, {all} launched",
            builders(count)
        );
        return (Running, words);
    }
    if failed == 0 {
        return (Done, format!("{} of pool {pool} got ready", builders(count)));
    }
    let why = made
        .iter()
        .rfind(|it| lost(it))
        .and_then(|it| it.reason.as_deref());
    let why = why.map_or_else(String::new, |why| format!(": {why}"));
    (
        Failed,
        format!("{failed} of {} never got ready{why}", builders(count)),
    )
}

fn ended(intent: &Intent, made: &[Made]) -> (IntentState, String) {
    let left: Vec<&Made> = made.iter().filter(|it| !it.state.is_final()).collect();
    let all = u32::try_from(intent.builders.len()).unwrap_or(u32::MAX);
    let at_work = |it: &&&Made| matches!(it.state, BuilderState::Reserved | BuilderState::Busy);
    match (left.len(), left.iter().filter(at_work).count()) {
        (0, _) => (Done, format!("{} gone", builders(all))),
        (left, 0) => (Running, format!("{left} of {} not gone yet", builders(all))),
        (left, busy) => {
            let words = format!("{left} of {} not gone yet, {busy} of them at work", builders(all));
            (Running, words)
        }
    }
}

fn held(intent: &Intent, made: &[Made]) -> (IntentState, String) {
    match made.first() {
        Some(it) if it.state == BuilderState::Held => (Done, format!("builder {} is held", it.id)),
        Some(it) if !is_going(it.state) => (Running, intent.words.clone()),
        Some(it) => (Failed, format!("builder {} went before it could be held", it.id)),
        None => (Failed, "the builder went before it could be held".to_owned()),
    }
}

fn adopted(intent: &Intent, instance: &str, made: &[Made]) -> (IntentState, String) {
    match made.first() {
        Some(it) if it.was_ready => (
            Done,
            format!("instance {instance} is builder {}, and got ready", it.id),
        ),
        Some(it) if is_going(it.state) => {
            let why = it.reason.as_deref().unwrap_or("nobody said why");
            (Failed, format!("instance {instance} never got ready: {why}"))
        }
        // It is not decided yet whether it becomes one, or it is on its way.
        Some(_) => (Running, intent.words.clone()),
        None if intent.builders.is_empty() => (Running, intent.words.clone()),
        None => (Failed, format!("the builder of instance {instance} is gone")),
    }
}

fn passed(pass: &Pass) -> (IntentState, String) {
    if !pass.is_whole || pass.is_moving {
        return (Running, "a pass has begun".to_owned());
    }
    if !pass.silent.is_empty() {
        let silent = pass.silent.join("; ");
        let words = match pass.has_acted {
            true => format!("{silent}; what was due otherwise was done"),
            false => silent,
        };
        return (Refused, words);
    }
    let (state, words) = match pass.has_acted {
        true => (Done, "every cloud was asked, and what was due was done"),
        false => (Nothing, "every cloud was asked, and nothing was due"),
    };
    (state, words.to_owned())
}
