//! Builds: submitting, looking at, listing and deleting them, and the state that follows from their chroots.

use std::collections::BTreeSet;

use model::{AttemptState, Blame, BuildId, BuildState, UserId};
use store::{BuildFilter, BuildOptions, EventFilter, NewUpload, Outcome, Page, ProjectKey, ProjectSettings};

use crate::{
    farm::{
        CANCELED, CHROOT, Farm, NO_PROJECT, OTHER_CHROOT, assert_conflict, assert_invalid, assert_not_found,
        chroot, collected, failed, package_file, result_directory,
    },
    support::at,
};

on_both_databases!(
    a_build_is_there_at_once_with_an_attempt_for_each_chroot,
    chroots_that_the_source_is_not_for_are_skipped,
    a_submission_that_makes_no_sense_is_refused_and_leaves_nothing,
    a_builds_state_follows_from_its_chroots,
    what_a_build_leaves_open_is_as_its_project_says,
    builds_are_listed_newest_first_by_what_they_are_asked_for,
    the_packages_of_a_build_are_told_by_chroot,
    many_who_submit_a_new_package_at_once_share_it,
    a_build_is_deleted_only_when_it_is_over,
    a_published_build_that_is_deleted_leaves_the_repository,
    sources_and_attempts_of_deleted_builds_are_nobodys,
    builds_that_are_named_together_are_deleted_together_or_not_at_all,
);

async fn a_build_is_there_at_once_with_an_attempt_for_each_chroot(farm: Farm) {
    let before = farm.last_event().await;
    let upload = NewUpload {
        directory: "tools:pr:7".parse().unwrap(),
        ..farm.upload(&[OTHER_CHROOT, CHROOT])
    };
    let build = farm.store.submit_upload(&upload, at(9)).await.unwrap();
    assert_eq!(farm.build(build.id).await, build);

    assert_eq!(
        (build.state, build.source_state),
        (BuildState::Pending, BuildState::Succeeded)
    );
    assert_eq!(
        (&build.owner, &build.project_name),
        (&farm.project.owner, &farm.project.name)
    );
    assert_eq!(build.submitter.as_ref(), Some(&farm.user.name));
    assert_eq!(
        (build.directory.as_str(), build.version.as_deref()),
        ("tools:pr:7", Some("1.0-1"))
    );
    assert_eq!(build.source, upload.srpm);
    assert_eq!(
        (build.submitted_at, build.started_at, build.ended_at),
        (at(9), None, None)
    );
    let names: Vec<&str> = build.chroots.iter().map(|chroot| chroot.name.as_str()).collect();
    assert_eq!(names, [CHROOT, OTHER_CHROOT]);

    let attempts = farm.store.attempts_of(build.id).await.unwrap();
    assert_eq!(attempts.len(), 2);
    for attempt in &attempts {
        assert_eq!((attempt.state, attempt.number), (AttemptState::Waiting, 1));
        assert_eq!(
            (attempt.queued_at, attempt.epoch, attempt.builder),
            (at(9), None, None)
        );
        assert_eq!(
            (&attempt.source, &attempt.directory),
            (&upload.srpm, &upload.directory)
        );
        assert_eq!(farm.attempt(attempt.id).await, *attempt);
    }
    let events = farm.events_after(before).await;
    let kinds: Vec<&str> = events.iter().map(|event| event.subject_kind.as_str()).collect();
    assert_eq!(kinds, ["attempt", "attempt", "build"]);
    for event in events {
        assert_eq!(
            (event.actor.as_str(), event.build),
            ("user:alice", Some(build.id))
        );
    }
}

