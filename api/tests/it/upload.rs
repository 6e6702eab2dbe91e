//! Uploads: what is taken, what is refused, and that a refusal leaves nothing behind.

use poem::{
    Body, Request,
    http::{Method, header},
};
use serde_json::json;

use crate::{
    farm::{CHROOT, Farm, OTHER_CHROOT, Part, multipart},
    rpms,
};

fn arguments() -> Vec<u8> {
    json!({"ownername": "alice", "projectname": "p1", "project_dirname": "p1", "timeout": null, "chroots": null,
        "background": false, "isolation": "unchanged"})
    .to_string()
    .into_bytes()
}

#[tokio::test]
async fn a_source_package_becomes_a_build_whichever_part_comes_first() {
    let farm = Farm::start().await;
    farm.project("p1").await;
    let (srpm, json) = (rpms::source(), arguments());
    let (file, form) = (Part::file(&srpm.name, &srpm.bytes), Part::json(&json));
    let first = farm.upload(&farm.alice, &[file, form]).await.good();
    let (file, form) = (Part::file(&srpm.name, &srpm.bytes), Part::json(&json));
    let second = farm.upload(&farm.alice, &[form, file]).await.good();
    assert_eq!(second["id"].as_i64().unwrap(), first["id"].as_i64().unwrap() + 1);

    let mut shown = first.clone();
    assert!(shown["submitted_on"].as_i64().unwrap() > 1_700_000_000);
    shown["submitted_on"] = json!("[time]");
    insta::assert_snapshot!(serde_json::to_string_pretty(&shown).unwrap());

    // The same bytes are stored once, by digest, and can be fetched again.
    let sources = farm.files("sources");
    assert_eq!(sources.len(), 1, "{sources:?}");
    assert!(
        sources[0].ends_with("/hello-1.0-1.src.rpm") && sources[0].as_bytes()[2] == b'/',
        "{sources:?}"
    );
    assert!(farm.files("spool").is_empty());
    let url = first["source_package"]["url"]
        .as_str()
        .unwrap()
        .strip_prefix("http://farm.example:8080")
        .unwrap();
    let fetched = farm.get(url).await;
    assert_eq!(fetched.body, srpm.bytes);
    assert_eq!(fetched.header("content-type"), "application/x-rpm");

    let attempts = farm
        .get(&format!("/api/builds/{}/attempts", first["id"]))
        .await
        .good();
    assert_eq!(attempts[0]["state"], "waiting");
    assert_eq!(attempts[0]["number"], 1);
}

#[tokio::test]
async fn bad_files_are_refused_with_their_name_and_leave_nothing() {
    let farm = Farm::start().await;
    farm.project("p1").await;
    let (good, binary, json) = (rpms::source(), rpms::binary(), arguments());
    let half = &good.bytes[..good.bytes.len() / 2];
    let mut flipped = good.bytes.clone();
    let last = flipped.len() - 10;
    flipped[last] ^= 1;
    for (name, bytes, expected) in [
        (
            "notes.src.rpm",
            &b"just a text"[..],
            "`notes.src.rpm` is not an RPM package",
        ),
        ("empty.src.rpm", b"", "`empty.src.rpm`"),
        (
            "hello-1.0-1.src.rpm",
            &binary.bytes,
            "is a binary package, and a source package is wanted",
        ),
        (&good.name, half, "`hello-1.0-1.src.rpm` is cut short"),
        (&good.name, &flipped, "`hello-1.0-1.src.rpm` is damaged"),
        (
            "../hello-1.0-1.src.rpm",
            &good.bytes,
            "the file name '../hello-1.0-1.src.rpm' must be a plain name",
        ),
        ("a/hello.src.rpm", &good.bytes, "must be a plain name"),
        ("hello.spec", b"Name: hello", "does not end in .src.rpm"),
        (
            "hello-1.0-1.noarch.rpm",
            &binary.bytes,
            "builds source packages only",
        ),
    ] {
        for parts in [
            [Part::file(name, bytes), Part::json(&json)],
            [Part::json(&json), Part::file(name, bytes)],
        ] {
            let error = farm.upload(&farm.alice, &parts).await.error(400);
            assert!(
                error.starts_with("pkgs: ") && error.contains(expected),
                "{name}: {error}"
            );
            assert!(!error.contains("spool"), "{error}");
        }
    }
    assert!(farm.files("spool").is_empty());
    assert!(farm.files("sources").is_empty());
    let builds = farm
        .get("/api_3/build/list?ownername=alice&projectname=p1")
        .await
        .good();
    assert_eq!(builds["items"], json!([]));
}

