//! What follows from what, without a builder.

use std::time::Duration;

use model::Blame;
use runtime::clock;
use store::Outcome;

use super::{TIME_AROUND_THE_BUILD, describe, described, time_limit, verdict_of};
use crate::{
    error::Error,
    fake::verdict,
    session::{BuildOnBuilder, Status, VerdictWord},
    testing::Farm,
};

#[test]
fn what_a_builder_makes_of_a_build_is_told_in_a_sentence() {
    for (result, blame, reason, told) in [
        (VerdictWord::Succeeded, None, "", "succeeded"),
        (
            VerdictWord::Failed,
            Some("package"),
            "no",
            "failed (answerable: package): no",
        ),
        (
            VerdictWord::Skipped,
            Some("package"),
            "s390x only",
            "skipped (answerable: package): s390x only",
        ),
        (VerdictWord::Cancelled, None, "", "cancelled"),
    ] {
        let said = described(&verdict(result, blame, reason));
        assert_eq!(said, format!("The builder says: {told}"));
    }
}

#[test]
fn only_a_finished_build_has_a_verdict_and_one_that_vanished_is_the_builders_fault() {
    let good = || Some(verdict(VerdictWord::Succeeded, None, ""));
    let of = |state, verdict| verdict_of(Status { state, verdict });
    let found = of(BuildOnBuilder::Finished, good()).unwrap().unwrap();
    assert_eq!(found.result, VerdictWord::Succeeded);
    assert!(of(BuildOnBuilder::Running, None).unwrap().is_none());
    assert!(of(BuildOnBuilder::Running, good()).unwrap().is_none());
    for (state, said) in [
        (BuildOnBuilder::Finished, "finished without a verdict"),
        (BuildOnBuilder::Lost, "vanished from its builder"),
        (BuildOnBuilder::Unknown, "vanished from its builder"),
    ] {
        let error = of(state, None).unwrap_err();
        assert!(
            matches!(&error, Error::Builder(words) if words.ends_with(said)),
            "{error}"
        );
    }
}

#[test]
fn the_end_of_an_attempt_is_told_to_the_log() {
    let reason = || "no".to_owned();
    let result_directory = None;
    for (outcome, told) in [
        (
            Outcome::Collected {
                result_directory: String::new(),
                packages: Vec::new(),
            },
            "0 packages collected",
        ),
        (
            Outcome::Failed {
                blame: Blame::Package,
                reason: reason(),
                evidence: None,
                result_directory: None,
            },
            "failed (package): no",
        ),
        (
            Outcome::Refused {
                reason: reason(),
                result_directory: None,
            },
            "failed for good (service): no",
        ),
        (
            Outcome::Skipped {
                reason: reason(),
                result_directory: None,
            },
            "skipped: no",
        ),
        (Outcome::Canceled { result_directory }, "canceled"),
    ] {
        assert_eq!(describe(&outcome), told);
    }
}

#[tokio::test]
async fn the_time_of_an_attempt_counts_from_its_start_whoever_drives_it() {
    let farm = Farm::start().await;
    let build = farm.submit(farm.store_source()).await;
    let mut allocation = farm.offer(build).await;
    allocation.attempt.options.timeout_seconds = 600;
    let whole = Duration::from_secs(600) + TIME_AROUND_THE_BUILD;
    for (ago, left) in [
        (0, whole),
        (1000, whole - Duration::from_secs(1000)),
        (100_000, Duration::ZERO),
    ] {
        allocation.attempt.started_at = Some(clock::now().minus(Duration::from_secs(ago)));
        let found = time_limit(&allocation).saturating_duration_since(tokio::time::Instant::now());
        assert!(
            found <= left && left.saturating_sub(found) < Duration::from_secs(30),
            "{found:?}"
        );
    }
}
