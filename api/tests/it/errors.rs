//! Every failure has one shape, and says what is wrong.

use std::time::Duration;

use poem::{
    Request,
    http::{Method, StatusCode},
};
use serde_json::json;
use store::testing::PostgresServer;

use crate::farm::{CHROOT, Farm, Part};

#[tokio::test]
async fn wrong_or_missing_credentials_are_answered_as_copr_answers_them() {
    let farm = Farm::start().await;
    let good = farm.alice.authorization();
    let expected = json!({
        "output": "notok",
        "error": "Login invalid/expired. Please visit http://farm.example:8080/api to get or renew your API token.",
    });
    for authorization in [
        "",
        "Basic",
        "Basic !!!",
        "Basic YWxpY2U=",
        "Basic OnRva2Vu",
        "Bearer abc",
        "Basic YWxpY2U6d3Jvbmc=",
        good.split_at(good.len() - 6).0,
        &format!("Basic {}", "A".repeat(9000)),
    ] {
        let reply = farm
            .get_with("/api_3/auth-check", "authorization", authorization)
            .await;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{authorization}");
        assert_eq!(reply.json(), expected);
        assert_eq!(reply.header("www-authenticate"), "Basic realm=\"verdigris\"");
    }
    let reply = farm.get_as(&farm.alice, "/api_3/auth-check/").await;
    assert_eq!(reply.good(), json!({"id": farm.alice.user.id.0, "name": "alice"}));
}

#[tokio::test]
async fn an_old_token_is_void_once_a_new_one_is_made() {
    let farm = Farm::start().await;
    let issued = farm
        .post(&farm.alice, "/api_3/api-token/", json!({}))
        .await
        .good();
    assert!(issued["api_token"].as_str().unwrap().starts_with("vdg_"));
    assert_eq!(issued["expiration"].as_str().unwrap().len(), "2026-11-24".len());
    farm.get_as(&farm.alice, "/api_3/auth-check").await.error(401);
    let mut renewed = farm.alice.clone();
    renewed.login = issued["api_login"].as_str().unwrap().to_owned();
    renewed.token = issued["api_token"].as_str().unwrap().to_owned();
    farm.get_as(&renewed, "/api_3/auth-check").await.good();
}

#[tokio::test]
async fn a_token_is_void_when_its_time_is_over() {
    let farm = Farm::start_with(|settings| settings.token_lifetime = Duration::ZERO).await;
    let issued = farm.post(&farm.alice, "/api_3/api-token", json!({})).await.good();
    let mut renewed = farm.alice.clone();
    renewed.login = issued["api_login"].as_str().unwrap().to_owned();
    renewed.token = issued["api_token"].as_str().unwrap().to_owned();
    let error = farm.get_as(&renewed, "/api_3/auth-check").await.error(401);
    assert!(error.starts_with("Login invalid/expired."), "{error}");
}