#[tokio::test]
async fn a_source_package_that_is_cut_short_anywhere_is_refused() {
    let farm = Farm::start().await;
    farm.project("p1").await;
    let (srpm, json) = (rpms::source(), arguments());
    let length = srpm.bytes.len();
    // Around the lead (96 bytes) and the start of the header after it, then all over the file.
    let starts = [0, 1, 4, 95, 96, 97, 112];
    for cut in starts
        .into_iter()
        .chain((1..20).map(|part| length * part / 20))
        .chain([length - 1])
    {
        let parts = [Part::json(&json), Part::file(&srpm.name, &srpm.bytes[..cut])];
        let error = farm.upload(&farm.alice, &parts).await.error(400);
        assert!(
            error.starts_with("pkgs: `hello-1.0-1.src.rpm` "),
            "{cut} of {length} bytes: {error}"
        );
    }
    assert!(farm.files("spool").is_empty() && farm.files("sources").is_empty());
}

#[tokio::test]
async fn a_form_that_ends_too_early_is_refused_wherever_it_ends() {
    let farm = Farm::start().await;
    farm.project("p1").await;
    let (srpm, json) = (rpms::source(), arguments());
    let who = farm.alice.authorization();
    for parts in [
        [Part::json(&json), Part::file(&srpm.name, &srpm.bytes)],
        [Part::file(&srpm.name, &srpm.bytes), Part::json(&json)],
    ] {
        let (content_type, body) = multipart(&parts);
        for part in 0..16 {
            let cut = body[..body.len() * part / 16].to_vec();
            let path = "/api_3/build/create/upload";
            let reply = farm
                .ask(Some(&who), &Method::POST, path, &content_type, cut)
                .await;
            assert!(!reply.error(400).is_empty());
        }
    }
    assert!(farm.files("spool").is_empty() && farm.files("sources").is_empty());
}

#[tokio::test]
async fn a_name_in_the_header_that_leads_elsewhere_is_refused() {
    let farm = Farm::start().await;
    farm.project("p1").await;
    let bytes = repository::testing::forge(&rpms::source().bytes, b"\0hello\0", b"\0../..\0");
    let json = arguments();
    let error = farm
        .upload(
            &farm.alice,
            &[Part::file("hello-1.0-1.src.rpm", &bytes), Part::json(&json)],
        )
        .await
        .error(400);
    assert!(error.starts_with("pkgs: ") && error.contains("../.."), "{error}");
    assert!(farm.files("spool").is_empty() && farm.files("sources").is_empty());
}

#[tokio::test]
async fn too_large_a_file_is_413_and_too_full_a_disk_507() {
    let farm = Farm::start_with(|settings| settings.max_upload_bytes = 1000).await;
    farm.project("p1").await;
    let (srpm, json) = (rpms::source(), arguments());
    assert!(srpm.bytes.len() > 1000);
    let reply = farm
        .upload(
            &farm.alice,
            &[Part::file(&srpm.name, &srpm.bytes), Part::json(&json)],
        )
        .await;
    assert!(reply.error(413).contains("larger than the 1000 bytes"));
    assert!(farm.files("spool").is_empty());

    let farm = Farm::start_with(|settings| settings.min_free_bytes = u64::MAX / 2).await;
    farm.project("p1").await;
    for parts in [
        [Part::file(&srpm.name, &srpm.bytes), Part::json(&json)],
        [Part::json(&json), Part::file(&srpm.name, &srpm.bytes)],
    ] {
        let error = farm.upload(&farm.alice, &parts).await.error(507);
        assert!(
            error.starts_with("There is not enough free disk space"),
            "{error}"
        );
    }
    assert!(farm.files("spool").is_empty() && farm.files("sources").is_empty());
    assert_eq!(farm.get("/health").await.json()["status"], "failing");
}

#[tokio::test]
async fn what_would_leave_too_little_free_disk_is_refused_before_it_is_sent() {
    let free = || {
        let disk = rustix::fs::statvfs(std::env::temp_dir()).unwrap();
        disk.f_bavail * disk.f_frsize
    };
    let farm = Farm::start_with(|settings| {
        let disk = rustix::fs::statvfs(std::env::temp_dir()).unwrap();
        settings.min_free_bytes = disk.f_bavail * disk.f_frsize / 2;
        settings.max_upload_bytes = u64::MAX / 4;
    })
    .await;
    farm.project("p1").await;
    let (srpm, json) = (rpms::source(), arguments());
    let parts = [Part::json(&json), Part::file(&srpm.name, &srpm.bytes)];
    let (content_type, body) = multipart(&parts);
    let request = Request::builder()
        .method(Method::POST)
        .uri_str("/api_3/build/create/upload")
        .header(header::AUTHORIZATION, farm.alice.authorization())
        .header(header::CONTENT_TYPE, content_type)
        .header(header::CONTENT_LENGTH, free() / 4 * 3)
        .body(body);
    let error = farm.send(request).await.error(507);
    assert!(
        error.starts_with("There is not enough free disk space on the server"),
        "{error}"
    );
    assert!(farm.files("spool").is_empty() && farm.files("sources").is_empty());
    // The same without the promise fits.
    farm.upload(&farm.alice, &parts).await.good();
}

