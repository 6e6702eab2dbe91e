//! How attempts end, and what that means for their builds.

use model::{AttemptState, Blame, BuildId, BuildState, BuilderState, builder::Deadlines};
use serde_json::json;
use store::Outcome;

use crate::{
    farm::{
        CANCELED, CHROOT, Farm, WORKER, assert_conflict, assert_invalid, collected, failed, package_file,
        result_directory,
    },
    support::at,
};

on_both_databases!(
    a_build_has_succeeded_only_when_it_is_published,
    a_package_failure_is_final_and_tells_why,
    an_infrastructure_failure_is_tried_three_times_and_then_blamed,
    what_is_killed_at_the_same_place_twice_is_killed_by_the_package,
    a_failure_of_our_own_is_tried_again_like_one_of_the_infrastructure,
    a_second_attempt_that_works_leaves_no_blame,
    a_lost_builder_means_another_attempt,
    an_attempt_that_no_worker_takes_up_waits_on_unharmed,
    a_source_that_is_not_meant_for_a_chroot_is_skipped,
    a_refused_task_is_the_farms_fault_and_not_tried_again,
    a_builder_is_drained_after_its_attempt_whatever_became_of_it,
    an_end_is_written_down_once,
    too_much_evidence_is_left_out_and_a_reason_cut,
    results_that_no_database_holds_are_refused_as_a_whole,
    a_thousand_packages_are_kept,
);

async fn a_build_has_succeeded_only_when_it_is_published(farm: Farm) {
    let id = farm.submit().await.id;
    let attempt = farm.collect(id).await;
    let running = (BuildState::Running, BuildState::Running, AttemptState::Publishing);
    assert_eq!(farm.states(id).await, running);
    let chroot = farm.chroot_of(id).await;
    assert_eq!(
        (chroot.ended_at, chroot.result_directory),
        (None, Some(result_directory(id)))
    );
    assert_eq!(farm.attempt(attempt).await.ended_at, None);

    farm.publish(CHROOT).await;
    let succeeded = (
        BuildState::Succeeded,
        BuildState::Succeeded,
        AttemptState::Succeeded,
    );
    assert_eq!(farm.states(id).await, succeeded);
    let chroot = farm.chroot_of(id).await;
    assert_eq!((chroot.ended_at, chroot.failure), (Some(at(7)), None));
    assert_eq!(
        (chroot.result_directory, chroot.attempts),
        (Some(result_directory(id)), 1)
    );
    assert_eq!(farm.attempt(attempt).await.ended_at, Some(at(7)));
    assert_eq!(farm.build(id).await.ended_at, Some(at(7)));
}

async fn a_package_failure_is_final_and_tells_why(farm: Farm) {
    let id = farm.submit().await.id;
    let epoch = farm.begin(id).await;
    let outcome = Outcome::Failed {
        blame: Blame::Package,
        reason: "%build ended with 1 – “see log”".to_owned(),
        evidence: Some(json!({"lines": ["error: no such file", "\u{1F4A5} \0"]})),
        is_suspect: false,
        result_directory: Some(result_directory(id)),
    };
    farm.finish(epoch, &outcome).await;

    assert_eq!(
        farm.states(id).await,
        (BuildState::Failed, BuildState::Failed, AttemptState::Failed)
    );
    let chroot = farm.chroot_of(id).await;
    let verdict = chroot.failure.unwrap();
    assert_eq!(
        (verdict.blame, verdict.reason.as_str()),
        (Blame::Package, "%build ended with 1 – “see log”")
    );
    let Outcome::Failed { evidence, .. } = outcome else {
        unreachable!()
    };
    assert_eq!(verdict.evidence, evidence);
    assert_eq!((chroot.attempts, chroot.ended_at), (1, Some(at(5))));
    assert_eq!(
        chroot.result_directory,
        Some(result_directory(id)),
        "its log is there"
    );
    let attempts = farm.store.attempts_of(id).await.unwrap();
    assert_eq!(attempts.len(), 1);
    assert_eq!(
        (attempts[0].blame, &attempts[0].evidence),
        (Some(Blame::Package), &evidence)
    );
    let due = farm.store.publishable(10, at(9)).await.unwrap();
    assert_eq!(
        due.len(),
        2,
        "only the repositories that were never published: {due:?}"
    );
}