#[tokio::test]
async fn every_failure_has_its_status_and_a_text_that_says_why() {
    let farm = Farm::start().await;
    farm.project("p1").await;
    for (path, status, text) in [
        ("/api_3/nothing", 404, "Such API endpoint doesn't exist"),
        ("/api_3/build/abc", 404, "Such API endpoint doesn't exist"),
        ("/api/nothing", 404, "Such API endpoint doesn't exist"),
        ("/nothing", 404, "There is nothing at this address."),
        (
            "/api_3/project?ownername=alice",
            400,
            "Missing argument projectname",
        ),
        (
            "/api_3/project?ownername=alice&projectname=nope",
            404,
            "Project alice/nope does not exist.",
        ),
        (
            "/api_3/project?ownername=..&projectname=%00",
            404,
            "Project ../\\0 does not exist.",
        ),
        ("/api_3/build/99", 404, "Build 99 does not exist."),
        (
            "/api_3/build-chroot?build_id=99&chrootname=x",
            404,
            "Build 99 does not exist.",
        ),
        (
            "/api_3/build/list?ownername=alice&projectname=p1&limit=-1",
            400,
            "limit: Number must be at least 0.",
        ),
        (
            "/api_3/project/list?order=size",
            400,
            "order: Must be one of: id, name.",
        ),
        (
            "/api_3/project/search?query=ab",
            400,
            "The search query must be at least 3 characters long.",
        ),
        (
            "/api_3/build/list?ownername=alice&projectname=p1&status=done",
            400,
            "status: Must be one of: importing, waiting, ",
        ),
        (
            "/api_3/monitor?ownername=alice&projectname=p1&additional_fields[]=x",
            400,
            "additional_fields[]: Must be one of: url_build_log, url_backend_log, url_build.",
        ),
        (
            "/api_3/project-chroot?ownername=alice&projectname=p1&chrootname=x",
            404,
            "No mock chroot 'x' in project alice/p1",
        ),
        ("/api/attempts/att_zz/log", 404, "Attempt att_zz does not exist."),
        ("/coprs/build/99", 404, "Build 99 does not exist."),
        ("/coprs/alice/nope/", 404, "Project alice/nope does not exist."),
    ] {
        let error = farm.get(path).await.error(status);
        assert!(error.starts_with(text), "{path}: {error}");
    }
    let error = farm
        .get("/api_3/build/list?ownername=alice&projectname=p1&limit=many")
        .await
        .error(400);
    assert_eq!(error, "limit: Not a valid integer value.");
}

#[tokio::test]
async fn bad_bodies_are_refused_with_the_field_that_is_wrong() {
    let farm = Farm::start().await;
    let add = "/api_3/project/add/alice";
    let send = |content_type: &'static str, body: &'static str| {
        let request = Request::builder()
            .method(Method::POST)
            .uri_str(add)
            .header("authorization", farm.alice.authorization())
            .content_type(content_type)
            .body(body);
        farm.send(request)
    };
    let error = send("application/json", "{\"name\": ").await.error(400);
    assert_eq!(
        error,
        "The body of the request is not valid JSON: it ends too early."
    );
    let error = send("application/json", "[]").await.error(400);
    assert!(error.contains("not a JSON object"), "{error}");
    let error = send("text/yaml", "a: b").await.error(415);
    assert!(error.contains("'text/yaml'"), "{error}");
    let error = send("multipart/form-data; boundary=x", "nonsense")
        .await
        .error(400);
    assert!(error.contains("multipart form"), "{error}");
    let error = send("multipart/form-data", "nonsense").await.error(400);
    assert!(error.contains("multipart form"), "{error}");
    let body =
        r#"{"name": {"a": 1}, "chroots": 5, "enable_net": "perhaps", "repo_priority": 0, "bootstrap": "x"}"#;
    let error = send("application/json", body).await.error(400);
    insta::assert_snapshot!(error);
}

#[tokio::test]
async fn bodies_beyond_the_limit_are_refused_whether_their_length_is_told_or_not() {
    let farm = Farm::start().await;
    for told in [true, false] {
        let body = vec![b' '; 2 << 20];
        let body = if told {
            poem::Body::from(body)
        } else {
            let pieces: Vec<Result<bytes::Bytes, std::io::Error>> = body
                .chunks(1 << 16)
                .map(|piece| Ok(piece.to_vec().into()))
                .collect();
            poem::Body::from_bytes_stream(futures_util::stream::iter(pieces))
        };
        let mut request = Request::builder()
            .method(Method::POST)
            .uri_str("/api_3/project/add/alice")
            .header("authorization", farm.alice.authorization())
            .content_type("application/json");
        if told {
            request = request.header("content-length", (2 << 20).to_string());
        }
        let error = farm.send(request.body(body)).await.error(413);
        assert!(error.contains("larger than the 1048576 bytes"), "{error}");
    }
}

