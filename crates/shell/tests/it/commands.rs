//! Running commands: exits, signals, both outputs, input, limits, and quoting.

use std::time::Duration;

use proptest::collection::vec;
use proptest::string::string_regex;
use proptest::test_runner::{Config, TestRunner};
use shell::{Chunk, Command, Connection, Error, Exit, Input, Output, Progress, RunOptions};
use tokio::runtime::Runtime;

use crate::sshd::{QUICK, Sshd};

const LONG: Duration = Duration::from_secs(60);

async fn run(connection: &Connection, script: &'static str) -> Output {
    let command = Command::script("the test's script", script, [""; 0]);
    connection
        .run(&command, Input::Empty, RunOptions::within(LONG))
        .await
        .expect("it ran")
}

#[tokio::test]
async fn exit_codes_and_signals_are_told_apart() {
    let server = Sshd::start();
    let connection = server.connect().await;
    assert_eq!(run(&connection, "exit 0").await.exit, Exit::Code(0));
    assert_eq!(run(&connection, "exit 37").await.exit, Exit::Code(37));
    assert_eq!(
        run(&connection, "kill -TERM $$").await.exit,
        Exit::Signal("TERM".to_owned())
    );
    assert_eq!(
        run(&connection, "kill -XCPU $$").await.exit,
        Exit::Signal("unknown".to_owned()),
        "OpenSSH 9.2 has no name for it"
    );
    // What is left in the background holds the output open; the status is that of the command all the same.
    assert_eq!(run(&connection, "sleep 1 & exit 7").await.exit, Exit::Code(7));
    let missing = connection
        .run(
            &Command::new("no-such-program"),
            Input::Empty,
            RunOptions::default(),
        )
        .await;
    assert_eq!(missing.expect("it ran").exit, Exit::Code(127));
}

#[tokio::test]
async fn both_outputs_are_kept_apart_and_an_error_quotes_the_end_of_stderr() {
    let server = Sshd::start();
    let connection = server.connect().await;
    let output = run(&connection, "echo out; echo err >&2; exit 4").await;
    assert_eq!(
        (output.stdout_text().as_str(), output.stderr_text().as_str()),
        ("out\n", "err\n")
    );
    assert!(!output.truncated);
    let error = output.require_success("the check").expect_err("status 4");
    assert_eq!(
        error.to_string(),
        "the check failed on the builder (status 4): err"
    );
}

#[tokio::test]
async fn fifty_megabytes_go_through_cat_and_come_back() {
    let server = Sshd::start();
    let connection = server.connect().await;
    let bytes: Vec<u8> = (0..50_000_000_u32)
        .map(|n| n.to_le_bytes()[(n % 3) as usize])
        .collect();
    let options = RunOptions {
        deadline: LONG,
        output_limit: usize::MAX,
    };
    let output = connection
        .run(&Command::new("cat"), bytes.clone().into(), options)
        .await
        .expect("it ran");
    assert_eq!(output.exit, Exit::Code(0));
    assert!(
        output.stdout == bytes,
        "{} of {} bytes came back",
        output.stdout.len(),
        bytes.len()
    );
}

#[tokio::test]
async fn a_command_that_ignores_its_input_ends_the_call() {
    let server = Sshd::start();
    let connection = server.connect().await;
    let command = Command::script("the deaf one", "exit 3", [""; 0]);
    let input = vec![7_u8; 50_000_000].into();
    let output = connection
        .run(&command, input, RunOptions::within(LONG))
        .await
        .expect("it ran");
    assert_eq!(output.exit, Exit::Code(3));
    let endless = &mut tokio::io::repeat(1);
    let output = connection
        .run(&command, Input::Reader(endless), RunOptions::within(LONG))
        .await;
    assert_eq!(output.expect("it ran").exit, Exit::Code(3));
}

#[tokio::test]
async fn output_beyond_the_limit_is_thrown_away_and_the_command_ends_all_the_same() {
    let server = Sshd::start();
    let connection = server.connect().await;
    let command = Command::new("head").arguments(["-c", "30000000", "/dev/zero"]);
    let options = RunOptions {
        deadline: LONG,
        output_limit: 1000,
    };
    let output = connection
        .run(&command, Input::Empty, options)
        .await
        .expect("it ran");
    assert_eq!(
        (output.exit, output.stdout.len(), output.truncated),
        (Exit::Code(0), 1000, true)
    );
    let options = RunOptions {
        deadline: LONG,
        output_limit: 3,
    };
    let output = connection
        .run(&Command::new("printf").argument("abc"), Input::Empty, options)
        .await;
    let output = output.expect("it ran");
    assert_eq!((output.stdout_text().as_str(), output.truncated), ("abc", false));
}

#[tokio::test]
async fn a_deadline_ends_the_call_and_leaves_the_connection_usable() {
    let server = Sshd::start();
    let connection = server.connect().await;
    let limit = Duration::from_millis(300);
    let command = Command::script("the sleeper", "echo awake; exec sleep 600", [""; 0]);
    let error = connection
        .run(&command, Input::Empty, RunOptions::within(limit))
        .await
        .expect_err("too slow");
    assert!(
        matches!(error, Error::Timeout { limit: given, .. } if given == limit),
        "{error:?}"
    );
    assert!(
        error
            .to_string()
            .starts_with("the sleeper did not end within 300ms"),
        "{error}"
    );
    assert_eq!(run(&connection, "exit 0").await.exit, Exit::Code(0));
}

