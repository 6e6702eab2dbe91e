//! `verdigris config`: the settings in force, and all that is wrong with a farm before it is started. Nothing is written.

use std::{os::unix::fs::MetadataExt as _, path::Path, process::ExitCode, time::Duration};

use anyhow::{Context as _, bail, ensure};
use model::{
    fleet::{FleetSpec, HooksSpec, Runner},
    quantity::ByteSize,
};
use runtime::{Settings, clock};
use store::{Process, Store};

use crate::{
    assets, chroot,
    database::{self, plainly},
    embedded,
    fleet::refuse_forsaken_machines,
    options::{CheckArguments, Config, Role},
    parts, say,
    secrets::{Secret, Secrets},
    without_numbers,
};

mod clouds;
mod hooks;

/// After this nobody leads who leads now and was stopped.
const LONGER_THAN_A_LEASE: Duration = Duration::from_secs(3600);

/// `verdigris config show`. What follows from other settings is shown as well.
pub(crate) fn show(config: &Config) -> anyhow::Result<()> {
    let mut settings = Settings::load(config.config.as_deref())?;
    settings.database.url = Some(store::without_secrets(&settings.database_url()));
    let (http, storage) = (&mut settings.http, &mut settings.storage);
    http.builder_url = Some(http.builder_url());
    http.public_url = Some(http.public_url());
    storage.results = Some(storage.results());
    storage.sources = Some(storage.sources());
    storage.secrets = Some(storage.secrets());
    settings.fleet.file = Some(parts::fleet_path(&settings));
    settings.worker.name = parts::worker_name(&settings).ok().or(settings.worker.name);
    say(&serde_json::to_string_pretty(&settings)?);
    Ok(())
}

/// What was found so far: a line for each thing that was looked at, and more where more is wrong with it.
struct Report {
    is_good: bool,
}

impl Report {
    fn say(what: &str, words: &str) {
        // More lines stand below the first one's words.
        let words = without_numbers(words).replace('\n', "\n           ");
        say(&format!("{what:<11}{words}"));
    }

    fn result(&mut self, what: &str, result: anyhow::Result<String>) {
        match result {
            Ok(words) => Self::say(what, &words),
            Err(error) => {
                self.is_good = false;
                Self::say(what, &format!("{error:#}"));
            }
        }
    }

    fn findings(&mut self, what: &str, found: &[String]) {
        self.is_good &= found.is_empty();
        Self::say(
            what,
            &if found.is_empty() {
                "good".to_owned()
            } else {
                found.join("\n")
            },
        );
    }
}

/// Whether the process of a role does another's work: each its own, and `verdigris up` all. Without a role all is looked at.
fn is(role: Option<Role>, wanted: Role) -> bool {
    role.is_none_or(|role| role == wanted || role == Role::Up)
}

