//! Connections on a socket: clients that say nothing, say it slowly, or come in numbers, and the farm beside them.

use std::{net::SocketAddr, time::Duration};

use api::Limits;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};

use crate::farm::Served;

/// Nothing here takes so long.
const LONG: Duration = Duration::from_secs(30);

const HEALTH: &str = "GET /health HTTP/1.1\r\nHost: x\r\n\r\n";

/// Limits under which silent clients are let go soon.
fn impatient() -> Limits {
    Limits {
        head_timeout: Duration::from_millis(500),
        body_timeout: Duration::from_millis(500),
        ..Limits::default()
    }
}

/// Connects as the client `127.0.0.NUMBER`.
async fn connect(to: SocketAddr, number: u8) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, number], 0))).unwrap();
    socket.connect(to).await.unwrap()
}

/// Reads until the server closes.
async fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let reading = tokio::time::timeout(LONG, stream.read_to_end(&mut answer)).await;
    // A connection that is cut off may end with a reset.
    reading.expect("the server does not close").ok();
    String::from_utf8_lossy(&answer).into_owned()
}

/// One request on a connection that stays; the whole answer.
async fn ask(stream: &mut TcpStream, request: &str) -> String {
    let asking = async {
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let mut buffer = vec![0; 1 << 16];
        loop {
            let text = String::from_utf8_lossy(&answer).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.lines().find_map(|line| {
                    line.to_ascii_lowercase()
                        .strip_prefix("content-length: ")
                        .map(str::to_owned)
                });
                if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                    return text;
                }
            }
            let count = stream.read(&mut buffer).await.unwrap();
            assert!(count > 0, "the server closed after: {text}");
            answer.extend_from_slice(&buffer[..count]);
        }
    };
    tokio::time::timeout(LONG, asking).await.expect("no answer")
}

