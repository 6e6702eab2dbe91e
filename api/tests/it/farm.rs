//! A farm's HTTP side with a database of its own.

use std::{path::PathBuf, sync::Arc, time::Duration};

use api::{ApiSettings, ApiState, Limits, app};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use model::{ChrootDefinition, ChrootName};
use poem::{
    Endpoint as _, EndpointExt as _, Request,
    endpoint::BoxEndpoint,
    http::{HeaderMap, Method, StatusCode, header},
};
use runtime::{CancellationToken, clock::now};
use serde_json::Value;
use store::{Chroot, DatabaseSettings, NewUser, Store, User};

pub(crate) const CHROOT: &str = "microdistro-1-x86_64";
pub(crate) const OTHER_CHROOT: &str = "fedora-43-x86_64";

/// What the tests say to the farm, and what they look behind its back.
pub(crate) struct Farm {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) store: Store,
    pub(crate) state: ApiState,
    pub(crate) shutdown: CancellationToken,
    endpoint: BoxEndpoint<'static, poem::Response>,
    pub(crate) alice: Account,
    pub(crate) bob: Account,
    pub(crate) operator: Account,
    worker: tokio::task::JoinHandle<()>,
}

impl Drop for Farm {
    fn drop(&mut self) {
        self.worker.abort();
    }
}

/// A user with a token.
#[derive(Clone)]
pub(crate) struct Account {
    pub(crate) user: User,
    pub(crate) login: String,
    pub(crate) token: String,
}

impl Account {
    pub(crate) fn authorization(&self) -> String {
        format!(
            "Basic {}",
            STANDARD.encode(format!("{}:{}", self.login, self.token))
        )
    }
}

/// An answer, read whole.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The JSON of an answer that has to be a good one.
    pub(crate) fn good(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text());
        self.json()
    }

    /// The text of an error that has to have this status.
    pub(crate) fn error(&self, status: u16) -> String {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        assert_eq!(self.header("content-type"), "application/json");
        assert!(!self.header("x-request-id").is_empty());
        let body = self.json();
        body["error"]
            .as_str()
            .unwrap_or_else(|| panic!("no error text in {body}"))
            .to_owned()
    }
}

/// What a farm is to be different in.
pub(crate) type Adjust = fn(&mut ApiSettings);

impl Farm {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(adjust: Adjust) -> Self {
        Self::start_on(None, adjust).await
    }

    /// On a database of another kind than a file of its own.
    pub(crate) async fn start_on(database: Option<String>, adjust: Adjust) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| -> PathBuf { directory.path().join(name) };
        let url = database.unwrap_or_else(|| format!("sqlite://{}", at("farm.sqlite").display()));
        let store = Store::connect(&DatabaseSettings {
            url,
            max_connections: 4,
        })
        .await
        .unwrap();
        store.migrate().await.unwrap();
        for name in [CHROOT, OTHER_CHROOT] {
            let name: ChrootName = name.parse().unwrap();
            let comment = if name.as_str() == CHROOT {
                "A tiny one."
            } else {
                ""
            };
            let definition = ChrootDefinition::default();
            let chroot = Chroot {
                name,
                comment: comment.to_owned(),
                is_active: true,
                definition,
            };
            store.create_chroots(&[chroot], now()).await.unwrap();
        }
        let mut settings = ApiSettings {
            public_url: "http://farm.example:8080".to_owned(),
            results_root: at("results"),
            spool_dir: at("spool"),
            source_root: at("sources"),
            mirrors: [("small".to_owned(), at("mirror"))].into(),
            max_upload_bytes: 4 << 20,
            min_free_bytes: 0,
            token_lifetime: Duration::from_secs(3600),
            limits: Limits {
                body_timeout: Duration::from_secs(5),
                log_streams: 4,
                ..Limits::default()
            },
        };
        adjust(&mut settings);
        let shutdown = CancellationToken::new();
        let state = ApiState::new(store.clone(), settings, shutdown.clone()).unwrap();
        let endpoint = app(state.clone()).unwrap().boxed();
        let alice = account(&store, "alice", false).await;
        let bob = account(&store, "bob", false).await;
        let operator = account(&store, "root", true).await;
        let worker = tokio::spawn(crate::drive::make_repositories(store.clone()));
        Self {
            directory,
            store,
            state,
            shutdown,
            endpoint,
            alice,
            bob,
            operator,
            worker,
        }
    }

    /// A path below the farm's directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) async fn send(&self, request: Request) -> Reply {
        let response = self.endpoint.get_response(request).await;
        let status = response.status();
        let headers = response.headers().clone();
        let body = response.into_body().into_vec().await.unwrap();
        Reply {
            status,
            headers,
            body,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send(Request::builder().uri_str(path).finish()).await
    }

    pub(crate) async fn get_with(&self, path: &str, name: &str, value: &str) -> Reply {
        self.send(Request::builder().uri_str(path).header(name, value).finish())
            .await
    }

    pub(crate) async fn get_as(&self, who: &Account, path: &str) -> Reply {
        self.get_with(path, "authorization", &who.authorization()).await
    }

    pub(crate) async fn call(&self, who: &Account, method: Method, path: &str, body: Value) -> Reply {
        let request = Request::builder()
            .method(method)
            .uri_str(path)
            .header(header::AUTHORIZATION, who.authorization())
            .content_type("application/json")
            .body(body.to_string());
        self.send(request).await
    }

    /// Any request; `authorization` is the whole header.
    pub(crate) async fn ask(
        &self,
        authorization: Option<&str>,
        method: &Method,
        path: &str,
        content_type: &str,
        body: impl Into<poem::Body>,
    ) -> Reply {
        let mut request = Request::builder()
            .method(method.clone())
            .uri_str(path)
            .header(header::CONTENT_TYPE, content_type);
        if let Some(authorization) = authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        self.send(request.body(body)).await
    }

    pub(crate) async fn post(&self, who: &Account, path: &str, body: Value) -> Reply {
        self.call(who, Method::POST, path, body).await
    }

    /// Makes a project of alice's in the small chroot.
    pub(crate) async fn project(&self, name: &str) -> Value {
        self.project_of(&self.alice, name).await
    }

    /// The same for anybody.
    pub(crate) async fn project_of(&self, who: &Account, name: &str) -> Value {
        let body = serde_json::json!({"name": name, "chroots": [CHROOT]});
        let path = format!("/api_3/project/add/{}", who.user.name);
        self.post(who, &path, body).await.good()
    }

    /// Uploads a source package into alice's project.
    pub(crate) async fn upload(&self, who: &Account, parts: &[Part<'_>]) -> Reply {
        let (content_type, body) = multipart(parts);
        let request = Request::builder()
            .method(Method::POST)
            .uri_str("/api_3/build/create/upload")
            .header(header::AUTHORIZATION, who.authorization())
            .header(header::CONTENT_TYPE, content_type)
            .body(body);
        self.send(request).await
    }

    /// Submits the package `hello` to a project of alice's.
    pub(crate) async fn build(&self, project: &str) -> Value {
        self.build_in(project, None).await
    }

    /// The same in a directory of the project.
    pub(crate) async fn build_in(&self, project: &str, directory: Option<&str>) -> Value {
        let srpm = crate::rpms::source();
        let json = serde_json::json!({
            "ownername": "alice", "projectname": project, "project_dirname": directory,
        })
        .to_string();
        let reply = self
            .upload(
                &self.alice,
                &[Part::file(&srpm.name, &srpm.bytes), Part::json(json.as_bytes())],
            )
            .await;
        reply.good()
    }

    /// Every file below a directory of the farm.
    pub(crate) fn files(&self, name: &str) -> Vec<String> {
        let root = self.path(name);
        let mut found = Vec::new();
        let mut todo = vec![root.clone()];
        while let Some(directory) = todo.pop() {
            for entry in std::fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    todo.push(path);
                } else {
                    found.push(path.strip_prefix(&root).unwrap().display().to_string());
                }
            }
        }
        found.sort();
        found
    }
}

