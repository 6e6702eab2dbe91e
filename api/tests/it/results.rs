//! Results: files, lists, ranges, and that nothing else can be read.

use std::os::unix::fs::symlink;

use poem::{
    Request,
    http::{Method, StatusCode},
};

use crate::{
    drive,
    farm::{CHROOT, Farm},
};

/// A repository as the publisher leaves it, and beside the results a file that nobody may read.
fn repository(farm: &Farm) {
    let chroot = farm.path("results/alice/p1").join(CHROOT);
    std::fs::create_dir_all(chroot.join(".snapshots/00000001")).unwrap();
    std::fs::write(chroot.join(".snapshots/00000001/repomd.xml"), "<repomd/>").unwrap();
    let digest = "a".repeat(64);
    std::fs::write(
        chroot.join(format!(".snapshots/00000001/{digest}-primary.xml.gz")),
        "gz",
    )
    .unwrap();
    symlink(".snapshots/00000001", chroot.join("repodata")).unwrap();
    let build = chroot.join("00000001-hello");
    std::fs::create_dir(&build).unwrap();
    std::fs::write(build.join("hello-1.0-1.noarch.rpm"), "0123456789").unwrap();
    std::fs::write(build.join("builder-live.log"), "<script>alert(1)</script>\n").unwrap();
    std::fs::write(build.join("evil.html"), "<script>alert(1)</script>").unwrap();
    std::fs::write(build.join("a\"><img src=x>.log"), "x").unwrap();
    std::fs::write(build.join("javascript:x"), "x").unwrap();
    std::fs::write(farm.path("secret"), "secret").unwrap();
    symlink(farm.path("secret"), build.join("link.txt")).unwrap();
    symlink(farm.path(""), chroot.join("away")).unwrap();
    std::fs::create_dir_all(farm.path("results/.attempts/x")).unwrap();
    std::fs::write(farm.path("results/.attempts/x/builder-live.log"), "x").unwrap();
}

fn at(rest: &str) -> String {
    format!("/results/alice/p1/{CHROOT}/{rest}")
}

#[tokio::test]
async fn files_are_served_with_a_type_that_no_browser_runs() {
    let farm = Farm::start().await;
    repository(&farm);
    for (name, kind) in [
        ("hello-1.0-1.noarch.rpm", "application/x-rpm"),
        ("builder-live.log", "text/plain; charset=utf-8"),
        ("evil.html", "application/octet-stream"),
    ] {
        let reply = farm.get(&at(&format!("00000001-hello/{name}"))).await;
        assert_eq!(reply.status, StatusCode::OK);
        assert_eq!(reply.header("content-type"), kind);
        assert_eq!(reply.header("x-content-type-options"), "nosniff");
        let policy = reply.header("content-security-policy");
        assert!(policy.contains("default-src 'none'; sandbox"), "{policy}");
    }
    let repomd = farm.get(&at("repodata/repomd.xml")).await;
    assert_eq!(repomd.text(), "<repomd/>");
    assert_eq!(repomd.header("cache-control"), "no-cache");
    let primary = farm
        .get(&at(&format!("repodata/{}-primary.xml.gz", "a".repeat(64))))
        .await;
    assert_eq!(
        primary.header("cache-control"),
        "public, max-age=31536000, immutable"
    );
    assert_eq!(
        farm.get(&at(".snapshots/00000001/repomd.xml")).await.text(),
        "<repomd/>"
    );
}

#[tokio::test]
async fn ranges_and_validators_work() {
    let farm = Farm::start().await;
    repository(&farm);
    let path = at("00000001-hello/hello-1.0-1.noarch.rpm");
    let whole = farm.get(&path).await;
    assert_eq!(whole.text(), "0123456789");
    assert_eq!(whole.header("accept-ranges"), "bytes");
    assert_eq!(whole.header("content-length"), "10");
    let part = farm.get_with(&path, "range", "bytes=2-4").await;
    assert_eq!(part.status, StatusCode::PARTIAL_CONTENT);
    assert_eq!(
        (part.text().as_str(), part.header("content-range")),
        ("234", "bytes 2-4/10")
    );
    let end = farm.get_with(&path, "range", "bytes=-3").await;
    assert_eq!(end.text(), "789");
    let outside = farm.get_with(&path, "range", "bytes=10-").await;
    assert_eq!(outside.header("content-range"), "bytes */10");
    outside.error(416);
    for (name, value) in [
        ("if-none-match", whole.header("etag")),
        ("if-modified-since", whole.header("last-modified")),
    ] {
        let reply = farm.get_with(&path, name, value).await;
        assert_eq!(reply.status, StatusCode::NOT_MODIFIED, "{name}");
        assert!(reply.body.is_empty());
    }
    let head = farm
        .send(Request::builder().method(Method::HEAD).uri_str(&path).finish())
        .await;
    assert_eq!(
        (head.status, head.body.len(), head.header("content-length")),
        (StatusCode::OK, 0, "10")
    );
}

