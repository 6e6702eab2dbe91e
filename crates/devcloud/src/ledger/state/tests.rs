//! What a ledger may hold, what it forgets, and the words of EC2 for the states of instances.

use time::{Duration, OffsetDateTime, macros::datetime};

use super::*;
use crate::api::samples;

const NOW: OffsetDateTime = datetime!(2026-11-29 12:00 UTC);

fn state(instances: &[Instance]) -> State {
    let mut state = State::new().unwrap();
    for instance in instances {
        state
            .instances
            .insert(instance.id.clone(), Arc::new(instance.clone()));
    }
    state
}

/// One with an address of its own.
fn instance(number: u8) -> Instance {
    let mut instance = samples::instance(&format!("i-{number:017x}"));
    instance.private_address = Ipv4Addr::new(10, 88, 1, number);
    instance.root_volume_id = format!("vol-{number:017x}");
    instance
}

fn terminated(number: u8, ago: Duration) -> Instance {
    let mut instance = instance(number);
    instance.enter(InstanceState::Terminated, None);
    instance.terminated_at = Some(NOW - ago);
    instance
}

#[test]
fn states_have_ec2s_names_and_codes() {
    for (state, name, code) in [
        (InstanceState::Pending, "pending", 0),
        (InstanceState::Running, "running", 16),
        (InstanceState::ShuttingDown, "shutting-down", 32),
        (InstanceState::Terminated, "terminated", 48),
        (InstanceState::Stopping, "stopping", 64),
        (InstanceState::Stopped, "stopped", 80),
    ] {
        assert_eq!((state.name(), state.code()), (name, code));
        // The file has the same word, so that a reader of it learns only one.
        assert_eq!(serde_json::to_string(&state).unwrap(), format!("{name:?}"));
    }
    assert_eq!(ShutdownBehavior::Stop.name(), "stop");
    assert_eq!(ShutdownBehavior::Terminate.name(), "terminate");
}

#[test]
fn a_new_cloud_has_an_account_of_twelve_digits_and_the_default_group() {
    let state = State::new().unwrap();
    assert!(state.owner_id.len() == 12 && state.owner_id.bytes().all(|byte| byte.is_ascii_digit()));
    let groups: Vec<&str> = state
        .security_groups
        .values()
        .map(|group| group.name.as_str())
        .collect();
    assert_eq!(groups, ["default"]);
    assert_eq!(state.check(), Ok(()));
}

#[test]
fn a_state_that_contradicts_itself_is_refused_with_the_place() {
    let good = state(&[instance(1), instance(2), terminated(3, Duration::ZERO)]);
    assert_eq!(good.check(), Ok(()));

    let mut future = good.clone();
    future.version = 2;
    assert_eq!(
        future.check(),
        Err("its version is 2, this program reads 1".to_owned())
    );

    let mut renamed = good.clone();
    renamed
        .instances
        .insert("i-other".to_owned(), Arc::new(instance(9)));
    let reason = renamed.check().unwrap_err();
    assert_eq!(reason, "instances.i-other is named i-00000000000000009 inside");

    let mut twice = good.clone();
    twice.instance_mut("i-00000000000000002").unwrap().private_address = instance(1).private_address;
    let reason = twice.check().unwrap_err();
    assert!(reason.ends_with("have the same address 10.88.1.1"), "{reason}");

    // A terminated instance has given its address back.
    let mut reused = good;
    reused
        .instance_mut("i-00000000000000003")
        .unwrap()
        .private_address = instance(1).private_address;
    assert_eq!(reused.check(), Ok(()));
}

#[test]
fn what_is_written_is_read_and_what_is_not_known_is_refused() {
    let mut kept = state(&[instance(1)]);
    kept.instance_mut("i-00000000000000001")
        .unwrap()
        .note("fault", "freeze");
    let text = serde_json::to_string(&kept).unwrap();
    assert_eq!(serde_json::from_str::<State>(&text).unwrap(), kept);
    for (old, new) in [
        ("\"sequence\":0", "\"sequence\":0,\"colour\":1"),
        ("\"spot\":false", "\"spot\":false,\"price\":1"),
        ("\"state\":\"pending\"", "\"state\":\"resting\""),
        ("\"sequence\":0,", ""),
    ] {
        assert!(text.contains(old), "{old}");
        assert!(
            serde_json::from_str::<State>(&text.replace(old, new)).is_err(),
            "{new}"
        );
    }
    // A ledger of the time before this protection.
    let older = text.replace("\"stop_protected\":false,", "");
    assert_ne!(older, text);
    assert_eq!(serde_json::from_str::<State>(&older).unwrap(), kept);
}

#[test]
fn an_instance_keeps_its_reason_and_its_moments_as_it_moves() {
    let mut moved = instance(1);
    moved.reboot_requested = true;
    moved.enter(InstanceState::Running, None);
    assert!(moved.reboot_requested, "a running one is still to be rebooted");
    let reason = StateReason::new("Client.UserInitiatedShutdown", "User initiated shutdown");
    moved.enter(InstanceState::ShuttingDown, Some(reason.clone()));
    assert_eq!((moved.reboot_requested, moved.terminated_at), (false, None));
    assert_eq!(moved.state_reason, Some(reason));
    moved.enter(InstanceState::Terminated, None);
    assert!(moved.terminated_at.is_some());
    let events: Vec<_> = moved
        .history
        .iter()
        .map(|entry| (entry.event.as_str(), entry.detail.as_str()))
        .collect();
    assert_eq!(
        events,
        [
            ("running", ""),
            (
                "shutting-down",
                "Client.UserInitiatedShutdown: User initiated shutdown"
            ),
            ("terminated", "")
        ]
    );
}

