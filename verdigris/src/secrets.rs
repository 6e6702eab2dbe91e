//! The farm's own secrets, each a file that only its user can read, made when it is first needed.

use std::{
    io::{ErrorKind, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use repository::Passphrase;
use serde::{Deserialize, Serialize};
use shell::ClientKey;

/// A secret of the farm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Secret {
    /// What the projects' signing keys are locked with.
    Passphrase,
    /// What opens builders.
    BuilderKey,
    /// The access key of the embedded cloud.
    AccessKey,
}

impl Secret {
    /// All of them: `verdigris up` needs them.
    pub(crate) const ALL: [Self; 3] = [Self::Passphrase, Self::BuilderKey, Self::AccessKey];

    /// The name of its file.
    const fn file(self) -> &'static str {
        match self {
            Self::Passphrase => "signing.passphrase",
            Self::BuilderKey => "builders.ed25519",
            Self::AccessKey => "devcloud.json",
        }
    }
}

/// The directory of secrets.
#[derive(Clone, Debug)]
pub(crate) struct Secrets {
    directory: PathBuf,
}

/// The access key of a cloud.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct AccessKey {
    /// Its id.
    pub(crate) access_key: String,
    /// Its secret.
    pub(crate) secret_key: String,
    /// What belongs to one that is good for some hours only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) session_token: Option<String>,
}

impl Secrets {
    /// The secrets in a directory, which is made when it is not there.
    pub(crate) fn open(directory: &Path) -> anyhow::Result<Self> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .with_context(|| format!("making the directory of secrets {}", directory.display()))?;
        Ok(Self {
            directory: directory.to_owned(),
        })
    }

    /// Looks at secrets in a directory and makes none; a word on them.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub(crate) fn check(directory: &Path, wanted: &[Secret]) -> anyhow::Result<String> {
        let secrets = Self {
            directory: directory.to_owned(),
        };
        if std::fs::read_dir(directory).is_err_and(|error| error.kind() == ErrorKind::PermissionDenied) {
            return Ok(format!(
                "{} may not be read here: only controllers and workers need them",
                directory.display()
            ));
        }
        let mut missing = Vec::new();
        let mut wrong = Vec::new();
        for secret in wanted {
            match secrets.look(*secret) {
                Ok(true) => {}
                Ok(false) => missing.push(secret.file()),
                Err(error) => wrong.push(format!("{error:#}")),
            }
        }
        if !wrong.is_empty() {
            bail!("{}", wrong.join("\n"));
        }
        Ok(if missing.is_empty() {
            "good".to_owned()
        } else {
            format!(
                "good; {} will be made in {} when first needed",
                missing.join(" and "),
                directory.display()
            )
        })
    }

    /// Whether a secret is there and is good.
    fn look(&self, secret: Secret) -> anyhow::Result<bool> {
        if !self.exists(secret.file())? {
            return Ok(false);
        }
        match secret {
            Secret::Passphrase => self.passphrase().map(drop),
            Secret::BuilderKey => self.builder_key().map(drop),
            Secret::AccessKey => self.access_key().map(drop),
        }?;
        Ok(true)
    }

    /// What the projects' signing keys are locked with.
    pub(crate) fn passphrase(&self) -> anyhow::Result<Passphrase> {
        let text = self.text(Secret::Passphrase, random_text)?;
        Passphrase::new(text.trim()).with_context(|| self.named(Secret::Passphrase.file()))
    }

    /// What opens builders.
    pub(crate) fn builder_key(&self) -> anyhow::Result<ClientKey> {
        let text = self.text(Secret::BuilderKey, || {
            Ok(ClientKey::generate("verdigris")?.private_openssh()?)
        })?;
        ClientKey::parse(&text).with_context(|| self.named(Secret::BuilderKey.file()))
    }

    /// What opens builders, where it is there already; it is not made.
    pub(crate) fn existing_builder_key(directory: &Path) -> anyhow::Result<Option<ClientKey>> {
        let secrets = Self {
            directory: directory.to_owned(),
        };
        match secrets.exists(Secret::BuilderKey.file())? {
            true => secrets.builder_key().map(Some),
            false => Ok(None),
        }
    }

    /// The access key of the embedded cloud.
    pub(crate) fn access_key(&self) -> anyhow::Result<AccessKey> {
        let text = self.text(Secret::AccessKey, || {
            let key = AccessKey {
                access_key: "VERDIGRISDEVCLOUD".to_owned(),
                secret_key: random_text()?,
                session_token: None,
            };
            Ok(serde_json::to_string(&key)?)
        })?;
        serde_json::from_str(&text).with_context(|| self.named(Secret::AccessKey.file()))
    }

    /// Whether there is such a file; that its directory cannot be read is an error.
    fn exists(&self, name: &str) -> anyhow::Result<bool> {
        let path = self.directory.join(name);
        path.try_exists().with_context(|| self.named(name))
    }

    fn named(&self, file: &str) -> String {
        format!("the secret {}", self.directory.join(file).display())
    }

    /// A secret's text; made by `make` when the file is not there. Of two processes that make it at once,
    /// one wins and both read the same.
    fn text(&self, secret: Secret, make: impl FnOnce() -> anyhow::Result<String>) -> anyhow::Result<String> {
        let name = secret.file();
        let path = self.directory.join(name);
        if !self.exists(name)? {
            let mut staged = tempfile::NamedTempFile::new_in(&self.directory)?;
            staged.write_all(make()?.as_bytes())?;
            staged.as_file().sync_all()?;
            if let Err(error) = staged.persist_noclobber(&path)
                && error.error.kind() != ErrorKind::AlreadyExists
            {
                return Err(error.error).with_context(|| self.named(name));
            }
        }
        let found = std::fs::metadata(&path).with_context(|| self.named(name))?;
        let mode = found.permissions().mode();
        let is_ours = found.uid() == rustix::process::geteuid().as_raw();
        if mode & forbidden(is_ours) != 0 {
            bail!(
                "{} can be read by others (mode {:o}): chmod 600 it",
                path.display(),
                mode & 0o777
            );
        }
        std::fs::read_to_string(&path).with_context(|| self.named(name))
    }
}

