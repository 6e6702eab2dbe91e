//! The settings of a farm in one process: `verdigris.toml` in its directory. The first start makes it, and whatever the
//! command line names is kept in it, so that the next start needs no options. With that file the operator's commands find the farm.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use runtime::Settings;
use toml_edit::{DocumentMut, Item, TableLike, Value, value};
use tracing::info;

use crate::{check::mirror, embedded, options::UpArguments, secrets::write_private};

/// The one name of a place, whatever way leads to it, and whether it is there or not.
pub(super) fn place(path: &Path) -> anyhow::Result<PathBuf> {
    let whole =
        std::path::absolute(path).with_context(|| format!("`--directory`: {} is no path", path.display()))?;
    let Some(there) = whole.ancestors().find(|path| path.exists()) else {
        return Ok(whole);
    };
    let real = std::fs::canonicalize(there)
        .with_context(|| format!("`--directory`: {} cannot be looked up", there.display()))?;
    if !real.is_dir() {
        bail!("`--directory`: {} is no directory", there.display());
    }
    let rest = whole.strip_prefix(there).unwrap_or_else(|_| Path::new(""));
    Ok(if rest.as_os_str().is_empty() {
        real
    } else {
        real.join(rest)
    })
}

/// Writes the file of a new farm.
pub(super) fn make(directory: &Path) -> anyhow::Result<()> {
    let file = file_in(directory);
    if file.exists() {
        return Ok(());
    }
    let text = format!(
        "# The settings of this farm; docs/operating.md lists them all.\n\n[storage]\ndirectory = {}\n",
        Value::from(absolute(directory)?)
    );
    write(&file, &text)
}

/// What the file says, if it is there, and what the command line says instead of it. Nothing is written.
pub(super) fn settings(arguments: &UpArguments, directory: &Path) -> anyhow::Result<Settings> {
    let mirrors = arguments.mirrors.iter().map(|(_, mirror)| mirror);
    for path in arguments.image.iter().chain(mirrors) {
        absolute(path)?;
    }
    absolute(directory)?;
    let file = file_in(directory);
    let mut settings = Settings::load(file.exists().then_some(file.as_path()))?;
    let default = Settings::default();
    if settings.storage.directory == default.storage.directory {
        settings.storage.directory = directory.to_owned();
    } else if fs_err::canonicalize(&settings.storage.directory).ok().as_deref() != Some(directory) {
        bail!(
            "{}: storage.directory is {}, but this is {}: a farm that was moved has its new place written there",
            file.display(),
            settings.storage.directory.display(),
            directory.display()
        );
    } else {
        settings.storage.directory = directory.to_owned();
    }
    if settings.http.builder_url.is_some() {
        bail!(
            "{}: http.builder_url is not for `verdigris up`, whose builders reach it through the embedded cloud",
            file.display()
        );
    }
    settings.http.builder_url = Some(embedded::farm_url());
    settings.http.listen = arguments.listen.unwrap_or(settings.http.listen);
    settings.devcloud.image = arguments.image.clone().or(settings.devcloud.image);
    settings.devcloud.public_network |= arguments.public_network;
    settings.http.mirrors.extend(arguments.mirrors.iter().cloned());
    for (name, path) in &mut settings.http.mirrors {
        mirror(name, path)?;
        *path = std::fs::canonicalize(&*path)
            .with_context(|| format!("`http.mirrors.{name}`: {} cannot be looked up", path.display()))?;
    }
    settings.worker.name.get_or_insert_with(|| "up".to_owned());
    Ok(settings)
}

/// Writes the farm's directory and the options of the command line into the file; its comments and its order stay as they
/// are. For when the farm has started with them: what it cannot start with is not kept.
pub(super) fn keep(arguments: &UpArguments, directory: &Path) -> anyhow::Result<()> {
    let file = file_in(directory);
    let before = fs_err::read_to_string(&file)?;
    let mut document: DocumentMut = before.parse().with_context(|| file.display().to_string())?;
    // Left out of a file that its operator wrote, it would be the default to all other commands.
    set(&mut document, &["storage"], "directory", absolute(directory)?)?;
    if let Some(listen) = arguments.listen {
        set(&mut document, &["http"], "listen", listen.to_string())?;
    }
    if let Some(image) = &arguments.image {
        set(&mut document, &["devcloud"], "image", absolute(image)?)?;
    }
    if arguments.public_network {
        set(&mut document, &["devcloud"], "public_network", true)?;
    }
    for (name, mirror) in &arguments.mirrors {
        set(&mut document, &["http", "mirrors"], name, absolute(mirror)?)?;
    }
    let after = document.to_string();
    if after != before {
        write(&file, &after)?;
        info!("Wrote the options of this start into {}.", file.display());
    }
    Ok(())
}

fn file_in(directory: &Path) -> PathBuf {
    directory.join("verdigris.toml")
}

/// Replaces the file in one step. It may hold the database's password: it is its user's alone. A link stays one.
fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    let target = fs_err::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    write_private(&target, text)
}

