//! Lists: in the order that is asked for, in pages, and no more of the past than they show.

use model::{BuildId, ChrootName};
use poem::http::Method;
use serde_json::{Value, json};
use store::{BuildOptions, NewUpload, StoredSource};

use crate::{
    drive,
    farm::{CHROOT, Farm, OTHER_CHROOT},
};

/// Submits a build of a package into a directory of alice's project, as an upload would.
async fn submit(farm: &Farm, directory: &str, package: &str, chroots: &[&str]) -> BuildId {
    let name = directory.split(':').next().unwrap();
    let project = farm
        .store
        .project(&"alice".parse().unwrap(), &name.parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    let new = NewUpload {
        project: project.id,
        submitter: farm.alice.user.id,
        directory: directory.parse().unwrap(),
        package: package.parse().unwrap(),
        version: "1.0-1".to_owned(),
        srpm: StoredSource {
            file_name: format!("{package}-1.0-1.src.rpm"),
            sha256: "ab".repeat(32),
            size: 10,
        },
        chroots: chroots
            .iter()
            .map(|name| name.parse::<ChrootName>().unwrap())
            .collect(),
        skipped: Vec::new(),
        options: BuildOptions::default(),
    };
    farm.store
        .submit_upload(&new, runtime::clock::now())
        .await
        .unwrap()
        .id
}

/// A farm whose project `p1` builds for both chroots.
async fn farm_with_project() -> Farm {
    let farm = Farm::start().await;
    let body = json!({"name": "p1", "chroots": [CHROOT, OTHER_CHROOT]});
    farm.post(&farm.alice, "/api_3/project/add/alice", body)
        .await
        .good();
    farm
}

fn column(list: &Value, field: &str) -> Vec<Value> {
    list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item[field].clone())
        .collect()
}

#[tokio::test]
async fn a_list_is_in_the_order_that_is_asked_for_and_says_so() {
    let farm = farm_with_project().await;
    farm.project("a2").await;
    for package in ["zlib", "acl", "make"] {
        submit(&farm, "p1", package, &[OTHER_CHROOT, CHROOT]).await;
    }
    let in_project = "ownername=alice&projectname=p1";
    for (path, field, ascending, by_name) in [
        (
            "/api_3/project/list?ownername=alice".to_owned(),
            "name",
            json!(["p1", "a2"]),
            json!(["a2", "p1"]),
        ),
        (
            "/api_3/project/search?query=alice/".to_owned(),
            "name",
            json!(["p1", "a2"]),
            json!(["a2", "p1"]),
        ),
        (
            format!("/api_3/package/list?{in_project}"),
            "name",
            json!(["zlib", "acl", "make"]),
            json!(["acl", "make", "zlib"]),
        ),
        (
            "/api_3/build-chroot/list?build_id=1".to_owned(),
            "name",
            json!([OTHER_CHROOT, CHROOT]),
            json!([OTHER_CHROOT, CHROOT]),
        ),
        (
            format!("/api_3/build/list?{in_project}"),
            "id",
            json!([1, 2, 3]),
            json!(null),
        ),
    ] {
        for (order, wanted) in [("id", ascending), ("name", by_name)] {
            if wanted.is_null() {
                continue;
            }
            for direction in ["ASC", "DESC"] {
                let query = format!("{path}&order={order}&order_type={direction}");
                let mut wanted = wanted.as_array().unwrap().clone();
                if direction == "DESC" {
                    wanted.reverse();
                }
                let list = farm.get(&query).await.good();
                assert_eq!(column(&list, field), wanted, "{query}");
                assert_eq!(list["meta"]["order"], order);
                assert_eq!(list["meta"]["order_type"], direction);
                let page = farm.get(&format!("{query}&limit=1&offset=1")).await.good();
                assert_eq!(column(&page, field), wanted[1..2], "{query}");
            }
        }
    }
    let newest_first = farm.get(&format!("/api_3/build/list?{in_project}")).await.good();
    assert_eq!(column(&newest_first, "id"), [json!(3), json!(2), json!(1)]);
    assert_eq!(newest_first["meta"]["order_type"], "DESC");
    let refused = farm
        .get(&format!("/api_3/build/list?{in_project}&order=name"))
        .await
        .error(400);
    assert_eq!(refused, "order: Must be one of: id.");
}

