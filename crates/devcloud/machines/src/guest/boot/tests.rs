use std::thread;

use super::*;

#[test]
fn the_last_line_of_a_console_is_the_reason_of_a_failed_start() {
    let directory = tempfile::tempdir().unwrap();
    let console = directory.path().join("console.log");
    let silence = "its first process ended without a word";
    assert_eq!(last_words(&console), silence, "there is none");
    let long = format!("{}\nthe end\n", "x".repeat(5000));
    let (longer_than_is_read, read) = ("y".repeat(2000), "y".repeat(1024));
    for (text, words) in [
        ("", silence),
        ("\n \n", silence),
        ("one\ntwo\n", "two"),
        ("one\ntwo", "two"),
        ("one\n\n\n", "one"),
        (long.as_str(), "the end"),
        (longer_than_is_read.as_str(), read.as_str()),
    ] {
        fs::write(&console, text).unwrap();
        assert_eq!(last_words(&console), words);
    }
    fs::write(&console, b"caf\xe9\n").unwrap();
    assert_eq!(last_words(&console), "caf\u{fffd}");
}

#[test]
fn the_first_process_is_the_child_of_the_program_that_waits_for_it() {
    let mut shell = Command::new("sh")
        .args(["-c", "sleep 1000; true"])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let mut found = None;
    for _ in 0..1000 {
        found = child_of(&shell).unwrap();
        if found.is_some() {
            break;
        }
        thread::sleep(Duration::from_millis(5));
    }
    let pid = found.expect("the shell has started its command");
    let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).unwrap();
    assert!(status.contains(&format!("PPid:\t{}\n", shell.id())), "{status}");
    // Ended is first the process inside, and the one outside sees it out.
    end_halfway(&mut shell);
    assert!(!Path::new(&format!("/proc/{}", pid.as_raw_nonzero())).exists());
}

#[test]
fn the_end_of_a_machine_is_seen_by_who_waits_and_by_who_comes_later() {
    let ended = Arc::new(Ended::default());
    assert!(!ended.wait(Duration::from_millis(20)), "it lives");
    let seen = {
        let ended = Arc::clone(&ended);
        thread::spawn(move || ended.wait(Duration::from_secs(60)))
    };
    // Long enough for it to wait, and the wait is over when the end is told.
    thread::sleep(Duration::from_millis(200));
    let began = std::time::Instant::now();
    ended.set(ExitStatus::default());
    assert!(seen.join().unwrap());
    assert!(began.elapsed() < Duration::from_secs(30));
    assert!(ended.wait(Duration::ZERO));
}
