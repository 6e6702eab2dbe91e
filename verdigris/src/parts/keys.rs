//! The access keys of clouds, from where the fleet file says that they are.

use std::{
    collections::BTreeMap,
    env::VarError,
    path::Path,
    sync::{Mutex, PoisonError},
};

use anyhow::{Context as _, anyhow, bail, ensure};
use cloud::{InstanceRole, METADATA_SERVICE};
use model::fleet::{CloudSpec, CredentialsSource};
use serde::Deserialize;

use super::Embedded;
use crate::secrets::AccessKey;

/// The variable with the token of a key that is good for some hours only; AWS's tools know it by the same name.
const SESSION_TOKEN: &str = "AWS_SESSION_TOKEN";
/// The variable with another address of the metadata service; AWS's tools know it by the same name.
const METADATA: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";

/// A file with an access key.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CredentialsFile {
    access_key: Option<String>,
    secret_key: Option<String>,
    session_token: Option<String>,
}

/// What a cloud is asked with.
pub(super) enum Keys {
    /// One key.
    Given(AccessKey),
    /// Those of the role of this machine, each for some hours.
    OfRole(InstanceRole),
}

/// The access key of a cloud, or where it comes from whenever it is needed.
pub(super) fn keys(spec: &CloudSpec, embedded: Option<&Embedded>) -> anyhow::Result<Keys> {
    let key = match (spec.credentials.source, embedded) {
        (CredentialsSource::InstanceRole, _) => return role(std::env::var(METADATA)).map(Keys::OfRole),
        (CredentialsSource::Environment, _) => key_in_environment(|name| std::env::var(name)),
        (CredentialsSource::File, _) => key_in_file(spec.credentials.path.as_deref().unwrap_or_default()),
        (CredentialsSource::Embedded, Some(embedded)) => Ok(embedded.access_key.clone()),
        (CredentialsSource::Embedded, None) => {
            bail!("`credentials: {{source: embedded}}` works in `verdigris up` only");
        }
    };
    key.map(Keys::Given)
}

/// The role that the metadata service tells of, at the address that the environment names, if it names one.
fn role(endpoint: Result<String, VarError>) -> anyhow::Result<InstanceRole> {
    let wrong =
        |what: &str| anyhow!("credentials: {{source: instance-role}}: in the environment {METADATA} {what}");
    let endpoint = match endpoint {
        Ok(endpoint) if !endpoint.is_empty() => endpoint,
        Ok(_) | Err(VarError::NotPresent) => METADATA_SERVICE.to_owned(),
        Err(VarError::NotUnicode(_)) => return Err(wrong("is no UTF-8")),
    };
    // One for each address: a client that is made anew, since the fleet file was read again, goes on with the key that there is.
    static ROLES: Mutex<BTreeMap<String, InstanceRole>> = Mutex::new(BTreeMap::new());
    let mut roles = ROLES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(role) = roles.get(&endpoint) {
        return Ok(role.clone());
    }
    let role = InstanceRole::at(&endpoint)
        .ok_or_else(|| wrong("is no address of HTTP, such as http://169.254.169.254"))?;
    roles.insert(endpoint, role.clone());
    Ok(role)
}

fn key_in_environment(variable: impl Fn(&str) -> Result<String, VarError>) -> anyhow::Result<AccessKey> {
    let mut mistakes = Vec::new();
    let [access_key, secret_key] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].map(|name| {
        let why = match variable(name) {
            Ok(value) if !value.is_empty() => return value,
            Ok(_) => "is empty",
            Err(VarError::NotPresent) => "is not set",
            Err(VarError::NotUnicode(_)) => "is no UTF-8",
        };
        mistakes.push(format!("{name} {why}"));
        String::new()
    });
    ensure!(
        mistakes.is_empty(),
        "credentials: {{source: environment}}: in the environment {}",
        mistakes.join(", and ")
    );
    let session_token = match variable(SESSION_TOKEN) {
        Ok(token) => Some(token),
        Err(VarError::NotPresent) => None,
        Err(VarError::NotUnicode(_)) => {
            bail!("credentials: {{source: environment}}: in the environment {SESSION_TOKEN} is no UTF-8")
        }
    };
    Ok(AccessKey {
        access_key,
        secret_key,
        session_token: session_token_of(session_token)
            .map_err(|why| anyhow!("credentials: {{source: environment}}: {SESSION_TOKEN} {why}"))?,
    })
}

/// What belongs to a key that is good for some hours only. As everywhere, an empty one is none; one that cannot be sent is
/// refused here, since a client says only that no question can be made.
fn session_token_of(found: Option<String>) -> Result<Option<String>, &'static str> {
    match found {
        Some(token) if token.is_empty() => Ok(None),
        Some(token) if !token.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Err("holds something else than letters, digits and signs, such as a blank or the end of a line")
        }
        token => Ok(token),
    }
}