/// Sets a value in a table below others, which are made where they are not there. One that is the same stays as it was written.
fn set(
    document: &mut DocumentMut,
    tables: &[&str],
    key: &str,
    wanted: impl Into<Value>,
) -> anyhow::Result<()> {
    let wanted = wanted.into();
    let mut table: &mut dyn TableLike = document.as_table_mut();
    for name in tables {
        let item = table.entry(name).or_insert_with(toml_edit::table);
        table = item
            .as_table_like_mut()
            .with_context(|| format!("`{name}` is no table"))?;
    }
    let plain = |value: &Value| (value.as_str().map(str::to_owned), value.as_bool());
    if table.get(key).and_then(Item::as_value).map(plain) != Some(plain(&wanted)) {
        table.insert(key, value(wanted));
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
    use std::{
        fs,
        os::unix::fs::PermissionsExt as _,
        path::{Path, PathBuf},
    };

    use super::{Settings, UpArguments, keep, make, place, settings};

    fn options() -> UpArguments {
        UpArguments {
            directory: PathBuf::new(),
            listen: None,
            image: None,
            public_network: false,
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
            public_network: true,
            mirrors: vec![("house".to_owned(), mirror.clone())],
            ..options()
        };
        let first = settings(&told, directory.path()).unwrap();
        make(directory.path()).unwrap();
        keep(&told, directory.path()).unwrap();
        let next = settings(&options(), directory.path()).unwrap();
        assert_eq!(next, first);
        assert_eq!(next.http.listen, "127.0.0.1:5999".parse().unwrap());
        assert_eq!(next.http.mirrors["house"], mirror);
        assert_eq!(next.devcloud.image, Some("/images/builder".into()));
        assert!(next.devcloud.public_network);
    }

    #[test]
    fn a_directory_with_odd_letters_is_found_again_and_one_that_is_no_text_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let odd = directory.path().join("a \"farm\" of\u{1b} e\u{301}");
        fs::create_dir(&odd).unwrap();
        make(&odd).unwrap();
        assert_eq!(settings(&options(), &odd).unwrap().storage.directory, odd);
        let bytes = std::os::unix::ffi::OsStrExt::from_bytes(b"/images/\xff");
        let no_text: &std::ffi::OsStr = bytes;
        let image = UpArguments {
            image: Some(no_text.into()),
            ..options()
        };
        let mirror = UpArguments {
            mirrors: vec![("house".to_owned(), no_text.into())],
            ..options()
        };
        for (told, place) in [
            (&image, directory.path()),
            (&mirror, directory.path()),
            (&options(), Path::new(no_text)),
        ] {
            let said = settings(told, place).unwrap_err().to_string();
            assert!(said.ends_with("is not text in UTF-8"), "{said}");
        }
    }

    #[test]
    fn a_place_has_one_name_before_and_after_it_is_made() {
        let directory = tempfile::tempdir().unwrap();
        let real = directory.path().canonicalize().unwrap();
        std::os::unix::fs::symlink(&real, real.join("link")).unwrap();
        let named = real.join("link/new/farm");
        assert_eq!(place(&named).unwrap(), real.join("new/farm"));
        fs::create_dir_all(&named).unwrap();
        assert_eq!(place(&named).unwrap(), real.join("new/farm"));
        fs::write(real.join("file"), "").unwrap();
        for path in ["file", "file/farm"] {
            let said = place(&real.join(path)).unwrap_err().to_string();
            assert!(
                said.starts_with("`--directory`: ") && said.ends_with("/file is no directory"),
                "{said}"
            );
        }
    }

    #[test]
    fn an_operators_own_words_stay_in_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("verdigris.toml");
        let ours = "# ours\n[http]\nlisten = '127.0.0.1:1' # why\nmirrors = {}\n[log]\nformat = \"json\"\n";
        fs::write(&file, ours).unwrap();
        settings(&options(), directory.path()).unwrap();
        keep(&options(), directory.path()).unwrap();
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.starts_with(ours), "{text}");
        let kept = Settings::load(Some(&file)).unwrap();
        assert_eq!(kept.storage.directory, directory.path());
        settings(&options(), directory.path()).unwrap();
        let same = UpArguments {
            listen: Some("127.0.0.1:1".parse().unwrap()),
            ..options()
        };
        keep(&same, directory.path()).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
        let image = UpArguments {
            image: Some("/images/builder".into()),
            ..options()
        };
        keep(&image, directory.path()).unwrap();
        let changed = fs::read_to_string(&file).unwrap();
        assert!(changed.starts_with(ours), "{changed}");
        assert!(Settings::load(Some(&file)).is_ok(), "{changed}");
    }

    #[test]
    fn another_way_to_the_same_directory_is_no_other_farm() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().canonicalize().unwrap();
        let file = place.join("verdigris.toml");
        let name = |path: &Path| format!("[storage]\ndirectory = {path:?}\n");
        let roundabout = place.join("..").join(place.file_name().unwrap());
        fs::write(&file, name(&roundabout)).unwrap();
        assert_eq!(settings(&options(), &place).unwrap().storage.directory, place);
        fs::write(&file, name(Path::new("/nowhere"))).unwrap();
        let refused = settings(&options(), &place).unwrap_err().to_string();
        assert!(refused.contains("a farm that was moved"), "{refused}");
    }

    #[test]
    fn a_mirror_without_metadata_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let told = UpArguments {
            mirrors: vec![("house".to_owned(), directory.path().to_owned())],
            ..options()
        };
        let refused = settings(&told, directory.path()).unwrap_err().to_string();
        assert!(
            refused.contains("http.mirrors.house") && refused.contains("repodata"),
            "{refused}"
        );
    }

    #[test]
    fn the_file_is_its_users_alone_and_a_link_to_it_stays_one() {
        let directory = tempfile::tempdir().unwrap();
        let real = directory.path().join("real.toml");
        let file = directory.path().join("verdigris.toml");
        fs::write(&real, "").unwrap();
        std::os::unix::fs::symlink(&real, &file).unwrap();
        let told = UpArguments {
            listen: Some("127.0.0.1:1".parse().unwrap()),
            ..options()
        };
        keep(&told, directory.path()).unwrap();
        assert!(fs::symlink_metadata(&file).unwrap().is_symlink());
        let mode = fs::metadata(&real).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
