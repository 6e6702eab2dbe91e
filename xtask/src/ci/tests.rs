use super::*;

#[test]
fn the_table_says_which_steps_did_not_run() {
    let second = Duration::from_secs(1);
    let text = table(STEPS, &[("setup", second, true), ("format", second, false)]);
    let lines = text
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect::<Vec<_>>();
    assert!(lines.contains(&"setup ok 1.0 s".to_owned()), "{text}");
    assert!(lines.contains(&"format FAILED 1.0 s".to_owned()), "{text}");
    assert!(lines.contains(&"test not run".to_owned()), "{text}");
    assert_eq!(STEPS.len() + 2, text.lines().count());
}
