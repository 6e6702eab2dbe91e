//! Builders that run more than one build of a sandbox, and are cleaned between two.

use model::{Blame, BuildId, Epoch, Sandbox};
use store::{
    BuildOptions, Chroot, NewProject, NewUpload, NewUser, Outcome, Project, ProjectSettings, StoredSource,
    User,
};

use super::*;

const CHROOT: &str = "microdistro-1-x86_64";

/// A user with a project.
pub(super) struct Packager {
    user: User,
    project: Project,
    chroot: model::ChrootName,
}

impl Packager {
    pub(super) async fn new(store: &Store, name: &str) -> Self {
        Self::for_chroot(store, name, CHROOT).await
    }

    /// One whose builds are for that chroot, which is added where it is not there.
    pub(super) async fn for_chroot(store: &Store, name: &str, chroot: &str) -> Self {
        let chroot: model::ChrootName = chroot.parse().unwrap();
        let new = NewUser {
            name: name.parse().unwrap(),
            is_operator: false,
        };
        let user = store.create_user(&new, NOW).await.unwrap();
        if !store.chroots().await.unwrap().iter().any(|it| it.name == chroot) {
            let new = Chroot {
                name: chroot.clone(),
                comment: String::new(),
                is_active: true,
                definition: model::ChrootDefinition::default(),
            };
            store.create_chroots(&[new], NOW).await.unwrap();
        }
        let new = NewProject {
            owner: user.name.clone(),
            name: "demo".parse().unwrap(),
            created_by: user.id,
            settings: ProjectSettings::default(),
            chroots: vec![chroot.clone()],
        };
        let project = store.create_project(&new, NOW).await.unwrap();
        Self {
            user,
            project,
            chroot,
        }
    }

    pub(super) async fn submit(&self, farm: &Farm) -> BuildId {
        let new = NewUpload {
            project: self.project.id,
            submitter: self.user.id,
            directory: self.project.name.as_str().parse().unwrap(),
            package: "hello".parse().unwrap(),
            version: "1-1".to_owned(),
            srpm: StoredSource {
                file_name: "hello-1-1.src.rpm".to_owned(),
                sha256: "cd".repeat(32),
                size: 1,
            },
            chroots: vec![self.chroot.clone()],
            skipped: Vec::new(),
            options: BuildOptions::default(),
        };
        let now = Clock::Manual(farm.clock.clone()).now();
        let store = &farm.controller.context.store;
        store.submit_upload(&new, now).await.unwrap().id
    }
}

/// A pool of two that keeps builders for their sandboxes.
fn reusing(more: &str) -> String {
    let pool = pool("x86", "max: 2", "a");
    format!("{pool}    reuse: {{scope: sandbox{more}}}\n")
}

/// Lets a worker take up what is offered, and end it so; the builder that it ran on.
pub(super) async fn run(farm: &mut Farm, build: BuildId, outcome: &Outcome) -> model::BuilderId {
    let now = Clock::Manual(farm.clock.clone()).now();
    let store = farm.controller.context.store.clone();
    let attempts = store.attempts_of(build).await.unwrap();
    let attempt = attempts.iter().find(|attempt| !attempt.state.is_final()).unwrap();
    let epoch: Epoch = attempt
        .epoch
        .unwrap_or_else(|| panic!("it has no builder: {attempt:?}"));
    let busy_until = now.plus(Duration::from_secs(60));
    store
        .accept_allocation(epoch, "worker", busy_until, now)
        .await
        .unwrap();
    store.finish_attempt(epoch, "worker", outcome, now).await.unwrap();
    attempt.builder.unwrap()
}

pub(super) fn good() -> Outcome {
    Outcome::Collected {
        result_directory: "1-hello".to_owned(),
        packages: Vec::new(),
    }
}

/// Lets time pass until a build has a builder.
pub(super) async fn until_assigned(farm: &mut Farm, build: BuildId) {
    for _ in 0..60 {
        farm.settle().await;
        farm.run_instances();
        let attempts = farm.controller.context.store.attempts_of(build).await.unwrap();
        if attempts
            .iter()
            .any(|attempt| attempt.state == model::AttemptState::Assigned)
        {
            return;
        }
        farm.clock.advance(Duration::from_secs(1));
    }
    panic!("build {build} gets no builder: {:?}", farm.builders().await);
}

