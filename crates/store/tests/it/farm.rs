//! A farm in a database: a user, two chroots, a project and a controller's lease, and the steps of its life.

use std::time::Duration;

use model::{
    AttemptId, AttemptState, Blame, BuildId, BuildState, BuilderId, BuilderState, ChrootDefinition,
    ChrootName, DirectoryName, Epoch, FleetId, LaunchId, ProjectId,
};
use store::{
    Attempt, Build, BuildChroot, BuildOptions, Builder, BuiltPackage, Change, Chroot, CollectedPackage,
    Error, Event, EventFilter, Lease, NewBuilder, NewLaunch, NewProject, NewUpload, NewUser, Outcome,
    Project, ProjectSettings, Renewal, SnapshotRecord, Store, StoredSource, User,
};
use uuid::Uuid;

use crate::support::{Database, Raw, Start, at};

pub(crate) const CHROOT: &str = "fedora-43-x86_64";
pub(crate) const OTHER_CHROOT: &str = "fedora-44-x86_64";
/// The worker that drives attempts where it does not matter which.
pub(crate) const WORKER: &str = "worker-1";
/// How long leases last here.
pub(crate) const TTL: Duration = Duration::from_secs(15);

/// A farm in a database.
pub(crate) struct Farm {
    pub(crate) store: Store,
    pub(crate) lease: Lease,
    pub(crate) user: User,
    pub(crate) project: Project,
    pub(crate) database: Database,
}

pub(crate) fn chroot(name: &str) -> ChrootName {
    name.parse().unwrap()
}

pub(crate) fn new_chroot(name: &str) -> Chroot {
    Chroot {
        name: chroot(name),
        comment: String::new(),
        is_active: true,
        definition: ChrootDefinition::default(),
    }
}

/// The wish for a builder.
pub(crate) fn new_builder() -> NewBuilder {
    NewBuilder {
        id: BuilderId(Uuid::now_v7()),
        pool: "small".parse().unwrap(),
        cloud: "dev".to_owned(),
        image: "img-1".to_owned(),
        spec_hash: "5bec".to_owned(),
        port: 22,
        host: None,
        reason: "an attempt waits".to_owned(),
        deadline: at(600),
    }
}

pub(crate) fn new_launch() -> NewLaunch {
    NewLaunch {
        id: LaunchId(Uuid::now_v7()),
        offering: "c5.large".parse().unwrap(),
        params_hash: "9a7a".to_owned(),
        host_key_public: Some("ssh-ed25519 AAAA".to_owned()),
        host_key_secret: Some("the secret half".to_owned()),
    }
}

/// A change of state with nothing but a reason.
pub(crate) fn because(reason: &str) -> Change {
    Change {
        reason: reason.to_owned(),
        ..Change::default()
    }
}

/// Its user ended it, before it had logs.
pub(crate) const CANCELED: Outcome = Outcome::Canceled {
    result_directory: None,
};

/// What a worker collected: one package.
pub(crate) fn collected(build: BuildId) -> Outcome {
    Outcome::Collected {
        result_directory: result_directory(build),
        packages: vec![package_file("hello")],
    }
}

pub(crate) fn result_directory(build: BuildId) -> String {
    format!("{build:0>8}-hello")
}

pub(crate) fn package_file(name: &str) -> CollectedPackage {
    CollectedPackage {
        file_name: format!("{name}-1.0-1.x86_64.rpm"),
        sha256: "ab".repeat(32),
        size: 1234,
        is_source: false,
        package: BuiltPackage {
            name: name.to_owned(),
            epoch: 0,
            version: "1.0".to_owned(),
            release: "1".to_owned(),
            architecture: "x86_64".to_owned(),
        },
        metadata_json: "{}".to_owned(),
    }
}

pub(crate) fn failed(blame: Blame, reason: &str) -> Outcome {
    Outcome::Failed {
        blame,
        reason: reason.to_owned(),
        evidence: None,
        is_suspect: false,
        result_directory: None,
    }
}

/// Asserts that an operation was refused since somebody else was faster.
#[track_caller]
pub(crate) fn assert_conflict<T: std::fmt::Debug>(answer: Result<T, Error>) {
    assert!(matches!(answer, Err(Error::Conflict { .. })), "{answer:?}");
}

#[track_caller]
pub(crate) fn assert_not_found<T: std::fmt::Debug>(answer: Result<T, Error>) {
    assert!(matches!(answer, Err(Error::NotFound { .. })), "{answer:?}");
}

#[track_caller]
pub(crate) fn assert_invalid<T: std::fmt::Debug>(answer: Result<T, Error>) {
    assert!(matches!(answer, Err(Error::Invalid { .. })), "{answer:?}");
}

#[track_caller]
pub(crate) fn assert_lease_lost<T: std::fmt::Debug>(answer: Result<T, Error>) {
    assert!(matches!(answer, Err(Error::LeaseLost { .. })), "{answer:?}");
}

