//! `verdigris fleet spawn`, `terminate`, `cordon`, `uncordon`, `drain`, `hold`, `release`, `adopt`, `ignore` and `reconcile`: what
//! operators ask of the fleet, by hand or by cron. A command writes an intent down; see [`carry_out()`] for who carries it out.

mod answer;
mod arguments;
mod carry_out;
mod choose;
mod dry_run;
mod key;
mod strays;

use std::{process::ExitCode, time::Duration};

use anyhow::bail;
use model::{
    BuilderId, PoolName,
    fleet::FleetSpec,
    intent::{Intent, IntentState, Request, Target},
    nearest::did_you_mean,
};
use runtime::{Settings, clock};
use store::{Builder, FleetView, Store};

use self::{
    answer::Answer,
    carry_out::{Patience, carry_out, refuse_where_nobody_can_lead},
    choose::choose,
    dry_run::dry_run,
    key::key_of,
};
use crate::{
    complain, database,
    parts::{self, BadConfig},
    say,
};

pub(crate) use answer::BAD_CONFIG;
pub(crate) use arguments::AskCommand;

/// The longest `--key`, in bytes.
const LONGEST_KEY: usize = 200;

/// Asks for it, and prints the answer.
pub(crate) async fn ask(command: &AskCommand) -> ExitCode {
    let answer = asked(command).await.unwrap_or_else(|error| {
        Answer::error(
            command.verb(),
            format!("{error:#}"),
            BadConfig::is_cause_of(&error),
        )
    });
    tell(&answer)
}

/// Says that a command line could not be read.
pub(crate) fn misread(verb: &str, words: &str) -> ExitCode {
    let known = AskCommand::VERBS.into_iter().find(|known| *known == verb);
    tell(&Answer::error(known.unwrap_or_default(), words.to_owned(), true))
}

fn tell(answer: &Answer) -> ExitCode {
    if answer.is_told {
        complain(&answer.message);
    }
    say(&answer.line());
    ExitCode::from(answer.code)
}

async fn asked(command: &AskCommand) -> anyhow::Result<Answer> {
    let common = command.common();
    let settings = Settings::load(common.config.config.as_deref())?;
    database::with(&settings, async |store| {
        let (fleet, _) = parts::fleet_in_force(&settings, &store).await?;
        let now = clock::now();
        let request = request(command, &fleet, &store).await?;
        let given = common.key.as_deref();
        let is_key = |text: &str| text.len() <= LONGEST_KEY && !text.chars().any(char::is_control);
        if !given.is_none_or(is_key) {
            bail!(BadConfig(format!(
                "--key: at most {LONGEST_KEY} bytes, and no control characters"
            )));
        }
        let ((key, found), actor) = (choose(&store, &fleet, &request, (given, now)).await?, actor());
        if common.dry_run {
            let intent = Intent {
                key,
                request,
                actor,
                state: IntentState::New,
                words: String::new(),
                builders: Vec::new(),
                created_at: now,
            };
            return dry_run(&settings, &store, &fleet, intent).await;
        }
        if let Some(ended) = found.as_ref().filter(|found| found.state.is_final()) {
            return Ok(Answer::of_before(ended, given.is_some()));
        }
        if found.is_none() {
            refuse_where_nobody_can_lead(&settings, &store, &fleet).await?;
        }
        let (intent, is_first) = store
            .add_intent(fleet.fleet, (&request, &key, &actor), now)
            .await?;
        let patience = Patience {
            limit: common.timeout.get(),
            waits: common.wait,
            is_logging: false,
        };
        let (intent, is_too_late) = Box::pin(carry_out(&settings, &store, &fleet, intent, patience)).await?;
        Ok(Answer::of(&intent, is_first, is_too_late))
    })
    .await
}

/// Writes down what this process asks of the fleet on its own account; of many equal ones with one slot there is one.
pub(crate) async fn write_down(
    store: &Store,
    fleet: &FleetSpec,
    (request, slot): (&Request, &str),
) -> anyhow::Result<Intent> {
    let (key, actor) = (key_of(request, slot)?, actor());
    let added = store.add_intent(fleet.fleet, (request, &key, &actor), clock::now());
    Ok(added.await?.0)
}

