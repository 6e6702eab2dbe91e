use serde_json::json;
use store::Outcome;

use super::Wording;
use crate::{fake::FakeBuilder, testing::Farm};

/// The words for a build whose project names these repositories, on a farm that builders reach at this address.
async fn wording(builder_url: &str, given: &[&str]) -> Wording {
    let mut farm = Farm::start().await;
    farm.context.sessions = std::sync::Arc::new(FakeBuilder::new());
    builder_url.clone_into(&mut farm.context.builder_url);
    let build = farm.submit(farm.store_source()).await;
    let mut allocation = farm.offer(build).await;
    allocation.attempt.additional_repos = given.iter().map(ToString::to_string).collect();
    Wording::new(&farm.context, &allocation.attempt)
}

#[tokio::test]
async fn what_a_builder_says_is_in_the_words_of_the_user() {
    let mut given = vec![
        "https://repo.example.org/$basearch/?priority=3",
        "copr://bob/lib?priority=5",
    ];
    given.extend(["https://x.test/"; 8]);
    given.push("https://eleventh.test/");
    let wording = wording("http://10.88.0.1:5080", &given).await;
    for (said, told) in [
        (
            "Failed to download metadata for repo 'additional_0'",
            "Failed to download metadata for repo 'https://repo.example.org/$basearch/?priority=3'",
        ),
        (
            "repo 'additional_10', not additional_1",
            "repo 'https://eleventh.test/', not copr://bob/lib?priority=5",
        ),
        // No repository of its project.
        (
            "additional_11, my_additional_0, additional_0x",
            "additional_11, my_additional_0, additional_0x",
        ),
        (
            "404 for http://10.88.0.1:5080/results/bob/lib/fedora-43-x86_64/repodata/repomd.xml",
            "404 for copr://bob/lib/repodata/repomd.xml",
        ),
        (
            "404 for http://10.88.0.1:5080/results/alice/tools/x",
            "404 for [farm]/results/alice/tools/x",
        ),
        ("http://10.88.0.1:50801/x", "http://10.88.0.1:50801/x"),
        ("a test on 10.88.0.1", "a test on 10.88.0.1"),
    ] {
        assert_eq!(wording.of(said), told);
    }
    assert_eq!(
        wording.published("10.88.0.7 and additional_2"),
        "[address] and https://x.test/"
    );
}

#[tokio::test]
async fn the_farms_inner_name_is_hidden_but_where_the_user_knows_it() {
    let said = "http://farm.inner:80/mirrors/x: Could not resolve host: farm.inner";
    let inner = wording("http://farm.inner:80", &[]).await;
    assert_eq!(inner.of(said), "[farm]/mirrors/x: Could not resolve host: [farm]");
    let known = wording("http://farm.inner:80", &["http://farm.inner:80/mirrors/more/"]).await;
    assert_eq!(known.of(said), said);
    // The name that everybody knows.
    let public = wording("https://farm.test", &[]).await;
    assert_eq!(public.of("no host farm.test"), "no host farm.test");
}

#[tokio::test]
async fn every_end_of_an_attempt_is_told_so() {
    let wording = wording("http://farm.inner", &["https://a.test/"]).await;
    let (reason, told) = (
        "additional_0 is away".to_owned(),
        "https://a.test/ is away".to_owned(),
    );
    let result_directory = None;
    let failed = |reason: &String, texts: serde_json::Value| Outcome::Failed {
        blame: model::Blame::Package,
        reason: reason.clone(),
        evidence: Some(texts),
        result_directory: None,
    };
    for (outcome, expected) in [
        (
            failed(&reason, json!({"text": [&reason], "line": 3, "odd": null})),
            failed(&told, json!({"text": [&told], "line": 3, "odd": null})),
        ),
        (
            Outcome::Refused {
                reason: reason.clone(),
                result_directory: result_directory.clone(),
            },
            Outcome::Refused {
                reason: told.clone(),
                result_directory: result_directory.clone(),
            },
        ),
        (
            Outcome::Skipped {
                reason: reason.clone(),
                result_directory: result_directory.clone(),
            },
            Outcome::Skipped {
                reason: told.clone(),
                result_directory,
            },
        ),
    ] {
        assert_eq!(wording.outcome(outcome), expected);
    }
}