/// The bits of a secret's mode that must not be set. A file that belongs to somebody else reaches this process by its group:
/// that is how Kubernetes mounts Secrets for processes without root (owner root, the pod's `fsGroup`, mode 0440).
fn forbidden(is_ours: bool) -> u32 {
    if is_ours { 0o077 } else { 0o037 }
}

/// 256 random bits.
fn random_text() -> anyhow::Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|cause| anyhow::anyhow!("no random numbers: {cause}"))?;
    Ok(hex::encode(bytes))
}

/// Writes a file that only its user can read, in one step.
pub(crate) fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    let staged = path.with_extension("new");
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&staged)
        .with_context(|| format!("writing {}", staged.display()))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&staged, path).with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_made_once_and_only_its_user_can_read_it() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("secrets");
        let said = Secrets::check(&place, &Secret::ALL).unwrap();
        assert!(
            said.contains("signing.passphrase and builders.ed25519 and devcloud.json will be made"),
            "{said}"
        );
        assert!(!place.exists(), "looking makes nothing");
        let secrets = Secrets::open(&place).unwrap();
        let first = secrets.builder_key().unwrap().public_openssh().unwrap();
        assert_eq!(secrets.builder_key().unwrap().public_openssh().unwrap(), first);
        let path = directory.path().join("secrets/builders.ed25519");
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let refused = secrets.builder_key().unwrap_err().to_string();
        assert!(refused.contains("can be read by others"), "{refused}");
    }

    #[test]
    fn only_the_secrets_that_a_process_needs_are_looked_at_and_all_that_is_wrong_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path();
        for name in ["signing.passphrase", "devcloud.json"] {
            let path = place.join(name);
            std::fs::write(&path, "short").unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        }
        let said = Secrets::check(place, &[Secret::BuilderKey]).unwrap();
        assert!(said.starts_with("good; builders.ed25519 will be made"), "{said}");
        let others = |wanted: &[Secret]| {
            let said = Secrets::check(place, wanted).unwrap_err().to_string();
            said.matches("can be read by others").count()
        };
        assert_eq!(others(&[Secret::BuilderKey, Secret::Passphrase]), 1);
        assert_eq!(others(&Secret::ALL), 2);
    }

    #[test]
    fn a_secret_of_another_user_may_be_read_by_its_group_as_kubernetes_mounts_it() {
        for (mode, is_ours, is_good) in [
            (0o600, true, true),
            (0o400, true, true),
            (0o440, true, false),
            (0o440, false, true),
            (0o444, false, false),
            (0o460, false, false),
            (0o640, false, true),
        ] {
            assert_eq!(mode & forbidden(is_ours) == 0, is_good, "{mode:o} {is_ours}");
        }
    }
}
