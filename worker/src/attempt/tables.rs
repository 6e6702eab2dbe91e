//! What follows from what, without a builder.

use std::time::Duration;

use model::Blame;
use runtime::clock;
use store::Outcome;

use super::{
    PATIENCE, PATIENCE_BEFORE_THE_START, Reach, TIME_AROUND_THE_BUILD, describe, described, last_word,
    time_limit, verdict_of,
};
use crate::{
    error::Error,
    fake::{lost, verdict},
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
                is_suspect: false,
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

/// One that has been out of reach for so long.
fn out_of_reach(has_build: bool, since: Duration) -> Reach {
    let mut reach = Reach::new(has_build);
    reach.lost = tokio::time::Instant::now().checked_sub(since);
    assert!(reach.lost.is_some(), "a clock that began this long ago");
    reach
}

#[test]
fn a_builder_is_tried_again_for_as_long_as_it_may_have_a_build_of_ours() {
    let second = Duration::from_secs(1);
    let (short, long) = (PATIENCE_BEFORE_THE_START, PATIENCE);
    assert!(short < long, "else the table below says nothing");
    for (has_build, since, is_tried) in [
        (false, Duration::ZERO, true),
        (false, short - second, true),
        (false, short + second, false),
        (true, short + second, true),
        (true, long - second, true),
        (true, long + second, false),
    ] {
        let pause = out_of_reach(has_build, since).failed();
        assert_eq!(pause.is_some(), is_tried, "{has_build} {since:?}");
    }
}

#[test]
fn a_connection_that_was_made_gives_all_the_patience_back_and_a_build_is_not_forgotten() {
    let second = Duration::from_secs(1);
    let mut reach = out_of_reach(false, PATIENCE_BEFORE_THE_START + second);
    assert_eq!(reach.failed(), None);
    reach.made(true);
    assert!(reach.failed().is_some(), "its silence begins anew");
    reach.made(false);
    assert!(
        reach.has_build && !reach.is_first,
        "a builder that forgets our build has had it"
    );
    let mut pauses: Vec<Duration> = (0..8).filter_map(|_| reach.failed()).collect();
    assert_eq!(pauses.len(), 8);
    let longest = pauses.pop().unwrap();
    assert!(
        longest > pauses[0] * 4 && longest <= Duration::from_secs(10),
        "{pauses:?} {longest:?}"
    );
}

#[test]
fn what_a_builder_said_before_it_went_away_is_the_end_where_it_needs_no_files() {
    for (said, expected) in [
        (None, Some(Blame::Infrastructure)),
        // Its packages are nowhere else.
        (
            Some(verdict(VerdictWord::Succeeded, None, "")),
            Some(Blame::Infrastructure),
        ),
        (
            Some(verdict(VerdictWord::Failed, Some("package"), "no")),
            Some(Blame::Package),
        ),
        (
            Some(verdict(VerdictWord::Failed, Some("service"), "no")),
            Some(Blame::Service),
        ),
        (
            Some(verdict(VerdictWord::Failed, Some("the weather"), "no")),
            Some(Blame::Infrastructure),
        ),
        (Some(verdict(VerdictWord::Skipped, None, "s390x only")), None),
    ] {
        let outcome = last_word(said.as_ref(), lost()).unwrap_or_else(|error| error.outcome());
        let blame = match &outcome {
            Outcome::Failed { blame, .. } => Some(*blame),
            _ => None,
        };
        assert_eq!(blame, expected, "{said:?}: {outcome:?}");
    }
}