/// A part as clients send it that make each argument a field.
fn field<'a>(name: &'a str, content: &'a [u8]) -> Part<'a> {
    Part {
        name,
        file_name: "",
        content,
    }
}

#[tokio::test]
async fn arguments_may_be_fields_of_their_own_before_and_after_the_file() {
    let farm = Farm::start().await;
    let body = json!({"name": "p1", "chroots": [CHROOT, OTHER_CHROOT]});
    farm.post(&farm.alice, "/api_3/project/add/alice", body)
        .await
        .good();
    let srpm = rpms::source();
    let file = Part::file(&srpm.name, &srpm.bytes);
    let (owner, project) = (field("ownername", b"alice"), field("projectname", b"p1"));
    let chroots = [
        field("chroots", OTHER_CHROOT.as_bytes()),
        field("background", b"True"),
    ];
    for parts in [
        [owner, project, chroots[0], chroots[1], file],
        [file, owner, project, chroots[0], chroots[1]],
        [owner, chroots[1], file, chroots[0], project],
    ] {
        let build = farm.upload(&farm.alice, &parts).await.good();
        assert_eq!(build["chroots"], json!([OTHER_CHROOT]));
        assert_eq!(build["is_background"], true);
    }
    farm.upload(&farm.bob, &[owner, project, file]).await.error(403);

    let error = farm.upload(&farm.alice, &[owner, file]).await.error(400);
    assert_eq!(
        error,
        "Bad request parameters: {'projectname': ['This field is required.']}"
    );
    let error = farm.upload(&farm.alice, &[owner, project]).await.error(400);
    assert_eq!(
        error,
        "Bad request parameters: {'pkgs': ['This field is required.']}"
    );
    let late = field("timeout", b"soon");
    let error = farm
        .upload(&farm.alice, &[file, owner, project, late])
        .await
        .error(400);
    assert_eq!(
        error,
        "Bad request parameters: {'timeout': ['Not a valid integer value.']}"
    );
    // Together they are arguments, and no longer than those of any body.
    let long = vec![b'x'; 600 << 10];
    let parts = [field("a", &long), owner, field("b", &long), file];
    let error = farm.upload(&farm.alice, &parts).await.error(413);
    assert!(error.contains("1048576 bytes"), "{error}");
    assert!(farm.files("spool").is_empty());
}

/// The parser looks through all that it has of a head whenever more comes: without a limit, a head of gigabytes takes hours.
#[tokio::test]
async fn a_part_whose_head_does_not_end_is_refused_before_it_is_long() {
    let farm = Farm::start().await;
    farm.project("p1").await;
    let (owner, project) = (field("ownername", b"alice"), field("projectname", b"p1"));
    let (content_type, mut body) = multipart(&[owner, project]);
    body.truncate(body.len() - "--\r\n".len());
    body.extend_from_slice(b"\r\nContent-Disposition: form-data; name=\"a\"; x=\"");
    let endless = std::iter::repeat_n(vec![b'x'; 64 << 10], 128);
    let chunks = std::iter::once(body).chain(endless).map(Ok::<_, std::io::Error>);
    let request = Request::builder()
        .method(Method::POST)
        .uri_str("/api_3/build/create/upload")
        .header(header::AUTHORIZATION, farm.alice.authorization())
        .header(header::CONTENT_TYPE, content_type)
        .body(Body::from_bytes_stream(futures_util::stream::iter(chunks)));
    let error = farm.send(request).await.error(400);
    assert_eq!(error, "The head of a part of the multipart form is too long.");
    assert!(farm.files("spool").is_empty());
}

#[tokio::test]
async fn an_argument_in_the_part_json_and_in_one_of_its_own_is_refused() {
    let farm = Farm::start().await;
    farm.project("p1").await;
    let (srpm, json) = (rpms::source(), arguments());
    let (form, file) = (Part::json(&json), Part::file(&srpm.name, &srpm.bytes));
    for parts in [
        [form, file, field("background", b"True")],
        [field("background", b"True"), form, file],
    ] {
        let error = farm.upload(&farm.alice, &parts).await.error(400);
        let expected = "The argument 'background' stands in the part 'json' and in a part of its own.";
        assert_eq!(error, expected);
    }
    // One that only has a part of its own counts.
    let late = farm
        .upload(&farm.alice, &[form, file, field("enable_net", b"maybe")])
        .await;
    assert!(late.error(400).contains("enable_net"));
}

