//! Opening a connection: who is let in, who is not, and what the error says.

use std::time::Duration;

use shell::{ClientKey, Command, Connection, Endpoint, Error, HostKey, Input, RunOptions, Timeouts};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

use crate::sshd::{Sshd, free_port};

fn another_key() -> ClientKey {
    ClientKey::generate("another").expect("a key")
}

/// Tries to connect to what is no server of ours.
async fn open(endpoint: &Endpoint, handshake: Duration) -> Result<Connection, Error> {
    let key = another_key();
    let timeouts = Timeouts {
        handshake,
        ..Timeouts::default()
    };
    Connection::open(endpoint, &key, &key.host_key().expect("a key"), timeouts).await
}

#[tokio::test]
async fn the_pinned_key_opens_a_connection() {
    let server = Sshd::start();
    let connection = server.connect().await;
    assert_eq!(*connection.host_key(), server.host_key);
    assert!(!connection.is_closed());
    connection.close().await;
}

#[tokio::test]
async fn another_host_key_is_refused_and_both_are_named() {
    let server = Sshd::start();
    let expected = another_key().host_key().expect("a key");
    let error = Connection::open(&server.endpoint, &server.key, &expected, Timeouts::default())
        .await
        .expect_err("refused");
    let text = error.to_string();
    assert!(
        text.contains(expected.fingerprint()) && text.contains(server.host_key.fingerprint()),
        "{text}"
    );
    assert!(!error.is_worth_retrying());
    assert!(matches!(error, Error::HostKeyMismatch { got, .. } if got == server.host_key.fingerprint()));
}

#[tokio::test]
async fn a_host_key_of_another_kind_is_a_mismatch_and_not_a_failed_negotiation() {
    let server = Sshd::start();
    let pinned = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBHwf2HMM5TRXvo2SQJjsNkiDD5KqiiNjrGVv3UUh+mMT5RHxiRtOnlqvjhQtBq0VpmpCV/PwUdhOig4vkbqAcEc=";
    let expected: HostKey = pinned.parse().expect("a key");
    let error = Connection::open(&server.endpoint, &server.key, &expected, Timeouts::default())
        .await
        .expect_err("refused");
    assert!(matches!(error, Error::HostKeyMismatch { .. }), "{error:?}");
}

#[tokio::test]
async fn another_user_key_is_refused_and_named() {
    let server = Sshd::start();
    let expected = server.host_key.clone();
    let key = another_key();
    let error = Connection::open(&server.endpoint, &key, &expected, Timeouts::default())
        .await
        .expect_err("refused");
    assert!(matches!(error, Error::AuthenticationRefused { .. }), "{error:?}");
    assert!(error.to_string().contains(&key.fingerprint()), "{error}");
    assert!(!error.is_worth_retrying());
}

#[tokio::test]
async fn a_closed_port_is_unreachable_and_worth_retrying() {
    let endpoint = Endpoint::new("127.0.0.1", free_port(), "root");
    let expected = another_key().host_key().expect("a key");
    let error = Connection::open(&endpoint, &another_key(), &expected, Timeouts::default())
        .await
        .expect_err("nobody there");
    assert!(
        matches!(
            error,
            Error::Unreachable {
                stage: "the TCP connection",
                ..
            }
        ),
        "{error:?}"
    );
    assert!(error.is_worth_retrying());
}

#[tokio::test]
async fn a_silent_server_is_given_up_and_its_socket_closed() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let endpoint = Endpoint::new(
        "127.0.0.1",
        listener.local_addr().expect("address").port(),
        "root",
    );
    let expected = another_key().host_key().expect("a key");
    let timeouts = Timeouts {
        handshake: Duration::from_millis(300),
        ..Timeouts::default()
    };
    let key = another_key();
    let (opened, accepted) = tokio::join!(
        Connection::open(&endpoint, &key, &expected, timeouts),
        listener.accept()
    );
    let error = opened.expect_err("silence");
    assert!(
        matches!(
            error,
            Error::Unreachable {
                stage: "the key exchange",
                ..
            }
        ),
        "{error:?}"
    );
    let (mut socket, _) = accepted.expect("a client");
    let mut sent = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), socket.read_to_end(&mut sent)).await;
    read.expect("the client closes its socket")
        .expect("an orderly end");
    assert!(sent.starts_with(b"SSH-2.0-"), "{sent:?}");
}