fn key_in_file(path: &str) -> anyhow::Result<AccessKey> {
    let text = runtime::yaml::read(Path::new(path)).context("credentials.path")?;
    let found: CredentialsFile = runtime::settings::parse_toml(&text, path)?;
    match (found.access_key, found.secret_key) {
        (Some(access_key), Some(secret_key)) => Ok(AccessKey {
            access_key,
            secret_key,
            session_token: session_token_of(found.session_token)
                .map_err(|why| anyhow!("credentials.path: `session_token` in {path} {why}"))?,
        }),
        (None, None) => bail!("credentials.path: {path} has neither `access_key` nor `secret_key`"),
        (None, _) => bail!("credentials.path: {path} has no `access_key`"),
        (_, None) => bail!("credentials.path: {path} has no `secret_key`"),
    }
}

#[cfg(test)]
mod tests {
    use super::{SESSION_TOKEN, VarError, key_in_environment, key_in_file, role};

    #[test]
    fn the_metadata_service_is_at_its_usual_address_or_at_that_of_the_environment() {
        for (given, expected) in [
            (Err(VarError::NotPresent), None),
            (Ok(""), None),
            (Ok("http://127.0.0.1:1338"), None),
            (
                Ok("169.254.169.254"),
                Some("is no address of HTTP, such as http://169.254.169.254"),
            ),
            (Err(VarError::NotUnicode("x".into())), Some("is no UTF-8")),
        ] {
            let said = role(given.clone().map(str::to_owned))
                .err()
                .map(|error| error.to_string());
            let start =
                "credentials: {source: instance-role}: in the environment AWS_EC2_METADATA_SERVICE_ENDPOINT";
            assert_eq!(
                said,
                expected.map(|words| format!("{start} {words}")),
                "{given:?}"
            );
        }
    }

    #[test]
    fn a_key_has_the_token_of_its_session_where_there_is_one() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("key.toml");
        let name = file.to_str().unwrap();
        for (given, expected) in [
            (None, Ok(None)),
            (Some(""), Ok(None)),
            (Some("FQoG/+="), Ok(Some("FQoG/+="))),
            (Some("two words"), Err("holds something else")),
            (Some("of two\nlines"), Err("holds something else")),
        ] {
            let variable = |asked: &str| match asked {
                SESSION_TOKEN => given.map(str::to_owned).ok_or(VarError::NotPresent),
                _ => Ok("a".to_owned()),
            };
            let token = given.map(|token| format!("session_token = {}\n", serde_json::json!(token)));
            let text = format!(
                "access_key = \"a\"\nsecret_key = \"b\"\n{}",
                token.unwrap_or_default()
            );
            std::fs::write(&file, text).unwrap();
            let keys = [
                (key_in_environment(variable), "AWS_SESSION_TOKEN"),
                (key_in_file(name), "`session_token` in"),
            ];
            for (key, names) in keys {
                match (key, expected) {
                    (Ok(key), Ok(token)) => assert_eq!(key.session_token.as_deref(), token),
                    (Err(error), Err(words)) => {
                        let error = format!("{error:#}");
                        assert!(error.contains(words) && error.contains(names), "{error}");
                        assert!(!error.contains("two"), "{error}");
                    }
                    (key, expected) => {
                        panic!("{given:?}: {:?} {expected:?}", key.map(|key| key.session_token))
                    }
                }
            }
        }
    }

    #[test]
    fn all_that_an_access_key_lacks_is_told_at_once() {
        let (id, secret) = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY");
        for (set, expected) in [
            (
                &[][..],
                "AWS_ACCESS_KEY_ID is not set, and AWS_SECRET_ACCESS_KEY is not set",
            ),
            (&[(id, "a")], "environment AWS_SECRET_ACCESS_KEY is not set"),
            (
                &[(id, ""), (secret, "b")],
                "environment AWS_ACCESS_KEY_ID is empty",
            ),
            (&[(id, "a"), (secret, "b")], ""),
        ] {
            let variable = |name: &str| {
                let found = set.iter().find(|(known, _)| *known == name);
                found
                    .map(|(_, value)| (*value).to_owned())
                    .ok_or(VarError::NotPresent)
            };
            match key_in_environment(variable) {
                Ok(key) => assert_eq!(
                    (key.access_key.as_str(), key.secret_key.as_str(), expected),
                    ("a", "b", "")
                ),
                Err(error) => assert!(
                    error.to_string().ends_with(expected) && !expected.is_empty(),
                    "{error}"
                ),
            }
        }
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("key.toml");
        let name = file.to_str().unwrap();
        for (text, expected) in [
            ("", "has neither `access_key` nor `secret_key`"),
            ("access_key = \"a\"", "key.toml has no `secret_key`"),
            ("secret_key = \"b\"", "key.toml has no `access_key`"),
            ("secret = \"b\"", "there is no setting `secret`"),
        ] {
            std::fs::write(&file, text).unwrap();
            let error = format!("{:#}", key_in_file(name).err().unwrap());
            assert!(error.contains(expected), "{text}: {error}");
        }
        let gone = format!("{:#}", key_in_file("/nowhere/key.toml").err().unwrap());
        assert_eq!(
            gone,
            "credentials.path: cannot read /nowhere/key.toml: there is no such file"
        );
    }
}