async fn chroots_that_the_source_is_not_for_are_skipped(farm: Farm) {
    let not_for = |name: &str| (chroot(name), "ExclusiveArch: s390x".to_owned());
    let upload = NewUpload {
        skipped: vec![not_for(OTHER_CHROOT)],
        ..farm.upload(&[CHROOT])
    };
    let build = farm.store.submit_upload(&upload, at(9)).await.unwrap();
    assert_eq!(build.state, BuildState::Pending);
    let skipped = &build.chroots[1];
    assert_eq!((skipped.state, skipped.attempts), (BuildState::Skipped, 0));
    let verdict = skipped.failure.as_ref().unwrap();
    assert_eq!(
        (verdict.blame, verdict.reason.as_str()),
        (Blame::Package, "ExclusiveArch: s390x")
    );
    assert_eq!(farm.store.attempts_of(build.id).await.unwrap().len(), 1);

    let nowhere = NewUpload {
        skipped: vec![not_for(CHROOT), not_for(OTHER_CHROOT)],
        ..farm.upload(&[])
    };
    let build = farm.store.submit_upload(&nowhere, at(9)).await.unwrap();
    assert_eq!((build.state, build.ended_at), (BuildState::Skipped, Some(at(9))));
    assert_eq!(farm.store.attempts_of(build.id).await.unwrap(), []);
}

async fn a_submission_that_makes_no_sense_is_refused_and_leaves_nothing(farm: Farm) {
    let good = || farm.upload(&[CHROOT]);
    let before = farm.last_event().await;
    for directory in ["other", "toolsmith", "tool"] {
        let elsewhere = NewUpload {
            directory: directory.parse().unwrap(),
            ..good()
        };
        assert_invalid(farm.store.submit_upload(&elsewhere, at(1)).await);
    }
    let mut skipped_too = good();
    skipped_too
        .skipped
        .push((chroot(CHROOT), "not for it".to_owned()));
    let mut unspeakable = good();
    unspeakable.version = "1.0\0".to_owned();
    let mut endless = good();
    endless.srpm.size = u64::MAX;
    for upload in [
        farm.upload(&[]),
        farm.upload(&["beos-5-x86_64"]),
        farm.upload(&[CHROOT, CHROOT]),
        skipped_too,
        unspeakable,
        endless,
    ] {
        assert_invalid(farm.store.submit_upload(&upload, at(1)).await);
    }
    let mut by_nobody = good();
    by_nobody.submitter = UserId(4711);
    assert_not_found(farm.store.submit_upload(&by_nobody, at(1)).await);
    let mut to_nowhere = good();
    to_nowhere.project = NO_PROJECT;
    assert_not_found(farm.store.submit_upload(&to_nowhere, at(1)).await);

    assert_eq!(farm.store.recent_builds(10).await.unwrap(), []);
    assert_eq!(farm.raw().await.number("SELECT count(*) FROM package").await, 0);
    assert_eq!(farm.last_event().await, before);
}

/// Both chroots go their ways; the words are those that copr-cli waits for.
async fn a_builds_state_follows_from_its_chroots(farm: Farm) {
    let id = farm.submit_for(&[CHROOT, OTHER_CHROOT]).await.id;
    let attempts = farm.store.attempts_of(id).await.unwrap();
    let state = async || farm.build(id).await.state;
    let mut epochs = Vec::new();
    for attempt in &attempts {
        let builder = farm.ready_builder().await;
        epochs.push(
            farm.store
                .assign(&farm.lease, attempt.id, &builder, at(60), at(3))
                .await
                .unwrap(),
        );
        assert_eq!(state().await, BuildState::Starting);
    }
    farm.accept(epochs[0]).await;
    assert_eq!(state().await, BuildState::Running);
    farm.finish(epochs[0], &failed(Blame::Package, "no")).await;
    assert_eq!(
        state().await,
        BuildState::Starting,
        "the other one is still to come"
    );
    farm.accept(epochs[1]).await;
    farm.finish(epochs[1], &collected(id)).await;
    let build = farm.build(id).await;
    assert_eq!((build.state, build.ended_at), (BuildState::Running, None));
    farm.publish(attempts[1].chroot.as_str()).await;

    let build = farm.build(id).await;
    assert_eq!(build.state, BuildState::Failed, "one failure is enough");
    assert_eq!((build.started_at, build.ended_at), (Some(at(4)), Some(at(7))));
    // The list is asked by what was stored, and each change was told.
    let filter = BuildFilter {
        state: Some(BuildState::Failed),
        ..BuildFilter::default()
    };
    assert_eq!(
        farm.store.builds(&filter, Page::default()).await.unwrap(),
        [build.summary()]
    );
    let events = farm
        .events(EventFilter {
            build: Some(id),
            ..EventFilter::default()
        })
        .await;
    let of_build = events.iter().filter(|event| event.subject_kind == "build");
    let told: Vec<_> = of_build.filter_map(|event| event.new_state.as_deref()).collect();
    assert_eq!(
        told,
        ["pending", "starting", "running", "starting", "running", "failed"]
    );
}