#[tokio::test]
async fn a_package_keeps_its_id_when_its_builds_go() {
    let farm = farm_with_project().await;
    for package in ["zlib", "acl", "zlib"] {
        submit(&farm, "p1", package, &[CHROOT]).await;
    }
    let package = async || {
        let path = "/api_3/package?ownername=alice&projectname=p1&packagename=zlib&with_latest_build=1\
                    &with_latest_succeeded_build=yes";
        farm.get(path).await.good()
    };
    let first = package().await;
    assert_eq!(first["builds"]["latest"]["id"], 3);
    assert_eq!(first["builds"]["latest_succeeded"], json!(null));
    let listed = farm
        .get("/api_3/package/list?ownername=alice&projectname=p1")
        .await
        .good();
    assert_eq!(column(&listed, "id")[0], first["id"]);

    let attempt = drive::run(&farm.store, 3).await;
    drive::succeed(&farm.store, &attempt).await;
    assert_eq!(package().await["builds"]["latest_succeeded"]["id"], 3);
    let cancel = farm.call(&farm.alice, Method::PUT, "/api_3/build/cancel/1", json!({}));
    cancel.await.good();
    let ids = json!({"builds": [1, 3]});
    farm.call(&farm.alice, Method::DELETE, "/api_3/build/delete/list", ids)
        .await
        .good();
    let left = package().await;
    assert_eq!(left["id"], first["id"]);
    assert_eq!(left["builds"], json!({"latest": null, "latest_succeeded": null}));
}

#[tokio::test]
async fn the_monitor_shows_the_last_build_in_each_chroot_of_the_directory_that_is_asked_for() {
    let farm = farm_with_project().await;
    submit(&farm, "p1", "zlib", &[CHROOT, OTHER_CHROOT]).await;
    submit(&farm, "p1", "zlib", &[CHROOT]).await;
    submit(&farm, "p1:pr:7", "zlib", &[OTHER_CHROOT]).await;
    // A package of the project that only another directory has, the first by its name.
    submit(&farm, "p1:pr:7", "aside", &[CHROOT]).await;
    for number in 0..450 {
        submit(&farm, "p1", &format!("package{number:03}"), &[OTHER_CHROOT]).await;
    }
    let monitor = async |query: &str| {
        farm.get(&format!("/api_3/monitor?ownername=alice&projectname=p1{query}"))
            .await
    };
    let all = monitor("&additional_fields[]=url_backend_log").await.good();
    assert_eq!(all["message"], "Project monitor request successful");
    let packages = all["packages"].as_array().unwrap();
    assert_eq!(packages.len(), 451, "more than one portion of the database");
    let names: Vec<&str> = packages
        .iter()
        .map(|package| package["name"].as_str().unwrap())
        .collect();
    assert!(names.is_sorted());
    let cells = &packages[450]["chroots"];
    assert_eq!(cells[CHROOT]["build_id"], 2);
    assert_eq!(cells[OTHER_CHROOT]["build_id"], 1);
    // Nothing has written it yet.
    assert_eq!(cells[CHROOT].get("url_backend_log"), None);

    let attempt = drive::run(&farm.store, 2).await;
    drive::fail(&farm.store, &attempt, "no").await;
    let all = monitor("&additional_fields[]=url_backend_log&additional_fields[]=url_build_log")
        .await
        .good();
    let cell = &all["packages"][450]["chroots"][CHROOT];
    assert_eq!(cell["state"], "failed");
    let base = format!("http://farm.example:8080/results/alice/p1/{CHROOT}/00000002-");
    for (field, file) in [
        ("url_backend_log", "backend.log"),
        ("url_build_log", "builder-live.log"),
    ] {
        let address = cell[field].as_str().unwrap();
        assert!(address.starts_with(&base) && address.ends_with(file), "{address}");
    }

    let pull_request = monitor("&project_dirname=p1:pr:7").await.good();
    let packages = pull_request["packages"].as_array().unwrap();
    let cell = |package: &Value, chroot: &str| package["chroots"][chroot]["build_id"].clone();
    assert_eq!(packages.len(), 2);
    assert_eq!(packages[0]["name"], "aside");
    assert_eq!(cell(&packages[0], CHROOT), 4);
    assert_eq!(packages[1]["name"], "zlib");
    assert_eq!(cell(&packages[1], OTHER_CHROOT), 3);
    for unknown in ["p1:pr:8", "p2", "../p1"] {
        let refused = monitor(&format!("&project_dirname={unknown}")).await.error(404);
        assert_eq!(refused, format!("Project alice/p1 has no directory '{unknown}'."));
    }
}