/// Greets and sends a valid first packet that promises a key exchange, then falls silent: at this point the
/// protocol library works in a task of its own, which must end too.
#[tokio::test]
async fn a_server_that_falls_silent_within_the_key_exchange_leaves_no_socket_behind() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let endpoint = Endpoint::new(
        "127.0.0.1",
        listener.local_addr().expect("address").port(),
        "root",
    );
    let server = async {
        let (mut socket, _) = listener.accept().await.expect("a client");
        tokio::io::AsyncWriteExt::write_all(&mut socket, b"SSH-2.0-silent\r\n")
            .await
            .expect("a greeting");
        let mut sent = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(10), socket.read_to_end(&mut sent)).await;
        read.expect("the client closes its socket")
            .expect("an orderly end");
        sent
    };
    let (probed, sent) = tokio::join!(open(&endpoint, Duration::from_millis(500)), server);
    assert!(matches!(probed, Err(Error::Unreachable { .. })), "{probed:?}");
    assert!(sent.len() > 100, "the client began a key exchange");
}

#[tokio::test]
async fn a_server_that_speaks_something_else_is_no_success() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let endpoint = Endpoint::new(
        "127.0.0.1",
        listener.local_addr().expect("address").port(),
        "root",
    );
    let server = async {
        let (mut socket, _) = listener.accept().await.expect("a client");
        tokio::io::AsyncWriteExt::write_all(&mut socket, b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .await
            .expect("sent");
    };
    let (probed, ()) = tokio::join!(open(&endpoint, Duration::from_secs(5)), server);
    assert!(
        matches!(probed, Err(Error::Unreachable { .. } | Error::Protocol { .. })),
        "{probed:?}"
    );
}

#[tokio::test]
async fn a_channel_too_many_is_refused_and_the_connection_stays() {
    let server = Sshd::start_with("MaxSessions 1");
    let connection = server.connect().await;
    let mut first = connection
        .stream(
            &Command::new("cat").argument("/dev/zero"),
            Duration::from_secs(60),
        )
        .await
        .expect("the first");
    first.next().await.expect("it runs");
    let options = RunOptions::default();
    let error = connection
        .run(&Command::new("true"), Input::Empty, options)
        .await
        .expect_err("one too many");
    assert!(matches!(error, Error::Refused { .. }), "{error:?}");
    assert!(error.is_worth_retrying());
    first.stop().await;
    assert!(!connection.is_closed());
}

/// A way to a server that ends after so many bytes of the server's.
async fn cut_after(server: &Sshd, limit: usize) -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let target = (server.endpoint.host.clone(), server.endpoint.port);
    tokio::spawn(async move {
        let (near, _) = listener.accept().await.expect("the client");
        let far = TcpStream::connect(target).await.expect("the server");
        let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
            (near.into_split(), far.into_split());
        let answers = async {
            let mut limited = (&mut from_server).take(limit as u64);
            tokio::io::copy(&mut limited, &mut to_client).await
        };
        tokio::select! {
            _ = tokio::io::copy(&mut from_client, &mut to_server) => {}
            _ = answers => {}
        }
    });
    Endpoint::new("127.0.0.1", port, &server.endpoint.user)
}

#[tokio::test]
async fn a_connection_that_ends_within_the_handshake_is_worth_another_try_wherever_it_ends() {
    let server = Sshd::start();
    let (mut limit, mut stages) = (0, std::collections::BTreeSet::new());
    loop {
        let endpoint = cut_after(&server, limit).await;
        let opened = Connection::open(&endpoint, &server.key, &server.host_key, Timeouts::default()).await;
        let Err(error) = opened else { break };
        assert!(error.is_worth_retrying(), "after {limit} bytes: {error}");
        let Error::Unreachable { stage, .. } = error else {
            panic!("after {limit} bytes: {error}")
        };
        stages.insert(stage);
        limit += 40;
        assert!(limit < 20_000, "the handshake never ends");
    }
    assert_eq!(
        stages.into_iter().collect::<Vec<_>>(),
        ["the authentication", "the key exchange"]
    );
}

#[tokio::test]
async fn the_key_that_a_machine_shows_can_be_asked_for_without_logging_in() {
    let server = Sshd::start();
    let Endpoint { host, port, .. } = &server.endpoint;
    let limit = Duration::from_secs(20);
    let shown = HostKey::shown_at(host, *port, limit).await.expect("a key");
    assert_eq!(shown, server.host_key);
    let nobody = HostKey::shown_at("127.0.0.1", free_port(), limit)
        .await
        .expect_err("nobody there");
    assert!(nobody.is_worth_retrying(), "{nobody:?}");
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = silent.local_addr().expect("its address").port();
    let error = HostKey::shown_at("127.0.0.1", port, Duration::from_millis(300))
        .await
        .expect_err("nothing is said");
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
}