/// Of several answers one is good, and the others say that somebody was faster. Answers the good one.
#[track_caller]
pub(crate) fn the_one_winner<T: std::fmt::Debug>(answers: Vec<Result<T, Error>>) -> T {
    let (good, bad): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    for answer in bad {
        assert_conflict(answer);
    }
    assert_eq!(good.len(), 1, "{good:?}");
    good.into_iter().next().unwrap().unwrap()
}

impl Start for Farm {
    async fn start(database: Database) -> Self {
        let store = database.connect().await;
        store.migrate().await.unwrap();
        let alice = NewUser {
            name: "alice".parse().unwrap(),
            is_operator: false,
        };
        let user = store.create_user(&alice, at(0)).await.unwrap();
        for name in [CHROOT, OTHER_CHROOT] {
            store.create_chroots(&[new_chroot(name)], at(0)).await.unwrap();
        }
        let new = NewProject {
            owner: user.name.clone(),
            name: "tools".parse().unwrap(),
            created_by: user.id,
            settings: ProjectSettings::default(),
            chroots: vec![chroot(CHROOT), chroot(OTHER_CHROOT)],
        };
        let project = store.create_project(&new, at(0)).await.unwrap();
        let fleet = FleetId(Uuid::now_v7());
        let lease = store
            .acquire_lease(fleet, "controller-1", TTL, at(0))
            .await
            .unwrap();
        Self {
            lease: lease.unwrap(),
            store,
            user,
            project,
            database,
        }
    }
}

impl Farm {
    pub(crate) async fn raw(&self) -> Raw {
        self.database.raw().await
    }

    /// The main directory of the project.
    pub(crate) fn directory(&self) -> DirectoryName {
        self.project.name.as_str().parse().unwrap()
    }

    pub(crate) fn new_project(&self, name: &str) -> NewProject {
        NewProject {
            owner: self.user.name.clone(),
            name: name.parse().unwrap(),
            created_by: self.user.id,
            settings: ProjectSettings::default(),
            chroots: vec![chroot(CHROOT)],
        }
    }

    pub(crate) fn upload(&self, chroots: &[&str]) -> NewUpload {
        NewUpload {
            project: self.project.id,
            submitter: self.user.id,
            directory: self.directory(),
            package: "hello".parse().unwrap(),
            version: "1.0-1".to_owned(),
            srpm: StoredSource {
                file_name: "hello-1.0-1.src.rpm".to_owned(),
                sha256: "cd".repeat(32),
                size: 4321,
            },
            chroots: chroots.iter().map(|name| chroot(name)).collect(),
            skipped: Vec::new(),
            options: BuildOptions::default(),
        }
    }

    /// Submits a build for one chroot.
    pub(crate) async fn submit(&self) -> Build {
        self.submit_for(&[CHROOT]).await
    }

    pub(crate) async fn submit_for(&self, chroots: &[&str]) -> Build {
        self.store
            .submit_upload(&self.upload(chroots), at(1))
            .await
            .unwrap()
    }

    pub(crate) async fn build(&self, id: BuildId) -> Build {
        self.store.build(id).await.unwrap().unwrap()
    }

    /// The first chroot of a build, which is the only one in most tests.
    pub(crate) async fn chroot_of(&self, id: BuildId) -> BuildChroot {
        self.build(id).await.chroots.remove(0)
    }

    /// The state of a build, of its first chroot and of that chroot's last attempt.
    pub(crate) async fn states(&self, id: BuildId) -> (BuildState, BuildState, AttemptState) {
        let build = self.build(id).await;
        let chroot = &build.chroots[0];
        let attempts = self.store.attempts_of(id).await.unwrap();
        let last = attempts.iter().rfind(|attempt| attempt.chroot == chroot.name);
        (build.state, chroot.state, last.unwrap().state)
    }

    /// The attempt of a build that is not over.
    pub(crate) async fn open_attempt(&self, id: BuildId) -> Attempt {
        let attempts = self.store.attempts_of(id).await.unwrap();
        let open: Vec<_> = attempts.into_iter().filter(|it| !it.state.is_final()).collect();
        assert_eq!(open.len(), 1, "{open:?}");
        open.into_iter().next().unwrap()
    }

    pub(crate) async fn attempt(&self, id: AttemptId) -> Attempt {
        self.store.attempt(id).await.unwrap().unwrap()
    }

    pub(crate) async fn planned_builder(&self) -> Builder {
        let new = new_builder();
        self.store.plan_builder(&self.lease, &new, at(1)).await.unwrap();
        self.builder(new.id).await
    }

    pub(crate) async fn builder(&self, id: BuilderId) -> Builder {
        self.store.builder(id).await.unwrap().unwrap()
    }

    /// Moves a builder on with nothing but a reason.
    pub(crate) async fn go(&self, builder: &Builder, to: BuilderState) -> Builder {
        let moved = self
            .store
            .transition(&self.lease, builder, to, &because("a test"), at(2))
            .await;
        moved.unwrap()
    }

    /// Gives the builder up that a build's open attempt is on.
    pub(crate) async fn lose_builder(&self, build: BuildId, why: &str, now: model::Timestamp) {
        self.lose_builder_by(build, because(why), now).await;
    }

