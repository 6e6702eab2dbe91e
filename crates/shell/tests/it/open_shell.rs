//! Many scripts in one shell: each by itself, and what happens when one does not end or the shell dies.

use std::time::Duration;

use shell::{Command, Error, Exit, OpenShell, Output, RunOptions};

use crate::sshd::Sshd;

const LONG: RunOptions = RunOptions {
    deadline: Duration::from_secs(60),
    output_limit: 4096,
};

fn script(text: &'static str) -> Command {
    Command::script("the test's script", text, [""; 0]).contained()
}

async fn run(shell: &OpenShell<'_>, command: Command, input: &[u8]) -> Output {
    shell.run(&command, input.to_vec(), LONG).await.expect("it ran")
}

/// The process of which a script is a part.
const PROCESS: &str = "echo $$";

#[tokio::test]
async fn contained_scripts_share_a_shell_and_others_have_a_process_of_their_own() {
    let server = Sshd::start();
    let connection = server.connect().await;
    let shell = connection.open_shell();
    let first = run(&shell, script(PROCESS), b"").await;
    assert_eq!(first.exit, Exit::Code(0));
    assert_eq!(run(&shell, script(PROCESS), b"short").await, first);
    let apart = [
        (Command::script("apart", PROCESS, [""; 0]), b"".to_vec()),
        (script(PROCESS).environment("A", "b"), b"".to_vec()),
        (script(PROCESS), b"\0".to_vec()),
        (script(PROCESS), vec![b'a'; 100_000]),
        (script(PROCESS).through(["env", "A=b"]), b"".to_vec()),
    ];
    for (command, input) in apart {
        let output = run(&shell, command.clone(), &input).await;
        assert_eq!(output.exit, Exit::Code(0), "{command:?}");
        assert_ne!(output.stdout, first.stdout, "{command:?}");
    }
    assert_eq!(run(&shell, script(PROCESS), b"").await, first);
    shell.close().await;
}

#[tokio::test]
async fn status_outputs_and_input_are_those_of_the_script() {
    let server = Sshd::start();
    let connection = server.connect().await;
    let shell = connection.open_shell();
    for _ in 0..3 {
        let output = run(&shell, script("cat; printf err >&2; exit 9"), "in ü".as_bytes()).await;
        assert_eq!(output.exit, Exit::Code(9));
        assert_eq!(
            (output.stdout_text().as_str(), output.stderr_text().as_str()),
            ("in ü", "err")
        );
        let killed = run(&shell, script("sh -c 'kill -KILL $PPID'; sleep 1"), b"").await;
        assert_eq!(killed.exit, Exit::Code(128 + 9), "{killed:?}");
        let long = run(&shell, script("yes | head -c 100000"), b"").await;
        assert_eq!(
            (long.exit, long.stdout.len(), long.truncated),
            (Exit::Code(0), 4096, true)
        );
    }
}

#[tokio::test]
async fn a_script_that_does_not_end_is_given_up_and_the_next_one_has_another_shell() {
    let server = Sshd::start();
    let connection = server.connect().await;
    let shell = connection.open_shell();
    let first = run(&shell, script(PROCESS), b"").await;
    let short = RunOptions::within(Duration::from_millis(300));
    let error = shell.run(&script("sleep 20"), Vec::new(), short).await;
    assert!(matches!(error, Err(Error::Timeout { .. })), "{error:?}");
    let next = run(&shell, script(PROCESS), b"").await;
    assert_eq!(next.exit, Exit::Code(0));
    assert_ne!(next.stdout, first.stdout);
    // Given up in the middle by whoever waited for it.
    let late = script("sleep 1; echo late");
    let waiting = shell.run(&late, Vec::new(), LONG);
    tokio::time::timeout(Duration::from_millis(200), waiting)
        .await
        .expect_err("it takes a second");
    let next = run(&shell, script("echo mine"), b"").await;
    assert_eq!(next.stdout_text(), "mine\n");
}

#[tokio::test]
async fn a_shell_that_died_or_was_written_to_between_two_scripts_fails_neither() {
    let server = Sshd::start();
    let connection = server.connect().await;
    let shell = connection.open_shell();
    let later = "(sleep 0.2; echo late) & exit 0";
    assert_eq!(run(&shell, script(later), b"").await.exit, Exit::Code(0));
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(
        run(&shell, script("echo mine"), b"").await.stdout_text(),
        "mine\n"
    );
    let dies = "(sleep 0.2; kill -KILL $$) </dev/null >/dev/null 2>&1 & exit 0";
    assert_eq!(run(&shell, script(dies), b"").await.exit, Exit::Code(0));
    tokio::time::sleep(Duration::from_millis(600)).await;
    let next = run(&shell, script("echo well"), b"").await;
    assert_eq!(
        (next.exit.clone(), next.stdout_text().as_str()),
        (Exit::Code(0), "well\n"),
        "{next:?}"
    );
}

#[tokio::test]
async fn a_shell_that_dies_is_no_success_of_its_script() {
    let server = Sshd::start();
    let connection = server.connect().await;
    let shell = connection.open_shell();
    let died = run(&shell, script("echo begun; kill -KILL $$; sleep 5"), b"").await;
    assert_eq!(died.exit, Exit::Signal("KILL".to_owned()));
    assert_eq!(died.stdout_text(), "begun\n");
    let refused = run(
        &shell,
        script("echo").through(["sh", "-c", "echo no >&2", "sh"]),
        b"",
    )
    .await;
    assert_eq!(
        (refused.exit.clone(), refused.stderr_text().as_str()),
        (Exit::Lost, "no\n"),
        "{refused:?}"
    );
    assert_eq!(
        run(&shell, script("echo well"), b"").await.stdout_text(),
        "well\n"
    );
}