/// Waits for the end of what was written down, and brings it about where no controller leads; how it stands then. For a process that
/// logs already.
pub(crate) async fn see_through(
    settings: &Settings,
    store: &Store,
    fleet: &FleetSpec,
    (intent, limit): (Intent, Duration),
) -> anyhow::Result<Intent> {
    let patience = Patience {
        limit,
        waits: true,
        is_logging: true,
    };
    let (intent, _) = Box::pin(carry_out(settings, store, fleet, intent, patience)).await?;
    Ok(intent)
}

/// Who asks: the operator, with the name that the system has for him where it says one.
fn actor() -> String {
    let name = ["SUDO_USER", "LOGNAME", "USER"]
        .into_iter()
        .filter_map(|variable| std::env::var(variable).ok())
        .find(|name| !name.is_empty());
    name.map_or_else(|| "operator".to_owned(), |name| format!("operator:{name}"))
}

/// What a command line asks for, with the names in it looked up.
async fn request(command: &AskCommand, fleet: &FleetSpec, store: &Store) -> anyhow::Result<Request> {
    let names = Names {
        fleet,
        store,
        view: store.fleet_snapshot(fleet.fleet, clock::now()).await?,
    };
    Ok(match command {
        AskCommand::Spawn {
            pool, count, keep, ..
        } => Request::Spawn {
            pool: parts::pool(fleet, pool)?.0.clone(),
            count: *count,
            keep: *keep,
        },
        AskCommand::Terminate {
            what, now, reason, ..
        } => Request::Terminate {
            what: names.targets(what).await?,
            now: *now,
            reason: reason.clone().unwrap_or_default(),
        },
        AskCommand::Cordon {
            builder,
            reason,
            lasts,
            ..
        } => Request::Cordon {
            builder: names.builder(builder).await?,
            reason: reason.clone(),
            lasts: *lasts,
        },
        AskCommand::Uncordon { what, .. } => Request::Uncordon {
            what: names.target(what).await?,
        },
        AskCommand::Drain {
            what, reason, lasts, ..
        } => Request::Drain {
            what: names.target(what).await?,
            reason: reason.clone().unwrap_or_default(),
            lasts: *lasts,
        },
        AskCommand::Hold {
            builder,
            reason,
            lasts,
            owner,
            ..
        } => Request::Hold {
            builder: names.builder(builder).await?,
            reason: reason.clone(),
            lasts: *lasts,
            owner: owner.clone(),
        },
        AskCommand::Release { what, .. } => names.release(what).await?,
        AskCommand::Adopt {
            instance,
            pool,
            host_key,
            ..
        } => names.adoption(instance, pool.as_deref(), host_key.clone())?,
        AskCommand::Ignore { instance, reason, .. } => Request::Ignore {
            instance: instance.clone(),
            reason: reason.clone(),
        },
        AskCommand::Reconcile { .. } => Request::Reconcile,
    })
}

/// What operators call builders and pools.
struct Names<'a> {
    fleet: &'a FleetSpec,
    store: &'a Store,
    view: FleetView,
}