    pub(crate) async fn lose_builder_by(&self, build: BuildId, change: Change, now: model::Timestamp) {
        let id = self.open_attempt(build).await.builder.unwrap();
        let builder = self.builder(id).await;
        self.store
            .transition(&self.lease, &builder, BuilderState::Draining, &change, now)
            .await
            .unwrap();
    }

    pub(crate) async fn launch(&self, builder: &Builder) -> Builder {
        let launched = self
            .store
            .begin_launch(&self.lease, builder, &new_launch(), at(60), at(2))
            .await;
        launched.unwrap()
    }

    /// A builder on its way, in one of the states from planned to ready.
    pub(crate) async fn builder_in(&self, state: BuilderState) -> Builder {
        let mut builder = self.planned_builder().await;
        for next in &BuilderState::STARTING[1..] {
            if builder.state == state {
                return builder;
            }
            builder = match next {
                BuilderState::Launching => self.launch(&builder).await,
                // Only a launch without an answer goes there.
                BuilderState::Resolving => continue,
                _ => self.go(&builder, *next).await,
            };
        }
        if builder.state != state {
            builder = self.go(&builder, BuilderState::Ready).await;
        }
        assert_eq!(builder.state, state);
        builder
    }

    pub(crate) async fn ready_builder(&self) -> Builder {
        self.builder_in(BuilderState::Ready).await
    }

    /// Gives a build's open attempt a builder of its own.
    pub(crate) async fn assign(&self, build: BuildId) -> Epoch {
        let attempt = self.open_attempt(build).await;
        let builder = self.ready_builder().await;
        let assigned = self
            .store
            .assign(&self.lease, attempt.id, &builder, at(60), at(3))
            .await;
        assigned.unwrap()
    }

    /// Gives a build's open attempt a builder, and lets a worker take it up.
    pub(crate) async fn begin(&self, build: BuildId) -> Epoch {
        let epoch = self.assign(build).await;
        self.accept(epoch).await;
        epoch
    }

    pub(crate) async fn accept(&self, epoch: Epoch) {
        self.store
            .accept_allocation(epoch, WORKER, at(120), at(4))
            .await
            .unwrap();
    }

    /// A worker's sign of life for one allocation.
    pub(crate) async fn renew(
        &self,
        epoch: Epoch,
        worker: &str,
        log_bytes: i64,
        (deadline, now): (u64, u64),
    ) -> Renewal {
        let sizes = [(epoch, log_bytes)].into();
        let answers = self
            .store
            .renew_allocations(worker, &sizes, at(deadline), at(now))
            .await;
        answers.unwrap()[&epoch]
    }

    pub(crate) async fn finish(&self, epoch: Epoch, outcome: &Outcome) {
        self.store
            .finish_attempt(epoch, WORKER, outcome, at(5))
            .await
            .unwrap();
    }

    /// Builds a build's open attempt up to the stored results.
    pub(crate) async fn collect(&self, build: BuildId) -> AttemptId {
        let attempt = self.open_attempt(build).await.id;
        let epoch = self.begin(build).await;
        self.finish(epoch, &collected(build)).await;
        attempt
    }

    /// Publishes a repository of the project's main directory as it has to be.
    pub(crate) async fn publish(&self, name: &str) -> u64 {
        let (directory, chroot) = (self.directory(), chroot(name));
        let key = store::RepositoryKey {
            project: self.project.id,
            directory: &directory,
            chroot: &chroot,
        };
        let begun = self.store.begin_publication(key, WORKER, at(6)).await.unwrap();
        let number = begun.expect("a repository that is out of date");
        let publication = self.store.publication(key, number).await.unwrap();
        let record = record(publication.number);
        let attempts = &publication.attempts;
        self.store
            .finish_publication(key, &record, WORKER, attempts, at(7))
            .await
            .unwrap();
        publication.number
    }

    /// A build of one chroot that is in the repository.
    pub(crate) async fn published_build(&self) -> Build {
        let id = self.submit().await.id;
        self.collect(id).await;
        self.publish(CHROOT).await;
        self.build(id).await
    }

    pub(crate) async fn events(&self, filter: EventFilter) -> Vec<Event> {
        self.store.events(filter, u64::MAX).await.unwrap()
    }

    /// The number of the latest event.
    pub(crate) async fn last_event(&self) -> Option<i64> {
        let events = self.events(EventFilter::default()).await;
        events.last().map(|event| event.id)
    }

    /// The events after a number.
    pub(crate) async fn events_after(&self, after_id: Option<i64>) -> Vec<Event> {
        self.events(EventFilter {
            after_id,
            ..EventFilter::default()
        })
        .await
    }
}

/// What a publication wrote.
pub(crate) fn record(number: u64) -> SnapshotRecord {
    SnapshotRecord {
        number,
        revision: format!("{number}"),
        repomd_sha256: format!("{number:064x}"),
    }
}

/// An id that no project has.
pub(crate) const NO_PROJECT: ProjectId = ProjectId(4711);