#[tokio::test]
async fn a_builder_is_cleaned_and_runs_the_next_build_of_its_sandbox_and_nobody_elses() {
    let mut farm = Farm::start(&reusing("")).await;
    let store = farm.controller.context.store.clone();
    let alice = Packager::new(&store, "alice").await;
    let bob = Packager::new(&store, "bob").await;
    let first = alice.submit(&farm).await;
    until_assigned(&mut farm, first).await;
    let builder = run(&mut farm, first, &good()).await;
    farm.settle().await;
    let kept = farm.builders().await;
    let sandbox = Sandbox::new(&alice.user.name, &alice.project.name, &alice.user.name);
    assert_eq!(
        (kept[0].state, kept[0].sandbox.as_ref(), kept[0].uses),
        (BuilderState::Ready, Some(&sandbox), 1)
    );
    let words = "cleaned after 1 build of alice/demo by alice, and found as it was before";
    assert_eq!(kept[0].reason.as_deref(), Some(words));

    // Another's build has a machine of its own; the next of the first has the one that is there.
    let (others, next) = (bob.submit(&farm).await, alice.submit(&farm).await);
    until_assigned(&mut farm, next).await;
    assert_eq!(run(&mut farm, next, &good()).await, builder);
    until_assigned(&mut farm, others).await;
    assert_ne!(run(&mut farm, others, &good()).await, builder);
    assert_eq!(farm.launches.len(), 2);
    // Nobody comes any more.
    farm.pass(91).await;
    farm.until("both are ended", |states, cloud| {
        states.is_empty() && cloud.terminated().len() >= 2
    })
    .await;
}

#[tokio::test]
async fn a_builder_that_is_dirty_or_cannot_be_cleaned_is_never_ready_again() {
    for (answers, expected) in [
        (
            Answers::Dirtily,
            "it is not as it was before its first build: users: eve: is new",
        ),
        (Answers::Badly, "it could not be cleaned: the disk is full"),
        (Answers::WithAnotherKey, "shows the host key"),
    ] {
        let mut farm = Farm::start(&reusing("")).await;
        let store = farm.controller.context.store.clone();
        let alice = Packager::new(&store, "alice").await;
        let build = alice.submit(&farm).await;
        until_assigned(&mut farm, build).await;
        let builder = run(&mut farm, build, &good()).await;
        farm.machines_answer(answers);
        farm.until("it is ended", |_, cloud| cloud.terminated().len() == 1)
            .await;
        let told = farm.controller.context.store.builders(Some(NOW)).await.unwrap();
        let told = told.iter().find(|it| it.id == builder).unwrap();
        let reason = told.reason.as_deref().unwrap_or_default();
        assert!(reason.contains(expected), "{answers:?}: {reason}");
    }
}

#[tokio::test]
async fn a_builder_runs_no_more_builds_than_its_pool_says_and_none_after_a_failure_of_its_own() {
    let mut farm = Farm::start(&reusing(", max_uses: 2")).await;
    let store = farm.controller.context.store.clone();
    let alice = Packager::new(&store, "alice").await;
    let mut ran = Vec::new();
    for _ in 0..3 {
        let build = alice.submit(&farm).await;
        until_assigned(&mut farm, build).await;
        ran.push(run(&mut farm, build, &good()).await);
    }
    assert_eq!(ran[0], ran[1]);
    assert_ne!(ran[1], ran[2], "two builds, and no third");
    let infrastructure = Outcome::Failed {
        blame: Blame::Infrastructure,
        reason: "the disk is full".to_owned(),
        evidence: None,
        is_suspect: false,
        result_directory: None,
    };
    let build = alice.submit(&farm).await;
    until_assigned(&mut farm, build).await;
    assert_eq!(run(&mut farm, build, &infrastructure).await, ran[2]);
    // It is built again, elsewhere.
    until_assigned(&mut farm, build).await;
    assert_ne!(run(&mut farm, build, &good()).await, ran[2]);
}

#[tokio::test]
async fn a_pool_that_uses_builders_once_again_lets_those_go_that_it_kept() {
    let mut farm = Farm::start(&reusing("")).await;
    let store = farm.controller.context.store.clone();
    let alice = Packager::new(&store, "alice").await;
    let build = alice.submit(&farm).await;
    until_assigned(&mut farm, build).await;
    let builder = run(&mut farm, build, &good()).await;
    let mut context = Context::clone(&farm.controller.context);
    context.fleet = Arc::new(fleet(&pool("x86", "max: 2", "a")));
    farm.controller.context = Arc::new(context);
    farm.until("it is ended", |_, cloud| cloud.terminated().len() == 1)
        .await;
    let told = store.builders(Some(NOW)).await.unwrap();
    let told = told.iter().find(|it| it.id == builder).unwrap();
    let words = "builders of pool x86 run no more builds after 1 by now";
    assert_eq!(told.reason.as_deref(), Some(words));
}