impl Names<'_> {
    /// One pool, or builders.
    async fn targets(&self, texts: &[String]) -> anyhow::Result<Target> {
        if let [one] = texts {
            return self.target(one).await;
        }
        let mut ids = Vec::with_capacity(texts.len());
        for text in texts {
            if self.pool(text).is_some() {
                bail!(BadConfig(format!(
                    "`{text}` is a pool: give it alone, or builders only"
                )));
            }
            ids.push(self.builder(text).await?);
        }
        // In whatever order they are given, it is the same request.
        ids.sort_unstable();
        ids.dedup();
        Ok(Target::Builders(ids))
    }

    async fn target(&self, text: &str) -> anyhow::Result<Target> {
        match self.pool(text) {
            Some(pool) => Ok(Target::Pool(pool.clone())),
            None => Ok(Target::Builders(vec![self.find(text, true).await?])),
        }
    }

    /// An instance that becomes a builder, of the pool that is said or of that which it names itself.
    fn adoption(
        &self,
        instance: &str,
        pool: Option<&str>,
        host_key: Option<String>,
    ) -> anyhow::Result<Request> {
        Ok(Request::Adopt {
            instance: instance.to_owned(),
            pool: strays::pool(instance, pool, self.fleet, &self.view)?,
            host_key,
        })
    }

    async fn builder(&self, text: &str) -> anyhow::Result<BuilderId> {
        self.find(text, false).await
    }

    /// A pool of the fleet file, or one that only builders are left of.
    fn pool(&self, text: &str) -> Option<&PoolName> {
        let builders = self.view.builders.iter().map(|it| &it.pool);
        let mut pools = self.fleet.pools.keys().chain(builders);
        pools.find(|pool| pool.as_str() == text)
    }

    /// The end of a hold, or of the time in which a host is out of service.
    async fn release(&self, text: &str) -> anyhow::Result<Request> {
        let host = Some(text.to_owned());
        let has_builder = self.view.builders.iter().any(|builder| builder.host == host);
        if self.is_host(text) && !has_builder {
            return Ok(Request::Readmit {
                host: text.to_owned(),
            });
        }
        let mut strays = self.view.strays.iter();
        if strays.any(|stray| stray.instance_id == text && stray.ignored.is_some()) {
            return Ok(Request::Disown {
                instance: text.to_owned(),
            });
        }
        let builder = self.builder(text).await?;
        Ok(Request::Release { builder })
    }

    fn is_host(&self, text: &str) -> bool {
        self.fleet.pools.values().any(|pool| pool.host(text).is_some())
    }

    async fn find(&self, text: &str, or_pool: bool) -> anyhow::Result<BuilderId> {
        let (own, store) = (self.fleet.fleet, self.store);
        let on_record = match text.parse() {
            Ok(id) => store.builder(id).await?,
            // What others call a host of theirs is nothing to this fleet.
            Err(_) if self.is_host(text) => store.builder_of_fleet_by_instance(own, text).await?,
            Err(_) if text.starts_with("i-") => match store.builder_of_fleet_by_instance(own, text).await? {
                Some(builder) => Some(builder),
                None => store.builder_by_instance(text).await?,
            },
            Err(_) => None,
        };
        let Some(builder) = on_record else {
            bail!("{}", unknown(text, or_pool, self.fleet, &self.view.builders));
        };
        match store.fleet_of_builder(builder.id).await? {
            Some(fleet) if fleet != own => {
                bail!(
                    "`{text}` is a builder of fleet {} in this database, and the fleet file is that of fleet {}",
                    fleet.0,
                    own.0
                )
            }
            _ => Ok(builder.id),
        }
    }
}

/// That nothing has that name, with the nearest that something has.
fn unknown(text: &str, or_pool: bool, fleet: &FleetSpec, builders: &[Builder]) -> String {
    let ids = builders.iter().map(|it| it.id.to_string());
    let instances = builders.iter().filter_map(|it| it.instance_id.clone());
    let mut known: Vec<String> = ids.chain(instances).collect();
    let mut what = "no builder";
    if or_pool {
        known.extend(fleet.pools.keys().map(ToString::to_string));
        what = "no builder and no pool";
    }
    let hint = did_you_mean(text, &known);
    let end = if hint.is_empty() {
        "; `verdigris fleet status` shows them".to_owned()
    } else {
        hint
    };
    format!("there is {what} `{text}`{end}")
}

#[cfg(test)]
mod tests {
    use model::BuilderState;

    use super::{
        super::testing::{builder, fleet},
        *,
    };

    #[test]
    fn what_is_not_known_is_named_with_what_is_nearest() {
        let fleet = fleet(&[("local", "arch:x86_64", [0, 3, 1], 0)]);
        let mut one = builder(1, "local", BuilderState::Ready);
        one.instance_id = Some("i-0123456789abcdef0".to_owned());
        let builders = [one];
        for (text, or_pool, expected) in [
            (
                "locl",
                true,
                "there is no builder and no pool `locl`, did you mean `local`?",
            ),
            (
                "locl",
                false,
                "there is no builder `locl`; `verdigris fleet status` shows them",
            ),
            (
                "i-0123456789abcdef1",
                false,
                "there is no builder `i-0123456789abcdef1`, did you mean `i-0123456789abcdef0`?",
            ),
            (
                "bdr_00000000000000000000000000000002",
                true,
                "there is no builder and no pool `bdr_00000000000000000000000000000002`, did you mean \
                 `bdr_00000000000000000000000000000001`?",
            ),
        ] {
            assert_eq!(unknown(text, or_pool, &fleet, &builders), expected);
        }
    }
}
