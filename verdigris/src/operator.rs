//! The operator's commands around users, chroots, settings and the database.

use std::{process::ExitCode, time::Duration};

use anyhow::Context as _;
use model::{ChrootDefinition, ChrootName, OwnerName, chroot::BaseRepository};
use runtime::{Settings, clock, supervisor::chain};
use store::{Chroot, IssuedToken, NewUser, Store};

use crate::{
    cli::{ChrootCreate, Config},
    database, parts, say,
    secrets::Secrets,
};

/// How long a token made by the operator is good, as Copr's are.
pub(crate) const TOKEN_LIFETIME: Duration = Duration::from_secs(180 * 24 * 3600);

/// `verdigris migrate`.
pub(crate) async fn migrate(config: &Config) -> anyhow::Result<()> {
    let settings = Settings::load(config.config.as_deref())?;
    let applied = database::connect(&settings)
        .await?
        .migrate()
        .await
        .context("migrating the database")?;
    if applied.is_empty() {
        say("The database has this program's schema already.");
    }
    for name in applied {
        say(&format!("applied {name}"));
    }
    Ok(())
}

/// `verdigris config check`: everything that can be checked, one line each.
pub(crate) async fn check(config: &Config) -> anyhow::Result<ExitCode> {
    let settings = match Settings::load(config.config.as_deref()) {
        Ok(settings) => settings,
        Err(error) => {
            say(&format!("settings   {error}"));
            return Ok(ExitCode::FAILURE);
        }
    };
    say("settings   good");
    let mut is_good = true;
    let mut report = |what: &str, result: anyhow::Result<String>| match result {
        Ok(words) => say(&format!("{what:<10} {words}")),
        Err(error) => {
            is_good = false;
            say(&format!("{what:<10} {error:#}"));
        }
    };
    report(
        "fleet",
        parts::fleet(&settings).map(|fleet| format!("good, {} pools", fleet.pools.len())),
    );
    report(
        "playbooks",
        parts::provisioner(&settings).map(|_| "good".to_owned()),
    );
    report(
        "secrets",
        Secrets::open(&settings.storage.secrets()).and_then(|secrets| {
            secrets.passphrase()?;
            secrets.builder_key()?;
            Ok("good".to_owned())
        }),
    );
    let database = async {
        let store = database::connect(&settings).await?;
        let pending = store.pending_migrations().await?;
        anyhow::ensure!(
            pending.is_empty(),
            "{} migrations are due; run `verdigris migrate`",
            pending.len()
        );
        Ok("good".to_owned())
    };
    report("database", database.await);
    Ok(if is_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// `verdigris config show`.
pub(crate) fn show(config: &Config) -> anyhow::Result<()> {
    let mut settings = Settings::load(config.config.as_deref())?;
    settings.database.url = without_password(&settings.database.url);
    say(&serde_json::to_string_pretty(&settings)?);
    Ok(())
}

/// A database's address with its password starred out.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let Some((login, place)) = rest.split_once('@') else {
        return url.to_owned();
    };
    let user = login.split_once(':').map_or(login, |(user, _)| user);
    format!("{scheme}://{user}:***@{place}")
}

/// `verdigris user create`.
pub(crate) async fn create_user(config: &Config, name: &str, is_operator: bool) -> anyhow::Result<()> {
    let settings = Settings::load(config.config.as_deref())?;
    let name: OwnerName = name.parse()?;
    anyhow::ensure!(
        !name.as_str().starts_with('@'),
        "`{name}` is a group's name; users' names have no @"
    );
    let store = database::open(&settings).await?;
    let now = clock::now();
    let user = store
        .create_user(
            &NewUser {
                name: name.clone(),
                is_operator,
            },
            now,
        )
        .await?;
    let token = store.issue_token(user.id, TOKEN_LIFETIME, now).await?;
    say(&copr_section(&name, &token, &settings.http.public_url()));
    Ok(())
}

/// `verdigris user token`.
pub(crate) async fn new_token(config: &Config, name: &str) -> anyhow::Result<()> {
    let settings = Settings::load(config.config.as_deref())?;
    let name: OwnerName = name.parse()?;
    let store = database::open(&settings).await?;
    let user = store
        .user_by_name(&name)
        .await?
        .with_context(|| format!("there is no user `{name}`"))?;
    let token = store.issue_token(user.id, TOKEN_LIFETIME, clock::now()).await?;
    say(&copr_section(&name, &token, &settings.http.public_url()));
    Ok(())
}

