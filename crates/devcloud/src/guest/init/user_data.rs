//! User data: a script, or the few parts of cloud-init's `#cloud-config` that a farm uses.
//!
//! This is no YAML reader. It takes exactly these forms and refuses everything else with the line's number, so
//! that nobody takes a part that was not understood for a part that was done:
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
//!   - ["printf", "%s\n", "a list of arguments, as JSON"]
//! ssh_deletekeys: true
//! ```
//!
//! `ssh_deletekeys`, `ssh_genkeytypes`, `ssh_pwauth: false` and `disable_root: false` say what is so here anyway.

use std::iter::Peekable;

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
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// A line of shell.
    Shell(String),
    /// A program and its arguments.
    Arguments(Vec<String>),
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
    let lines = text.lines().enumerate().map(|(index, text)| Line {
        number: index + 1,
        text: text.trim_end(),
    });
    config(&mut lines.peekable()).map(UserData::Config)
}

#[derive(Clone, Copy)]
struct Line<'a> {
    number: usize,
    text: &'a str,
}

impl<'a> Line<'a> {
    fn indent(self) -> usize {
        self.text.len() - self.text.trim_start_matches(' ').len()
    }

    fn is_empty(self) -> bool {
        let text = self.text.trim_start();
        text.is_empty() || text.starts_with('#')
    }

    fn wrong(self, what: &str) -> String {
        format!("line {}: {what}", self.number)
    }

    /// `key: value`, the value possibly empty.
    fn pair(self) -> Result<(&'a str, &'a str), String> {
        let (key, value) = self
            .text
            .trim_start()
            .split_once(':')
            .ok_or_else(|| self.wrong("`key: value` is expected"))?;
        if !value.is_empty() && !value.starts_with(' ') {
            return Err(self.wrong("a space is expected after the colon"));
        }
        Ok((key, value.trim()))
    }
}

fn config<'a>(lines: &mut Peekable<impl Iterator<Item = Line<'a>>>) -> Result<Config, String> {
    let mut config = Config::default();
    while let Some(line) = lines.next() {
        if line.is_empty() {
            continue;
        }
        if line.indent() > 0 {
            return Err(line.wrong("an indented line belongs to no key"));
        }
        match line.pair()? {
            ("ssh_keys", "") => host_key(lines, &mut config)?,
            ("ssh_authorized_keys", "") => {
                config.authorized_keys = list(lines)?
                    .into_iter()
                    .map(|(line, text)| key_line(line, &text))
                    .collect::<Result<_, _>>()?;
            }
            ("runcmd", "") => {
                config.commands = list(lines)?
                    .into_iter()
                    .map(|(line, text)| command(line, text))
                    .collect::<Result<_, _>>()?;
            }
            ("ssh_deletekeys" | "ssh_genkeytypes", value) if !value.is_empty() => {}
            ("ssh_pwauth" | "disable_root", "false" | "no") => {}
            (key, _) => return Err(line.wrong(&format!("`{key}` with this value is not understood"))),
        }
    }
    Ok(config)
}

/// The mapping below `ssh_keys`.
fn host_key<'a>(
    lines: &mut Peekable<impl Iterator<Item = Line<'a>>>,
    config: &mut Config,
) -> Result<(), String> {
    while let Some(line) = lines.next_if(|line| line.is_empty() || line.indent() > 0) {
        if line.is_empty() {
            continue;
        }
        let (key, value) = line.pair()?;
        let value = scalar(lines, line, value)?;
        match key {
            "ed25519_private" => config.host_key = Some(value),
            "ed25519_public" => config.host_public_key = Some(key_line(line, &value)?),
            _ => return Err(line.wrong(&format!("`{key}` is not understood: host keys here are ed25519"))),
        }
    }
    Ok(())
}

/// The items of a list, which may stand at the indentation of its key.
fn list<'a>(lines: &mut Peekable<impl Iterator<Item = Line<'a>>>) -> Result<Vec<(Line<'a>, String)>, String> {
    let mut items = Vec::new();
    while let Some(line) =
        lines.next_if(|line| line.is_empty() || line.indent() > 0 || line.text.starts_with("- "))
    {
        if line.is_empty() {
            continue;
        }
        let item = line
            .text
            .trim_start()
            .strip_prefix("- ")
            .ok_or_else(|| line.wrong("`- item` is expected"))?;
        items.push((line, scalar(lines, line, item.trim())?));
    }
    Ok(items)
}

/// A plain or quoted value, or the block that follows a `|`.
fn scalar<'a>(
    lines: &mut Peekable<impl Iterator<Item = Line<'a>>>,
    line: Line<'a>,
    value: &str,
) -> Result<String, String> {
    match value.chars().next() {
        Some('|') => block(lines, line, value),
        Some('"') => {
            serde_json::from_str(value).map_err(|_| line.wrong("the quoted value is not understood"))
        }
        Some('\'') => value
            .strip_prefix('\'')
            .and_then(|rest| rest.strip_suffix('\''))
            .filter(|inner| !inner.replace("''", "").contains('\''))
            .map(|inner| inner.replace("''", "'"))
            .ok_or_else(|| line.wrong("the quoted value is not understood")),
        Some('>' | '&' | '*' | '!' | '{' | '%' | '@' | '`') => {
            Err(line.wrong("this form of a value is not understood"))
        }
        Some('[') => Ok(value.to_owned()),
        // YAML would take these for a comment and for a mapping.
        Some(_) if value.contains(" #") || value.contains(": ") || value.ends_with(':') => {
            Err(line.wrong("quote a value that has ` #` or `: ` in it"))
        }
        Some(_) => Ok(value.to_owned()),
        None => Err(line.wrong("a value is expected")),
    }
}

/// A block: the lines that are indented further than the one it belongs to.
fn block<'a>(
    lines: &mut Peekable<impl Iterator<Item = Line<'a>>>,
    owner: Line<'a>,
    mark: &str,
) -> Result<String, String> {
    let keep_end = match mark {
        "|" => true,
        "|-" => false,
        _ => return Err(owner.wrong("this form of a block is not understood")),
    };
    let mut indent = None;
    let mut text = String::new();
    while let Some(line) = lines.next_if(|line| line.text.is_empty() || line.indent() > owner.indent()) {
        if !line.text.is_empty() {
            let indent = *indent.get_or_insert(line.indent());
            let content = line
                .text
                .split_at_checked(indent)
                .filter(|(before, _)| before.trim().is_empty());
            let (_, content) = content.ok_or_else(|| line.wrong("the block's lines are not aligned"))?;
            text.push_str(content);
        }
        text.push('\n');
    }
    let trimmed = text.trim_end_matches('\n');
    if trimmed.is_empty() {
        return Err(owner.wrong("the block is empty"));
    }
    Ok(if keep_end {
        format!("{trimmed}\n")
    } else {
        trimmed.to_owned()
    })
}

/// One public key: a line of its own and nothing else.
fn key_line(line: Line<'_>, text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || text.contains(['\n', '\r', '\0']) || !text.contains(' ') {
        return Err(line.wrong("this is not a public key in OpenSSH's form"));
    }
    Ok(text.to_owned())
}

fn command(line: Line<'_>, text: String) -> Result<Command, String> {
    if !text.starts_with('[') {
        return Ok(Command::Shell(text));
    }
    match serde_json::from_str::<Vec<String>>(&text) {
        Ok(arguments) if !arguments.is_empty() => Ok(Command::Arguments(arguments)),
        _ => Err(line.wrong("the list is not understood: write it as JSON, every word in double quotes")),
    }
}

#[cfg(test)]
mod tests;
