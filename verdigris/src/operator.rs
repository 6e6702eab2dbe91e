//! The operator's commands around users, chroots, settings and the database.

use std::{process::ExitCode, time::Duration};

use anyhow::Context as _;
use model::{ChrootDefinition, ChrootName, OwnerName, chroot::BaseRepository};
use runtime::{Settings, clock, supervisor::chain};
use store::{Chroot, IssuedToken, NewUser, Store};

use crate::{
    database,
    options::{ChrootCreate, Config},
    parts, say,
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
    report("secrets", Secrets::check(&settings.storage.secrets()));
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
    let mirrors = async {
        let store = database::open(&settings).await?;
        let missing = missing_mirrors(&store, &settings).await?;
        anyhow::ensure!(missing.is_empty(), "{}", missing.join("\n           "));
        Ok("good".to_owned())
    };
    report("mirrors", mirrors.await);
    Ok(if is_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Chroots whose build root would come from a mirror that this farm does not serve: nothing can be built in them.
pub(crate) async fn missing_mirrors(store: &Store, settings: &Settings) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    for chroot in store.chroots().await? {
        for repository in &chroot.definition.repositories {
            let rest = repository.baseurl.strip_prefix("{farm}/mirrors/");
            let name = rest.map(|rest| rest.split('/').next().unwrap_or_default());
            if let Some(name) = name.filter(|name| !settings.http.mirrors.contains_key(*name)) {
                found.push(format!(
                    "The chroot {} is made from the mirror `{name}`, which is not in `http.mirrors`: nothing can be built in it.",
                    chroot.name
                ));
            }
        }
    }
    Ok(found)
}

/// `verdigris config show`.
pub(crate) fn show(config: &Config) -> anyhow::Result<()> {
    let mut settings = Settings::load(config.config.as_deref())?;
    settings.database.url = Some(store::without_secrets(&settings.database_url()));
    say(&serde_json::to_string_pretty(&settings)?);
    Ok(())
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
    for repository in &definition.repositories {
        if repository.gpgkey.is_none() {
            say(&format!(
                "warning: packages from `{}` will not be verified; add `,gpgkey=URL` to the repository",
                repository.id
            ));
        }
    }
    let store = database::open(&settings).await?;
    let chroots: Vec<Chroot> = names
        .into_iter()
        .map(|name| Chroot {
            name,
            comment: arguments.comment.clone(),
            is_active: !arguments.inactive,
            definition: definition.clone(),
        })
        .collect();
    let made = store.create_chroots(&chroots, clock::now()).await;
    made.context("none was made")?;
    for chroot in chroots {
        say(&format!("created {}", chroot.name));
    }
    Ok(())
}

/// `verdigris chroot activate` and `deactivate`: whether new projects and builds may use them. Builds that are there go on.
pub(crate) async fn offer_chroots(config: &Config, names: &[String], is_active: bool) -> anyhow::Result<()> {
    let settings = Settings::load(config.config.as_deref())?;
    let store = database::open(&settings).await?;
    let mut chroots = Vec::new();
    for name in names {
        let name: ChrootName = name.parse()?;
        let chroot = store.chroot(&name).await?;
        chroots.push(chroot.with_context(|| format!("there is no chroot {name}; nothing was changed"))?);
    }
    for chroot in chroots {
        let changed = Chroot { is_active, ..chroot };
        store.update_chroot(&changed, clock::now()).await?;
        let state = if is_active { "active" } else { "inactive" };
        say(&format!("{} is {state}", changed.name));
    }
    Ok(())
}

fn definition(repositories: &[String], packages: &[String]) -> anyhow::Result<ChrootDefinition> {
    let mut definition = ChrootDefinition {
        buildroot_packages: packages.to_vec(),
        ..ChrootDefinition::default()
    };
    for text in repositories {
        definition.repositories.push(base_repository(text)?);
    }
    definition.check()?;
    Ok(definition)
}

/// Reads `ID=URL` or `ID=URL,gpgkey=URL`.
fn base_repository(text: &str) -> anyhow::Result<BaseRepository> {
    let (id, rest) = text
        .split_once('=')
        .with_context(|| format!("`{text}` is not ID=URL"))?;
    let (baseurl, key) = match rest.split_once(',') {
        None => (rest, None),
        Some((baseurl, option)) => {
            let key = option
                .strip_prefix("gpgkey=")
                .with_context(|| format!("`{option}` is not gpgkey=URL"))?;
            (baseurl, Some(address(key)?))
        }
    };
    Ok(BaseRepository {
        id: id.to_owned(),
        baseurl: address(baseurl)?,
        gpgkey: key,
    })
}

/// An address as builders take it.
fn address(text: &str) -> anyhow::Result<String> {
    let is_known = ["http://", "https://", "file:/", "{farm}/"].iter().any(|start| {
        text.strip_prefix(start)
            .is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_ascii_graphic() && c != ','))
    });
    anyhow::ensure!(
        is_known,
        "`{text}` is no address of a repository or a key: http, https, file or {{farm}}/..."
    );
    if !text.starts_with("file:") {
        let whole = text.replacen("{farm}/", "http://farm/", 1);
        if let Some(mistake) = api::address_mistake(&whole) {
            anyhow::bail!("`{text}` is refused: {mistake}");
        }
    }
    Ok(text.to_owned())
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

