//! What would come of what is asked for in the next round, as far as that is on record: no cloud is asked.

use std::collections::BTreeMap;

use model::{
    fleet::FleetSpec,
    intent::{self, Intent, IntentState, Request},
    step::sight,
};
use runtime::{Settings, clock};
use store::{FleetView, Orphan, Store};

use super::answer::Answer;
use crate::fleet::{plan::words_of, planned};

/// What would come of an intent that is not on record.
pub(super) async fn dry_run(
    settings: &Settings,
    store: &Store,
    fleet: &FleetSpec,
    intent: Intent,
) -> anyhow::Result<Answer> {
    let view = store.fleet_snapshot(fleet.fleet, clock::now()).await?;
    let (snapshot, plan) = planned(settings, store, fleet, &view)?;
    let known = words_of(&plan, &view);
    if intent.request == Request::Reconcile {
        let since = view.at.minus(sight::REAPED_WITHIN);
        let mut room = BTreeMap::new();
        for cloud in fleet.clouds.keys() {
            let ended = store.ends_since(fleet.fleet, cloud, since).await?;
            let per_hour = fleet.controller.reap_per_hour;
            room.insert(cloud.as_str(), sight::orphans_to_end(usize::MAX, ended, per_hour));
        }
        let due = [known, under_way(&view), ends(&view, room)].concat();
        return Ok(Answer::planned(&intent, of_a_pass(&due), due));
    }
    let decision = intent::take_up(&intent, &snapshot);
    let then = model::plan(&intent::as_decided(&snapshot, &intent, &decision));
    let unmet = then.unmet.iter().find(|it| it.intent == intent.key);
    let (state, words) = match unmet.filter(|it| !it.may_pass) {
        Some(unmet) => (IntentState::Refused, unmet.why.clone()),
        None => (decision.state, decision.words),
    };
    let new = beyond(known, words_of(&then, &view));
    Ok(Answer::planned(&intent, (state, words), new))
}

/// How a pass would end that does this.
fn of_a_pass(due: &[String]) -> (IntentState, String) {
    let (state, words) = match due {
        [] => (IntentState::Nothing, "nothing is due, as far as it is on record"),
        _ => (IntentState::Running, "this is due, as far as it is on record"),
    };
    (state, format!("{words}: a pass asks every cloud besides"))
}

/// The lines of a plan that are not in another; of equal ones as many as there are more.
fn beyond(mut known: Vec<String>, mut then: Vec<String>) -> Vec<String> {
    then.retain(|words| match known.iter().position(|it| it == words) {
        Some(index) => {
            known.swap_remove(index);
            false
        }
        None => true,
    });
    then
}

/// The builders with which a pass goes on, a line for each.
fn under_way(view: &FleetView) -> Vec<String> {
    let moving = view.builders.iter().filter(|it| it.state.is_on_its_way());
    let lines = moving.map(|it| format!("go on    with {}, which is {}", it.id, it.state));
    lines.collect()
}

/// The strays that a pass ends, a line for each. `room`: how many more of each cloud may be ended in this hour.
fn ends(view: &FleetView, mut room: BTreeMap<&str, usize>) -> Vec<String> {
    let mut is_ended = |stray: &&Orphan| {
        let Some(room) = room.get_mut(stray.cloud.as_str()) else {
            return false;
        };
        if stray.ignored.is_some() || !stray.is_due(view.at) {
            return false;
        }
        if stray.is_ending {
            return true;
        }
        let has_room = *room > 0;
        *room = room.saturating_sub(1);
        has_room
    };
    // As in a pass, those that a cloud refuses to end keep no others from it.
    let (refused, asked): (Vec<_>, Vec<_>) = view.strays.iter().partition(|it| it.refusal.is_some());
    let all = asked.into_iter().chain(refused);
    let ended = all.filter(|stray| is_ended(stray));
    let lines = ended.map(|stray| {
        let (instance, cloud) = (&stray.instance_id, &stray.cloud);
        format!("end      instance {instance} of cloud {cloud}: it has the fleet's tag and no builder")
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use model::{BuilderState, stray::Ignored};

    use super::{
        super::super::testing::{NOW, builder, view},
        *,
    };

    fn lines(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn of_equal_lines_as_many_are_new_as_there_are_more() {
        for (known, then, new) in [
            (&[][..], &["a", "a"][..], &["a", "a"][..]),
            (&["a"], &["a", "b", "a"], &["b", "a"]),
            (&["a", "b"], &["b"], &[]),
        ] {
            assert_eq!(
                beyond(lines(known), lines(then)),
                lines(new),
                "{known:?}, {then:?}"
            );
        }
    }

    #[test]
    fn a_pass_has_something_to_do_where_a_line_says_so() {
        assert_eq!(of_a_pass(&[]).0, IntentState::Nothing);
        assert_eq!(of_a_pass(&lines(&["a"])).0, IntentState::Running);
    }

    #[test]
    fn a_pass_goes_on_with_builders_that_start_or_end() {
        use BuilderState as S;
        let states = [
            S::Ready,
            S::Booting,
            S::Busy,
            S::Terminating,
            S::Cleaning,
            S::Held,
        ];
        let all = (1..)
            .zip(states)
            .map(|(number, state)| builder(number, "x86", state));
        let found = under_way(&view(all.collect(), vec![]));
        let told: Vec<_> = found.iter().filter_map(|it| it.rsplit(' ').next()).collect();
        assert_eq!(told, ["booting", "terminating", "cleaning"]);
    }

    #[test]
    fn a_pass_ends_strays_that_were_watched_for_long_enough_as_many_as_it_may() {
        let stray = |id: &str, minutes: u64| Orphan {
            cloud: "c".to_owned(),
            instance_id: id.to_owned(),
            state: "running".to_owned(),
            first_at: NOW.minus(Duration::from_secs(60 * minutes)),
            last_at: NOW,
            times_seen: 9,
            refusal: None,
            pool: None,
            is_ending: false,
            ignored: None,
        };
        let mut view = view(vec![], vec![]);
        view.strays = vec![
            Orphan {
                refusal: Some("it is protected".to_owned()),
                ..stray("i-refused", 9)
            },
            stray("i-new", 1),
            Orphan {
                ignored: Some(Ignored {
                    by: "root".to_owned(),
                    why: "evidence".to_owned(),
                }),
                ..stray("i-ignored", 9)
            },
            Orphan {
                is_ending: true,
                ..stray("i-ending", 9)
            },
            stray("i-due", 9),
            Orphan {
                cloud: "gone".to_owned(),
                ..stray("i-gone", 9)
            },
        ];
        for (room, expected) in [
            (2, &["i-ending", "i-due", "i-refused"][..]),
            (1, &["i-ending", "i-due"]),
            (0, &["i-ending"]),
        ] {
            let found = ends(&view, BTreeMap::from([("c", room)]));
            let ids: Vec<_> = found
                .iter()
                .filter_map(|it| it.split_whitespace().nth(2))
                .collect();
            assert_eq!(ids, expected, "{room}");
        }
    }
}