async fn what_a_build_leaves_open_is_as_its_project_says(farm: Farm) {
    let settings = ProjectSettings {
        enable_net: true,
        isolation: "nspawn".to_owned(),
        bootstrap: "image".to_owned(),
        additional_repos: vec!["https://example.org/repo".to_owned()],
        ..ProjectSettings::default()
    };
    farm.store
        .change_project_settings(farm.project.id, |_| settings.clone(), at(1))
        .await
        .unwrap();
    let open = farm.submit().await;
    let decided = NewUpload {
        options: BuildOptions {
            enable_net: Some(false),
            isolation: Some("simple".to_owned()),
            ..BuildOptions::default()
        },
        ..farm.upload(&[CHROOT])
    };
    let decided = farm.store.submit_upload(&decided, at(2)).await.unwrap();
    assert_eq!(open.options, BuildOptions::default());

    for (build, net, isolation) in [(open.id, true, "nspawn"), (decided.id, false, "simple")] {
        let attempt = farm.open_attempt(build).await;
        assert_eq!(attempt.options.enable_net, Some(net));
        assert_eq!(attempt.options.isolation.as_deref(), Some(isolation));
        assert_eq!(attempt.options.bootstrap.as_deref(), Some("image"));
        assert_eq!(attempt.additional_repos, settings.additional_repos);
    }
}

async fn builds_are_listed_newest_first_by_what_they_are_asked_for(farm: Farm) {
    let first = farm.submit().await;
    let mut world = farm.upload(&[CHROOT]);
    world.package = "world".parse().unwrap();
    let second = farm.store.submit_upload(&world, at(2)).await.unwrap();
    let other = farm
        .store
        .create_project(&farm.new_project("other"), at(2))
        .await
        .unwrap();
    world.project = other.id;
    world.directory = "other".parse().unwrap();
    let third = farm.store.submit_upload(&world, at(3)).await.unwrap();

    let ids = async |filter: BuildFilter, limit: Option<u64>, offset: u64| {
        let builds = farm.store.builds(&filter, Page { limit, offset }).await.unwrap();
        builds.into_iter().map(|build| build.id).collect::<Vec<BuildId>>()
    };
    let all = BuildFilter::default();
    assert_eq!(ids(all.clone(), None, 0).await, [third.id, second.id, first.id]);
    assert_eq!(ids(all.clone(), Some(1), 1).await, [second.id]);
    let of_project = BuildFilter {
        project: Some(farm.project.id.into()),
        ..all.clone()
    };
    assert_eq!(ids(of_project.clone(), None, 0).await, [second.id, first.id]);
    let named = |owner: &str, name: &str| BuildFilter {
        project: Some(ProjectKey::Name(owner.parse().unwrap(), name.parse().unwrap())),
        ..all.clone()
    };
    assert_eq!(ids(named("alice", "tools"), None, 0).await, [second.id, first.id]);
    assert_eq!(ids(named("alice", "nothing"), None, 0).await, []);
    assert_eq!(ids(named("bob", "tools"), None, 0).await, []);
    let of_package = BuildFilter {
        package: Some("world".parse().unwrap()),
        ..all.clone()
    };
    assert_eq!(ids(of_package.clone(), None, 0).await, [third.id, second.id]);
    let pending = BuildFilter {
        state: Some(BuildState::Pending),
        ..of_package.clone()
    };
    assert_eq!(ids(pending, Some(1), 1).await, [second.id]);
    let oldest = BuildFilter {
        oldest_first: true,
        ..all.clone()
    };
    assert_eq!(ids(oldest.clone(), Some(2), 0).await, [first.id, second.id]);
    assert_eq!(ids(oldest, Some(2), 2).await, [third.id]);
    let of_both = BuildFilter {
        project: of_project.project,
        ..of_package
    };
    assert_eq!(ids(of_both.clone(), None, 0).await, [second.id]);
    let of_no_package = BuildFilter {
        package: Some("nothing".parse().unwrap()),
        ..of_both
    };
    assert_eq!(ids(of_no_package, None, 0).await, []);
    let running = BuildFilter {
        state: Some(BuildState::Running),
        ..all
    };
    assert_eq!(ids(running, None, 0).await, []);
    let recent = farm.store.recent_builds(2).await.unwrap();
    assert_eq!(recent, [third.summary(), second.summary()]);
    assert_eq!(farm.store.build(BuildId(4711)).await.unwrap(), None);
}

