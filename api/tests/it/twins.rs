//! Two api processes beside each other: one database, one directory of results, of sources and of uploads.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use api::{ApiSettings, ApiState, Limits};
use model::BuildId;
use runtime::CancellationToken;
use serde_json::{Value, json};
use store::{DatabaseSettings, Store};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::{
    drive,
    farm::{Farm, Part, multipart},
    rpms,
};

/// A server with a connection pool of its own, as another process has.
struct Server {
    address: SocketAddr,
    store: Store,
    stop: CancellationToken,
}

impl Server {
    async fn start(farm: &Farm) -> Self {
        let store = Store::connect(&DatabaseSettings {
            url: format!("sqlite://{}", farm.path("farm.sqlite").display()),
            max_connections: 4,
        })
        .await
        .unwrap();
        let settings = ApiSettings {
            public_url: "http://farm.example:8080".to_owned(),
            results_root: farm.path("results"),
            spool_dir: farm.path("spool"),
            source_root: farm.path("sources"),
            mirrors: std::collections::BTreeMap::new(),
            max_upload_bytes: 4 << 20,
            min_free_bytes: 0,
            token_lifetime: Duration::from_secs(3600),
            limits: Limits::default(),
        };
        let stop = CancellationToken::new();
        let state = ApiState::new(store.clone(), settings, stop.clone()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(api::serve(listener, state));
        Self { address, store, stop }
    }

    /// Sends a whole request and reads the answer: its status and its JSON.
    async fn ask(&self, head: &str, body: &[u8]) -> (u16, Value) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(body).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let text = String::from_utf8(answer).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap())
    }

    async fn get(&self, path: &str) -> Value {
        let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let (status, body) = self.ask(&head, b"").await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A request that uploads the package to alice's project: head and body.
fn upload(farm: &Farm) -> (String, Vec<u8>) {
    let srpm = rpms::source();
    let json = json!({"ownername": "alice", "projectname": "p1"}).to_string();
    let (content_type, body) = multipart(&[Part::json(json.as_bytes()), Part::file(&srpm.name, &srpm.bytes)]);
    let head = format!(
        "POST /api_3/build/create/upload HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: {}\r\n\
         Content-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
        farm.alice.authorization(),
        body.len()
    );
    (head, body)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_api_processes_take_and_publish_the_same_package_at_once_and_nothing_is_lost() {
    const UPLOADS: usize = 6;
    let farm = Farm::start().await;
    farm.project("p1").await;
    let servers = [
        Arc::new(Server::start(&farm).await),
        Arc::new(Server::start(&farm).await),
    ];
    let (head, body) = upload(&farm);
    let uploads: Vec<_> = (0..UPLOADS)
        .flat_map(|_| servers.clone())
        .map(|server| {
            let (head, body) = (head.clone(), body.clone());
            tokio::spawn(async move { server.ask(&head, &body).await })
        })
        .collect();
    let mut taken = Vec::new();
    for upload in uploads {
        let (status, build) = upload.await.unwrap();
        assert_eq!(status, 200, "{build}");
        taken.push(build["id"].as_i64().unwrap());
    }
    taken.sort_unstable();
    let all: Vec<i64> = (1..).take(2 * UPLOADS).collect();
    assert_eq!(taken, all);
    assert_eq!(farm.files("sources").len(), 1);
    assert!(farm.files("spool").is_empty());
    let [one, other] = &servers;
    let source = other.get("/api_3/build/1").await;
    let source = source["source_package"]["url"].as_str().unwrap();
    let fetched = farm
        .get(source.strip_prefix("http://farm.example:8080").unwrap())
        .await;
    assert_eq!(fetched.body, rpms::source().bytes);

    // The first two are built, and published through both databases' connections at once.
    let first = drive::run(&one.store, 1).await;
    let second = drive::run(&other.store, 2).await;
    tokio::join!(
        drive::succeed(&one.store, &first),
        drive::succeed(&other.store, &second)
    );
    let list = "/api_3/build/list?ownername=alice&projectname=p1&order_type=ASC";
    let shown = one.get(list).await;
    assert_eq!(shown, other.get(list).await);
    let states: Vec<(i64, &str)> = shown["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|build| (build["id"].as_i64().unwrap(), build["state"].as_str().unwrap()))
        .collect();
    let expected: Vec<(i64, &str)> = all
        .iter()
        .map(|id| (*id, if *id <= 2 { "succeeded" } else { "pending" }))
        .collect();
    assert_eq!(states, expected);
    for build in [1, 2] {
        let built = farm.store.built_packages(BuildId(build)).await.unwrap();
        assert_eq!(built.len(), 1, "{built:?}");
        assert_eq!(built[0].1.len(), 2, "{built:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_starts_leaves_the_uploads_of_another_alone() {
    let farm = Farm::start().await;
    farm.project("p1").await;
    let server = Server::start(&farm).await;
    let (head, body) = upload(&farm);
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let (start, end) = body.split_at(body.len() / 2);
    stream.write_all(start).await.unwrap();
    while farm.files("spool").is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let _other = Server::start(&farm).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    stream.write_all(end).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(farm.files("sources").len(), 1);
}
