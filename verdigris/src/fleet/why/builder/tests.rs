use std::time::Duration;

use model::{BuilderId, LaunchAnswer, LaunchId, Timestamp, fleet::HookPoint};
use store::HookState;

use super::{
    super::super::testing::{NOW, builder, fleet, name, snapshot, view},
    Attempt, Builder, BuilderState, BuilderStory, Console, Event, HookRun, Lacks, LaunchAttempt, Mark,
    MarkKind, Planned, until,
};

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn event(seconds_ago: u64, kind: &str, states: (Option<&str>, &str), why: &str) -> Event {
    Event {
        id: 1,
        at: NOW.minus(seconds(seconds_ago)),
        actor: "controller".to_owned(),
        subject_kind: kind.to_owned(),
        subject_id: "7".to_owned(),
        old_state: states.0.map(str::to_owned),
        new_state: Some(states.1.to_owned()),
        reason: why.to_owned(),
        detail: None,
        build: None,
        builder: Some(BuilderId(uuid::Uuid::nil())),
    }
}

fn launched(state: BuilderState) -> Builder {
    Builder {
        launches: 3,
        refusals: 1,
        postponements: 1,
        launch: Some(LaunchAttempt {
            id: LaunchId(uuid::Uuid::nil()),
            offering: "c7i.xlarge@eu-central-1a".parse().unwrap(),
            params_hash: String::new(),
            asked_at: NOW.minus(seconds(3700)),
            answered_at: None,
            answer: Some(LaunchAnswer::Given),
            outcome: Some("instance i-1".to_owned()),
        }),
        ..builder(1, "x86", state)
    }
}

fn story(builder: &Builder, events: Vec<Event>, runs: Option<&Attempt>) -> BuilderStory {
    let fleet = fleet(&[("x86", "arch:x86_64", [0, 2, 0], 0)]);
    BuilderStory::new(builder, events, runs, &fleet, NOW)
}

#[test]
fn all_is_told_that_an_operator_asks_about_a_builder() {
    let mut it = launched(BuilderState::Booting);
    it.deadline = Some(NOW.plus(seconds(210)));
    it.cordoned = true;
    let events = vec![
        event(
            3700,
            "builder",
            (None, "planned"),
            "build 12 waits for fedora-43-x86_64",
        ),
        event(90, "builder", (Some("pending"), "booting"), "its machine runs"),
        event(80, "attempt", (Some("waiting"), "assigned"), "pool x86 has room"),
    ];
    let expected = "\
bdr_00000000000000000000000000000001 of pool x86 is booting, cordoned

  since     2026-11-29T11:58:30Z, 1 min 30 s ago
  why       it is booting for a reason
  until     2026-11-29T12:03:30Z, in 3 min 30 s: if it is still booting then, it becomes terminating
  machine   i-1 at 10.0.0.1, image ami-1, cloud c
  launches  3, 1 refused, 1 put off; the last for c7i.xlarge@eu-central-1a: instance i-1
  cost      1 h 1 min of a machine so far; the fleet file has no price for it

WHEN                  WHAT       FROM     TO        BY          WHY
2026-11-29T10:58:20Z  builder    -        planned   controller  build 12 waits for fedora-43-x86_64
2026-11-29T11:58:30Z  builder    pending  booting   controller  its machine runs
2026-11-29T11:58:40Z  attempt 7  waiting  assigned  controller  pool x86 has room
";
    let found = story(&it, events, None);
    assert_eq!(found.as_text(), expected);
    let json = serde_json::to_value(&found).unwrap();
    assert_eq!(
        (&json["machine_seconds"], &json["seconds"]),
        (&3700.into(), &90.into())
    );
    assert_eq!(json["deadline"], "2026-11-29T12:03:30Z");
    assert_eq!(json["history"][1]["from"], "pending");
    assert_eq!((json["runs"].is_null(), json.get("now")), (true, None));
}

