//! `verdigris user`: accounts and their tokens.

use std::time::Duration;

use anyhow::Context as _;
use model::OwnerName;
use runtime::{Settings, clock};
use store::{NewUser, Store, User};

use crate::{
    credentials::{CoprConf, copr_section},
    database::{self, plainly},
    options::Config,
    say,
    table::table,
};

/// How long a token made by the operator is good, as Copr's are.
pub(crate) const TOKEN_LIFETIME: Duration = Duration::from_secs(180 * 24 * 3600);

/// A user's name; a group's is refused.
fn user_name(text: &str) -> anyhow::Result<OwnerName> {
    let name: OwnerName = text.parse()?;
    anyhow::ensure!(
        !name.as_str().starts_with('@'),
        "`{name}` is a group's name; users' names have no @"
    );
    Ok(name)
}

/// Where people reach the farm, and what is to be known of that.
#[derive(Debug, PartialEq, Eq)]
struct FarmAddress {
    url: String,
    /// A comment of copr-cli's configuration.
    remark: Option<String>,
}

/// The address that people use. With port 0 the farm takes one when it starts: `verdigris up` keeps it in its `copr.conf`, and
/// where it never ran, the operator has to put it in.
fn farm_address(settings: &Settings) -> FarmAddress {
    let http = &settings.http;
    let url = http.public_url();
    if http.public_url.is_some() || http.listen.port() != 0 {
        return FarmAddress { url, remark: None };
    }
    let conf = CoprConf::in_directory(&settings.storage.directory);
    let why = "`http.listen` has port 0, so that the farm takes another port at each start";
    match conf.url() {
        Some(url) => FarmAddress {
            url,
            remark: Some(format!(
                "# {why}; {} has the one of the last start",
                conf.path().display()
            )),
        },
        None => FarmAddress {
            url: format!("{}:PORT", url.trim_end_matches(":0")),
            remark: Some(format!(
                "# put the farm's port in place of PORT, which its log tells: {why}"
            )),
        },
    }
}

/// A user who is there.
async fn existing(store: &Store, name: &OwnerName) -> anyhow::Result<User> {
    let user = store.user_by_name(name).await?;
    user.with_context(|| format!("there is no user `{name}`; `verdigris user list` shows all"))
}

/// `verdigris user create`.
pub(crate) async fn create(config: &Config, name: &str, is_operator: bool) -> anyhow::Result<()> {
    let settings = Settings::load(config.config.as_deref())?;
    let name = user_name(name)?;
    database::with(&settings, async |store| {
        let now = clock::now();
        let new = NewUser {
            name: name.clone(),
            is_operator,
        };
        let user = store.create_user(&new, now).await.map_err(plainly)?;
        let token = store.issue_token(user.id, TOKEN_LIFETIME, now).await?;
        let address = farm_address(&settings);
        say(&copr_section(&name, &token, &address.url));
        address.remark.iter().for_each(|words| say(words));
        Ok(())
    })
    .await
}

/// `verdigris user token`. Where `verdigris up` keeps this user's section, the file gets the new token.
pub(crate) async fn token(config: &Config, name: &str) -> anyhow::Result<()> {
    let settings = Settings::load(config.config.as_deref())?;
    let name = user_name(name)?;
    database::with(&settings, async |store| {
        let user = existing(&store, &name).await?;
        let token = store.issue_token(user.id, TOKEN_LIFETIME, clock::now()).await?;
        let FarmAddress { url, remark } = farm_address(&settings);
        say(&copr_section(&name, &token, &url));
        remark.iter().for_each(|words| say(words));
        let conf = CoprConf::in_directory(&settings.storage.directory);
        if conf.user().as_deref() == Some(name.as_str()) {
            conf.write(&name, &token, &url)
                .context("the token above is good, but it could not be kept")?;
            say(&format!("# written into {}", conf.path().display()));
        }
        Ok(())
    })
    .await
}