async fn the_packages_of_a_build_are_told_by_chroot(farm: Farm) {
    let id = farm.submit_for(&[CHROOT, OTHER_CHROOT]).await.id;
    assert_eq!(farm.store.built_packages(id).await.unwrap(), []);
    for attempt in farm.store.attempts_of(id).await.unwrap() {
        let builder = farm.ready_builder().await;
        let epoch = farm
            .store
            .assign(&farm.lease, attempt.id, &builder, at(60), at(3))
            .await
            .unwrap();
        farm.accept(epoch).await;
        let mut packages = vec![package_file("hello-libs"), package_file("hello")];
        if attempt.chroot.as_str() == OTHER_CHROOT {
            packages.truncate(1);
        }
        let outcome = Outcome::Collected {
            result_directory: result_directory(id),
            packages,
        };
        farm.finish(epoch, &outcome).await;
    }
    let (hello, libs) = (package_file("hello").package, package_file("hello-libs").package);
    assert_eq!(
        farm.store.built_packages(id).await.unwrap(),
        [
            (chroot(CHROOT), vec![hello, libs.clone()]),
            (chroot(OTHER_CHROOT), vec![libs])
        ]
    );
}

async fn many_who_submit_a_new_package_at_once_share_it(farm: Farm) {
    let mut submissions = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (store, upload) = (
            farm.database.connect().await,
            farm.upload(&[CHROOT, OTHER_CHROOT]),
        );
        submissions.spawn(async move { store.submit_upload(&upload, at(1)).await.unwrap().id });
    }
    let mut ids = submissions.join_all().await;
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 8);
    assert_eq!(farm.raw().await.number("SELECT count(*) FROM package").await, 1);
    assert_eq!(farm.raw().await.number("SELECT count(*) FROM attempt").await, 16);
}

async fn a_build_is_deleted_only_when_it_is_over(farm: Farm) {
    let id = farm.submit().await.id;
    assert_conflict(farm.store.delete_builds(&BTreeSet::from([id]), at(2)).await);
    let epoch = farm.begin(id).await;
    // The build is cancelled, but its worker is still at it.
    farm.store.cancel_build(id, "user:alice", at(5)).await.unwrap();
    assert_eq!(farm.build(id).await.state, BuildState::Canceled);
    assert_conflict(farm.store.delete_builds(&BTreeSet::from([id]), at(5)).await);
    farm.finish(epoch, &CANCELED).await;

    farm.store
        .delete_builds(&BTreeSet::from([id]), at(6))
        .await
        .unwrap();
    assert_eq!(farm.store.build(id).await.unwrap(), None);
    assert_eq!(farm.store.attempts_of(id).await.unwrap(), []);
    assert_not_found(farm.store.delete_builds(&BTreeSet::from([id]), at(7)).await);
    let next = farm.submit().await.id;
    assert!(next > id, "an id is never given out again");
}