/// Makes the operator if need be; a new token unless one is at hand already.
pub(crate) async fn operator_with_token(
    store: &Store,
    name: &OwnerName,
    has_token: bool,
) -> anyhow::Result<Option<IssuedToken>> {
    let user = match store.user_by_name(name).await? {
        Some(_) if has_token => return Ok(None),
        Some(user) => user,
        None => {
            let new = NewUser {
                name: name.clone(),
                is_operator: true,
            };
            let made = store.create_user(&new, clock::now()).await;
            made.map_err(|error| anyhow::anyhow!("making the operator {name}: {}", chain(&error)))?
        }
    };
    Ok(Some(
        store.issue_token(user.id, TOKEN_LIFETIME, clock::now()).await?,
    ))
}

#[cfg(test)]
mod tests {
    use super::{base_repository, definition};

    #[test]
    fn a_repository_needs_an_id_and_an_address() {
        let good = definition(&["base={farm}/mirrors/microdistro/".to_owned()], &[]).unwrap();
        assert_eq!(good.repositories[0].id, "base");
        assert_eq!(good.repositories[0].gpgkey, None);
        for bad in [
            "base",
            "base=ftp://x",
            "=http://x/",
            "a b=http://x/",
            "main=http://x/",
            "base=http://",
            "base=http://x y/",
            "base=http://user:secret@x/",
            "base=http://169.254.169.254/latest/",
        ] {
            assert!(definition(&[bad.to_owned()], &[]).is_err(), "{bad}");
        }
        let twice = ["base=http://x/".to_owned(), "base=http://y/".to_owned()];
        assert!(definition(&twice, &[]).is_err());
    }

    #[test]
    fn a_repository_may_have_a_key_and_no_other_option() {
        let text = "base=https://x/$basearch/?a=b,gpgkey=file:///usr/share/keys/x";
        let found = base_repository(text).unwrap();
        assert_eq!(found.baseurl, "https://x/$basearch/?a=b");
        assert_eq!(found.gpgkey.as_deref(), Some("file:///usr/share/keys/x"));
        for bad in [
            "base=http://x/,",
            "base=http://x/,gpgkey=",
            "base=http://x/,gpgkey=key.asc",
            "base=http://x/,gpgkey=-----BEGIN PGP PUBLIC KEY BLOCK-----",
            "base=http://x/,key=http://x/k",
            "base=http://x/,gpgkey=http://x/k,gpgkey=http://x/l",
            "base=http://x/,priority=1",
        ] {
            assert!(base_repository(bad).is_err(), "{bad}");
        }
    }
}
