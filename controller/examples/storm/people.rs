//! Users, who submit builds and cancel them, and operators, who want builders ended, kept or more of them.

use std::{collections::BTreeSet, time::Duration};

use model::{
    BuildId, BuilderState, ChrootName,
    intent::{Request, Target},
};
use sim::Fault;
use store::{
    BuildOptions, Builder, Chroot, Error, NewProject, NewUpload, NewUser, Project, ProjectSettings, Store,
    StoredSource, User,
};

use crate::{door::fleet, outside::Outside, program::NOW};

const CHROOT: &str = "microdistro-1-x86_64";
/// One of so many builds is cancelled, and one of so many ticks has an operator who wants something, where they do such things.
const WISHES: u64 = 8;

/// People with a project each, and what they have submitted.
pub(crate) struct People {
    all: Vec<(User, Project)>,
    chroot: ChrootName,
    /// How many builds there will be.
    wanted: usize,
    submitted: usize,
    /// Of them, those that are not known to be over.
    pub(crate) open: BTreeSet<BuildId>,
    intents: u64,
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
            intents: 0,
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

    /// Cancels a build, and asks for what operators ask for.
    pub(crate) async fn wish(&mut self, store: &Store, outside: &Outside) -> Result<(), Error> {
        let open: Vec<BuildId> = self.open.iter().copied().collect();
        let (cancelled, is_marked, is_spawned) = outside.with(|all| {
            let luck = &mut all.luck;
            let cancelled = luck.strikes(Fault::Cancel).then(|| luck.pick(&open)).flatten();
            let is_marked = luck.strikes(Fault::Mark) && luck.once_in(WISHES);
            (cancelled, is_marked, luck.strikes(Fault::Spawn))
        });
        let now = NOW.plus(outside.with(|all| all.now));
        if let Some(build) = cancelled {
            outside.with(|all| all.tell(|| format!("build {build} is cancelled")));
            match store.cancel_build(build, "user:alice", now).await {
                Ok(_) | Err(Error::Conflict { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        if is_marked {
            let builders = store.builders(None).await?;
            if let Some(builder) = outside.with(|all| all.luck.pick(&builders)) {
                self.mark(store, outside, &builder).await?;
            }
        }
        if is_spawned {
            let request = Request::Spawn {
                pool: word("main")?,
                count: 1,
                keep: None,
            };
            self.ask(store, outside, &request).await?;
        }
        Ok(())
    }

    async fn mark(&mut self, store: &Store, outside: &Outside, builder: &Builder) -> Result<(), Error> {
        let id = builder.id;
        let reason = "the simulation wants it".to_owned();
        let request = outside.with(|all| match all.luck.below(4) {
            0 => Request::Cordon {
                builder: id,
                reason,
                lasts: None,
            },
            1 => Request::Drain {
                what: Target::Builders(vec![id]),
                reason,
                lasts: None,
            },
            nth => {
                let now = nth == 2;
                if now {
                    all.unwanted.insert(id);
                }
                Request::Terminate {
                    what: Target::Builders(vec![id]),
                    now,
                    reason,
                }
            }
        });
        self.ask(store, outside, &request).await
    }

    async fn ask(&mut self, store: &Store, outside: &Outside, request: &Request) -> Result<(), Error> {
        self.intents = self.intents.wrapping_add(1);
        let (key, now) = (self.intents.to_string(), outside.with(|all| all.now));
        outside.with(|all| all.tell(|| format!("an operator asks: {request:?}")));
        let asked = (request, key.as_str(), "operator");
        store.add_intent(fleet(), asked, NOW.plus(now)).await.map(drop)
    }

    /// What is cordoned serves again.
    pub(crate) async fn calm_down(&mut self, store: &Store, outside: &Outside) -> Result<(), Error> {
        for builder in store.builders(None).await? {
            let is_kept = builder.cordoned && builder.state != BuilderState::Terminating;
            if is_kept {
                let what = Target::Builders(vec![builder.id]);
                self.ask(store, outside, &Request::Uncordon { what }).await?;
            }
        }
        Ok(())
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
