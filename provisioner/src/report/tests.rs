use super::*;

fn task(play: &str, name: &str, outcome: Outcome) -> TaskReport {
    TaskReport {
        play: play.to_owned(),
        name: name.to_owned(),
        line: 1,
        module: "copy".into(),
        outcome,
        changes: Vec::new(),
        message: None,
        diff: None,
        duration: Duration::ZERO,
    }
}

/// Ansible's recap counts what changed among what went well.
#[test]
fn a_report_is_read_like_a_recap() {
    let mut report = Report {
        playbook: "p.yml".to_owned(),
        host: "root@h:22".to_owned(),
        mode: Mode::Apply,
        tasks: vec![
            task("A", "one", Outcome::Ok),
            task("A", "two", Outcome::Changed),
            task("B", "three", Outcome::Skipped),
            task("B", "four", Outcome::Ignored),
            task("A", "five", Outcome::Failed),
        ],
        duration: Duration::from_millis(1234),
    };
    report.tasks[1].changes = vec!["file /x".to_owned(), "mode 644 -> 600".to_owned()];
    report.tasks[1].diff = Some("--- f\n+++ f\n".to_owned());
    report.tasks[3].message = Some("why\nnot".to_owned());
    let expected = "PLAY [A]
      ok: one
 changed: two
          file /x
          mode 644 -> 600
          --- f
          +++ f
PLAY [B]
 skipped: three
 ignored: four
          why
          not
PLAY [A]
  failed: five
p.yml on root@h:22: ok=2 changed=1 skipped=1 failed=1 ignored=1 in 1.23 s";
    assert_eq!(report.to_string(), expected);
    report.mode = Mode::Check;
    report.tasks.clear();
    assert_eq!(
        report.to_string(),
        "p.yml on root@h:22: ok=0 changed=0 skipped=0 failed=0 ignored=0 in 1.23 s (check mode: nothing was changed)"
    );
}