#[tokio::test]
async fn nothing_outside_and_nothing_hidden_can_be_read() {
    let farm = Farm::start().await;
    repository(&farm);
    for path in [
        "/results/../secret".to_owned(),
        "/results/..%2fsecret".to_owned(),
        "/results/%2e%2e/secret".to_owned(),
        "/results/alice/p1/..%2f..%2f..%2fsecret".to_owned(),
        format!("/results/%2f{}", farm.path("secret").display()),
        format!("/results/{}", farm.path("secret").display()),
        "/results/alice%00/p1".to_owned(),
        "/results/.attempts/x/builder-live.log".to_owned(),
        "/results/".to_owned(),
        at("00000001-hello/link.txt"),
        at("away/secret"),
        at("away/"),
        at("00000001-hello/hello-1.0-1.noarch.rpm/"),
        at("00000001-hello/%FF"),
        at(".hidden"),
        "/mirrors/small/../secret".to_owned(),
        "/mirrors/small/..%2fsecret".to_owned(),
        "/mirrors/other/x".to_owned(),
    ] {
        let reply = farm.get(&path).await;
        reply.error(404);
        assert!(!reply.text().contains("secret\n"), "{path}");
    }
}

#[tokio::test]
async fn a_directory_is_a_list_of_plain_relative_links() {
    let farm = Farm::start().await;
    repository(&farm);
    let redirected = farm.get(&format!("/results/alice/p1/{CHROOT}")).await;
    assert_eq!(redirected.status, StatusCode::MOVED_PERMANENTLY);
    assert_eq!(redirected.header("location"), at(""));

    let listed = farm.get(&at("")).await.text();
    assert!(
        listed.contains("href=\"repodata/\"") && listed.contains("href=\"00000001-hello/\""),
        "{listed}"
    );
    assert!(
        !listed.contains("snapshots") && !listed.contains("away"),
        "{listed}"
    );
    assert!(
        farm.get(&at("repodata/"))
            .await
            .text()
            .contains("href=\"repomd.xml\"")
    );
}

#[tokio::test]
async fn whatever_a_file_is_called_its_link_leads_to_it_and_to_nothing_else() {
    let farm = Farm::start().await;
    let build = farm.path("results/alice/p1").join(CHROOT).join("00000002-hello");
    std::fs::create_dir_all(&build).unwrap();
    let names = [
        "\"><img src=x>.log",
        "&lt;b&gt;",
        "'onclick='x",
        "<script>alert(1)<",
        "a b+c",
        "a%2e%2e%2fb",
        "a?b=1#c",
        "hello-1.0-1.noarch.rpm",
        "javascript:alert(1)",
        "line\nbreak",
        "{{this.href}}",
        "\u{fc}\u{202e}\u{4e2d}",
    ];
    for name in names {
        std::fs::write(build.join(name), name).unwrap();
    }
    let page = farm.get(&at("00000002-hello/")).await;
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    let policy = page.header("content-security-policy");
    assert!(policy.contains("default-src 'none'; sandbox"), "{policy}");
    let text = page.text();
    for forbidden in ["<img", "<script", "'onclick", "\"onclick", "<b>"] {
        assert!(!text.contains(forbidden), "{forbidden}: {text}");
    }
    let mut reached = Vec::new();
    for rest in text.split("href=\"").skip(1) {
        let link = rest.split('"').next().unwrap();
        assert!(
            link.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-._~+@%".contains(&byte)),
            "{link} is more than a plain relative link"
        );
        let file = farm.get(&at(&format!("00000002-hello/{link}"))).await;
        assert_eq!(file.status, StatusCode::OK, "{link}");
        reached.push(file.text());
    }
    assert_eq!(reached, names);
}

