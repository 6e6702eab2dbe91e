//! The client against a service on loopback: tokens, refusals, and answers that are cut off.

use std::{
    io::{BufRead as _, BufReader},
    net::TcpListener,
};

use super::*;

/// Serves the answers in turn, one a connection, and gives the requests it got.
fn service(answers: Vec<&'static str>) -> (SocketAddr, thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = move || {
        let mut requests = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap())
                .lines()
                .map(Result::unwrap);
            requests.push(
                lines
                    .take_while(|line| !line.is_empty())
                    .collect::<Vec<_>>()
                    .join("\n"),
            );
            stream.write_all(answer.as_bytes()).unwrap();
        }
        requests
    };
    (address, thread::spawn(serve))
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

#[test]
fn a_token_is_fetched_and_shown_with_each_question() {
    let (address, service) = service(vec![
        "HTTP/1.1 503 Not Yet\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
        "HTTP/1.0 200 OK\r\nX: y\r\ncontent-length: 4\r\n\r\nkey\n",
        "HTTP/1.0 404 Not Found\r\n\r\n<html>",
        "HTTP/1.0 500 Broken\r\n\r\n",
    ]);
    let metadata = Metadata::reach_at(address, soon()).unwrap();
    assert_eq!(
        metadata.get("meta-data/public-keys/0/openssh-key"),
        Ok(Some(b"key\n".to_vec()))
    );
    assert_eq!(metadata.get("user-data"), Ok(None));
    assert!(metadata.get("user-data").unwrap_err().contains("500"));
    let requests = service.join().unwrap();
    assert!(
        requests[1].starts_with("PUT /latest/api/token HTTP/1.0\n"),
        "{requests:?}"
    );
    assert!(
        requests[1].contains("X-aws-ec2-metadata-token-ttl-seconds: 21600"),
        "{requests:?}"
    );
    assert!(
        requests[2].starts_with("GET /latest/meta-data/public-keys/0/openssh-key "),
        "{requests:?}"
    );
    assert!(
        requests[2].contains("X-aws-ec2-metadata-token: abc"),
        "{requests:?}"
    );
}

#[test]
fn a_service_without_tokens_is_asked_without() {
    let (address, service) = service(vec!["HTTP/1.1 405 No\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\nhello"]);
    let metadata = Metadata::reach_at(address, soon()).unwrap();
    assert_eq!(metadata.get("user-data"), Ok(Some(b"hello".to_vec())));
    assert!(!service.join().unwrap()[1].contains("metadata-token"));
}

#[test]
fn a_broken_answer_is_an_error_and_never_a_short_body() {
    for answer in [
        "",
        "HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
        "HTTP/1.0 200 OK\r\n",
        "SSH-2.0-what\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ] {
        assert!(parse(answer.as_bytes()).is_err(), "{answer:?}");
    }
}

#[test]
fn a_service_that_is_not_there_ends_with_the_deadline() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert!(Metadata::reach_at(address, Instant::now()).is_err());
}
