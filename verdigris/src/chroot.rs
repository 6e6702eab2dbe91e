//! `verdigris chroot`: what projects may build in.

use anyhow::Context as _;
use model::{
    ChrootDefinition, ChrootName, PoolName,
    chroot::{BaseRepository, is_architecture, no_architecture},
    fleet::{FleetSpec, Runner},
};
use runtime::{Settings, clock};
use store::{Chroot, Store};

use crate::{
    database::{self, plainly},
    embedded,
    options::{ChrootCreate, Config},
    say,
    table::table,
};

/// `verdigris chroot create`: all of them or none.
pub(crate) async fn create(arguments: &ChrootCreate) -> anyhow::Result<()> {
    let settings = Settings::load(arguments.config.config.as_deref())?;
    let names = arguments
        .names
        .iter()
        .map(|name| name.parse())
        .collect::<Result<Vec<ChrootName>, _>>()?;
    for name in &names {
        let architecture = name.architecture();
        anyhow::ensure!(
            is_architecture(architecture),
            "{name}: {}; none was made",
            no_architecture(architecture)
        );
    }
    let definition = definition(&arguments.repositories, &arguments.buildroot_packages)?;
    if let Some(mirror) = missing_mirror(&definition, &settings) {
        anyhow::bail!("{mirror}; none was made");
    }
    for repository in &definition.repositories {
        if repository.gpgkey.is_none() {
            say(&format!(
                "warning: packages from `{}` will not be verified; add `,gpgkey=URL` to the repository",
                repository.id
            ));
        }
    }
    if let Some(warning) = definition.warning() {
        for name in &names {
            say(&format!("warning: {name}: {warning}"));
        }
    }
    let chroots: Vec<Chroot> = names
        .into_iter()
        .map(|name| Chroot {
            name,
            comment: arguments.comment.clone(),
            is_active: !arguments.inactive,
            definition: definition.clone(),
        })
        .collect();
    database::with(&settings, async |store| {
        let made = store.create_chroots(&chroots, clock::now()).await;
        made.map_err(plainly).context("none was made")?;
        for chroot in &chroots {
            say(&format!("created {}", chroot.name));
        }
        Ok(())
    })
    .await
}

/// `verdigris chroot activate` and `deactivate`: whether new projects and builds may use them. Builds that are there go on.
pub(crate) async fn offer(config: &Config, names: &[String], is_active: bool) -> anyhow::Result<()> {
    let settings = Settings::load(config.config.as_deref())?;
    database::with(&settings, async |store| {
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
    })
    .await
}

/// `verdigris chroot delete`, one after the other.
pub(crate) async fn delete(config: &Config, names: &[String]) -> anyhow::Result<()> {
    let settings = Settings::load(config.config.as_deref())?;
    let names = names
        .iter()
        .map(|name| name.parse())
        .collect::<Result<Vec<ChrootName>, _>>()?;
    database::with(&settings, async |store| {
        for name in &names {
            let deleted = store.delete_chroot(name, clock::now()).await;
            let is_used = matches!(deleted, Err(store::Error::Conflict { .. }));
            deleted.map_err(plainly).with_context(|| {
                if is_used {
                    format!("{name} stays; `verdigris chroot deactivate {name}` offers it to nobody any more")
                } else {
                    format!("deleting the chroot {name}")
                }
            })?;
            say(&format!("deleted {name}"));
        }
        Ok(())
    })
    .await
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
pub(crate) async fn list(config: &Config) -> anyhow::Result<()> {
    let settings = Settings::load(config.config.as_deref())?;
    database::with(&settings, async |store| {
        let chroots = store.chroots().await?;
        if chroots.is_empty() {
            say("There are no chroots. `verdigris chroot create NAME` makes one.");
            return Ok(());
        }
        let rows = chroots.into_iter().map(|chroot| {
            let state = if chroot.is_active { "active" } else { "inactive" };
            vec![chroot.name.to_string(), state.to_owned(), chroot.comment]
        });
        say(table(&["CHROOT", "STATE", "COMMENT"], rows.collect()).trim_end());
        Ok(())
    })
    .await
}

/// The mirror that a definition names and this farm does not serve: nothing could be built there.
fn missing_mirror(definition: &ChrootDefinition, settings: &Settings) -> Option<String> {
    let mut names = definition
        .repositories
        .iter()
        .filter_map(|repository| repository.baseurl.strip_prefix("{farm}/mirrors/"))
        .map(|rest| rest.split('/').next().unwrap_or_default());
    let name = names.find(|name| !settings.http.mirrors.contains_key(*name))?;
    Some(format!(
        "there is no mirror `{name}` in `http.mirrors` of the settings"
    ))
}

/// Whether the builders of a pool have mock, as far as it is known before one runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mock {
    There,
    Missing,
    Unknown,
}