#[test]
fn the_hook_that_failed_last_is_told_with_its_command_and_its_end() {
    let run = |command: &str, failed_before: Option<u64>| HookRun {
        id: uuid::Uuid::nil(),
        builder: BuilderId(uuid::Uuid::nil()),
        point: HookPoint::AfterReady,
        place: 0,
        spec: serde_json::from_value(serde_json::json!({"cmd": [command, "-v"]})).unwrap(),
        state: HookState::Failed,
        attempt: 1,
        due_at: NOW,
        started_at: Some(NOW),
        ended_at: Some(NOW),
        failed_at: failed_before.map(|ago| NOW.minus(seconds(ago))),
        outcome: Some("exit code 1".to_owned()),
        tail: None,
    };
    let runs = [run("/a", Some(2)), run("/b", Some(1)), run("/c", None)];
    let told = story(&launched(BuilderState::Ready), vec![], None).with_hooks(&runs);
    let line = "\n  failed    hook after_ready failed: /b -v: exit code 1\n";
    assert!(told.as_text().contains(line), "{}", told.as_text());
    let json = serde_json::to_value(&told).unwrap();
    assert_eq!(json["hooks"].as_array().unwrap().len(), 3);
    assert_eq!(json["hooks"][0]["command"], serde_json::json!(["/a", "-v"]));
    let told = story(&launched(BuilderState::Ready), vec![], None).with_hooks(&runs[2..]);
    assert!(!told.as_text().contains("failed"), "{}", told.as_text());
}

#[test]
fn the_last_lines_of_a_console_are_told_and_all_that_is_kept_of_it_in_json() {
    let told = |text: &str| {
        let console = Console {
            at: NOW.minus(seconds(90)),
            text: text.to_owned(),
        };
        story(&launched(BuilderState::Terminated), vec![], None).with_console(Some(console))
    };
    let many: Vec<String> = (1..=30).map(|number| format!("line {number}")).collect();
    let many = many.join("\n");
    let found = told(&many);
    let text = found.as_text();
    let (_, console) = text
        .split_once("\nIts console ended with, 2026-11-29T11:58:30Z, 1 min 30 s ago:\n\n")
        .unwrap();
    assert_eq!(console.lines().count(), 20, "{console}");
    assert!(
        console.starts_with("  line 11\n") && console.ends_with("  line 30\n"),
        "{console}"
    );
    let json = serde_json::to_value(&found).unwrap();
    assert_eq!(json["console"]["text"], many);
    assert_eq!(json["console"]["read_at"], "2026-11-29T11:58:30Z");
    assert_eq!(json.get("read"), None);
    let empty = told("").as_text();
    assert!(
        empty.ends_with("\nIts console was empty, 2026-11-29T11:58:30Z, 1 min 30 s ago.\n"),
        "{empty}"
    );
    let none = story(&launched(BuilderState::Ready), vec![], None);
    assert!(!none.as_text().contains("console"));
    assert_eq!(
        serde_json::to_value(&none).unwrap()["console"],
        serde_json::Value::Null
    );
}

/// A builder as a plan sees it that was made with other programs than builders are made with by now.
fn made_otherwise(builder: &Builder, lacks: Lacks) -> Planned {
    let fleet = fleet(&[("x86", "arch:x86_64", [0, 2, 0], 0)]);
    let view = view(vec![builder.clone()], vec![]);
    let planned = snapshot(&fleet, &view, &["x86"]).builders.first().cloned();
    Planned {
        lacks,
        ..planned.unwrap()
    }
}