/// `verdigris user list`.
pub(crate) async fn list(config: &Config) -> anyhow::Result<()> {
    let settings = Settings::load(config.config.as_deref())?;
    database::with(&settings, async |store| {
        let users = store.users().await?;
        if users.is_empty() {
            say("There are no users. `verdigris user create NAME --operator` makes the first.");
            return Ok(());
        }
        let now = clock::now();
        let rows = users.into_iter().map(|user| {
            let role = if user.is_operator { "operator" } else { "user" };
            let token = match user.token_expires_at {
                None => "none".to_owned(),
                Some(end) if end <= now => format!("ended {}", end.to_the_second()),
                Some(end) => format!("until {}", end.to_the_second()),
            };
            vec![user.name.to_string(), role.to_owned(), token]
        });
        say(table(&["USER", "ROLE", "TOKEN"], rows.collect()).trim_end());
        Ok(())
    })
    .await
}

/// `verdigris user promote` and `demote`.
pub(crate) async fn set_operator(config: &Config, name: &str, is_operator: bool) -> anyhow::Result<()> {
    let settings = Settings::load(config.config.as_deref())?;
    let name = user_name(name)?;
    database::with(&settings, async |store| {
        let changed = store.set_operator(&name, is_operator, clock::now()).await;
        let changed = changed.map_err(plainly).map_err(advise)?;
        let state = if is_operator { "an operator" } else { "no operator" };
        let words = if changed { "is now" } else { "was already" };
        say(&format!("{name} {words} {state}."));
        Ok(())
    })
    .await
}

/// `verdigris user delete`.
pub(crate) async fn delete(config: &Config, name: &str) -> anyhow::Result<()> {
    let settings = Settings::load(config.config.as_deref())?;
    let name = user_name(name)?;
    let conf = CoprConf::in_directory(&settings.storage.directory);
    anyhow::ensure!(
        conf.user().as_deref() != Some(name.as_str()),
        "{name} is whom `verdigris up` works as, by {}: it would make the user anew. Put another operator's section there \
         first (`verdigris user create` prints one)",
        conf.path().display()
    );
    database::with(&settings, async |store| {
        let deleted = store.delete_user(&name, clock::now()).await;
        deleted.map_err(plainly).map_err(advise)?;
        say(&format!("{name} is deleted, and the token has ended."));
        Ok(())
    })
    .await
}

/// What can be done about a refusal.
fn advise(error: anyhow::Error) -> anyhow::Error {
    let words = error.to_string();
    if words.ends_with("is the last operator") {
        return anyhow::anyhow!("{words}; make another first: `verdigris user promote NAME`");
    }
    if words.contains("still owns") {
        return anyhow::anyhow!("{words}; delete them first (copr-cli delete OWNER/PROJECT)");
    }
    error
}

#[cfg(test)]
mod tests {
    use runtime::Settings;

    use super::farm_address;

    #[test]
    fn a_port_that_the_farm_takes_at_its_start_is_told_where_it_is_known() {
        let directory = tempfile::tempdir().unwrap();
        let mut settings = Settings::default();
        settings.storage.directory = directory.path().to_owned();
        let told = |settings: &Settings| {
            let found = farm_address(settings);
            (found.url, found.remark.unwrap_or_default())
        };
        assert_eq!(
            told(&settings),
            ("http://127.0.0.1:5080".to_owned(), String::new())
        );
        settings.http.listen = "127.0.0.1:0".parse().unwrap();
        let (url, remark) = told(&settings);
        assert_eq!(url, "http://127.0.0.1:PORT");
        assert!(
            remark.starts_with("# put the farm's port in place of PORT"),
            "{remark}"
        );
        std::fs::write(
            directory.path().join("copr.conf"),
            "[copr-cli]\ncopr_url = http://127.0.0.1:41234\n",
        )
        .unwrap();
        let (url, remark) = told(&settings);
        assert_eq!(url, "http://127.0.0.1:41234");
        assert!(
            remark.contains("copr.conf has the one of the last start"),
            "{remark}"
        );
        settings.http.public_url = Some("https://farm.example.org/".to_owned());
        let expected = ("https://farm.example.org".to_owned(), String::new());
        assert_eq!(told(&settings), expected);
    }
}
