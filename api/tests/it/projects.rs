//! Projects and chroots.

use poem::http::Method;
use serde_json::{Value, json};

use crate::farm::{CHROOT, Farm, OTHER_CHROOT};

#[tokio::test]
async fn a_new_project_is_shown_as_copr_shows_it() {
    let farm = Farm::start().await;
    farm.project("other").await;
    // Exactly what copr-cli 2.6 sends for `create demo --chroot ... --description d ...`.
    let body = json!({
        "name": "demo", "chroots": [CHROOT, OTHER_CHROOT], "description": "d", "instructions": "i",
        "homepage": null, "contact": null, "additional_repos": ["copr://alice/other"], "unlisted_on_hp": true,
        "enable_net": true, "persistent": false, "auto_prune": true, "bootstrap": "image", "bootstrap_image": null,
        "isolation": "nspawn", "follow_fedora_branching": false, "devel_mode": true, "delete_after_days": "30",
        "multilib": true, "module_hotfixes": true, "fedora_review": true, "appstream": false,
        "runtime_dependencies": ["https://example.org/r/"], "packit_forge_projects_allowed": ["github.com/a/b"],
        "repo_priority": "10", "storage": null,
    });
    let added = farm
        .post(
            &farm.alice,
            "/api_3/project/add/alice?ownername=alice&exist_ok=False",
            body,
        )
        .await
        .good();
    insta::assert_snapshot!(serde_json::to_string_pretty(&added).unwrap());
    let shown = farm
        .get("/api_3/project?ownername=alice&projectname=demo&unknown=1")
        .await
        .good();
    assert_eq!(shown, added);

    // Its repositories were made before the answer; its key is the signers' business, never this process's.
    let (owner, name) = ("alice".parse().unwrap(), "demo".parse().unwrap());
    let project = farm.store.project(&owner, &name).await.unwrap().unwrap();
    assert_eq!(farm.store.signing_key(project.id).await.unwrap(), None);
    for chroot in &project.chroots {
        let key = store::RepositoryKey {
            project: project.id,
            directory: &"demo".parse().unwrap(),
            chroot,
        };
        assert!(farm.store.is_published(key).await.unwrap(), "{chroot}");
    }
}

#[tokio::test]
async fn a_project_that_exists_is_an_error_unless_that_is_fine() {
    let farm = Farm::start().await;
    let first = farm.project("p1").await;
    let body = json!({"name": "p1", "chroots": [CHROOT]});
    let error = farm
        .post(&farm.alice, "/api_3/project/add/alice", body.clone())
        .await
        .error(400);
    assert_eq!(error, "name: You already have a project named 'p1'.");
    let again = farm
        .post(
            &farm.alice,
            "/api_3/project/add/alice?exist_ok=True",
            body.clone(),
        )
        .await
        .good();
    assert_eq!(again, first);
    let error = farm
        .post(&farm.operator, "/api_3/project/add/alice", body)
        .await
        .error(400);
    assert_eq!(error, "name: User 'alice' already has a project named 'p1'.");
}