/// `verdigris config check`: everything that can be checked without changing anything.
pub(crate) async fn check(arguments: &CheckArguments) -> anyhow::Result<ExitCode> {
    let settings = match Settings::load(arguments.config.config.as_deref()) {
        Ok(settings) => settings,
        Err(error) => {
            say(&format!("settings   {:#}", anyhow::Error::from(error)));
            return Ok(ExitCode::FAILURE);
        }
    };
    let role = arguments.role;
    let is = |wanted| is(role, wanted);
    let mut report = Report { is_good: true };
    report.findings("settings", &mistakes(&settings, role));
    let fleet = parts::fleet(&settings);
    // The cloud inside `verdigris up` is in no other process.
    let is_up = role == Some(Role::Up) || role.is_none() && fleet.as_ref().is_ok_and(embedded::is_used);
    if is(Role::Controller) {
        let count = fleet.as_ref().map(|fleet| fleet.pools.len());
        match &count {
            Ok(1) => report.result("fleet", Ok("good, 1 pool".to_owned())),
            Ok(count) => report.result("fleet", Ok(format!("good, {count} pools"))),
            Err(error) => report.result("fleet", Err(anyhow::anyhow!("{error:#}"))),
        }
        report.result("playbooks", playbooks(&settings, fleet.as_ref().ok()));
        if let Some(fleet) = fleet
            .as_ref()
            .ok()
            .filter(|fleet| fleet.hooks != HooksSpec::default())
        {
            report.findings("hooks", &parts::in_fleet_file(&settings, &hooks::look(fleet)));
        }
    }
    let wanted = secrets(role, is_up);
    if !wanted.is_empty() {
        report.result("secrets", Secrets::check(&settings.storage.secrets(), wanted));
    }
    if let Ok(fleet) = &fleet
        && is(Role::Controller)
    {
        let found = clouds::look(&settings, fleet, is_up).await;
        report.findings("clouds", &found.wrong);
        for words in &found.unknown {
            Report::say("", words);
        }
    }
    if is(Role::Api) || is(Role::Worker) {
        report.findings("disk", &full_disks(&settings));
    }
    match database::look(&settings).await {
        Ok(store) => {
            in_database(&mut report, &settings, fleet.as_ref().ok(), &store, role).await;
            database::close(&store).await;
        }
        Err(error) => report.result("database", Err(error)),
    }
    Ok(if report.is_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The secrets that a process needs.
const fn secrets(role: Option<Role>, is_up: bool) -> &'static [Secret] {
    match role {
        Some(Role::Api) => &[],
        Some(Role::Controller) => &[Secret::BuilderKey],
        None if is_up => &Secret::ALL,
        Some(Role::Up) => &Secret::ALL,
        None | Some(Role::Worker) => &[Secret::Passphrase, Secret::BuilderKey],
    }
}

/// What the database says, and what it says of the fleet file.
async fn in_database(
    report: &mut Report,
    settings: &Settings,
    fleet: Option<&FleetSpec>,
    store: &Store,
    role: Option<Role>,
) {
    let database = database(store, role).await;
    let is_good = database.is_ok();
    report.result("database", database);
    if !is_good {
        return;
    }
    let is_serving = is(role, Role::Api);
    let fleet = fleet.filter(|_| is(role, Role::Controller));
    if is_serving || fleet.is_some() {
        match chroot::useless(store, settings, is_serving, fleet).await {
            Ok(found) => {
                report.findings("chroots", &found.wrong);
                for words in &found.unsure {
                    Report::say("", words);
                }
            }
            Err(error) => report.result("chroots", Err(error)),
        }
    }
    if let Some(fleet) = fleet {
        report.result("builders", forsaken(store, fleet).await);
    }
}

/// Whether builders of another fleet would be left without a controller. One that leads them now may be another farm's, or the
/// one whose file was changed and that is to be started again: only the operator knows.
async fn forsaken(store: &Store, fleet: &FleetSpec) -> anyhow::Result<String> {
    refuse_forsaken_machines(store, fleet, clock::now()).await?;
    let stopped = refuse_forsaken_machines(store, fleet, clock::now().plus(LONGER_THAN_A_LEASE)).await;
    Ok(match stopped {
        Ok(()) => "good".to_owned(),
        Err(error) => format!("good while that fleet's own controller runs; when it is stopped, {error}"),
    })
}

/// Whether the schema is this program's, and the role may do what its process does.
async fn database(store: &Store, role: Option<Role>) -> anyhow::Result<String> {
    if role == Some(Role::Up) {
        store.check_may_migrate().await.map_err(plainly)?;
    }
    database::check_schema(store).await?;
    let process = match role {
        Some(Role::Api) => Process::Api,
        Some(Role::Controller) => Process::Controller,
        Some(Role::Worker | Role::Up) => Process::Worker,
        None => {
            let mut may_run = Vec::new();
            let mut refusals = Vec::new();
            for process in Process::ALL {
                match store.check_rights(process).await {
                    Ok(()) => may_run.push(process.name()),
                    Err(error) => refusals.push(format!("{}: {:#}", process.name(), plainly(error))),
                }
            }
            if may_run.is_empty() {
                bail!("{}", refusals.join("\n"));
            }
            return Ok(if refusals.is_empty() {
                "good".to_owned()
            } else {
                format!("good; its role may run: {}", may_run.join(", "))
            });
        }
    };
    store.check_rights(process).await.map_err(plainly)?;
    Ok("good".to_owned())
}

/// What is wrong with settings that can be read: paths that are not there, and what only a start would tell.
fn mistakes(settings: &Settings, role: Option<Role>) -> Vec<String> {
    let mut found = Vec::new();
    let storage = &settings.storage;
    let mut check = |result: anyhow::Result<()>| {
        if let Err(error) = result {
            found.push(format!("{error:#}"));
        }
    };
    let is = |wanted| is(role, wanted);
    let has_files = is(Role::Api) || is(Role::Worker);
    if !(role == Some(Role::Api) && storage.results.is_some() && storage.sources.is_some()) {
        check(directory("storage.directory", &storage.directory));
    }
    for (key, path, is_used) in [
        ("storage.results", &storage.results, has_files),
        ("storage.sources", &storage.sources, has_files),
        ("storage.secrets", &storage.secrets, role != Some(Role::Api)),
        ("fleet.playbooks", &settings.fleet.playbooks, is(Role::Controller)),
        (
            "fleet.provision_files",
            &settings.fleet.provision_files,
            is(Role::Controller),
        ),
    ] {
        if let (Some(path), true) = (path, is_used) {
            check(directory(key, path));
        }
    }
    for (name, path) in settings.http.mirrors.iter().filter(|_| is(Role::Api)) {
        check(mirror(name, path));
    }
    if is(Role::Worker) {
        check(parts::worker_name(settings).map(drop));
    }
    if role == Some(Role::Up) && settings.http.builder_url.is_some() {
        check(Err(anyhow::anyhow!(
            "`http.builder_url` is not for `verdigris up`, whose builders reach it through the embedded cloud"
        )));
    }
    found
}

/// Whether a directory is there.
pub(crate) fn directory(key: &str, path: &Path) -> anyhow::Result<()> {
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => bail!("`{key}`: {} is no directory", path.display()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            bail!("`{key}`: there is no directory {}", path.display())
        }
        Err(error) => Err(error).with_context(|| format!("`{key}`: {}", path.display())),
    }
}

