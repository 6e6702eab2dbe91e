//! The server on a socket: slow clients, broken requests, stopping.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    farm::{Part, Served, multipart},
    rpms,
};

/// Sends bytes and reads until the server closes.
async fn talk(served: &Served, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer))
        .await
        .unwrap()
        .unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_client_that_stops_in_the_middle_of_a_body_is_let_go() {
    let served = Served::start().await;
    let authorization = served.farm.alice.authorization();
    for (path, kind) in [
        ("/api_3/project/add/alice", "application/json"),
        ("/api_3/build/create/upload", "multipart/form-data; boundary=x"),
    ] {
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: {authorization}\r\nContent-Type: \
             {kind}\r\nContent-Length: 1000\r\n\r\n--x\r\n"
        );
        let answer = talk(&served, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        assert!(
            answer.contains("\"error\":\"The body of the request stopped arriving, or arrives too slowly.\""),
            "{answer}"
        );
    }
    assert!(served.farm.files("spool").is_empty());
    served.stop().await;
}

/// Waits until something is so.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting)
        .await
        .unwrap_or_else(|_| panic!("within 20 s it was never so that {what}"));
}

#[tokio::test]
async fn a_connection_that_breaks_in_the_middle_of_an_upload_leaves_nothing() {
    let served = Served::start().await;
    let farm = &served.farm;
    farm.project("p1").await;
    let srpm = rpms::source();
    let json = serde_json::json!({"ownername": "alice", "projectname": "p1"}).to_string();
    let (content_type, body) = multipart(&[Part::json(json.as_bytes()), Part::file(&srpm.name, &srpm.bytes)]);
    for framing in [
        format!("Content-Length: {}", body.len()),
        "Transfer-Encoding: chunked".to_owned(),
    ] {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        let head = format!(
            "POST /api_3/build/create/upload HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\nContent-Type: \
             {content_type}\r\n{framing}\r\n\r\n",
            farm.alice.authorization()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let half = &body[..body.len() / 2];
        if framing.ends_with("chunked") {
            let size = format!("{:x}\r\n", half.len());
            stream.write_all(size.as_bytes()).await.unwrap();
        }
        stream.write_all(half).await.unwrap();
        until("the upload is in the spool", || !farm.files("spool").is_empty()).await;
        drop(stream);
        until("the spool is empty again", || farm.files("spool").is_empty()).await;
    }
    assert!(farm.files("sources").is_empty());
    let builds = farm
        .get("/api_3/build/list?ownername=alice&projectname=p1")
        .await
        .good();
    assert_eq!(builds["items"], serde_json::json!([]));
    // Nothing is stuck: the next upload is taken.
    farm.build("p1").await;
    served.stop().await;
}

#[tokio::test]
async fn raw_addresses_do_not_lead_outside() {
    let served = Served::start().await;
    std::fs::write(served.farm.path("secret"), "the secret").unwrap();
    for path in [
        "/results/../secret",
        "/results/..%2fsecret",
        "/results/a/%2e%2e/%2e%2e/secret",
        "//secret",
        "/results//..//secret",
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let answer = talk(&served, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 404 "), "{path}: {answer}");
        assert!(!answer.contains("the secret"), "{path}");
    }
    let nul = talk(
        &served,
        b"GET /results/a\0b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    )
    .await;
    assert!(nul.starts_with("HTTP/1.1 400 "), "{nul}");
    served.stop().await;
}

#[tokio::test]
async fn the_server_stops_while_a_log_is_followed() {
    let served = Served::start().await;
    let farm = &served.farm;
    farm.project("p1").await;
    farm.build("p1").await;
    let attempt = crate::drive::run(&farm.store, 1).await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    let request = format!(
        "GET /api/attempts/{}/log/stream HTTP/1.1\r\nHost: x\r\n\r\n",
        attempt.id
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut start = [0; 12];
    stream.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 200");
    served.stop().await;
}