#[tokio::test]
async fn missing_and_doubled_parts_are_told() {
    let farm = Farm::start().await;
    farm.project("p1").await;
    let (srpm, json) = (rpms::source(), arguments());
    let error = farm.upload(&farm.alice, &[Part::json(&json)]).await.error(400);
    assert_eq!(
        error,
        "Bad request parameters: {'pkgs': ['This field is required.']}"
    );
    let error = farm
        .upload(&farm.alice, &[Part::file(&srpm.name, &srpm.bytes)])
        .await
        .error(400);
    assert!(
        error.contains("'ownername': ['This field is required.']"),
        "{error}"
    );
    let twice = || Part::file(&srpm.name, &srpm.bytes);
    let error = farm
        .upload(&farm.alice, &[twice(), twice(), Part::json(&json)])
        .await
        .error(400);
    assert!(error.contains("once each"), "{error}");
    let error = farm
        .post(&farm.alice, "/api_3/build/create/upload", json!({}))
        .await
        .error(415);
    assert!(error.contains("multipart/form-data"), "{error}");
    assert!(farm.files("spool").is_empty() && farm.files("sources").is_empty());
}

#[tokio::test]
async fn chroots_are_chosen_by_patterns() {
    let farm = Farm::start().await;
    let body = json!({"name": "p1", "chroots": [CHROOT, OTHER_CHROOT]});
    farm.post(&farm.alice, "/api_3/project/add/alice", body)
        .await
        .good();
    let srpm = rpms::source();
    for (chosen, excluded, expected) in [
        (json!(null), json!(null), Ok(vec![OTHER_CHROOT, CHROOT])),
        (json!(["fedora-*"]), json!(null), Ok(vec![OTHER_CHROOT])),
        (json!(["*-x86_64"]), json!(["fedora-*"]), Ok(vec![CHROOT])),
        (
            json!(["epel-9-x86_64"]),
            json!(null),
            Err(
                "Bad request parameters: {'chroots': [\"'epel-9-x86_64' is not a valid choice for this field.\"]}",
            ),
        ),
        (
            json!(null),
            json!(["*"]),
            Err("Bad request parameters: {'exclude_chroots': ['No chroot is left to build in.']}"),
        ),
    ] {
        let form = json!({"ownername": "alice", "projectname": "p1", "chroots": chosen, "exclude_chroots": excluded});
        let json = form.to_string();
        let reply = farm
            .upload(
                &farm.alice,
                &[Part::file(&srpm.name, &srpm.bytes), Part::json(json.as_bytes())],
            )
            .await;
        match expected {
            Ok(chroots) => assert_eq!(reply.good()["chroots"], json!(chroots)),
            Err(text) => assert_eq!(reply.error(400), text),
        }
    }
}

#[tokio::test]
async fn a_package_for_another_architecture_is_skipped_with_its_reason() {
    let farm = Farm::start().await;
    farm.project("p1").await;
    let (srpm, json) = (rpms::for_s390x(), arguments());
    let build = farm
        .upload(
            &farm.alice,
            &[Part::file(&srpm.name, &srpm.bytes), Part::json(&json)],
        )
        .await
        .good();
    assert_eq!(build["state"], "skipped");
    let path = format!("/api_3/build-chroot?build_id={}&chrootname={CHROOT}", build["id"]);
    let chroot = farm.get(&path).await.good();
    assert_eq!(chroot["state"], "skipped");
    assert_eq!(chroot["result_url"], json!(null));
    let page = farm
        .get(&format!("/coprs/alice/p1/build/{}/", build["id"]))
        .await
        .text();
    assert!(page.contains("It was not built:"), "{page}");
    assert!(!page.contains("at fault"), "{page}");
}

#[tokio::test]
async fn a_list_of_architectures_with_a_macro_that_is_not_known_here_skips_nothing() {
    let farm = Farm::start().await;
    farm.project("p1").await;
    let (srpm, json) = (rpms::for_a_macro(), arguments());
    let build = farm
        .upload(
            &farm.alice,
            &[Part::file(&srpm.name, &srpm.bytes), Part::json(&json)],
        )
        .await
        .good();
    assert_ne!(build["state"], "skipped", "rpmbuild in the chroot decides");
    assert_eq!(build["chroots"], json!([CHROOT]));
}

#[tokio::test]
async fn many_uploads_of_one_file_at_once_all_become_builds() {
    let farm = Farm::start().await;
    farm.project("p1").await;
    let (srpm, json) = (rpms::source(), arguments());
    let uploads = (0..6).map(|_| async {
        farm.upload(
            &farm.alice,
            &[Part::file(&srpm.name, &srpm.bytes), Part::json(&json)],
        )
        .await
        .good()["id"]
            .clone()
    });
    let mut ids: Vec<i64> = futures_util::future::join_all(uploads)
        .await
        .iter()
        .map(|id| id.as_i64().unwrap())
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, [1, 2, 3, 4, 5, 6]);
    assert_eq!(farm.files("sources").len(), 1);
}
