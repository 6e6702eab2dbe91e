//! `verdigris provision`: a playbook on one machine, by hand, with what a pool's builders are given.

mod arguments;
mod machine;
mod show;

use std::{collections::BTreeSet, process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use model::{
    PoolName,
    builder::Deadlines,
    fleet::{FleetSpec, ProvisionSpec, Runner},
};
use provisioner::{Ansible, Mode, PlaybookRunner, Request, Target};
use runtime::Settings;
use serde_json::{Map, Value};
use shell::ClientKey;
use tokio::signal::unix::{SignalKind, signal};

pub(crate) use arguments::Arguments;
use machine::{Machine, Ours};
use show::Shown;

use crate::{assets, database, embedded, parts, secrets::Secrets};

/// The playbook where nothing names one.
const PLAYBOOK: &str = "builder.yml";

/// All that a playbook is played with.
struct Wanted {
    runner: Arc<dyn PlaybookRunner>,
    target: Target,
    playbook: String,
    vars: Map<String, Value>,
    mode: Mode,
    limit: Duration,
}

/// `verdigris provision`.
pub(crate) async fn provision(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    match wanted(arguments).await {
        Ok(wanted) => Ok(play(arguments, &wanted).await),
        Err(error) => {
            if arguments.json {
                show::refusal(&error);
            }
            Err(error)
        }
    }
}

async fn play(arguments: &Arguments, wanted: &Wanted) -> ExitCode {
    let shown = Shown::begin(arguments, wanted);
    let progress = |task: &provisioner::TaskReport| shown.task(task);
    let request = Request {
        playbook: &wanted.playbook,
        vars: &wanted.vars,
        mode: wanted.mode,
        limit: wanted.limit,
        part: None,
        progress: Some(&progress),
    };
    tokio::select! {
        played = wanted.runner.play(&wanted.target, &request) => {
            shown.end(&played);
            show::code(&played, shown.has_begun())
        }
        // What was given up ends what it started, and takes away what it wrote.
        () = interrupted() => shown.interrupted(),
    }
}

/// Waits for Ctrl-C or SIGTERM.
async fn interrupted() {
    let told = |kind| async move {
        match signal(kind) {
            Ok(mut signals) => drop(signals.recv().await),
            // It ends the process as it ends any other.
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = told(SignalKind::interrupt()) => {}
        () = told(SignalKind::terminate()) => {}
    }
}

/// Finds out what is to be played, and on what.
async fn wanted(arguments: &Arguments) -> anyhow::Result<Wanted> {
    let settings = Settings::load(arguments.config.config.as_deref())?;
    let ours = machine::ours(&settings, arguments).await?;
    let pool = match (&arguments.pool, &ours) {
        (Some(name), _) => Some(name.as_str()),
        (None, Some(ours)) => Some(ours.pool.as_str()),
        (None, None) => None,
    };
    let of_pool = match pool {
        Some(name) => Some(OfPool::read(&settings, name, ours.as_ref()).await?),
        None => None,
    };
    let provision = of_pool.as_ref().map(|of_pool| &of_pool.provision);
    let machine = Machine {
        arguments,
        ours: ours.as_ref(),
        provision,
    };
    let target = machine.target(&settings)?;
    let playbook = arguments.playbook.as_ref();
    let playbook = playbook.or(provision.map(|provision| &provision.playbook));
    let playbook = playbook.map_or_else(|| PLAYBOOK.to_owned(), Clone::clone);
    let by = arguments.runner.map(Runner::from);
    let by = by
        .or(provision.map(|provision| provision.runner))
        .unwrap_or_default();
    let command = provision.and_then(|provision| provision.ansible.command.as_deref());
    let deadlines = provision.map_or_else(Deadlines::default, |provision| provision.timeouts.deadlines());
    Ok(Wanted {
        runner: runner(&settings, &playbook, (by, command))?,
        target,
        playbook,
        limit: arguments
            .limit_time
            .map_or(deadlines.provision, |span| span.get()),
        mode: if arguments.check { Mode::Check } else { Mode::Apply },
        vars: of_pool.map(|of_pool| of_pool.vars).unwrap_or_default(),
    }
    .with(&arguments.vars))
}

impl Wanted {
    /// The same with variables that were given by hand, which win.
    fn with(mut self, vars: &[(String, Value)]) -> Self {
        self.vars.extend(vars.iter().cloned());
        self
    }
}

/// Who plays the playbook.
fn runner(
    settings: &Settings,
    playbook: &str,
    (by, command): (Runner, Option<&str>),
) -> anyhow::Result<Arc<dyn PlaybookRunner>> {
    // Without a fleet file that can be read, nothing says that the real Ansible plays any.
    let mut ours = parts::fleet(settings)
        .ok()
        .and_then(|fleet| fleet.own_playbooks());
    match (by, &mut ours) {
        (Runner::Builtin, Some(ours)) => drop(ours.insert(playbook.to_owned())),
        (Runner::Ansible, None) => ours = Some(BTreeSet::new()),
        _ => {}
    }
    let provisioner = Arc::new(assets::provisioner(&settings.fleet, ours.as_ref())?);
    Ok(match by {
        Runner::Builtin => provisioner,
        Runner::Ansible => Arc::new(Ansible::new(provisioner, command)?),
    })
}

/// What a pool's machines are provisioned with.
struct OfPool {
    provision: ProvisionSpec,
    vars: Map<String, Value>,
}

impl OfPool {
    /// From the fleet file and the database.
    async fn read(settings: &Settings, name: &str, ours: Option<&Ours>) -> anyhow::Result<Self> {
        let fleet = parts::fleet(settings)?;
        let (name, provision) = pool(&fleet, name)?;
        let builder = ours.map(|ours| ours.id.to_string()).unwrap_or_default();
        let key = farm_key(settings)?.with_context(|| {
            let secrets = settings.storage.secrets();
            format!(
                "there is no key of the farm in {}, which a pool's machines are given; a controller makes it",
                secrets.display()
            )
        })?;
        let chroots = database::with(settings, async |store| Ok(store.chroots().await?)).await?;
        let url = match embedded::is_of_pool(&fleet, &name) {
            true => embedded::farm_url(),
            false => settings.http.builder_url(),
        };
        let vars = controller::playbook_variables(&fleet, (&name, &builder), &key, &url, &chroots)?;
        Ok(Self { provision, vars })
    }
}

/// A pool's name and what makes its machines builders.
fn pool(fleet: &FleetSpec, name: &str) -> anyhow::Result<(PoolName, ProvisionSpec)> {
    let (name, spec) = parts::pool(fleet, name)?;
    let provision = fleet.provision.get(&spec.provision);
    let provision = provision.with_context(|| format!("there is no provision `{}`", spec.provision))?;
    Ok((name.clone(), provision.clone()))
}

/// What opens the farm's machines, if it was made already.
fn farm_key(settings: &Settings) -> anyhow::Result<Option<ClientKey>> {
    Secrets::existing_builder_key(&settings.storage.secrets())
}

/// Refuses to change a machine that the controller may hand out at the same moment.
fn refuse_to_change(ours: &Ours) -> anyhow::Result<()> {
    bail!(
        "{} is a builder of this farm and {}: a playbook could disturb what runs there. Use --check to see what would change; \
         a builder that is not as its playbook says is replaced by the controller",
        ours.id,
        ours.state
    )
}