/// Lets every attempt fail with a blame that is worth a retry.
async fn fail_until_it_is_over(farm: &Farm, id: BuildId, blame: Blame) {
    for number in 1..=3 {
        let attempt = farm.open_attempt(id).await;
        assert_eq!((attempt.number, attempt.state), (number, AttemptState::Waiting));
        assert_eq!(farm.chroot_of(id).await.attempts, number);
        let epoch = farm.begin(id).await;
        farm.finish(epoch, &failed(blame, &format!("disk {number} is full")))
            .await;
        let (state, expected) = if number < 3 {
            (AttemptState::Lost, BuildState::Pending)
        } else {
            (AttemptState::Failed, BuildState::Failed)
        };
        let ended = farm.attempt(attempt.id).await;
        assert_eq!(
            (ended.state, ended.blame, ended.ended_at),
            (state, Some(blame), Some(at(5)))
        );
        let chroot = farm.chroot_of(id).await;
        assert_eq!((chroot.state, farm.build(id).await.state), (expected, expected));
        assert_eq!(
            chroot.failure.is_some(),
            number == 3,
            "no verdict before the last"
        );
    }
    let chroot = farm.chroot_of(id).await;
    let verdict = chroot.failure.unwrap();
    assert_eq!(
        (verdict.blame, verdict.reason.as_str()),
        (blame, "disk 3 is full")
    );
    assert_eq!(chroot.attempts, 3);
    assert_eq!(farm.store.attempts_of(id).await.unwrap().len(), 3);
}

async fn an_infrastructure_failure_is_tried_three_times_and_then_blamed(farm: Farm) {
    let id = farm.submit().await.id;
    fail_until_it_is_over(&farm, id, Blame::Infrastructure).await;
}

async fn a_failure_of_our_own_is_tried_again_like_one_of_the_infrastructure(farm: Farm) {
    let id = farm.submit().await.id;
    fail_until_it_is_over(&farm, id, Blame::Service).await;
}

/// The end of a build of which a program was killed, nobody knows by whom.
fn killed(at: &str) -> Outcome {
    Outcome::Failed {
        blame: Blame::Infrastructure,
        reason: format!("a program of the build was killed: {at}"),
        evidence: None,
        is_suspect: true,
        result_directory: None,
    }
}

async fn what_is_killed_at_the_same_place_twice_is_killed_by_the_package(farm: Farm) {
    let id = farm.submit().await.id;
    for (at, state, attempts) in [
        ("rpm-tmp.aBc: line 3: 17 Killed make", BuildState::Pending, 2),
        // At another place: it may be the builder again.
        ("rpm-tmp.aBc: line 9: 17 Killed sleep 5", BuildState::Pending, 3),
    ] {
        let epoch = farm.begin(id).await;
        farm.finish(epoch, &killed(at)).await;
        let chroot = farm.chroot_of(id).await;
        assert_eq!((chroot.state, chroot.attempts), (state, attempts), "{at}");
    }
    let other = farm.submit().await.id;
    for at in [
        "rpm-tmp.aBc: line 9: 17 Killed sleep 5",
        "rpm-tmp.xyZ: line 9: 4711 Killed sleep 5",
    ] {
        let epoch = farm.begin(other).await;
        farm.finish(epoch, &killed(at)).await;
    }
    let chroot = farm.chroot_of(other).await;
    assert_eq!((chroot.state, chroot.attempts), (BuildState::Failed, 2));
    let failure = chroot.failure.unwrap();
    assert_eq!(failure.blame, Blame::Package);
    assert!(
        failure
            .reason
            .contains("4711 Killed sleep 5; the attempt before ended at the same place"),
        "{}",
        failure.reason
    );
}

async fn a_second_attempt_that_works_leaves_no_blame(farm: Farm) {
    let id = farm.submit().await.id;
    let epoch = farm.begin(id).await;
    farm.finish(epoch, &failed(Blame::Infrastructure, "disk is full"))
        .await;
    farm.collect(id).await;
    farm.publish(CHROOT).await;
    let chroot = farm.chroot_of(id).await;
    assert_eq!(
        (chroot.state, chroot.failure, chroot.attempts),
        (BuildState::Succeeded, None, 2)
    );
    let states: Vec<_> = farm
        .store
        .attempts_of(id)
        .await
        .unwrap()
        .iter()
        .map(|it| it.state)
        .collect();
    assert_eq!(states, [AttemptState::Lost, AttemptState::Succeeded]);
}

