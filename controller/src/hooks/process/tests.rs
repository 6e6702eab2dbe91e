//! The runner against real processes.

use std::{fs, path::Path, time::Instant};

use super::*;

fn order(script: &str) -> Order {
    Order {
        command: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
        environment: vec![("VERDIGRIS_ATTEMPT", "7-1".to_owned())],
        input: "{\"hook\": \"after_ready\"}\n".to_owned(),
        limit: Duration::from_secs(60),
    }
}

async fn run(order: &Order) -> Tried {
    Processes.run(order, &Clock::System).await
}

async fn tried(script: &str) -> Tried {
    run(&order(script)).await
}

/// Whether a process is there that is no zombie.
fn lives(pid: &str) -> bool {
    let status = fs::read_to_string(Path::new("/proc").join(pid).join("stat")).unwrap_or_default();
    let state = status.rsplit(") ").next().and_then(|rest| rest.chars().next());
    state.is_some_and(|state| state != 'Z' && state != 'X')
}

/// Waits until a process has ended: a signal needs a moment.
async fn ends(pid: &str) {
    let begun = Instant::now();
    while lives(pid) {
        assert!(begun.elapsed() < Duration::from_secs(10), "process {pid} goes on");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_program_reads_its_input_and_both_its_outputs_are_kept_in_their_order() {
    let found = tried("cat; echo one; echo two >&2; echo three").await;
    assert_eq!(found.end, End::Exit(0));
    assert_eq!(found.tail, "{\"hook\": \"after_ready\"}\none\ntwo\nthree");
}

#[tokio::test]
async fn its_environment_is_what_is_documented_and_nothing_else() {
    assert!(std::env::vars().count() > 2, "there is something to keep from it");
    let mut of = order("");
    of.command = vec!["/usr/bin/env".to_owned()];
    let found = run(&of).await;
    let mut lines: Vec<&str> = found.tail.lines().collect();
    lines.sort_unstable();
    let path = format!("PATH={PATH}");
    assert_eq!(lines, ["LANG=C.UTF-8", &path, "VERDIGRIS_ATTEMPT=7-1"]);
    assert_eq!(tried("pwd").await.tail, "/");
}

#[tokio::test]
async fn each_end_is_told_as_what_it_was() {
    for (script, expected) in [
        ("exit 0", End::Exit(0)),
        ("exit 3", End::Exit(3)),
        ("exit 75", End::Exit(75)),
        ("kill -11 $$", End::Signal(11)),
        ("kill -9 $$", End::Signal(9)),
    ] {
        assert_eq!(tried(script).await.end, expected, "{script}");
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("hook");
    fs::write(&file, "#!/bin/sh\n").unwrap();
    for (program, words) in [
        (
            "/nowhere/hook",
            "there is no such program, or nothing that can interpret it",
        ),
        (file.to_str().unwrap(), "it may not be executed"),
    ] {
        let mut of = order("");
        of.command = vec![program.to_owned()];
        assert_eq!(run(&of).await.end, End::NotRun(words.to_owned()), "{program}");
    }
}

#[tokio::test]
async fn what_hangs_is_killed_with_all_that_it_started_and_its_words_are_kept() {
    let mut of = order("sleep 1000 & echo $! $$; sleep 1000");
    of.limit = Duration::from_millis(400);
    let begun = Instant::now();
    let found = run(&of).await;
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert_eq!(found.end, End::Late(of.limit));
    let pids: Vec<&str> = found.tail.split_whitespace().collect();
    assert_eq!(pids.len(), 2, "{found:?}");
    for pid in pids {
        ends(pid).await;
    }
}

#[tokio::test]
async fn what_it_leaves_behind_ends_with_it_and_is_not_waited_for() {
    let begun = Instant::now();
    let found = tried("sleep 1000 & echo $!").await;
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert_eq!(found.end, End::Exit(0));
    ends(&found.tail).await;
    // One that left the group and holds the output open keeps nobody waiting either.
    let begun = Instant::now();
    let found = tried("setsid sh -c 'echo $$; exec sleep 15' & sleep 0.3; echo done").await;
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!(found.end, End::Exit(0));
    assert!(found.tail.ends_with("done"), "{found:?}");
}

#[tokio::test]
async fn a_program_that_nobody_waits_for_any_more_ends() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pid");
    let of = order(&format!(
        "echo $$ >{0}.new; mv {0}.new {0}; sleep 1000",
        file.display()
    ));
    let task = tokio::spawn(async move { run(&of).await });
    let pid = loop {
        match fs::read_to_string(&file) {
            Ok(pid) => break pid.trim().to_owned(),
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    };
    assert!(lives(&pid));
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    ends(&pid).await;
}

#[tokio::test]
async fn of_a_megabyte_of_output_the_end_is_kept() {
    let found = tried("head -c 1000000 /dev/zero | tr '\\0' x; echo; echo the end").await;
    assert_eq!(found.end, End::Exit(0));
    let (first, rest) = found.tail.split_once('\n').unwrap();
    assert_eq!(
        first,
        format!("[{} bytes before this are not kept]", 1_000_009 - KEPT)
    );
    assert!(
        rest.ends_with("xxx\nthe end") && rest.len() < KEPT,
        "{}",
        rest.len()
    );
}

#[tokio::test]
async fn a_program_that_reads_nothing_and_one_that_writes_odd_bytes_are_as_good_as_others() {
    let mut of = order("exec <&-; printf 'a\\033[31mb\\377\\000c\\n'");
    of.input = "x".repeat(1_000_000);
    let found = run(&of).await;
    assert_eq!(
        (found.end, found.tail.as_str()),
        (End::Exit(0), "a[31mb\u{fffd}c")
    );
}
