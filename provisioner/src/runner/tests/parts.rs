//! Only a part of a playbook is played where a tag is named.

use std::time::Duration;

use crate::host::tests::fake::Fake;
use crate::playbook::Playbook;
use crate::report::Mode;
use crate::runner::Run;
use crate::target::Request;
use crate::value::Map;

const TASKS: &str = "- name: P
  hosts: all
  gather_facts: false
  tasks:
    - {name: whole, debug: {msg: x}}
    - {name: one, debug: {msg: x}, tags: boot}
    - {name: among others, debug: {msg: x}, tags: [a, boot]}
    - {name: in one text, debug: {msg: x}, tags: \"a, boot\"}
    - {name: of another, debug: {msg: x}, tags: [boots, reboot]}
    - {name: whatever, debug: {msg: x}, tags: [always]}
";

fn playbook() -> Playbook {
    Playbook::parse("p.yml", TASKS).expect("a playbook")
}

async fn played(part: Option<&str>) -> Vec<String> {
    let (playbook, fake) = (playbook(), Fake::new([]));
    let request = Request {
        playbook: "p.yml",
        vars: &serde_json::Map::new(),
        mode: Mode::Apply,
        limit: Duration::from_secs(60),
        part,
        progress: None,
    };
    let run = Run::new(&fake, &playbook, Map::new(), &request).run().await;
    let report = run.unwrap_or_else(|error| panic!("{error}"));
    report.tasks.into_iter().map(|task| task.name).collect()
}

#[tokio::test]
async fn a_part_is_what_has_its_tag_or_is_always_played() {
    assert_eq!(played(None).await.len(), 6);
    assert_eq!(
        played(Some("boot")).await,
        ["one", "among others", "in one text", "whatever"]
    );
    assert_eq!(played(Some("nobody's")).await, ["whatever"]);
}

#[test]
fn a_playbook_has_the_tags_of_its_tasks() {
    let has = |tag| playbook().has_tag(tag);
    assert!(has("boot") && has("a") && has("always"));
    assert!(!has("oot") && !has("whole"));
}
