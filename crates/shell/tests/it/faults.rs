//! Machines that die or freeze in the middle: never a success, never a hang.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::process::Signal;
use shell::{Command, Download, Error, Exit, Input, RunOptions, Upload};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::sshd::{QUICK, Sshd};

const LONG: Duration = Duration::from_secs(120);

/// Calls back once when this many bytes have passed.
struct Trigger<'a> {
    left: usize,
    action: &'a (dyn Fn() + Sync),
}

impl Trigger<'_> {
    fn pass(&mut self, bytes: usize) {
        if self.left > 0 {
            self.left = self.left.saturating_sub(bytes);
            if self.left == 0 {
                (self.action)();
            }
        }
    }
}

impl AsyncWrite for Trigger<'_> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.pass(bytes.len());
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Trigger<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let room = buffer.remaining();
        buffer.put_slice(&vec![1_u8; room]);
        self.pass(room);
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn a_connection_killed_by_its_command_is_lost_and_never_a_success() {
    let server = Sshd::start();
    let connection = server.connect().await;
    let command = Command::script(
        "the killer",
        "echo last words; sleep 0.1; kill -9 $PPID; sleep 600",
        [""; 0],
    );
    let output = connection
        .run(&command, Input::Empty, RunOptions::within(LONG))
        .await
        .expect("it ran");
    assert_eq!(
        (output.exit.clone(), output.stdout_text().as_str()),
        (Exit::Lost, "last words\n")
    );
    let error = output.require_success("the killer").expect_err("lost");
    assert!(
        matches!(
            error,
            Error::Lost {
                bytes_received: 11,
                ..
            }
        ),
        "{error:?}"
    );
    let error = connection
        .run(&Command::new("true"), Input::Empty, RunOptions::within(LONG))
        .await;
    assert!(matches!(error, Err(Error::Lost { .. })), "{error:?}");
    assert!(connection.is_closed());
}

#[tokio::test]
async fn a_frozen_server_is_seen_by_keepalives() {
    let server = Sshd::start();
    let connection = server.connect_with(QUICK).await;
    let mut stream = connection
        .stream(
            &Command::script("the log", "echo on; exec sleep 600", [""; 0]),
            LONG,
        )
        .await
        .expect("started");
    stream.next().await.expect("it runs");
    server.signal_sessions(Signal::STOP);
    let error = stream.next().await.expect_err("frozen");
    assert!(
        matches!(
            error,
            Error::Lost {
                bytes_received: 3,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(error.to_string().contains("Keepalive timeout"), "{error}");
}

#[tokio::test]
async fn a_server_that_freezes_during_an_upload_is_seen_by_the_kernel() {
    let server = Sshd::start();
    let connection = server.connect_with(QUICK).await;
    let freeze = || server.signal_sessions(Signal::STOP);
    let mut endless = Trigger {
        left: 1_000_000,
        action: &freeze,
    };
    let upload = Upload {
        path: server.path("file").display().to_string(),
        makes_directory: false,
        mode: 0o600,
        size: 1 << 40,
        deadline: LONG,
    };
    let error = connection
        .upload(&mut endless, &upload)
        .await
        .expect_err("frozen");
    assert!(matches!(error, Error::Lost { .. }), "{error:?}");
}

#[tokio::test]
async fn a_connection_killed_during_a_download_is_lost_with_the_count_of_bytes() {
    let server = Sshd::start();
    let connection = server.connect().await;
    let file = std::fs::File::create(server.path("large")).expect("a file");
    file.set_len(100_000_000).expect("its size");
    let kill = || server.signal_sessions(Signal::KILL);
    let mut counter = Trigger {
        left: 1_000_000,
        action: &kill,
    };
    let download = Download {
        path: server.path("large").display().to_string(),
        max_bytes: 100_000_000,
        deadline: LONG,
    };
    let error = connection
        .download(&mut counter, &download)
        .await
        .expect_err("killed");
    let Error::Lost { bytes_received, .. } = error else {
        panic!("{error:?}")
    };
    assert!(
        (1_000_000..100_000_000).contains(&bytes_received),
        "{bytes_received}"
    );
}

#[tokio::test]
async fn dropping_a_connection_ends_it_on_the_server_even_with_a_command_running() {
    let server = Sshd::start();
    let connection = server.connect().await;
    let mut stream = connection
        .stream(&Command::new("cat").argument("/dev/zero"), LONG)
        .await
        .expect("started");
    stream.next().await.expect("it runs");
    drop(connection);
    while stream.next().await.is_ok() {}
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while !server.sessions().is_empty() {
        assert!(
            std::time::Instant::now() < deadline,
            "the server still has a session"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
