use super::*;

fn output(exit: Exit, stdout: &[u8], stderr: &[u8]) -> Output {
    Output {
        exit,
        stdout: stdout.to_vec(),
        stderr: stderr.to_vec(),
        truncated: false,
    }
}

#[test]
fn only_the_status_zero_is_a_success() {
    let done = output(Exit::Code(0), b"out", b"warning").require_success("x");
    assert_eq!(done.expect("a success").stdout_text(), "out");
    let cases = [
        (Exit::Code(1), "x failed on the builder (status 1): why"),
        (Exit::Code(255), "x failed on the builder (status 255): why"),
        (
            Exit::Signal("TERM".to_owned()),
            "x failed on the builder (killed by signal TERM): why",
        ),
        (
            Exit::Lost,
            "the connection was lost during x, 8 bytes received: no exit status came",
        ),
    ];
    for (exit, expected) in cases {
        let error = output(exit, b"out\n", b"why\n")
            .require_success("x")
            .expect_err("no success");
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn each_output_is_kept_up_to_the_limit() {
    let out = |text: &'static str| Chunk::Stdout(Bytes::from_static(text.as_bytes()));
    let err = |text: &'static str| Chunk::Stderr(Bytes::from_static(text.as_bytes()));
    type Case<'a> = (usize, &'a [Chunk], (&'a str, &'a str, bool));
    let cases: &[Case<'_>] = &[
        (4, &[], ("", "", false)),
        (4, &[out("ab"), err("c"), out("cd")], ("abcd", "c", false)),
        (4, &[out("abcd")], ("abcd", "", false)),
        (4, &[out("abcde")], ("abcd", "", true)),
        (4, &[out("abc"), out("de"), out("f")], ("abcd", "", true)),
        // What is left out of one does not touch the other.
        (4, &[err("abcdef"), out("ab")], ("ab", "abcd", true)),
        (4, &[out("abcd"), out("")], ("abcd", "", false)),
        (0, &[out("a")], ("", "", true)),
    ];
    for (limit, chunks, expected) in cases {
        let mut collected = Collected::new(*limit);
        chunks.iter().cloned().for_each(|chunk| collected.take(chunk));
        let got = collected.into_output(Exit::Code(0));
        let texts = (got.stdout_text(), got.stderr_text());
        assert_eq!(
            (texts.0.as_str(), texts.1.as_str(), got.truncated),
            *expected,
            "{chunks:?}"
        );
    }
}

#[test]
fn the_end_of_an_output_is_cut_between_letters() {
    let cases = [
        (b" a \n\t\n".to_vec(), " a".to_owned()),
        (b"\xff\n".to_vec(), "\u{fffd}".to_owned()),
        ("é".repeat(2001).into_bytes(), "é".repeat(2000)),
        (format!("x{}\n", "é".repeat(2000)).into_bytes(), "é".repeat(2000)),
    ];
    for (bytes, expected) in cases {
        assert_eq!(output(Exit::Code(1), b"", &bytes).stderr_tail(), expected);
    }
}

#[test]
fn signals_have_the_names_of_the_protocol() {
    let cases = [
        (Sig::KILL, "KILL"),
        (Sig::TERM, "TERM"),
        (Sig::SEGV, "SEGV"),
        (Sig::Custom("XCPU".to_owned()), "XCPU"),
        (Sig::Custom("sig-24@openssh.com".to_owned()), "unknown"),
    ];
    for (signal, expected) in cases {
        assert_eq!(name_of(&signal), expected);
    }
}

fn failed() -> Error {
    Error::Refused {
        what: "x".to_owned(),
        why: "y".to_owned(),
    }
}

#[tokio::test]
async fn the_end_of_the_reading_side_ends_the_call() {
    let never = std::future::pending::<Result<(), Error>>;
    // A writer that waits for a window that never opens, and one that has ended long before.
    assert_eq!(until_read(async { Ok(1) }, never()).await.expect("read"), 1);
    let late = async {
        tokio::task::yield_now().await;
        Ok(2)
    };
    assert_eq!(until_read(late, async { Ok(()) }).await.expect("read"), 2);
    // Our own source fails while the command goes on.
    let reading = std::future::pending::<Result<(), Error>>();
    let read = until_read(reading, async { Err(failed()) });
    let ended = timeout(Duration::from_secs(20), read).await;
    assert!(ended.expect("at once").is_err());
    assert!(
        until_read(async { Err::<(), Error>(failed()) }, never())
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_source_is_read_in_pieces_up_to_its_limit() {
    let bytes = vec![7_u8; CHUNK + 10];
    let mut source = bytes.as_slice();
    let mut lengths = Vec::new();
    while let Some(chunk) = read_chunk(&mut source, usize::MAX, "x").await.expect("a piece") {
        lengths.push(chunk.len());
    }
    assert_eq!(lengths.iter().sum::<usize>(), CHUNK + 10);
    assert!(lengths.iter().all(|length| *length <= CHUNK), "{lengths:?}");
    let mut source = bytes.as_slice();
    let three = read_chunk(&mut source, 3, "x")
        .await
        .expect("a piece")
        .expect("bytes");
    assert_eq!((three.len(), source.len()), (3, CHUNK + 7));
}