/// What speaks for mock on a pool's builders: the packages that its playbook is told to install, or the machine image, of the
/// cloud inside `verdigris up`, that can be looked into. Only a playbook of the farm's own is known to install no other.
fn mock_of(pool: &PoolName, fleet: &FleetSpec, settings: &Settings) -> Mock {
    let provision = fleet
        .pools
        .get(pool)
        .and_then(|pool| fleet.provision.get(&pool.provision));
    let packages = provision.and_then(|provision| provision.vars.get("packages"));
    let names = match packages {
        Some(serde_json::Value::Array(names)) => names.as_slice(),
        Some(one) => std::slice::from_ref(one),
        None => &[],
    };
    if names.iter().any(|name| name == "mock") {
        return Mock::There;
    }
    if !embedded::is_of_pool(fleet, pool) {
        return Mock::Unknown;
    }
    let Ok(image) = embedded::image(settings) else {
        return Mock::Unknown;
    };
    let mut layers = image.layers.iter();
    let has_it = layers.any(|layer| layer.join("usr/bin/mock").symlink_metadata().is_ok());
    let is_ours = settings.fleet.playbooks.is_none()
        && provision.is_some_and(|provision| provision.runner == Runner::Builtin);
    match (has_it, is_ours) {
        (true, _) => Mock::There,
        (false, true) => Mock::Missing,
        (false, false) => Mock::Unknown,
    }
}

/// What keeps builds from active chroots.
#[derive(Debug, Default)]
pub(crate) struct Useless {
    /// Chroots in which nothing can be built.
    pub(crate) wrong: Vec<String>,
    /// Chroots in which nothing can be built unless there is what nothing tells of.
    pub(crate) unsure: Vec<String>,
}

impl Useless {
    /// Says what is wrong with a chroot that only mock can build in, beside pools whose builders may have none.
    fn without_mock(&mut self, name: &ChrootName, warning: &str, pools: &[(&PoolName, Mock)]) {
        let lacking: Vec<String> = pools
            .iter()
            .filter(|(_, mock)| *mock != Mock::There)
            .map(|(pool, _)| format!("`{pool}`"))
            .collect();
        if lacking.is_empty() {
            return;
        }
        let advice = format!(
            "delete it and create it anew with --repository and --buildroot-package, or have mock installed: `packages: [mock]` \
             below `vars` of the pool's provision. Pools: {}",
            lacking.join(", ")
        );
        if pools.iter().all(|(_, mock)| *mock == Mock::Missing) {
            self.wrong.push(format!(
                "Nothing can be built in the chroot {name}: {warning}; the machine image has no mock. Either {advice}."
            ));
        } else {
            self.unsure.push(format!(
                "The chroot {name}: {warning}; nothing says that all of its builders have it. Either {advice}."
            ));
        }
    }
}

/// Active chroots in which nothing can be built: their mirror is not served by the process with these settings, no pool has builders
/// for them, or they are for mock, and the builders have none.
pub(crate) async fn useless(
    store: &Store,
    settings: &Settings,
    is_serving: bool,
    fleet: Option<&FleetSpec>,
) -> anyhow::Result<Useless> {
    let mut found = Useless::default();
    for chroot in store.chroots().await? {
        if !chroot.is_active {
            continue;
        }
        let name = &chroot.name;
        if let Some(mirror) = missing_mirror(&chroot.definition, settings).filter(|_| is_serving) {
            found
                .wrong
                .push(format!("Nothing can be built in the chroot {name}: {mirror}."));
        }
        let Some(fleet) = fleet else { continue };
        let offering = fleet.pools.iter().filter(|(_, pool)| pool.offers(name));
        let pools: Vec<_> = offering
            .map(|(pool, _)| (pool, mock_of(pool, fleet, settings)))
            .collect();
        if pools.is_empty() {
            found.wrong.push(format!(
                "Nothing can be built in the chroot {name}: no pool of the fleet file has labels for it. Builds would wait."
            ));
        } else if let Some(warning) = chroot.definition.warning() {
            found.without_mock(name, warning, &pools);
        }
    }
    Ok(found)
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