#[tokio::test]
async fn wrong_methods_are_405_and_old_clients_may_post() {
    let farm = Farm::start().await;
    farm.project("p1").await;
    let error = farm
        .call(&farm.alice, Method::PUT, "/api_3/project/add/alice", json!({}))
        .await
        .error(405);
    assert_eq!(error, "The method PUT is not allowed for this address.");
    std::fs::create_dir_all(farm.path("results/alice")).unwrap();
    for (method, address, status) in [
        (Method::POST, "/results/alice/", 405),
        (Method::DELETE, "/health", 405),
        (Method::POST, "/coprs/alice/p1/", 405),
        (Method::PUT, "/api_3/build/7", 405),
        // What is not there is not there, whatever the method.
        (Method::POST, "/results/nobody/", 404),
        (Method::POST, "/nothing", 404),
        (Method::DELETE, "/coprs/alice/p2/", 404),
        (Method::PUT, "/coprs/alice/p1/repo/fedora-12/dnf.repo", 404),
        (Method::POST, "/api/nothing", 404),
        (Method::PUT, "/api_3/build/seven", 404),
        (Method::DELETE, "/api/builds/x/attempts", 404),
    ] {
        let reply = farm.call(&farm.alice, method.clone(), address, json!({})).await;
        reply.error(status);
        assert_eq!(
            reply.header("allow").is_empty(),
            status == 404,
            "{method} {address}"
        );
    }

    let reply = farm
        .post(
            &farm.alice,
            "/api_3/project/edit/alice/p1",
            json!({"description": "new"}),
        )
        .await;
    assert_eq!(reply.good()["description"], "new");
    assert!(
        reply.header("warning").contains("deprecated"),
        "an old client is told"
    );
    let reply = farm
        .post(
            &farm.alice,
            "/api_3/project/delete/alice/p1",
            json!({"verify": true}),
        )
        .await;
    assert_eq!(reply.good()["name"], "p1");
    farm.get("/api_3/project?ownername=alice&projectname=p1")
        .await
        .error(404);
}

#[tokio::test]
async fn others_may_read_a_project_but_neither_change_it_nor_build_in_it() {
    let farm = Farm::start().await;
    farm.project("p1").await;
    let bob = &farm.bob;
    let error = farm
        .post(
            bob,
            "/api_3/project/add/alice",
            json!({"name": "x", "chroots": [CHROOT]}),
        )
        .await
        .error(403);
    assert_eq!(
        error,
        "You were authorized as 'bob' user without permissions to access projects of user 'alice'"
    );
    for (method, path) in [
        (Method::PUT, "/api_3/project/edit/alice/p1"),
        (Method::DELETE, "/api_3/project/delete/alice/p1"),
        (Method::PUT, "/api_3/project/regenerate-repos/alice/p1"),
    ] {
        let error = farm
            .call(bob, method, path, json!({"timeout": {}}))
            .await
            .error(403);
        assert_eq!(error, "Only owners and admins may update their projects.");
    }
    // Permission comes before the form, and the project before the permission.
    let not_allowed = "User bob is not allowed to build in the copr: alice/p1";
    let check = "/api_3/build/check-before-build";
    let form = |project: &str| json!({"ownername": "alice", "projectname": project, "timeout": "soon"});
    assert_eq!(farm.post(bob, check, form("p1")).await.error(403), not_allowed);
    farm.post(bob, check, form("nope")).await.error(404);
    assert_eq!(
        farm.post(&farm.alice, check, form("p1")).await.error(400),
        "Bad request parameters: {'timeout': ['Not a valid integer value.']}"
    );
    let json = form("p1").to_string();
    let reply = farm
        .upload(bob, &[Part::json(json.as_bytes()), Part::file("x.src.rpm", b"x")])
        .await;
    assert_eq!(reply.error(403), not_allowed);

    let build = farm.build("p1").await;
    let path = format!("/api_3/build/cancel/{}", build["id"]);
    farm.call(bob, Method::PUT, &path, json!({})).await.error(403);
    // The operator of the farm may.
    farm.call(&farm.operator, Method::PUT, &path, json!({}))
        .await
        .good();
}