/// Asks whether the farm is well, as another client.
async fn is_well(served: &Served, number: u8) {
    let answer = ask(&mut connect(served.address, number).await, HEALTH).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

/// Sends one byte after the other, with pauses that are shorter than any limit, until the server closes.
async fn trickle(stream: &mut TcpStream, start: &str, byte: &[u8]) -> String {
    stream.write_all(start.as_bytes()).await.unwrap();
    let (mut reading, mut writing) = stream.split();
    let trickling = async {
        while writing.write_all(byte).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        std::future::pending::<()>().await;
    };
    let mut answer = Vec::new();
    let reading = tokio::time::timeout(LONG, async { reading.read_to_end(&mut answer).await.ok() });
    tokio::select! {
        read = reading => { read.expect("the server does not close"); }
        () = trickling => {}
    }
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_head_that_does_not_end_is_waited_for_no_longer_than_the_limit() {
    let served = Served::with(impatient()).await;
    for start in ["", "GET /", "GET / HTTP/1.1\r\nHost: x\r\n"] {
        let mut silent = connect(served.address, 1).await;
        silent.write_all(start.as_bytes()).await.unwrap();
        assert_eq!(rest(&mut silent).await, "", "{start}");
        let mut slow = connect(served.address, 1).await;
        let byte: &[u8] = if start.len() > 5 { b"a: b\r\n" } else { b"a" };
        let answer = trickle(&mut slow, start, byte).await;
        assert!(!answer.starts_with("HTTP/1.1 2"), "{start}: {answer}");
    }
    // The second request of a connection has no more time than the first.
    let mut kept = connect(served.address, 1).await;
    ask(&mut kept, HEALTH).await;
    kept.write_all(b"GET /hea").await.unwrap();
    assert_eq!(rest(&mut kept).await, "");
    is_well(&served, 1).await;
    served.stop().await;
}

#[tokio::test]
async fn a_body_that_comes_byte_by_byte_is_refused() {
    let limits = Limits {
        min_rate: 1 << 20,
        ..impatient()
    };
    let served = Served::with(limits).await;
    served.farm.project("p1").await;
    let authorization = served.farm.alice.authorization();
    for (path, kind, start) in [
        ("/api_3/project/add/alice", "application/json", "{"),
        (
            "/api_3/build/create/upload",
            "multipart/form-data; boundary=x",
            "--x\r\ncontent-disposition: form-data; name=\"pkgs\"; filename=\"a.src.rpm\"\r\n\r\n",
        ),
    ] {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\nContent-Type: {kind}\r\nContent-Length: \
             1000000\r\n\r\n{start}"
        );
        let answer = trickle(&mut connect(served.address, 1).await, &head, b" ").await;
        assert!(answer.starts_with("HTTP/1.1 408 "), "{path}: {answer}");
        assert!(answer.contains("arrives too slowly"), "{path}: {answer}");
    }
    assert!(served.farm.files("spool").is_empty());
    served.stop().await;
}

/// Waits until a client gets a good answer.
async fn until_served(served: &Served, number: u8) {
    let trying = async {
        while !ask(&mut connect(served.address, number).await, HEALTH)
            .await
            .starts_with("HTTP/1.1 200 ")
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LONG, trying)
        .await
        .expect("never served again");
}

#[tokio::test]
async fn who_takes_nothing_of_a_large_file_does_not_keep_his_connection() {
    let limits = Limits {
        connections_per_client: 1,
        ..impatient()
    };
    let served = Served::with(limits).await;
    let file = served.farm.path("results/alice/p1/large.rpm");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::File::create(&file).unwrap().set_len(256 << 20).unwrap();
    let mut lazy = connect(served.address, 1).await;
    lazy.write_all(b"GET /results/alice/p1/large.rpm HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let mut start = [0; 12];
    lazy.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 200");
    until_served(&served, 1).await;
    served.stop().await;
}

#[tokio::test]
async fn one_address_cannot_take_the_connections_of_all() {
    let limits = Limits {
        connections: 8,
        connections_per_client: 256,
        ..Limits::default()
    };
    let served = Served::with(limits).await;
    let mut open = Vec::new();
    for _ in 0..4 {
        let mut stream = connect(served.address, 1).await;
        ask(&mut stream, HEALTH).await;
        open.push(stream);
    }
    let refused = ask(&mut connect(served.address, 1).await, HEALTH).await;
    assert!(refused.starts_with("HTTP/1.1 429 "), "{refused}");
    assert!(refused.contains("\r\nretry-after: 5\r\n"), "{refused}");
    assert!(
        refused.contains("{\"error\":\"There are too many connections from this address."),
        "{refused}"
    );
    is_well(&served, 2).await;
    open.pop();
    until_served(&served, 1).await;
    served.stop().await;
}

#[tokio::test]
async fn connections_beyond_all_are_told_so_and_those_that_are_there_go_on() {
    let limits = Limits {
        connections: 2,
        ..Limits::default()
    };
    let served = Served::with(limits).await;
    let mut first = connect(served.address, 1).await;
    let mut second = connect(served.address, 2).await;
    ask(&mut first, HEALTH).await;
    ask(&mut second, HEALTH).await;
    let refused = ask(&mut connect(served.address, 3).await, HEALTH).await;
    assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
    assert!(refused.contains("\r\nretry-after: 5\r\n"), "{refused}");
    for stream in [&mut first, &mut second] {
        assert!(ask(stream, HEALTH).await.starts_with("HTTP/1.1 200 "));
    }
    drop(first);
    until_served(&served, 3).await;
    served.stop().await;
}

#[tokio::test]
async fn a_trusted_proxy_is_not_one_client_and_those_behind_it_are_told_apart() {
    let limits = Limits {
        connections_per_client: 1,
        log_streams_per_client: 1,
        trusted_proxies: vec!["127.0.0.9/32".parse().unwrap()],
        ..Limits::default()
    };
    let served = Served::with(limits).await;
    let farm = &served.farm;
    farm.project("p1").await;
    farm.build("p1").await;
    let attempt = crate::drive::run(&farm.store, 1).await;
    let follow = |client: &str| {
        format!(
            "GET /api/attempts/{}/log/stream HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: {client}\r\n\r\n",
            attempt.id
        )
    };
    let mut open = Vec::new();
    for (client, expected) in [
        ("192.0.2.1", "HTTP/1.1 200"),
        ("192.0.2.2", "HTTP/1.1 200"),
        ("192.0.2.1", "HTTP/1.1 429"),
        ("198.51.100.1, 192.0.2.2", "HTTP/1.1 429"),
    ] {
        let mut stream = connect(served.address, 9).await;
        stream.write_all(follow(client).as_bytes()).await.unwrap();
        let mut start = [0; 12];
        stream.read_exact(&mut start).await.unwrap();
        assert_eq!(std::str::from_utf8(&start).unwrap(), expected, "{client}");
        open.push(stream);
    }
    drop(open);
    served.stop().await;
}

#[tokio::test]
async fn one_client_follows_no_more_logs_than_his_share() {
    let limits = Limits {
        log_streams_per_client: 2,
        ..Limits::default()
    };
    let served = Served::with(limits).await;
    let farm = &served.farm;
    farm.project("p1").await;
    farm.build("p1").await;
    let attempt = crate::drive::run(&farm.store, 1).await;
    let request = format!(
        "GET /api/attempts/{}/log/stream HTTP/1.1\r\nHost: x\r\n\r\n",
        attempt.id
    );
    let mut open = Vec::new();
    for (number, expected) in [(1, "200"), (1, "200"), (2, "200"), (2, "200")] {
        let mut stream = connect(served.address, number).await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut start = [0; 12];
        stream.read_exact(&mut start).await.unwrap();
        assert!(start.ends_with(expected.as_bytes()));
        open.push(stream);
    }
    let refused = ask(&mut connect(served.address, 1).await, &request).await;
    assert!(refused.starts_with("HTTP/1.1 429 "), "{refused}");
    assert!(refused.contains("\r\nretry-after: 5\r\n"), "{refused}");
    assert!(
        refused.contains("Too many logs are being followed from this address"),
        "{refused}"
    );
    served.stop().await;
}

#[tokio::test]
async fn a_small_file_comes_with_its_head_at_once() {
    let served = Served::start().await;
    let file = served.farm.path("results/alice/p1/repodata/repomd.xml");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, "x".repeat(1500)).unwrap();
    let request = "GET /results/alice/p1/repodata/repomd.xml HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut kept = connect(served.address, 1).await;
    for _ in 0..30 {
        kept.write_all(request.as_bytes()).await.unwrap();
        let mut buffer = vec![0; 1 << 16];
        // One write of the server is one read here. Two would wait for each other: Nagle's algorithm against delayed
        // acknowledgements.
        let count = tokio::time::timeout(LONG, kept.read(&mut buffer))
            .await
            .unwrap()
            .unwrap();
        let answer = String::from_utf8_lossy(&buffer[..count]).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("content-length: 1500"), "{head}");
        assert_eq!(body.len(), 1500);
    }
    served.stop().await;
}

