//! What copr-cli needs to know of this farm: a section of its configuration, and the file `copr.conf` in which
//! `verdigris up` keeps its operator's.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use model::OwnerName;
use runtime::clock;
use store::{IssuedToken, Store, User};

use crate::secrets::write_private;

/// A file with the section of one user.
#[derive(Clone, Debug)]
pub(crate) struct CoprConf {
    file: PathBuf,
}

impl CoprConf {
    /// The one in a farm's directory, whether it is there or not.
    pub(crate) fn in_directory(directory: &Path) -> Self {
        Self {
            file: directory.join("copr.conf"),
        }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.file
    }

    /// Whether it is there.
    pub(crate) fn exists(&self) -> bool {
        self.file.exists()
    }

    /// Refuses one that is there and cannot be read.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        match std::fs::read_to_string(&self.file) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).with_context(|| format!("{} cannot be read", self.file.display()))
            }
            _ => Ok(()),
        }
    }

    fn value(&self, key: &str) -> Option<String> {
        let text = std::fs::read_to_string(&self.file).ok()?;
        let mut settings = text.lines().filter_map(|line| line.split_once('='));
        let (_, value) = settings.find(|(name, _)| name.trim() == key)?;
        Some(value.trim().to_owned())
    }

    /// Whose it is.
    pub(crate) fn user(&self) -> Option<String> {
        self.value("username")
    }

    /// The farm's address in it.
    pub(crate) fn url(&self) -> Option<String> {
        self.value("copr_url")
    }

    /// Writes a user's section, with the farm's address as it was, or else this one.
    pub(crate) fn write(&self, user: &OwnerName, token: &IssuedToken, url: &str) -> anyhow::Result<()> {
        let url = self.value("copr_url").unwrap_or_else(|| url.to_owned());
        write_private(&self.file, &format!("{}\n", copr_section(user, token, &url)))
    }

    /// Has the section name the farm's present address.
    pub(crate) fn move_to(&self, url: &str) -> anyhow::Result<()> {
        let text = fs_err::read_to_string(&self.file)?;
        let wanted = format!("copr_url = {url}");
        let lines = text.lines().map(|line| {
            let is_address = line.split('=').next().is_some_and(|key| key.trim() == "copr_url");
            if is_address { wanted.as_str() } else { line }
        });
        let moved = lines.map(|line| format!("{line}\n")).collect::<String>();
        if moved != text {
            write_private(&self.file, &moved)?;
        }
        Ok(())
    }

    /// Why its token does not work, in words for the operator; nothing when it does.
    pub(crate) async fn complaint(&self, store: &Store, user: &User) -> anyhow::Result<Option<String>> {
        let now = clock::now();
        let (login, token) = (self.value("login"), self.value("token"));
        let (login, token) = (login.unwrap_or_default(), token.unwrap_or_default());
        if store.authenticate(&login, &token, now).await?.is_some() {
            return Ok(None);
        }
        let why = match user.token_expires_at {
            Some(end) if end <= now => format!("ended on {}", date(&end.to_string())),
            _ => "is not the one that this farm knows".to_owned(),
        };
        Ok(Some(format!(
            "The token of {} in {} {why}.",
            user.name,
            self.file.display()
        )))
    }
}

/// The day of a moment.
fn date(moment: &str) -> String {
    moment.chars().take(10).collect()
}

/// The section of `~/.config/copr` with which copr-cli speaks to this farm.
pub(crate) fn copr_section(name: &OwnerName, token: &IssuedToken, url: &str) -> String {
    let encrypted = if url.starts_with("https:") {
        "True"
    } else {
        "False"
    };
    format!(
        "[copr-cli]\nlogin = {}\nusername = {name}\ntoken = {}\ncopr_url = {url}\nencrypted = {encrypted}\n\
         # expiration date: {}",
        token.login,
        token.token,
        date(&token.expires_at.to_string())
    )
}

#[cfg(test)]
mod tests {
    use std::fs;

    use model::Timestamp;

    use super::{CoprConf, IssuedToken};

    fn token(word: &str) -> IssuedToken {
        IssuedToken {
            login: format!("login-{word}"),
            token: format!("vdg_{word}"),
            expires_at: Timestamp::from_micros(1_800_000_000_000_000),
        }
    }

    #[test]
    fn a_new_token_keeps_the_address_and_a_move_keeps_the_token() {
        let directory = tempfile::tempdir().unwrap();
        let conf = CoprConf::in_directory(directory.path());
        assert!(!conf.exists() && conf.user().is_none());
        let admin = "admin".parse().unwrap();
        conf.write(&admin, &token("first"), "http://127.0.0.1:5080")
            .unwrap();
        conf.move_to("http://127.0.0.1:5999").unwrap();
        conf.write(&admin, &token("second"), "http://127.0.0.1:5080")
            .unwrap();
        assert_eq!(conf.user().as_deref(), Some("admin"));
        let text = fs::read_to_string(conf.path()).unwrap();
        assert!(text.contains("copr_url = http://127.0.0.1:5999\n"), "{text}");
        assert!(
            text.contains("token = vdg_second\n") && !text.contains("first"),
            "{text}"
        );
        assert!(text.contains("# expiration date: 2027-01-15"), "{text}");
    }
}