async fn sources_and_attempts_of_deleted_builds_are_nobodys(farm: Farm) {
    let gone = farm.submit().await;
    let mut upload = farm.upload(&[CHROOT]);
    upload.srpm.sha256 = "ef".repeat(32);
    let stays = farm.store.submit_upload(&upload, at(1)).await.unwrap();
    let digests = [
        gone.source.sha256.clone(),
        stays.source.sha256.clone(),
        "00".repeat(32),
    ];
    let attempt_of = async |id| farm.store.attempts_of(id).await.unwrap()[0].id;
    let attempts = [attempt_of(gone.id).await, attempt_of(stays.id).await];
    let used = farm.store.used_sources(&digests).await.unwrap();
    assert_eq!(used, digests[..2].iter().cloned().collect());

    farm.store
        .cancel_build(gone.id, "user:alice", at(2))
        .await
        .unwrap();
    farm.store
        .delete_builds(&BTreeSet::from([gone.id]), at(3))
        .await
        .unwrap();
    let used = farm.store.used_sources(&digests).await.unwrap();
    assert_eq!(used, [stays.source.sha256].into());
    let existing = farm.store.existing_attempts(&attempts).await.unwrap();
    assert_eq!(existing, [attempts[1]].into());
}

async fn a_published_build_that_is_deleted_leaves_the_repository(farm: Farm) {
    let gone = farm.published_build().await;
    let stays = farm.published_build().await;
    farm.store
        .delete_builds(&BTreeSet::from([gone.id]), at(20))
        .await
        .unwrap();
    let asked = [gone.id, stays.id, BuildId(4711)];
    assert_eq!(
        farm.store.existing_builds(&asked).await.unwrap(),
        [stays.id].into()
    );

    let due = farm.store.publishable(10, at(20)).await.unwrap();
    assert!(due.iter().any(|place| place.chroot.as_str() == CHROOT), "{due:?}");
    let (directory, name) = (farm.directory(), chroot(CHROOT));
    let key = store::RepositoryKey {
        project: farm.project.id,
        directory: &directory,
        chroot: &name,
    };
    let number = farm.store.begin_publication(key, "w", at(21)).await.unwrap();
    let publication = farm.store.publication(key, number.unwrap()).await.unwrap();
    assert_eq!(publication.attempts, []);
    let kept: Vec<_> = publication
        .packages
        .iter()
        .map(|package| &package.result_directory)
        .collect();
    assert_eq!(kept, [&result_directory(stays.id)]);
}

async fn builds_that_are_named_together_are_deleted_together_or_not_at_all(farm: Farm) {
    let published = farm.published_build().await.id;
    let open = farm.submit().await.id;
    let both = BTreeSet::from([published, open]);
    let before = farm.last_event().await;
    assert_conflict(farm.store.delete_builds(&both, at(90)).await);
    assert_not_found(
        farm.store
            .delete_builds(&BTreeSet::from([published, BuildId(999)]), at(90))
            .await,
    );
    assert_eq!(
        farm.store.existing_builds(&[published, open]).await.unwrap(),
        both
    );
    assert_eq!(farm.events_after(before).await.len(), 0);

    farm.store.cancel_build(open, "user:alice", at(91)).await.unwrap();
    farm.store.delete_builds(&both, at(92)).await.unwrap();
    assert!(
        farm.store
            .existing_builds(&[published, open])
            .await
            .unwrap()
            .is_empty()
    );
    let due = farm.store.publishable(10, at(93)).await.unwrap();
    assert!(
        due.iter().any(|place| place.chroot.as_str() == CHROOT),
        "the repository that loses a package is published anew"
    );
}