#[tokio::test]
async fn the_farms_own_log_of_a_build_whose_worker_was_killed_is_named_once_it_is_there() {
    let farm = farm_with_project().await;
    submit(&farm, "p1", "hello", &[CHROOT]).await;
    let on = drive::ready_builder(&farm.store).await;
    let attempt = drive::run_on(&farm.store, 1, &on).await;
    let cancel = farm.call(&farm.alice, Method::PUT, "/api_3/build/cancel/1", json!({}));
    cancel.await.good();
    drive::give_up(&farm.store, &on).await;
    let cell = async || {
        let path = "/api_3/monitor?ownername=alice&projectname=p1&additional_fields[]=url_backend_log";
        farm.get(path).await.good()["packages"][0]["chroots"][CHROOT].clone()
    };
    let found = cell().await;
    assert_eq!(found["state"], "canceled");
    assert_eq!(found.get("url_backend_log"), None);
    // What the next worker does.
    let now = runtime::clock::now();
    let added = farm.store.add_results(attempt.id, "00000001-hello", now).await;
    assert!(added.unwrap());
    let expected = format!("http://farm.example:8080/results/alice/p1/{CHROOT}/00000001-hello/backend.log");
    assert_eq!(cell().await["url_backend_log"], expected);
}

#[tokio::test]
async fn of_builds_that_are_named_together_all_are_deleted_or_none() {
    let farm = farm_with_project().await;
    for _ in 0..3 {
        submit(&farm, "p1", "zlib", &[CHROOT]).await;
    }
    for build in [1, 2] {
        let path = format!("/api_3/build/cancel/{build}");
        farm.call(&farm.alice, Method::PUT, &path, json!({})).await.good();
    }
    let delete = async |builds: Value| {
        let body = json!({"builds": builds});
        farm.call(&farm.alice, Method::DELETE, "/api_3/build/delete/list", body)
            .await
    };
    delete(json!([1, 2, 3])).await.error(400);
    delete(json!([1, 2, 99])).await.error(400);
    let many: Vec<i64> = (1..=201).collect();
    assert_eq!(
        delete(json!(many)).await.error(400),
        "builds: At most 200 builds can be deleted at once."
    );
    for build in 1..=3 {
        farm.get(&format!("/api_3/build/{build}")).await.good();
    }
    delete(json!([1, 2])).await.good();
    for build in 1..=2 {
        farm.get(&format!("/api_3/build/{build}")).await.error(404);
    }
    farm.get("/api_3/build/3").await.good();
}

