use model::Blame;
use serde_json::json;
use store::Outcome;

use super::{end_of, logs_of, with_results};
use crate::{
    fake::verdict,
    session::{Offer, VerdictWord},
};

fn offer(files: serde_json::Value) -> Offer {
    Offer {
        files,
        refused: Vec::new(),
        passed_over: Vec::new(),
    }
}

#[test]
fn a_verdict_means_what_it_says_and_one_without_sense_is_the_builders_fault() {
    assert!(end_of(&verdict(VerdictWord::Succeeded, None, "")).is_none());
    let failed = end_of(&verdict(VerdictWord::Failed, Some("package"), "no"))
        .unwrap()
        .unwrap();
    assert!(matches!(&failed, Outcome::Failed { blame: Blame::Package, reason, .. } if reason == "no"));
    let skipped = end_of(&verdict(VerdictWord::Skipped, None, "s390x only"))
        .unwrap()
        .unwrap();
    assert!(matches!(&skipped, Outcome::Skipped { reason, .. } if reason == "s390x only"));
    for odd in [
        verdict(VerdictWord::Failed, None, "no"),
        verdict(VerdictWord::Failed, Some("the weather"), "no"),
        verdict(VerdictWord::Cancelled, Some("cancelled"), "killed"),
    ] {
        let outcome = end_of(&odd).unwrap().unwrap_err().outcome();
        assert!(
            matches!(
                &outcome,
                Outcome::Failed {
                    blame: Blame::Infrastructure,
                    ..
                }
            ),
            "{outcome:?}"
        );
    }
}

#[test]
fn only_of_a_kill_the_package_is_suspected() {
    for (kind, expected) in [(Some("killed"), true), (Some("disk"), false), (None, false)] {
        let mut told = verdict(VerdictWord::Failed, Some("infrastructure"), "no");
        told.kind = kind.map(str::to_owned);
        let ended = end_of(&told).unwrap().unwrap();
        assert!(
            matches!(&ended, Outcome::Failed { is_suspect, .. } if *is_suspect == expected),
            "{kind:?} {ended:?}"
        );
    }
}

#[test]
fn of_an_odd_manifest_the_good_logs_are_taken() {
    let entry = |name: &str, size: u64| json!({"name": name, "size": size, "sha256": "0a".repeat(32)});
    let limits = repository::ManifestLimits {
        files: 3,
        total_bytes: 100,
        manifest_bytes: 1 << 20,
    };
    let odd = offer(json!([
        entry("build.log", 10),
        entry("x-1-1.noarch.rpm", 10),
        entry("../up", 10),
        entry("build.log", 10),
        entry("huge.log", 1000),
        {"name": "no-digest.log", "size": 1, "sha256": "?"},
        "what",
        entry("backend.log", 10),
        entry("root.log", 10),
        entry("state.log", 10),
        entry("one-too-many.log", 10),
    ]));
    let taken: Vec<String> = logs_of(&odd, &limits)
        .into_iter()
        .map(|entry| entry.name)
        .collect();
    assert_eq!(taken, ["build.log", "root.log", "state.log"]);
    assert_eq!(logs_of(&offer(json!({"a": 1})), &limits), []);
}

#[test]
fn an_outcome_that_has_its_files_keeps_them() {
    let at = |directory: &str| Outcome::Canceled {
        result_directory: Some(directory.to_owned()),
    };
    let bare = Outcome::Canceled {
        result_directory: None,
    };
    assert_eq!(with_results(bare.clone(), Some("a".to_owned())), at("a"));
    assert_eq!(with_results(at("b"), Some("a".to_owned())), at("b"));
    assert_eq!(with_results(bare.clone(), None), bare);
}
