use std::sync::atomic::{AtomicUsize, Ordering};

use poem::{
    IntoResponse as _, Request, Response,
    http::{Method, StatusCode},
};
use store::{DatabaseSettings, NewUser, Store};

use super::{KeptAnswers, LONGEST_BYTES, MOST, Plan, plan};

const LIST: &str = "/api_3/build/list?ownername=alice&projectname=p1";

fn request(method: Method, address: &str, headers: &[(&str, &str)]) -> Request {
    let mut request = Request::builder().method(method).uri(address.parse().unwrap());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.finish()
}

#[test]
fn answers_are_kept_for_nobody_in_particular_and_where_they_follow_from_the_database() {
    let planned = |method: Method, address: &str, headers: &[(&str, &str)]| match plan(&request(
        method, address, headers,
    )) {
        Plan::Pass => "pass",
        Plan::Renew => "renew",
        Plan::Use => "use",
    };
    assert_eq!(planned(Method::GET, LIST, &[]), "use");
    assert_eq!(
        planned(Method::GET, LIST, &[("cache-control", "max-age=0")]),
        "use"
    );
    for control in ["no-cache", "max-age=0, No-Cache"] {
        assert_eq!(planned(Method::GET, LIST, &[("cache-control", control)]), "renew");
    }
    for (method, address, headers) in [
        (Method::POST, LIST, &[] as &[_]),
        (Method::GET, LIST, &[("authorization", "Basic eA==")]),
        (Method::GET, LIST, &[("cookie", "session=1")]),
        (Method::GET, "/api_3/build/7", &[]),
        (Method::GET, "/api/fleet", &[]),
        (Method::GET, "/api_3/rpmrepo/alice/p1/fedora-43", &[]),
    ] {
        assert_eq!(
            planned(method.clone(), address, headers),
            "pass",
            "{method} {address}"
        );
    }
}

/// Kept answers beside a database, and how many answers were made.
struct Asked {
    answers: KeptAnswers,
    store: Store,
    made: AtomicUsize,
    directory: tempfile::TempDir,
}

impl Asked {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Self::connect(&directory).await;
        store.migrate().await.unwrap();
        Self {
            answers: KeptAnswers::default(),
            store,
            made: AtomicUsize::new(0),
            directory,
        }
    }

    async fn connect(directory: &tempfile::TempDir) -> Store {
        let settings = DatabaseSettings {
            url: format!("sqlite://{}/farm.sqlite", directory.path().display()),
            max_connections: 2,
        };
        Store::connect(&settings).await.unwrap()
    }

    /// The number of the answer that an address gets: 1 for the first that was made.
    async fn number(&self, address: &str, headers: &[(&str, &str)]) -> String {
        let make = |_: Request| async {
            let number = self.made.fetch_add(1, Ordering::Relaxed) + 1;
            Ok(number.to_string().with_header("x-is", "there").into_response())
        };
        let request = request(Method::GET, address, headers);
        let response = self.answers.answer(&self.store, request, make).await.unwrap();
        assert_eq!(response.headers()["x-is"], "there");
        response.into_body().into_string().await.unwrap()
    }

    async fn made(&self, response: impl Fn() -> Response) -> usize {
        for _ in 0..2 {
            let make = |_: Request| async {
                self.made.fetch_add(1, Ordering::Relaxed);
                Ok(response())
            };
            let request = request(Method::GET, LIST, &[]);
            self.answers.answer(&self.store, request, make).await.unwrap();
        }
        self.made.swap(0, Ordering::Relaxed)
    }
}

async fn change(store: &Store, name: &str) {
    let now = runtime::clock::now();
    let user = NewUser {
        name: name.parse().unwrap(),
        is_operator: false,
    };
    store.create_user(&user, now).await.unwrap();
}

#[tokio::test]
async fn an_answer_is_kept_until_anybody_changes_the_database() {
    let asked = Asked::new().await;
    let other = "/api_3/monitor?ownername=alice&projectname=p1";
    for (address, expected) in [(LIST, "1"), (LIST, "1"), (other, "2"), (LIST, "1"), (other, "2")] {
        assert_eq!(asked.number(address, &[]).await, expected, "{address}");
    }
    change(&asked.store, "alice").await;
    assert_eq!(
        asked.number(LIST, &[]).await,
        "3",
        "this process changed something"
    );
    change(&Asked::connect(&asked.directory).await, "bob").await;
    assert_eq!(asked.number(LIST, &[]).await, "4", "another changed something");
    assert_eq!(asked.number(LIST, &[]).await, "4");
}

#[tokio::test]
async fn who_asks_for_it_gets_a_new_answer_and_others_after_him() {
    let asked = Asked::new().await;
    assert_eq!(asked.number(LIST, &[]).await, "1");
    assert_eq!(asked.number(LIST, &[("cache-control", "no-cache")]).await, "2");
    assert_eq!(asked.number(LIST, &[]).await, "2");
    assert_eq!(asked.number(LIST, &[("authorization", "Basic eA==")]).await, "3");
    assert_eq!(
        asked.number(LIST, &[]).await,
        "2",
        "somebody's own answer is nobody else's"
    );
}

#[tokio::test]
async fn refusals_and_long_answers_are_not_kept_nor_too_many() {
    let asked = Asked::new().await;
    assert_eq!(asked.made(|| StatusCode::NOT_FOUND.into_response()).await, 2);
    let long = |bytes: usize| move || "x".repeat(bytes).into_response();
    assert_eq!(asked.made(long(LONGEST_BYTES + 1)).await, 2);
    assert_eq!(asked.made(long(LONGEST_BYTES)).await, 1);
    for number in 0..MOST.get() {
        asked.number(&format!("{LIST}&offset={number}"), &[]).await;
    }
    assert_eq!(asked.answers.0.lock().unwrap().len(), MOST.get());
    asked.made.store(0, Ordering::Relaxed);
    // What was asked for longest ago has made room.
    assert_eq!(asked.made(long(1)).await, 1);
}
