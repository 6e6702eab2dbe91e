//! A worker's surroundings for tests: a database with a project, results in a temporary directory, and the steps that the api
//! and the controller would make.

use std::{sync::Arc, time::Duration};

use model::{BuildId, BuilderId, BuilderState, ChrootDefinition, ChrootName, FleetId, LaunchId, Timestamp};
use repository::{KeyAlgorithm, Passphrase, Publisher, RepositoryId};
use runtime::clock;
use store::{
    Allocation, BuildOptions, Change, Chroot, DatabaseSettings, Lease, NewBuilder, NewLaunch, NewProject,
    NewUpload, NewUser, Project, ProjectSettings, RepositoryPlace, Store, StoredSource, User,
};
use tempfile::TempDir;
use uuid::Uuid;

use crate::{Context, Limits, UnlockedKeys, fake::FakeBuilder, task};

pub(crate) const CHROOT: &str = "fedora-43-x86_64";

/// A farm with one user, one project and one worker.
pub(crate) struct Farm {
    pub(crate) context: Context,
    pub(crate) project: Project,
    lease: Lease,
    user: User,
    _directory: TempDir,
}

impl Farm {
    pub(crate) async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", directory.path().join("farm.sqlite").display());
        let settings = DatabaseSettings {
            url,
            max_connections: 4,
        };
        let store = Store::connect(&settings).await.unwrap();
        store.migrate().await.unwrap();
        let (now, chroot) = (clock::now(), CHROOT.parse::<ChrootName>().unwrap());
        let alice = NewUser {
            name: "alice".parse().unwrap(),
            is_operator: false,
        };
        let user = store.create_user(&alice, now).await.unwrap();
        let new = Chroot {
            name: chroot,
            comment: String::new(),
            is_active: true,
            definition: ChrootDefinition::default(),
        };
        store.create_chroots(&[new], now).await.unwrap();
        let project = create_project(&store, &user, "tools").await;
        let fleet = FleetId(Uuid::now_v7());
        let day = Duration::from_secs(86_400);
        let lease = store.acquire_lease(fleet, "controller", day, now).await.unwrap();
        let results = directory.path().join("results");
        fs_err::create_dir_all(&results).unwrap();
        let context = Context {
            store,
            publisher: Arc::new(Publisher::new(results)),
            sources: directory.path().join("sources"),
            sessions: Arc::new(FakeBuilder::new()),
            passphrase: Arc::new(Passphrase::new("a passphrase of tests").unwrap()),
            unlocked: UnlockedKeys::default(),
            key_algorithm: KeyAlgorithm::Ed25519,
            host_name: "farm.test".to_owned(),
            builder_url: "http://farm.test".to_owned(),
            name: "worker-1".to_owned(),
            parallel: 4,
            keep_history: Duration::from_secs(3600),
            limits: Limits {
                log_bytes: 1 << 20,
                result_bytes: 16 << 20,
                result_files: 100,
                min_free_bytes: 0,
            },
        };
        Self {
            context,
            project,
            lease: lease.unwrap(),
            user,
            _directory: directory,
        }
    }

    pub(crate) fn store(&self) -> &Store {
        &self.context.store
    }

    /// The project's only repository.
    pub(crate) fn place(&self) -> RepositoryPlace {
        RepositoryPlace {
            project: self.project.id,
            owner: self.project.owner.clone(),
            directory: self.project.name.as_str().parse().unwrap(),
            chroot: CHROOT.parse().unwrap(),
        }
    }

    pub(crate) fn repository(&self) -> RepositoryId {
        crate::prune::repository_id(&self.place())
    }

    /// One more project of its user.
    pub(crate) async fn another_project(&self, name: &str) -> Project {
        create_project(self.store(), &self.user, name).await
    }

    /// A source that the api stored.
    pub(crate) fn store_source(&self) -> StoredSource {
        let source = source();
        let path = task::source_path(&self.context.sources, &source);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, "a source package").unwrap();
        source
    }

    /// Submits a build of a source that was stored.
    pub(crate) async fn submit(&self, source: StoredSource) -> BuildId {
        let place = self.place();
        let new = NewUpload {
            project: self.project.id,
            submitter: self.user.id,
            directory: place.directory,
            package: "hello".parse().unwrap(),
            version: "1-1".to_owned(),
            srpm: source,
            chroots: vec![place.chroot],
            skipped: Vec::new(),
            options: BuildOptions::default(),
        };
        self.store().submit_upload(&new, clock::now()).await.unwrap().id
    }

    /// A ready builder.
    async fn builder(&self) -> store::Builder {
        let (store, now) = (self.store(), clock::now());
        let new = NewBuilder {
            id: BuilderId(Uuid::now_v7()),
            pool: "small".parse().unwrap(),
            cloud: "dev".to_owned(),
            image: "img-1".to_owned(),
            spec_hash: "5bec".to_owned(),
            port: 22,
            host: None,
            reason: "an attempt waits".to_owned(),
            deadline: now.plus(Duration::from_secs(600)),
        };
        store.plan_builder(&self.lease, &new, now).await.unwrap();
        let mut builder = store.builder(new.id).await.unwrap().unwrap();
        let launch = NewLaunch {
            id: LaunchId(Uuid::now_v7()),
            offering: "c5.large".parse().unwrap(),
            params_hash: "9a7a".to_owned(),
            host_key_public: Some("ssh-ed25519 AAAA".to_owned()),
            host_key_secret: Some("the secret half".to_owned()),
        };
        builder = store
            .begin_launch(&self.lease, &builder, &launch, deadline(), now)
            .await
            .unwrap();
        use BuilderState::{Booting, Checking, Pending, Provisioning, Ready};
        for next in [Pending, Booting, Provisioning, Checking, Ready] {
            let change = Change {
                reason: "a test".to_owned(),
                ..Change::default()
            };
            builder = store
                .transition(&self.lease, &builder, next, &change, now)
                .await
                .unwrap();
        }
        builder
    }

    /// Offers a build's open attempt a builder; the allocation as a worker finds it.
    pub(crate) async fn offer(&self, build: BuildId) -> Allocation {
        let attempts = self.store().attempts_of(build).await.unwrap();
        let open = attempts.iter().find(|attempt| !attempt.state.is_final()).unwrap();
        let builder = self.builder().await;
        let epoch = self
            .store()
            .assign(&self.lease, open.id, &builder, deadline(), clock::now())
            .await
            .unwrap();
        let offered = self.store().offered_allocations(100).await.unwrap();
        offered.into_iter().find(|it| it.epoch == epoch).unwrap()
    }

    /// Ends an attempt as the controller does whose worker is silent: its builder is drained.
    pub(crate) async fn lose(&self, allocation: &Allocation, why: &str) {
        let found = self.store().builder(allocation.builder.id).await.unwrap();
        let change = Change {
            reason: why.to_owned(),
            deadline: Some(deadline()),
            ..Change::default()
        };
        let to = BuilderState::Draining;
        self.store()
            .transition(&self.lease, &found.unwrap(), to, &change, clock::now())
            .await
            .unwrap();
    }

    /// Has this worker take an offer up.
    pub(crate) async fn accept(&self, allocation: &Allocation) {
        self.store()
            .accept_allocation(allocation.epoch, &self.context.name, deadline(), clock::now())
            .await
            .unwrap();
    }
}

async fn create_project(store: &Store, user: &User, name: &str) -> Project {
    let new = NewProject {
        owner: user.name.clone(),
        name: name.parse().unwrap(),
        created_by: user.id,
        settings: ProjectSettings::default(),
        chroots: vec![CHROOT.parse().unwrap()],
    };
    store.create_project(&new, clock::now()).await.unwrap()
}

/// A moment that no test lives to see.
fn deadline() -> Timestamp {
    clock::now().plus(Duration::from_secs(3600))
}

/// A source that no test reads, whose file is not there.
pub(crate) fn source() -> StoredSource {
    StoredSource {
        file_name: "hello-1-1.src.rpm".to_owned(),
        sha256: "cd".repeat(32),
        size: 4321,
    }
}
