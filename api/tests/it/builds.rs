//! Builds through their life, as clients see them.

use model::{Blame, BuildId};
use poem::http::Method;
use serde_json::{Value, json};

use crate::{
    drive,
    farm::{CHROOT, Farm},
};

async fn chroot_of(farm: &Farm, build: &Value) -> Value {
    farm.get(&format!(
        "/api_3/build-chroot?build_id={}&chrootname={CHROOT}",
        build["id"]
    ))
    .await
    .good()
}

#[tokio::test]
async fn a_build_runs_and_succeeds() {
    let farm = Farm::start().await;
    farm.project("p1").await;
    let build = farm.build("p1").await;
    assert_eq!(build["state"], "pending");
    let queue = farm.get("/api/queue").await.good();
    assert_eq!(queue["entries"][0]["build"], build["id"]);
    assert_eq!(queue["truncated"], false);

    let attempt = drive::run(&farm.store, build["id"].as_i64().unwrap()).await;
    let path = format!("/api_3/build/{}", build["id"]);
    assert_eq!(farm.get(&path).await.good()["state"], "running");
    drive::succeed(&farm.store, &attempt).await;
    let mut done = farm.get(&path).await.good();
    assert_eq!(done["state"], "succeeded");
    for field in ["submitted_on", "started_on", "ended_on"] {
        assert!(done[field].as_i64().unwrap() > 1_700_000_000, "{field}");
        done[field] = json!("[time]");
    }
    insta::assert_snapshot!("build_succeeded", serde_json::to_string_pretty(&done).unwrap());

    let chroot = chroot_of(&farm, &build).await;
    assert_eq!(
        chroot["result_url"],
        format!("http://farm.example:8080/results/alice/p1/{CHROOT}/00000001-hello/")
    );
    let list = farm.get("/api_3/build-chroot/list?build_id=1").await.good();
    assert_eq!(list["items"], json!([chroot]));
    let packages = farm.get("/api_3/build/built-packages/1").await.good();
    insta::assert_snapshot!("built_packages", serde_json::to_string_pretty(&packages).unwrap());
    let one = farm
        .get(&format!(
            "/api_3/build-chroot/built-packages?build_id=1&chrootname={CHROOT}"
        ))
        .await
        .good();
    assert_eq!(one, packages[CHROOT]);
    let source = farm.get("/api_3/build/source-chroot/1").await.good();
    assert_eq!(source["state"], "succeeded");
    assert_eq!(
        source["result_url"],
        "http://farm.example:8080/results/alice/p1/srpm-builds/00000001/"
    );

    let monitor = "/api_3/monitor?ownername=alice&projectname=p1&additional_fields[]=url_build_log&additional_fields[]=url_build";
    insta::assert_snapshot!(
        "monitor",
        serde_json::to_string_pretty(&farm.get(monitor).await.good()).unwrap()
    );
    let package = "/api_3/package?ownername=alice&projectname=p1&packagename=hello&with_latest_build=True";
    let package = farm.get(package).await.good();
    assert_eq!(package["builds"]["latest"]["id"], 1);
    assert_eq!(package["builds"]["latest_succeeded"], json!(null));
    let packages = farm
        .get("/api_3/package/list?ownername=alice&projectname=p1&limit=1000")
        .await
        .good();
    assert_eq!(packages["items"][0]["name"], "hello");
    assert_eq!(packages["meta"]["limit"], 1000);
    let config = farm
        .get(&format!(
            "/api_3/build-chroot/build-config?build_id=1&chrootname={CHROOT}"
        ))
        .await
        .good();
    assert_eq!(config["timeout"], 18000);
    assert_eq!(config["memory_limit"], 2048);
    assert_eq!(config["additional_repos"], json!(["copr://alice/p1"]));
    assert!(config.get("bootstrap").is_none());
}

#[tokio::test]
async fn a_failure_is_shown_with_its_reason() {
    let farm = Farm::start().await;
    farm.project("p1").await;
    let build = farm.build("p1").await;
    let attempt = drive::run(&farm.store, 1).await;
    drive::fail(&farm.store, &attempt, "rpmbuild ended with status 1 in %build").await;
    assert_eq!(farm.get("/api_3/build/1").await.good()["state"], "failed");
    assert_eq!(chroot_of(&farm, &build).await["state"], "failed");
    let attempts = farm.get("/api/builds/1/attempts").await.good();
    assert_eq!(attempts[0]["blame"], "package");
    assert_eq!(attempts[0]["reason"], "rpmbuild ended with status 1 in %build");
    let events = farm.get_as(&farm.operator, "/api/events?build=1").await.good();
    assert!(
        events
            .as_array()
            .unwrap()
            .iter()
            .any(|event| event["new_state"] == "failed"),
        "{events}"
    );
    farm.get_as(&farm.alice, "/api/events").await.error(403);

    let error = farm
        .call(&farm.alice, Method::PUT, "/api_3/build/cancel/1", json!({}))
        .await
        .error(409);
    assert_eq!(error, "Cannot cancel build 1: it has already ended.");
}