#[test]
fn the_history_keeps_its_newest_five_hundred_steps() {
    let mut busy = instance(1);
    for step in 0..520 {
        busy.note("fault", step.to_string());
    }
    assert_eq!(busy.history.len(), 500);
    assert_eq!(busy.history.first().unwrap().detail, "20");
    assert_eq!(busy.history.last().unwrap().detail, "519");
}

#[test]
fn a_terminated_instance_is_forgotten_after_its_time_and_nothing_else_is() {
    let retention = std::time::Duration::from_secs(3600);
    for (ago, forgotten) in [
        (0, false),
        (3600, false),
        (3601, true),
        (100_000, true),
        (-5, false),
    ] {
        let one = terminated(1, Duration::seconds(ago));
        assert_eq!(one.is_forgotten(NOW, retention), forgotten, "{ago} s");
    }
    let mut kept = state(&[
        instance(1),
        terminated(2, Duration::minutes(59)),
        terminated(3, Duration::minutes(61)),
    ]);
    kept.forget(NOW, retention);
    let left: Vec<&str> = kept.instances.keys().map(String::as_str).collect();
    assert_eq!(left, ["i-00000000000000001", "i-00000000000000002"]);
}

#[test]
fn tags_go_with_what_they_are_on() {
    let mut kept = state(&[instance(1), terminated(2, Duration::days(1))]);
    let tags = BTreeMap::from([("role".to_owned(), "builder".to_owned())]);
    let digits = ["00000000000000001", "00000000000000002"];
    for id in digits
        .map(|digits| {
            [
                format!("i-{digits}"),
                format!("eni-{digits}"),
                format!("vol-{digits}"),
            ]
        })
        .concat()
    {
        kept.tags.insert(id, tags.clone());
    }
    for id in [
        "sg-00000000000000002",
        "key-00000000000000002",
        "ami-00000000000000002",
        "vpc-1",
    ] {
        kept.tags.insert(id.to_owned(), tags.clone());
    }
    kept.forget(NOW, std::time::Duration::from_secs(3600));
    let left: Vec<&str> = kept.tags.keys().map(String::as_str).collect();
    assert_eq!(
        left,
        [
            "ami-00000000000000002",
            "eni-00000000000000001",
            "i-00000000000000001",
            "key-00000000000000002",
            "sg-00000000000000002",
            "vol-00000000000000001",
            "vpc-1"
        ]
    );
}

#[test]
fn a_launch_token_is_kept_for_two_days_and_as_long_as_an_instance_bears_it() {
    let mut kept = state(&[instance(1), terminated(2, Duration::days(3))]);
    let token = |number: u8, age: Duration| LaunchToken {
        parameters: String::new(),
        instances: vec![instance(number).id],
        time: NOW - age,
    };
    for (name, number, age) in [
        ("old, and its instance is there", 1, Duration::days(3)),
        ("old, and its instance is forgotten", 2, Duration::days(3)),
        ("young, and its instance is forgotten", 2, Duration::hours(47)),
        ("of just two days", 2, Duration::days(2)),
    ] {
        kept.tokens.insert(name.to_owned(), token(number, age));
    }
    kept.forget(NOW, std::time::Duration::from_secs(3600));
    let left: Vec<&str> = kept.tokens.keys().map(String::as_str).collect();
    assert_eq!(
        left,
        [
            "old, and its instance is there",
            "young, and its instance is forgotten"
        ]
    );
}

#[test]
fn tags_are_edited_when_it_is_time_and_one_that_is_not_there_is_no_matter() {
    let mut kept = state(&[instance(1)]);
    let id = instance(1).id;
    let before: BTreeMap<String, String> = [("a", "1"), ("b", "2")]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .into();
    kept.tags.insert(id.clone(), before);
    let edit = |hours: i64, set: &[(&str, &str)], remove: &[&str]| TagEdit {
        at: NOW + Duration::hours(hours),
        set: set
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect(),
        remove: remove.iter().map(|key| (*key).to_owned()).collect(),
    };
    kept.instance_mut(&id).unwrap().faults.tag_edits = vec![
        edit(2, &[], &["a", "c"]),
        edit(0, &[("a", "3"), ("c", "4")], &["b", "z"]),
    ];
    kept.edit_tags("i-00000000", NOW);
    kept.edit_tags(&id, NOW);
    let shown: Vec<String> = kept.tags[&id]
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    assert_eq!(shown, ["a=3", "c=4"]);
    assert_eq!(
        kept.instances[&id].faults.tag_edits.len(),
        1,
        "the other has its time"
    );
    kept.edit_tags(&id, NOW + Duration::hours(2));
    assert!(!kept.tags.contains_key(&id), "nobody keeps an empty list");
}

#[test]
fn what_is_buried_is_in_no_list_and_forgotten_with_the_next() {
    let mut kept = state(&[terminated(1, Duration::ZERO), terminated(2, Duration::ZERO)]);
    let id = instance(1).id;
    kept.instance_mut(&id).unwrap().bury();
    let hidden: Vec<bool> = kept.instances.values().map(|one| one.is_hidden(NOW)).collect();
    assert_eq!(hidden, [true, false]);
    kept.forget(NOW, std::time::Duration::from_secs(3600));
    assert_eq!(kept.instances.keys().collect::<Vec<_>>(), [&instance(2).id]);
}
