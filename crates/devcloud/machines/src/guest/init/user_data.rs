//! User data: a script, or the few parts of cloud-init's `#cloud-config` that a farm uses.
//!
//! What is not one of these parts is refused with its line, so that nobody takes a part that was not understood for a
//! part that was done:
//!
//! ```yaml
//! #cloud-config
//! ssh_keys:
//!   ed25519_private: |
//!     -----BEGIN OPENSSH PRIVATE KEY-----
//!     ...
//!   ed25519_public: ssh-ed25519 AAAA... comment
//! ssh_authorized_keys:
//!   - ssh-ed25519 AAAA... comment
//! runcmd:
//!   - echo a line of shell
//!   - [printf, "%s\n", "a list of arguments"]
//! ssh_deletekeys: true
//! ```
//!
//! `ssh_deletekeys`, `ssh_genkeytypes`, `ssh_pwauth: false` and `disable_root: false` say what is so here anyway.

use serde::{Deserialize, de::IgnoredAny};
use serde_saphyr::Spanned;

/// What user data asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum UserData {
    /// Nothing.
    None,
    /// A script, to be run as it is.
    Script(Vec<u8>),
    /// A configuration.
    Config(Config),
}

/// The understood part of `#cloud-config`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Config {
    pub(super) host_key: Option<String>,
    pub(super) host_public_key: Option<String>,
    pub(super) authorized_keys: Vec<String>,
    pub(super) commands: Vec<Command>,
}

/// One entry of `runcmd`.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(super) enum Command {
    /// A line of shell.
    Shell(String),
    /// A program and its arguments.
    Arguments(Vec<String>),
}

/// `#cloud-config` as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Document {
    ssh_keys: HostKeys,
    ssh_authorized_keys: Vec<Spanned<String>>,
    runcmd: Vec<Spanned<Command>>,
    ssh_pwauth: Option<Spanned<bool>>,
    disable_root: Option<Spanned<bool>>,
    #[serde(rename = "ssh_deletekeys")]
    _delete_keys: Option<IgnoredAny>,
    #[serde(rename = "ssh_genkeytypes")]
    _key_types: Option<IgnoredAny>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct HostKeys {
    ed25519_private: Option<Spanned<String>>,
    ed25519_public: Option<Spanned<String>>,
}

/// Says what user data asks for.
///
/// # Errors
///
/// A sentence with the line that was not understood.
pub(super) fn read(bytes: Vec<u8>) -> Result<UserData, String> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(UserData::None);
    }
    if bytes.starts_with(b"#!") {
        return Ok(UserData::Script(bytes));
    }
    let text = String::from_utf8(bytes).map_err(|_| "it is neither text nor a script".to_owned())?;
    let first = text.lines().next().unwrap_or_default();
    if first.trim_end() != "#cloud-config" {
        return Err("its first line is neither `#!...` nor `#cloud-config`".to_owned());
    }
    // A file of comments alone is a configuration that asks for nothing.
    let document: Option<Document> = serde_saphyr::from_str(&text).map_err(|error| explain(&error))?;
    config(document.unwrap_or_default()).map(UserData::Config)
}

/// What was not understood, and where.
fn explain(error: &serde_saphyr::Error) -> String {
    let what = match error.without_snippet() {
        serde_saphyr::Error::SerdeUnknownField { field, .. } => format!("`{field}` is not understood"),
        _ => "this is no YAML, or of another kind than is understood here".to_owned(),
    };
    match error.location() {
        Some(place) => format!("line {}: {what}", place.line()),
        None => what,
    }
}

fn config(document: Document) -> Result<Config, String> {
    for (name, switch) in [
        ("ssh_pwauth", &document.ssh_pwauth),
        ("disable_root", &document.disable_root),
    ] {
        if let Some(switch) = switch.as_ref().filter(|switch| switch.value) {
            return Err(wrong(
                switch,
                &format!("`{name}` with this value is not understood"),
            ));
        }
    }
    let host_key = document.ssh_keys.ed25519_private;
    if let Some(key) = host_key.as_ref().filter(|key| key.value.trim().is_empty()) {
        return Err(wrong(key, "the key is empty"));
    }
    for command in &document.runcmd {
        if matches!(&command.value, Command::Arguments(arguments) if arguments.is_empty()) {
            return Err(wrong(command, "a command has at least one word"));
        }
    }
    let public = document.ssh_keys.ed25519_public;
    Ok(Config {
        host_key: host_key.map(|key| key.value),
        host_public_key: public.map(key_line).transpose()?,
        authorized_keys: document
            .ssh_authorized_keys
            .into_iter()
            .map(key_line)
            .collect::<Result<_, _>>()?,
        commands: document.runcmd.into_iter().map(|command| command.value).collect(),
    })
}

fn wrong<T>(value: &Spanned<T>, what: &str) -> String {
    format!("line {}: {what}", value.referenced.line())
}

/// One public key: a line of its own and nothing else.
fn key_line(line: Spanned<String>) -> Result<String, String> {
    let text = line.value.trim();
    if text.contains(['\n', '\r', '\0']) || !text.contains(' ') {
        return Err(wrong(&line, "this is not a public key in OpenSSH's form"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests;
