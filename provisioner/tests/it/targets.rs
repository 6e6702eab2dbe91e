//! Our own runner on machines that it connects to itself.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use provisioner::{Error, Mode, Outcome, PlaybookRunner, Request};
use serde_json::Map;
use shell::ClientKey;

use crate::throwaway::{LONG, Throwaway, load_text, play_of};

const TASKS: &str = "- name: One\n  copy: { content: x, dest: /srv/x }\n- name: Two\n  debug: { msg: y }\n- name: Three\n  fail: { msg: z }";

fn request<'a>(vars: &'a Map<String, serde_json::Value>, mode: Mode) -> Request<'a> {
    Request {
        playbook: "p.yml",
        vars,
        mode,
        limit: LONG,
        part: None,
        progress: None,
    }
}

#[tokio::test]
async fn a_target_is_connected_to_and_each_task_is_heard_of_when_it_has_ended() {
    let host = Throwaway::start();
    let provisioner = load_text(&play_of(TASKS)).expect("loaded");
    let (vars, heard) = (Map::new(), Mutex::new(Vec::new()));
    let progress = |task: &provisioner::TaskReport| {
        let is_there = host.path("/srv/x").exists();
        heard
            .lock()
            .expect("free")
            .push((task.name.clone(), task.outcome, is_there));
    };
    let asked = Request {
        progress: Some(&progress),
        ..request(&vars, Mode::Check)
    };
    let played = provisioner.play(&host.target(), &asked).await;
    assert!(matches!(played, Err(Error::TaskFailed(_))), "{played:?}");
    let name = str::to_owned;
    let expected = [
        (name("One"), Outcome::Changed, false),
        (name("Two"), Outcome::Ok, false),
        (name("Three"), Outcome::Failed, false),
    ];
    assert_eq!(
        *heard.lock().expect("free"),
        expected,
        "nothing is made in check mode"
    );

    // Over a connection that is open already the target's key is not needed.
    let mut target = host.target();
    target.connection = Some(Arc::new(host.connect().await));
    target.key = ClientKey::generate("another").expect("a key");
    heard.lock().expect("free").clear();
    let asked = Request {
        mode: Mode::Apply,
        ..asked
    };
    provisioner
        .play(&target, &asked)
        .await
        .expect_err("the last one fails");
    assert_eq!(
        heard.lock().expect("free").first(),
        Some(&(name("One"), Outcome::Changed, true))
    );
}

#[tokio::test]
async fn machines_that_are_other_ones_or_let_us_not_in_are_told_apart() {
    let host = Throwaway::start();
    let provisioner = load_text(&play_of(TASKS)).expect("loaded");
    let vars = Map::new();
    let another = ClientKey::generate("another").expect("a key");
    let why = async |change: &dyn Fn(&mut provisioner::Target)| {
        let mut target = host.target();
        change(&mut target);
        let asked = Request {
            limit: Duration::from_secs(20),
            ..request(&vars, Mode::Apply)
        };
        match provisioner.play(&target, &asked).await {
            Err(Error::Unreachable(error)) => error,
            other => panic!("{other:?}"),
        }
    };
    let stranger = why(&|target| target.host_key = another.host_key().expect("a key")).await;
    assert!(
        matches!(stranger, shell::Error::HostKeyMismatch { .. }),
        "{stranger}"
    );
    let refused = why(&|target| target.key = another.clone()).await;
    assert!(
        matches!(refused, shell::Error::AuthenticationRefused { .. }),
        "{refused}"
    );
    let away = why(&|target| target.endpoint.port = 1).await;
    assert!(matches!(away, shell::Error::Unreachable { .. }), "{away}");
    assert!(!host.path("/srv/x").exists());

    // A name that is wrong is told without asking.
    let mut target = host.target();
    target.endpoint.port = 1;
    let asked = Request {
        playbook: "q.yml",
        ..request(&vars, Mode::Apply)
    };
    let unknown = provisioner.play(&target, &asked).await;
    assert!(
        matches!(unknown, Err(Error::UnknownPlaybook { .. })),
        "{unknown:?}"
    );
}