#[tokio::test]
async fn what_is_not_built_yet_says_what_works() {
    let farm = Farm::start().await;
    farm.project("p1").await;
    let form = json!({"ownername": "alice", "projectname": "p1", "pkgs": ["http://x/a.src.rpm"]});
    for kind in ["url", "scm", "distgit", "pypi", "rubygems", "custom"] {
        let error = farm
            .post(&farm.alice, &format!("/api_3/build/create/{kind}"), form.clone())
            .await
            .error(400);
        assert!(error.contains("copr-cli build PROJECT FILE.src.rpm"), "{error}");
    }
    farm.post(&farm.alice, "/api_3/build/create/magic", form)
        .await
        .error(404);
    let error = farm
        .post(&farm.alice, "/api_3/project/add/@devs", json!({"name": "x"}))
        .await
        .error(400);
    assert!(error.contains("no groups yet"), "{error}");
    let fork = farm
        .post(&farm.alice, "/api_3/project/fork/alice/p1", json!({}))
        .await
        .error(404);
    assert_eq!(fork, "Such API endpoint doesn't exist");
}

/// Another process that writes to the farm's database and does not end, such as an operator's `sqlite3`, until it is dropped.
struct StuckWriter(std::process::Child);

impl StuckWriter {
    fn of(database: &std::path::Path) -> Self {
        let program = "import sqlite3, sys\n\
                       writer = sqlite3.connect(sys.argv[1], isolation_level=None)\n\
                       writer.execute('BEGIN IMMEDIATE')\n\
                       print('writes', flush=True)\n\
                       sys.stdin.read()\n";
        let mut child = std::process::Command::new("python3")
            .args(["-c", program])
            .arg(database)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        let mut reader = std::io::BufReader::new(child.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut reader, &mut said).unwrap();
        assert_eq!(said, "writes\n");
        Self(child)
    }
}

impl Drop for StuckWriter {
    fn drop(&mut self) {
        self.0.kill().ok(); // It may have ended by itself.
        self.0.wait().ok();
    }
}

#[tokio::test]
async fn health_tells_of_a_writer_that_is_stuck_though_reads_go_on() {
    let farm = Farm::start().await;
    farm.project("p1").await;
    let database = farm.directory.path().join("farm.sqlite");
    let writer = tokio::task::spawn_blocking(move || StuckWriter::of(&database));
    let writer = writer.await.unwrap();
    let health = farm.get("/health").await;
    health.error(503);
    assert_eq!(health.json()["status"], "failing");
    assert_eq!(health.json()["database"], "The database takes no changes.");
    farm.get("/api_3/project/list").await.good();

    drop(writer);
    // What was found is believed for two seconds.
    let began = tokio::time::Instant::now();
    while farm.get("/health").await.status.as_u16() != 200 {
        assert!(began.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_database_that_is_away_is_503_shows_nothing_of_the_inside_and_works_again_afterwards() {
    let mut server = PostgresServer::start().unwrap_or_else(|error| panic!("{error}"));
    let farm = Farm::start_on(Some(server.new_database().unwrap()), |_| {}).await;
    farm.project("p1").await;
    farm.build("p1").await;
    // No controller leads here, which makes the farm no less ready to answer.
    let health = farm.get("/health").await.good();
    assert_eq!(
        (&health["database"], &health["status"]),
        (&json!("ok"), &json!("degraded"))
    );
    server.stop();
    // All at once: each waits as long as the database is given to answer.
    let binary = crate::rpms::binary();
    let parts = [Part::file(&binary.name, &binary.bytes)];
    let (health, list, login, upload, page) = tokio::join!(
        farm.get("/health"),
        farm.get("/api_3/project/list"),
        farm.get_as(&farm.alice, "/api_3/auth-check"),
        farm.upload(&farm.alice, &parts),
        farm.get("/coprs/alice/p1/"),
    );
    health.error(503);
    assert_eq!(health.json()["status"], "failing");
    for reply in [list, login, upload, page] {
        assert_eq!(reply.header("retry-after"), "5");
        assert_eq!(
            reply.error(503),
            "The database cannot be reached at the moment. Please try again."
        );
    }
    server.restart().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(farm.get("/api_3/build/1").await.good()["state"], "pending");
}