#[tokio::test]
async fn of_two_projects_made_at_once_under_one_name_one_wins() {
    let farm = Farm::start().await;
    let body = || json!({"name": "race", "chroots": [CHROOT]});
    let (one, other) = tokio::join!(
        farm.post(&farm.alice, "/api_3/project/add/alice", body()),
        farm.post(&farm.alice, "/api_3/project/add/alice", body()),
    );
    let (winner, loser) = if one.status.is_success() {
        (one, other)
    } else {
        (other, one)
    };
    winner.good();
    assert_eq!(loser.error(400), "name: You already have a project named 'race'.");
    let listed = farm.get("/api_3/project/list?ownername=alice").await.good();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_cannot_be_a_project_is_refused() {
    let farm = Farm::start().await;
    let add = |body| farm.post(&farm.alice, "/api_3/project/add/alice", body);
    for (body, expected) in [
        (
            json!({"name": "a", "chroots": ["x"]}),
            "chroots: 'x' is not a valid choice for this field.",
        ),
        (
            json!({"name": "a"}),
            "chroots: At least one chroot must be selected",
        ),
        (
            json!({"name": "a", "chroots": []}),
            "chroots: At least one chroot must be selected",
        ),
        (json!({"chroots": [CHROOT]}), "name: This field is required."),
        (
            json!({"name": "123", "chroots": [CHROOT]}),
            "name: `123` is not a valid project name: it must not be a number.",
        ),
        (
            json!({"name": "../x", "chroots": [CHROOT]}),
            "name: `../x` is not a valid project name: it must begin with a letter, a digit or _.",
        ),
        (
            json!({"name": "a", "chroots": [CHROOT], "delete_after_days": "721"}),
            "delete_after_days: Number must be between -1 and 720.",
        ),
        (
            json!({"name": "a", "chroots": [CHROOT], "additional_repos": ["file:///etc"]}),
            "repos: 'file:///etc' is refused: it must begin with http:// or https:// and a host.",
        ),
        (
            json!({"name": "a", "chroots": [CHROOT], "additional_repos": ["https://x/?priority=0"]}),
            "repos: 'https://x/?priority=0' is refused: priority must be a number from 1 to 99.",
        ),
        (
            json!({"name": "a", "chroots": [CHROOT], "homepage": "javascript:alert(1)"}),
            "homepage: Invalid URL: it must begin with http:// or https:// and a host.",
        ),
    ] {
        assert_eq!(add(body).await.error(400), expected);
    }
    assert_eq!(farm.get("/api_3/project/list").await.good()["items"], json!([]));
    assert!(farm.files("results").is_empty());
}

/// As `copr-cli modify --repos ""` sends it.
#[tokio::test]
async fn a_list_of_one_empty_text_takes_all_repositories_away() {
    let farm = Farm::start().await;
    farm.project("p1").await;
    let edit = |body| farm.call(&farm.alice, Method::PUT, "/api_3/project/edit/alice/p1/", body);
    for (repos, wanted) in [
        (json!(["http://example.org/r/"]), json!(["http://example.org/r/"])),
        (json!([""]), json!([])),
    ] {
        let changed = edit(json!({"repos": repos})).await.good();
        assert_eq!(changed["additional_repos"], wanted);
    }
}

#[tokio::test]
async fn an_operator_makes_projects_for_users_that_there_are() {
    let farm = Farm::start().await;
    let body = json!({"name": "p1", "chroots": [CHROOT]});
    let add = |owner: &str| format!("/api_3/project/add/{owner}");
    let refused = farm.post(&farm.operator, &add("nobody"), body.clone()).await;
    assert_eq!(refused.error(404), "User 'nobody' does not exist.");
    farm.post(&farm.operator, &add("alice"), body).await.good();
}

#[tokio::test]
async fn an_edit_changes_only_what_it_names() {
    let farm = Farm::start().await;
    farm.project_of(&farm.bob, "lib").await;
    farm.project("p1").await;
    let edit = |body| farm.call(&farm.alice, Method::PUT, "/api_3/project/edit/alice/p1/", body);
    let changed = edit(json!({
        "description": "about", "repos": ["http://example.org/$chroot/",
        "http://example.org/$distname/$releasever_major/$arch/$releasever/?priority=3", "copr://bob/lib?priority=4"], "enable_net": "True", "repo_priority": "7",
        "contact": null, "isolation": "unchanged",
    }))
    .await
    .good();
    assert_eq!(changed["description"], "about");
    assert_eq!(
        changed["additional_repos"],
        json!([
            "http://example.org/$chroot/",
            "http://example.org/$distname/$releasever_major/$arch/$releasever/?priority=3",
            "copr://bob/lib?priority=4"
        ])
    );
    assert_eq!(changed["enable_net"], true);
    assert_eq!(changed["repo_priority"], 7);
    assert_eq!(changed["isolation"], "default");
    let again = edit(json!({"homepage": "https://example.org/", "chroots": [CHROOT]}))
        .await
        .good();
    assert_eq!(again["description"], "about");
    assert_eq!(again["homepage"], "https://example.org/");
    assert!(
        edit(json!({"chroots": [OTHER_CHROOT]}))
            .await
            .error(400)
            .starts_with("chroots: ")
    );
    assert_eq!(
        edit(json!({"chroots": ["x"]})).await.error(400),
        "chroots: 'x' is not a valid choice for this field."
    );

    let config =
        format!("/api_3/project-chroot/build-config?ownername=alice&projectname=p1&chrootname={CHROOT}");
    let config = farm.get(&config).await.good();
    assert_eq!(config["enable_net"], true);
    assert_eq!(
        config["repos"][0]["baseurl"],
        format!("http://farm.example:8080/results/alice/p1/{CHROOT}/")
    );
    assert_eq!(
        config["repos"][1]["baseurl"],
        format!("http://example.org/{CHROOT}/")
    );
    assert_eq!(
        config["repos"][2]["baseurl"],
        "http://example.org/microdistro/$releasever_major/x86_64/1/"
    );
    assert_eq!(config["repos"][2]["priority"], 3);
    assert_eq!(
        config["repos"][3]["baseurl"],
        format!("http://farm.example:8080/results/bob/lib/{CHROOT}/")
    );
    assert_eq!(config["repos"][3]["priority"], 4);
}

#[tokio::test]
async fn lists_are_paged_and_end() {
    let farm = Farm::start().await;
    for name in ["one", "two", "three"] {
        farm.project(name).await;
    }
    let names = |reply: &Value| -> Vec<String> {
        reply["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let all = farm.get("/api_3/project/list?ownername=alice").await.good();
    assert_eq!(names(&all), ["one", "two", "three"]);
    assert_eq!(
        all["meta"],
        json!({"limit": null, "offset": 0, "order": "id", "order_type": "ASC"})
    );
    let page = farm.get("/api_3/project/list?limit=2&offset=1").await.good();
    assert_eq!(names(&page), ["two", "three"]);
    assert_eq!(page["meta"]["limit"], 2);
    assert_eq!(page["meta"]["offset"], 1);
    assert!(names(&farm.get("/api_3/project/list?limit=2&offset=3").await.good()).is_empty());
    assert!(names(&farm.get("/api_3/project/list?ownername=nobody").await.good()).is_empty());
    let refused = farm.get("/api_3/project/list?ownername=a/b").await.error(400);
    assert!(
        refused.starts_with("ownername: `a/b` is not a valid owner name"),
        "{refused}"
    );
    assert_eq!(
        names(&farm.get("/api_3/project/search?query=thre").await.good()),
        ["three"]
    );
}

#[tokio::test]
async fn the_chroots_are_a_plain_map() {
    let farm = Farm::start().await;
    let chroots = farm.get("/api_3/mock-chroots/list?pagination=None").await.good();
    assert_eq!(chroots, json!({CHROOT: "A tiny one.", OTHER_CHROOT: ""}));
    // copr-cli prints them in the order of the answer: that in which the farm got them.
    let text = farm.get("/api_3/mock-chroots/list").await.text();
    assert_eq!(
        text,
        format!("{{\"{CHROOT}\": \"A tiny one.\", \"{OTHER_CHROOT}\": \"\"}}")
    );
    assert_eq!(farm.get("/api_3/").await.good(), json!({"version": 3}));
    farm.project("p1").await;
    let path = format!("/api_3/project-chroot?ownername=alice&projectname=p1&chrootname={CHROOT}");
    insta::assert_snapshot!(serde_json::to_string_pretty(&farm.get(&path).await.good()).unwrap());
}

#[tokio::test]
async fn a_deleted_project_leaves_no_files_and_its_neighbours_stay() {
    let farm = Farm::start().await;
    farm.project("p1").await;
    farm.project("p10").await;
    for directory in ["alice/p1/c", "alice/p1:pr:1/c", "alice/p10/c"] {
        let directory = farm.path("results").join(directory);
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("file"), "x").unwrap();
    }
    farm.call(
        &farm.alice,
        Method::DELETE,
        "/api_3/project/delete/alice/p1",
        json!({"verify": true}),
    )
    .await
    .good();
    assert_eq!(farm.files("results"), ["alice/p10/c/file"]);
    farm.get("/results/alice/p1/c/file").await.error(404);

    farm.build("p10").await;
    let delete = farm
        .call(
            &farm.alice,
            Method::DELETE,
            "/api_3/project/delete/alice/p10",
            json!({}),
        )
        .await;
    assert_eq!(
        delete.error(400),
        "Cannot delete a project with builds in progress."
    );
}

#[tokio::test]
async fn what_only_operators_may_change_is_forbidden_to_owners() {
    let farm = Farm::start().await;
    let add = "/api_3/project/add/alice";
    let all = json!({"name": "p1", "chroots": [CHROOT], "persistent": true, "auto_prune": false, "storage": "pulp"});
    assert_eq!(
        farm.post(&farm.alice, add, all).await.error(403),
        "Non-admin cannot create persistent project.\nNon-admin cannot disable auto-prunning.\n\
         Non-admin cannot set storage"
    );
    farm.get("/api_3/project?ownername=alice&projectname=p1")
        .await
        .error(404);

    farm.project("p1").await;
    let edit = "/api_3/project/edit/alice/p1";
    let protect = json!({"persistent": true, "auto_prune": false});
    farm.call(&farm.alice, Method::PUT, edit, protect.clone())
        .await
        .error(403);
    let protected = farm
        .call(&farm.operator, Method::PUT, edit, protect.clone())
        .await
        .good();
    assert_eq!(protected["persistent"], true);
    assert_eq!(protected["auto_prune"], false);
    assert_eq!(
        farm.call(&farm.alice, Method::PUT, edit, json!({"persistent": false}))
            .await
            .error(403),
        "Non-admin cannot lift the protection of a persistent project."
    );
    farm.call(&farm.alice, Method::PUT, edit, json!({"auto_prune": true}))
        .await
        .error(403);
    // What is so already may be said again, as tools that send all they know do.
    let same = json!({"persistent": true, "auto_prune": false, "description": "changed"});
    let changed = farm.call(&farm.alice, Method::PUT, edit, same).await.good();
    assert_eq!(
        (&changed["persistent"], &changed["description"]),
        (&json!(true), &json!("changed"))
    );
    farm.call(
        &farm.alice,
        Method::DELETE,
        "/api_3/project/delete/alice/p1",
        json!({"verify": true}),
    )
    .await
    .error(400);
}

#[tokio::test]
async fn edits_at_the_same_time_keep_what_the_others_did() {
    let farm = Farm::start().await;
    farm.project("p1").await;
    let edit = |body: Value| farm.call(&farm.alice, Method::PUT, "/api_3/project/edit/alice/p1", body);
    for round in 0..4 {
        let (one, two, three) = tokio::join!(
            edit(json!({"description": format!("d{round}")})),
            edit(json!({"instructions": format!("i{round}")})),
            edit(json!({"contact": format!("c{round}")})),
        );
        for reply in [one, two, three] {
            reply.good();
        }
        let project = farm
            .get("/api_3/project?ownername=alice&projectname=p1")
            .await
            .good();
        for (field, letter) in [("description", "d"), ("instructions", "i"), ("contact", "c")] {
            assert_eq!(project[field], format!("{letter}{round}"));
        }
    }
}

#[tokio::test]
async fn the_chroots_of_a_project_may_be_sent_back_in_any_order() {
    let farm = Farm::start().await;
    let body = json!({"name": "p1", "chroots": [CHROOT, OTHER_CHROOT]});
    farm.post(&farm.alice, "/api_3/project/add/alice", body)
        .await
        .good();
    let edit = "/api_3/project/edit/alice/p1";
    for chroots in [[OTHER_CHROOT, CHROOT], [CHROOT, OTHER_CHROOT]] {
        farm.call(&farm.alice, Method::PUT, edit, json!({"chroots": chroots}))
            .await
            .good();
    }
    let error = farm
        .call(&farm.alice, Method::PUT, edit, json!({"chroots": [CHROOT]}))
        .await
        .error(400);
    assert!(error.starts_with("chroots: "), "{error}");
}

#[tokio::test]
async fn a_repository_of_a_project_or_directory_that_the_farm_does_not_have_is_refused_with_the_unknown_name()
{
    let farm = Farm::start().await;
    farm.project("p1").await;
    farm.project_of(&farm.bob, "lib").await;
    farm.build_in("p1", Some("p1:pr:1")).await;
    let shown = farm
        .get("/api_3/project?ownername=alice&projectname=p1")
        .await
        .good();
    for field in ["repos", "runtime_dependencies"] {
        for (address, mistake) in [
            ("copr://carol/lib", "there is no user 'carol'"),
            ("copr://bob/lid?priority=3", "the user 'bob' has no project 'lid'"),
            ("copr://bob/lid:pr:1", "the user 'bob' has no project 'lid'"),
            (
                "copr://bob/lib:pr:1",
                "the project 'bob/lib' has no directory 'lib:pr:1'; its first build makes it",
            ),
            // Of the other number there is one.
            (
                "copr://alice/p1:pr:2?priority=5",
                "the project 'alice/p1' has no directory 'p1:pr:2'; its first build makes it",
            ),
        ] {
            let expected = format!("{field}: '{address}' is refused: {mistake}.");
            let all = json!(["https://example.org/", "copr://bob/lib", address]);
            let new = json!({"name": "new", "chroots": [CHROOT], field: all});
            let reply = farm.post(&farm.alice, "/api_3/project/add/alice", new).await;
            assert_eq!(reply.error(400), expected);
            let change = json!({"description": "changed", field: all});
            let path = "/api_3/project/edit/alice/p1";
            let reply = farm.call(&farm.alice, Method::PUT, path, change).await;
            assert_eq!(reply.error(400), expected);
        }
        let good = json!({field: ["copr://bob/lib", "copr://alice/p1:pr:1", "copr://alice/p1/"]});
        let path = "/api_3/project/edit/alice/p1";
        farm.call(&farm.alice, Method::PUT, path, good).await.good();
        let none = json!({field: [""]});
        farm.call(&farm.alice, Method::PUT, path, none).await.good();
    }
    assert_eq!(
        farm.get("/api_3/project?ownername=alice&projectname=p1")
            .await
            .good(),
        shown
    );
    farm.get("/api_3/project?ownername=alice&projectname=new")
        .await
        .error(404);
}

#[tokio::test]
async fn the_chroots_of_a_project_are_in_the_order_in_which_the_farm_got_them() {
    let farm = Farm::start().await;
    let body = json!({"name": "p1", "chroots": [OTHER_CHROOT, CHROOT]});
    let made = farm.post(&farm.alice, "/api_3/project/add/alice", body).await;
    let change = json!({"description": "d"});
    let changed = farm
        .call(&farm.alice, Method::PUT, "/api_3/project/edit/alice/p1", change)
        .await;
    for reply in [
        made,
        changed,
        farm.get("/api_3/project?ownername=alice&projectname=p1").await,
        farm.get("/api_3/project/list").await,
        farm.get("/api_3/project/search?query=alice").await,
    ] {
        // Not that of the alphabet, which a reader into a sorted map would make of it.
        let text = reply.text();
        let place = |chroot: &str| {
            text.find(&format!("\"{chroot}\":"))
                .unwrap_or_else(|| panic!("{text}"))
        };
        assert!(place(CHROOT) < place(OTHER_CHROOT), "{text}");
    }
}