#[test]
fn how_it_differs_from_new_builders_is_told_and_that_it_is_drained_where_no_build_comes_for_it() {
    let ready = launched(BuilderState::Ready);
    let plain = story(&ready, vec![], None);
    assert!(!plain.as_text().contains("outdated"));
    let fit = made_otherwise(&ready, Lacks::Nothing);
    let found = story(&ready, vec![], None).with_outdated(Some(&fit));
    let text = found.as_text();
    let words = "\n  outdated  builders of pool x86 are made with other programs by now: it takes builds until its turn comes to leave\n";
    assert!(text.contains(words), "{text}");
    assert_eq!(found.until, plain.until);
    let turn = "its turn comes to be drained, as `drift` of its pool says";
    let unfit = made_otherwise(&ready, Lacks::Everything);
    let found = story(&ready, vec![], None).with_outdated(Some(&unfit));
    let words = format!("{turn}: it is fit for no build by now, so none comes for it");
    assert_eq!(found.until, words);
    let cordoned = marked(None);
    let unfit = made_otherwise(&cordoned, Lacks::Everything);
    let found = story(&cordoned, vec![], None).with_outdated(Some(&unfit));
    assert_eq!(
        found.until,
        format!("{}; or {turn}", story(&cordoned, vec![], None).until)
    );
    let retired = marked(Some((MarkKind::Retired, None)));
    let unfit = made_otherwise(&retired, Lacks::Everything);
    let found = story(&retired, vec![], None).with_outdated(Some(&unfit));
    assert_eq!(found.until, "the next round, which drains it");
    let booting = launched(BuilderState::Booting);
    let unfit = made_otherwise(&booting, Lacks::Everything);
    let found = story(&booting, vec![], None).with_outdated(Some(&unfit));
    assert_eq!(found.until, "it is moved on; no deadline is set");
}

/// A ready builder out of use, with that mark until then.
fn marked(mark: Option<(MarkKind, Option<Timestamp>)>) -> Builder {
    Builder {
        cordoned: true,
        mark: mark.map(|(kind, until)| Mark {
            kind,
            by: "operator".to_owned(),
            why: "disk".to_owned(),
            until,
            lasts: None,
        }),
        ..launched(BuilderState::Ready)
    }
}

#[test]
fn what_ends_that_a_ready_builder_is_out_of_use_is_what_was_said_of_it_and_no_idleness() {
    let id = "bdr_00000000000000000000000000000001";
    let by_hand = format!(
        "`uncordon {id}` or `terminate {id}`: it is cordoned, so no build comes for it, and it does not go for being idle"
    );
    let soon = NOW.plus(seconds(210));
    for (mark, pool, expected) in [
        (None, "x86", by_hand.clone()),
        (Some((MarkKind::Cordoned, None)), "x86", by_hand.clone()),
        (
            Some((MarkKind::Cordoned, Some(soon))),
            "x86",
            format!("2026-11-29T12:03:30Z, when its cordon ends, or {by_hand}"),
        ),
        (
            Some((MarkKind::Held, None)),
            "x86",
            "the next round, which holds it".to_owned(),
        ),
        (
            Some((MarkKind::Held, None)),
            "gone",
            "the next round, which holds it".to_owned(),
        ),
        (
            Some((MarkKind::Retired, None)),
            "x86",
            "the next round, which drains it".to_owned(),
        ),
        (
            Some((MarkKind::TakenBack, None)),
            "x86",
            "the next round, which drains it".to_owned(),
        ),
        (
            Some((MarkKind::Cordoned, Some(soon))),
            "gone",
            "the next round, which drains it: its pool is no longer in the fleet file".to_owned(),
        ),
    ] {
        let it = Builder {
            pool: name(pool),
            ..marked(mark)
        };
        assert_eq!(story(&it, vec![], None).until, expected, "{mark:?} {pool}");
    }
}

#[test]
fn a_builder_of_which_little_is_known_is_told_as_far_as_it_is() {
    let mut it = builder(2, "gone", BuilderState::Planned);
    it.instance_id = None;
    it.reason = None;
    it.launches = 0;
    let expected = "\
bdr_00000000000000000000000000000002 of pool gone is planned

  since     2026-11-29T11:58:30Z, 1 min 30 s ago
  why       nobody said why
  until     it is moved on; no deadline is set
  machine   none yet, of cloud c
  launches  0
  cost      nothing: no machine was given for it

Nothing of its history is kept.
";
    assert_eq!(story(&it, vec![], None).as_text(), expected);
}