#[tokio::test]
async fn the_log_of_a_running_attempt_is_where_it_will_be() {
    let farm = Farm::start().await;
    farm.project("p1").await;
    farm.build("p1").await;
    let directory = at("00000001-hello/");
    farm.get(&directory).await.error(404);
    let attempt = drive::run(&farm.store, 1).await;
    let live = farm
        .path("results/.attempts")
        .join(attempt.id.0.simple().to_string());
    std::fs::create_dir_all(&live).unwrap();
    std::fs::write(live.join("builder-live.log"), "first line\n").unwrap();

    let log = format!("{directory}builder-live.log");
    let reply = farm.get(&log).await;
    assert_eq!(reply.text(), "first line\n");
    assert_eq!(reply.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(reply.header("cache-control"), "no-store");
    assert_eq!(farm.get_with(&log, "range", "bytes=6-").await.text(), "line\n");
    assert!(
        farm.get(&directory)
            .await
            .text()
            .contains("href=\"builder-live.log\"")
    );
    for elsewhere in ["/results/bob/p1", "/results/alice/p2"]
        .map(|start| format!("{start}/{CHROOT}/00000001-hello/builder-live.log"))
    {
        farm.get(&elsewhere).await.error(404);
    }
    farm.get(&at("00000001-other/builder-live.log")).await.error(404);

    // The results come; the address stays, and so does the log until one is among them.
    let stored = farm.path("results/alice/p1").join(CHROOT).join("00000001-hello");
    std::fs::create_dir_all(&stored).unwrap();
    std::fs::write(stored.join("results.json"), "{}").unwrap();
    assert_eq!(farm.get(&log).await.text(), "first line\n");
    let listed = farm.get(&directory).await.text();
    assert!(
        listed.contains("results.json") && listed.contains("builder-live.log"),
        "{listed}"
    );
    std::fs::write(stored.join("builder-live.log"), "whole log\n").unwrap();
    assert_eq!(farm.get(&log).await.text(), "whole log\n");
}

#[tokio::test]
async fn a_mirror_serves_its_files() {
    let farm = Farm::start().await;
    std::fs::create_dir_all(farm.path("mirror/repodata")).unwrap();
    std::fs::write(farm.path("mirror/repodata/repomd.xml"), "<repomd/>").unwrap();
    assert_eq!(
        farm.get("/mirrors/small/repodata/repomd.xml").await.text(),
        "<repomd/>"
    );
    farm.get("/mirrors/small/repodata/").await.error(404);
    farm.get("/mirrors/small").await.error(404);
}

#[tokio::test]
async fn a_long_list_comes_in_pages_in_order_and_nothing_of_it_is_missing() {
    let farm = Farm::start().await;
    let chroot = farm.path("results/alice/p1").join(CHROOT);
    for number in (1..=2100).rev() {
        std::fs::create_dir_all(chroot.join(format!("{number:08}-hello"))).unwrap();
    }
    symlink(".snapshots/1", chroot.join("repodata")).unwrap();
    std::fs::write(chroot.join("aaa.txt"), "x").unwrap();
    let links = |text: &str| -> Vec<String> {
        let links = text.split("<td><a href=\"").skip(1);
        links
            .map(|rest| rest.split('"').next().unwrap().to_owned())
            .collect()
    };
    let mut seen = Vec::new();
    let mut next = Some("?page=1".to_owned());
    while let Some(query) = next {
        let page = farm.get(&at(&query)).await;
        assert_eq!(page.status, StatusCode::OK);
        let found = links(&page.text());
        assert!(found.len() <= 1000, "{query}: {}", found.len());
        seen.extend(found);
        let text = page.text();
        let link = text
            .split("<a href=\"")
            .find(|rest| rest.contains("rel=\"next\""));
        next = link.map(|rest| rest.split('"').next().unwrap().to_owned());
    }
    let mut expected: Vec<String> = (1..=2100).map(|number| format!("{number:08}-hello/")).collect();
    expected.extend(["repodata/".to_owned(), "aaa.txt".to_owned()]);
    assert_eq!(seen, expected);
    assert_eq!(links(&farm.get(&at("")).await.text()), expected[..1000]);
    for none in [
        "?page=0",
        "?page=4",
        "?page=x",
        "?page=-1",
        "?page=99999999999999999999",
    ] {
        farm.get(&at(none)).await.error(404);
    }
}

#[tokio::test]
async fn a_list_has_one_main_part_and_a_heading_that_breaks() {
    let farm = Farm::start().await;
    repository(&farm);
    let text = farm.get(&at("")).await.text();
    assert_eq!(
        (text.matches("<main>").count(), text.matches("<h1>").count()),
        (1, 1)
    );
    assert!(
        text.contains(&format!("<h1>alice/<wbr>p1/<wbr>{CHROOT}</h1>")),
        "{text}"
    );
    assert!(!text.contains("<nav"), "a short list has no pages: {text}");
}