/// The section of `~/.config/copr` with which copr-cli speaks to this farm.
pub(crate) fn copr_section(name: &OwnerName, token: &IssuedToken, url: &str) -> String {
    let date: String = token.expires_at.to_string().chars().take(10).collect();
    let encrypted = if url.starts_with("https:") {
        "True"
    } else {
        "False"
    };
    format!(
        "[copr-cli]\nlogin = {}\nusername = {name}\ntoken = {}\ncopr_url = {url}\nencrypted = {encrypted}\n\
         # expiration date: {date}",
        token.login, token.token
    )
}

/// `verdigris chroot create`: all of them or none.
pub(crate) async fn create_chroots(arguments: &ChrootCreate) -> anyhow::Result<()> {
    let settings = Settings::load(arguments.config.config.as_deref())?;
    let names = arguments
        .names
        .iter()
        .map(|name| name.parse())
        .collect::<Result<Vec<ChrootName>, _>>()?;
    let definition = definition(&arguments.repositories, &arguments.buildroot_packages)?;
    let store = database::open(&settings).await?;
    let existing = store.chroots().await?;
    if let Some(twice) = names
        .iter()
        .find(|name| existing.iter().any(|chroot| chroot.name == **name))
    {
        anyhow::bail!("the chroot {twice} exists already; none was made");
    }
    for name in names {
        let chroot = Chroot {
            name,
            comment: arguments.comment.clone(),
            is_active: !arguments.inactive,
            definition: definition.clone(),
        };
        store.create_chroot(&chroot, clock::now()).await?;
        say(&format!("created {}", chroot.name));
    }
    Ok(())
}

fn definition(repositories: &[String], packages: &[String]) -> anyhow::Result<ChrootDefinition> {
    let mut definition = ChrootDefinition {
        buildroot_packages: packages.to_vec(),
        ..ChrootDefinition::default()
    };
    for text in repositories {
        let (id, url) = text
            .split_once('=')
            .with_context(|| format!("`{text}` is not ID=URL"))?;
        let is_known = ["http://", "https://", "file:", "{farm}/"]
            .iter()
            .any(|start| url.starts_with(start));
        anyhow::ensure!(
            is_known,
            "`{url}` is no address of a repository: http, https, file or {{farm}}/..."
        );
        definition.repositories.push(BaseRepository {
            id: id.to_owned(),
            baseurl: url.to_owned(),
            gpgkey: None,
        });
    }
    Ok(definition)
}

/// `verdigris chroot list`.
pub(crate) async fn list_chroots(config: &Config) -> anyhow::Result<()> {
    let settings = Settings::load(config.config.as_deref())?;
    let chroots = database::open(&settings).await?.chroots().await?;
    if chroots.is_empty() {
        say("There are no chroots. `verdigris chroot create NAME` makes one.");
    }
    for chroot in chroots {
        let state = if chroot.is_active { "active" } else { "inactive" };
        say(&format!("{:<32} {state:<9} {}", chroot.name, chroot.comment));
    }
    Ok(())
}

/// Makes the first user, an operator, when there is none of that name; `None` when there is.
pub(crate) async fn first_operator(store: &Store, name: &OwnerName) -> anyhow::Result<Option<IssuedToken>> {
    if store.user_by_name(name).await?.is_some() {
        return Ok(None);
    }
    let user = store
        .create_user(
            &NewUser {
                name: name.clone(),
                is_operator: true,
            },
            clock::now(),
        )
        .await;
    let user = user.map_err(|error| anyhow::anyhow!("making the operator {name}: {}", chain(&error)))?;
    Ok(Some(
        store.issue_token(user.id, TOKEN_LIFETIME, clock::now()).await?,
    ))
}

#[cfg(test)]
mod tests {
    use super::{definition, without_password};

    #[test]
    fn a_database_address_is_shown_without_its_password() {
        assert_eq!(
            without_password("postgres://u:secret@h/db"),
            "postgres://u:***@h/db"
        );
        assert_eq!(
            without_password("sqlite:///var/lib/x.db"),
            "sqlite:///var/lib/x.db"
        );
    }

    #[test]
    fn a_repository_needs_an_id_and_an_address() {
        let good = definition(&["base={farm}/mirrors/microdistro/".to_owned()], &[]).unwrap();
        assert_eq!(good.repositories[0].id, "base");
        assert!(definition(&["base".to_owned()], &[]).is_err());
        assert!(definition(&["base=ftp://x".to_owned()], &[]).is_err());
    }
}
