//! Commands that are given more than once in one minute.

use std::time::Duration;

use model::intent::{Decision, IntentState};
use runtime::clock;

use super::{Nobody, machine};

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