#[tokio::test]
async fn reason_and_evidence_name_no_machine_whatever_the_blame_but_what_the_user_named() {
    let own = "http://10.88.0.1:8080/mirrors/more/";
    let reason = format!("connecting to 10.0.0.7:22 (i-0abc1234def567890): refused; {own} answers");
    let shown = format!("connecting to [address] ([instance]): refused; {own} answers");
    for blame in [Blame::Infrastructure, Blame::Package, Blame::Service] {
        let farm = Farm::start().await;
        let body = json!({"name": "p1", "chroots": [CHROOT], "repos": [own]});
        farm.post(&farm.alice, "/api_3/project/add/alice", body)
            .await
            .good();
        farm.build("p1").await;
        let attempt = drive::run(&farm.store, 1).await;
        drive::fail_by(&farm.store, &attempt, blame, &reason).await;
        let attempts = farm.get("/api/builds/1/attempts").await.good();
        assert_eq!(attempts[0]["reason"], json!(shown), "{blame}");
        let page = farm.get("/coprs/alice/p1/build/1/").await.text();
        assert!(page.contains(&shown), "{page}");
        for machine in ["10.0.0.7", "10.0.0.9", "i-0abc", "i-0fed"] {
            assert!(!page.contains(machine), "{machine}: {page}");
        }
        // The others are tried again, and no evidence is shown before the end.
        if blame == Blame::Package {
            assert!(page.contains("exit status at [address] ([instance])"), "{page}");
        }
    }
}

#[tokio::test]
async fn lists_of_builds_are_newest_first_filtered_and_end() {
    let farm = Farm::start().await;
    farm.project("p1").await;
    for _ in 0..3 {
        farm.build("p1").await;
    }
    farm.call(&farm.alice, Method::PUT, "/api_3/build/cancel/2", json!({}))
        .await
        .good();
    let ids = |query: &str| {
        let path = format!("/api_3/build/list?ownername=alice&projectname=p1{query}");
        let farm = &farm;
        async move {
            let reply = farm.get(&path).await.good();
            let ids: Vec<i64> = reply["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|item| item["id"].as_i64().unwrap())
                .collect();
            (ids, reply["meta"].clone())
        }
    };
    assert_eq!(ids("").await.0, [3, 2, 1]);
    let (page, meta) = ids("&limit=2&offset=1").await;
    assert_eq!(page, [2, 1]);
    assert_eq!(
        meta,
        json!({"limit": 2, "offset": 1, "order": "id", "order_type": "DESC"})
    );
    assert!(ids("&limit=1000&offset=1000").await.0.is_empty());
    assert_eq!(ids("&status=canceled").await.0, [2]);
    assert_eq!(ids("&packagename=hello").await.0, [3, 2, 1]);
    assert!(ids("&packagename=world").await.0.is_empty());
}

#[tokio::test]
async fn a_build_is_cancelled_then_deleted_and_not_before() {
    let farm = Farm::start().await;
    farm.project("p1").await;
    farm.build("p1").await;
    farm.build("p1").await;
    let list = "/api_3/build/delete/list";
    let error = farm
        .call(&farm.alice, Method::DELETE, list, json!({"builds": [1, 77]}))
        .await
        .error(400);
    assert_eq!(
        error,
        "Build 1 has not ended: cancel it first.\nBuild 77 does not exist."
    );
    let error = farm
        .call(&farm.alice, Method::DELETE, "/api_3/build/delete/1", json!({}))
        .await
        .error(400);
    assert_eq!(error, "Build 1 has not ended: cancel it first.");
    assert_eq!(
        farm.call(&farm.alice, Method::DELETE, list, json!({}))
            .await
            .error(400),
        "builds: This field is required."
    );

    let canceled = farm
        .call(&farm.alice, Method::PUT, "/api_3/build/cancel/1/", json!({}))
        .await
        .good();
    assert_eq!(canceled["state"], "canceled");
    farm.call(&farm.alice, Method::PUT, "/api_3/build/cancel/2", json!({}))
        .await
        .good();
    farm.call(&farm.bob, Method::DELETE, list, json!({"builds": [1]}))
        .await
        .error(403);
    let deleted = farm
        .call(&farm.alice, Method::DELETE, list, json!({"builds": ["1", 2, 1]}))
        .await
        .good();
    assert_eq!(deleted, json!({"builds": [1, 2, 1]}));
    farm.get("/api_3/build/1").await.error(404);
    assert!(farm.store.build(BuildId(2)).await.unwrap().is_none());
}

#[tokio::test]
async fn the_fleet_is_public_but_not_where_its_machines_are() {
    let farm = Farm::start().await;
    drive::ready_builder(&farm.store).await;
    let fleet = farm.get("/api/fleet").await.good();
    assert_eq!(
        fleet,
        json!({
            "builders": {"ready": 1},
            "pools": [{"name": "dev", "builders": {"ready": 1}, "held_until": null}],
            "queue": 0,
            "troubles": [],
        })
    );
    farm.get("/api/builders").await.error(401);
    let seen = farm.get_as(&farm.alice, "/api/builders").await.good();
    assert_eq!(seen[0]["state"], "ready");
    assert_eq!(seen[0]["address"], json!(null));
    assert_eq!(seen[0]["reason"], "instance [instance] at [address] is ready");
    let seen = farm
        .get_as(&farm.operator, "/api/builders?gone=true")
        .await
        .good();
    assert_eq!(seen[0]["address"], "127.0.0.1");
    assert_eq!(seen[0]["instance_id"], "i-123");
    assert_eq!(seen[0]["reason"], "instance i-123 at 127.0.0.1 is ready");
    let next = farm
        .get_as(&farm.operator, "/api/builders?limit=1&offset=1")
        .await;
    assert_eq!(next.good(), json!([]));
    let metrics = farm.get("/metrics").await.text();
    assert!(
        metrics.contains("verdigris_builders{state=\"ready\"} 1\n"),
        "{metrics}"
    );
    assert!(metrics.contains("verdigris_queue_length 0\n"), "{metrics}");
}
