use serde_json::json;
use store::{Allocation, Outcome};

use super::{Wording, host, replace_words};
use crate::{fake::FakeBuilder, testing::Farm};

/// One build of a project with these repositories, on a farm that builders reach at this address.
async fn allocation(builder_url: &str, given: &[&str]) -> (Farm, Allocation) {
    let mut farm = Farm::start().await;
    farm.context.sessions = std::sync::Arc::new(FakeBuilder::new());
    builder_url.clone_into(&mut farm.context.builder_url);
    let build = farm.submit(farm.store_source()).await;
    let mut allocation = farm.offer(build).await;
    allocation.attempt.additional_repos = given.iter().map(ToString::to_string).collect();
    (farm, allocation)
}

/// The words for a build whose project names these repositories, on a farm that builders reach at this address.
async fn wording(builder_url: &str, given: &[&str]) -> Wording {
    let (farm, allocation) = allocation(builder_url, given).await;
    Wording::new(&farm.context, &allocation)
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
        is_suspect: false,
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

#[tokio::test]
async fn a_builder_is_left_out_of_what_a_package_is_blamed_for() {
    let said = "FAIL: connect 54.1.2.3:22, root@54.1.2.3:x, vm/7 at node-7.cloud; 198.51.100.1, 127.0.0.1, v54.1.2.3";
    for (address, given, blame, expected) in [
        (
            "54.1.2.3",
            &[][..],
            model::Blame::Package,
            "FAIL: connect [address], root@[address]:x, [instance] at node-7.cloud; 198.51.100.1, 127.0.0.1, v54.1.2.3",
        ),
        (
            "node-7.cloud",
            &[],
            model::Blame::Package,
            "FAIL: connect 54.1.2.3:22, root@54.1.2.3:x, [instance] at [address]; 198.51.100.1, 127.0.0.1, v54.1.2.3",
        ),
        (
            "54.1.2.3",
            &["http://54.1.2.3/x/", "http://vm/7"],
            model::Blame::Package,
            said,
        ),
        // What each program means by it.
        ("127.0.0.1", &["http://vm/7"], model::Blame::Package, said),
        // Operators read these as well.
        ("54.1.2.3", &[], model::Blame::Infrastructure, said),
    ] {
        let (farm, mut allocation) = allocation("http://10.88.0.1", given).await;
        allocation.builder.address = Some(address.to_owned());
        allocation.builder.instance_id = Some("vm/7".to_owned());
        let failed = |text: &str| Outcome::Failed {
            blame,
            reason: text.to_owned(),
            evidence: Some(json!([text])),
            is_suspect: false,
            result_directory: None,
        };
        let told = Wording::new(&farm.context, &allocation).outcome(failed(said));
        assert_eq!(told, failed(expected), "{address} {blame:?}");
    }
}

#[test]
fn what_was_replaced_is_not_replaced_again() {
    let words = [
        ("one", "two"),
        ("two", "one"),
        ("http://farm/a/", "copr://two/"),
        ("http://farm", "[farm]"),
    ];
    let words = words.map(|(from, to)| (from.to_owned(), to.to_owned()));
    for (text, told) in [
        ("one two", "two one"),
        ("two,one.two", "one,two.one"),
        ("onetwo twone none one1 _two", "onetwo twone none one1 _two"),
        ("http://farm/a/one", "copr://two/two"),
        ("http://farm/b/one http://farmer", "[farm]/b/two http://farmer"),
        ("\u{e4}one \u{2018}two\u{2019}", "\u{e4}two \u{2018}one\u{2019}"),
        ("", ""),
    ] {
        assert_eq!(replace_words(text, &words), told, "{text}");
    }
    assert_eq!(replace_words("a", &[(String::new(), "x".to_owned())]), "a");
}

#[tokio::test]
async fn a_repository_named_like_another_ones_id_or_the_farm_stays_as_it_was_given() {
    let given = ["https://x.test/additional_1/", "https://farm.inner/additional_0"];
    let wording = wording("http://farm.inner:80", &given).await;
    assert_eq!(
        wording.of("additional_0 and additional_1"),
        "https://x.test/additional_1/ and https://farm.inner/additional_0"
    );
}

#[tokio::test]
async fn a_farm_at_an_address_of_ipv6_is_hidden_as_one() {
    let said = "http://[fd00::1]:5080/x, [fd00::1]:443, fd00::1";
    let wording = wording("http://[fd00::1]:5080", &[]).await;
    assert_eq!(wording.of(said), "[farm]/x, [fd00::1]:443, fd00::1");
    assert_eq!(wording.published(said), "[farm]/x, [[address]]:443, [address]");
}

#[test]
fn the_host_of_an_address_is_found_in_each_form() {
    for (address, expected) in [
        ("http://farm.inner", "farm.inner"),
        ("http://farm.inner:80/x:y", "farm.inner"),
        ("https://10.0.0.1:8443", "10.0.0.1"),
        ("http://[fd00::1]", "fd00::1"),
        ("http://[fd00::1]:5080/farm", "fd00::1"),
        ("farm.inner:80", "farm.inner"),
        ("", ""),
    ] {
        assert_eq!(host(address), expected, "{address}");
    }
}