#[tokio::test]
async fn the_environment_reaches_the_command() {
    let server = Sshd::start();
    let connection = server.connect().await;
    let command = Command::new("printenv")
        .argument("VERDIGRIS")
        .environment("VERDIGRIS", "it's $HOME; \"x\"\n");
    let output = connection
        .run(&command, Input::Empty, RunOptions::default())
        .await
        .expect("it ran");
    assert_eq!(output.stdout_text(), "it's $HOME; \"x\"\n\n");
}

#[tokio::test]
async fn a_stream_gives_output_while_the_command_runs_and_then_its_end() {
    let server = Sshd::start();
    let connection = server.connect().await;
    let gate = server.path("gate");
    let script = "echo one; until [ -e \"$1\" ]; do sleep 0.02; done; echo two >&2; exit 5";
    let command = Command::script("the log", script, [gate.display().to_string()]);
    let mut stream = connection.stream(&command, LONG).await.expect("started");
    assert_eq!(
        stream.next().await.expect("one"),
        Progress::Chunk(Chunk::Stdout("one\n".into()))
    );
    std::fs::write(gate, "").expect("the gate opens");
    assert_eq!(
        stream.next().await.expect("two"),
        Progress::Chunk(Chunk::Stderr("two\n".into()))
    );
    assert_eq!(
        stream.next().await.expect("the end"),
        Progress::End(Exit::Code(5))
    );
    assert_eq!(
        stream.next().await.expect("still the end"),
        Progress::End(Exit::Code(5))
    );
    assert_eq!(stream.bytes_received(), 8);
}

/// The whole of a long output, to a reader who pauses for much longer than a peer may be silent and takes it in small bites
/// then, so that all buffers on the way are full for seconds. Each line has a number: a piece that is lost or doubled shows.
#[tokio::test]
async fn a_slow_reader_of_a_stream_loses_nothing_and_keeps_the_connection() {
    let server = Sshd::start();
    let connection = server.connect_with(QUICK).await;
    let script = "seq 1 3000000; echo the last >&2; exit 9";
    let command = Command::script("the long log", script, [""; 0]);
    let mut stream = connection.stream(&command, LONG * 2).await.expect("started");
    let (mut out, mut err, mut chunks) = (Vec::new(), Vec::new(), 0_u32);
    let end = loop {
        match stream.next().await.expect("nothing is lost") {
            Progress::Chunk(Chunk::Stdout(bytes)) => out.extend_from_slice(&bytes),
            Progress::Chunk(Chunk::Stderr(bytes)) => err.extend_from_slice(&bytes),
            Progress::End(end) => break end,
        }
        chunks += 1;
        if chunks == 1 || chunks == 200 {
            tokio::time::sleep(QUICK.keepalive_interval * 8).await;
        } else if chunks < 400 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert_eq!(
        (end, String::from_utf8_lossy(&err).as_ref()),
        (Exit::Code(9), "the last\n")
    );
    assert_eq!(stream.bytes_received(), (out.len() + err.len()) as u64);
    let wrong = String::from_utf8_lossy(&out)
        .lines()
        .zip(1_u32..)
        .find_map(|(line, number)| (line != number.to_string()).then_some(number));
    assert_eq!(wrong, None, "the first line that is not its number");
    assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 3_000_000);
    assert_eq!(run(&connection, "exit 3").await.exit, Exit::Code(3));
}

#[tokio::test]
async fn commands_run_side_by_side_on_one_connection() {
    let server = Sshd::start();
    let connection = server.connect().await;
    let gate = server.path("gate").display().to_string();
    let waiting = Command::script(
        "the waiting one",
        "until [ -e \"$1\" ]; do sleep 0.02; done",
        [gate.clone()],
    );
    let opening = Command::new("touch").argument(gate);
    let options = RunOptions::within(LONG);
    let (waited, opened) = tokio::join!(
        connection.run(&waiting, Input::Empty, options),
        connection.run(&opening, Input::Empty, options)
    );
    assert_eq!(waited.expect("it ran").exit, Exit::Code(0));
    assert_eq!(opened.expect("it ran").exit, Exit::Code(0));
}

/// Any text but NUL arrives as it was given, through the real login shell.
#[test]
fn hostile_arguments_arrive_unchanged() {
    let server = Sshd::start();
    let runtime = Runtime::new().expect("a runtime");
    let connection = runtime.block_on(server.connect());
    let nasty = string_regex("([^\0]|['\"\\\\$`!~*?&|;<>(){}\\[\\] \n\r\t=#%-]){0,40}").expect("a pattern");
    let mut runner = TestRunner::new(Config {
        cases: 96,
        failure_persistence: None,
        ..Config::default()
    });
    let property = |arguments: Vec<String>| {
        let command = Command::new("printf")
            .argument("%s\\0")
            .arguments(arguments.clone());
        let output = runtime.block_on(connection.run(&command, Input::Empty, RunOptions::within(LONG)));
        let output = output.expect("it ran");
        let expected: String = arguments.iter().map(|argument| format!("{argument}\0")).collect();
        assert_eq!(output.stdout_text(), expected);
        Ok(())
    };
    runner
        .run(&vec(nasty, 1..5), property)
        .expect("every argument arrives");
}
