//! Pages for people, and the texts that dnf fetches.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use poem::http::{Method, StatusCode};
use serde_json::json;

use crate::{
    drive,
    farm::{CHROOT, Farm, OTHER_CHROOT, Reply},
};

const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
                      frame-ancestors 'none'; base-uri 'none'";

/// The text of a page that has to be a good one: no script, no style of its own, nothing left to fill in.
fn page(reply: &Reply) -> String {
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    let text = sound(reply);
    assert!(text.contains("<h1>"), "{text}");
    text
}

fn sound(reply: &Reply) -> String {
    assert_eq!(reply.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(reply.header("content-security-policy"), POLICY);
    let text = reply.text();
    assert!(text.starts_with("<!doctype html>\n<html lang=\"en\">"), "{text}");
    assert!(text.trim_end().ends_with("</html>"), "{text}");
    assert!(
        !text.contains("<script") && !text.contains("style=") && !text.contains("{{"),
        "{text}"
    );
    text
}

#[tokio::test]
async fn an_empty_farm_says_how_to_begin() {
    let farm = Farm::start().await;
    let text = page(&farm.get("/").await);
    assert!(text.contains("Nothing has been built here yet"), "{text}");
    assert!(
        text.contains("copr-cli create demo --chroot microdistro-1-x86_64"),
        "{text}"
    );
    let text = page(&farm.get("/api/").await);
    // Without that line copr-cli speaks to no farm of http.
    let section = "copr_url = http://farm.example:8080\nencrypted = False</code>";
    assert!(text.contains(section), "{text}");
    let style = farm.get("/style.css").await;
    assert_eq!(style.header("content-type"), "text/css; charset=utf-8");
}

#[tokio::test]
async fn what_users_write_is_text_on_every_page() {
    let farm = Farm::start().await;
    let hostile = "<script>alert(1)</script>\"'&";
    let body = json!({"name": "p1", "chroots": [CHROOT], "description": hostile, "instructions": hostile});
    farm.post(&farm.alice, "/api_3/project/add/alice", body)
        .await
        .good();
    farm.build("p1").await;
    let attempt = drive::run(&farm.store, 1).await;
    drive::fail(&farm.store, &attempt, hostile).await;
    for path in [
        "/",
        "/coprs/alice/p1/",
        "/coprs/alice/p1",
        "/coprs/alice/p1/build/1/",
    ] {
        page(&farm.get(path).await);
    }
    let project = farm.get("/coprs/alice/p1/").await.text();
    assert!(
        project.contains("&lt;script&gt;alert(1)&lt;/script&gt;"),
        "{project}"
    );
    assert!(
        project.contains("dnf copr enable --hub http://farm.example:8080 alice/p1"),
        "{project}"
    );
    let build = farm.get("/coprs/alice/p1/build/1/").await.text();
    assert!(build.contains("The package is at fault:"), "{build}");
    assert!(
        build.contains("build.log, line 7:\nerror: &lt;b&gt;bad&lt;/b&gt; exit status"),
        "{build}"
    );
    assert!(build.contains("</span> It failed.</p>"), "{build}");
}

#[tokio::test]
async fn a_build_that_its_builder_skipped_has_its_log_and_one_in_a_directory_says_how_to_enable_that() {
    let farm = Farm::start().await;
    farm.project("p1").await;
    farm.build_in("p1", Some("p1:pr:7")).await;
    let attempt = drive::run(&farm.store, 1).await;
    drive::skip(&farm.store, &attempt, "the package is not made for x86_64").await;
    let text = page(&farm.get("/coprs/alice/p1/build/1/").await);
    let results = format!("http://farm.example:8080/results/alice/p1:pr:7/{CHROOT}/00000001-hello/");
    for part in [
        "It was not built:</strong> the package is not made for x86_64",
        &format!("<a href=\"{results}builder-live.log\">Log</a>"),
        &format!("<a href=\"{results}\">Results</a>"),
        "<dd>p1:pr:7, a repository of its own: <code>dnf copr enable --hub http://farm.example:8080 alice/p1:pr:7</code>",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    let listed = page(&farm.get("/coprs/alice/p1/").await);
    assert!(listed.contains(">alice/p1:pr:7</a>"), "{listed}");
    // In the project's own directory there is nothing to tell.
    farm.build("p1").await;
    let main = page(&farm.get("/coprs/alice/p1/build/2/").await);
    assert!(
        !main.contains("Directory") && !main.contains("Results</a>"),
        "{main}"
    );
}

#[tokio::test]
async fn the_printed_address_of_a_build_leads_to_its_page() {
    let farm = Farm::start().await;
    farm.project("p1").await;
    farm.project("p2").await;
    farm.build("p1").await;
    for path in ["/coprs/build/1", "/coprs/build/1/"] {
        let reply = farm.get(path).await;
        assert_eq!(reply.status, StatusCode::FOUND);
        assert_eq!(reply.header("location"), "/coprs/alice/p1/build/1/");
    }
    let text = page(&farm.get("/coprs/alice/p1/build/1/").await);
    assert!(text.contains("It waits for a builder."), "{text}");
    farm.get("/coprs/alice/p2/build/1/").await.error(404);
}

#[tokio::test]
async fn a_browser_sees_errors_as_pages_and_programs_as_json() {
    let farm = Farm::start().await;
    let accept = "text/html,application/xhtml+xml";
    let reply = farm.get_with("/coprs/alice/nope/", "accept", accept).await;
    assert_eq!(reply.status, StatusCode::NOT_FOUND);
    assert!(sound(&reply).contains("Project alice/nope does not exist."));
    farm.get("/coprs/alice/nope/").await.error(404);
    farm.get_with("/api_3/project?ownername=a&projectname=b", "accept", accept)
        .await
        .error(404);
}

#[tokio::test]
async fn dnf_gets_a_repo_file() {
    let farm = Farm::start().await;
    farm.project_of(&farm.bob, "lib").await;
    let body = json!({
        "name": "p1", "chroots": [CHROOT, OTHER_CHROOT], "repo_priority": 5, "module_hotfixes": true,
        "runtime_dependencies": ["https://example.org/r/", "copr://bob/lib"],
    });
    farm.post(&farm.alice, "/api_3/project/add/alice", body)
        .await
        .good();
    let reply = farm
        .get("/coprs/alice/p1/repo/fedora-43/dnf.repo?arch=x86_64")
        .await;
    assert_eq!(reply.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(reply.header("content-disposition"), "filename=alice-p1.repo");
    let text = reply.text();
    let sections: Vec<&str> = text.split("\n\n").collect();
    assert_eq!(sections.len(), 3, "{text}");
    insta::assert_snapshot!("repo_file", sections[0]);
    // Dependencies that are projects come first. They are signed, and foreign repositories are not.
    let lines: Vec<&str> = sections[1].lines().collect();
    assert_eq!(lines[0], "[coprdep:farm.example:bob:lib]");
    for line in [
        "name=Copr farm.example/alice/p1 runtime dependency #1 - bob/lib",
        "baseurl=http://farm.example:8080/results/bob/lib/fedora-$releasever-$basearch/",
        "gpgkey=http://farm.example:8080/results/bob/lib/pubkey.gpg",
        "gpgcheck=1",
        "enabled=1",
    ] {
        assert!(lines.contains(&line), "{line} is missing: {text}");
    }
    let lines: Vec<&str> = sections[2].lines().collect();
    assert_eq!(lines[0], "[coprdep:https_example_org_r]");
    for line in [
        "name=Copr farm.example/alice/p1 external runtime dependency #1 - https_example_org_r",
        "baseurl=https://example.org/r/",
        "gpgcheck=0",
        "enabled=1",
    ] {
        assert!(lines.contains(&line), "{line} is missing: {text}");
    }
}

#[tokio::test]
async fn a_repo_file_is_found_as_dnf_and_people_ask_for_it() {
    let farm = Farm::start().await;
    let body = json!({"name": "p1", "chroots": [CHROOT, OTHER_CHROOT]});
    farm.post(&farm.alice, "/api_3/project/add/alice", body)
        .await
        .good();
    let fedora = farm
        .get("/coprs/alice/p1/repo/fedora-43/dnf.repo?arch=x86_64")
        .await;
    assert!(
        fedora.text().starts_with("[copr:farm.example:alice:p1]\n"),
        "dnf names the file after the first line: {}",
        fedora.text()
    );
    for same in [
        "/coprs/alice/p1/repo/fedora-43/",
        "/coprs/alice/p1/repo/fedora-43",
        "/coprs/alice/p1/repo/fedora-43/alice-p1.repo",
        "/coprs/alice/p1/repo/fedora-43-x86_64/dnf.repo",
    ] {
        let reply = farm.get(same).await;
        assert_eq!(reply.status, StatusCode::OK, "{same}");
        assert_eq!(reply.text(), fedora.text(), "{same}");
    }
    let small = farm
        .get("/coprs/alice/p1/repo/microdistro-1/alice-p1.repo")
        .await
        .text();
    let base = "baseurl=http://farm.example:8080/results/alice/p1/microdistro-1-$basearch/\n";
    assert!(small.contains(base), "{small}");

    let of_directory = "/coprs/alice/p1:pr:7/repo/fedora-43/dnf.repo";
    assert_eq!(
        farm.get(of_directory).await.error(404),
        "Project alice/p1 has no directory 'p1:pr:7'."
    );
    farm.build_in("p1", Some("p1:pr:7")).await;
    let directory = farm.get(of_directory).await;
    let text = directory.text();
    assert!(text.starts_with("[copr:farm.example:alice:p1:pr:7]\n"), "{text}");
    assert!(
        text.contains("gpgkey=http://farm.example:8080/results/alice/p1:pr:7/pubkey.gpg\n"),
        "{text}"
    );
    farm.call(
        &farm.alice,
        Method::PUT,
        "/coprs/alice/p1/repo/fedora-43/dnf.repo",
        json!({}),
    )
    .await
    .error(405);
}

#[tokio::test]
async fn dnf_is_told_which_chroots_there_are() {
    let farm = Farm::start().await;
    let body = json!({"name": "p1", "chroots": [CHROOT, OTHER_CHROOT]});
    farm.post(&farm.alice, "/api_3/project/add/alice", body)
        .await
        .good();
    for path in [
        "/coprs/alice/p1/repo/fedora-12/dnf.repo?arch=x86_64",
        "/coprs/alice/p1/repo/fedora-43/dnf.repo?arch=s390x",
        // A release is not the beginning of another one.
        "/coprs/alice/p1/repo/fedora-4/dnf.repo?arch=x86_64",
    ] {
        let missing = farm.get(path).await;
        missing.error(404);
        let data = STANDARD.decode(missing.header("copr-error-data")).unwrap();
        let data: serde_json::Value = serde_json::from_slice(&data).unwrap();
        assert_eq!(
            data,
            json!({"available chroots": [CHROOT, OTHER_CHROOT]}),
            "{path}"
        );
    }
    // Without the header dnf says that there is no such project.
    for path in [
        "/coprs/alice/nope/repo/fedora-43/dnf.repo?arch=x86_64",
        "/coprs/alice/p1:/repo/fedora-43/dnf.repo?arch=x86_64",
        "/coprs/alice/p1:a%0Ab/repo/fedora-43/dnf.repo?arch=x86_64",
        "/coprs/alice/p1%5D%0A%5Bx/repo/fedora-43/dnf.repo",
    ] {
        let missing = farm.get(path).await;
        missing.error(404);
        assert!(missing.header("copr-error-data").is_empty(), "{path}");
    }
}

#[tokio::test]
async fn dnf_5_gets_what_it_makes_sections_from() {
    let farm = Farm::start().await;
    farm.project_of(&farm.bob, "lib").await;
    let body = json!({
        "name": "p1", "chroots": [CHROOT, OTHER_CHROOT], "repo_priority": 5, "module_hotfixes": true,
        "runtime_dependencies": ["https://example.org/r/", "copr://bob/lib"],
    });
    farm.post(&farm.alice, "/api_3/project/add/alice", body)
        .await
        .good();
    let described = farm.get("/api_3/rpmrepo/alice/p1/fedora-43/").await.good();
    insta::assert_snapshot!("rpmrepo", serde_json::to_string_pretty(&described).unwrap());
    farm.get("/api_3/rpmrepo/alice/nope/fedora-43").await.error(404);
}
