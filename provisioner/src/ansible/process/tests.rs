use std::time::Duration;

use super::*;

/// A script's end and what it printed.
async fn sh(script: &str, limit: Duration) -> (Ended, Vec<String>) {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    let mut told = Vec::new();
    let mut line = |line: &str| told.push(line.to_owned());
    let ended = run(command, Instant::now() + limit, &mut line)
        .await
        .expect("it starts");
    (ended, told)
}

const LONG: Duration = Duration::from_secs(60);

/// Whether a process is there and no zombie.
fn is_alive(pid: &str) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    status
        .rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

async fn ends(pid: &str) -> bool {
    for _ in 0..500 {
        if !is_alive(pid) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    false
}

#[tokio::test]
async fn each_line_is_given_and_the_status_with_the_end_of_the_errors() {
    let (ended, told) = sh("printf 'one\\n\\ntwo'; echo why >&2; exit 3", LONG).await;
    assert_eq!(told, ["one", "", "two"]);
    let Ended::Exit(status, errors) = ended else {
        panic!("{ended:?}");
    };
    assert_eq!((status.code(), errors.as_str()), (Some(3), "why\n"));
    let (ended, _) = sh("seq 10000 >&2", LONG).await;
    let Ended::Exit(status, errors) = ended else {
        panic!("{ended:?}");
    };
    assert!(status.success() && errors.ends_with("\n9999\n10000\n") && errors.len() == KEPT);
}

#[tokio::test]
async fn nothing_that_it_started_outlives_it() {
    // It ends itself, and leaves something that holds its output open.
    let (ended, told) = sh("sleep 600 & echo $!", LONG).await;
    assert!(matches!(ended, Ended::Exit(..)), "{ended:?}");
    assert!(ends(&told[0]).await, "{told:?}");
    // Its time is over.
    let limit = Duration::from_millis(500);
    let (ended, told) = sh("sleep 600 & echo $!; echo $$; wait", limit).await;
    assert!(matches!(ended, Ended::Late), "{ended:?}");
    for pid in &told {
        assert!(ends(pid).await, "{told:?}");
    }
    assert_eq!(told.len(), 2);
}

#[tokio::test]
async fn whoever_gives_up_waiting_ends_it_too() {
    let mut told = Vec::new();
    let mut line = |line: &str| told.push(line.to_owned());
    let mut command = Command::new("sh");
    command.args(["-c", "sleep 600 & echo $!; wait"]);
    let running = run(command, Instant::now() + LONG, &mut line);
    let given_up = tokio::time::timeout(Duration::from_millis(500), running).await;
    given_up.expect_err("it runs on");
    assert!(ends(&told[0]).await, "{told:?}");
}

#[tokio::test]
async fn one_that_writes_without_end_is_ended() {
    for script in ["cat /dev/zero", "yes $(seq 300)", "cat /dev/zero >&2"] {
        let (ended, _) = sh(script, LONG).await;
        assert!(matches!(ended, Ended::Talkative), "{script}: {ended:?}");
    }
}
