//! The settings of a farm in one process: `verdigris.toml` in its directory. The first start makes it, and whatever the
//! command line names is kept in it, so that the next start needs no options. With that file the operator's commands find the farm.

use std::path::Path;

use anyhow::{Context as _, bail};
use runtime::Settings;
use toml_edit::{DocumentMut, Item, TableLike, value};
use tracing::info;

use crate::{cli::UpArguments, up::FARM_PORT_IN_CLOUD};

/// Reads the file, after what the command line says was written into it.
pub(super) fn settings(arguments: &UpArguments, directory: &Path) -> anyhow::Result<Settings> {
    let file = directory.join("verdigris.toml");
    let database = format!("sqlite://{}", directory.join("verdigris.db").display());
    if !file.exists() {
        let text = format!(
            "# The settings of this farm; docs/operating.md lists them all.\n\n\
             [database]\nurl = {database:?}\n\n[storage]\ndirectory = {directory:?}\n"
        );
        fs_err::write(&file, text)?;
    }
    // Whatever is wrong with it is told before it is changed.
    Settings::load(Some(&file))?;
    keep(arguments, &file)?;
    let mut settings = Settings::load(Some(&file))?;
    let default = Settings::default();
    if settings.storage.directory == default.storage.directory {
        settings.storage.directory = directory.to_owned();
    } else if settings.storage.directory != directory {
        bail!(
            "{}: storage.directory is {}, but this is {}: a farm that was moved has its new place written there",
            file.display(),
            settings.storage.directory.display(),
            directory.display()
        );
    }
    if settings.database == default.database {
        settings.database.url = database;
    }
    if settings.http.builder_url.is_some() {
        bail!(
            "{}: http.builder_url is not for `verdigris up`, whose builders reach it through the embedded cloud",
            file.display()
        );
    }
    settings.http.builder_url = Some(format!(
        "http://{}:{FARM_PORT_IN_CLOUD}",
        devcloud::hypervisor::GATEWAY
    ));
    for (name, path) in &mut settings.http.mirrors {
        *path = fs_err::canonicalize(&*path)
            .with_context(|| format!("{}: http.mirrors.{name}", file.display()))?;
        if !path.join("repodata").is_dir() {
            bail!(
                "{}: http.mirrors.{name}: {} is no repository: it has no `repodata`",
                file.display(),
                path.display()
            );
        }
    }
    settings.worker.name.get_or_insert_with(|| "up".to_owned());
    Ok(settings)
}

/// Writes the options of the command line into the file; its comments and its order stay as they are.
fn keep(arguments: &UpArguments, file: &Path) -> anyhow::Result<()> {
    let before = fs_err::read_to_string(file)?;
    let mut document: DocumentMut = before.parse().with_context(|| file.display().to_string())?;
    if let Some(listen) = arguments.listen {
        set(&mut document, &["http"], "listen", &listen.to_string())?;
    }
    if let Some(image) = &arguments.image {
        set(&mut document, &["devcloud"], "image", &absolute(image)?)?;
    }
    for (name, mirror) in &arguments.mirrors {
        let path = absolute(mirror)?;
        if !Path::new(&path).join("repodata").is_dir() {
            bail!("--mirror {name}: {path} is no repository: it has no `repodata`");
        }
        set(&mut document, &["http", "mirrors"], name, &path)?;
    }
    let after = document.to_string();
    if after != before {
        let staged = file.with_extension("new");
        fs_err::write(&staged, &after)?;
        fs_err::rename(&staged, file)?;
        info!("Wrote the options of this start into {}.", file.display());
    }
    Ok(())
}

/// Sets a value in a table below others, which are made where they are not there. One that is the same stays as it was written.
fn set(document: &mut DocumentMut, tables: &[&str], key: &str, text: &str) -> anyhow::Result<()> {
    let mut table: &mut dyn TableLike = document.as_table_mut();
    for name in tables {
        let item = table.entry(name).or_insert_with(toml_edit::table);
        table = item
            .as_table_like_mut()
            .with_context(|| format!("`{name}` is no table"))?;
    }
    if table.get(key).and_then(Item::as_str) != Some(text) {
        table.insert(key, value(text));
    }
    Ok(())
}

/// A path that means the same from every directory. Links stay what they are: an image is found by one that is switched.
fn absolute(path: &Path) -> anyhow::Result<String> {
    let path = std::path::absolute(path)?;
    let text = path.to_str();
    text.map(str::to_owned)
        .with_context(|| format!("{} is not text in UTF-8", path.display()))
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use super::{Settings, UpArguments, settings};

    fn options() -> UpArguments {
        UpArguments {
            directory: PathBuf::new(),
            listen: None,
            image: None,
            mirrors: Vec::new(),
            builders: None,
            idle: None,
        }
    }

    #[test]
    fn what_one_start_was_told_the_next_one_knows() {
        let directory = tempfile::tempdir().unwrap();
        let mirror = directory.path().join("distribution");
        fs::create_dir_all(mirror.join("repodata")).unwrap();
        let told = UpArguments {
            listen: Some("127.0.0.1:5999".parse().unwrap()),
            image: Some("/images/builder".into()),
            mirrors: vec![("house".to_owned(), mirror.clone())],
            ..options()
        };
        let first = settings(&told, directory.path()).unwrap();
        let next = settings(&options(), directory.path()).unwrap();
        assert_eq!(next, first);
        assert_eq!(next.http.listen, "127.0.0.1:5999".parse().unwrap());
        assert_eq!(next.http.mirrors["house"], mirror);
        assert_eq!(next.devcloud.image, Some("/images/builder".into()));
    }

    #[test]
    fn an_operators_own_words_stay_in_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("verdigris.toml");
        let text = "# ours\n[http]\nlisten = '127.0.0.1:1' # why\nmirrors = {}\n[log]\nformat = \"json\"\n";
        fs::write(&file, text).unwrap();
        settings(&options(), directory.path()).unwrap();
        let same = UpArguments {
            listen: Some("127.0.0.1:1".parse().unwrap()),
            ..options()
        };
        settings(&same, directory.path()).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
        let image = UpArguments {
            image: Some("/images/builder".into()),
            ..options()
        };
        settings(&image, directory.path()).unwrap();
        let changed = fs::read_to_string(&file).unwrap();
        assert!(changed.starts_with(text), "{changed}");
        assert!(Settings::load(Some(&file)).is_ok(), "{changed}");
    }

    #[test]
    fn a_mirror_without_metadata_is_refused_and_not_kept() {
        let directory = tempfile::tempdir().unwrap();
        let told = UpArguments {
            mirrors: vec![("house".to_owned(), directory.path().to_owned())],
            ..options()
        };
        let refused = settings(&told, directory.path()).unwrap_err().to_string();
        assert!(refused.contains("--mirror house"), "{refused}");
        assert!(
            settings(&options(), directory.path())
                .unwrap()
                .http
                .mirrors
                .is_empty()
        );
    }
}