/// One part of a form.
#[derive(Clone, Copy)]
pub(crate) struct Part<'a> {
    pub(crate) name: &'a str,
    pub(crate) file_name: &'a str,
    pub(crate) content: &'a [u8],
}

impl<'a> Part<'a> {
    pub(crate) const fn json(content: &'a [u8]) -> Self {
        Self {
            name: "json",
            file_name: "json",
            content,
        }
    }

    pub(crate) const fn file(file_name: &'a str, content: &'a [u8]) -> Self {
        Self {
            name: "pkgs",
            file_name,
            content,
        }
    }
}

/// A form as python-requests writes it: content type and body.
pub(crate) fn multipart(parts: &[Part<'_>]) -> (String, Vec<u8>) {
    let boundary = "e5d1c0d8f0b94a5bb1a4";
    let mut body = Vec::new();
    for part in parts {
        let head = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{}\"; filename=\"{}\"\r\nContent-Type: \
             application/octet-stream\r\n\r\n",
            part.name, part.file_name
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(part.content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    (format!("multipart/form-data; boundary={boundary}"), body)
}

async fn account(store: &Store, name: &str, is_operator: bool) -> Account {
    let new = NewUser {
        name: name.parse().unwrap(),
        is_operator,
    };
    let user = store.create_user(&new, now()).await.unwrap();
    let issued = store
        .issue_token(user.id, Duration::from_secs(3600), now())
        .await
        .unwrap();
    Account {
        user,
        login: issued.login,
        token: issued.token,
    }
}

/// A farm that listens, for clients that need a socket.
pub(crate) struct Served {
    pub(crate) farm: Arc<Farm>,
    pub(crate) address: std::net::SocketAddr,
    task: tokio::task::JoinHandle<Result<(), api::Error>>,
}

impl Served {
    /// Serves a farm under the address that it listens at; silent clients are let go after a second.
    pub(crate) async fn start() -> Self {
        Self::with(Limits {
            body_timeout: Duration::from_secs(1),
            log_streams: 4,
            ..Limits::default()
        })
        .await
    }

    /// Serves a farm with other limits.
    pub(crate) async fn with(limits: Limits) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut farm = Farm::start().await;
        let settings = ApiSettings {
            public_url: format!("http://{address}"),
            results_root: farm.path("results"),
            spool_dir: farm.path("spool"),
            source_root: farm.path("sources"),
            mirrors: std::collections::BTreeMap::new(),
            max_upload_bytes: 64 << 20,
            min_free_bytes: 0,
            token_lifetime: Duration::from_secs(3600),
            limits,
        };
        farm.state = ApiState::new(farm.store.clone(), settings, farm.shutdown.clone()).unwrap();
        let task = tokio::spawn(api::serve(listener, farm.state.clone()));
        Self {
            farm: Arc::new(farm),
            address,
            task,
        }
    }

    /// Stops it; it has to come to an end.
    pub(crate) async fn stop(self) {
        self.farm.shutdown.cancel();
        tokio::time::timeout(Duration::from_secs(20), self.task)
            .await
            .expect("the server does not stop")
            .unwrap()
            .unwrap();
    }
}
