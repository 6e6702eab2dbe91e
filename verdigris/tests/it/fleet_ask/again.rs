//! Commands that are given more than once in one minute.

use std::{collections::BTreeSet, process::Child, time::Duration};

use model::intent::{Decision, IntentState};
use runtime::clock;
use serde_json::Value;

use super::{Nobody, answer, machine};

/// Of how many intents these are the answers, and of how many it is the first.
fn intents(answers: &[Value]) -> (usize, usize) {
    let keys: BTreeSet<_> = answers.iter().map(|said| said["key"].as_str().unwrap()).collect();
    let firsts = answers.iter().filter(|said| said["is_first"] == true);
    (keys.len(), firsts.count())
}

#[tokio::test(flavor = "multi_thread")]
async fn many_passes_that_are_asked_for_at_once_are_one_and_one_that_has_begun_answers_no_other() {
    let farm = Nobody::new();
    let store = farm.store().await;
    let lease = farm.lead(&store).await;
    let line = "reconcile --timeout 1s";
    let mut first = Vec::new();
    for state in [IntentState::Running, IntentState::Nothing, IntentState::Done] {
        let many: Vec<Child> = (0..8).map(|_| farm.begin(line)).collect();
        let answers = many.into_iter().map(|child| answer(child, line).1);
        let answers: Vec<_> = answers.collect();
        // A minute may begin among them.
        let (keys, firsts) = intents(&answers);
        assert!(keys == firsts && keys <= 2, "{answers:?}");
        first.push(answers[0].clone());
        let open = store.fleet_snapshot(lease.fleet, clock::now()).await.unwrap();
        for intent in open.intents.iter().filter(|it| it.state == IntentState::New) {
            let decision = Decision::of(state, "it goes on");
            let settled = store.settle_intent(&lease, intent, &decision, clock::now());
            settled.await.unwrap();
        }
    }
    assert_eq!(intents(&first).0, 3, "{first:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ended_in_this_minute_answers_until_something_else_is_asked_of_the_same_and_says_when_it_was_asked()
 {
    let farm = Nobody::new();
    let store = farm.store().await;
    let lease = farm.lead(&store).await;
    machine(&store, &lease).await;
    let ask = async |line: &str| {
        let (code, said, told) = farm.ask(&format!("{line} --timeout 1s"));
        let key = said["key"].as_str().unwrap();
        let intent = store.intent(lease.fleet, key).await.unwrap().unwrap();
        if intent.state == IntentState::New {
            let done = Decision::of(IntentState::Done, "it is so");
            let settled = store.settle_intent(&lease, &intent, &done, clock::now());
            settled.await.unwrap();
        }
        (code, said, told)
    };
    // In one minute.
    let second = clock::now().as_micros() / 1_000_000 % 60;
    if second > 45 {
        std::thread::sleep(Duration::from_secs(60 - second.unsigned_abs()));
    }
    for line in [
        "uncordon i-7",
        "cordon i-7 --reason disk",
        "uncordon i-7",
        "cordon i-7 --reason disk",
    ] {
        let (code, said, told) = ask(line).await;
        assert_eq!((code, &said["is_first"]), (2, &true.into()), "{line}: {said}");
        assert_eq!(told, "", "{line}");
    }
    let (code, said, told) = ask("cordon i-7 --reason disk").await;
    assert_eq!((code, &said["is_first"]), (0, &false.into()), "{said}");
    let message = said["message"].as_str().unwrap();
    assert!(
        message.starts_with("it is so; it was asked for at ")
            && message.ends_with(" already, and nothing was done now: `--key` asks anew"),
        "{message}"
    );
    assert!(told.contains(message), "people hear of it: {told}");
}

#[test]
fn a_command_that_has_no_time_to_lead_where_nobody_leads_ends_with_6() {
    let farm = Nobody::new();
    let (code, said, told) = farm.ask("spawn local --timeout 0s");
    assert_eq!((code, &said["state"]), (6, &"new".into()), "{said}");
    assert!(told.contains("no controller has taken it up"), "{told}");
}
