use provisioner::{Outcome, TaskReport};
use shell::Endpoint;
use tokio::net::TcpListener;

use super::*;

#[test]
fn what_a_playbook_did_is_told_with_its_tasks_and_those_that_changed_something() {
    let task = |outcome| TaskReport {
        play: "builder".to_owned(),
        name: "a task".to_owned(),
        line: 3,
        module: "command".into(),
        outcome,
        changes: Vec::new(),
        message: None,
        diff: None,
        duration: Duration::from_millis(5),
    };
    let report = |outcomes: &[Outcome]| Report {
        playbook: "builder.yml".to_owned(),
        host: "root@127.0.0.1:22".to_owned(),
        mode: Mode::Apply,
        tasks: outcomes.iter().map(|outcome| task(*outcome)).collect(),
        duration: Duration::from_millis(1234),
    };
    use Outcome::{Changed, Ignored, Ok, Skipped};
    for (outcomes, expected) in [
        (&[][..], "builder.yml: 0 tasks, 0 changed something, in 1234 ms"),
        (
            &[Ok, Skipped, Ignored],
            "builder.yml: 3 tasks, 0 changed something, in 1234 ms",
        ),
        (
            &[Changed, Ok, Changed],
            "builder.yml: 3 tasks, 2 changed something, in 1234 ms",
        ),
    ] {
        assert_eq!(summary("builder.yml", &report(outcomes)), expected);
    }
}

fn over_ssh() -> OverSsh {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let provisioner = Provisioner::load(&root.join("playbooks"), &root.join("provision-files")).unwrap();
    OverSsh {
        key: Arc::new(ClientKey::generate("farm").unwrap()),
        provisioner: Arc::new(provisioner),
    }
}

#[tokio::test]
async fn a_machine_that_does_not_speak_is_given_up_when_its_limit_is_over() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let reach = over_ssh();
    let host_key = ClientKey::generate("host").unwrap().public_openssh().unwrap();
    let host_key = HostKey::parse(&host_key).unwrap();
    let endpoint = Endpoint::new("127.0.0.1", port, "root");
    let limit = Duration::from_millis(100);
    let opened = tokio::time::timeout(Duration::from_secs(60), reach.open(&endpoint, &host_key, limit));
    let error = opened.await.expect("it is given up").err().expect("nobody spoke");
    let words = error_chain(&error);
    assert!(
        words.contains(&format!("127.0.0.1:{port}")),
        "it names the machine: {words}"
    );
    // Nobody listens at all.
    drop(listener);
    let refused = reach.open(&endpoint, &host_key, Duration::from_secs(60)).await;
    let words = error_chain(&refused.err().expect("nobody is there"));
    assert!(words.contains(&format!("127.0.0.1:{port}")), "{words}");
    assert!(
        !format!("{reach:?}").contains("PRIVATE"),
        "the key is shown to nobody"
    );
}
