//! Users, who submit builds and cancel them.

use std::{collections::BTreeSet, time::Duration};

use model::{BuildId, ChrootName};
use sim::Fault;
use store::{
    BuildOptions, Chroot, Error, NewProject, NewUpload, NewUser, Project, ProjectSettings, Store,
    StoredSource, User,
};

use crate::{outside::Outside, program::NOW};

const CHROOT: &str = "microdistro-1-x86_64";

/// People with a project each, and what they have submitted.
pub(crate) struct People {
    all: Vec<(User, Project)>,
    chroot: ChrootName,
    /// How many builds there will be.
    wanted: usize,
    submitted: usize,
    /// Of them, those that are not known to be over.
    pub(crate) open: BTreeSet<BuildId>,
}

fn word<T: std::str::FromStr>(text: &str) -> Result<T, Error> {
    text.parse().map_err(|_| Error::Invalid {
        why: format!("`{text}` is no such name"),
    })
}

impl People {
    pub(crate) async fn new(store: &Store, wanted: usize) -> Result<Self, Error> {
        let chroot: ChrootName = word(CHROOT)?;
        let new = Chroot {
            name: chroot.clone(),
            comment: String::new(),
            is_active: true,
            definition: model::ChrootDefinition::default(),
        };
        store.create_chroots(&[new], NOW).await?;
        let mut all = Vec::new();
        for name in ["alice", "bob"] {
            let new = NewUser {
                name: word(name)?,
                is_operator: false,
            };
            let user = store.create_user(&new, NOW).await?;
            let new = NewProject {
                owner: user.name.clone(),
                name: word("demo")?,
                created_by: user.id,
                settings: ProjectSettings::default(),
                chroots: vec![chroot.clone()],
            };
            all.push((user, store.create_project(&new, NOW).await?));
        }
        Ok(Self {
            all,
            chroot,
            wanted,
            submitted: 0,
            open: BTreeSet::new(),
        })
    }

    pub(crate) const fn has_submitted_all(&self) -> bool {
        self.submitted >= self.wanted
    }

    /// Submits builds, some at once.
    pub(crate) async fn submit(&mut self, store: &Store, outside: &Outside) -> Result<(), Error> {
        let left = self.wanted.saturating_sub(self.submitted);
        let count = outside.with(|all| match all.luck.once_in(4) {
            true => all.luck.count(1, 6),
            false => 0,
        });
        for _ in 0..left.min(usize::try_from(count).unwrap_or(0)) {
            let Some((user, project)) = outside.with(|all| all.luck.pick(&self.all)) else {
                return Ok(());
            };
            let new = NewUpload {
                project: project.id,
                submitter: user.id,
                directory: word(project.name.as_str())?,
                package: word("hello")?,
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
            let now = NOW.plus(outside.with(|all| all.now));
            let id = store.submit_upload(&new, now).await?.id;
            outside.with(|all| all.tell(|| format!("{} submits build {id}", user.name)));
            self.submitted = self.submitted.saturating_add(1);
            self.open.insert(id);
        }
        Ok(())
    }

    /// Cancels a build.
    pub(crate) async fn cancel(&self, store: &Store, outside: &Outside) -> Result<(), Error> {
        let open: Vec<BuildId> = self.open.iter().copied().collect();
        let (cancelled, now) = outside.with(|all| {
            let is_wanted = all.luck.strikes(Fault::Cancel);
            (
                is_wanted.then(|| all.luck.pick(&open)).flatten(),
                NOW.plus(all.now),
            )
        });
        let Some(build) = cancelled else { return Ok(()) };
        outside.with(|all| all.tell(|| format!("build {build} is cancelled")));
        match store.cancel_build(build, "user:alice", now).await {
            Ok(_) | Err(Error::Conflict { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The first build that is not over, and how it is; publishing is nobody's task here.
    pub(crate) async fn unfinished(&mut self, store: &Store) -> Result<Option<String>, Error> {
        for build in self.open.clone() {
            let attempts = store.attempts_of(build).await?;
            let is_open =
                |state: model::AttemptState| !state.is_final() && state != model::AttemptState::Publishing;
            if let Some(attempt) = attempts.into_iter().find(|it| is_open(it.state)) {
                return Ok(Some(format!(
                    "build {build} is {}: {:?}",
                    attempt.state, attempt.reason
                )));
            }
            self.open.remove(&build);
        }
        Ok(None)
    }
}

/// How long a build takes.
pub(crate) fn takes(outside: &Outside) -> Duration {
    outside.with(|all| all.luck.seconds(2, 90))
}