#[test]
fn a_machine_costs_until_its_builder_has_ended() {
    for (state, expected) in [
        (BuilderState::Ready, Some(3700)),
        (BuilderState::Terminating, Some(3700)),
        (BuilderState::Terminated, Some(3610)),
    ] {
        assert_eq!(
            story(&launched(state), vec![], None).machine_seconds,
            expected,
            "{state}"
        );
    }
    // One that was adopted, from then on.
    assert_eq!(
        story(&builder(1, "x86", BuilderState::Ready), vec![], None).machine_seconds,
        Some(90)
    );
    let mut none = launched(BuilderState::Launching);
    none.instance_id = None;
    assert_eq!(story(&none, vec![], None).machine_seconds, None);
}

#[test]
fn a_machine_costs_by_the_hour_what_the_file_says_and_a_fixed_host_nothing() {
    let mut fleet = fleet(&[("x86", "arch:x86_64", [0, 2, 0], 0)]);
    let name = fleet.clouds.keys().next().unwrap().clone();
    let prices = serde_json::json!({"c7i.xlarge": {"on-demand": 0.18}});
    fleet.clouds.get_mut(&name).unwrap().prices = serde_json::from_value(prices).unwrap();
    let mut it = launched(BuilderState::Ready);
    it.cloud = name;
    let told = BuilderStory::new(&it, vec![], None, &fleet, NOW);
    let line = "  cost      0.185 so far: 1 h 1 min of a machine, 0.18 an hour\n";
    assert!(told.as_text().contains(line), "{}", told.as_text());
    let json = serde_json::to_value(&told).unwrap();
    assert_eq!((&json["price"], &json["cost"]), (&"0.18".into(), &"0.185".into()));

    it.cloud = "hosts".to_owned();
    it.instance_id = Some("rack-1".to_owned());
    it.host = Some("rack-1".to_owned());
    let told = BuilderStory::new(&it, vec![], None, &fleet, NOW).as_text();
    for line in [
        "  machine   rack-1 at 10.0.0.1, a fixed host\n",
        "  cost      0 so far: 1 h 1 min of a machine, 0 an hour\n",
    ] {
        assert!(told.contains(line), "{told}");
    }
}

#[test]
fn what_ends_a_state_is_its_deadline_or_is_told_in_words() {
    use BuilderState as State;
    let (soon, late) = (Some(NOW.plus(seconds(30))), Some(NOW.minus(seconds(5))));
    let fleet = fleet(&[("x86", "arch:x86_64", [0, 2, 0], 0)]);
    for (pool, state, deadline, expected) in [
        (
            "x86",
            State::Busy,
            soon,
            "2026-11-29T12:00:30Z, in 30 s, unless its worker gives a sign of life: then it becomes draining",
        ),
        (
            "x86",
            State::Launching,
            late,
            "2026-11-29T11:59:55Z, 5 s ago: the next round makes it resolving",
        ),
        (
            "x86",
            State::Ready,
            None,
            "an attempt comes for it, or it was not needed for 10m",
        ),
        // A deadline that nobody heeds is none.
        (
            "x86",
            State::Ready,
            soon,
            "an attempt comes for it, or it was not needed for 10m",
        ),
        (
            "gone",
            State::Ready,
            None,
            "the next round, which drains it: its pool is no longer in the fleet file",
        ),
        (
            "x86",
            State::Resolving,
            None,
            "the cloud says what became of its launch; no deadline ends that",
        ),
        (
            "x86",
            State::Terminating,
            None,
            "the cloud says that its machine is gone; no deadline ends that",
        ),
        ("x86", State::Abandoned, None, "for ever: it has ended"),
        ("x86", State::Held, None, "it is moved on; no deadline is set"),
    ] {
        let it = Builder {
            deadline,
            ..builder(1, pool, state)
        };
        assert_eq!(until(&it, &fleet, NOW), expected, "{state}");
    }
}
