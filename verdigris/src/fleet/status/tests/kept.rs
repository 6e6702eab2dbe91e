//! What a cloud that is gone from the file waits for.

use model::{
    mark::{Mark, MarkKind},
    plan::Action,
};
use store::{Builder, Orphan};

use super::{
    super::super::testing::{self, NOW},
    *,
};

/// A builder of cloud `old`, with a mark.
fn of_old(number: u32, pool: &str, state: BuilderState, mark: Option<MarkKind>) -> Builder {
    let mark = mark.map(|kind| Mark {
        kind,
        by: "alice".to_owned(),
        why: "a bad disk".to_owned(),
        until: (kind == MarkKind::Held).then_some(NOW),
        lasts: None,
    });
    Builder {
        cloud: "old".to_owned(),
        cordoned: mark.is_some(),
        mark,
        ..builder(number, pool, state)
    }
}

/// The fleet whose file has no cloud `old` any more, with these builders and what is told of pools.
fn kept(builders: Vec<Builder>, notes: &[(&str, &str)]) -> Status {
    let mut status = shown(notes);
    status.view = view(builders, vec![]);
    status.kept = vec!["old".to_owned()];
    status
}

fn waits(status: &Status) -> serde_json::Value {
    status.as_json()["kept_clouds"].clone()
}

#[test]
fn of_each_machine_that_a_kept_cloud_waits_for_it_is_told_why_it_is_there() {
    use BuilderState as S;
    let paused = "pool x86 is paused in the fleet file (`pools.x86.paused`)";
    let in_turn =
        "1 of 1 builders are made otherwise than new ones and are replaced in turn (`drift.budget`: 0)";
    let held = "held for alice until 2026-11-29T12:00:00Z: a bad disk";
    for (pool, state, mark, note, expected) in [
        (
            "gone",
            S::Terminating,
            None,
            "",
            "terminating: it is terminating for a reason".to_owned(),
        ),
        ("gone", S::Held, Some(MarkKind::Held), "", held.to_owned()),
        ("gone", S::Ready, Some(MarkKind::Held), "", held.to_owned()),
        ("x86", S::Ready, None, paused, format!("ready: {paused}")),
        ("x86", S::Ready, None, in_turn, format!("ready: {in_turn}")),
        // Nobody keeps it for that.
        (
            "x86",
            S::Ready,
            Some(MarkKind::Cordoned),
            in_turn,
            format!("ready, cordoned: {in_turn}"),
        ),
        (
            "x86",
            S::Draining,
            None,
            paused,
            "draining: it is draining for a reason".to_owned(),
        ),
        (
            "x86",
            S::Resolving,
            Some(MarkKind::Retired),
            paused,
            "resolving, retired: retired by alice: a bad disk".to_owned(),
        ),
    ] {
        let notes = [("x86", note)];
        let status = kept(vec![of_old(1, pool, state, mark)], &notes);
        let id = testing::id(1);
        let expected_json = json!([{
            "cloud": "old", "waits_for": [{"builder": id, "instance_id": "i-1", "why": expected}],
        }]);
        assert_eq!(waits(&status), expected_json);
        let line = format!(
            "\ncloud old is no longer in fleet.yaml; kept until 1 machine has ended: {id} ({expected})\n"
        );
        assert!(status.as_text().contains(&line), "{line}\n{}", status.as_text());
    }
}

#[test]
fn what_the_next_round_does_with_it_is_told_first() {
    let mut status = kept(
        vec![of_old(1, "x86", BuilderState::Ready, None)],
        &[("x86", "as it is")],
    );
    let drain = Action::Drain {
        builder: testing::id(1),
        reason: "pool x86 is no longer in fleet.yaml".to_owned(),
    };
    status.plan.as_mut().unwrap().actions.push(drain);
    let why = &waits(&status)[0]["waits_for"][0]["why"];
    assert_eq!(why, "ready: pool x86 is no longer in fleet.yaml");
}

#[test]
fn machines_of_other_clouds_fixed_hosts_and_what_is_left_alone_are_not_waited_for_and_of_many_three_are_told()
{
    use BuilderState as S;
    let stray = |id: &str, cloud: &str, is_ignored: bool| Orphan {
        cloud: cloud.to_owned(),
        instance_id: id.to_owned(),
        is_ending: true,
        ignored: is_ignored.then(|| model::stray::Ignored {
            by: "alice".to_owned(),
            why: String::new(),
        }),
        ..testing::stray()
    };
    let host = Builder {
        host: Some("rack-1".to_owned()),
        ..of_old(7, "gone", S::Ready, None)
    };
    let mut status = kept(vec![builder(8, "x86", S::Ready), host], &[]);
    status.orphans = vec![stray("i-8", "c", false), stray("i-7", "old", true)];
    assert_eq!(waits(&status), json!([{"cloud": "old", "waits_for": []}]));
    let nothing = "\ncloud old is no longer in fleet.yaml; nothing is left there, and it is let go next\n";
    assert!(status.as_text().contains(nothing), "{}", status.as_text());

    status.orphans.push(stray("i-9", "old", false));
    let told = "kept until 1 machine has ended: i-9 (no builder has it; it is being ended)\n";
    assert!(status.as_text().contains(told), "{}", status.as_text());

    let many = (1..=4).map(|number| of_old(number, "gone", S::Terminating, None));
    status.view = view(many.collect(), vec![]);
    let text = status.as_text();
    let line = text.lines().find(|line| line.starts_with("cloud old")).unwrap();
    assert!(line.contains("kept until 5 machines have ended: "), "{line}");
    assert!(line.ends_with("a reason), and 2 more"), "{line}");
    assert!(line.contains(&testing::id(3).to_string()) && !line.contains(&testing::id(4).to_string()));
    assert_eq!(waits(&status)[0]["waits_for"].as_array().unwrap().len(), 5);
}