async fn a_lost_builder_means_another_attempt(farm: Farm) {
    let id = farm.submit().await.id;
    let epoch = farm.begin(id).await;
    let first = farm.open_attempt(id).await;
    farm.renew(epoch, WORKER, 77, (90, 10)).await;
    farm.lose_builder(id, "its instance is gone", at(11)).await;
    farm.begin(id).await;
    let second = farm.open_attempt(id).await;
    farm.lose_builder(id, "no sign of life", at(12)).await;

    for (before, reason) in [(&first, "its instance is gone"), (&second, "no sign of life")] {
        let lost = farm.attempt(before.id).await;
        assert_eq!(
            (lost.state, lost.blame),
            (AttemptState::Lost, Some(Blame::Infrastructure))
        );
        assert_eq!(lost.reason.as_deref(), Some(reason));
        let builder = farm.builder(before.builder.unwrap()).await;
        assert_eq!(builder.state, BuilderState::Draining);
    }
    assert_eq!(farm.attempt(first.id).await.log_bytes, 77, "the old log is kept");
    let third = farm.open_attempt(id).await;
    assert_eq!(
        (third.number, third.state, third.log_bytes),
        (3, AttemptState::Waiting, 0)
    );
    assert_eq!(farm.states(id).await.0, BuildState::Pending);
}

/// As when no worker runs for a day.
async fn an_attempt_that_no_worker_takes_up_waits_on_unharmed(farm: Farm) {
    let id = farm.submit().await.id;
    let builder = farm.ready_builder().await.id;
    let attempt = farm.open_attempt(id).await;
    for _ in 0..25 {
        let ready = farm.builder(builder).await;
        farm.store
            .assign(&farm.lease, attempt.id, &ready, at(60), at(3))
            .await
            .unwrap();
        farm.go(&farm.builder(builder).await, BuilderState::Ready).await;
    }
    let waiting = farm.open_attempt(id).await;
    assert_eq!(
        (waiting.id, waiting.number, waiting.state),
        (attempt.id, 1, AttemptState::Waiting)
    );
    assert_eq!(
        farm.states(id).await,
        (BuildState::Pending, BuildState::Pending, AttemptState::Waiting)
    );
    farm.collect(id).await;
    farm.publish(CHROOT).await;
    assert_eq!(farm.chroot_of(id).await.attempts, 1);
}

async fn a_source_that_is_not_meant_for_a_chroot_is_skipped(farm: Farm) {
    let id = farm.submit().await.id;
    let epoch = farm.begin(id).await;
    let outcome = Outcome::Skipped {
        reason: "ExclusiveArch: s390x".to_owned(),
        result_directory: Some(result_directory(id)),
    };
    farm.finish(epoch, &outcome).await;
    assert_eq!(
        farm.states(id).await,
        (BuildState::Skipped, BuildState::Skipped, AttemptState::Skipped)
    );
    let chroot = farm.chroot_of(id).await;
    assert_eq!(chroot.failure.unwrap().reason, "ExclusiveArch: s390x");
    assert_eq!(
        chroot.result_directory,
        Some(result_directory(id)),
        "its logs are kept"
    );
}

async fn a_refused_task_is_the_farms_fault_and_not_tried_again(farm: Farm) {
    let id = farm.submit().await.id;
    let epoch = farm.begin(id).await;
    let outcome = Outcome::Refused {
        reason: "the builder refuses the task: chroot: no definition".to_owned(),
        result_directory: None,
    };
    farm.finish(epoch, &outcome).await;
    assert_eq!(
        farm.states(id).await,
        (BuildState::Failed, BuildState::Failed, AttemptState::Failed)
    );
    let verdict = farm.chroot_of(id).await.failure.unwrap();
    assert_eq!(verdict.blame, Blame::Service);
    assert_eq!(
        verdict.reason,
        "the builder refuses the task: chroot: no definition"
    );
    assert_eq!(farm.store.attempts_of(id).await.unwrap().len(), 1);
}