#[tokio::test]
async fn a_build_in_a_directory_uses_the_repositories_of_the_project_and_of_the_directory() {
    let farm = farm_with_project().await;
    let lib = json!({"name": "lib", "chroots": [CHROOT], "module_hotfixes": true});
    farm.post(&farm.alice, "/api_3/project/add/alice", lib)
        .await
        .good();
    let settings = json!({
        "repos": ["https://example.org/r/", "copr://alice/lib"], "repo_priority": 7, "module_hotfixes": true,
    });
    farm.call(&farm.alice, Method::PUT, "/api_3/project/edit/alice/p1", settings)
        .await
        .good();
    submit(&farm, "p1:pr:1", "zlib", &[CHROOT]).await;

    let build = farm.get("/api_3/build/1").await.good();
    assert_eq!(build["project_dirname"], "p1:pr:1");
    assert_eq!(build["repo_url"], "http://farm.example:8080/results/alice/p1");
    let query = format!("/api_3/build-chroot/build-config?build_id=1&chrootname={CHROOT}");
    let config = farm.get(&query).await.good();
    let results = "http://farm.example:8080/results/alice";
    assert_eq!(
        config["repos"],
        json!([
            {"id": "copr_base", "name": "Copr repository", "baseurl": format!("{results}/p1/{CHROOT}/"), "priority": 7,
             "repo_gpgcheck": false, "module_hotfixes": true},
            {"id": "copr_coprdir", "name": "Coprdir repository", "baseurl": format!("{results}/p1:pr:1/{CHROOT}/"), "priority": 7, "repo_gpgcheck": false},
            {"id": "https_example_org_r", "name": "Additional repo https_example_org_r",
             "baseurl": "https://example.org/r/"},
            {"id": "copr_alice_lib", "name": "Additional repo copr_alice_lib",
             "baseurl": format!("{results}/lib/{CHROOT}/"), "repo_gpgcheck": false, "module_hotfixes": true},
        ])
    );
    assert_eq!(
        config["additional_repos"],
        json!(["copr://alice/p1", "https://example.org/r/", "copr://alice/lib"])
    );

    let described = farm.get("/api_3/rpmrepo/alice/p1:pr:1/fedora-43").await.good();
    assert_eq!(described["directories"], json!({"p1": {}, "p1:pr:1": {}}));
    let options = &described["repos"]["fedora-43"]["arch"]["x86_64"]["opts"];
    assert_eq!(*options, json!({"priority": 7, "module_hotfixes": "1"}));
    let missing = farm
        .get("/api_3/rpmrepo/alice/p1:pr:2/fedora-43")
        .await
        .error(404);
    assert_eq!(missing, "Project alice/p1 has no directory 'p1:pr:2'.");
}

#[tokio::test]
async fn the_queue_is_shown_from_the_front_in_pages_with_its_whole_length() {
    let farm = farm_with_project().await;
    for _ in 0..5 {
        submit(&farm, "p1", "zlib", &[CHROOT]).await;
    }
    let queue = async |query: &str| farm.get(&format!("/api/queue{query}")).await.good();
    let whole = queue("").await;
    let places = |queue: &Value| -> Vec<(i64, i64)> {
        let entries = queue["entries"].as_array().unwrap();
        let number = |entry: &Value, field: &str| entry[field].as_i64().unwrap();
        entries
            .iter()
            .map(|entry| (number(entry, "position"), number(entry, "build")))
            .collect()
    };
    assert_eq!(places(&whole), [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5)]);
    assert_eq!((&whole["total"], &whole["truncated"]), (&json!(5), &json!(false)));
    let page = queue("?limit=2&offset=1").await;
    assert_eq!(places(&page), [(2, 2), (3, 3)]);
    assert_eq!((&page["total"], &page["truncated"]), (&json!(5), &json!(true)));
    let end = queue("?limit=2&offset=3").await;
    assert_eq!(places(&end), [(4, 4), (5, 5)]);
    assert_eq!(end["truncated"], false);
    assert!(places(&queue("?offset=1000000000000000").await).is_empty());
    assert_eq!(farm.get("/api/fleet").await.good()["queue"], 5);
    let metrics = farm.get("/metrics").await.text();
    assert!(metrics.contains("verdigris_queue_length 5\n"), "{metrics}");
}