#[tokio::test]
async fn heads_that_nobody_may_take_for_good_are_refused() {
    let served = Served::start().await;
    for (head, part) in [
        (
            "GET 127.0.0.1:5183 HTTP/1.1\r\nHost: x",
            "only the method CONNECT",
        ),
        (
            "POST example.org:80 HTTP/1.1\r\nHost: x\r\nContent-Length: 0",
            "only the method CONNECT",
        ),
        ("GET * HTTP/1.1\r\nHost: x", "only the method OPTIONS"),
        ("GET /health HTTP/1.1", "Host is missing"),
        ("GET /health HTTP/1.1\r\nHost: x\r\nHost: y", "more than once"),
    ] {
        let mut stream = connect(served.address, 1).await;
        let answer = ask(&mut stream, &format!("{head}\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{head}: {answer}");
        assert!(
            answer.contains("{\"error\":\"") && answer.contains(part),
            "{head}: {answer}"
        );
    }
    for good in [
        "GET /health HTTP/1.0",
        "GET http://elsewhere.example/health HTTP/1.1\r\nHost: elsewhere.example",
    ] {
        let answer = ask(&mut connect(served.address, 1).await, &format!("{good}\r\n\r\n")).await;
        assert!(answer.contains(" 200 OK\r\n"), "{good}: {answer}");
    }
    served.stop().await;
}

#[tokio::test]
async fn many_sockets_leave_descriptors_for_the_rest_of_the_farm() {
    let before = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let few = rustix::process::Rlimit {
        current: Some(800),
        maximum: before.maximum,
    };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, few).unwrap();
    let served = Served::start().await;
    // A client that opens what it can, and says nothing.
    let mut sockets = Vec::new();
    for _ in 0..320 {
        sockets.push(connect(served.address, 1).await);
    }
    is_well(&served, 2).await;
    // Of 800 the farm keeps a half for itself; the client's sockets are in this process as well.
    let files: Vec<_> = (0..200)
        .map_while(|_| std::fs::File::open("/dev/null").ok())
        .collect();
    assert_eq!(files.len(), 200);
    is_well(&served, 2).await;
    drop((files, sockets));
    served.stop().await;
    rustix::process::setrlimit(rustix::process::Resource::Nofile, before).unwrap();
}