async fn a_builder_is_drained_after_its_attempt_whatever_became_of_it(farm: Farm) {
    for outcome in [
        collected(BuildId(1)),
        failed(Blame::Package, "no"),
        failed(Blame::Infrastructure, "disk"),
        Outcome::Skipped {
            reason: "no".to_owned(),
            result_directory: None,
        },
        Outcome::Refused {
            reason: "no".to_owned(),
            result_directory: None,
        },
        CANCELED,
    ] {
        let id = farm.submit().await.id;
        let epoch = farm.begin(id).await;
        let busy = farm.builder(farm.open_attempt(id).await.builder.unwrap()).await;
        let before = farm.last_event().await;
        farm.finish(epoch, &outcome).await;
        let builder = farm.builder(busy.id).await;
        assert_eq!(
            (builder.state, builder.version),
            (BuilderState::Draining, busy.version + 1)
        );
        let deadline = at(5).plus(Deadlines::default().drain);
        assert_eq!((builder.entered_at, builder.deadline), (at(5), Some(deadline)));
        let events = farm.events_after(before).await;
        let of_builder: Vec<_> = events
            .iter()
            .filter(|event| event.subject_kind == "builder")
            .collect();
        assert_eq!(of_builder.len(), 1, "{outcome:?}");
        assert_eq!(of_builder[0].actor, "worker:worker-1");
        assert_eq!(of_builder[0].new_state.as_deref(), Some("draining"));
    }
    assert_eq!(farm.store.accepted_allocations(None).await.unwrap(), []);
}

async fn an_end_is_written_down_once(farm: Farm) {
    let id = farm.submit().await.id;
    let epoch = farm.begin(id).await;
    let (here, there) = (farm.store.clone(), farm.database.connect().await);
    let (good, bad) = (collected(id), failed(Blame::Package, "no"));
    // The same worker twice: one that was cut off and repeats itself, and what is left of its first try.
    let (left, right) = tokio::join!(
        here.finish_attempt(epoch, WORKER, &good, at(5)),
        there.finish_attempt(epoch, WORKER, &bad, at(5)),
    );
    let good_won = left.is_ok();
    crate::farm::the_one_winner(vec![left, right]);
    let expected = if good_won {
        AttemptState::Publishing
    } else {
        AttemptState::Failed
    };
    assert_eq!(farm.states(id).await.2, expected);
    assert_eq!(farm.store.built_packages(id).await.unwrap().is_empty(), !good_won);
    assert_conflict(farm.store.finish_attempt(epoch, WORKER, &good, at(6)).await);
}

async fn too_much_evidence_is_left_out_and_a_reason_cut(farm: Farm) {
    let id = farm.submit().await.id;
    let epoch = farm.begin(id).await;
    let reason = format!("NUL \0 {}", "ö".repeat(10_000));
    let outcome = Outcome::Failed {
        blame: Blame::Package,
        reason,
        evidence: Some(json!("x".repeat(300_000))),
        is_suspect: false,
        result_directory: None,
    };
    farm.finish(epoch, &outcome).await;
    let verdict = farm.chroot_of(id).await.failure.unwrap();
    assert_eq!(verdict.reason.chars().count(), 4000);
    assert!(
        verdict.reason.starts_with("NUL \u{FFFD} öö"),
        "{:.20}",
        verdict.reason
    );
    assert_eq!(verdict.evidence, Some(json!({"omitted": "300002 bytes"})));
}

async fn results_that_no_database_holds_are_refused_as_a_whole(farm: Farm) {
    let id = farm.submit().await.id;
    let epoch = farm.begin(id).await;
    let before = (farm.build(id).await, farm.last_event().await);
    let mut unspeakable = package_file("hello");
    unspeakable.package.release = "1\0".to_owned();
    let mut endless = package_file("hello");
    endless.size = u64::MAX;
    for bad in [unspeakable, endless] {
        let packages = vec![package_file("good"), bad];
        let outcome = Outcome::Collected {
            result_directory: result_directory(id),
            packages,
        };
        assert_invalid(farm.store.finish_attempt(epoch, WORKER, &outcome, at(5)).await);
    }
    let packages = vec![package_file("twice"), package_file("twice")];
    let outcome = Outcome::Collected {
        result_directory: result_directory(id),
        packages,
    };
    assert_conflict(farm.store.finish_attempt(epoch, WORKER, &outcome, at(5)).await);

    assert_eq!((farm.build(id).await, farm.last_event().await), before);
    assert_eq!(farm.store.built_packages(id).await.unwrap(), []);
    farm.finish(epoch, &collected(id)).await;
}

async fn a_thousand_packages_are_kept(farm: Farm) {
    let id = farm.submit().await.id;
    let epoch = farm.begin(id).await;
    // More than one statement's worth of rows.
    let packages = (0..1001)
        .map(|number| package_file(&format!("texlive-{number}")))
        .collect();
    let outcome = Outcome::Collected {
        result_directory: result_directory(id),
        packages,
    };
    farm.finish(epoch, &outcome).await;
    let built = farm.store.built_packages(id).await.unwrap();
    assert_eq!(built[0].1.len(), 1001);
    assert!(built[0].1.is_sorted());
}
