use std::{
    io::Write as _,
    process::{Command as Process, Stdio},
};

use super::*;

const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

/// What a download comes to when these pieces arrive and the command ends so: the bytes written, or why not.
async fn received(pieces: &[&str], exit: Exit) -> Result<String, String> {
    let download = Download {
        path: "/x".to_owned(),
        max_bytes: 5,
        deadline: Duration::from_secs(1),
    };
    let mut receipt = Receipt::new("the download of /x", &download);
    let mut written = Vec::new();
    for piece in pieces {
        let bytes = Bytes::copy_from_slice(piece.as_bytes());
        let taken = receipt.take(bytes, &mut written).await;
        taken.map_err(|error| format!("{error} after {}", written.len()))?;
    }
    let done = receipt.finish(exit).map_err(|error| error.to_string())?;
    assert_eq!((done.size, done.sha256.as_str()), (count(written.len()), ABC));
    Ok(String::from_utf8(written).expect("text"))
}

#[tokio::test]
async fn a_file_is_taken_however_it_is_cut() {
    let (start, end) = ABC.split_at(20);
    let cuts: &[&[&str]] = &[
        &[&format!("3 {ABC}\nabc")],
        &[&format!("3 {ABC}\n"), "abc"],
        &["3", " ", start, end, "\na", "b", "c"],
        &[&format!("3 {ABC}"), "\n", "", "ab", "", "c"],
    ];
    for pieces in cuts {
        assert_eq!(
            received(pieces, Exit::Code(0)).await.as_deref(),
            Ok("abc"),
            "{pieces:?}"
        );
    }
}

#[tokio::test]
async fn what_does_not_fit_its_announcement_is_damaged() {
    let whole = format!("3 {ABC}\n");
    let none = "/x arrived damaged: the builder sent no size and digest";
    let long = "9".repeat(MAX_HEADER + 1);
    let other = format!("3 {}\n", "0".repeat(64));
    let cases: &[(&[&str], &str)] = &[
        (&[], none),
        (&["3"], none),
        (&["nonsense\n"], &format!("{none} after 0")),
        (&[&long], &format!("{none} after 0")),
        (
            &["x y\n"],
            "/x arrived damaged: the builder sent the size \"x\" after 0",
        ),
        (
            &["-1 y\n"],
            "/x arrived damaged: the builder sent the size \"-1\" after 0",
        ),
        // Nothing is written of what is too large.
        (
            &["6 -\n", "abcdef"],
            "/x has 6 bytes, more than the 5 permitted after 0",
        ),
        (
            &[&whole, "ab"],
            "/x arrived damaged: 2 bytes came, 3 were announced",
        ),
        (
            &[&whole, "ab", "cd"],
            "/x arrived damaged: more bytes came than the 3 announced after 2",
        ),
        (
            &[&other, "abc"],
            &format!(
                "/x arrived damaged: its SHA-256 is {ABC}, announced was {}",
                "0".repeat(64)
            ),
        ),
    ];
    for (pieces, expected) in cases {
        assert_eq!(
            received(pieces, Exit::Code(0)).await,
            Err((*expected).to_owned()),
            "{pieces:?}"
        );
    }
}

#[tokio::test]
async fn a_command_that_failed_gives_no_file_whatever_came() {
    let whole = format!("3 {ABC}\nabc");
    let error = received(&[&whole], Exit::Code(66)).await;
    let expected = "the download of /x failed on the builder (status 66): ";
    assert_eq!(error, Err(expected.to_owned()));
}

#[test]
fn errors_of_the_command_are_kept_up_to_a_limit() {
    let download = Download {
        path: "/x".to_owned(),
        max_bytes: 5,
        deadline: Duration::from_secs(1),
    };
    let mut receipt = Receipt::new("the download of /x", &download);
    receipt.note(&Bytes::from_static(b"no such "));
    receipt.note(&Bytes::from_static(b"file\n"));
    for _ in 0..3 {
        receipt.note(&Bytes::from(vec![b' '; CHUNK]));
    }
    assert_eq!(receipt.stderr.len(), CHUNK + 13);
    let error = receipt.finish(Exit::Code(66)).expect_err("it failed").to_string();
    assert_eq!(
        error,
        "the download of /x failed on the builder (status 66): no such file"
    );
}

/// How the receiving end of an upload is left alone when 5 of 100 bytes were sent.
#[derive(Clone, Copy, Debug)]
enum Leaves {
    /// Its input ends.
    AtTheEndOfItsInput,
    /// Its input ends, and nobody reads what it says.
    WithNobodyToTell,
    /// It gets this signal.
    By(&'static str),
}

#[test]
fn a_part_of_a_file_is_taken_away_however_its_transfer_ends() {
    for leaves in [
        Leaves::AtTheEndOfItsInput,
        Leaves::WithNobodyToTell,
        Leaves::By("HUP"),
        Leaves::By("TERM"),
        Leaves::By("INT"),
    ] {
        let directory = tempfile::tempdir().expect("a directory");
        let names = || -> Vec<_> {
            let entries = std::fs::read_dir(directory.path()).expect("it");
            entries.map(|entry| entry.expect("entry").path()).collect()
        };
        let mut receiver = Process::new("sh")
            .args(["-c", RECEIVE, "receive"])
            .arg(directory.path().join("file"))
            .args(["0644", "100", "no"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a shell");
        let mut input = receiver.stdin.take().expect("its input");
        input.write_all(b"short").expect("it reads");
        let begun = Instant::now();
        while names().is_empty() {
            assert!(begun.elapsed() < Duration::from_secs(60), "{leaves:?}: no part");
            std::thread::sleep(Duration::from_millis(5));
        }
        match leaves {
            Leaves::AtTheEndOfItsInput => {}
            Leaves::WithNobodyToTell => drop(receiver.stderr.take()),
            Leaves::By(signal) => {
                let process = receiver.id().to_string();
                let sent = Process::new("kill").args(["-s", signal, &process]).status();
                assert!(sent.expect("kill").success());
            }
        }
        drop(input);
        let status = receiver.wait().expect("its end");
        assert!(!status.success(), "{leaves:?}");
        assert_eq!(names(), Vec::<std::path::PathBuf>::new(), "{leaves:?}: {status}");
    }
}