/// Whether a mirror is there and is a repository.
pub(crate) fn mirror(name: &str, path: &Path) -> anyhow::Result<()> {
    directory(&format!("http.mirrors.{name}"), path)?;
    ensure!(
        path.join("repodata").is_dir(),
        "`http.mirrors.{name}`: {} is no repository: it has no `repodata`",
        path.display()
    );
    Ok(())
}

/// The playbooks, and whether the fleet file names any, or a program to play them, that is not there.
pub(crate) fn playbooks(settings: &Settings, fleet: Option<&FleetSpec>) -> anyhow::Result<String> {
    let ours = fleet.and_then(FleetSpec::own_playbooks);
    let provisioner = assets::provisioner(&settings.fleet, ours.as_ref())?;
    if let Some(fleet) = fleet {
        provisions(fleet, &provisioner)?;
    }
    Ok("good".to_owned())
}

/// Whether the playbooks are there that a fleet file names, and whoever plays them.
pub(crate) fn provisions(fleet: &FleetSpec, provisioner: &provisioner::Provisioner) -> anyhow::Result<()> {
    let known: Vec<&str> = provisioner.playbooks().collect();
    let mut wrong = Vec::new();
    for (name, spec) in &fleet.provision {
        if spec.runner == Runner::Ansible
            && let Err(error) = provisioner::Ansible::find(spec.ansible.command.as_deref())
        {
            wrong.push(format!("the fleet file's provision.{name}.runner: {error}"));
        }
        for (key, playbook) in [("playbook", &spec.playbook), ("check", &spec.check)] {
            if !known.contains(&playbook.as_str()) {
                wrong.push(format!(
                    "the fleet file's provision.{name}.{key}: there is no playbook {playbook}; there is {}",
                    known.join(", ")
                ));
            }
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// File systems with less room than the settings ask for.
fn full_disks(settings: &Settings) -> Vec<String> {
    let wanted = settings.storage.min_free;
    let mut seen = Vec::new();
    let mut found = Vec::new();
    for (key, path) in [
        ("results", settings.storage.results()),
        ("sources", settings.storage.sources()),
    ] {
        // What is not there yet will be made below what is.
        let Some(there) = path.ancestors().find(|path| path.is_dir()) else {
            continue;
        };
        let (Ok(metadata), Ok(disk)) = (there.metadata(), rustix::fs::statvfs(there)) else {
            continue;
        };
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if free < wanted.bytes() && !seen.contains(&metadata.dev()) {
            seen.push(metadata.dev());
            found.push(format!(
                "{} for `storage.{key}` has {} free, less than the {wanted} of `storage.min_free`: uploads and results \
                 would be refused",
                there.display(),
                ByteSize::mebibytes(free / (1024 * 1024))
            ));
        }
    }
    found
}
